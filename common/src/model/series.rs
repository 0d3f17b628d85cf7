//! A series: a metric with labels, and how its values become 64-bit cells.

use super::label::Labels;
use super::words;
use std::sync::Arc;

words! {
    /// How a metric behaves over time.
    MetricKind {
        /// Only grows; a fall is a reset.
        Counter = "counter",
        /// Goes up and down.
        Gauge = "gauge",
    }
}

words! {
    /// Which retention a series falls under.
    SeriesClass {
        /// The host and what runs it.
        System = "system",
        /// Groups of processes.
        Process = "process",
        /// Everything else.
        Other = "other",
    }
}

words! {
    /// How long one stretch of history is before it is sealed; follows from the sampling interval.
    Window {
        /// Five minutes, for intervals below five seconds.
        Short = "short",
        /// One hour, for intervals below thirty seconds.
        Medium = "medium",
        /// Two hours, for all others.
        Long = "long",
    }
}

impl Window {
    /// The window class of a group that is sampled every `interval_ms`.
    pub const fn of_interval_ms(interval_ms: u32) -> Window {
        match interval_ms {
            0..5_000 => Window::Short,
            5_000..30_000 => Window::Medium,
            _ => Window::Long,
        }
    }
}

/// How values of a metric are held in 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CellForm {
    /// `value = cell × unit ÷ 10^scale`, exact as long as the integer is.
    Integer {
        /// Decimal places, 0 to 9.
        scale: u8,
        /// What one step is worth, such as 1024 or 4096; at least 1.
        unit: u32,
    },
    /// The bits of an IEEE 754 double.
    Float,
}

impl CellForm {
    /// Whole numbers of one.
    pub const COUNT: CellForm = CellForm::Integer { scale: 0, unit: 1 };

    /// The value that a cell stands for.
    pub fn value(self, cell: i64) -> f64 {
        match self {
            CellForm::Integer { scale: 0, unit } => cell as f64 * f64::from(unit),
            CellForm::Integer { scale, unit } => cell as f64 * f64::from(unit) / 10f64.powi(i32::from(scale)),
            CellForm::Float => f64::from_bits(cell.cast_unsigned()),
        }
    }

    /// The cell nearest to a value. Not a number and infinities have no integer cell and become 0, so sources
    /// that can be any of these are registered as [`CellForm::Float`].
    pub fn cell(self, value: f64) -> i64 {
        match self {
            CellForm::Integer { scale, unit } => {
                (value * 10f64.powi(i32::from(scale)) / f64::from(unit)).round() as i64
            }
            CellForm::Float => value.to_bits().cast_signed(),
        }
    }
}

/// What is said once of a metric: its name and how its values are held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Metric {
    /// Name in Prometheus' rules.
    pub name: Arc<str>,
    /// Counter or gauge.
    pub kind: MetricKind,
    /// How values become cells.
    pub form: CellForm,
}

/// One series as registered: a metric with labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SeriesSpec {
    /// Its metric.
    pub metric: Metric,
    /// Its own labels, without those that identify the node.
    pub labels: Labels,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_cells_are_exact() {
        let centi = CellForm::Integer { scale: 2, unit: 1 };
        assert_eq!(centi.cell(12.34), 1234);
        assert_eq!(centi.value(1234), 12.34);
        let pages = CellForm::Integer { scale: 0, unit: 4096 };
        assert_eq!(pages.value(3), 12_288.0);
        assert_eq!(pages.cell(12_288.0), 3);
    }

    #[test]
    fn float_cells_keep_their_bits() {
        for value in [0.0, -0.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, f64::MAX] {
            assert_eq!(CellForm::Float.value(CellForm::Float.cell(value)).to_bits(), value.to_bits());
        }
    }

    #[test]
    fn windows() {
        for (interval_ms, expect) in [
            (1, Window::Short),
            (4_999, Window::Short),
            (5_000, Window::Medium),
            (29_999, Window::Medium),
            (30_000, Window::Long),
            (3_600_000, Window::Long),
        ] {
            assert_eq!(Window::of_interval_ms(interval_ms), expect);
        }
    }
}
