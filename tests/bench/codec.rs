//! What the cell codec alone costs, on one thread: nanoseconds a sample, encoding and decoding.

use quorate_common::cell::{Decoder, EncodedFrame, Encoder, Form, FrameHead};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::series::Window;
use quorate_tests::swarm::mix::{Layout, Mix, Source};
use std::hint::black_box;
use std::sync::Arc;

/// Series of one node, as in the other figures.
const SERIES: usize = 500;
const TICKS: usize = 4_000;

/// Nanoseconds a sample.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// From cells to bytes.
    pub encode_ns: f64,
    /// From bytes to cells.
    pub decode_ns: f64,
}

/// Encodes and decodes the hard mix; drawing the data is not counted.
pub fn measure() -> anyhow::Result<Cost> {
    let source = Source::new(Arc::new(Layout::new(SERIES)), Mix::Hard, (2, 0));
    let forms: Vec<Form> = source.layout().specs()?.into_iter().map(|spec| spec.metric.form.into()).collect();
    let rows: Vec<Vec<i64>> = (1..=TICKS as u64)
        .map(|tick| {
            let mut row = Vec::new();
            source.fill(tick, &mut row);
            row
        })
        .collect();
    let samples = (SERIES * TICKS) as f64;

    let mut encoder = Encoder::new();
    encoder.register(0, Window::Short, &forms)?;
    let mut frames: Vec<EncodedFrame> = Vec::with_capacity(TICKS);
    let begin = SystemClock.now().boot;
    for (seq, row) in (1..).zip(&rows) {
        frames.push(encoder.encode(seq, Window::Short, &[0], row, false)?);
    }
    let encode_ns = SystemClock.now().boot.since(begin).as_nanos() as f64 / samples;

    let mut decoder = Decoder::new(SERIES as u32, 1);
    decoder.register(0, Window::Short, 0, &forms)?;
    let begin = SystemClock.now().boot;
    for (seq, frame) in (1..).zip(&frames) {
        let head = FrameHead { seq, predecessor: frame.predecessor, window: Window::Short };
        black_box(decoder.decode(head, &frame.groups, &frame.cells)?);
    }
    let decode_ns = SystemClock.now().boot.since(begin).as_nanos() as f64 / samples;
    anyhow::ensure!(Some(decoder.row()) == rows.last().map(Vec::as_slice), "the codec lost something");
    Ok(Cost { encode_ns, decode_ns })
}
