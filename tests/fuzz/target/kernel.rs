//! What the kernel says: each file of the recorded trees, changed, read by the collectors that read it. Before,
//! in between and after stands what was recorded, so that differences are taken in both directions.

use super::{Pieces, Target, directory, ended, pieces, then};
use quorate_agent::sample::{Config, Sink, collectors};
use quorate_common::model::time::{BootTime, Now, WallTime};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;
use tempfile::TempDir;

pub fn targets() -> Vec<Target> {
    vec![Target { name: "kernel", run: kernel, seeds, words: WORDS }]
}

const WORDS: &[&[u8]] = &[
    b"cpu",
    b"cpu0 ",
    b"intr ",
    b"btime ",
    b" kB\n",
    b":",
    b"\t",
    b"\n",
    b" ",
    b"(",
    b")",
    b") S ",
    b"\\040",
    b"\\777",
    b"nfs4",
    b"fuse.sshfs",
    b"some avg10=0.00",
    b"total=",
    b"TcpExt: ",
    b"max",
    b"\xff",
    b"\0",
    b"-",
];

/// Which collectors read a path that begins like this; others are read by all that read the tree.
const READERS: &[(&str, &[&str])] = &[
    ("proc/stat", &["cpu", "process"]),
    ("proc/meminfo", &["memory"]),
    ("proc/loadavg", &["load"]),
    ("proc/diskstats", &["diskstats"]),
    ("proc/vmstat", &["vmstat"]),
    ("proc/net/dev", &["network"]),
    ("proc/net/sockstat", &["sockstat"]),
    ("proc/net/softnet_stat", &["softnet"]),
    ("proc/net/snmp", &["netstat"]),
    ("proc/net/netstat", &["netstat"]),
    ("proc/pressure", &["pressure"]),
    ("proc/sys/fs", &["filefd"]),
    ("proc/sys/net", &["conntrack"]),
    ("proc/sys/kernel", &["entropy"]),
    ("proc/1/mounts", &["filesystem"]),
    ("proc/", &["process"]),
    ("etc/os-release", &["os"]),
    ("etc/", &["process"]),
    ("sys/class/hwmon", &["hwmon"]),
    ("sys/class/net", &["netclass"]),
    ("sys/class/dmi", &["dmi"]),
    ("sys/devices/system/cpu", &["cpufreq"]),
    ("sys/", &["hwmon", "diskstats", "netclass"]),
];
const MOUNTS: &str =
    "/dev/vda / ext4 rw 0 0\nnas:/x /mnt nfs4 rw 0 0\n/dev/vdb /a\\040b\\134 xfs ro,noatime 0 0\n";

/// The recorded trees, where they can be changed.
struct Trees {
    directory: TempDir,
    /// What stands in each file, by tree and path.
    files: BTreeMap<(String, String), Vec<u8>>,
}

static TREES: LazyLock<Trees> = LazyLock::new(|| {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/src/sample/testdata");
    let mut trees = Trees { directory: directory(), files: BTreeMap::new() };
    for tree in std::fs::read_dir(recorded).unwrap() {
        let tree = tree.unwrap();
        let name = tree.file_name().into_string().unwrap();
        trees.copy(&tree.path(), &name, "");
    }
    trees.put("host", "proc/1/mounts", MOUNTS.as_bytes());
    trees.put("host", "etc/passwd", b"root:x:0:0::/:\nwww:x:33:33::/:\n");
    trees
});

impl Trees {
    fn copy(&mut self, from: &Path, tree: &str, below: &str) {
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{below}{}", entry.file_name().into_string().unwrap());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                self.copy(&entry.path(), tree, &format!("{path}/"));
            } else if kind.is_symlink() {
                let place = self.place(tree, &path);
                std::fs::create_dir_all(place.parent().unwrap()).unwrap();
                std::os::unix::fs::symlink(std::fs::read_link(entry.path()).unwrap(), place).unwrap();
            } else {
                self.put(tree, &path, &std::fs::read(entry.path()).unwrap());
            }
        }
    }

    fn put(&mut self, tree: &str, path: &str, text: &[u8]) {
        let place = self.place(tree, path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, text).unwrap();
        self.files.insert((tree.to_owned(), path.to_owned()), text.to_vec());
    }

    fn place(&self, tree: &str, path: &str) -> PathBuf {
        self.directory.path().join(tree).join(path)
    }
}

/// Tree and path as two pieces, then the content. A path that is not recorded stands for one that is.
fn kernel(input: &[u8]) -> u64 {
    let mut parts = Pieces(input);
    let mut text = || parts.next().map(|part| String::from_utf8_lossy(part).into_owned()).unwrap_or_default();
    let name = (text(), text());
    let content = parts.0;
    let any = || TREES.files.iter().nth(content.len() % TREES.files.len());
    let Some(((tree, path), recorded)) = TREES.files.get_key_value(&name).or_else(any) else { return 0 };
    let place = TREES.place(tree, path);
    let readers = READERS.iter().find(|(begin, _)| path.starts_with(begin)).map_or(&[][..], |(_, who)| who);
    let mut ways = 0_u64;
    let mut samplers = collectors(&Config::default(), &TREES.directory.path().join(tree));
    samplers.retain(|sampler| readers.contains(&sampler.name()));
    for sampler in &mut samplers {
        let (mut sink, mut is_good) = (Sink::default(), false);
        for (second, text) in (0_u64..).zip([recorded.as_slice(), content, content, recorded]) {
            std::fs::write(&place, text).unwrap();
            let said = sampler.sample(at(second), &mut sink);
            is_good |= second == 0 && said.is_ok();
            // The round after must be as good as the first, whatever came in between.
            assert!(second != 3 || said.is_ok() || !is_good, "broken for good: {:?}", said.err());
            ways = then(ways, ended(&said, |()| 1));
            ways = then(ways, sampler.process_table().map_or(0, |table| table.len() as u64));
        }
    }
    std::fs::write(&place, recorded).unwrap();
    ways
}

fn at(second: u64) -> Now {
    let boot = BootTime(1_000_000_000_000) + Duration::from_secs(second);
    Now { boot, wall: WallTime(1_795_203_000_125_000_000 + second.cast_signed() * 1_000_000_000) }
}

fn seeds() -> Vec<Vec<u8>> {
    let wanted = TREES.files.iter().filter(|((_, path), _)| path != "expect.txt");
    wanted.map(|((tree, path), text)| [&pieces([tree, path])[..], text].concat()).collect()
}
