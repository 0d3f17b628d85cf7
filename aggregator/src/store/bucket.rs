//! Buckets: what a minute or an hour of a series comes to.
//!
//! ```text
//!   samples ──→ minutes ──→ hours         each a pure function of what stands before it
//! ```
//!
//! A sample is a bucket of one, so that one rule puts together whatever there is. What is not a number counts
//! nowhere. It knows of no file and no node.

use super::Sample;
use quorate_common::model::series::CellForm;
use quorate_common::model::time::WallTime;

const SECOND: i64 = 1_000_000_000;
/// Whole numbers up to here are exact.
const EXACT_MAX: i64 = 1 << 53;

/// How long a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resolution {
    /// One minute.
    Minute,
    /// One hour.
    Hour,
}

impl Resolution {
    /// Nanoseconds of a bucket.
    pub const fn length_ns(self) -> i64 {
        match self {
            Resolution::Minute => 60 * SECOND,
            Resolution::Hour => 3_600 * SECOND,
        }
    }

    /// The beginning of the bucket that a moment lies in: a multiple of its length since the Unix epoch.
    pub const fn floor(self, at: WallTime) -> WallTime {
        WallTime(at.0.div_euclid(self.length_ns()).saturating_mul(self.length_ns()))
    }

    /// The last moment of the bucket that begins at `start`.
    pub const fn last(self, start: WallTime) -> WallTime {
        WallTime(start.0.saturating_add(self.length_ns() - 1))
    }
}

/// The samples of a series from `at` on, for as long as its resolution says. There is none without a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Where it begins.
    pub at: WallTime,
    /// Its least value.
    pub min: f64,
    /// Its greatest value.
    pub max: f64,
    /// All its values together.
    pub sum: f64,
    /// How many values it has, at least 1.
    pub count: u64,
    /// Its first value.
    pub first: f64,
    /// Its last value.
    pub last: f64,
    /// How much a counter grew from `first` to `last`; a fall is a counter that began at zero again. What it grew
    /// since the bucket before says [`growth`] of that one's `last` and this one's `first`.
    pub increase: f64,
}

impl Bucket {
    /// One of a single sample.
    pub const fn of(sample: Sample) -> Bucket {
        let Sample { at, value } = sample;
        Bucket { at, min: value, max: value, sum: value, count: 1, first: value, last: value, increase: 0.0 }
    }

    /// Goes on with what follows it in time.
    fn join(&mut self, next: &Bucket, form: CellForm) {
        let between = if next.first < self.last { next.first } else { add(form, [next.first, -self.last]) };
        self.increase = add(form, [self.increase, between, next.increase]);
        self.sum = add(form, [self.sum, next.sum]);
        self.min = self.min.min(next.min);
        self.max = self.max.max(next.max);
        self.count = self.count.saturating_add(next.count);
        self.last = next.last;
    }
}

/// How much a counter grew from one value to the next.
pub fn growth(before: f64, value: f64) -> f64 {
    if value < before { value } else { value - before }
}

/// Buckets of this length, from shorter ones or samples in order of time. `form` is how the series' values are held.
pub fn roll(resolution: Resolution, form: CellForm, parts: impl Iterator<Item = Bucket>) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    for part in parts.filter(|part| !part.first.is_nan()) {
        let at = resolution.floor(part.at);
        match buckets.last_mut().filter(|last| last.at == at) {
            Some(last) => last.join(&part, form),
            None => buckets.push(Bucket { at, ..part }),
        }
    }
    buckets
}

/// The sum of some values: by what their cells say as long as that is exact, so that tenths stay tenths.
fn add<const N: usize>(form: CellForm, values: [f64; N]) -> f64 {
    let cells = values.map(|value| form.cell(value));
    let exact = |cell: &i64| -EXACT_MAX < *cell && *cell < EXACT_MAX;
    let total: i64 = if cells.iter().all(exact) { cells.iter().sum() } else { i64::MAX };
    match form {
        CellForm::Integer { .. } if exact(&total) => form.value(total),
        _ => values.iter().sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[(i64, f64)]) -> impl Iterator<Item = Bucket> {
        values
            .iter()
            .map(|(second, value)| Bucket::of(Sample { at: WallTime(second * SECOND), value: *value }))
    }

    fn bucket(minute: i64, [min, max, sum, first, last, increase]: [f64; 6], count: u64) -> Bucket {
        Bucket { at: WallTime(minute * 60 * SECOND), min, max, sum, count, first, last, increase }
    }

    #[test]
    fn a_counter_that_falls_began_again() {
        let values = [(59, 5.0), (60, 7.0), (61, 9.0), (70, 2.0), (119, 3.0), (120, 1.0)];
        let minutes = roll(Resolution::Minute, CellForm::COUNT, samples(&values));
        let second = bucket(1, [2.0, 9.0, 21.0, 7.0, 3.0, 5.0], 4);
        let [before, after] =
            [(0, 5.0), (2, 1.0)].map(|(at, one)| bucket(at, [one, one, one, one, one, 0.0], 1));
        assert_eq!(minutes, [before, second, after]);
        let hour = roll(Resolution::Hour, CellForm::COUNT, minutes.into_iter());
        assert_eq!(hour, [bucket(0, [1.0, 9.0, 27.0, 5.0, 1.0, 8.0], 6)]);
        assert_eq!((growth(5.0, 7.0), growth(3.0, 1.0)), (2.0, 1.0));
    }

    #[test]
    fn what_is_no_number_counts_nowhere() {
        let values = [(1, f64::NAN), (2, f64::INFINITY), (3, f64::NAN), (60, f64::NAN)];
        let minutes = roll(Resolution::Minute, CellForm::Float, samples(&values));
        let [one] = minutes.as_slice() else { panic!("{minutes:?}") };
        assert_eq!((one.count, one.first, one.max), (1, f64::INFINITY, f64::INFINITY));
    }

    #[test]
    fn tenths_stay_tenths_and_before_1970_is_the_same() {
        let tenth = CellForm::Integer { scale: 1, unit: 1 };
        let values = [(-3, 0.1), (-2, 0.2), (-1, 0.6)];
        let minutes = roll(Resolution::Minute, tenth, samples(&values));
        assert_eq!(minutes, [bucket(-1, [0.1, 0.6, 0.9, 0.1, 0.6, 0.5], 3)]);
        let huge = [(1, 9e18), (2, 9e18)];
        assert_eq!(roll(Resolution::Minute, CellForm::COUNT, samples(&huge))[0].sum, 18e18);
        let start = Resolution::Hour.floor(WallTime(-1));
        assert_eq!((start, Resolution::Hour.last(start)), (WallTime(-3_600 * SECOND), WallTime(-1)));
    }
}
