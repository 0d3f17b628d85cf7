//! Small samples of what the stages hand on, for their tests.

use crate::encode::{Changes, Tick};
use crate::sample::{GroupInfo, NewSeries};
use quorate_common::model::label::Labels;
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, SeriesSpec, Window};
use quorate_common::model::time::{BootTime, Now, WallTime};
use std::sync::Arc;

/// A moment that many seconds after the boot.
pub fn at(seconds: u64) -> Now {
    Now { boot: BootTime(seconds * 1_000_000_000), wall: WallTime(seconds.cast_signed() * 1_000_000_000) }
}

/// A group.
pub fn group(group: u32, interval_ms: u32) -> GroupInfo {
    GroupInfo { group, collector: format!("c{group}"), interval_ms, class: SeriesClass::System }
}

/// A counter of its own metric.
pub fn series(group: u32, slot: u32) -> NewSeries {
    let metric =
        Metric { name: format!("m{slot}_total").into(), kind: MetricKind::Counter, form: CellForm::COUNT };
    NewSeries { group, slot, spec: SeriesSpec { metric, labels: Labels::default() } }
}

/// A tick with one series in one group, both of which begin with tick 1; the cell is the tick's number.
pub fn tick(seq: u64) -> Tick {
    let changes = match seq {
        1 => Changes { groups: vec![group(0, 1000)], registered: vec![series(0, 0)], retired: Vec::new() },
        _ => Changes::default(),
    };
    Tick {
        seq,
        at: at(seq),
        next_due_ms: 1000,
        window: Some(Window::Short),
        sampled: vec![0],
        collected_total: seq,
        changes: Arc::new(changes),
        cells: vec![seq.cast_signed()].into(),
    }
}
