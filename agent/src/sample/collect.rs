//! Runs the collectors of one round and judges them: how long each took, whether it failed.
//!
//! The numbers of success and duration are series themselves, in the last group. Knows nothing of threads and
//! ticks: see `runner.rs` and `schedule.rs`.

use super::budget::{Rung, Spent};
use super::error::SampleError;
use super::round::{Book, GroupInfo, Moment, Round, SlotMap};
use super::runner::Runner;
use super::{Sampler, Sink, Slot};
use quorate_common::catalog::{
    AGENT_CPU_SECONDS, AGENT_RESIDENT_MEMORY, BUDGET_STEP, COLLECTOR_DURATION, COLLECTOR_SUCCESS,
    SAMPLES_SKIPPED, SERIES_REFUSED,
};
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::model::label::Labels;
use quorate_common::model::process::ProcessRow;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::{BootTime, Now};
use std::sync::Arc;
use std::time::Duration;

/// What a collection is made of.
pub struct Setup {
    /// The collectors, in the order of their groups.
    pub collectors: Vec<Box<dyn Sampler>>,
    /// Distance between ticks.
    pub interval_ms: u32,
    /// What takes longer counts as failed.
    pub deadline_ms: u32,
    /// Measures them.
    pub clock: Arc<dyn Clock>,
}

/// Collectors that a host cannot be judged without: they are never given up.
const CORE: [&str; 5] = ["cpu", "memory", "load", "time", "network"];

/// Which collectors run in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Those whose interval is over.
    ByTime,
    /// All.
    All,
}

/// All collectors with their series, and those that tell of the collectors themselves.
pub struct Collection {
    clock: Arc<dyn Clock>,
    deadline: Duration,
    book: Book,
    groups: Arc<[GroupInfo]>,
    collectors: Vec<Collector>,
    own: Own,
}

struct Collector {
    group: u32,
    name: &'static str,
    /// How often it runs when nothing is given up.
    interval_ns: u64,
    /// How often it runs; `None` if it does not.
    every_ns: Option<u64>,
    due: BootTime,
    runner: Runner,
    map: SlotMap,
    is_failing: bool,
    success: Slot,
    duration: Slot,
}

/// The series of the collectors' success and of what did not take place.
struct Own {
    group: u32,
    sink: Sink,
    map: SlotMap,
    skipped: [Slot; 2],
    /// Step, processor time and memory of the agent itself, once they were measured.
    budget: [Option<Slot>; 3],
    refused: Slot,
    refused_total: u64,
}

impl Collection {
    /// Starts the threads of those that may block. Nothing is sampled yet.
    ///
    /// # Errors
    ///
    /// A thread could not be started.
    pub fn new(setup: Setup) -> std::io::Result<Collection> {
        let mut groups = Vec::with_capacity(setup.collectors.len() + 1);
        let mut own = Own::new(setup.collectors.len() as u32);
        let mut collectors = Vec::with_capacity(setup.collectors.len());
        for (group, sampler) in (0..).zip(setup.collectors) {
            let (name, interval_ms) = (sampler.name(), sampler.interval_ms().max(1));
            groups.push(GroupInfo { group, collector: name.to_owned(), interval_ms, class: sampler.class() });
            collectors.push(Collector {
                group,
                name,
                interval_ns: u64::from(interval_ms) * 1_000_000,
                every_ns: Some(u64::from(interval_ms) * 1_000_000),
                due: BootTime(0),
                runner: Runner::start(sampler, &setup.clock)?,
                map: SlotMap::default(),
                is_failing: false,
                success: own.sink.slot(&COLLECTOR_SUCCESS, one_label("collector", name)),
                duration: own.sink.slot(&COLLECTOR_DURATION, one_label("collector", name)),
            });
        }
        let (group, interval_ms) = (own.group, setup.interval_ms);
        groups.push(GroupInfo {
            group,
            collector: "collector".into(),
            interval_ms,
            class: SeriesClass::System,
        });
        let deadline = Duration::from_millis(u64::from(setup.deadline_ms));
        Ok(Collection {
            clock: setup.clock,
            deadline,
            book: Book::default(),
            groups: groups.into(),
            collectors,
            own,
        })
    }

    /// One round, stamped `at`.
    pub fn round(&mut self, at: Now, next_due_ms: u32, due: Due) -> Round {
        self.sample(at, due);
        self.close(at, next_due_ms)
    }

    /// All that was sampled since the last round, as a round stamped `at`.
    pub fn close(&mut self, at: Now, next_due_ms: u32) -> Round {
        self.book.close(at, next_due_ms, Arc::clone(&self.groups))
    }

    /// Runs what is due. What it says goes into the next round too.
    pub fn sample(&mut self, at: Now, due: Due) -> Moment<'_> {
        let mut called: Vec<usize> = Vec::with_capacity(self.collectors.len());
        for (index, collector) in self.collectors.iter_mut().enumerate() {
            let Some(ns) = collector.every_ns else { continue };
            if due == Due::All || collector.due <= at.boot {
                collector.due = BootTime((at.boot.0 / ns + 1).saturating_mul(ns));
                collector.runner.call(at);
                called.push(index);
            }
        }
        // Those that run here go first: the others work meanwhile.
        called.sort_by_key(|index| self.collectors[*index].runner.is_thread());
        let start = self.clock.now().boot;
        for index in called {
            let collector = &mut self.collectors[index];
            let (result, took) = collector.runner.finish(at, &*self.clock, start, self.deadline);
            collector.judge(result, took, (&mut self.book, &mut self.own));
        }
        self.own.report(self.collectors.iter().map(|collector| &collector.runner));
        self.book.absorb(self.own.group, &mut self.own.sink, &mut self.own.map);
        self.book.moment(at, self.groups.len() as u32)
    }

    /// Lets collectors that run in each round run at each tick of `tick_ms`, for a tap.
    pub fn quicken(&mut self, round_ms: u32, tick_ms: u32) {
        for collector in &mut self.collectors {
            if collector.interval_ns <= u64::from(round_ms) * 1_000_000 {
                collector.interval_ns = u64::from(tick_ms) * 1_000_000;
                collector.every_ns = Some(collector.interval_ns);
            }
        }
    }

    /// Gives up what this rung says, or takes it back. A collector that does not run keeps its series: they
    /// have no samples meanwhile.
    pub(super) fn give_up(&mut self, rung: Rung) {
        for collector in &mut self.collectors {
            let ticks = if collector.name == "process" { rung.process_ticks } else { 1 };
            let every = collector.interval_ns.saturating_mul(u64::from(rung.factor * ticks));
            collector.every_ns = (rung.optional || CORE.contains(&collector.name)).then_some(every);
        }
    }

    /// Says what the agent itself uses, and how much it has given up.
    pub(super) fn set_budget(&mut self, step: usize, spent: &Spent) {
        let own = &mut self.own;
        let cpu = AGENT_CPU_SECONDS.form.cell(spent.cpu.as_secs_f64());
        let kib = spent.bytes.map(|bytes| (bytes / 1024).cast_signed());
        let all = [
            (&BUDGET_STEP, Some(step as i64)),
            (&AGENT_CPU_SECONDS, Some(cpu)),
            (&AGENT_RESIDENT_MEMORY, kib),
        ];
        for ((def, cell), place) in all.into_iter().zip(&mut own.budget) {
            if let Some(cell) = cell {
                let slot = *place.get_or_insert_with(|| own.sink.slot(def, Labels::default()));
                own.sink.set(slot, cell);
            }
        }
    }

    /// Says how many rounds did not take place since the start: because the queue was full, and because it
    /// was too late.
    pub fn set_skipped(&mut self, queue_full: u64, late: u64) {
        for (slot, count) in self.own.skipped.into_iter().zip([queue_full, late]) {
            self.own.sink.set(slot, count.cast_signed());
        }
    }

    /// The processes of the last round; empty if they are not collected.
    pub fn process_table(&self) -> Vec<ProcessRow> {
        let tables = self.collectors.iter().filter_map(|collector| collector.runner.process_table());
        tables.flatten().collect()
    }
}

impl Collector {
    /// Takes over what it said, or that it failed; the log hears of a change only.
    fn judge(&mut self, result: Result<(), SampleError>, took: Duration, (book, own): (&mut Book, &mut Own)) {
        let has_failed = result.is_err();
        match (result, self.runner.sink_mut()) {
            (Ok(()), Some(sink)) => book.absorb(self.group, sink, &mut self.map),
            (Err(error), _) if !self.is_failing => {
                tracing::warn!(collector = self.name, error = chain(&error), "collector failed");
            }
            _ => {}
        }
        if self.is_failing && !has_failed {
            tracing::info!(collector = self.name, "collector works again");
        }
        self.is_failing = has_failed;
        own.sink.set(self.success, i64::from(!has_failed));
        own.sink.set(self.duration, COLLECTOR_DURATION.form.cell(took.as_secs_f64()));
    }
}

impl Own {
    fn new(group: u32) -> Own {
        let mut sink = Sink::default();
        let skipped =
            ["queue_full", "late"].map(|reason| sink.slot(&SAMPLES_SKIPPED, one_label("reason", reason)));
        let refused = sink.slot(&SERIES_REFUSED, Labels::default());
        Own { group, sink, map: SlotMap::default(), skipped, budget: [None; 3], refused, refused_total: 0 }
    }

    fn report<'a>(&mut self, runners: impl Iterator<Item = &'a Runner>) {
        let refused = runners.filter_map(Runner::sink).map(Sink::refused);
        // A sink that is away with a call is missing from the sum.
        self.refused_total = self.refused_total.max(refused.sum());
        self.sink.set(self.refused, self.refused_total.cast_signed());
    }
}

/// Our own names are valid; the empty set stands for the impossible rest.
fn one_label(name: &'static str, value: &'static str) -> Labels {
    Labels::new([(name, value)]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::catalog::{LOAD1, LOAD5};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc::sync_channel;

    /// Moves only by hand.
    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Now {
            Now { boot: BootTime(self.0.load(Ordering::SeqCst)), ..Now::default() }
        }
    }

    type Script = Box<dyn FnMut() -> Result<i64, SampleError> + Send>;

    struct Fake {
        name: &'static str,
        interval_ms: u32,
        may_block: bool,
        script: Script,
        slot: Option<Slot>,
    }

    impl Sampler for Fake {
        fn name(&self) -> &'static str {
            self.name
        }
        fn interval_ms(&self) -> u32 {
            self.interval_ms
        }
        fn class(&self) -> SeriesClass {
            SeriesClass::System
        }
        fn may_block(&self) -> bool {
            self.may_block
        }
        fn sample(&mut self, _now: Now, out: &mut Sink) -> Result<(), SampleError> {
            let def = if self.may_block { &LOAD5 } else { &LOAD1 };
            let slot = *self.slot.get_or_insert_with(|| out.slot(def, Labels::default()));
            out.set(slot, -1);
            out.set(slot, (self.script)()?);
            Ok(())
        }
    }

    fn fake(name: &'static str, interval_ms: u32, may_block: bool, script: Script) -> Box<dyn Sampler> {
        Box::new(Fake { name, interval_ms, may_block, script, slot: None })
    }

    fn collection(collectors: Vec<Box<dyn Sampler>>, deadline_ms: u32, clock: Arc<dyn Clock>) -> Collection {
        Collection::new(Setup { collectors, interval_ms: 1000, deadline_ms, clock }).unwrap()
    }

    fn at(ms: u64) -> Now {
        Now { boot: BootTime(ms * 1_000_000), ..Now::default() }
    }

    fn value(rounds: &[Round], name: &str, label: &str) -> i64 {
        let new = rounds.iter().flat_map(|round| &round.registered);
        let mut of_name = new.filter(|new| &*new.spec.metric.name == name);
        let slot = of_name.find(|new| new.spec.labels.to_string().contains(label)).unwrap().slot;
        rounds.last().unwrap().cells[slot as usize]
    }

    #[test]
    fn a_failed_round_says_nothing_but_that_it_failed() {
        let answers = Mutex::new(vec![Ok(7), Err(SampleError::Gone), Ok(5)]);
        let script = Box::new(move || answers.lock().unwrap().pop().unwrap());
        let clock = Arc::new(Hand::default());
        let mut collection = collection(vec![fake("a", 1000, false, script)], 500, clock);
        let mut rounds = Vec::new();
        for (second, sampled, cell, success) in [(1, &[0, 1][..], 5, 1), (2, &[1], 5, 0), (3, &[0, 1], 7, 1)]
        {
            rounds.push(collection.round(at(second * 1000), 1000, Due::ByTime));
            assert_eq!(rounds.last().unwrap().sampled, sampled);
            assert_eq!(value(&rounds, "node_load1", ""), cell);
            assert_eq!(value(&rounds, "node_scrape_collector_success", "\"a\""), success);
        }
        let groups: Vec<&str> = rounds[0].groups.iter().map(|group| group.collector.as_str()).collect();
        assert_eq!(groups, ["a", "collector"]);
        assert_eq!(rounds[1].registered, []);
    }

    #[test]
    fn each_runs_at_its_interval() {
        let every = |name, ms| fake(name, ms, false, Box::new(|| Ok(1)));
        let mut collection =
            collection(vec![every("a", 1000), every("b", 3000)], 500, Arc::new(Hand::default()));
        for (ms, sampled) in [
            (1000, &[0, 1, 2][..]),
            (2000, &[0, 2]),
            (3001, &[0, 1, 2]),
            (4000, &[0, 2]),
            (4001, &[2]),
            (6000, &[0, 1, 2]),
        ] {
            assert_eq!(collection.round(at(ms), 1000, Due::ByTime).sampled, sampled, "{ms}");
        }
        assert_eq!(collection.round(at(6001), 1000, Due::All).sampled, [0, 1, 2]);
    }

    #[test]
    fn what_is_given_up_has_no_samples() {
        let every = |name| fake(name, 1000, false, Box::new(|| Ok(1)));
        let collectors = vec![every("cpu"), every("process"), every("extra")];
        let mut collection = collection(collectors, 500, Arc::new(Hand::default()));
        let rung = |process_ticks, factor, optional| Rung { process_ticks, factor, optional };
        for (second, rung, sampled) in [
            (1, rung(1, 1, true), &[0, 1, 2, 3][..]),
            (2, rung(5, 1, true), &[0, 1, 2, 3]),
            (3, rung(5, 1, true), &[0, 2, 3]),
            (5, rung(5, 2, true), &[0, 1, 2, 3]),
            (6, rung(5, 2, true), &[0, 2, 3]),
            (7, rung(5, 2, true), &[3]),
            (8, rung(5, 4, false), &[0, 3]),
            (12, rung(1, 1, true), &[0, 1, 2, 3]),
        ] {
            collection.give_up(rung);
            assert_eq!(collection.round(at(second * 1000), 1000, Due::ByTime).sampled, sampled, "{second}");
        }
        let spent = Spent { cpu: Duration::from_millis(1500), share: None, bytes: Some(2048) };
        collection.set_budget(2, &spent);
        let rounds = [collection.round(at(13_000), 1000, Due::ByTime)];
        assert_eq!(value(&rounds, "quorate_agent_budget_step", ""), 2);
        assert_eq!(value(&rounds, "quorate_agent_cpu_seconds_total", ""), 150);
        assert_eq!(value(&rounds, "quorate_agent_resident_memory_bytes", ""), 2);
    }

    #[test]
    fn a_slow_one_is_late() {
        let clock = Arc::new(Hand::default());
        let inner = Arc::clone(&clock);
        let script = Box::new(move || {
            inner.0.fetch_add(600_000_000, Ordering::SeqCst);
            Ok(1)
        });
        let mut collection = collection(vec![fake("a", 1000, false, script)], 500, clock);
        let rounds = [collection.round(at(1000), 1000, Due::ByTime)];
        assert_eq!(rounds[0].sampled, [1]);
        assert_eq!(value(&rounds, "node_scrape_collector_duration_seconds", "\"a\""), 6000);
    }

    #[test]
    fn one_that_hangs_is_asked_again_only_when_it_is_back() {
        let (go, wait) = sync_channel::<i64>(0);
        let (called, calls) = sync_channel::<()>(8);
        let script = Box::new(move || {
            called.send(()).unwrap();
            wait.recv().map_err(|_| SampleError::Gone)
        });
        let others = fake("b", 1000, false, Box::new(|| Ok(2)));
        let mut collection = collection(
            vec![fake("a", 1000, true, script), others],
            20,
            Arc::new(quorate_common::clock::SystemClock),
        );
        for second in 1..4 {
            assert_eq!(collection.round(at(second * 1000), 1000, Due::ByTime).sampled, [1, 2]);
        }
        calls.recv().unwrap();
        assert!(calls.try_recv().is_err(), "called once only");
        go.send(9).unwrap();
        // Its answer belongs to a round long gone; the next calls are answered in time.
        let mut rounds = Vec::new();
        let helper = std::thread::spawn(move || {
            calls.recv().unwrap();
            go.send(11)
        });
        let clock = quorate_common::clock::SystemClock;
        let give_up = clock.now().boot + Duration::from_secs(30);
        for second in 4.. {
            rounds.push(collection.round(at(second * 1000), 1000, Due::ByTime));
            match rounds.last() {
                Some(round) if round.sampled == [0, 1, 2] => break,
                _ => assert!(clock.now().boot < give_up, "never back"),
            }
            std::thread::yield_now();
        }
        helper.join().unwrap().unwrap();
        assert_eq!(value(&rounds, "node_load5", ""), 11);
    }

    #[test]
    fn one_whose_thread_is_gone_fails_for_good() {
        let script = Box::new(|| panic!("expected by this test"));
        let clock = Arc::new(quorate_common::clock::SystemClock);
        let mut collection = collection(vec![fake("a", 1000, true, script)], 5000, clock);
        for second in 1..3 {
            assert_eq!(collection.round(at(second * 1000), 1000, Due::ByTime).sampled, [1]);
        }
    }
}
