//! Every call of the disk fails once, and every byte of every kind of file is cut off or turned: what was durable is
//! there, what is lost was declared, and nothing else is touched.
//!
//! A run of the tests takes some of the points, under a seed. With the variable `QUORATE_TORTURE` set, as
//! `make torture` does, it takes all of them. Rows 73 to 75 of the bad inputs, as far as they are the store's.

use super::*;
use quorate_common::clock::SystemClock;
use std::collections::BTreeSet;
use std::time::Duration;

/// Points of a short run.
const POINTS: usize = 500;
const FLIPS_SHORT: usize = 20;
/// Of a long one: all of the last bytes of a file, and so many bits of each kind of file.
const TAIL_BYTES: usize = 64 << 10;
const FLIPS: usize = 1_000;
/// Whatever the files are, the store is open by then.
const OPEN_MAX: Duration = Duration::from_secs(5);
/// Frames of a stretch, from one base to the next.
const STRETCH: usize = 60;
/// A scenario begins so many seconds before the end of a window, which is sealed at its end.
const SHIFT: i64 = 250;
/// Its last frame.
const LAST: u64 = 95;

#[allow(clippy::disallowed_methods, reason = "the one variable by which `make torture` asks for all of it")]
fn is_long() -> bool {
    std::env::var_os("QUORATE_TORTURE").is_some()
}

#[allow(clippy::print_stdout, reason = "the verdict is what `make torture` is run for")]
fn verdict(promise: &str, figures: &str) {
    println!("{promise} ok {figures}");
}

/// An agent that sends what is not durable again, as one with a journal does.
struct Keeper {
    feed: Feed,
    order: u64,
}

impl Keeper {
    fn begin(store: &Embedded, node: i64, order: u64) -> Keeper {
        let feed = Feed { shift: SHIFT, ..Feed::begin(store, node, order) };
        Keeper { feed, order }
    }

    /// A new session, in which all until `newest` comes that is not durable.
    fn again(&mut self, store: &Embedded, newest: u64) {
        *self = Keeper::begin(store, self.feed.node.0, self.order);
        let durable = store.durable(self.feed.node, self.feed.epoch);
        (1..=newest).filter(|seq| !durable.contains(*seq)).for_each(|seq| self.feed.frame(store, seq));
    }
}

/// The second of a frame.
fn second(seq: u64) -> i64 {
    seq.cast_signed() + SHIFT
}

/// Two nodes sample until `LAST`, over a restart in the middle and a window that is sealed.
fn live(mut world: World) -> World {
    let mut keepers = [1, 2].map(|node| Keeper::begin(&world.store, node, 1));
    for seq in 1..=LAST {
        keepers.iter_mut().for_each(|keeper| keeper.feed.frame(&world.store, seq));
        if seq % 11 == 0 && !world.commit() {
            keepers.iter_mut().for_each(|keeper| keeper.again(&world.store, seq));
        }
        if seq % 30 == 0 {
            world.keep_up(second(seq));
        }
        if seq == 40 {
            world = world.restart();
            keepers.iter_mut().for_each(|keeper| keeper.again(&world.store, seq));
        }
    }
    // The fault is over, at the latest with the second time.
    for _ in 0..4 {
        if !world.commit() || world.known(NodeId(1), keepers[0].feed.epoch) < LAST {
            keepers.iter_mut().for_each(|keeper| keeper.again(&world.store, LAST));
        }
        world.keep_up(second(LAST));
    }
    world
}

/// All that was ever sent is known and can be read, before and after the plug is pulled.
fn nothing_is_missing(mut world: World, what: &str) {
    let epoch = Epoch { order: 1, nonce: 9 };
    let all: Vec<i64> = (1..=LAST).map(second).collect();
    for turn in 0..2 {
        for node in [1, 2].map(NodeId) {
            assert_eq!(world.known(node, epoch), LAST, "{what}, turn {turn}: node {} is known", node.0);
            assert_eq!(world.seconds(node), all, "{what}, turn {turn}: node {} can be read", node.0);
        }
        world.disk.cut_power(&mut SeededRng::new(9));
        world = world.restart();
    }
    assert!(world.report.damaged.is_empty() && world.report.lost.is_empty(), "{what}: {:?}", world.report);
}

#[test]
fn a_call_of_the_disk_that_fails_costs_nothing_whichever_it_is() {
    let mut runs = 0;
    for operation in [Operation::Write, Operation::Sync, Operation::Remove, Operation::Read] {
        for error in [io::ErrorKind::StorageFull, io::ErrorKind::ReadOnlyFilesystem] {
            let is_clean = (0..1_000).find(|after| {
                let world = World::new(u64::from(*after));
                world.disk.fail(Fault { operation, after: *after, error });
                let world = live(world);
                let is_clean = world.disk.pending() > 0;
                world.disk.heal();
                nothing_is_missing(world, &format!("{operation:?} {after} {error}"));
                runs += 1;
                is_clean
            });
            assert!(is_clean.is_some_and(|after| after > 0), "{operation:?}: {is_clean:?}");
        }
    }
    verdict("P13", &format!("failed_calls={runs}"));
}

#[test]
fn a_full_disk_costs_nothing_once_there_is_room() {
    let world = live(World::new(0));
    let bytes: u64 = world.names("").iter().map(|name| content(&world.disk, name).len() as u64).sum();
    let step = if is_long() { 211 } else { 2_111 };
    for limit in (0..bytes).step_by(step) {
        let world = World::new(limit);
        world.disk.limit(Some(limit));
        let mut keeper = Keeper::begin(&world.store, 1, 1);
        let mut other = Keeper::begin(&world.store, 2, 1);
        for seq in 1..=LAST {
            keeper.feed.frame(&world.store, seq);
            other.feed.frame(&world.store, seq);
            if seq % 10 == 0 && !world.commit() {
                [&mut keeper, &mut other].into_iter().for_each(|one| one.again(&world.store, seq));
            }
        }
        world.disk.limit(None);
        for _ in 0..2 {
            // It looks for room before the window is over.
            world.keep_up(second(50));
            world.commit();
            [&mut keeper, &mut other].into_iter().for_each(|one| one.again(&world.store, LAST));
        }
        assert!(world.commit() && world.keep_up(second(LAST)), "{limit}: there is room again");
        nothing_is_missing(world, &format!("limit {limit}"));
    }
}

fn content(disk: &MemoryDisk, name: &str) -> Vec<u8> {
    disk.read(&Path::new("d").join(name), u64::MAX).unwrap()
}

/// What a store of a damaged directory still has: seconds by node and series.
struct Left {
    world: World,
    /// Samples that are missing, of all series together.
    missing: [usize; 2],
    /// Seconds of which anything is missing.
    seconds: [BTreeSet<i64>; 2],
}

/// One directory with a file of each kind, and a way to damage it.
struct Directory {
    files: Vec<(String, Vec<u8>)>,
    clock: Arc<Still>,
    config: Config,
}

impl Directory {
    fn new() -> Directory {
        let World { disk, clock, config, store, .. } = live(World::new(3));
        drop(store);
        let names = disk.list(Path::new("d")).unwrap().into_iter().map(|name| name.into_string().unwrap());
        let files: Vec<(String, Vec<u8>)> = names.map(|name| (name.clone(), content(&disk, &name))).collect();
        for kind in ["log-", "chunks-", "index-", "ledgers-", "series-a", "series-b"] {
            assert!(files.iter().any(|(name, _)| name.starts_with(kind)), "{kind}: {}", files.len());
        }
        Directory { files, clock, config }
    }

    /// Opens the directory with these bytes in place of those of one file.
    fn open(&self, changed: &str, bytes: &[u8], what: &str) -> Left {
        let disk = MemoryDisk::default();
        for (name, whole) in &self.files {
            let bytes = if name == changed { bytes } else { whole };
            disk.write_atomic(&Path::new("d").join(name), bytes).unwrap();
        }
        let begin = SystemClock.now().boot;
        let world = World::on(disk, self.clock.clone(), self.config, 11);
        let took = SystemClock.now().boot.since(begin);
        assert!(took < OPEN_MAX, "{what}: it took {took:?}");
        let (mut missing, mut seconds) = ([0; 2], [const { BTreeSet::new() }; 2]);
        for (at, node) in [1, 2].into_iter().enumerate() {
            (missing[at], seconds[at]) = missing_of(&world, NodeId(node), what);
        }
        Left { world, missing, seconds }
    }
}

/// What cannot be read of a node; all that can be is right.
fn missing_of(world: &World, node: NodeId, what: &str) -> (usize, BTreeSet<i64>) {
    let found = world.store.find(node, &|_| true);
    let ids: Vec<SeriesId> = found.iter().map(|(id, _)| *id).collect();
    let lists = world.store.samples(node, &ids, ALL.0, ALL.1);
    let mut left = vec![(1..=LAST).map(second).collect::<BTreeSet<i64>>(); SERIES as usize];
    for ((_, spec), list) in found.iter().zip(lists) {
        let n: i64 = spec.labels.get("n").unwrap().parse().unwrap();
        for sample in list {
            let second = sample.at.0 / SECOND - BEGIN_S;
            assert_eq!(sample.value, (second * n) as f64, "{what}: second {second} of {n}");
            assert!(left[n as usize - 1].remove(&second), "{what}: second {second} of {n} is there twice");
        }
    }
    (left.iter().map(BTreeSet::len).sum(), left.into_iter().flatten().collect())
}

impl Left {
    /// What is missing was declared, belongs to one node and one stretch, or is asked for again.
    fn judge(&self, name: &str, what: &str) {
        let Left { world, missing, .. } = self;
        let report = &world.report;
        let told = !report.damaged.is_empty()
            || report.torn_bytes > 0
            || !report.lost.is_empty()
            || !report.quarantined.is_empty()
            || world.store.damaged() > 0;
        assert!(missing.iter().sum::<usize>() == 0 || told, "{what}: {missing:?} and not a word: {report:?}");
        if !name.starts_with("log-") && !name.starts_with("chunks-") {
            assert_eq!(*missing, [0; 2], "{what}: {report:?}");
        }
    }

    /// What is missing is the end of what lay in the file, and nothing between.
    fn judge_tail(&self, what: &str) {
        for seconds in &self.seconds {
            let gap = seconds.iter().zip(seconds.iter().skip(1)).find(|(one, next)| **next != **one + 1);
            assert_eq!(gap, None, "{what}: {seconds:?}");
            assert!(seconds.last().is_none_or(|last| *last == second(LAST)), "{what}: {seconds:?}");
        }
    }
}

/// The points of a run: all, or some under a seed.
fn points(all: Vec<(usize, usize)>, rng: &mut SeededRng, count: usize) -> Vec<(usize, usize)> {
    if is_long() {
        return all;
    }
    (0..count).map(|_| all[rng.below(all.len() as u64) as usize]).collect()
}

#[test]
fn a_file_that_ends_anywhere_costs_what_lay_behind_and_no_more() {
    let directory = Directory::new();
    let tails = directory.files.iter().enumerate();
    let all = tails.flat_map(|(file, (_, whole))| {
        (whole.len().saturating_sub(TAIL_BYTES)..whole.len()).map(move |length| (file, length))
    });
    let points = points(all.collect(), &mut SeededRng::new(74), POINTS);
    for (file, length) in &points {
        let (name, whole) = &directory.files[*file];
        let what = format!("{name} cut to {length} of {}", whole.len());
        let left = directory.open(name, &whole[..*length], &what);
        // A file that ends behind a record is as good as one whose next record was never written.
        if name.starts_with("log-") { left.judge_tail(&what) } else { left.judge(name, &what) }
    }
    verdict("P13", &format!("truncations={}", points.len()));
}

#[test]
fn a_bit_that_turned_costs_its_stretch_and_no_more() {
    let directory = Directory::new();
    let mut rng = SeededRng::new(75);
    let count = if is_long() { FLIPS } else { FLIPS_SHORT };
    let mut flips = 0;
    for (name, whole) in &directory.files {
        for _ in 0..count {
            let bit = rng.below(whole.len() as u64 * 8) as usize;
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let what = format!("{name} bit {bit} of {} bytes", whole.len());
            let left = directory.open(name, &bytes, &what);
            left.judge(name, &what);
            assert!(left.missing.contains(&0), "{what}: {:?}", left.missing);
            let most = if name.starts_with("chunks-") { 50 } else { STRETCH };
            let seconds: usize = left.seconds.iter().map(BTreeSet::len).sum();
            assert!(seconds <= most, "{what}: {seconds} seconds are gone");
            let told: u64 = left.world.report.lost.values().sum();
            assert!(
                !name.starts_with("log-") || seconds as u64 <= told + 1,
                "{what}: {seconds}, told {told}"
            );
            flips += 1;
        }
    }
    verdict("P13", &format!("flips={flips}"));
}

/// Row 74: zeroed, another file's content, another magic, nothing at all.
#[test]
fn a_file_of_nonsense_is_told_and_never_deleted() {
    let directory = Directory::new();
    for (at, (name, whole)) in directory.files.iter().enumerate() {
        let other = &directory.files[(at + 1) % directory.files.len()].1;
        let mut magic = whole.clone();
        magic.iter_mut().take(8).for_each(|byte| *byte = b'?');
        for bytes in [&vec![0; whole.len()], other, &magic, &Vec::new()] {
            let what = format!("{name} of {} bytes", bytes.len());
            let left = directory.open(name, bytes, &what);
            // An empty file is one that was just begun.
            if !bytes.is_empty() {
                left.judge(name, &what);
            }
            let aside = left.world.disk.list(Path::new("d/quarantine")).unwrap();
            let kept = left.world.names(name).len() + aside.len();
            assert!(kept > 0 || left.missing == [0; 2], "{what}: it is gone");
            // And the store goes on.
            let mut feed = Feed::begin(&left.world.store, 1, 2);
            feed.frame(&left.world.store, LAST + 1);
            assert!(left.world.commit(), "{what}");
        }
    }
}
