//! Made-up data of a host: what series s of node n is at tick t, as a pure function of seed, node, series and tick.
//! Whoever knows the seed knows all data, so nothing that was sent must be kept to be sent again, or to be checked.
//! It knows no wire and no encoding.
//!
//! The *hard* mix is shaped after node_exporter as our peers were measured with it: 46 % constant, 31 % integer
//! counters, 14 % CPU-second counters, 7 % byte gauges, 3 % float gauges (they add up to 101), and every series
//! that is not constant moves each tick. In the *quiet* mix, like a recorded idle host, 5 % of the series move.
//!
//! ```text
//!   tick ──(hard: each; quiet: one in eleven, at a drawn one of them)──→ moves so far ──(kind, dice)──→ cell
//! ```

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
    /// Grows by one up to this much, less one.
    Counter(u64),
    CpuSeconds,
    /// Goes up and down by up to 16 pages of 4 KiB.
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
const COUNTER_STEPS: [u64; 4] = [4, 50, 2_000, 100_000];
/// Growth of CPU time in a tick, as above: up to a whole second, in hundredths.
const CPU_STEP: u64 = 100;
/// The layout is the same on every node, as it is in a cluster of equal machines.
const LAYOUT_SEED: u64 = 1;
/// A series that is not constant moves in one of so many ticks, in the quiet mix: with 54 % of them, 5 % of all.
const QUIET_PERIOD: u64 = 11;

/// What the series of every node are, by index.
#[derive(Debug)]
pub struct Layout {
    kinds: Vec<Kind>,
    /// Indices of what is not constant.
    moving: Vec<usize>,
}

impl Layout {
    /// So many series: exact shares, in an order as mixed as that of a real host.
    pub fn new(series: usize) -> Layout {
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
        let moving = (0..series).filter(|index| kinds[*index] != Kind::Constant).collect();
        Layout { kinds, moving }
    }

    /// What the series are called, by index.
    ///
    /// # Errors
    /// None with names as they stand here.
    pub fn specs(&self) -> Result<Vec<SeriesSpec>, LabelError> {
        self.kinds.iter().enumerate().map(|(index, kind)| kind.spec(index)).collect()
    }

    /// How many series there are.
    pub fn series(&self) -> usize {
        self.kinds.len()
    }
}

/// The data of one node.
#[derive(Clone, Debug)]
pub struct Source {
    layout: Arc<Layout>,
    mix: Mix,
    seed: u64,
}

impl Source {
    /// The data of node number `node` of all that `seed` stands for.
    pub fn new(layout: Arc<Layout>, mix: Mix, (seed, node): (u64, u64)) -> Source {
        Source { layout, mix, seed: scramble(scramble(seed).wrapping_add(node)) }
    }

    /// What the series are.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The cell of a series at a tick.
    pub fn cell(&self, index: usize, tick: u64) -> i64 {
        let seed = scramble(self.seed.wrapping_add(index as u64));
        let moves = match self.mix {
            Mix::Hard => tick,
            Mix::Quiet => quiet_moves(seed, tick),
        };
        self.layout.kinds[index].cell(seed, moves)
    }

    /// The value of a series at a tick.
    pub fn value(&self, index: usize, tick: u64) -> f64 {
        self.layout.kinds[index].form().value(self.cell(index, tick))
    }

    /// The cells of all series at a tick, in place of those of another tick of this node, if any are there.
    pub fn fill(&self, tick: u64, row: &mut Vec<i64>) {
        if row.len() == self.layout.series() {
            self.layout.moving.iter().for_each(|&index| row[index] = self.cell(index, tick));
        } else {
            row.clear();
            row.extend((0..self.layout.series()).map(|index| self.cell(index, tick)));
        }
    }
}

/// How often a series has moved by a tick: once in each period, at a tick of it that is drawn.
fn quiet_moves(seed: u64, tick: u64) -> u64 {
    let period = tick / QUIET_PERIOD;
    let drawn = below(dice(!seed, period), QUIET_PERIOD);
    period + u64::from(tick % QUIET_PERIOD >= drawn)
}

impl Kind {
    fn cell(self, seed: u64, moves: u64) -> i64 {
        let first = dice(seed, u64::MAX);
        let now = dice(seed, moves);
        // Whatever is drawn below half a step, a step of half the size lies between two moves: it grows by one to
        // a step, less one.
        let grown = |step: u64| below(first, 1 << 30) + moves * (step / 2) + below(now, step / 2);
        match self {
            Kind::Constant => below(first, 1 << 30).cast_signed(),
            Kind::Counter(step) => grown(step).cast_signed(),
            Kind::CpuSeconds => grown(CPU_STEP).cast_signed(),
            Kind::Bytes => (100_000 + below(first, 1_000_000) + below(now, 17)).cast_signed(),
            Kind::Float => float(now),
        }
    }

    fn form(self) -> CellForm {
        match self {
            Kind::Constant | Kind::Counter(_) => CellForm::COUNT,
            Kind::CpuSeconds => CellForm::Integer { scale: 2, unit: 1 },
            Kind::Bytes => CellForm::Integer { scale: 0, unit: 4096 },
            Kind::Float => CellForm::Float,
        }
    }

    fn spec(self, index: usize) -> Result<SeriesSpec, LabelError> {
        let (name, kind) = match self {
            Kind::Constant => ("swarm_constant", MetricKind::Gauge),
            Kind::Counter(_) => ("swarm_events_total", MetricKind::Counter),
            Kind::CpuSeconds => ("swarm_cpu_seconds_total", MetricKind::Counter),
            Kind::Bytes => ("swarm_bytes", MetricKind::Gauge),
            Kind::Float => ("swarm_ratio", MetricKind::Gauge),
        };
        let index = index.to_string();
        let labels = [("slot", index.as_str()), ("device", "sda1"), ("mode", "user"), ("zone", "rack-b")];
        let metric = Metric { name: Arc::from(name), kind, form: self.form() };
        Ok(SeriesSpec { metric, labels: Labels::new(labels)? })
    }
}

/// From 0 to 100, with a full mantissa.
fn float(drawn: u64) -> i64 {
    let unit = (drawn >> 11) as f64 / (1u64 << 53) as f64;
    (unit * 100.0).to_bits().cast_signed()
}

/// A number that belongs to a seed and a step, and says nothing about those beside it.
fn dice(seed: u64, step: u64) -> u64 {
    scramble(seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The finaliser of splitmix64: every bit of the number changes half of those of the result.
fn scramble(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Scales a drawn number.
fn below(drawn: u64, limit: u64) -> u64 {
    ((u128::from(drawn) * u128::from(limit)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIES: usize = 500;
    const TICKS: u64 = 200;

    fn source(mix: Mix, node: u64) -> Source {
        Source::new(Arc::new(Layout::new(SERIES)), mix, (7, node))
    }

    #[test]
    fn any_tick_can_be_had_at_any_time() {
        for mix in [Mix::Hard, Mix::Quiet] {
            let (source, mut row) = (source(mix, 1), Vec::new());
            for tick in [5, 6, 7, 100, 3] {
                source.fill(tick, &mut row);
                let again: Vec<i64> = (0..SERIES).map(|index| source.cell(index, tick)).collect();
                assert_eq!(row, again, "{mix:?} {tick}");
            }
        }
    }

    #[test]
    fn nodes_differ_and_seeds_do_not_lie() {
        let (one, same, other) = (source(Mix::Hard, 1), source(Mix::Hard, 1), source(Mix::Hard, 2));
        let cells = |source: &Source| (0..SERIES).map(|index| source.cell(index, 9)).collect::<Vec<_>>();
        assert_eq!(cells(&one), cells(&same));
        let equal = cells(&one).iter().zip(&cells(&other)).filter(|(a, b)| a == b).count();
        assert!(equal < SERIES / 50, "{equal} of {SERIES} cells are the same on two nodes");
    }

    /// The share of all cells that move in a tick, in percent; counters only grow.
    fn moved_percent(mix: Mix) -> f64 {
        let source = source(mix, 3);
        let mut moved = 0;
        for tick in 1..=TICKS {
            for index in 0..SERIES {
                let (old, new) = (source.cell(index, tick - 1), source.cell(index, tick));
                let kind = source.layout().kinds[index];
                if let Kind::Counter(_) | Kind::CpuSeconds = kind {
                    let most = if let Kind::Counter(step) = kind { step } else { CPU_STEP };
                    let grown = (new - old).cast_unsigned();
                    assert!(grown < most && (mix == Mix::Quiet || grown > 0), "{kind:?} grew by {grown}");
                }
                moved += u64::from(old != new);
            }
        }
        moved as f64 * 100.0 / (TICKS * SERIES as u64) as f64
    }

    #[test]
    fn as_much_moves_as_the_mix_says() {
        // Byte gauges draw the same page again now and then.
        let (hard, quiet) = (moved_percent(Mix::Hard), moved_percent(Mix::Quiet));
        assert!((53.0..=55.0).contains(&hard), "{hard} %");
        assert!((4.5..=5.5).contains(&quiet), "{quiet} %");
    }
}
