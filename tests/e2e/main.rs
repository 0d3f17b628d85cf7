//! What Quorate promises, tried on real processes with the shipped defaults: one file for each promise.
//!
//! Every test has a cluster of its own, on free ports and below a directory of its own, so that all can run at
//! once. They wait, and hardly compute.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by panicking what is wrong")]

mod backup;
mod cli;
mod delivery;
mod demo;
mod doctor;
mod gap;
mod identity;
mod liveness;
mod membership;
mod once;
mod processes;
mod python;
mod range;
mod rate;
mod reflection;
mod restart;
mod watch;
