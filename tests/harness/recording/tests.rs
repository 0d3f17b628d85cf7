use super::*;
use quorate_agent::encode::Round;
use quorate_common::model::label::Labels;
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, SeriesSpec};
use quorate_common::model::time::{BootTime, WallTime};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// The hour that figures are given on.
const HOUR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/host-1h.qrec");

fn spec(name: &str, form: CellForm, labels: &[(&str, &str)]) -> SeriesSpec {
    let metric = Metric { name: name.into(), kind: MetricKind::Counter, form };
    SeriesSpec { metric, labels: Labels::new(labels.iter().copied()).unwrap() }
}

fn series(slot: u32, group: u32, form: CellForm) -> NewSeries {
    let kind = if slot.is_multiple_of(2) { MetricKind::Gauge } else { MetricKind::Counter };
    let mut spec = spec(&format!("series_{slot}"), form, &[("one", "1"), ("zwei", "ä")]);
    spec.metric.kind = kind;
    NewSeries { group, slot, spec }
}

fn group(group: u32, interval_ms: u32, class: SeriesClass) -> GroupInfo {
    GroupInfo { group, collector: format!("group{group}"), interval_ms, class }
}

fn at(second: u64) -> Now {
    // The wall clock is set back once.
    let wall = 1_700_000_000_000_000_000 + second.cast_signed() * 999_999_999 - i64::from(second > 3) * 5_000;
    Now { boot: BootTime(second * 1_000_000_000 + 17), wall: WallTime(wall) }
}

/// Everything that a recording can hold.
fn ticks() -> Vec<Tick> {
    let scaled = CellForm::Integer { scale: 9, unit: u32::MAX };
    let float = |value: f64| CellForm::Float.cell(value);
    vec![
        Tick {
            groups: vec![group(0, 1000, SeriesClass::System), group(1, 60_000, SeriesClass::Process)],
            registered: vec![
                series(0, 0, CellForm::COUNT),
                series(1, 1, scaled),
                series(2, 0, CellForm::Float),
            ],
            sampled: vec![0, 1],
            changed: vec![(0, i64::MAX), (1, -1), (2, float(0.5))],
            ..tick(1)
        },
        Tick { sampled: vec![0], changed: vec![(0, i64::MIN), (2, float(f64::NAN))], ..tick(2) },
        tick(3),
        Tick {
            groups: vec![group(2, 100, SeriesClass::Other)],
            retired: vec![0, 1],
            registered: vec![series(3, 2, CellForm::COUNT), series(4, 1, CellForm::COUNT)],
            sampled: vec![0, 1, 2],
            changed: vec![(2, float(-0.0)), (4, 7)],
            ..tick(4)
        },
        Tick { sampled: vec![2], changed: vec![(3, 1)], ..tick(9) },
    ]
}

fn tick(second: u64) -> Tick {
    Tick { at: at(second), next_due_ms: 1000, ..Tick::default() }
}

fn written(ticks: &[Tick]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("recording");
    let mut writer = Writer::create(&path).unwrap();
    ticks.iter().for_each(|tick| writer.push(tick).unwrap());
    assert_eq!(writer.ticks() as usize, ticks.len());
    writer.finish().unwrap();
    std::fs::read(path).unwrap()
}

fn read(file: &[u8]) -> anyhow::Result<Vec<Tick>> {
    Reader::new(file.into())?.collect()
}

#[test]
fn everything_comes_back() {
    let ticks = ticks();
    assert_eq!(read(&written(&ticks)).unwrap(), ticks);
    assert_eq!(read(&written(&[])).unwrap(), []);
}

#[test]
fn it_comes_back_over_many_blocks() {
    let mut all = vec![ticks().remove(0)];
    let noise = |second: u64| Tick {
        registered: (0..100).map(|one| series((second - 2) as u32 * 100 + 3 + one, 0, scaled())).collect(),
        ..tick(second)
    };
    all.extend((2..100).map(noise));
    let file = written(&all);
    assert_eq!(read(&file).unwrap(), all);
    // The second block begins where the head of the first one says.
    let first = u32::from_le_bytes(file[5..9].try_into().unwrap()) as usize;
    assert!(first > 0 && 5 + HEAD_BYTES + first + HEAD_BYTES < file.len(), "{first} of {}", file.len());
}

fn scaled() -> CellForm {
    CellForm::Integer { scale: 2, unit: 1024 }
}

#[test]
fn no_damage_passes_and_none_panics() {
    let file = written(&ticks());
    for place in 0..file.len() {
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[place] ^= 1 << bit;
            let error = read(&damaged).expect_err(&format!("bit {bit} of byte {place}"));
            let text = format!("{error:#}");
            let names_place = text.starts_with("block 0 at byte 5: ") || text.starts_with("block 1 at byte ");
            assert!(names_place || text.starts_with("is "), "byte {place}: {text}");
        }
        let error = read(&file[..place]).expect_err(&format!("cut off at {place}"));
        assert!(format!("{error:#}").contains("is "), "cut off at {place}: {error:#}");
    }
    let error = read(&[&file[..], &[0]].concat()).unwrap_err();
    assert!(format!("{error:#}").ends_with("is the last, and something follows"), "{error:#}");
}

/// The checks of a block are right, and what is in it is not: whoever wrote it was no recorder.
#[test]
fn content_that_cannot_be_is_refused_by_name() {
    let plain = [1, 0, 0];
    for (content, expect) in [
        (&[][..], "block 0 at byte 5: is empty"),
        (&[0], "tick 0: is not later than the one before"),
        (&[1, 0, 0x80], "tick 0: a number is cut off"),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], "tick 0: a number exceeds 64 bits"),
        (&[1, 0, 0xff, 0xff, 0xff, 0xff, 0x1f], "tick 0: 8589934591 is too large for its place"),
        (&[1, 0, 0, 9, 0], "tick 0: 9 things do not fit into 1 bytes"),
        (&[1, 0, 0, 1, 1, 0xff, 0, 0], "tick 0: a text is not UTF-8"),
        (&[1, 0, 0, 1, 1, b'a', 0, 3], "tick 0: class 3 of group 0 is not known"),
        (&[1, 0, 0, 0, 1, 0, 0], "tick 0: number 0 is not below 0"),
        (&[1, 0, 0, 0, 0, 1, 0, 0], "tick 0: group 0 of slot 0 is not known"),
        (&[1, 0, 0, 0, 0, 0, 1, 0, 0], "tick 0: number 0 is not below 0"),
        (&[1, 0, 0, 0, 0, 0, 0, 1, 0, 0], "tick 0: slot 0 is not known"),
    ] {
        let error = format!("{:#}", read(&forged(content)).unwrap_err());
        assert!(error.contains(expect), "{content:?}: {error}");
    }
    let good = [&plain[..], &[0, 0, 0, 0, 0]].concat();
    let error = format!("{:#}", read(&forged(&[&good[..], &[0]].concat())).unwrap_err());
    assert!(error.starts_with("block 0, before byte "), "{error}");
    assert!(error.ends_with("tick 1: is not later than the one before"), "{error}");
}

fn forged(content: &[u8]) -> Vec<u8> {
    let packed = zstd::bulk::compress(content, 1).unwrap();
    let lengths = [packed.len(), content.len()].map(|length| (length as u32).to_le_bytes()).concat();
    let check = check(0, &lengths, &packed).to_le_bytes();
    [&MAGIC[..], &[VERSION], &lengths, &check, &packed].concat()
}

#[test]
fn ticks_that_do_not_follow_are_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let check = |wrong: Tick, expect: &str| {
        let mut writer = Writer::create(&dir.path().join("recording")).unwrap();
        writer.push(&ticks()[0]).unwrap();
        assert_eq!(writer.push(&wrong).unwrap_err().to_string(), expect);
    };
    check(tick(1), "a tick at 1000000017 does not follow one at 1000000017");
    check(Tick { groups: vec![group(3, 1, SeriesClass::Other)], ..tick(2) }, "group 3 is out of order");
    check(Tick { registered: vec![series(2, 0, scaled())], ..tick(2) }, "slot 2 is out of order");
    check(Tick { registered: vec![series(3, 2, scaled())], ..tick(2) }, "group 2 is not known");
    check(Tick { sampled: vec![1, 0], ..tick(2) }, "number 0 is out of order");
    check(Tick { retired: vec![3], ..tick(2) }, "number 3 is out of order");
    check(Tick { changed: vec![(0, 1), (0, 2)], ..tick(2) }, "the cell of slot 0 is out of order");
    check(Tick { changed: vec![(3, 1)], ..tick(2) }, "the cell of slot 3 is out of order");
}

fn player(skip: u32) -> Player {
    let mut player = Player::new(Reader::new(Arc::from(written(&ticks()))).unwrap());
    player.skip_ticks(skip).unwrap();
    player
}

#[test]
fn rounds_begin_anywhere_with_what_is_live() {
    let slots = |round: &Round| round.registered.iter().map(|one| one.slot).collect::<Vec<_>>();
    let all: Vec<Round> = player(0).collect::<anyhow::Result<_>>().unwrap();
    let shape: Vec<_> = all.iter().map(|one| (slots(one), one.retired.clone(), one.groups.len())).collect();
    let none = || (vec![], vec![], 2);
    assert_eq!(
        shape,
        [(vec![0, 1, 2], vec![], 2), none(), none(), (vec![3, 4], vec![0, 1], 3), (vec![], vec![], 3)]
    );
    assert_eq!(all[4].cells[3..], [1, 7]);

    for (skip, expect) in [(1, vec![0, 1, 2]), (3, vec![2, 3, 4]), (4, vec![2, 3, 4])] {
        let mut player = player(skip);
        let first = player.next().unwrap().unwrap();
        let same = &all[skip as usize];
        assert_eq!((slots(&first), &first.retired), (expect.clone(), &vec![]));
        assert_eq!((first.at, &first.cells, &first.sampled), (same.at, &same.cells, &same.sampled));
        assert_eq!(player.newest().map(|(one, _)| one.slot).collect::<Vec<_>>(), expect);
    }
    assert_eq!(player(9).count(), 0);
}

/// What figures are given on is what it is said to be.
#[test]
fn the_committed_hour_is_whole() {
    assert!(std::fs::metadata(HOUR).unwrap().len() < 8 << 20);
    let mut player = Player::new(Reader::open(Path::new(HOUR)).unwrap());
    let (mut times, mut loads, mut begun, mut ended) = (Vec::new(), BTreeSet::new(), 0, 0);
    let mut load = None;
    for round in player.by_ref() {
        let round = round.unwrap();
        (begun, ended) = (begun + round.registered.len(), ended + round.retired.len());
        let is_load = |one: &&NewSeries| &*one.spec.metric.name == "node_load1";
        load = load.or(round.registered.iter().find(is_load).map(|one| one.slot));
        loads.insert(round.cells[load.unwrap() as usize]);
        times.push(round.at);
    }
    assert_eq!(times.len(), 3660);
    // Each second has its tick, but for those when the host was too busy.
    let apart = |a: &Now, b: &Now| b.boot.since(a.boot).as_secs_f64();
    let long = times.windows(2).filter(|pair| !(0.5..1.5).contains(&apart(&pair[0], &pair[1]))).count();
    assert!(long <= 36, "{long} ticks are not a second after the one before");
    assert!(times.windows(2).all(|pair| pair[0].wall < pair[1].wall));
    assert!(apart(&times[0], &times[3659]) > 3658.5);
    let live = player.newest().count();
    assert_eq!(begun - ended, live);
    assert!(live > 900 && ended > 50, "{begun} series began, {ended} ended");
    assert!(loads.len() > 100, "the load had {} values", loads.len());
}
