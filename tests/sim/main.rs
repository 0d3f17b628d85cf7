//! Both ends of a session, their disks, ledgers and stores, in one thread under a seed: no sockets, no clocks.
//!
//! A run is a minute or more of virtual seconds in which the link delays and breaks, series begin and end, processes
//! end and begin, disks fail, are wiped or set back, clocks step, and hours pass at once. At its end everything works,
//! and then every sample that the agent collected must be in the store once, with its value and its time, or be
//! declared lost. A failing seed is printed; run it alone with `QUORATE_SEED=n`.
//!
//! That the verdict would notice is shown by mutants: mistakes planted at the seams, each of which must be found.

#![allow(clippy::expect_used, reason = "a test says what went wrong by panicking")]

mod agent;
mod aggregator;
mod link;
mod met;
mod mishap;
mod mutant;
mod shim;
mod tap;
mod time;
mod truth;
mod verdict;
mod world;

use met::Met;
use mutant::Mutant;
use std::time::Instant;
use world::World;

/// Seeds of one run of the tests.
const SEEDS: u64 = 2_000;

#[test]
#[allow(clippy::print_stdout, reason = "how fast it was is for whoever reads the log")]
fn every_sample_is_stored_once_or_declared() {
    let seeds = match std::env::var("QUORATE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..SEEDS,
    };
    let (begin, mut met, count) = (Instant::now(), Met::default(), seeds.end - seeds.start);
    for seed in seeds {
        let mut world = World::new(seed, None);
        world.is_told = count == 1;
        if let Err(problem) = world.run() {
            panic!("seed {seed}: {problem}");
        }
        met.add(&world.met);
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!("simulation ok seeds={count} seconds={seconds:.1} seeds_per_minute={:.0}", count as f64 * 60.0 / seconds);
    println!("{met:?}");
    // The runs must have met what they are there for.
    assert!(count == 1 || met.missing().is_empty(), "never met: {:?}", met.missing());
}

#[test]
#[allow(clippy::print_stdout, reason = "which seed found it is for whoever reads the log")]
fn mutants_are_found() {
    for &mutant in Mutant::ALL {
        let found = (0..SEEDS).find_map(|seed| Some((seed, World::new(seed, Some(mutant)).run().err()?)));
        let (seed, problem) = found.unwrap_or_else(|| panic!("{mutant:?} was not found"));
        println!("mutant {mutant:?} found by seed {seed}: {problem}");
    }
}

#[test]
fn survey() {
    let n: u64 = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let begin = Instant::now();
    let mut failed = 0;
    let mut met = Met::default();
    for seed in 0..n {
        let mut world = World::new(seed, None);
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
        match done {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => { failed += 1; println!("SEED {seed}: {problem}"); }
            Err(_) => { failed += 1; println!("SEED {seed}: panic"); }
        }
        met.add(&world.met);
    }
    println!("failed {failed} of {n} in {:?}", begin.elapsed());
    println!("{met:?}");
}
