//! File systems that hang, fail, go and come back.

use super::super::golden::{Board, Tree, sample};
use super::*;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};

const PATIENT: Duration = Duration::from_secs(30);
const HASTY: Duration = Duration::from_millis(20);

/// Answers at once, but for places that are closed: they answer when they are opened.
#[derive(Default)]
struct Fake {
    /// Whether a place is closed, and how often each was asked.
    closed: Mutex<Vec<PathBuf>>,
    asked: Mutex<BTreeMap<PathBuf, usize>>,
    opened: Condvar,
}

impl Fake {
    fn close(&self, places: &[PathBuf]) {
        *self.closed.lock().unwrap() = places.to_vec();
        self.opened.notify_all();
    }

    fn asked(&self, place: &Path) -> usize {
        self.asked.lock().unwrap().get(place).copied().unwrap_or(0)
    }
}

impl Statvfs for Fake {
    fn ask(&self, place: &Path) -> Option<Cells> {
        *self.asked.lock().unwrap().entry(place.to_owned()).or_default() += 1;
        let closed = self.closed.lock().unwrap();
        drop(self.opened.wait_while(closed, |closed| closed.iter().any(|one| one == place)).unwrap());
        (!place.ends_with("broken")).then_some([1, 2, 3, 4, 5, 0])
    }
}

/// A host with a fake kernel.
struct Host {
    tree: Tree,
    fake: Arc<Fake>,
    filesystem: Filesystem,
    board: Board,
}

impl Host {
    fn new(mounts: &str, patience: Duration) -> Host {
        let (tree, fake) = (Tree::empty(), Arc::<Fake>::default());
        tree.write("proc/1/mounts", mounts);
        let filesystem = Filesystem::with(fake.clone(), tree.root(), (10_000, patience));
        Host { tree, fake, filesystem, board: Board::default() }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.tree.root().join(name)
    }

    /// Mount points with numbers, and those in error.
    fn round(&mut self) -> (Vec<String>, Vec<String>) {
        let said = sample(&mut self.filesystem, &mut self.board).unwrap();
        let points = |start: &str, end: &str| {
            let lines = said.lines().filter(|line| line.starts_with(start) && line.ends_with(end));
            lines
                .map(|line| {
                    line.split("mountpoint=\"/").nth(1).unwrap().split('"').next().unwrap().to_owned()
                })
                .collect()
        };
        (points("node_filesystem_size_bytes{", "} 1"), points("node_filesystem_device_error{", "} 1"))
    }
}

fn check(round: (Vec<String>, Vec<String>), well: &[&str], in_error: &[&str]) {
    assert_eq!(
        round,
        (well.iter().map(|s| (*s).to_owned()).collect(), in_error.iter().map(|s| (*s).to_owned()).collect())
    );
}

#[test]
fn a_mount_that_hangs_costs_its_own_numbers_only() {
    let mut host = Host::new("/d / ext4 rw\nnas:/x /x nfs4 rw\nnas:/y /y cifs rw\n", PATIENT);
    check(host.round(), &["", "x", "y"], &[]);
    let x = host.place("x");
    host.fake.close(std::slice::from_ref(&x));
    host.filesystem.patience = HASTY;
    check(host.round(), &["", "y"], &["x"]);
    host.filesystem.patience = PATIENT;
    for _ in 0..5 {
        check(host.round(), &["", "y"], &["x"]);
    }
    assert_eq!(host.fake.asked(&x), 2, "asked no more while it hangs");
    assert_eq!(host.fake.asked(&host.place("y")), 7);
    host.fake.close(&[]);
    // Its late answer is thrown away whenever it comes; the next one is in time.
    while host.round().1 == ["x"] {
        std::thread::yield_now();
    }
    check(host.round(), &["", "x", "y"], &[]);
}

#[test]
fn all_that_hang_share_one_patience() {
    let mounts: String = (0..50).map(|n| format!("nas:/{n} /{n:02} nfs rw\n")).collect();
    let mut host = Host::new(&mounts, HASTY);
    let places: Vec<PathBuf> = (0..50).map(|n| host.place(&format!("{n:02}"))).collect();
    host.fake.close(&places);
    let mut patience = Duration::from_millis(10);
    let all = host.filesystem.list().unwrap();
    all.iter().zip(&places).for_each(|(mount, place)| host.filesystem.workers.call(mount.key(), place));
    assert_eq!(host.filesystem.workers.wait(&all[0].key(), &mut patience), None);
    assert_eq!(patience, Duration::ZERO);
    let (well, in_error) = host.round();
    assert_eq!((well.len(), in_error.len()), (0, 50));
    host.fake.close(&[]);
}

#[test]
fn a_mount_that_goes_while_it_hangs_and_returns_has_the_same_thread() {
    let mounts = "/d / ext4 rw\nnas:/x /x nfs rw\n";
    let mut host = Host::new(mounts, HASTY);
    let x = host.place("x");
    host.fake.close(std::slice::from_ref(&x));
    check(host.round(), &[""], &["x"]);
    for _ in 0..3 {
        host.tree.write("proc/1/mounts", "/d / ext4 rw\n");
        check(host.round(), &[""], &[]);
        host.tree.write("proc/1/mounts", mounts);
        check(host.round(), &[""], &["x"]);
    }
    assert_eq!((host.fake.asked(&x), host.filesystem.workers.len()), (1, 1));
    host.tree.write("proc/1/mounts", "/d / ext4 rw\n");
    host.fake.close(&[]);
    while host.filesystem.workers.len() > 0 {
        check(host.round(), &[""], &[]);
        std::thread::yield_now();
    }
}

#[test]
fn threads_are_bounded() {
    let count = worker::WORKERS_MAX + 3;
    let mounts: String = (0..count).map(|n| format!("nas:/{n} /{n:03} fuse.x rw\n")).collect();
    let mut host = Host::new(&mounts, PATIENT);
    let (well, in_error) = host.round();
    assert_eq!(
        (well.len(), in_error),
        (worker::WORKERS_MAX, vec!["256".to_owned(), "257".into(), "258".into()])
    );
    assert_eq!(host.filesystem.workers.len(), worker::WORKERS_MAX);
}

#[test]
fn one_that_fails_is_in_error() {
    let mut host = Host::new("/d /broken ext4 rw\nn:/ /a/broken nfs rw\n/d / ext4 rw\n", PATIENT);
    check(host.round(), &[""], &["broken", "a/broken"]);
}

#[test]
fn asks_the_kernel_below_the_root() {
    let (tree, mut board) = (Tree::empty(), Board::default());
    tree.write("proc/1/mounts", "/dev/a / ext4 rw 0 0\n/dev/b /gone ext4 rw 0 0\n");
    let mut filesystem = Filesystem::new(tree.root(), 10_000, PATIENT);
    let text = sample(&mut filesystem, &mut board).unwrap();
    assert_eq!(text.lines().count(), DEFS.len() + 2);
    let size = text.lines().find(|line| line.starts_with("node_filesystem_size_bytes{")).unwrap();
    let expect = "node_filesystem_size_bytes{device=\"/dev/a\",fstype=\"ext4\",mountpoint=\"/\"} ";
    assert!(size.strip_prefix(expect).unwrap().parse::<f64>().unwrap() > 0.0, "{size}");
    tree.write("proc/1/mounts", "");
    assert_eq!(sample(&mut filesystem, &mut board).unwrap(), "");
}

#[test]
fn garbage_is_named() {
    let tree = Tree::empty();
    tree.write("proc/1/mounts", "/dev/a / ext4\n/dev/b\n");
    let mut filesystem = Filesystem::new(tree.root(), 10_000, PATIENT);
    let error = sample(&mut filesystem, &mut Board::default()).unwrap_err();
    let expect = "failed to parse `/proc/1/mounts` line 2: expected device, place and type";
    assert_eq!(error.replace(&tree.display(), ""), expect);
}
