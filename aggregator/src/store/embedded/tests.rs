//! The whole store over a disk that loses power, fails and is damaged, against what was sent.

mod torture;

use super::volume::Contents;
use super::*;
use crate::store::Column;
use crate::store::{Sample, Select};
use quorate_common::cell::{Encoder, Form, FrameHead, GroupId};
use quorate_common::clock::Clock;
use quorate_common::disk::{Disk, Fault, MemoryDisk, Operation};
use quorate_common::ledger::Totals;
use quorate_common::model::label::Labels;
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass};
use quorate_common::model::session::SeqRange;
use quorate_common::model::time::{BootTime, Now};
use quorate_common::quantity::{Period, Size};
use quorate_common::rng::{Rng, SeededRng};
use quorate_common::tally::Cause;
use std::io;
use std::path::Path;

const SECOND: i64 = 1_000_000_000;
const BEGIN_S: i64 = 1_000_000_200;
const SERIES: u32 = 70;
const ALL: (WallTime, WallTime) = (WallTime(0), WallTime(i64::MAX));

/// A clock that stands where it was put.
#[derive(Default)]
struct Still(Mutex<Now>);

impl Clock for Still {
    fn now(&self) -> Now {
        *self.0.lock().unwrap()
    }
}

impl Still {
    fn put(&self, second: i64) {
        let boot = BootTime((second * SECOND).cast_unsigned());
        *self.0.lock().unwrap() = Now { boot, wall: WallTime((BEGIN_S + second) * SECOND) };
    }
}

mod classes;
mod full;
mod rollups;

struct World {
    disk: MemoryDisk,
    clock: Arc<Still>,
    config: Config,
    seed: u64,
    store: Embedded,
    report: Report,
}

impl World {
    fn new(seed: u64) -> World {
        let reserve = Size::from_bytes(4_096);
        World::on(MemoryDisk::default(), Arc::default(), Config { reserve, ..Config::default() }, seed)
    }

    fn on(disk: MemoryDisk, clock: Arc<Still>, config: Config, seed: u64) -> World {
        let open = |turn: u64| {
            let seeds = [seed + 1_000 * turn, seed + 1_000 * turn + 500];
            let dice: Dice = seeds.map(|seed| Box::new(SeededRng::new(seed)) as Box<dyn Rng>);
            Embedded::open_on(Arc::new(disk.clone()), Path::new("d"), config, clock.clone(), dice)
        };
        // A disk that fails at the start gives no store; each failure is there once.
        let (store, report) =
            (0_u64..100).find_map(|turn| open(turn).ok()).expect("no more than 100 failures");
        World { disk, clock, config, seed, store, report }
    }

    /// Another process finds what this one left.
    fn restart(self) -> World {
        World::on(self.disk, self.clock, self.config, self.seed + 7)
    }

    fn engine(&self) -> &Engine {
        self.store.engine.as_ref().unwrap()
    }

    fn commit(&self) -> bool {
        self.engine().commit(&self.store.nodes).is_ok()
    }

    fn keep_up(&self, second: i64) -> bool {
        self.clock.put(second);
        self.engine().keep_up(&self.store.nodes, self.clock.now()).is_empty()
    }

    fn known(&self, node: NodeId, epoch: Epoch) -> u64 {
        self.store.durable(node, epoch).watermark()
    }

    fn names(&self, beginning: &str) -> Vec<String> {
        let names = self.disk.list(Path::new("d")).unwrap();
        names
            .into_iter()
            .map(|name| name.into_string().unwrap())
            .filter(|name| name.starts_with(beginning))
            .collect()
    }

    /// Seconds that every series of a node has a sample of; each has the right value.
    fn seconds(&self, node: NodeId) -> Vec<i64> {
        let found = self.store.find(node, &|_| true);
        let ids: Vec<SeriesId> = found.iter().map(|(id, _)| *id).collect();
        let lists = self.store.samples(node, &ids, ALL.0, ALL.1);
        let mut seconds: Option<Vec<i64>> = None;
        for ((_, spec), list) in found.iter().zip(lists) {
            let factor: i64 = spec.labels.get("n").unwrap().parse().unwrap();
            let check = |sample: &Sample| {
                let second = sample.at.0 / SECOND - BEGIN_S;
                assert_eq!(sample.value, (second * factor) as f64, "second {second} of series {factor}");
                second
            };
            let list: Vec<i64> = list.iter().map(check).collect();
            assert!(list.is_sorted());
            assert_eq!(seconds.get_or_insert_with(|| list.clone()), &list, "all series are sampled together");
        }
        seconds.unwrap_or_default()
    }
}

/// An agent whose series `n` is `n` times the second.
struct Feed {
    node: NodeId,
    lane: Lane,
    epoch: Epoch,
    encoder: Encoder,
    decoder: Decoder,
    row: Vec<i64>,
    groups: Vec<GroupId>,
    /// Values begin again from here.
    modulo: i64,
    /// Seconds before the first frame.
    shift: i64,
    /// Its frames have a place in a ledger.
    is_counted: bool,
}

fn spec(n: u32) -> SeriesSpec {
    let metric = Metric { name: "m".into(), kind: MetricKind::Gauge, form: CellForm::COUNT };
    SeriesSpec { metric, labels: Labels::new([("n", n.to_string())]).unwrap() }
}

impl Feed {
    fn begin(store: &Embedded, node: i64, order: u64) -> Feed {
        Feed::on(store, (node, Lane::Live), order)
    }

    /// One whose numbers are seconds, of which a ledger could not count so many holes.
    fn uncounted(store: &Embedded, node: i64, order: u64) -> Feed {
        Feed { is_counted: false, ..Feed::begin(store, node, order) }
    }

    fn on(store: &Embedded, (node, lane): (i64, Lane), order: u64) -> Feed {
        let (encoder, decoder) = (Encoder::new(), Decoder::new(1_000, 10));
        let epoch = Epoch { order, nonce: 9 };
        let mut feed = Feed {
            node: NodeId(node),
            lane,
            epoch,
            encoder,
            decoder,
            row: Vec::new(),
            groups: Vec::new(),
            modulo: i64::MAX,
            shift: 0,
            is_counted: true,
        };
        store.begin(feed.node, lane);
        feed.register(store, 1..SERIES + 1);
        feed
    }

    fn register(&mut self, store: &Embedded, series: std::ops::Range<u32>) {
        self.register_as(store, series, (0, SeriesClass::System));
    }

    fn register_as(
        &mut self,
        store: &Embedded,
        series: std::ops::Range<u32>,
        (group, class): (GroupId, SeriesClass),
    ) {
        let (window, first) = (Window::Short, self.row.len() as u32);
        if !self.groups.contains(&group) {
            self.groups.push(group);
        }
        let form = CellForm::COUNT;
        let columns: Vec<Column> =
            series.map(|n| Column { id: Some(store.intern(self.node, &spec(n))), form, group }).collect();
        let forms = vec![Form::Integer; columns.len()];
        self.encoder.register(group, window, &forms).unwrap();
        self.decoder.register(group, window, first, &forms).unwrap();
        self.row.resize(self.row.len() + forms.len(), 0);
        store.register(self.node, self.lane, &NewColumns { group, window, class, first, columns });
    }

    /// Frame `seq`, of second `seq` if the feed is not shifted.
    fn frame(&mut self, store: &Embedded, seq: u64) {
        let second = seq.cast_signed() + self.shift;
        self.row.iter_mut().zip(1..).for_each(|(cell, n)| *cell = second * n % self.modulo);
        let frame = self.encoder.encode(seq, Window::Short, &self.groups, &self.row, false).unwrap();
        let head = FrameHead { seq, predecessor: frame.predecessor, window: Window::Short };
        self.decoder.decode(head, &frame.groups, &frame.cells).unwrap();
        let at = WallTime((BEGIN_S + second) * SECOND);
        let record = FrameRecord { at, head, groups: &frame.groups, cells: &frame.cells, again: false };
        let samples = u64::from(SERIES);
        let totals = Totals { before: (seq - 1) * samples, after: seq * samples };
        let origin = Origin { epoch: self.epoch, totals, admitted: samples };
        store.keep((self.node, self.lane), Some(origin).filter(|_| self.is_counted), record, &self.decoder);
    }
}

#[test]
fn what_is_durable_is_there_after_a_power_cut_wherever_it_comes() {
    let (mut sealed, mut failures) = (0, 0);
    for seed in 0..25 {
        let mut rng = SeededRng::new(seed);
        let mut world = World::new(seed);
        let mut durable = [0; 2];
        let mut next = 1_u64;
        for run in 1..=3 {
            let mut feeds = [1, 2].map(|node| Feed::begin(&world.store, node, run));
            let first = next;
            for _ in 0..100 + rng.below(300) {
                for feed in &mut feeds {
                    feed.frame(&world.store, next);
                }
                next += 1;
                if rng.below(20) == 0 {
                    let operations = [Operation::Write, Operation::Sync, Operation::Remove];
                    let operation = operations[rng.below(3) as usize];
                    let after = rng.below(4) as u32;
                    world.disk.fail(Fault { operation, after, error: io::ErrorKind::StorageFull });
                }
                let done = if rng.below(5) == 0 { world.commit() } else { true };
                if rng.below(10) == 0 {
                    world.keep_up(next.cast_signed());
                }
                // What is not durable is not sent again here: what follows lies above a hole.
                failures += usize::from(!done);
            }
            let contains =
                |world: &World, node, seq| world.store.durable(NodeId(node), feeds[0].epoch).contains(seq);
            let expect: Vec<Vec<i64>> = [1, 2]
                .map(|node| {
                    (first..next).filter(|seq| contains(&world, node, *seq)).map(u64::cast_signed).collect()
                })
                .into();
            durable = [0, 1].map(|at| durable[at] + expect[at].len());
            sealed += world.names("chunks-").len();
            world.disk.cut_power(&mut rng);
            world = world.restart();
            for (node, expect) in [1, 2].into_iter().zip(&expect) {
                let found = world.seconds(NodeId(node));
                for second in expect {
                    assert!(found.contains(second), "seed {seed}, run {run}, node {node}: {second} is gone");
                    assert!(contains(&world, node, second.cast_unsigned()), "and known");
                }
            }
            for (at, node) in [1, 2].into_iter().enumerate() {
                assert!(
                    world.seconds(NodeId(node)).len() >= durable[at],
                    "seed {seed}, run {run}: of earlier runs"
                );
            }
            assert!(world.report.damaged.is_empty() && world.report.lost.is_empty(), "{:?}", world.report);
        }
    }
    assert!(sealed > 20 && failures > 20, "{sealed} {failures}");
}

#[test]
fn a_window_that_is_over_becomes_chunks_and_its_log_goes() {
    let world = World::new(1);
    let mut feed = Feed::begin(&world.store, 1, 1);
    for seq in 1..=310 {
        feed.frame(&world.store, seq);
    }
    assert!(world.commit());
    assert!(world.keep_up(320));
    assert_eq!((world.names("log-").len(), world.names("chunks-").len()), (2, 0), "there is a grace");
    assert!(world.keep_up(330));
    assert_eq!((world.names("log-").len(), world.names("chunks-").len()), (1, 1));
    let all: Vec<i64> = (1..=310).collect();
    assert_eq!(world.seconds(feed.node), all);
    let world = world.restart();
    assert_eq!(world.seconds(feed.node), all);
    assert_eq!(world.known(feed.node, feed.epoch), 310);
    assert_eq!(world.report.frames, 11, "what is sealed is not replayed");

    // Late frames, of another start of the agent, make a supplement once they are quiet.
    let mut late = Feed::begin(&world.store, 2, 1);
    for seq in 1..=20 {
        late.frame(&world.store, seq);
    }
    assert!(world.commit());
    world.keep_up(340);
    assert_eq!(world.names("chunks-").len(), 1, "more may come");
    world.keep_up(371);
    assert_eq!(world.names("chunks-").len(), 2);
    let world = world.restart();
    assert_eq!(world.seconds(late.node), (1..=20).collect::<Vec<_>>());
    assert_eq!(world.seconds(feed.node), all);
}

#[test]
fn damage_costs_the_frames_up_to_the_next_base_of_that_node() {
    let world = World::new(1);
    let mut feeds = [1, 2].map(|node| Feed::begin(&world.store, node, 1));
    for seq in 1..=200 {
        feeds.iter_mut().for_each(|feed| feed.frame(&world.store, seq));
    }
    assert!(world.commit());
    let log = Path::new("d").join(&world.names("log-")[0]);
    let whole = world.disk.read(&log, u64::MAX).unwrap();
    let World { disk, clock, config, .. } = world;
    for at in (0..whole.len()).step_by(193) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        disk.write_atomic(&log, &damaged).unwrap();
        let world = World::on(disk.clone(), clock.clone(), config, at as u64);
        let lost: Vec<usize> = [1, 2].map(|node| 200 - world.seconds(NodeId(node)).len()).into();
        assert!(lost.contains(&0), "byte {at}: {lost:?}");
        assert!(lost.iter().sum::<usize>() <= 60, "byte {at}: {lost:?}");
        assert!(!world.report.damaged.is_empty() || world.report.torn_bytes > 0, "byte {at} is declared");
        let told: u64 = world.report.lost.values().sum();
        assert!(lost.iter().sum::<usize>() as u64 <= told + 1, "byte {at}: {lost:?}, told {told}");
    }
    for length in (0..whole.len()).step_by(1_997) {
        disk.write_atomic(&log, &whole[..length]).unwrap();
        let world = World::on(disk.clone(), clock.clone(), config, length as u64);
        let known = world.known(NodeId(1), feeds[0].epoch);
        assert_eq!(world.seconds(NodeId(1)), (1..=known.cast_signed()).collect::<Vec<_>>());
        assert!(world.report.damaged.is_empty(), "a torn tail is normal");
    }
}

#[test]
fn after_a_failed_commit_the_store_goes_on_and_what_is_sent_again_is_there_once() {
    let world = World::new(1);
    let mut feed = Feed::begin(&world.store, 1, 1);
    let mut commits = world.store.commits();
    for seq in 1..=10 {
        feed.frame(&world.store, seq);
    }
    world.disk.fail(Fault { operation: Operation::Sync, after: 2, error: io::ErrorKind::Other });
    assert!(!world.commit());
    assert_eq!(*commits.borrow_and_update(), Commits { done: 0, failed: 1, is_failing: true });
    assert_eq!(world.known(feed.node, feed.epoch), 0);
    assert_eq!(world.seconds(feed.node).len(), 10, "readers do not wait for the disk");
    // The agent begins another session, and sends all again.
    let mut feed = Feed::begin(&world.store, 1, 1);
    for seq in 1..=20 {
        feed.frame(&world.store, seq);
    }
    assert!(world.commit());
    assert_eq!(*commits.borrow_and_update(), Commits { done: 1, failed: 1, is_failing: false });
    assert_eq!(world.known(feed.node, feed.epoch), 20);
    assert_eq!(world.seconds(feed.node), (1..=20).collect::<Vec<_>>());
    let world = world.restart();
    assert_eq!(world.seconds(feed.node), (1..=20).collect::<Vec<_>>());
}

/// A disk that is full for long must not fill the memory, and nothing that is durable may go with what is not.
#[test]
fn what_no_log_file_has_is_let_go_after_a_while() {
    let world = World::new(1);
    let mut feed = Feed::begin(&world.store, 1, 1);
    (1..=10).for_each(|seq| feed.frame(&world.store, seq));
    assert!(world.commit());
    for seq in 11..=1_000 {
        world.clock.put(seq);
        world.disk.fail(Fault { operation: Operation::Write, after: 0, error: io::ErrorKind::StorageFull });
        feed.frame(&world.store, seq.cast_unsigned());
        assert!(!world.commit());
    }
    let whole = || world.seconds(feed.node).len();
    world.disk.fail(Fault { operation: Operation::Write, after: 0, error: io::ErrorKind::StorageFull });
    assert!(!world.keep_up(1_000));
    // The first that failed shares a file with those that are durable, and is not sealed with them.
    assert_eq!(whole(), 10 + 901, "of what is not durable the last quarter of an hour");
    world.store.begin(feed.node, feed.lane);
    assert!(world.keep_up(1_400));
    assert_eq!(world.seconds(feed.node)[..10], (1..=10).collect::<Vec<_>>());
    let world = world.restart();
    assert_eq!(world.seconds(NodeId(1))[..10], (1..=10).collect::<Vec<_>>());
}

#[test]
fn series_begin_and_end_inside_a_stretch() {
    let world = World::new(1);
    let mut feed = Feed::begin(&world.store, 1, 1);
    (1..=5).for_each(|seq| feed.frame(&world.store, seq));
    feed.register(&world.store, SERIES + 1..SERIES + 3);
    (6..=8).for_each(|seq| feed.frame(&world.store, seq));
    feed.encoder.retire(SERIES).unwrap();
    feed.decoder.retire(SERIES).unwrap();
    world.store.retire(feed.node, feed.lane, &[SERIES]);
    (9..=12).for_each(|seq| feed.frame(&world.store, seq));
    assert!(world.commit());
    let world = world.restart();
    let check = |world: &World| {
        let found = world.store.find(feed.node, &|spec| *spec == self::spec(SERIES + 1));
        let samples = world.store.samples(feed.node, &[found[0].0], ALL.0, ALL.1);
        let seconds: Vec<i64> = samples[0].iter().map(|sample| sample.at.0 / SECOND - BEGIN_S).collect();
        assert_eq!(seconds, [6, 7, 8]);
    };
    check(&world);
    assert!(world.keep_up(331));
    assert_eq!(world.names("log-").len(), 0);
    check(&world);
}

/// What is sent of earlier comes between what comes live, with indices and chains of its own.
#[test]
fn what_comes_late_lies_beside_what_comes_live() {
    let world = World::new(1);
    let mut live = Feed::begin(&world.store, 1, 1);
    (101..=110).for_each(|seq| live.frame(&world.store, seq));
    let mut late = Feed::on(&world.store, (1, Lane::Late), 1);
    late.register(&world.store, SERIES + 1..SERIES + 2);
    for seq in 1..=100 {
        late.frame(&world.store, seq);
        live.frame(&world.store, 110 + seq);
    }
    let mut late = Feed::on(&world.store, (1, Lane::Late), 1);
    (101..=101).for_each(|seq| late.frame(&world.store, seq + 110));
    let series = |world: &World| {
        let found = world.store.find(NodeId(1), &|spec| *spec != self::spec(SERIES + 1));
        let ids: Vec<SeriesId> = found.iter().map(|(id, _)| *id).collect();
        let lists = world.store.samples(NodeId(1), &ids, ALL.0, ALL.1);
        lists.iter().map(Vec::len).collect::<Vec<_>>()
    };
    assert_eq!(series(&world), [211; SERIES as usize]);
    assert!(world.commit());
    let world = world.restart();
    assert_eq!(series(&world), [211; SERIES as usize]);
    assert!(world.report.lost.is_empty() && world.report.damaged.is_empty(), "{:?}", world.report);
    assert!(world.keep_up(1_000));
    assert_eq!((world.names("log-").len(), series(&world)), (0, vec![211; SERIES as usize]), "sealed");
}

#[test]
fn the_oldest_goes_by_age_and_by_size_and_its_names_go_too() {
    let mut world = World::new(1);
    for (node, begin) in [(1, 0), (2, 300), (3, 600)] {
        let mut feed = Feed::begin(&world.store, node, 1);
        (begin + 1..begin + 20).for_each(|seq| feed.frame(&world.store, seq));
        world.store.begin(feed.node, feed.lane);
    }
    assert!(world.commit());
    assert!(world.keep_up(1_000) && world.keep_up(20_000));
    assert_eq!((world.names("chunks-short-").len(), world.names("chunks-minutes-").len()), (3, 1));
    world.config.system = Period::from_secs(19_500);
    let mut world = world.restart();
    assert!(world.keep_up(20_000));
    assert_eq!(world.names("chunks-short-").len(), 2);
    assert_eq!((world.seconds(NodeId(1)).len(), world.seconds(NodeId(2)).len()), (0, 19));
    assert_eq!(world.store.deletions().aged.files, 1);
    world.config = Config { size_max: Size::from_bytes(1), ..world.config };
    let world = world.restart();
    assert!(world.keep_up(20_000));
    assert_eq!((world.names("chunks-").len(), world.names("index-").len()), (0, 0));
    assert_eq!((world.store.deletions().aged.files, world.store.deletions().crowded.files), (0, 3));
    assert!(world.keep_up(20_000 + 200_000));
    assert_eq!(world.store.find(NodeId(1), &|_| true), [], "a series in no window goes");
}

#[test]
fn a_forgotten_node_stays_forgotten() {
    let world = World::new(1);
    let mut feed = Feed::begin(&world.store, 1, 1);
    (1..=20).for_each(|seq| feed.frame(&world.store, seq));
    assert!(world.commit());
    world.store.forget(feed.node);
    assert!(world.commit());
    let world = world.restart();
    assert_eq!(world.store.find(feed.node, &|_| true), []);
    assert!(world.store.known(feed.node).is_empty());
    let mut feed = Feed::begin(&world.store, 1, 2);
    feed.frame(&world.store, 30);
    assert_eq!(world.seconds(feed.node), [30], "another node of the same number has its own history");
}

#[test]
fn heartbeats_and_lost_frames_count_and_ended_epochs_go() {
    let world = World::new(1);
    let (node, epoch) = (NodeId(1), Epoch { order: 1, nonce: 1 });
    let origin = Origin { epoch, totals: Totals { before: 90, after: 90 }, admitted: 0 };
    assert!(world.store.beat(node, 10, origin));
    let range = SeqRange { first: 1, last: 9 };
    assert!(world.store.close(node, Lost { epoch, range, cause: Cause::Overflow, collected_total: 0 }));
    assert_eq!(world.known(node, epoch), 0, "not before it is durable");
    assert_eq!(world.store.known(node)[0].1.watermark(), 10, "but it will be");
    assert!(world.commit());
    assert_eq!(world.known(node, epoch), 10);
    let world = world.restart();
    assert_eq!(world.known(node, epoch), 10);
    let dropped = world.store.durable(node, epoch).tally();
    assert_eq!(dropped.dropped().collect::<Vec<_>>(), [(Cause::Overflow, 90)]);
    world.store.end(node, epoch);
    assert!(world.commit());
    let world = world.restart();
    let ended = world.store.durable(node, epoch);
    assert!(ended.is_closed());
    assert_eq!(ended.tally(), dropped, "what became of it stays");
}

#[test]
fn log_files_without_frames_and_those_that_could_not_be_deleted_go() {
    let world = World::new(1);
    let (node, epoch) = (NodeId(1), Epoch { order: 1, nonce: 1 });
    let origin = Origin { epoch, totals: Totals::default(), admitted: 0 };
    world.store.beat(node, 1, origin);
    assert!(world.commit() && world.keep_up(331));
    assert!(world.names("log-").is_empty());
    assert_eq!(world.known(node, epoch), 1);

    let mut feed = Feed::begin(&world.store, 2, 1);
    (301..=320).for_each(|seq| feed.frame(&world.store, seq));
    assert!(world.commit());
    // The checkpoint before the deletion is the last thing that is synced.
    world.disk.fail(Fault { operation: Operation::Sync, after: 2, error: io::ErrorKind::Other });
    assert!(!world.keep_up(631));
    assert_eq!((world.names("log-").len(), world.names("chunks-").len()), (1, 1));
    let world = world.restart();
    assert_eq!(world.report.frames, 0, "they are sealed");
    assert!(world.keep_up(632));
    assert!(world.names("log-").is_empty());
    assert_eq!(world.seconds(feed.node), (301..=320).collect::<Vec<_>>());
    assert_eq!(world.known(node, epoch), 1);
    let world = world.restart();
    assert_eq!(world.known(node, epoch), 1);
}

#[test]
fn an_unfinished_chunk_file_without_its_log_is_put_aside() {
    let world = World::new(1);
    let mut feed = Feed::begin(&world.store, 1, 1);
    (1..=20).for_each(|seq| feed.frame(&world.store, seq));
    assert!(world.commit() && world.keep_up(331));
    let chunks = Path::new("d").join(&world.names("chunks-")[0]);
    let index = Path::new("d").join(&world.names("index-")[0]);
    world.disk.remove(&index).unwrap();
    let world = world.restart();
    assert_eq!(world.seconds(feed.node).len(), 20, "an index is made anew");
    let whole = world.disk.read(&chunks, u64::MAX).unwrap();
    world.disk.write_atomic(&chunks, &whole[..whole.len() - 1]).unwrap();
    let world = world.restart();
    assert_eq!(world.report.quarantined.len(), 1);
    assert_eq!(world.disk.list(Path::new("d/quarantine")).unwrap().len(), 1);
    assert_eq!((world.seconds(feed.node).len(), world.names("chunks-").len()), (0, 0));
}

#[test]
fn the_threads_commit_and_a_second_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let clock: Arc<Still> = Arc::default();
        let dice: Dice = [Box::new(SeededRng::new(1)), Box::new(SeededRng::new(2))];
        Embedded::open(directory.path(), Config::default(), clock, dice)
    };
    let store = Arc::new(open().unwrap().0);
    assert!(matches!(open(), Err(StoreError::Lock(_))));
    let running = Running::begin(store.clone()).unwrap();
    let mut feed = Feed::begin(&store, 1, 1);
    (1..=20).for_each(|seq| feed.frame(&store, seq));
    running.stop();
    assert_eq!(store.durable(feed.node, feed.epoch).watermark(), 20);
    drop(store);
    let (store, report) = open().unwrap();
    assert_eq!(report.frames, 20);
    let found = store.find(feed.node, &|_| true);
    assert_eq!(store.samples(feed.node, &[found[3].0], ALL.0, ALL.1)[0].len(), 20);
}

/// A copy of a snapshot on a disk of its own, as a backup and its restore make it.
fn copy(world: &World, snapshot: Snapshot) -> World {
    let disk = MemoryDisk::default();
    for mut file in snapshot.files {
        if file.begin().unwrap() {
            let content = file.read(0, file.bytes as usize).unwrap();
            disk.write_atomic(&Path::new("d").join(&file.name), &content).unwrap();
        }
    }
    World::on(disk, world.clock.clone(), world.config, world.seed + 77)
}

#[test]
fn a_snapshot_is_what_was_durable_then_whatever_happens_while_it_is_read() {
    let mut sealed = 0;
    for seed in 0..20 {
        let mut rng = SeededRng::new(seed);
        let world = World::new(seed);
        let mut feeds = [1, 2].map(|node| Feed::begin(&world.store, node, 1));
        let mut late = Feed::on(&world.store, (1, Lane::Late), 2);
        let taken_at = 200 + rng.below(1_000);
        for seq in 1..=taken_at {
            feeds.iter_mut().for_each(|feed| feed.frame(&world.store, seq));
            if seq % 7 == 0 {
                late.frame(&world.store, seq);
            }
            if seq % 40 == 0 {
                world.keep_up(seq.cast_signed());
            }
        }
        let snapshot = world.store.snapshot().unwrap();
        let expect: Vec<u64> = [1, 2].map(|node| world.known(NodeId(node), feeds[0].epoch)).into();
        assert_eq!(expect, [taken_at; 2], "what was gathered is in it");
        // It is read when all its logs are sealed and gone.
        for seq in taken_at + 1..taken_at + 700 {
            feeds.iter_mut().for_each(|feed| feed.frame(&world.store, seq));
            if seq % 40 == 0 {
                world.keep_up(seq.cast_signed());
            }
        }
        sealed += world.names("chunks-").len();
        let restored = copy(&world, snapshot);
        for node in [1, 2] {
            let all: Vec<i64> = (1..=taken_at.cast_signed()).collect();
            assert_eq!(restored.seconds(NodeId(node)), all, "seed {seed}");
            assert_eq!(restored.known(NodeId(node), feeds[0].epoch), taken_at);
        }
        assert!(
            restored.report.damaged.is_empty() && restored.report.lost.is_empty(),
            "{:?}",
            restored.report
        );
        assert!(restored.report.quarantined.is_empty());
    }
    assert!(sealed > 20, "{sealed}");
}

#[test]
fn what_is_too_old_when_its_turn_comes_is_left_out() {
    let mut world = World::new(3);
    world.config.system = Period::from_secs(9_000);
    let mut world = world.restart();
    let mut feed = Feed::begin(&world.store, 1, 1);
    for seq in 1..=700 {
        feed.frame(&world.store, seq);
    }
    world.keep_up(700);
    let snapshot = world.store.snapshot().unwrap();
    // First it is rolled up, then it goes.
    [20_000, 21_000, 22_000].iter().for_each(|second| assert!(world.keep_up(*second)));
    assert!(world.seconds(feed.node).is_empty());
    let restored = copy(&world, snapshot);
    assert_eq!(restored.seconds(feed.node), (600..=700).collect::<Vec<_>>(), "what its log had");
    assert_eq!(restored.known(feed.node, feed.epoch), 700);
    world.store = Embedded::default();
    assert!(world.store.snapshot().unwrap().files.is_empty(), "a store in memory has no files");
}
