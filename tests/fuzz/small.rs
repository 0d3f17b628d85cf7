//! Every decoder: what is committed, and a few thousand drawn inputs under a fixed seed. Longer: `make fuzz`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a target says by panicking what is wrong")]
#![allow(clippy::print_stderr, reason = "an input that hangs can only be told of")]

mod drive;
mod mutate;
mod target;

use drive::{Until, drive, pool, replay, trace};
use mutate::Mutator;
use std::collections::BTreeSet;
use std::time::Duration;
use target::Target;

/// Drawn inputs of each target.
const RUNS: u64 = 2_000;
/// And not longer than this: together less than ten seconds, however slow the machine is.
const TIME_MAX: Duration = Duration::from_millis(400);
const SEED: u64 = 1;

#[test]
fn no_input_breaks_a_decoder() {
    let mut told = Vec::new();
    for target in target::all() {
        match drive(&target, SEED, Until { runs: RUNS, time: TIME_MAX, is_traced: false }) {
            Ok(report) => println!("{:<18} {report}", target.name),
            Err(failure) => told.push(failure.tell()),
        }
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// A target whose real inputs all end in the same way reads nothing.
#[test]
fn every_target_has_inputs_that_are_read() {
    for target in target::all() {
        let seeds = (target.seeds)();
        let ways: BTreeSet<u64> = seeds.iter().map(|seed| replay(&target, seed).unwrap()).collect();
        let empty = replay(&target, b"").unwrap();
        assert!(ways.iter().any(|way| *way != empty), "{}: like nothing at all", target.name);
        assert!(pool(&target).len() > seeds.len());
        assert!(trace(target.name).ends_with(format!("{}-last", target.name)));
    }
}

#[test]
fn the_committed_inputs_have_a_target() {
    let names: BTreeSet<String> = target::all().iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names.len(), target::all().len(), "two targets of one name");
    let directory = drive::corpus("");
    let found = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    for name in found.map(|name| name.into_string().unwrap()) {
        assert!(names.contains(&name), "{name} is no target");
    }
}

#[test]
fn drawing_is_repeatable_and_reaches_everything() {
    let pool = [b"abc 17 def\nxyz".to_vec(), vec![0xff; 40]];
    let draw = |seed| {
        let mut mutator = Mutator::new(seed);
        (0..5000).map(|_| mutator.draw(&pool, &[b"WORD"])).collect::<Vec<_>>()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    let drawn = draw(7);
    let some = |what: &dyn Fn(&[u8]) -> bool| drawn.iter().any(|input| what(input));
    let has = |input: &[u8], piece: &[u8]| input.windows(piece.len()).any(|window| window == piece);
    assert!(some(&|input| has(input, b"WORD")), "words");
    assert!(some(&|input| has(input, b"18446744073709551616")), "numbers that are written out");
    assert!(some(&|input| has(input, b"abc") && has(input, &[0xff; 5])), "pieces of both");
    assert!(some(&|input| input.len() < 5) && some(&|input| input.len() > 200), "short and long");
}

/// Panics, and too much of everything, are noticed, told with a small input, and nothing else is.
#[test]
fn what_is_wrong_is_noticed() {
    fn panics(input: &[u8]) -> u64 {
        assert!(!input.contains(&b'!'), "an exclamation mark");
        0
    }
    fn grows(input: &[u8]) -> u64 {
        if input.len() > 100 {
            let huge = vec![1_u8; 256 << 20];
            return u64::from(huge.iter().step_by(4096).any(|byte| *byte == 0));
        }
        0
    }
    fn burns(input: &[u8]) -> u64 {
        let turns = if input.first() == Some(&b'x') { 400_000_000_u64 } else { 0 };
        (0..turns).fold(0, |sum, turn| sum ^ turn.wrapping_mul(31))
    }
    let check = |run: fn(&[u8]) -> u64, seeds: fn() -> Vec<Vec<u8>>, expect: &str| {
        let target = Target { name: "planted", run, seeds, words: &[b"!"] };
        let until = Until { runs: 10_000, time: Duration::from_secs(20), is_traced: false };
        let failure = drive(&target, SEED, until).err().unwrap_or_else(|| panic!("{expect}: not noticed"));
        assert!(failure.problem.starts_with(expect), "{}", failure.problem);
        failure.input
    };
    assert_eq!(check(panics, || vec![vec![b'a'; 50]], "panics: an exclamation mark"), b"!", "made small");
    check(grows, || vec![vec![b'a'; 90]], "takes ");
    check(burns, || vec![vec![b'x']], "takes ");
    let fine = Target { name: "fine", run: |_| 0, seeds: || vec![vec![1]], words: &[] };
    let report = drive(&fine, SEED, Until { runs: 1000, time: Duration::from_secs(20), is_traced: false })
        .ok()
        .unwrap();
    assert!(report.runs >= 1000 && report.ways == 1 && report.elapsed > Duration::ZERO);
}
