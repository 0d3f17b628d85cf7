//! Both twins together, over random sessions, and the decoder against damage.

use super::*;
use proptest::prelude::*;

const WINDOWS: [Window; 3] = [Window::Short, Window::Medium, Window::Long];

/// One thing that happens in a session. Numbers are taken modulo what exists.
#[derive(Clone, Debug)]
enum Step {
    Group(usize, Vec<bool>),
    Append(usize, Vec<bool>),
    Retire(usize),
    Set(usize, i64),
    Add(usize, i64),
    Tick { window: usize, mask: u64, key: bool },
}

fn cell() -> impl Strategy<Value = i64> {
    let floats = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 5e-324, f64::MIN_POSITIVE, f64::MAX, 1.5];
    prop_oneof![
        any::<i64>(),
        -200i64..200,
        prop::sample::select(vec![0, 1, -1, i64::MIN, i64::MIN + 1, i64::MAX, 1 << 62]),
        prop::sample::select(floats.map(|value: f64| value.to_bits().cast_signed()).to_vec()),
        any::<u64>().prop_map(|payload| (payload | 0x7ff0_0000_0000_0001).cast_signed()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let forms = || prop::collection::vec(any::<bool>(), 0..12);
    prop_oneof![
        2 => (0usize..3, forms()).prop_map(|(window, forms)| Step::Group(window, forms)),
        1 => (any::<usize>(), forms()).prop_map(|(group, forms)| Step::Append(group, forms)),
        1 => any::<usize>().prop_map(Step::Retire),
        8 => (any::<usize>(), cell()).prop_map(|(index, cell)| Step::Set(index, cell)),
        8 => (any::<usize>(), -70i64..70).prop_map(|(index, delta)| Step::Add(index, delta)),
        6 => (0usize..3, any::<u64>(), prop::bool::weighted(0.1))
            .prop_map(|(window, mask, key)| Step::Tick { window, mask, key }),
    ]
}

/// Everything that a decoder's state shows.
type State = (Vec<i64>, Vec<bool>, [u64; 3]);

struct Session {
    encoder: Encoder,
    decoder: Decoder,
    groups: Vec<Window>,
    /// Group and whether it is live, of each index.
    series: Vec<(GroupId, bool)>,
    row: Vec<i64>,
    /// What a receiver that follows `changed` only believes.
    followed: Vec<Option<i64>>,
    seq: u64,
}

impl Session {
    fn new() -> Session {
        Session {
            encoder: Encoder::new(),
            decoder: Decoder::new(10_000, 1000),
            groups: Vec::new(),
            series: Vec::new(),
            row: Vec::new(),
            followed: Vec::new(),
            seq: 0,
        }
    }

    fn state(&self) -> State {
        state(&self.decoder)
    }

    fn register(&mut self, group: GroupId, window: Window, floats: &[bool]) {
        let forms: Vec<Form> =
            floats.iter().map(|&float| if float { Form::Float } else { Form::Integer }).collect();
        let first = self.encoder.register(group, window, &forms).unwrap();
        assert_eq!(first as usize, self.series.len());
        self.decoder.register(group, window, first, &forms).unwrap();
        self.series.extend(forms.iter().map(|_| (group, true)));
        self.row.resize(self.series.len(), 0);
        self.followed.resize(self.series.len(), None);
    }

    fn step(&mut self, step: Step) {
        let series = self.series.len().max(1);
        match step {
            Step::Group(window, forms) => {
                self.groups.push(WINDOWS[window]);
                self.register(self.groups.len() as u32 - 1, WINDOWS[window], &forms);
            }
            Step::Append(group, forms) if !self.groups.is_empty() => {
                let group = group % self.groups.len();
                self.register(group as u32, self.groups[group], &forms);
            }
            Step::Retire(index) => self.retire(index % series),
            Step::Set(index, cell) => {
                if let Some(place) = self.row.get_mut(index % series) {
                    *place = cell;
                }
            }
            Step::Add(index, delta) => {
                if let Some(place) = self.row.get_mut(index % series) {
                    *place = place.wrapping_add(delta);
                }
            }
            Step::Tick { window, mask, key } => self.tick(WINDOWS[window], mask, key),
            Step::Append(..) => {}
        }
    }

    fn retire(&mut self, index: usize) {
        let expect = match self.series.get_mut(index) {
            None => Err(CellError::IndexUnknown { index: index as u64 }),
            Some((_, false)) => Err(CellError::IndexRetired { index: index as u32 }),
            Some((_, live)) => {
                *live = false;
                Ok(())
            }
        };
        assert_eq!(self.encoder.retire(index as u32), expect);
        assert_eq!(self.decoder.retire(index as u32), expect);
    }

    fn tick(&mut self, window: Window, mask: u64, key: bool) {
        let of_window = (0u32..).zip(&self.groups).filter(|&(_, &of)| of == window);
        let sampled: Vec<GroupId> =
            of_window.filter(|(group, _)| mask >> (group % 64) & 1 == 1).map(|(group, _)| group).collect();
        self.seq += 1;
        let frame = self.encoder.encode(self.seq, window, &sampled, &self.row, key).unwrap();
        let head = FrameHead { seq: self.seq, predecessor: frame.predecessor, window };
        let decoded = self.decoder.decode(head, &frame.groups, &frame.cells).unwrap();
        assert_eq!(decoded.groups, sampled);
        assert_eq!(decoded.samples, frame.samples);
        assert_eq!(decoded.samples, self.encoder.sampled_count(&sampled));
        assert!(decoded.changed.is_sorted_by(|a, b| a.0 < b.0));
        assert!(decoded.changed.len() >= frame.changed as usize);
        for &(index, cell) in decoded.changed {
            self.followed[index as usize] = Some(cell);
        }
        assert!(sampled.iter().all(|&group| self.decoder.sampled(group)));
        for (index, (group, _)) in self.series.iter().enumerate().filter(|(_, (_, live))| *live) {
            if sampled.contains(group) {
                assert_eq!(self.decoder.row()[index], self.row[index], "index {index}");
                assert_eq!(self.followed[index], Some(self.row[index]), "index {index}, followed");
            }
        }
        let before = self.state();
        assert!(self.decoder.decode(head, &frame.groups, &frame.cells).is_err(), "a replay is refused");
        assert_eq!(self.state(), before);
    }
}

fn state(decoder: &Decoder) -> State {
    let seen = (0..64).map(|group| decoder.sampled(group)).collect();
    let last = WINDOWS.map(|window| decoder.chains.last(window));
    (decoder.row().to_vec(), seen, last)
}

proptest! {
    #[test]
    fn decoding_inverts_encoding(steps in prop::collection::vec(step(), 1..200)) {
        let mut session = Session::new();
        steps.into_iter().for_each(|step| session.step(step));
    }

    #[test]
    fn damage_never_changes_state_on_error(
        steps in prop::collection::vec(step(), 1..60),
        edits in prop::collection::vec((any::<bool>(), 0u8..4, any::<usize>(), any::<u8>()), 1..6),
        window in 0usize..3,
        key: bool,
    ) {
        let mut session = Session::new();
        session.step(Step::Group(window, vec![false, true, false, true, false]));
        steps.into_iter().for_each(|step| session.step(step));
        let window = WINDOWS[window];
        let sampled: Vec<GroupId> =
            (0u32..).zip(&session.groups).filter(|&(_, &of)| of == window).map(|(group, _)| group).collect();
        session.row.iter_mut().for_each(|cell| *cell = cell.wrapping_add(777));
        let seq = session.seq + 1;
        let frame = session.encoder.encode(seq, window, &sampled, &session.row, key).unwrap();
        let (mut groups, mut cells) = (frame.groups.to_vec(), frame.cells.to_vec());
        for (in_groups, kind, at, byte) in edits {
            damage(if in_groups { &mut groups } else { &mut cells }, kind, at, byte);
        }
        let before = session.state();
        let head = FrameHead { seq, predecessor: frame.predecessor, window };
        if session.decoder.decode(head, &groups, &cells).is_err() {
            prop_assert_eq!(session.state(), before);
            // And the real frame still fits.
            session.decoder.decode(head, &frame.groups, &frame.cells).unwrap();
            for (index, &(group, live)) in session.series.iter().enumerate() {
                if live && sampled.contains(&group) {
                    prop_assert_eq!(session.decoder.row()[index], session.row[index]);
                }
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(
        groups in prop::collection::vec(any::<u8>(), 0..4),
        cells in prop::collection::vec(any::<u8>(), 0..40),
        seq: u64,
        predecessor in prop_oneof![Just(0u64), Just(1), any::<u64>()],
    ) {
        let mut decoder = pair().1;
        let before = state(&decoder);
        let head = FrameHead { seq, predecessor, window: Window::Short };
        if decoder.decode(head, &groups, &cells).is_err() {
            prop_assert_eq!(state(&decoder), before);
        }
    }
}

fn damage(bytes: &mut Vec<u8>, kind: u8, at: usize, byte: u8) {
    let at = at % (bytes.len() + 1);
    match kind {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, byte),
        2 if at < bytes.len() => bytes[at] ^= 1 << (byte % 8),
        _ => bytes.push(byte),
    }
}

/// Group 0: indices 0-2 (1 retired); group 1: 3; group 2, of another window: 4. Frame 1 was decoded.
fn pair() -> (Encoder, Decoder) {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(8, 4));
    let groups =
        [(0, Window::Short, 3), (1, Window::Short, 1), (2, Window::Medium, 1), (3, Window::Short, 0)];
    for (group, window, count) in groups {
        let forms = vec![Form::Integer; count];
        let first = encoder.register(group, window, &forms).unwrap();
        decoder.register(group, window, first, &forms).unwrap();
    }
    encoder.retire(1).unwrap();
    decoder.retire(1).unwrap();
    let frame = encoder.encode(1, Window::Short, &[0, 1, 3], &[10, 0, 0, 13, 14], false).unwrap();
    let head = FrameHead { seq: 1, predecessor: 0, window: Window::Short };
    let decoded = decoder.decode(head, &frame.groups, &frame.cells).unwrap();
    assert_eq!(decoded, Decoded { groups: &[0, 1, 3], changed: &[(0, 10), (2, 0), (3, 13)], samples: 3 });
    (encoder, decoder)
}

#[test]
fn bad_frames_are_refused() {
    let window = Window::Short;
    let varint = |offset, cause| CellError::Varint { offset, cause };
    for (seq, predecessor, groups, cells, expect) in [
        (1, 1, [].as_slice(), [].as_slice(), CellError::Sequence { seq: 1, last: 1, window }),
        (0, 0, &[], &[], CellError::Sequence { seq: 0, last: 1, window }),
        (3, 2, &[], &[], CellError::Predecessor { seq: 3, predecessor: 2, last: 1, window }),
        (2, 1, &[1, 0], &[], CellError::BitmapTail),
        (2, 1, &[0x10], &[], CellError::GroupUnknown { group: 4 }),
        (2, 1, &[0, 0, 1], &[], CellError::GroupUnknown { group: 16 }),
        (2, 1, &[5], &[], CellError::GroupWindow { group: 2, registered: Window::Medium, given: window }),
        (2, 1, &[1], &[3, 2], CellError::IndexUnsampled { index: 3, group: 1 }),
        (2, 1, &[3], &[4, 2], CellError::IndexUnsampled { index: 4, group: 2 }),
        (2, 1, &[3], &[0, 2, 0, 2], CellError::IndexRetired { index: 1 }),
        (2, 1, &[3], &[0, 2, 4, 2], CellError::IndexUnknown { index: 5 }),
        (2, 1, &[3], &[0, 2, 1], varint(3, VarintError::Truncated)),
        (2, 1, &[3], &[0x80, 0, 2], varint(0, VarintError::Overlong)),
        (2, 0, &[3], &[0, 2, 0], CellError::IndexRetired { index: 1 }),
    ] {
        let mut decoder = pair().1;
        let before = state(&decoder);
        let error = decoder.decode(FrameHead { seq, predecessor, window }, groups, cells).unwrap_err();
        assert_eq!(error, expect);
        assert_eq!(state(&decoder), before);
    }
    let mut cells = vec![0, 2];
    varint::put(&mut cells, u64::MAX);
    cells.push(2);
    let error = pair().1.decode(FrameHead { seq: 2, predecessor: 1, window }, &[1], &cells).unwrap_err();
    assert_eq!(error, CellError::IndexUnknown { index: u64::MAX });
}

#[test]
fn a_first_frame_must_be_a_key_frame() {
    let (mut encoder, mut decoder) = pair();
    let head = FrameHead { seq: 2, predecessor: 1, window: Window::Medium };
    let error = CellError::Predecessor { seq: 2, predecessor: 1, last: 0, window: Window::Medium };
    assert_eq!(decoder.decode(head, &[4], &[]), Err(error), "another window's frame is no predecessor");
    assert_eq!(encoder.encode(2, Window::Medium, &[2], &[0; 5], false).unwrap().predecessor, 0);
}

#[test]
fn a_missing_frame_is_refused_until_a_key_frame() {
    let (mut encoder, mut decoder) = pair();
    let head = |seq, predecessor| FrameHead { seq, predecessor, window: Window::Short };
    let before = state(&decoder);
    for seq in 2..5 {
        let row = [10 + seq as i64, 0, 0, 13, 14];
        let frame = encoder.encode(seq, Window::Short, &[0], &row, false).unwrap();
        assert_eq!((frame.predecessor, frame.changed, frame.samples), (seq - 1, 1, 2));
        if seq > 2 {
            assert!(decoder.decode(head(seq, frame.predecessor), &frame.groups, &frame.cells).is_err());
            assert_eq!(state(&decoder), before);
        }
    }
    let frame = encoder.encode(9, Window::Short, &[0], &[0, 0, 7, 13, 14], true).unwrap();
    let decoded = decoder.decode(head(9, 0), &frame.groups, &frame.cells).unwrap();
    assert_eq!(decoded.changed, [(0, 0), (2, 7)], "a key frame states zeros too");
    assert_eq!(decoder.row(), [0, 0, 7, 0, 0]);
    assert!(decoder.sampled(0) && !decoder.sampled(1) && !decoder.sampled(3));
}

#[test]
fn an_empty_frame_moves_the_chain() {
    let (mut encoder, mut decoder) = pair();
    for seq in 2..4 {
        let frame = encoder.encode(seq, Window::Short, &[], &[99; 5], false).unwrap();
        assert!(frame.groups.is_empty() && frame.cells.is_empty());
        let head = FrameHead { seq, predecessor: seq - 1, window: Window::Short };
        let decoded = decoder.decode(head, &frame.groups, &frame.cells).unwrap();
        assert_eq!(decoded, Decoded { groups: &[], changed: &[], samples: 0 });
    }
    assert_eq!(decoder.row(), [10, 0, 0, 13, 0]);
}

#[test]
fn bad_registrations_change_nothing() {
    let (mut encoder, mut decoder) = pair();
    let one = [Form::Float];
    for (group, window, first, forms, expect) in [
        (0, Window::Short, 4, one.as_slice(), CellError::IndexOrder { first: 4, expected: 5 }),
        (
            0,
            Window::Long,
            5,
            &one,
            CellError::GroupWindow { group: 0, registered: Window::Short, given: Window::Long },
        ),
        (5, Window::Short, 5, &one, CellError::GroupOrder { group: 5, expected: 4 }),
        (4, Window::Short, 5, &one, CellError::GroupLimit { group: 4, limit: 4 }),
        (0, Window::Short, 5, &[Form::Integer; 4], CellError::IndexLimit { series: 9, limit: 8 }),
    ] {
        assert_eq!(decoder.register(group, window, first, forms), Err(expect));
        assert_eq!(decoder.row().len(), 5);
    }
    decoder.register(0, Window::Short, 5, &[Form::Integer; 3]).unwrap();
    let error = CellError::GroupOrder { group: 7, expected: 4 };
    assert_eq!(encoder.register(7, Window::Short, &one), Err(error));
    assert_eq!(encoder.series_count(), 5);
}

#[test]
fn bad_rows_are_refused() {
    let (mut encoder, _) = pair();
    let window = Window::Short;
    for (seq, groups, cells, expect) in [
        (2, [0].as_slice(), 4, CellError::RowLength { cells: 4, series: 5 }),
        (1, &[0], 5, CellError::Sequence { seq: 1, last: 1, window }),
        (2, &[0, 9], 5, CellError::GroupUnknown { group: 9 }),
        (2, &[2], 5, CellError::GroupWindow { group: 2, registered: Window::Medium, given: window }),
    ] {
        assert_eq!(encoder.encode(seq, window, groups, &vec![1; cells], false), Err(expect));
    }
    let frame = encoder.encode(2, window, &[0, 0], &[10, 5, 0, 13, 14], false).unwrap();
    assert_eq!((frame.predecessor, frame.changed, frame.samples), (1, 0, 2), "retired cells are not read");
}
