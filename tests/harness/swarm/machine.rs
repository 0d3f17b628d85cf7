//! A virtual agent as a machine without I/O and without a clock: a real one's session and spool, but that no tick is
//! kept, because any can be made again.
//!
//! ```text
//!              begin                  Welcome
//!   (closed) ────────→ greeting ────────────────→ live ──→ (closed: `begin` again)
//!                      Hello          Register, key frame of the oldest tick held,
//!                                     then every tick as it comes
//! ```
//!
//! Ticks are held until they are durable, and not more than a real agent holds: the oldest go first, and count.

use super::script::{Profile, Script, ScriptError};
use quorate_agent::session::ACK_DEADLINE;
use quorate_agent::spool;
use quorate_common::model::session::{Ack, AgentMessage, AggregatorMessage, RequestKind, SeqRange, Welcome};
use quorate_common::model::time::{BootTime, Now, WallTime};
use std::time::Duration;

/// What was received is durable this soon, or comes again in another session. A real agent sends it beside the session.
const DURABLE_DEADLINE: Duration = Duration::from_secs(15);

/// What a message of the aggregator means.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// The session is live.
    Welcome,
    /// Something was acknowledged.
    Ack,
    /// It asks to reconnect.
    Drain,
    /// It asks something that only a real agent can answer.
    Question,
}

/// Why a session cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The aggregator said something out of turn.
    #[error("the aggregator sent {0} out of turn")]
    OutOfTurn(&'static str),
    /// Nothing was acknowledged in time.
    #[error("no acknowledgement for {} s", ACK_DEADLINE.as_secs())]
    Silent,
    /// What was received does not become durable.
    #[error("nothing becomes durable for {} s", DURABLE_DEADLINE.as_secs())]
    Stuck,
    /// A frame could not be made.
    #[error(transparent)]
    Script(#[from] ScriptError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Greeting,
    /// Welcome, but nothing is registered yet.
    Unregistered,
    Live,
}

/// One virtual agent.
#[derive(Debug)]
pub struct Machine {
    script: Script,
    phase: Phase,
    /// When tick 1 is collected.
    first: Now,
    interval: Duration,
    held_max: u64,
    /// The oldest tick that is held.
    oldest: u64,
    /// The newest tick that was sent in this session, or that was durable before it.
    sent: u64,
    /// The newest tick that was ever sent.
    newest_sent: u64,
    /// All ticks up to this one were said to be durable.
    durable: u64,
    forgotten: u64,
    overflowed: u64,
    echo: u64,
    received: u64,
    waiting_since: Option<BootTime>,
    /// When something became durable, or nothing was left to.
    progress_at: BootTime,
}

impl Machine {
    /// A node whose tick 1 comes at `first`, in its start number `order`.
    pub fn new(profile: &Profile, (node, order): (u64, u64), first: Now) -> Machine {
        Machine {
            script: Script::new(profile, node, order),
            phase: Phase::Closed,
            first,
            interval: Duration::from_millis(profile.interval_ms.into()),
            held_max: spool::Config::default().ticks_max as u64,
            oldest: 1,
            sent: 0,
            newest_sent: 0,
            durable: 0,
            forgotten: 0,
            overflowed: 0,
            echo: 0,
            received: 0,
            waiting_since: None,
            progress_at: first.boot,
        }
    }

    /// A session begins; the message is the first to send.
    pub fn begin(&mut self, now: Now) -> AgentMessage {
        self.collect(now.boot);
        self.phase = Phase::Greeting;
        (self.echo, self.received) = (0, 0);
        self.waiting_since = Some(now.boot);
        let newest = self.collected(now.boot);
        let held = (self.oldest <= newest).then_some((self.oldest, newest));
        AgentMessage::Hello(self.script.hello(held, now))
    }

    /// The session is over.
    pub fn end(&mut self) {
        self.phase = Phase::Closed;
    }

    /// Takes a message of the aggregator.
    ///
    /// # Errors
    /// [`MachineError::OutOfTurn`].
    pub fn receive(&mut self, message: &AggregatorMessage, now: BootTime) -> Result<Heard, MachineError> {
        match (self.phase, message) {
            (Phase::Greeting, AggregatorMessage::Welcome(Welcome { durable, above, .. })) => {
                // What was durable once is durable for ever.
                self.forgotten += self.durable.saturating_sub(*durable);
                self.release(*durable, above);
                self.phase = Phase::Unregistered;
                self.sent = self.oldest - 1;
                (self.waiting_since, self.progress_at) = (None, now);
                Ok(Heard::Welcome)
            }
            (_, AggregatorMessage::Welcome(_)) => Err(MachineError::OutOfTurn("a welcome")),
            (Phase::Greeting | Phase::Closed, _) => Err(MachineError::OutOfTurn("a message")),
            (_, AggregatorMessage::Ack(Ack { echo, received, durable, above })) => {
                if *durable > self.durable || self.oldest > self.sent {
                    self.progress_at = now;
                }
                self.release(*durable, above);
                self.echo = *echo;
                self.received = self.received.max(*received);
                self.waiting_since = (self.received < self.sent).then_some(now);
                Ok(Heard::Ack)
            }
            (_, AggregatorMessage::Request(request)) if request.kind == RequestKind::Drain => {
                Ok(Heard::Drain)
            }
            (_, AggregatorMessage::Request(_)) => Ok(Heard::Question),
        }
    }

    /// The next message that is to be sent by now; `None` when there is none.
    ///
    /// # Errors
    /// [`MachineError::Script`].
    pub fn due(&mut self, now: BootTime) -> Result<Option<AgentMessage>, MachineError> {
        self.collect(now);
        match self.phase {
            Phase::Closed | Phase::Greeting => Ok(None),
            Phase::Unregistered => {
                self.phase = Phase::Live;
                Ok(Some(AgentMessage::Register(self.script.register()?)))
            }
            Phase::Live => {
                // What was pushed out meanwhile is not sent.
                let seq = self.oldest.max(self.sent + 1);
                if seq > self.collected(now) {
                    return Ok(None);
                }
                let mut frame = self.script.frame(seq, self.at(seq))?;
                frame.echo = self.echo;
                self.sent = seq;
                self.newest_sent = self.newest_sent.max(seq);
                self.waiting_since.get_or_insert(now);
                Ok(Some(AgentMessage::Frame(frame)))
            }
        }
    }

    /// Whether the aggregator has been silent, or its disk has failed, for too long.
    ///
    /// # Errors
    /// [`MachineError::Silent`] and [`MachineError::Stuck`].
    pub fn check(&self, now: BootTime) -> Result<(), MachineError> {
        match self.waiting_since {
            Some(since) if now.since(since) >= ACK_DEADLINE => Err(MachineError::Silent),
            _ if self.phase == Phase::Live
                && self.oldest <= self.sent
                && now.since(self.progress_at) >= DURABLE_DEADLINE =>
            {
                Err(MachineError::Stuck)
            }
            _ => Ok(()),
        }
    }

    /// When the tick after those collected by now comes.
    pub fn next(&self, now: BootTime) -> BootTime {
        self.at(self.collected(now) + 1).boot
    }

    /// The newest tick that was ever sent.
    pub fn newest_sent(&self) -> u64 {
        self.newest_sent
    }

    /// The newest tick that the aggregator has in this session.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Ticks that were pushed out before they were durable.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// All ticks up to this one were said to be durable.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Ticks that were said to be durable, and were not when the next session began.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Samples of each frame.
    pub fn series(&self) -> u64 {
        self.script.series()
    }

    /// The number of ticks so far.
    fn collected(&self, now: BootTime) -> u64 {
        if now < self.first.boot {
            return 0;
        }
        (now.since(self.first.boot).as_nanos() / self.interval.as_nanos()) as u64 + 1
    }

    /// When a tick is collected, on both clocks; from 1.
    fn at(&self, seq: u64) -> Now {
        let after = self.interval * u32::try_from(seq.saturating_sub(1)).unwrap_or(u32::MAX);
        let wall = self.first.wall.0.saturating_add(i64::try_from(after.as_nanos()).unwrap_or(i64::MAX));
        Now { boot: self.first.boot + after, wall: WallTime(wall) }
    }

    fn collect(&mut self, now: BootTime) {
        let oldest = (self.collected(now) + 1).saturating_sub(self.held_max);
        if oldest > self.oldest {
            self.overflowed += oldest - self.oldest;
            self.oldest = oldest;
        }
    }

    fn release(&mut self, durable: u64, above: &[SeqRange]) {
        self.durable = self.durable.max(durable);
        let known =
            |seq| seq <= durable || above.iter().any(|range| (range.first..=range.last).contains(&seq));
        // Nobody can know what was never sent.
        while self.oldest <= self.newest_sent && known(self.oldest) {
            self.oldest += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::mix::Mix;
    use super::*;
    use quorate_common::cell::{Decoder, FrameHead};
    use quorate_common::model::session::{Frame, Register};

    const SERIES: usize = 20;
    const START: u64 = 50_000_000_000;

    fn profile() -> Profile {
        Profile::new(1, Mix::Hard, SERIES)
    }

    fn machine() -> Machine {
        let first = Now { boot: BootTime(START), wall: WallTime(1_000_000_000_000) };
        Machine::new(&profile(), (4, 1), first)
    }

    /// So many seconds after tick 1.
    fn at(seconds: u64) -> BootTime {
        BootTime(START + seconds * 1_000_000_000)
    }

    fn now(seconds: u64) -> Now {
        Now { boot: at(seconds), wall: WallTime(0) }
    }

    fn welcome(durable: u64) -> AggregatorMessage {
        let aggregator = "a".into();
        AggregatorMessage::Welcome(Welcome {
            aggregator,
            wall_ns: 0,
            durable,
            above: Vec::new(),
            series_max: 9,
        })
    }

    fn ack(echo: u64, received: u64, durable: u64) -> AggregatorMessage {
        AggregatorMessage::Ack(Ack { echo, received, durable, above: Vec::new() })
    }

    fn all_due(machine: &mut Machine, seconds: u64) -> (Vec<Register>, Vec<Frame>) {
        let (mut registers, mut frames) = (Vec::new(), Vec::new());
        while let Some(message) = machine.due(at(seconds)).unwrap() {
            match message {
                AgentMessage::Register(register) => registers.push(register),
                AgentMessage::Frame(frame) => frames.push(frame),
                other => panic!("{other:?}"),
            }
        }
        (registers, frames)
    }

    fn live(machine: &mut Machine, seconds: u64, durable: u64) -> (Vec<Register>, Vec<Frame>) {
        let AgentMessage::Hello(hello) = machine.begin(now(seconds)) else { panic!("a hello comes first") };
        assert_eq!(hello.held.len(), 1);
        assert!(machine.due(at(seconds)).unwrap().is_none(), "nothing before the welcome");
        assert_eq!(machine.receive(&welcome(durable), at(seconds)).unwrap(), Heard::Welcome);
        all_due(machine, seconds)
    }

    #[test]
    fn what_it_sends_is_what_the_mix_says() {
        let mut machine = machine();
        let (registers, frames) = live(&mut machine, 3, 0);
        assert_eq!((registers.len(), frames.len()), (1, 4));
        let mut decoder = Decoder::new(100, 10);
        for group in &registers[0].groups {
            let forms: Vec<_> = group.series.iter().map(|spec| spec.metric.form.into()).collect();
            let window = quorate_common::model::series::Window::Short;
            decoder.register(group.group, window, group.first_index, &forms).unwrap();
        }
        let source = profile().source(4);
        for frame in frames {
            let window = frame.window.unwrap();
            let head = FrameHead { seq: frame.seq, predecessor: frame.predecessor, window };
            let samples = decoder.decode(head, &frame.groups, &frame.cells).unwrap().samples;
            assert_eq!((samples, frame.collected_total), (SERIES as u64, frame.seq * SERIES as u64));
            assert_eq!(frame.boot_ns, START + (frame.seq - 1) * 1_000_000_000);
            let expect: Vec<i64> = (0..SERIES).map(|index| source.cell(index, frame.seq)).collect();
            assert_eq!(decoder.row(), expect, "frame {}", frame.seq);
        }
    }

    #[test]
    fn a_later_session_sends_what_is_not_durable() {
        let mut machine = machine();
        assert_eq!(live(&mut machine, 4, 0).1.len(), 5);
        machine.receive(&ack(1, 5, 3), at(4)).unwrap();
        machine.end();
        let seqs = |frames: Vec<Frame>| frames.iter().map(|frame| frame.seq).collect::<Vec<_>>();
        let (registers, frames) = live(&mut machine, 6, 0);
        assert_eq!((registers.len(), frames[0].predecessor), (1, 0), "it begins with a key frame");
        assert_eq!(seqs(frames), [4, 5, 6, 7]);
        machine.end();
        assert_eq!(seqs(live(&mut machine, 7, 6).1), [7, 8]);
    }

    #[test]
    fn holds_no_more_than_a_real_agent() {
        let mut machine = machine();
        let held = machine.held_max;
        let (_, frames) = live(&mut machine, held + 9, 0);
        assert_eq!((frames[0].seq, frames.len() as u64), (11, held));
        assert_eq!(machine.overflowed(), 10);
    }

    #[test]
    fn gives_up_a_silent_aggregator_and_no_other() {
        let mut machine = machine();
        live(&mut machine, 0, 0);
        assert!(machine.check(at(9)).is_ok());
        assert!(machine.check(at(10)).is_err());
        machine.receive(&ack(1, 1, 1), at(9)).unwrap();
        assert!(machine.check(at(100)).is_ok(), "all is acknowledged");
        let (_, frames) = all_due(&mut machine, 10);
        assert_eq!(frames[0].echo, 1);
        assert!(machine.check(at(19)).is_ok() && machine.check(at(20)).is_err());
        assert!(machine.receive(&welcome(0), at(20)).is_err(), "one welcome a session");
    }

    #[test]
    fn begins_anew_when_nothing_becomes_durable() {
        let mut machine = machine();
        live(&mut machine, 0, 0);
        for second in 1..=14 {
            all_due(&mut machine, second);
            machine.receive(&ack(second, second + 1, 0), at(second)).unwrap();
            assert!(machine.check(at(second)).is_ok(), "{second}");
        }
        assert!(matches!(machine.check(at(15)), Err(MachineError::Stuck)));
        machine.receive(&ack(15, 15, 1), at(15)).unwrap();
        assert!(machine.check(at(16)).is_ok());
    }

    #[test]
    fn notices_what_an_aggregator_forgot() {
        let mut machine = machine();
        live(&mut machine, 4, 0);
        machine.receive(&ack(1, 5, 4), at(4)).unwrap();
        machine.end();
        live(&mut machine, 5, 4);
        assert_eq!((machine.durable(), machine.forgotten()), (4, 0));
        machine.end();
        live(&mut machine, 6, 1);
        assert_eq!((machine.durable(), machine.forgotten()), (4, 3));
    }
}
