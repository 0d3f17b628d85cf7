//! Made-up data of a host, the same from the same seed. It knows no wire and no encoding.
//!
//! The *hard* mix is shaped after node_exporter as our peers were measured with it: 46 % constant, 31 % integer
//! counters, 14 % CPU-second counters, 7 % byte gauges, 3 % float gauges (they add up to 101), and every series
//! that is not constant moves each tick. In the *quiet* mix, like a recorded idle host, 5 % of the series move.

use quorate_common::model::label::{LabelError, Labels};
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesSpec};
use quorate_common::rng::{Rng, SeededRng};
use std::sync::Arc;

/// How much moves in one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mix {
    /// Every series that is not constant.
    Hard,
    /// One series in twenty.
    Quiet,
}

/// What a series is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Constant,
    /// Grows by one up to this much.
    Counter(u64),
    CpuSeconds,
    /// Walks in pages of 4 KiB.
    Bytes,
    /// Any double: the worst case of every codec.
    Float,
}

/// Kinds and their shares, in percent.
const SHARES: [(Kind, usize); 5] = [
    (Kind::Constant, 46),
    (Kind::Counter(0), 31),
    (Kind::CpuSeconds, 14),
    (Kind::Bytes, 7),
    (Kind::Float, 3),
];
/// Counters differ in pace: errors, packets, requests, bytes.
const COUNTER_STEPS: [u64; 4] = [3, 50, 2_000, 100_000];
/// The layout is the same on every node, as it is in a cluster of equal machines.
const LAYOUT_SEED: u64 = 1;

/// The series of one node and their newest cells.
#[derive(Debug)]
pub struct Source {
    mix: Mix,
    rng: SeededRng,
    kinds: Vec<Kind>,
    /// Indices of what is not constant.
    moving: Vec<usize>,
    row: Vec<i64>,
}

impl Source {
    /// So many series, with values drawn from `seed`.
    pub fn new(mix: Mix, series: usize, seed: u64) -> Source {
        let kinds = layout(series);
        let mut rng = SeededRng::new(seed);
        let row = kinds.iter().map(|kind| kind.first(&mut rng)).collect();
        let moving = (0..series).filter(|index| kinds[*index] != Kind::Constant).collect();
        Source { mix, rng, kinds, moving, row }
    }

    /// What the series are called, by index.
    ///
    /// # Errors
    /// None with names as they stand here.
    pub fn specs(&self) -> Result<Vec<SeriesSpec>, LabelError> {
        self.kinds.iter().enumerate().map(|(index, kind)| kind.spec(index)).collect()
    }

    /// The newest cell of every index.
    pub fn row(&self) -> &[i64] {
        &self.row
    }

    /// One second passes.
    pub fn tick(&mut self) {
        match self.mix {
            Mix::Hard => (0..self.moving.len()).for_each(|at| self.step(at)),
            Mix::Quiet => {
                for _ in 0..self.kinds.len() / 20 {
                    let at = self.rng.below(self.moving.len() as u64) as usize;
                    self.step(at);
                }
            }
        }
    }

    fn step(&mut self, at: usize) {
        let index = self.moving[at];
        self.row[index] = self.kinds[index].next(self.row[index], &mut self.rng);
    }
}

impl Kind {
    fn first(self, rng: &mut SeededRng) -> i64 {
        match self {
            Kind::Float => float(rng),
            Kind::Bytes => 100_000 + rng.below(1_000_000) as i64,
            Kind::Constant | Kind::Counter(_) | Kind::CpuSeconds => rng.below(1 << 30) as i64,
        }
    }

    fn next(self, cell: i64, rng: &mut SeededRng) -> i64 {
        match self {
            Kind::Constant => cell,
            Kind::Counter(step) => cell + 1 + rng.below(step) as i64,
            Kind::CpuSeconds => cell + 1 + rng.below(100) as i64,
            Kind::Bytes => (cell + rng.below(33) as i64 - 16).max(0),
            Kind::Float => float(rng),
        }
    }

    fn spec(self, index: usize) -> Result<SeriesSpec, LabelError> {
        let (name, kind, form) = match self {
            Kind::Constant => ("bench_constant", MetricKind::Gauge, CellForm::COUNT),
            Kind::Counter(_) => ("bench_events_total", MetricKind::Counter, CellForm::COUNT),
            Kind::CpuSeconds => {
                ("bench_cpu_seconds_total", MetricKind::Counter, CellForm::Integer { scale: 2, unit: 1 })
            }
            Kind::Bytes => ("bench_bytes", MetricKind::Gauge, CellForm::Integer { scale: 0, unit: 4096 }),
            Kind::Float => ("bench_ratio", MetricKind::Gauge, CellForm::Float),
        };
        let index = index.to_string();
        let labels = [("slot", index.as_str()), ("device", "sda1"), ("mode", "user"), ("zone", "rack-b")];
        Ok(SeriesSpec { metric: Metric { name: Arc::from(name), kind, form }, labels: Labels::new(labels)? })
    }
}

/// The kinds by index: exact shares, in an order as mixed as that of a real host.
fn layout(series: usize) -> Vec<Kind> {
    let all: usize = SHARES.iter().map(|(_, share)| share).sum();
    let mut kinds = Vec::with_capacity(series);
    let mut below = 0;
    for (kind, share) in SHARES {
        below += share;
        kinds.resize(series * below / all, kind);
    }
    let mut rng = SeededRng::new(LAYOUT_SEED);
    for last in (1..series).rev() {
        kinds.swap(last, rng.below(last as u64 + 1) as usize);
    }
    let mut steps = COUNTER_STEPS.iter().cycle();
    for kind in &mut kinds {
        if let (Kind::Counter(step), Some(next)) = (kind, steps.next()) {
            *step = *next;
        }
    }
    kinds
}

/// From 0 to 100, with a full mantissa.
fn float(rng: &mut SeededRng) -> i64 {
    let unit = (rng.u64() >> 11) as f64 / (1u64 << 53) as f64;
    (unit * 100.0).to_bits().cast_signed()
}
