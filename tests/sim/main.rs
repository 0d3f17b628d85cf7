//! Both ends of a session, their disks, ledgers and stores, in one thread under a seed: no sockets, no clocks.
//!
//! A run is a minute or so of virtual seconds in which the link delays and breaks, series begin and end, processes end
//! and begin, disks fail, are wiped or set back, clocks step, and hours pass at once. At its end everything works, and
//! then every sample that the agent collected must be in the store once, with its value and its time, or be declared
//! lost. A failing seed is printed; `one_seed` runs it alone and says what happens.
//!
//! That the verdict would notice is shown by mutants: mistakes planted at the seams, each of which must be found.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test panics, and tells whoever reads the log"
)]

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
use quorate_common::clock::{Clock, SystemClock};
use world::World;

/// Seeds of one run of the tests.
const SEEDS: u64 = 2_000;
/// The seed of `one_seed`.
const ONE: u64 = 0;

#[test]
fn every_sample_is_stored_once_or_declared() {
    let (begin, mut met) = (SystemClock.now().boot, Met::default());
    for seed in 0..SEEDS {
        let mut world = World::new(seed, None);
        if let Err(problem) = world.run() {
            panic!("seed {seed}: {problem}");
        }
        met.add(&world.met);
    }
    let seconds = SystemClock.now().boot.since(begin).as_secs_f64();
    let speed = SEEDS as f64 * 60.0 / seconds;
    println!("simulation ok seeds={SEEDS} seconds={seconds:.1} seeds_per_minute={speed:.0}\n{met:?}");
    assert!(met.missing().is_empty(), "the runs are not rough: {:?} never happened", met.missing());
}

#[test]
fn one_seed() {
    let mut world = World::new(ONE, None);
    world.is_told = true;
    world.run().expect("as in all others");
}

#[test]
fn mutants_are_found() {
    for &mutant in Mutant::ALL {
        let found = (0..SEEDS).find_map(|seed| Some((seed, World::new(seed, Some(mutant)).run().err()?)));
        let (seed, problem) = found.unwrap_or_else(|| panic!("{mutant:?} was not found"));
        println!("mutant {mutant:?} found by seed {seed}: {problem}");
    }
}
