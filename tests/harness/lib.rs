//! The harness: a whole cluster of real processes for one test, with the shipped defaults.
//!
//! ```text
//!   Cluster ── aggregator (child) ←─ agents (children)
//!      └─ channel of the admin ──→ Recorder: every state and transition as it is told, with our own time
//! ```
//!
//! Tests wait for what is told, never for time to pass; where nothing is to happen they observe for a bounded
//! time. All children end with the test, and what they said is printed when the test fails. Nothing here
//! judges: that is for the tests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by panicking what is wrong")]
#![allow(clippy::missing_panics_doc, reason = "a test says by panicking what is wrong")]

pub mod chaos;
pub mod cluster;
pub mod detect;
pub mod door;
pub mod figure;
pub mod http;
pub mod netns;
pub mod process;
pub mod recording;
pub mod swarm;
pub mod usage;
pub mod watch;

use std::path::PathBuf;

/// Where the programs are. Only a test binary is told, so it hands them over by [`programs!`].
#[derive(Clone, Debug)]
pub struct Programs {
    /// The agent.
    pub agent: PathBuf,
    /// The aggregator.
    pub aggregator: PathBuf,
    /// The client.
    pub client: PathBuf,
}

/// The [`Programs`] of this build.
#[macro_export]
macro_rules! programs {
    () => {
        $crate::Programs {
            agent: env!("CARGO_BIN_EXE_agent").into(),
            aggregator: env!("CARGO_BIN_EXE_aggregator").into(),
            client: env!("CARGO_BIN_EXE_client").into(),
        }
    };
}
