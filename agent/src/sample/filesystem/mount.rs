//! The mounts of a host: one line each, as `/proc/1/mounts` has them.

use super::super::error::SampleError;
use super::super::text::Lines;

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
/// File systems whose other end is another machine or program, and can keep one waiting; those of FUSE too.
const REMOTE: [&str; 20] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "davfs",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "prl_fs",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
];
const PLACES: &[&str] =
    &["/dev", "/proc", "/sys", "/run/credentials", "/var/lib/docker", "/var/lib/containers/storage"];
/// Far more mounts than a machine that works has.
const MOUNTS_MAX: usize = 1000;

/// A file system and where it is mounted.
#[derive(Debug, PartialEq)]
pub(super) struct Mount {
    pub device: Vec<u8>,
    pub point: Vec<u8>,
    pub kind: Vec<u8>,
    /// As it was mounted on the host: to a sandboxed agent everything may look read-only.
    pub is_read_only: bool,
}

impl Mount {
    /// What tells it from others.
    pub fn key(&self) -> Vec<u8> {
        [&self.device[..], &self.point, &self.kind].join(&b'\n')
    }

    /// Whether asking it can take for ever.
    pub fn is_remote(&self) -> bool {
        let kind = std::str::from_utf8(&self.kind).unwrap_or_default();
        REMOTE.contains(&kind) || kind.starts_with("fuse")
    }

    fn is_wanted(&self) -> bool {
        let kind = std::str::from_utf8(&self.kind).unwrap_or_default();
        let is_below = |place: &&str| {
            self.point.strip_prefix(place.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        !PSEUDO.contains(&kind) && !PLACES.iter().any(is_below)
    }
}

/// The mounts that hold data. A later mount on the same place hides the earlier one.
pub(super) fn parse(lines: Lines<'_>) -> Result<Vec<Mount>, SampleError> {
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
        if mount.is_wanted() {
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
    use super::*;
    use std::path::Path;

    #[test]
    fn mounts_that_hold_data() {
        let text = "/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\nnas:/x /mnt nfs4 rw 0 0\n\
            tmpfs /dev/shm tmpfs rw 0 0\nsshfs /home/a fuse.sshfs rw 0 0\n/dev/vdb /a\\040b\\134 xfs rw 0 0\n\
            /dev/vdc /devices xfs rw 0 0\n/dev/vdd /a\\040b\\134 btrfs rw 0 0\n/dev/é! /\\303\\251 vfat rw 0 0\n";
        let mounts = parse(Lines::new(Path::new("mounts"), text.as_bytes())).unwrap();
        let said = mounts.iter().map(|mount| {
            let key = String::from_utf8(mount.key()).unwrap().replace('\n', " ");
            key + if mount.is_remote() { ", remote" } else { "" }
        });
        let expect = [
            "/dev/vda / ext4",
            "nas:/x /mnt nfs4, remote",
            "sshfs /home/a fuse.sshfs, remote",
            "/dev/vdc /devices xfs",
            "/dev/vdd /a b\\ btrfs",
            "/dev/é! /é vfat",
        ];
        assert_eq!(said.collect::<Vec<_>>(), expect);
    }

    #[test]
    fn too_many_mounts_are_refused() {
        let text: String = (0..=MOUNTS_MAX).map(|n| format!("/dev/a /{n} ext4 rw 0 0\n")).collect();
        let error = parse(Lines::new(Path::new("mounts"), text.as_bytes())).unwrap_err().to_string();
        assert_eq!(error, "failed to parse `mounts` line 1001: more than 1000 mounts");
    }
}
