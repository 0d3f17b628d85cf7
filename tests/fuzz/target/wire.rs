//! What comes over a session, from either side: messages, registrations, frames, answers, statuses.

use super::{Pieces, Target, ended, pieces, then, way};
use prost::Message;
use quorate_agent::session::{Holding, Introduction, Session as AgentSession};
use quorate_agent::spool::{Config, Spool};
use quorate_aggregator::agents::delivery::Delivery;
use quorate_aggregator::limit::AgentLimits as Limits;
use quorate_aggregator::receive::backfill::Backfill;
use quorate_aggregator::receive::session::{NodeHandle, Session};
use quorate_aggregator::store::embedded::Embedded;
use quorate_aggregator::store::live::Live;
use quorate_aggregator::store::{Select, SeriesId};
use quorate_common::cell::{CellError, Decoder, Encoder, Form, FrameHead};
use quorate_common::error::chain;
use quorate_common::model::backfill::{self, LossCause};
use quorate_common::model::label::Labels;
use quorate_common::model::node::{HostFacts, NodeId};
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, SeriesSpec, Window};
use quorate_common::model::session::{
    Ack, AgentMessage, AggregatorMessage, ByeReason, Epoch, Frame, Held, Hello, PROTOCOL, Rate,
    RecorderRange, Register, RegisterGroup, Request, RequestKind, Response, ResponseBody, SeqRange, Welcome,
};
use quorate_common::model::time::{BootTime, Now, WallTime};
use quorate_common::pack::pack;
use quorate_proto::convert::{ConvertError, RegisterLimits, SessionReader, SessionWriter};
use quorate_proto::v1;
use std::sync::Arc;
use tonic::{Code, Status};

pub fn targets() -> Vec<Target> {
    vec![
        Target { name: "cells", run: cells, seeds: cell_seeds, words: CELL_WORDS },
        Target { name: "session_up", run: session_up, seeds: up_seeds, words: &[] },
        Target { name: "session_down", run: session_down, seeds: down_seeds, words: &[] },
        Target { name: "backfill", run: backfill, seeds: backfill_seeds, words: &[] },
        Target { name: "answer", run: answer, seeds: answer_seeds, words: &[] },
        Target {
            name: "status",
            run: status,
            seeds: status_seeds,
            words: &[b"type.googleapis.com/google.rpc.BadRequest"],
        },
    ]
}

const NOW: Now = Now { boot: BootTime(9_000_000_000_000), wall: WallTime(1_795_203_000_125_000_000) };
/// Small, so that every limit is met.
const SERIES_MAX: u32 = 40;

fn window(byte: u8) -> Window {
    [Window::Short, Window::Medium, Window::Long][usize::from(byte) % 3]
}

// ── the cell codec: a script of registrations, retirements and frames ──

const CELL_WORDS: &[&[u8]] =
    &[b"\x05\x00r\x00\x00\x00\x00", b"\x05\x00t\x00\x00\x00\x00", b"\x03\x00f\x01\x00"];

/// Each piece is one thing that a stranger may say; a refused one changes nothing.
fn cells(input: &[u8]) -> u64 {
    let mut decoder = Decoder::new(SERIES_MAX, 8);
    let mut ways = 0_u64;
    for piece in Pieces(input).take(64) {
        let (row, sampled) =
            (decoder.row().to_vec(), (0..9).map(|group| decoder.sampled(group)).collect::<Vec<_>>());
        let said = say(&mut decoder, piece);
        if let Err(error) = &said {
            assert_eq!(decoder.row(), row, "changed by what was refused: {error}");
            let now = (0..9).map(|group| decoder.sampled(group)).collect::<Vec<_>>();
            assert_eq!(now, sampled, "changed by what was refused: {error}");
        }
        assert!(decoder.row().len() <= SERIES_MAX as usize);
        ways = then(ways, ended(&said, |samples| *samples));
    }
    ways
}

fn say(decoder: &mut Decoder, piece: &[u8]) -> Result<usize, CellError> {
    let number =
        |bytes: &[u8]| bytes.iter().take(8).rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    match piece {
        [b'r', group, wide, rest @ ..] => {
            let (first, forms) = rest.split_at(rest.len().min(1));
            let form = |byte: &u8| if byte & 1 == 0 { Form::Integer } else { Form::Float };
            let forms: Vec<Form> = forms.iter().map(form).collect();
            decoder.register(u32::from(*group), window(*wide), number(first) as u32, &forms).map(|()| 0)
        }
        [b't', index @ ..] => decoder.retire(number(index) as u32).map(|()| 0),
        [b'f', seq, predecessor, wide, groups, rest @ ..] => {
            let (groups, cells) = rest.split_at(rest.len().min(usize::from(*groups)));
            let (seq, predecessor) = (u64::from(*seq), u64::from(*predecessor));
            let decoded =
                decoder.decode(FrameHead { seq, predecessor, window: window(*wide) }, groups, cells)?;
            assert!(decoded.groups.is_sorted() && decoded.changed.is_sorted_by(|a, b| a.0 < b.0));
            let (changed, samples) = (decoded.changed.to_vec(), decoded.samples);
            assert!(changed.len() as u64 <= samples, "more cells than samples");
            assert!(changed.iter().all(|(index, cell)| decoder.row()[*index as usize] == *cell));
            Ok(samples as usize)
        }
        _ => Ok(0),
    }
}

fn cell_seeds() -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new();
    let mut script = Vec::new();
    for (group, forms) in [(0_u8, vec![0_u8, 1, 0, 0]), (1, vec![1, 1]), (0, vec![0])] {
        let first = script
            .iter()
            .filter(|piece: &&Vec<u8>| piece[0] == b'r')
            .map(|piece| piece.len() - 4)
            .sum::<usize>();
        let of = |byte: &u8| if byte & 1 == 0 { Form::Integer } else { Form::Float };
        encoder.register(u32::from(group), Window::Short, &forms.iter().map(of).collect::<Vec<_>>()).unwrap();
        script.push([&[b'r', group, 0, first as u8][..], &forms].concat());
    }
    let mut row = vec![0_i64; 7];
    for seq in 1..=6_u64 {
        row.iter_mut().zip(1..).for_each(|(cell, by)| *cell += by * by * 1000 * seq.cast_signed());
        row[1] = (seq as f64 * 0.3).to_bits().cast_signed();
        let groups: &[u32] = if seq % 2 == 0 { &[0] } else { &[0, 1] };
        let encoded = encoder.encode(seq, Window::Short, groups, &row, seq == 1 || seq == 5).unwrap();
        let head = [b'f', seq as u8, encoded.predecessor as u8, 0, encoded.groups.len() as u8];
        script.push([&head[..], &encoded.groups, &encoded.cells].concat());
        if seq == 3 {
            encoder.retire(2).unwrap();
            script.push(vec![b't', 2]);
        }
    }
    vec![pieces(&script), pieces(&script[..4])]
}

// ── agent to aggregator: the bytes of messages, through the converter, into the machine and the store ──

fn reader() -> SessionReader {
    SessionReader::new(RegisterLimits { series_max: SERIES_MAX as usize * 2 })
}

/// A session as it is read, and as what was read is written and read again.
struct Up {
    reader: SessionReader,
    writer: SessionWriter,
    again: SessionReader,
}

impl Up {
    fn new() -> Up {
        Up { reader: reader(), writer: SessionWriter::default(), again: reader() }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<AgentMessage, String> {
        let message = v1::SessionRequest::decode(bytes).map_err(|error| error.to_string())?;
        let message = self.reader.read(message).map_err(|error| error.to_string())?;
        let again = self.again.read(self.writer.write(message.clone()));
        assert_eq!(again.as_ref().map(sorted), Ok(sorted(&message)), "what was read can be written and read");
        Ok(message)
    }
}

/// The order in which series end is not carried.
fn sorted(message: &AgentMessage) -> AgentMessage {
    let mut message = message.clone();
    if let AgentMessage::Register(register) = &mut message {
        register.retire.sort_unstable();
    }
    message
}

fn session_up(input: &[u8]) -> u64 {
    let (id, live, store) = (NodeId(1), Live::default(), Arc::new(Embedded::default()));
    let delivery = Arc::new(Delivery::new(id, store.clone()));
    let handle = NodeHandle { id, row: live.row(id, &"n1".parse().unwrap()), delivery: delivery.clone() };
    let limits = Limits { series_per_node_max: SERIES_MAX, groups_max: 8, ..Limits::default() };
    let mut session = Session::new(handle, store.clone(), "agg".into(), limits, NOW);
    let (mut up, mut ways) = (Up::new(), 0_u64);
    for piece in Pieces(input).take(64) {
        let taken = up
            .read(piece)
            .and_then(|message| session.receive(message, NOW).map_err(|refusal| chain(&refusal)));
        ways = then(ways, ended(&taken, |_| 1));
        if taken.is_err() {
            break;
        }
    }
    let counts = delivery.counts();
    let dropped: u64 = counts.dropped.values().sum();
    assert!(
        counts.stored.saturating_add(dropped) <= counts.collected,
        "more came of it than was collected: {counts:?}"
    );
    // What was taken can be read.
    let found: Vec<SeriesId> = store.find(id, &|_| true).into_iter().map(|(series, _)| series).collect();
    assert!(found.len() <= SERIES_MAX as usize * 2, "{} series", found.len());
    let samples = store.samples(id, &found, WallTime(i64::MIN), WallTime(i64::MAX));
    ways ^ samples.iter().map(Vec::len).sum::<usize>() as u64
}

fn spec(name: &str, labels: &[(&str, &str)], form: CellForm) -> SeriesSpec {
    let metric = Metric { name: name.into(), kind: MetricKind::Counter, form };
    SeriesSpec { metric, labels: Labels::new(labels.iter().copied()).unwrap() }
}

fn hello() -> Hello {
    let epoch = Epoch { order: 3, nonce: 7 };
    Hello {
        protocol: PROTOCOL,
        epoch,
        boot_id: [7; 16],
        boot_ns: NOW.boot.0,
        wall_ns: NOW.wall.0,
        interval_ms: 1000,
        held: vec![Held { epoch, first: 1, last: 9 }],
        facts: HostFacts { hostname: "h".into(), missing_rights: vec!["x".into()], ..HostFacts::default() },
    }
}

fn register() -> Register {
    let series = vec![
        spec(
            "node_cpu_seconds_total",
            &[("cpu", "0"), ("mode", "idle")],
            CellForm::Integer { scale: 2, unit: 1 },
        ),
        spec("node_scrape_collector_success", &[("collector", "cpu")], CellForm::COUNT),
        spec("node_load1", &[], CellForm::Float),
    ];
    let group = RegisterGroup {
        group: 0,
        collector: "cpu".into(),
        interval_ms: 1000,
        class: SeriesClass::System,
        first_index: 0,
        series,
    };
    Register { groups: vec![group], retire: Vec::new() }
}

/// The first frames of what [`register`] begins.
fn frames(count: u64) -> Vec<AgentMessage> {
    let mut encoder = Encoder::new();
    encoder.register(0, Window::Short, &[Form::Integer, Form::Integer, Form::Float]).unwrap();
    let frame = |seq: u64| {
        let row = [100 * seq.cast_signed(), 1, (seq as f64).to_bits().cast_signed()];
        let encoded = encoder.encode(seq, Window::Short, &[0], &row, seq == 1).unwrap();
        AgentMessage::Frame(Frame {
            seq,
            predecessor: encoded.predecessor,
            window: Some(Window::Short),
            boot_ns: NOW.boot.0 + seq * 1_000_000_000,
            wall_ns: NOW.wall.0,
            next_due_ms: 1000,
            collected_total: 3 * seq,
            echo: 0,
            groups: encoded.groups,
            cells: encoded.cells,
        })
    };
    (1..=count).map(frame).collect()
}

fn up_seeds() -> Vec<Vec<u8>> {
    let mut messages = vec![AgentMessage::Hello(hello()), AgentMessage::Register(register())];
    messages.extend(frames(5));
    let heartbeat = Frame { seq: 6, collected_total: 15, next_due_ms: 1000, ..Frame::default() };
    messages.push(AgentMessage::Frame(heartbeat));
    messages.push(AgentMessage::Register(Register { groups: Vec::new(), retire: vec![1] }));
    messages.push(AgentMessage::Bye(ByeReason::Drain));
    let mut writer = SessionWriter::default();
    let all: Vec<Vec<u8>> =
        messages.into_iter().map(|message| writer.write(message).encode_to_vec()).collect();
    vec![pieces(&all), pieces(&all[..4])]
}

// ── what is sent of earlier ──

/// The bytes of a message as they come, or, behind a `p`, those of a piece before it was packed.
fn backfill(input: &[u8]) -> u64 {
    let (id, store) = (NodeId(1), Arc::new(Embedded::default()));
    let delivery = Arc::new(Delivery::new(id, store.clone()));
    let epoch = Epoch { order: 3, nonce: 7 };
    delivery.begin(epoch, &[Held { epoch, first: 1, last: 9 }]);
    let limits = Limits { series_per_node_max: SERIES_MAX, groups_max: 8, ..Limits::default() };
    let mut backfill = Backfill::new(id, delivery.clone(), store.clone(), limits);
    let mut ways = 0_u64;
    for piece in Pieces(input).take(16) {
        let message = match piece.split_first() {
            Some((b'p', bytes)) => {
                let packed = pack(bytes).unwrap().into();
                Ok(backfill::Backfill::Piece(backfill::Piece { epoch, boot_id: [7; 16], packed }))
            }
            _ => v1::BackfillRequest::decode(piece)
                .map_err(|error| error.to_string())
                .and_then(|message| message.try_into().map_err(|error: ConvertError| error.to_string())),
        };
        let known = message.map(|message| {
            let taken = backfill.receive(message, NOW.wall);
            backfill.known(taken)
        });
        ways = then(ways, ended(&known, |known| usize::from(known.refused.is_some())));
        let counts = delivery.counts();
        let dropped: u64 = counts.dropped.values().sum();
        assert!(
            counts.stored.saturating_add(dropped) <= counts.collected,
            "more than was collected: {counts:?}"
        );
    }
    let found: Vec<SeriesId> = store.find(id, &|_| true).into_iter().map(|(series, _)| series).collect();
    let samples = store.samples(id, &found, WallTime(i64::MIN), WallTime(i64::MAX));
    ways ^ samples.iter().map(Vec::len).sum::<usize>() as u64
}

fn backfill_seeds() -> Vec<Vec<u8>> {
    let mut writer = SessionWriter::default();
    let messages = std::iter::once(AgentMessage::Register(register())).chain(frames(4));
    let bytes: Vec<u8> = messages.flat_map(|message| writer.bytes(message)).collect();
    let epoch = Epoch { order: 3, nonce: 7 };
    let packed = pack(&bytes).unwrap().into();
    let loss = backfill::Loss { epoch, first: 5, last: 7, collected_total: 21, cause: LossCause::Damaged };
    let messages = [
        backfill::Backfill::Piece(backfill::Piece { epoch, boot_id: [7; 16], packed }),
        backfill::Backfill::Loss(loss),
    ];
    let messages = messages.map(|message| v1::BackfillRequest::from(message).encode_to_vec());
    vec![pieces(&messages), pieces(&[[&b"p"[..], &bytes].concat(), messages[1].clone()])]
}

// ── aggregator to agent ──

fn read_down(bytes: &[u8]) -> Result<AggregatorMessage, String> {
    let message = v1::SessionResponse::decode(bytes).map_err(|error| error.to_string())?;
    message.try_into().map_err(|error: quorate_proto::convert::ConvertError| error.to_string())
}

fn session_down(input: &[u8]) -> u64 {
    let mut spool = Spool::new(Config { ticks_max: 12, ..Config::default() });
    let facts = HostFacts::default();
    let me = Introduction { epoch: Epoch { order: 1, nonce: 2 }, boot_id: [1; 16], interval_ms: 1000, facts };
    let (mut session, _) = AgentSession::begin(&me, Holding::of(me.epoch, &spool), NOW);
    let mut ways = 0_u64;
    for piece in Pieces(input).take(64) {
        let taken = read_down(piece).and_then(|message| {
            session.receive(message, &mut spool, NOW).map_err(|error| chain(&error))?;
            session.due(&spool, NOW).map_err(|error| chain(&error))
        });
        ways = then(ways, ended(&taken, Vec::len));
        if taken.is_err() {
            break;
        }
    }
    ways
}

fn down_seeds() -> Vec<Vec<u8>> {
    let above = vec![SeqRange { first: 4, last: 6 }, SeqRange { first: 9, last: 9 }];
    let rate = Some(Rate { collector: "cpu".into(), interval_ms: 100, for_ms: 60_000 });
    let range = Some(RecorderRange { metric: "node_load1".into(), seconds: 60 });
    let request = |kind, rate, range| {
        AggregatorMessage::Request(Request { id: 3, kind, deadline_ms: 5000, rate, range })
    };
    let messages = [
        AggregatorMessage::Welcome(Welcome {
            aggregator: "agg".into(),
            wall_ns: NOW.wall.0,
            durable: 2,
            above: above.clone(),
            series_max: 20_000,
        }),
        AggregatorMessage::Ack(Ack { echo: 1, received: 3, durable: 2, above }),
        request(RequestKind::ProcessTable, None, None),
        request(RequestKind::SetRate, rate, None),
        request(RequestKind::Recorder, None, range),
        request(RequestKind::Drain, None, None),
    ];
    let all: Vec<Vec<u8>> =
        messages.into_iter().map(|message| v1::SessionResponse::from(message).encode_to_vec()).collect();
    vec![pieces(&all), pieces(&all[..2])]
}

// ── answers and statuses ──

fn answer(input: &[u8]) -> u64 {
    let read = v1::AnswerRequest::decode(input)
        .map_err(|error| error.to_string())
        .and_then(|message| Response::try_from(message).map_err(|error| error.to_string()));
    ended(&read, |response| match &response.body {
        ResponseBody::Processes(rows) => rows.len(),
        ResponseBody::Recording(series) => series.iter().map(|series| series.samples.len()).sum(),
        ResponseBody::Done => 0,
        ResponseBody::Failed(reason) => reason.len(),
    })
}

fn answer_seeds() -> Vec<Vec<u8>> {
    let process = v1::Process {
        pid: 7,
        name: "nginx".into(),
        read_bytes: Some(5),
        cpu_percent: 1.5,
        ..Default::default()
    };
    let recorded = v1::RecordedSeries {
        metric: "node_load1".into(),
        counter: false,
        labels: vec!["a".into(), "b".into()],
        wall_ns: vec![NOW.wall.0, NOW.wall.0 + 1],
        values: vec![1.5, f64::NAN],
    };
    use v1::answer_request::Body;
    let bodies = [
        Body::Processes(v1::ProcessTable { rows: vec![process.clone(), process] }),
        Body::Recording(v1::Recording { series: vec![recorded.clone(), recorded] }),
        Body::Done(v1::Done {}),
        Body::Failed("no".into()),
    ];
    let answer = |body| v1::AnswerRequest { id: 3, part: 0, last: true, body: Some(body) };
    bodies.into_iter().map(|body| answer(body).encode_to_vec()).collect()
}

/// What an aggregator attaches to a refusal, as a client reads it.
fn status(input: &[u8]) -> u64 {
    let status = Status::with_details(Code::InvalidArgument, "no", bytes::Bytes::copy_from_slice(input));
    quorate_proto::status::fields(&status)
        .iter()
        .map(|(field, problem)| way(field) ^ way(problem))
        .sum::<u64>()
}

fn status_seeds() -> Vec<Vec<u8>> {
    vec![quorate_proto::status::field("page_size", "field `page_size`: 1001, limit 1000").details().to_vec()]
}
