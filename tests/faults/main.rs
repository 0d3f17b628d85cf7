//! What goes wrong between and around processes, made on purpose: lost nodes, bad networks, signals, and too few
//! descriptors. The swarm, the chaos proxy and the namespaces are the harness's.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by panicking what is wrong")]

mod descriptors;
mod detect;
mod stop;
mod swarm;
mod weather;
