//! What a session does with good agents and with bad ones.

use super::*;
use crate::agents::delivery::Cause;
use crate::store::embedded::Embedded;
use crate::store::live::Live;
use crate::store::{Sample, Select};
use quorate_common::cell::{Encoder, Form};
use quorate_common::model::label::Labels;
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, SeriesSpec, Window};
use quorate_common::model::session::{Held, SeqRange};

const SECOND: u64 = 1_000_000_000;
/// Our wall clock at boot time 0; the agent booted 1000 s before us and its wall clock is 3 s ahead.
const WALL: i64 = 1_800_000_000 * SECOND as i64;
const AGENT_BOOT: u64 = 1_000 * SECOND;
const SKEW_MS: i64 = 3_000;

/// A session, and an agent that speaks to it.
struct Rig {
    session: Session,
    node: NodeHandle,
    store: Arc<Embedded>,
    limits: Limits,
    encoder: Encoder,
    seq: u64,
    collected: u64,
    seconds: u64,
}

fn at(seconds: u64) -> Now {
    Now { boot: BootTime(seconds * SECOND), wall: WallTime(WALL + (seconds * SECOND) as i64) }
}

fn spec(name: &str) -> SeriesSpec {
    let metric = Metric { name: name.into(), kind: MetricKind::Gauge, form: CellForm::COUNT };
    SeriesSpec { metric, labels: Labels::default() }
}

fn hello(seconds: u64, held: &[Held]) -> Hello {
    Hello {
        protocol: PROTOCOL,
        epoch: EPOCH,
        boot_id: [1; 16],
        boot_ns: AGENT_BOOT + seconds * SECOND,
        wall_ns: at(seconds).wall.0 + SKEW_MS * 1_000_000,
        interval_ms: 1000,
        held: held.to_vec(),
        facts: HostFacts::default(),
    }
}

const EPOCH: Epoch = Epoch { order: 1, nonce: 1 };

impl Rig {
    fn new(limits: Limits) -> Rig {
        let store = Arc::new(Embedded::default());
        let row = Live::default().row(NodeId(1), &"n1".parse().unwrap());
        let node =
            NodeHandle { id: NodeId(1), row, delivery: Arc::new(Delivery::new(NodeId(1), store.clone())) };
        let session = Session::new(node.clone(), store.clone(), "a".into(), limits, at(0));
        Rig { session, node, store, limits, encoder: Encoder::new(), seq: 0, collected: 0, seconds: 0 }
    }

    /// Says Hello and registers gauges `g0`, `g1` … in one group.
    fn live(limits: Limits, series: u32) -> Rig {
        let mut rig = Rig::new(limits);
        rig.begin(series);
        rig
    }

    /// Begins a session of the same agent on the same store; the answer is its welcome.
    fn begin(&mut self, series: u32) -> Welcome {
        self.session =
            Session::new(self.node.clone(), self.store.clone(), "a".into(), self.limits, at(self.seconds));
        self.encoder = Encoder::new();
        let step = self.send(AgentMessage::Hello(hello(self.seconds, &[]))).unwrap();
        let Step::Opened { welcome: AggregatorMessage::Welcome(welcome), .. } = step else {
            panic!("{step:?}")
        };
        let forms = vec![Form::Integer; series as usize];
        self.encoder.register(0, Window::Short, &forms).unwrap();
        let group = RegisterGroup {
            group: 0,
            collector: "test".into(),
            interval_ms: 1000,
            class: SeriesClass::System,
            first_index: 0,
            series: (0..series).map(|at| spec(&format!("g{at}"))).collect(),
        };
        self.send(AgentMessage::Register(Register { groups: vec![group], retire: vec![] })).unwrap();
        welcome
    }

    fn send(&mut self, message: AgentMessage) -> Result<Step, Refusal> {
        self.session.receive(message, at(self.seconds))
    }

    /// The next frame, a second later.
    fn frame(&mut self, row: &[i64]) -> Frame {
        self.seconds += 1;
        self.seq += 1;
        self.collected += row.len() as u64;
        let encoded = self.encoder.encode(self.seq, Window::Short, &[0], row, false).unwrap();
        Frame {
            seq: self.seq,
            predecessor: encoded.predecessor,
            window: Some(Window::Short),
            boot_ns: AGENT_BOOT + self.seconds * SECOND,
            wall_ns: at(self.seconds).wall.0 + SKEW_MS * 1_000_000,
            next_due_ms: 1000,
            collected_total: self.collected,
            echo: 0,
            groups: encoded.groups,
            cells: encoded.cells,
        }
    }

    fn tick(&mut self, row: &[i64]) -> Result<Step, Refusal> {
        let frame = self.frame(row);
        self.send(AgentMessage::Frame(frame))
    }

    fn newest(&self) -> Vec<f64> {
        self.node.row.newest(WallTime(0), &|_| true).iter().map(|newest| newest.value).collect()
    }

    fn samples(&self, name: &str) -> Vec<Sample> {
        let found = self.store.find(NodeId(1), &|spec| &*spec.metric.name == name);
        let ids: Vec<_> = found.iter().map(|(id, _)| *id).collect();
        self.store.samples(NodeId(1), &ids, WallTime(0), WallTime(i64::MAX)).remove(0)
    }
}

fn ack(step: Step) -> Ack {
    match step {
        Step::Reply(AggregatorMessage::Ack(ack)) => ack,
        other => panic!("{other:?}"),
    }
}

#[test]
fn frames_become_newest_values_and_history_on_our_time_line() {
    let mut rig = Rig::live(Limits::default(), 2);
    for value in 1..=3 {
        rig.tick(&[value, 7]).unwrap();
    }
    assert_eq!(rig.newest(), [3.0, 7.0]);
    let samples: Vec<_> = rig.samples("g0").iter().map(|s| (s.at, s.value)).collect();
    assert_eq!(samples, [1, 2, 3].map(|n| (at(n).wall, n as f64)));
    let heard = rig.node.row.facts();
    assert_eq!((heard.frames, heard.skew_ms, heard.last_frame), (3, SKEW_MS, Some(at(3))));
    let counts = rig.node.delivery.counts();
    assert_eq!((counts.collected, counts.stored, counts.open()), (6, 6, 0));
}

#[test]
fn acknowledges_every_few_seconds_and_every_64_frames() {
    let mut rig = Rig::live(Limits::default(), 1);
    assert_eq!(ack(rig.tick(&[1]).unwrap()), Ack { echo: 1, received: 1, durable: 1, above: vec![] });
    for value in 2..=4 {
        assert!(matches!(rig.tick(&[value]), Ok(Step::Quiet)), "the next one comes soon enough");
    }
    assert_eq!(ack(rig.tick(&[5]).unwrap()).received, 5);
    for _ in 0..63 {
        let frame = rig.frame(&[3]);
        rig.seconds -= 1;
        assert!(matches!(rig.send(AgentMessage::Frame(frame)), Ok(Step::Quiet)));
    }
    let frame = rig.frame(&[3]);
    rig.seconds -= 1;
    assert_eq!(ack(rig.send(AgentMessage::Frame(frame)).unwrap()).received, 69);
    let last = Frame { next_due_ms: 20_000, ..rig.frame(&[4]) };
    assert_eq!(ack(rig.send(AgentMessage::Frame(last)).unwrap()).received, 70, "the next one comes late");
}

#[test]
fn what_is_over_the_quota_is_decoded_dropped_and_counted() {
    let limits = Limits { series_per_node_max: 2, ..Limits::default() };
    let mut rig = Rig::live(limits, 3);
    rig.tick(&[1, 2, 3]).unwrap();
    rig.tick(&[4, 5, 6]).unwrap();
    assert_eq!(rig.newest(), [4.0, 5.0]);
    let counts = rig.node.delivery.counts();
    assert_eq!((counts.collected, counts.stored, counts.dropped[&Cause::Quota]), (6, 4, 2));
    let many = Register {
        groups: vec![RegisterGroup {
            group: 0,
            collector: "test".into(),
            interval_ms: 1000,
            class: SeriesClass::System,
            first_index: 3,
            series: (3..6).map(|at| spec(&format!("g{at}"))).collect(),
        }],
        retire: vec![],
    };
    let refusal = rig.send(AgentMessage::Register(many)).unwrap_err();
    assert_eq!(refusal.kind(), Kind::Invalid, "{refusal}");
}

#[test]
fn a_series_that_ends_makes_room_and_has_no_newest_value() {
    let limits = Limits { series_per_node_max: 2, ..Limits::default() };
    let mut rig = Rig::live(limits, 2);
    rig.tick(&[1, 2]).unwrap();
    rig.encoder.retire(0).unwrap();
    rig.send(AgentMessage::Register(Register { groups: vec![], retire: vec![0] })).unwrap();
    assert_eq!(rig.newest(), [1.0, 2.0], "it might begin again in this tick");
    rig.encoder.register(0, Window::Short, &[Form::Integer]).unwrap();
    let later = RegisterGroup {
        group: 0,
        collector: "test".into(),
        interval_ms: 1000,
        class: SeriesClass::System,
        first_index: 2,
        series: vec![spec("late")],
    };
    rig.send(AgentMessage::Register(Register { groups: vec![later], retire: vec![] })).unwrap();
    rig.collected -= 1;
    rig.tick(&[0, 5, 6]).unwrap();
    assert_eq!(rig.newest(), [5.0, 6.0]);
    let counts = rig.node.delivery.counts();
    assert_eq!((counts.collected, counts.stored, counts.open()), (4, 4, 0));
    assert_eq!(rig.samples("g0").len(), 1, "what ended is not sampled again");
}

#[test]
fn a_frame_that_does_not_fit_leaves_no_trace() {
    let mut rig = Rig::live(Limits::default(), 1);
    rig.tick(&[1]).unwrap();
    let lost = rig.frame(&[2]);
    let next = rig.frame(&[3]);
    let refusal = rig.send(AgentMessage::Frame(next)).unwrap_err();
    assert_eq!(refusal.to_string(), "failed to decode frame 3");
    assert_eq!(rig.newest(), [1.0]);
    assert_eq!(rig.samples("g0").len(), 1);
    assert_eq!(rig.node.delivery.counts().collected, 1);
    assert_eq!(lost.seq, 2);
    let falling = Frame { collected_total: 0, ..rig.frame(&[4]) };
    rig.begin(1);
    let key = rig.encoder.encode(falling.seq, Window::Short, &[0], &[4], true).unwrap();
    let falling = Frame { predecessor: 0, groups: key.groups, cells: key.cells, ..falling };
    let refusal = rig.send(AgentMessage::Frame(falling)).unwrap_err();
    assert_eq!(refusal.to_string(), "failed to count frame 4");
    assert_eq!(rig.samples("g0").len(), 1);
}

#[test]
fn a_later_session_is_told_what_is_known_and_counts_nothing_twice() {
    let mut rig = Rig::live(Limits::default(), 1);
    rig.tick(&[1]).unwrap();
    rig.tick(&[2]).unwrap();
    let welcome = rig.begin(1);
    assert_eq!((welcome.durable, welcome.above), (2, Vec::<SeqRange>::new()));
    rig.seq = 1;
    rig.collected = 1;
    rig.seconds = 1;
    rig.tick(&[2]).unwrap();
    rig.tick(&[3]).unwrap();
    let counts = rig.node.delivery.counts();
    assert_eq!((counts.collected, counts.stored, counts.open()), (3, 3, 0));
    let samples: Vec<_> = rig.samples("g0").iter().map(|s| (s.at, s.value)).collect();
    assert_eq!(samples, [1, 2, 3].map(|n| (at(n).wall, n as f64)), "a frame that came twice is there once");
}

#[test]
fn frames_that_never_came_are_declared() {
    let mut rig = Rig::live(Limits::default(), 1);
    rig.tick(&[1]).unwrap();
    (rig.seq, rig.collected) = (5, 5);
    rig.begin(1);
    rig.tick(&[9]).unwrap();
    let counts = rig.node.delivery.counts();
    assert_eq!((counts.collected, counts.stored, counts.dropped[&Cause::Node]), (6, 2, 4));
    assert_eq!(rig.node.delivery.durable(EPOCH), (6, vec![]));
}

#[test]
fn says_what_comes_out_of_turn_or_too_often() {
    let mut rig = Rig::new(Limits::default());
    let frame = Frame { seq: 1, ..Frame::default() };
    let check = |result: Result<Step, Refusal>, expect: &str| {
        assert_eq!(result.map(drop).unwrap_err().to_string(), expect);
    };
    check(rig.send(AgentMessage::Frame(frame.clone())), "hello must come first");
    let old = Hello { protocol: 0, ..hello(0, &[]) };
    check(rig.send(AgentMessage::Hello(old)), "agent protocol 0 is not supported, need 2, upgrade the agent");
    rig.send(AgentMessage::Hello(hello(0, &[]))).unwrap();
    check(rig.send(AgentMessage::Hello(hello(0, &[]))), "hello came twice");
    rig.send(AgentMessage::Frame(frame.clone())).unwrap();
    check(rig.send(AgentMessage::Frame(frame.clone())), "frame is older than the one before it");
    let long = Frame { seq: 2, cells: vec![0; 300_000].into(), ..frame };
    check(rig.send(AgentMessage::Frame(long)), "frame 2: 300000 bytes, limit 262144");

    let limits = Limits { messages_burst_max: 2, messages_per_s_max: 1, ..Limits::default() };
    let mut rig = Rig::live(limits, 1);
    let frame = rig.frame(&[1]);
    rig.seconds = 0;
    let refusal = rig.send(AgentMessage::Frame(frame)).unwrap_err();
    assert_eq!(
        (refusal.to_string().as_str(), refusal.kind()),
        ("more than 1 messages a second", Kind::Exhausted)
    );
}
