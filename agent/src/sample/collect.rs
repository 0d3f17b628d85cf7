//! Runs the collectors of one round and judges them: how long each took, whether it failed.
//!
//! The numbers of success and duration are series themselves, in the last group. Knows nothing of threads and
//! ticks: see `runner.rs` and `schedule.rs`.

use super::budget::{Rung, Spent};
use super::error::SampleError;
use super::rate::{self, Pace, RateError};
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
use quorate_common::model::session::Rate;
use quorate_common::model::time::{BootTime, Now};
use std::collections::BTreeMap;
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
    /// Distance between rounds when nobody asks for more.
    round_ms: u32,
    quick: Quick,
    rung: Rung,
}

/// What runs in each round runs at each tick, for a tap.
#[derive(Clone, Copy)]
struct Quick {
    round_ms: u32,
    tick_ms: u32,
}

struct Collector {
    group: u32,
    name: &'static str,
    pace: Pace,
    /// When it runs again.
    due: BootTime,
    /// When its samples go into a round again.
    round_due: BootTime,
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
                pace: Pace::new(interval_ms),
                due: BootTime(0),
                round_due: BootTime(0),
                runner: Runner::start(sampler, &setup.clock)?,
                map: SlotMap::default(),
                is_failing: false,
                success: own.sink.slot(&COLLECTOR_SUCCESS, one_label("collector", name)),
                duration: own.sink.slot(&COLLECTOR_DURATION, one_label("collector", name)),
            });
        }
        let fastest = groups.iter().map(|group| group.interval_ms).min();
        let interval_ms = fastest.unwrap_or(setup.interval_ms).min(setup.interval_ms);
        let group = own.group;
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
            round_ms: interval_ms,
            quick: Quick { round_ms: 0, tick_ms: u32::MAX },
            rung: Rung::NOTHING,
        })
    }

    /// One round, stamped `at`.
    pub fn round(&mut self, at: Now, next_due_ms: u32, due: Due) -> Round {
        self.sample(at, due);
        self.close(at, next_due_ms, due)
    }

    /// What was sampled and not yet in a round, as a round stamped `at`. Of collectors that run more often for a
    /// tap it holds no more than their interval says, however dense the rounds are.
    pub fn close(&mut self, at: Now, next_due_ms: u32, due: Due) -> Round {
        let mut held = Vec::new();
        for collector in &mut self.collectors {
            if due == Due::All || collector.round_due <= at.boot {
                collector.round_due = following(at.boot, collector.interval_ms(self.quick, self.rung));
            } else {
                held.push(collector.group);
            }
        }
        self.book.close(at, next_due_ms, Arc::clone(&self.groups), &held)
    }

    /// Runs what is due. What it says goes into the next round too.
    pub fn sample(&mut self, at: Now, due: Due) -> Moment<'_> {
        let mut called: Vec<usize> = Vec::with_capacity(self.collectors.len());
        for (index, collector) in self.collectors.iter_mut().enumerate() {
            if !collector.runs(self.rung) {
                continue;
            }
            if due == Due::All || collector.due <= at.boot {
                collector.due = following(at.boot, collector.every_ms(self.quick, self.rung));
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

    /// Lets collectors that run in each round of `round_ms` run at each tick of `tick_ms`, for a tap. What is sent
    /// of them stays as it is.
    pub fn quicken(&mut self, round_ms: u32, tick_ms: u32) {
        self.quick = Quick { round_ms, tick_ms };
    }

    /// Gives up what this rung says, or takes it back; of a rate that somebody asks for too. The next
    /// [`Collection::settle`] says so: what is sampled at another interval is another group. A collector that does
    /// not run keeps its series: they have no samples meanwhile.
    pub(super) fn give_up(&mut self, rung: Rung) {
        self.rung = rung;
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

    /// Other intervals than the collectors' own, by name. Only before the first round.
    pub fn with_intervals(mut self, intervals_ms: &BTreeMap<String, u32>) -> Collection {
        let mut groups = self.groups.to_vec();
        for (one, group) in self.collectors.iter_mut().zip(&mut groups) {
            if let Some(&interval_ms) = intervals_ms.get(one.name) {
                one.pace = Pace::new(interval_ms);
                group.interval_ms = interval_ms;
                self.round_ms = self.round_ms.min(interval_ms);
            }
        }
        if let Some(own) = groups.last_mut() {
            own.interval_ms = self.round_ms;
        }
        self.groups = groups.into();
        self
    }

    /// Somebody asks for more samples from now on; [`Collection::settle`] carries it out.
    ///
    /// # Errors
    ///
    /// A number is out of its range, or the collector does not run here.
    pub fn set_rate(&mut self, asked: &Rate, now: BootTime) -> Result<(), RateError> {
        rate::check(asked)?;
        let is_meant = |name: &str| asked.collector.is_empty() || asked.collector == name;
        if !self.collectors.iter().any(|one| is_meant(one.name)) {
            let known: Vec<&str> = self.collectors.iter().map(|one| one.name).collect();
            let name = asked.collector.chars().take(80).collect();
            return Err(RateError::Collector { name, known: known.join(", ") });
        }
        let meant = self.collectors.iter_mut().filter(|one| is_meant(one.name));
        meant.for_each(|one| one.pace.ask(asked.interval_ms, asked.for_ms, now));
        Ok(())
    }

    /// Nobody asks for more samples any more; the next [`Collection::settle`] goes back.
    pub fn end_rates(&mut self) {
        self.collectors.iter_mut().for_each(|one| one.pace.stop());
    }

    /// Moves the series of collectors whose interval changed to groups of their new interval, to be sampled in
    /// the next round: for a rate, or because the budget stretches it. Gives the distance between rounds that this
    /// takes, before the budget stretches it.
    pub fn settle(&mut self, now: BootTime) -> u32 {
        let mut round_ms = self.round_ms;
        for one in &mut self.collectors {
            one.pace.expire(now);
            round_ms = round_ms.min(one.pace.interval_ms());
            let interval_ms = one.interval_ms(self.quick, self.rung);
            if self.groups[one.group as usize].interval_ms != interval_ms {
                let group = group_of(&mut self.groups, one.group, interval_ms);
                self.book.regroup((one.group, group), &mut one.map);
                (one.group, one.due, one.round_due) = (group, BootTime(0), BootTime(0));
            }
        }
        let own_ms = round_ms.saturating_mul(self.rung.factor);
        if self.groups[self.own.group as usize].interval_ms != own_ms {
            let group = group_of(&mut self.groups, self.own.group, own_ms);
            self.book.regroup((self.own.group, group), &mut self.own.map);
            self.own.group = group;
        }
        round_ms
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

/// The group like `like` with another interval: one that was there before, or a new one.
fn group_of(groups: &mut Arc<[GroupInfo]>, like: u32, interval_ms: u32) -> u32 {
    let like = &groups[like as usize];
    let is_it = |group: &&GroupInfo| group.collector == like.collector && group.interval_ms == interval_ms;
    if let Some(known) = groups.iter().find(is_it) {
        return known.group;
    }
    let group = groups.len() as u32;
    let new = GroupInfo { group, interval_ms, ..like.clone() };
    *groups = groups.iter().cloned().chain([new]).collect();
    group
}

/// The first whole interval after `now`.
fn following(now: BootTime, interval_ms: u32) -> BootTime {
    let ns = u64::from(interval_ms) * 1_000_000;
    BootTime((now.0 / ns + 1).saturating_mul(ns))
}

impl Collector {
    /// Whether it runs at all.
    fn runs(&self, rung: Rung) -> bool {
        rung.optional || CORE.contains(&self.name)
    }

    /// How often it runs. A rate that somebody asks for counts only if the tap does not have it more often already.
    fn every_ms(&self, quick: Quick, rung: Rung) -> u32 {
        let is_quick = self.pace.usual_ms() <= quick.round_ms;
        let interval_ms = self.pace.interval_ms().min(if is_quick { quick.tick_ms } else { u32::MAX });
        let ticks = if self.name == "process" { rung.process_ticks } else { 1 };
        interval_ms.saturating_mul(rung.factor * ticks)
    }

    /// How often what it says is sent, which is the interval of its group: never more often than it runs.
    fn interval_ms(&self, quick: Quick, rung: Rung) -> u32 {
        self.pace.interval_ms().saturating_mul(rung.factor).max(self.every_ms(quick, rung))
    }

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

    fn rate(collector: &str, interval_ms: u32, for_ms: u32) -> Rate {
        Rate { collector: collector.into(), interval_ms, for_ms }
    }

    /// Name and interval of the groups that a round sampled.
    fn sampled(round: &Round) -> Vec<(&str, u32)> {
        let group = |group: &u32| &round.groups[*group as usize];
        round.sampled.iter().map(group).map(|group| (group.collector.as_str(), group.interval_ms)).collect()
    }

    #[test]
    fn a_rate_moves_its_series_and_moves_them_back() {
        let every = |name, ms| fake(name, ms, false, Box::new(|| Ok(1)));
        let setup = Setup {
            collectors: vec![every("a", 10_000), every("b", 10_000)],
            interval_ms: 10_000,
            deadline_ms: 500,
            clock: Arc::new(Hand::default()),
        };
        let mut collection = Collection::new(setup).unwrap();
        let first = collection.round(at(10_000), 1000, Due::ByTime);
        assert_eq!(sampled(&first), [("a", 10_000), ("b", 10_000), ("collector", 10_000)]);

        collection.set_rate(&rate("a", 1000, 10_000), at(10_500).boot).unwrap();
        assert_eq!(collection.settle(at(10_500).boot), 1000);
        let fast = collection.round(at(11_000), 1000, Due::ByTime);
        assert_eq!(sampled(&fast), [("a", 1000), ("collector", 1000)]);
        let names = |round: &Round| -> Vec<String> {
            round.registered.iter().map(|new| new.spec.metric.name.to_string()).collect()
        };
        assert_eq!((names(&fast), fast.retired.len()), (names_without_b(&first), first.registered.len() - 1));
        assert_eq!(collection.settle(at(12_000).boot), 1000, "nothing new");
        assert_eq!(collection.round(at(12_000), 1000, Due::ByTime).registered, []);

        assert_eq!(collection.settle(at(20_500).boot), 10_000);
        let back = collection.round(at(20_500), 1000, Due::ByTime);
        assert_eq!(sampled(&back), [("a", 10_000), ("b", 10_000), ("collector", 10_000)]);
        assert_eq!(back.groups.len(), fast.groups.len(), "the old groups serve again");
        assert_eq!(back.registered.len(), back.retired.len());

        collection.set_rate(&rate("", 1000, 600_000), at(21_000).boot).unwrap();
        collection.end_rates();
        assert_eq!(collection.settle(at(21_000).boot), 10_000, "whoever asked is gone");
    }

    fn names_without_b(first: &Round) -> Vec<String> {
        let ours = first.registered.iter().filter(|new| new.group != 1);
        ours.map(|new| new.spec.metric.name.to_string()).collect()
    }

    #[test]
    fn a_rate_of_nobody_is_refused() {
        let every = |name, ms| fake(name, ms, false, Box::new(|| Ok(1)));
        let mut collection = collection(vec![every("a", 1000)], 500, Arc::new(Hand::default()));
        let error = collection.set_rate(&rate("x", 1000, 10_000), BootTime(0)).unwrap_err();
        assert_eq!(error.to_string(), "no collector `x` runs here, expected one of a");
        let error = collection.set_rate(&rate("a", 1, 10_000), BootTime(0)).unwrap_err();
        assert_eq!(error.to_string(), "`interval_ms` is 1, expected 100 to 60000");
        collection.set_rate(&rate("", 5000, 10_000), BootTime(0)).unwrap();
        assert_eq!(collection.settle(BootTime(0)), 1000, "never slower than configured");
    }

    #[test]
    fn configured_intervals_are_those_of_the_groups() {
        let every = |name, ms| fake(name, ms, false, Box::new(|| Ok(1)));
        let intervals = BTreeMap::from([("a".to_owned(), 500), ("b".to_owned(), 10_000)]);
        let two = vec![every("a", 1000), every("b", 1000)];
        let mut collection = collection(two, 500, Arc::new(Hand::default())).with_intervals(&intervals);
        assert_eq!(collection.settle(BootTime(0)), 500);
        let first = collection.round(at(10_000), 1000, Due::ByTime);
        assert_eq!(sampled(&first), [("a", 500), ("b", 10_000), ("collector", 500)]);
        let second = collection.round(at(10_500), 1000, Due::ByTime);
        assert_eq!(sampled(&second), [("a", 500), ("collector", 500)]);
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
    fn a_rung_moves_series_to_groups_of_the_interval_they_are_sampled_at() {
        let every = |name, ms| fake(name, ms, false, Box::new(|| Ok(1)));
        let collectors = vec![every("cpu", 1000), every("process", 1000), every("extra", 10_000)];
        let mut collection = collection(collectors, 500, Arc::new(Hand::default()));
        let mut round = |ms, rung: [u32; 2]| {
            collection.give_up(Rung { process_ticks: rung[0], factor: rung[1], optional: true });
            assert_eq!(collection.settle(at(ms).boot), 1000, "the budget is not counted twice");
            collection.round(at(ms), 1000, Due::ByTime)
        };
        let begun = round(10_000, [1, 1]);
        assert_eq!(
            sampled(&begun),
            [("cpu", 1000), ("process", 1000), ("extra", 10_000), ("collector", 1000)]
        );
        let first = round(11_000, [5, 1]);
        assert_eq!(sampled(&first), [("cpu", 1000), ("collector", 1000), ("process", 5000)]);
        assert_eq!((first.registered.len(), first.retired.len()), (1, 1), "those of processes alone");
        let second = round(12_000, [5, 2]);
        let all = [("cpu", 2000), ("process", 10_000), ("extra", 20_000), ("collector", 2000)];
        assert_eq!(sampled(&second), all, "sampled at once in their new groups");
        assert_eq!(second.retired.len(), begun.registered.len(), "all ended");
        assert_eq!(second.registered.len(), begun.registered.len(), "and began again");
        assert_eq!(sampled(&round(14_000, [5, 2])), [("cpu", 2000), ("collector", 2000)]);
        let third = round(16_000, [5, 4]);
        let all = [("cpu", 4000), ("process", 20_000), ("extra", 40_000), ("collector", 4000)];
        assert_eq!(sampled(&third), all);
        let back = round(20_000, [1, 1]);
        assert_eq!(
            (sampled(&back), back.groups.len()),
            (sampled(&begun), third.groups.len()),
            "the first again"
        );
    }

    #[test]
    fn a_rung_stretches_a_rate_and_says_so() {
        let every = |name, ms| fake(name, ms, false, Box::new(|| Ok(1)));
        let mut collection = collection(vec![every("cpu", 10_000)], 500, Arc::new(Hand::default()));
        collection.set_rate(&rate("cpu", 500, 10_000), at(1000).boot).unwrap();
        collection.give_up(Rung { process_ticks: 5, factor: 4, optional: false });
        assert_eq!(collection.settle(at(1000).boot), 500);
        assert_eq!(
            sampled(&collection.round(at(1000), 2000, Due::ByTime)),
            [("cpu", 2000), ("collector", 2000)]
        );
        assert_eq!(collection.settle(at(11_000).boot), 1000);
        assert_eq!(
            sampled(&collection.round(at(12_000), 4000, Due::ByTime)),
            [("cpu", 40_000), ("collector", 4000)]
        );
    }

    #[test]
    fn what_a_tap_has_more_often_is_sent_as_its_group_says() {
        let every = |name| fake(name, 5000, false, Box::new(|| Ok(1)));
        let setup = Setup {
            collectors: vec![every("cpu"), every("process")],
            interval_ms: 5000,
            deadline_ms: 500,
            clock: Arc::new(Hand::default()),
        };
        let mut collection = Collection::new(setup).unwrap();
        collection.quicken(5000, 1000);
        collection.give_up(Rung { process_ticks: 5, factor: 2, optional: true });
        assert_eq!(collection.settle(at(10_000).boot), 5000);
        let intervals = |round: &Round| -> Vec<(String, u32)> {
            sampled(round).into_iter().map(|(name, ms)| (name.to_owned(), ms)).collect()
        };
        let first = intervals(&collection.round(at(10_000), 10_000, Due::ByTime));
        // For the tap, processes are read each 5 of its ticks, which are 2 s by now: as often as they are sent.
        let all = [("cpu", 10_000), ("process", 10_000), ("collector", 10_000)];
        assert_eq!(first, all.map(|(name, ms)| (name.to_owned(), ms)));
        for (ms, expect) in [(12_000, &[3, 5][..]), (18_000, &[3, 5]), (20_000, &[3, 4, 5])] {
            let sampled = collection.sample(at(ms), Due::ByTime).sampled.clone();
            assert_eq!(sampled, expect, "{ms}");
        }
        assert_eq!(intervals(&collection.close(at(20_000), 10_000, Due::ByTime)), first);
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
