//! What a metric is declared as, and the forms that values are held in.

use crate::model::series::{CellForm, Metric, MetricKind, SeriesClass};

/// One metric: what it is called, what it means, and how its values are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricDef {
    /// Name in Prometheus' rules.
    pub name: &'static str,
    /// Counter or gauge.
    pub kind: MetricKind,
    /// How values become cells.
    pub form: CellForm,
    /// What is counted, as a plural word; empty for the plain 1 of an `_info` metric and for yes or no.
    pub unit: &'static str,
    /// One sentence for `# HELP`.
    pub help: &'static str,
    /// Which retention it falls under.
    pub class: SeriesClass,
}

impl MetricDef {
    /// The part of the definition that goes over the wire.
    pub fn metric(&self) -> Metric {
        Metric { name: self.name.into(), kind: self.kind, form: self.form }
    }
}

pub(super) const COUNT: CellForm = CellForm::COUNT;
/// Hundredths: the kernel counts processor time and load that finely.
pub(super) const CENTI: CellForm = CellForm::Integer { scale: 2, unit: 1 };
pub(super) const MILLI: CellForm = CellForm::Integer { scale: 3, unit: 1 };
/// Tenths of a millisecond: finer digits are noise, and noise costs bytes each second.
pub(super) const TENTH_MILLI: CellForm = CellForm::Integer { scale: 4, unit: 1 };
/// Millionths, as the kernel counts pressure, power and energy.
pub(super) const MICRO: CellForm = CellForm::Integer { scale: 6, unit: 1 };
/// Bytes that are counted in sectors.
pub(super) const SECTOR: CellForm = CellForm::Integer { scale: 0, unit: 512 };
/// Bytes per second that are counted in megabits per second.
pub(super) const MEGABIT: CellForm = CellForm::Integer { scale: 0, unit: 125_000 };
/// Hertz that are counted in thousands.
pub(super) const KILO: CellForm = CellForm::Integer { scale: 0, unit: 1000 };
/// A value that can have any number of decimals.
pub(super) const FLOAT: CellForm = CellForm::Float;
/// Bytes that come in whole KiB; every page size is a multiple of it.
pub(super) const KIB: CellForm = CellForm::Integer { scale: 0, unit: 1024 };
