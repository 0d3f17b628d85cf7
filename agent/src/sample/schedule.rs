//! The sampling thread: a tick at each whole interval of the boot clock, one round for each tick.
//!
//! Ticks that passed while a round took too long, or while the host slept, are skipped and counted: a node
//! that is behind must not fall further behind. When the encoder does not keep up its queue is full, and the
//! tick is skipped before anything is read, so that no registration is ever lost.

use super::budget::{self, BudgetConfig, Ladder, Meter};
use super::collect::{Collection, Due, Setup};
use super::round::{Round, Tap};
use super::ticker::Ticker;
use super::{Config, RateError, collectors};
use quorate_common::clock::Clock;
use quorate_common::model::process::ProcessRow;
use quorate_common::model::session::Rate;
use quorate_common::model::time::{BootTime, Now};
use quorate_common::notify::Pulse;
use quorate_common::shutdown::Shutdown;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError as QueueError;
use tokio::sync::{mpsc, oneshot};

/// Questions that may wait; more are refused.
const COMMANDS_MAX: usize = 16;

/// Why sampling could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error("failed to accept the configuration of sampling")]
    Config(#[from] super::ConfigError),
    /// A thread could not be started.
    #[error("failed to start a sampling thread")]
    Thread(#[source] std::io::Error),
}

/// Why a question was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Too many questions wait, or the encoder is behind.
    #[error("sampling is busy")]
    Busy,
    /// Sampling has ended.
    #[error("sampling has ended")]
    Stopped,
}

/// Where samples go.
pub struct Outlet {
    /// Rounds, at the configured interval.
    pub rounds: mpsc::Sender<Round>,
    /// Who follows every tick, if anybody; ticks come at its interval if that is shorter.
    pub tap: Option<Box<dyn Tap>>,
    /// What the whole agent may use; sampling is what it gives up above that. `None` measures nothing.
    pub budget: Option<BudgetConfig>,
}

impl From<mpsc::Sender<Round>> for Outlet {
    fn from(rounds: mpsc::Sender<Round>) -> Outlet {
        Outlet { rounds, tap: None, budget: None }
    }
}

/// Asks the sampling thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sampling {
    commands: SyncSender<Command>,
    pulse: Pulse,
}

enum Command {
    CollectNow(oneshot::Sender<Result<(), AskError>>),
    ProcessTable(oneshot::Sender<Vec<ProcessRow>>),
    SetRate(Rate, oneshot::Sender<Result<(), RateError>>),
    EndRates,
    Stop,
}

impl Sampling {
    /// One more round of all collectors, now; done when the round is in the queue.
    ///
    /// # Errors
    ///
    /// The queue is full, or sampling has ended.
    pub async fn collect_now(&self) -> Result<(), AskError> {
        self.ask(Command::CollectNow).await?
    }

    /// The processes of the last round, by number.
    ///
    /// # Errors
    ///
    /// Too many questions wait, or sampling has ended.
    pub async fn process_table(&self) -> Result<Vec<ProcessRow>, AskError> {
        self.ask(Command::ProcessTable).await
    }

    /// Samples more often for a while; done when the next tick is due at the new rate.
    ///
    /// # Errors
    ///
    /// Too many questions wait, or sampling has ended. Inside: a number is out of its range, or there is no
    /// such collector.
    pub async fn set_rate(&self, rate: Rate) -> Result<Result<(), RateError>, AskError> {
        self.ask(|answer| Command::SetRate(rate, answer)).await
    }

    /// Goes back to the configured rates with the next tick: whoever asked for more is gone.
    pub fn end_rates(&self) {
        // When the queue is full they end by themselves, later.
        self.commands.try_send(Command::EndRates).ok();
    }

    /// Beats for each round.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, AskError> {
        let (answer, answered) = oneshot::channel();
        self.commands.try_send(command(answer)).map_err(|error| match error {
            TrySendError::Full(_) => AskError::Busy,
            TrySendError::Disconnected(_) => AskError::Stopped,
        })?;
        answered.await.map_err(|_| AskError::Stopped)
    }
}

/// Starts the thread; samples go into `outlet`. Must be called in a runtime: a task stops the thread when
/// `shutdown` is asked for, and the program with it if the thread dies. `root` is `/` but for tests.
///
/// # Errors
///
/// The configuration is wrong, or a thread could not be started.
pub fn start(
    config: &Config,
    root: &Path,
    clock: Arc<dyn Clock>,
    outlet: impl Into<Outlet>,
    shutdown: &Shutdown,
) -> Result<Sampling, StartError> {
    config.check()?;
    let setup = Setup {
        collectors: collectors(config, root),
        interval_ms: config.interval_ms,
        deadline_ms: config.deadline_ms,
        clock: Arc::clone(&clock),
    };
    let collection = Collection::new(setup).map_err(StartError::Thread)?;
    let collection = collection.with_intervals(&config.intervals_ms);
    run(Schedule::new(collection, config.interval_ms, clock, outlet.into()), shutdown)
}

fn run(mut schedule: Schedule, shutdown: &Shutdown) -> Result<Sampling, StartError> {
    let (commands, commanded) = sync_channel(COMMANDS_MAX);
    let (ended, end) = oneshot::channel::<()>();
    let pulse = schedule.pulse.clone();
    let thread = move || {
        schedule.run(&commanded);
        drop(ended);
    };
    drop(std::thread::Builder::new().name("sample".into()).spawn(thread).map_err(StartError::Thread)?);
    shutdown.spawn("sample", watch(commands.clone(), end, shutdown.clone()));
    Ok(Sampling { commands, pulse })
}

/// Ends the thread with the program, and the program with the thread.
async fn watch(commands: SyncSender<Command>, mut end: oneshot::Receiver<()>, shutdown: Shutdown) {
    tokio::select! {
        () = shutdown.asked() => {}
        _ = &mut end => {
            if !shutdown.is_asked() {
                tracing::error!("the sampling thread has ended, stopping");
                shutdown.fail("sample");
            }
            return;
        }
    }
    // A full queue of questions is emptied within a round.
    let stop = tokio::task::spawn_blocking(move || commands.send(Command::Stop).is_ok());
    if matches!(stop.await, Ok(true)) {
        // It ends without a word: the channel only closes.
        end.await.ok();
    }
}

struct Schedule {
    collection: Collection,
    clock: Arc<dyn Clock>,
    outlet: Outlet,
    /// Most between two ticks.
    tap_ms: u32,
    /// Each tick samples.
    ticks: Ticker,
    /// Each of these ticks is sent.
    rounds: Ticker,
    queue_full: u64,
    pulse: Pulse,
    budget: Option<(Ladder, Meter)>,
}

impl Schedule {
    fn new(mut collection: Collection, round_ms: u32, clock: Arc<dyn Clock>, outlet: Outlet) -> Schedule {
        let tick_ms = outlet.tap.as_ref().map_or(round_ms, |tap| tap.interval_ms().clamp(1, round_ms));
        collection.quicken(round_ms, tick_ms);
        let now = clock.now().boot;
        let (ticks, rounds) = (Ticker::new(tick_ms, now), Ticker::new(round_ms, now));
        let budget = outlet.budget.map(|config| (Ladder::new(config), Meter::default()));
        Schedule {
            collection,
            clock,
            outlet,
            tap_ms: tick_ms,
            ticks,
            rounds,
            queue_full: 0,
            pulse: Pulse::default(),
            budget,
        }
    }

    /// The distances between ticks and between rounds from now on. A rate makes rounds as dense as it asks for, and
    /// ticks only where the tap does not have them denser already; what the budget gives up stretches all of them.
    fn settle(&mut self, now: BootTime) -> (u32, u32) {
        let round_ms = self.collection.settle(now);
        let factor = self.budget.as_ref().map_or(1, |(ladder, _)| ladder.rung().factor);
        (self.tap_ms.min(round_ms).saturating_mul(factor), round_ms.saturating_mul(factor))
    }

    /// Looks at what the agent itself uses, now and then.
    fn look(&mut self, now: BootTime) {
        let Some((ladder, meter)) = &mut self.budget else { return };
        if meter.last().is_some_and(|last| now.since(last) < budget::MEASURE) {
            return;
        }
        let (cpu, bytes) = own_usage();
        let spent = meter.measure(now, cpu, bytes);
        let (before, has_moved) = (ladder.step(), ladder.judge(&spent));
        self.collection.set_budget(ladder.step(), &spent);
        if !has_moved {
            return;
        }
        let (from, to, rung) = (before, ladder.step(), ladder.rung());
        let percent = spent.share.map_or(0.0, |share| f64::from(share) / 100.0);
        let bytes = spent.bytes.unwrap_or(0);
        if to > from {
            tracing::warn!(
                class = "action",
                from,
                to,
                percent,
                bytes,
                "over the agent's budget: gives up detail"
            );
        } else {
            tracing::info!(
                class = "action",
                from,
                to,
                percent,
                bytes,
                "room in the agent's budget: takes detail back"
            );
        }
        self.collection.give_up(rung);
    }

    fn run(&mut self, commands: &Receiver<Command>) {
        loop {
            let left = self.ticks.next.since(self.clock.now().boot);
            let is_open = match commands.recv_timeout(left) {
                Err(RecvTimeoutError::Timeout) => self.tick() != Err(AskError::Stopped),
                Err(RecvTimeoutError::Disconnected) | Ok(Command::Stop) => false,
                Ok(command) => self.answer(command),
            };
            if !is_open {
                return;
            }
        }
    }

    fn tick(&mut self) -> Result<(), AskError> {
        let now = self.clock.now().boot;
        if now < self.ticks.next {
            // Woken a little too soon: the two clocks are not the same.
            return Ok(());
        }
        let is_round = now >= self.rounds.next;
        self.look(now);
        if is_round {
            // Before the next round is announced, and not between two: an interval that was promised is kept.
            let (tick_ms, round_ms) = self.settle(now);
            self.ticks.set_interval(tick_ms);
            self.rounds.set_interval(round_ms);
        }
        self.ticks.advance(now);
        if !is_round {
            self.sample(self.clock.now(), Due::ByTime);
            return Ok(());
        }
        self.rounds.advance(now);
        let done = self.round(Due::ByTime);
        self.queue_full += u64::from(done == Err(AskError::Busy));
        done
    }

    /// What is due, for the tap alone.
    fn sample(&mut self, at: Now, due: Due) {
        let moment = self.collection.sample(at, due);
        if let Some(tap) = &mut self.outlet.tap {
            tap.take(&moment);
        }
    }

    /// Whether there is somebody left to sample for. Nobody need wait for an answer any more.
    fn answer(&mut self, command: Command) -> bool {
        match command {
            Command::CollectNow(answer) => {
                let done = self.round(Due::All);
                answer.send(done).ok();
                done != Err(AskError::Stopped)
            }
            Command::ProcessTable(answer) => {
                answer.send(self.collection.process_table()).ok();
                true
            }
            Command::SetRate(rate, answer) => {
                let now = self.clock.now().boot;
                let done = self.collection.set_rate(&rate, now);
                if done.is_ok() {
                    let (tick_ms, round_ms) = self.settle(now);
                    self.ticks.hasten(tick_ms, now);
                    self.rounds.hasten(round_ms, now);
                }
                answer.send(done).ok();
                true
            }
            Command::EndRates => {
                self.collection.end_rates();
                true
            }
            Command::Stop => false,
        }
    }

    fn round(&mut self, due: Due) -> Result<(), AskError> {
        let place = self.outlet.rounds.try_reserve().map_err(|error| match error {
            QueueError::Full(()) => AskError::Busy,
            QueueError::Closed(()) => AskError::Stopped,
        })?;
        let at = self.clock.now();
        self.collection.set_skipped(self.queue_full, self.rounds.late);
        let next_due = self.ticks.first_from(self.rounds.next).since(at.boot).as_millis();
        // Rounded up: a frame that comes when it was announced is never late.
        let next_due_ms = u32::try_from(next_due).unwrap_or(u32::MAX).saturating_add(1);
        let moment = self.collection.sample(at, due);
        if let Some(tap) = &mut self.outlet.tap {
            tap.take(&moment);
        }
        place.send(self.collection.close(at, next_due_ms, due));
        self.pulse.beat();
        Ok(())
    }
}

/// Processor time of this process since it began, and its resident memory where `/proc` says it.
#[cfg(target_os = "linux")]
fn own_usage() -> (Duration, Option<u64>) {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let cpu =
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
    // Size, resident, shared, …, in pages.
    let mut file = super::reader::File::new(Path::new("/"), "proc/self/statm");
    let pages = file.read().ok().and_then(|(path, bytes)| {
        let mut line = super::text::Line::whole(path, bytes);
        line.skip(1);
        line.number("resident").ok()
    });
    (cpu, pages.map(|pages| pages.saturating_mul(rustix::param::page_size() as u64)))
}

/// Unknown here: nothing is ever given up.
#[cfg(not(target_os = "linux"))]
fn own_usage() -> (Duration, Option<u64>) {
    (Duration::ZERO, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::clock::SystemClock;
    use quorate_common::model::time::Now;
    use std::collections::BTreeSet;

    fn begin(capacity: usize) -> (Sampling, mpsc::Receiver<Round>, Shutdown) {
        let (sender, rounds) = mpsc::channel(capacity);
        let shutdown = Shutdown::new();
        let config = Config { interval_ms: 100, deadline_ms: 10_000, ..Config::default() };
        let sampling = start(&config, Path::new("/"), Arc::new(SystemClock), sender, &shutdown).unwrap();
        (sampling, rounds, shutdown)
    }

    #[tokio::test]
    async fn samples_this_host_until_it_is_told_to_stop() {
        let (sampling, mut rounds, shutdown) = begin(4);
        let first = rounds.recv().await.unwrap();
        let all: Vec<u32> = first.groups.iter().map(|group| group.group).collect();
        assert_eq!(first.sampled, all);
        let (second, third) = (rounds.recv().await.unwrap(), rounds.recv().await.unwrap());
        assert!(first.at.boot < second.at.boot && second.at.boot < third.at.boot);
        assert!((1..=101).contains(&third.next_due_ms), "{}", third.next_due_ms);
        let slots: BTreeSet<u32> = first.registered.iter().map(|new| new.slot).collect();
        assert_eq!(slots.len(), first.cells.len());
        assert_eq!(slots.last().copied(), Some(first.cells.len() as u32 - 1));

        let table = sampling.process_table().await.unwrap();
        assert!(table.iter().any(|row| row.pid == std::process::id() && row.memory_bytes > 0));
        shutdown.ask();
        assert!(shutdown.finished(Duration::from_secs(30)).await);
        while rounds.recv().await.is_some() {}
        assert_eq!(sampling.collect_now().await, Err(AskError::Stopped));
        assert_eq!(sampling.process_table().await, Err(AskError::Stopped));
    }

    /// Moves only by hand.
    struct Hand(std::sync::atomic::AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Now {
            Now { boot: BootTime(self.0.load(std::sync::atomic::Ordering::SeqCst)), ..Now::default() }
        }
    }

    #[test]
    fn a_full_queue_skips_and_counts() {
        let clock = Arc::new(Hand(1_500_000_000.into()));
        let setup = Setup {
            collectors: Vec::new(),
            interval_ms: 1000,
            deadline_ms: 500,
            clock: Arc::clone(&clock) as _,
        };
        let (sender, mut rounds) = mpsc::channel(1);
        let collection = Collection::new(setup).unwrap();
        let mut schedule = Schedule::new(collection, 1000, Arc::clone(&clock) as _, sender.into());
        let mut tick_at = |ms: u64| {
            clock.0.store(ms * 1_000_000, std::sync::atomic::Ordering::SeqCst);
            schedule.tick()
        };
        assert_eq!(tick_at(1500), Ok(()));
        assert_eq!((tick_at(2000), tick_at(3000)), (Err(AskError::Busy), Err(AskError::Busy)));
        let first = rounds.try_recv().unwrap();
        assert_eq!((first.at.boot, first.next_due_ms), (BootTime(1_500_000_000), 501));
        // Too soon is no tick; after three missed ones there is one.
        assert_eq!((tick_at(3999), tick_at(7250)), (Ok(()), Ok(())));
        let second = rounds.try_recv().unwrap();
        let said: Vec<(&str, i64)> = first
            .registered
            .iter()
            .filter_map(|new| Some((new.spec.labels.get("reason")?, second.cells[new.slot as usize])))
            .collect();
        assert_eq!(said, [("queue_full", 2), ("late", 3)]);
        drop(rounds);
        assert_eq!(tick_at(8000), Err(AskError::Stopped));
    }

    /// Counts the ticks.
    struct Counting(Arc<std::sync::atomic::AtomicU64>);

    impl Tap for Counting {
        fn interval_ms(&self) -> u32 {
            1000
        }
        fn take(&mut self, moment: &super::super::Moment<'_>) {
            assert_eq!(moment.sampled, [0]);
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }

    #[test]
    fn a_tap_sees_the_ticks_between_rounds() {
        let clock = Arc::new(Hand(1_000_000_000.into()));
        let setup = Setup {
            collectors: Vec::new(),
            interval_ms: 5000,
            deadline_ms: 500,
            clock: Arc::clone(&clock) as _,
        };
        let (sender, mut rounds) = mpsc::channel(9);
        let collection = Collection::new(setup).unwrap();
        let ticks = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let tap = Some(Box::new(Counting(Arc::clone(&ticks))) as _);
        let outlet = Outlet { rounds: sender, tap, budget: None };
        let mut schedule = Schedule::new(collection, 5000, Arc::clone(&clock) as _, outlet);
        for second in 1..=12 {
            clock.0.store(second * 1_000_000_000, std::sync::atomic::Ordering::SeqCst);
            assert_eq!(schedule.tick(), Ok(()));
        }
        assert_eq!(ticks.load(std::sync::atomic::Ordering::SeqCst), 12);
        let sent: Vec<(u64, u32)> = std::iter::from_fn(|| rounds.try_recv().ok())
            .map(|round| (round.at.boot.0 / 1_000_000_000, round.next_due_ms))
            .collect();
        assert_eq!(sent, [(1, 4001), (5, 5001), (10, 5001)]);
    }

    /// One series that never changes.
    struct Still(&'static str, Option<super::super::Slot>);

    impl super::super::Sampler for Still {
        fn name(&self) -> &'static str {
            self.0
        }
        fn interval_ms(&self) -> u32 {
            5000
        }
        fn class(&self) -> quorate_common::model::series::SeriesClass {
            quorate_common::model::series::SeriesClass::System
        }
        fn sample(&mut self, _: Now, out: &mut super::super::Sink) -> Result<(), super::super::SampleError> {
            self.1.get_or_insert_with(|| out.slot(&quorate_common::catalog::LOAD1, Default::default()));
            Ok(())
        }
    }

    type Kept = Vec<(u64, Vec<u32>)>;

    /// Keeps the groups that were sampled, with their milliseconds.
    struct Keeping(Arc<std::sync::Mutex<Kept>>);

    impl Tap for Keeping {
        fn interval_ms(&self) -> u32 {
            1000
        }
        fn take(&mut self, moment: &super::super::Moment<'_>) {
            self.0.lock().unwrap().push((moment.at.boot.0 / 1_000_000, moment.sampled.clone()));
        }
    }

    #[test]
    fn a_rate_is_sent_and_a_tap_still_has_the_rest() {
        let clock = Arc::new(Hand(5_000_000_000.into()));
        let setup = Setup {
            collectors: vec![Box::new(Still("a", None)), Box::new(Still("b", None))],
            interval_ms: 5000,
            deadline_ms: 500,
            clock: Arc::clone(&clock) as _,
        };
        let (sender, mut rounds) = mpsc::channel(99);
        let collection = Collection::new(setup).unwrap();
        let kept = Arc::new(std::sync::Mutex::new(Kept::new()));
        let tap = Some(Box::new(Keeping(Arc::clone(&kept))) as _);
        let outlet = Outlet { rounds: sender, tap, budget: None };
        let mut schedule = Schedule::new(collection, 5000, Arc::clone(&clock) as _, outlet);
        for ms in (5000..=25_000).step_by(100) {
            clock.0.store(ms * 1_000_000, std::sync::atomic::Ordering::SeqCst);
            if ms == 7200 {
                let (answer, mut answered) = oneshot::channel();
                let rate = Rate { collector: "a".into(), interval_ms: 500, for_ms: 10_000 };
                assert!(schedule.answer(Command::SetRate(rate, answer)));
                assert_eq!(answered.try_recv(), Ok(Ok(())));
            }
            assert_eq!(schedule.tick(), Ok(()));
        }
        let sent: Vec<Round> = std::iter::from_fn(|| rounds.try_recv().ok()).collect();
        let names = |round: &Round| -> String {
            let groups = round.sampled.iter().map(|group| &round.groups[*group as usize]);
            groups.map(|group| format!("{}/{} ", group.collector, group.interval_ms)).collect()
        };
        let said: Vec<(u64, u32, String)> =
            sent.iter().map(|round| (round.at.boot.0 / 1_000_000, round.next_due_ms, names(round))).collect();
        let fast = |ms| (ms, 501, "a/500 collector/500 ".to_owned());
        let usual = "a/5000 b/5000 collector/5000 ".to_owned();
        assert_eq!(said[..3], [(5000, 5001, usual.clone()), fast(7500), fast(8000)]);
        let with_b: Vec<u64> = said.iter().filter(|one| one.2.contains("b/5000")).map(|one| one.0).collect();
        assert_eq!(with_b, [5000, 10_000, 15_000, 20_000, 25_000], "b as often as it says");
        assert_eq!(said.iter().filter(|one| one.2.contains("a/500 ")).count(), 20);
        let back = said.iter().position(|one| one.0 == 17_500).unwrap();
        let expect = [
            (17_500, 2501, "a/5000 collector/5000 ".to_owned()),
            (20_000, 5001, usual.clone()),
            (25_000, 5001, usual),
        ];
        assert_eq!(said[back..], expect);
        let b: Vec<u64> =
            kept.lock().unwrap().iter().filter(|one| one.1.contains(&1)).map(|one| one.0).collect();
        assert_eq!(b, (5..=25).map(|second| second * 1000).collect::<Vec<_>>(), "the tap has every second");
        assert_eq!((schedule.rounds.late, schedule.ticks.late), (0, 0));
    }

    #[test]
    fn over_the_budget_the_interval_grows_as_announced() {
        let clock = Arc::new(Hand(1_000_000_000.into()));
        let setup = Setup {
            collectors: Vec::new(),
            interval_ms: 1000,
            deadline_ms: 500,
            clock: Arc::clone(&clock) as _,
        };
        let (sender, mut rounds) = mpsc::channel(200);
        let collection = Collection::new(setup).unwrap();
        // No process is as small as this.
        let memory = quorate_common::quantity::Size::from_bytes(1);
        let budget = Some(BudgetConfig { cpu: super::super::Share(0), memory });
        let outlet = Outlet { rounds: sender, tap: None, budget };
        let mut schedule = Schedule::new(collection, 1000, Arc::clone(&clock) as _, outlet);
        for second in 1..=100 {
            clock.0.store(second * 1_000_000_000, std::sync::atomic::Ordering::SeqCst);
            assert_eq!(schedule.tick(), Ok(()));
        }
        let sent: Vec<Round> = std::iter::from_fn(|| rounds.try_recv().ok()).collect();
        for pair in sent.windows(2) {
            let apart_ms = pair[1].at.boot.since(pair[0].at.boot).as_millis() as u32;
            assert!((apart_ms..=apart_ms + 1).contains(&pair[0].next_due_ms), "{}", pair[0].next_due_ms);
        }
        let last = &sent[sent.len() - 2..];
        assert_eq!(last[1].at.boot.since(last[0].at.boot), Duration::from_secs(4));
        // Each interval is that of the group that is sampled: the series move along.
        let intervals: Vec<u32> =
            sent.iter().map(|round| round.groups[round.sampled[0] as usize].interval_ms).collect();
        for (pair, interval_ms) in sent.windows(2).zip(&intervals) {
            // The first of an interval is shorter: ticks are at whole intervals of the clock.
            assert!(pair[1].at.boot.since(pair[0].at.boot).as_millis() <= u128::from(*interval_ms));
        }
        let steps: BTreeSet<u32> = intervals.into_iter().collect();
        assert_eq!(steps.into_iter().collect::<Vec<_>>(), [1000, 2000, 4000]);
        let mut new = sent.iter().flat_map(|round| &round.registered);
        let step = new.rfind(|new| &*new.spec.metric.name == "quorate_agent_budget_step");
        assert_eq!(last[1].cells[step.unwrap().slot as usize], 3);
        assert_eq!((schedule.rounds.late, schedule.ticks.late), (0, 0));
    }

    #[tokio::test]
    async fn a_closed_queue_ends_the_program() {
        let (_sampling, rounds, shutdown) = begin(1);
        drop(rounds);
        tokio::time::timeout(Duration::from_secs(30), shutdown.asked()).await.unwrap();
        assert!(shutdown.finished(Duration::from_secs(30)).await);
    }

    #[tokio::test]
    async fn a_wrong_configuration_is_refused() {
        let config = Config { interval_ms: 0, ..Config::default() };
        let (sender, _rounds) = mpsc::channel(1);
        let error =
            start(&config, Path::new("/"), Arc::new(SystemClock), sender, &Shutdown::new()).unwrap_err();
        let expect =
            "failed to accept the configuration of sampling: `interval_ms` is 0, expected 100 to 60000";
        assert_eq!(quorate_common::error::chain(&error), expect);
    }
}
