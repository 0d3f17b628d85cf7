//! Both ends of a session, their spool, ledgers and store, in one thread under a seed: no sockets, no clocks.
//!
//! A run is a few hundred virtual seconds in which the link delays and breaks, series begin and end, and agent
//! or aggregator start anew. At its end the link holds, and then every sample that the agent collected must be
//! in the store, with its value and its time, or be declared lost. A failing seed is printed; run it alone with
//! `one_seed`.

#![allow(clippy::expect_used, reason = "a test says what went wrong by panicking")]

mod met;
mod verdict;
mod world;

use world::World;

/// Seeds of one run of the tests.
const SEEDS: u64 = 300;

#[test]
fn every_sample_is_stored_once_or_declared() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.run();
        if let Err(problem) = world.verdict() {
            panic!("seed {seed}: {problem}");
        }
    }
}

/// The runs must have met what they are there for.
#[test]
fn the_runs_are_rough() {
    let mut met = met::Met::default();
    for seed in 0..50 {
        let mut world = World::new(seed);
        world.run();
        met.add(&world.met);
    }
    assert!(met.breaks > 50 && met.agent_restarts > 5 && met.aggregator_restarts > 5, "{met:?}");
    assert!(met.resent > 50 && met.overflowed > 50 && met.registered > 100 && met.retired > 50, "{met:?}");
    assert!(met.reused > 50 && met.pieces > 200 && met.losses > 20 && met.wiped > 3, "{met:?}");
}
