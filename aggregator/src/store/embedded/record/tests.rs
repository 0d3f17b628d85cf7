//! Records survive; cut, extended and damaged ones are errors or other records, never a panic.

use super::*;
use crate::store::embedded::layout::Group;
use quorate_common::model::label::Labels;
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, Window};
use quorate_common::rng::{Rng, SeededRng};

const EPOCH: Epoch = Epoch { order: 7, nonce: u64::MAX };

fn records() -> Vec<Record<'static>> {
    let node = NodeId(-3);
    let group = |window| Group { window, class: SeriesClass::Process };
    let column = |id: u32, form| Column { id: (id > 0).then_some(SeriesId(id)), form, group: 1 };
    let odd = CellForm::Integer { scale: 9, unit: u32::MAX };
    let columns =
        vec![column(0, odd), column(0, odd), column(8, odd), column(9, odd), column(9, CellForm::Float)];
    let layout = Layout {
        groups: vec![group(Window::Long), group(Window::Short)],
        columns: columns.clone(),
        retired: vec![3],
    };
    let origin = Origin { epoch: EPOCH, totals: Totals { before: 5, after: u64::MAX } };
    let frame = Frame {
        lane: Lane::Late,
        node,
        at: WallTime(i64::MIN),
        head: FrameHead { seq: u64::MAX, predecessor: 9, window: Window::Short },
        origin: Some(origin),
        again: false,
        groups: &[2],
        cells: &[1, 2, 3],
    };
    let plain = Frame { origin: None, again: true, cells: &[], ..frame };
    let new =
        NewColumns { group: 1, window: Window::Medium, class: SeriesClass::Other, first: 70_000, columns };
    let spec = SeriesSpec {
        metric: Metric { name: "a:b".into(), kind: MetricKind::Counter, form: odd },
        labels: Labels::new([("x", "y\n"), ("a", "1")]).unwrap(),
    };
    let range = SeqRange { first: 3, last: 900 };
    vec![
        Record::Base(Base { frame, layout: layout.into() }),
        Record::Base(Base { frame: plain, layout: Arc::default() }),
        Record::Register { node, lane: Lane::Late, place: 4, new },
        Record::Retire { node, lane: Lane::Live, place: 5, indices: vec![0, 7, u32::MAX] },
        Record::Frame { place: 300, frame },
        Record::Frame { place: 1, frame: plain },
        Record::Beat { node, seq: 12, origin },
        Record::Closed { node, epoch: EPOCH, range },
        Record::Ledger { node, epoch: EPOCH, entries: vec![(range, Some(origin.totals)), (range, None)] },
        Record::Ended { node, epoch: EPOCH },
        Record::Series { node, id: SeriesId(u32::MAX), seen: WallTime(-1), spec },
        Record::Forgotten { node, next: SeriesId(8) },
    ]
}

fn bytes(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.write(&mut bytes);
    bytes
}

#[test]
fn records_survive_and_nothing_shorter_or_longer_is_one() {
    for record in records() {
        let mut whole = bytes(&record);
        assert_eq!(Record::read(record.kind(), &whole).unwrap(), record);
        for length in 0..whole.len() {
            assert!(Record::read(record.kind(), &whole[..length]).is_err(), "{record:?} cut at {length}");
        }
        whole.push(0);
        assert!(matches!(Record::read(record.kind(), &whole), Err(RecordError::Long)), "{record:?}");
    }
    assert!(matches!(Record::read(0, &[]), Err(RecordError::Kind(0))));
    assert!(matches!(Record::read(99, &[]), Err(RecordError::Kind(99))));
}

#[test]
fn any_bytes_are_a_record_or_an_error() {
    let mut rng = SeededRng::new(1);
    let (mut read, mut refused) = (0, 0);
    for record in records() {
        let whole = bytes(&record);
        for _ in 0..3_000 {
            let mut damaged = whole.clone();
            for _ in 0..=rng.below(3) {
                let at = rng.below(damaged.len() as u64) as usize;
                damaged[at] ^= 1 << rng.below(8);
            }
            match Record::read(record.kind(), &damaged) {
                // Whatever is taken for a record has one encoding only.
                Ok(other) => {
                    read += 1;
                    let again = bytes(&other);
                    assert_eq!(Record::read(other.kind(), &again).unwrap(), other);
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read > 1_000 && refused > 1_000, "{read} {refused}");
}

#[test]
fn a_base_of_consecutive_numbers_is_short() {
    let columns =
        (0..800).map(|id| Column { id: Some(SeriesId(id)), form: CellForm::COUNT, group: 0 }).collect();
    let groups = vec![Group { window: Window::Short, class: SeriesClass::System }];
    let layout = Layout { groups, columns, retired: Vec::new() };
    let Some(Record::Base(base)) = records().into_iter().next() else { panic!("the first is a base") };
    assert!(bytes(&Record::Base(Base { layout: layout.into(), ..base })).len() < 100);
}
