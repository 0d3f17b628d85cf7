//! Local file systems: the mounts of `/proc/1/mounts`, each asked by `statvfs`.
//!
//! `statvfs` can hang on a sick disk, so this collector may block. Network mounts hang far more often and are
//! left out.

use super::error::SampleError;
use super::keyed::Keyed;
use super::reader::File;
use super::text::{Lines, cell};
use super::{Sampler, Sink, Slot};
use quorate_common::catalog::{self, MetricDef};
use quorate_common::model::label::Labels;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// File systems that hold no data of anybody, as node_exporter leaves them out.
const PSEUDO: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
];
/// File systems whose other end is another machine or program.
const REMOTE: &[&str] = &[
    "9p",
    "afs",
    "ceph",
    "cifs",
    "coda",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb3",
    "smbfs",
    "virtiofs",
];
const PLACES: &[&str] =
    &["/dev", "/proc", "/sys", "/run/credentials", "/var/lib/docker", "/var/lib/containers/storage"];
/// Far more mounts than a machine that works has.
const MOUNTS_MAX: usize = 1000;

const DEFS: [&MetricDef; 6] = [
    &catalog::FILESYSTEM_SIZE,
    &catalog::FILESYSTEM_FREE,
    &catalog::FILESYSTEM_AVAIL,
    &catalog::FILESYSTEM_FILES,
    &catalog::FILESYSTEM_FILES_FREE,
    &catalog::FILESYSTEM_READONLY,
];

/// Asks every local mount.
pub(super) struct Filesystem {
    root: PathBuf,
    /// Mounts of the host; a sandboxed agent may see only its own.
    files: [File; 2],
    interval_ms: u32,
    mounts: Keyed<[Slot; DEFS.len()]>,
}

#[derive(Debug, PartialEq)]
struct Mount {
    device: Vec<u8>,
    point: Vec<u8>,
    kind: Vec<u8>,
    /// As it was mounted on the host: to a sandboxed agent everything may be read-only.
    is_read_only: bool,
}

impl Filesystem {
    /// Reads below `root`, every `interval_ms`.
    pub fn new(root: &Path, interval_ms: u32) -> Filesystem {
        let files = ["proc/1/mounts", "proc/self/mounts"].map(|path| File::new(root, path));
        Filesystem { root: root.to_owned(), files, interval_ms, mounts: Keyed::default() }
    }

    fn list(&mut self) -> Result<Vec<Mount>, SampleError> {
        let [host, own] = &mut self.files;
        let (path, bytes) = host.read().or_else(|_| own.read())?;
        parse(Lines::new(path, bytes))
    }
}

impl Sampler for Filesystem {
    fn name(&self) -> &'static str {
        "filesystem"
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn class(&self) -> SeriesClass {
        SeriesClass::System
    }

    fn may_block(&self) -> bool {
        true
    }

    fn sample(&mut self, _now: Now, out: &mut Sink) -> Result<(), SampleError> {
        for mount in self.list()? {
            let below = mount.point.strip_prefix(b"/").unwrap_or(&mount.point);
            // A mount that cannot be asked has no sample; the others have.
            let Some(cells) = mount.ask(&self.root.join(OsStr::from_bytes(below))) else { continue };
            let slots = self.mounts.entry(&mount.key(), || mount.register(out))?;
            slots.iter().zip(cells).for_each(|(slot, cell)| out.set(*slot, cell));
        }
        self.mounts.finish(|slots| slots.into_iter().for_each(|slot| out.retire(slot)));
        Ok(())
    }
}

impl Mount {
    fn key(&self) -> Vec<u8> {
        [&self.device[..], &self.point, &self.kind].join(&b'\n')
    }

    fn register(&self, out: &mut Sink) -> Result<[Slot; DEFS.len()], SampleError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let labels = Labels::new([
            ("device", text(&self.device)),
            ("mountpoint", text(&self.point)),
            ("fstype", text(&self.kind)),
        ])?;
        Ok(DEFS.map(|def| out.slot(def, labels.clone())))
    }

    /// What the file system at `point` says of itself. Not whether it is read-only: there the answer is of our
    /// own view, in which a sandbox has made everything so.
    fn ask(&self, point: &Path) -> Option<[i64; DEFS.len()]> {
        let state = rustix::fs::statvfs(point).ok()?;
        let bytes = |blocks: u64| cell(blocks.saturating_mul(state.f_frsize));
        Some([
            bytes(state.f_blocks),
            bytes(state.f_bfree),
            bytes(state.f_bavail),
            cell(state.f_files),
            cell(state.f_ffree),
            i64::from(self.is_read_only),
        ])
    }

    fn is_local(&self) -> bool {
        let kind = std::str::from_utf8(&self.kind).unwrap_or_default();
        let is_below = |place: &&str| {
            self.point.strip_prefix(place.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        !PSEUDO.contains(&kind)
            && !REMOTE.contains(&kind)
            && !kind.starts_with("fuse")
            && !PLACES.iter().any(is_below)
    }
}

/// The local mounts. A later mount on the same place hides the earlier one.
fn parse(lines: Lines<'_>) -> Result<Vec<Mount>, SampleError> {
    let mut mounts: Vec<Mount> = Vec::new();
    for mut line in lines {
        let (Some(device), Some(point), Some(kind)) = (line.word(), line.word(), line.word()) else {
            return Err(line.error("expected device, place and type"));
        };
        let options = line.word().unwrap_or_default();
        let is_read_only = options.split(|byte| *byte == b',').any(|option| option == b"ro");
        let (device, point) = (unescape(device), unescape(point));
        let mount = Mount { device, point, kind: kind.to_owned(), is_read_only };
        mounts.retain(|earlier| earlier.point != mount.point);
        if mount.is_local() {
            mounts.push(mount);
        }
        if mounts.len() > MOUNTS_MAX {
            return Err(line.error(format!("more than {MOUNTS_MAX} mounts")));
        }
    }
    Ok(mounts)
}

/// The kernel writes white space and backslashes as three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let (mut plain, mut rest) = (Vec::with_capacity(text.len()), text);
    while let [first, tail @ ..] = rest {
        let octal = |b: &u8| (b'0'..=b'7').contains(b);
        rest = match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b, c, tail @ ..]) if octal(b) && octal(c) => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                tail
            }
            _ => {
                plain.push(*first);
                tail
            }
        };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::golden::{Board, Tree, sample};
    use super::*;

    #[test]
    fn local_mounts_only() {
        let text = "/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\nnas:/x /mnt nfs4 rw 0 0\n\
            tmpfs /dev/shm tmpfs rw 0 0\nsshfs /home/a fuse.sshfs rw 0 0\n/dev/vdb /a\\040b\\134 xfs rw 0 0\n\
            /dev/vdc /devices xfs rw 0 0\n/dev/vdd /a\\040b\\134 btrfs rw 0 0\n";
        let mounts = parse(Lines::new(Path::new("mounts"), text.as_bytes())).unwrap();
        let said: Vec<String> =
            mounts.iter().map(|mount| String::from_utf8(mount.key()).unwrap().replace('\n', " ")).collect();
        assert_eq!(said, ["/dev/vda / ext4", "/dev/vdc /devices xfs", "/dev/vdd /a b\\ btrfs"]);
    }

    #[test]
    fn asks_each_mount_below_the_root() {
        let (tree, mut sink) = (Tree::empty(), Board::default());
        tree.write("proc/1/mounts", "/dev/a / ext4 rw 0 0\n/dev/b /gone ext4 rw 0 0\n");
        let mut filesystem = Filesystem::new(tree.root(), 10_000);
        let text = sample(&mut filesystem, &mut sink).unwrap();
        assert_eq!(text.lines().count(), DEFS.len());
        let size = text.lines().find(|line| line.starts_with("node_filesystem_size_bytes{")).unwrap();
        let expect = "node_filesystem_size_bytes{device=\"/dev/a\",fstype=\"ext4\",mountpoint=\"/\"} ";
        assert!(size.strip_prefix(expect).unwrap().parse::<f64>().unwrap() > 0.0, "{size}");
        let read_only = |text: &str| {
            let line = text.lines().find(|line| line.starts_with("node_filesystem_readonly{")).unwrap();
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
        };
        assert_eq!(read_only(&text), 0.0);
        tree.write("proc/1/mounts", "/dev/a / ext4 nosuid,ro,errors=remount-ro 0 0\n");
        assert_eq!(read_only(&sample(&mut filesystem, &mut sink).unwrap()), 1.0);
        tree.write("proc/1/mounts", "");
        assert_eq!(sample(&mut filesystem, &mut sink).unwrap(), "");
    }

    #[test]
    fn garbage_is_named() {
        let tree = Tree::empty();
        tree.write("proc/1/mounts", "/dev/a / ext4\n/dev/b\n");
        let error = sample(&mut Filesystem::new(tree.root(), 10_000), &mut Board::default()).unwrap_err();
        let expect = "failed to parse `/proc/1/mounts` line 2: expected device, place and type";
        assert_eq!(error.replace(&tree.display(), ""), expect);
    }
}
