//! Gaps: stretches of time in which a node has no samples though it should have, and why.

use super::session::Epoch;
use super::time::WallTime;
use super::words;
use std::sync::Arc;

words! {
    /// Why there are no samples.
    GapCause {
        /// It cannot be known yet: the node is not heard.
        Unknown = "unknown",
        /// The agent did not run, and its host did.
        AgentStopped = "agent_stopped",
        /// The host did not run.
        HostDown = "host_down",
        /// The agent ran, and we did not hear it.
        LinkDown = "link_down",
        /// We did not run.
        AggregatorDown = "aggregator_down",
        /// A collector failed again and again.
        CollectorTimeout = "collector_timeout",
        /// The agent had no room for them any more.
        Overflow = "overflow",
        /// The node has more series than it may.
        Quota = "quota",
        /// Collected before we first heard of this start of the agent.
        Earlier = "earlier",
        /// The node's disk did not take them.
        Unwritten = "unwritten",
        /// The node's disk gave something else back, or we could not read them.
        Damaged = "damaged",
        /// The node has them no more and does not say why.
        Lost = "lost_on_node",
        /// They are older than anything that is kept.
        Old = "too_old",
        /// They come from the future.
        New = "too_new",
    }
}

/// A stretch of time without samples, on the aggregator's time line. Both ends have samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Whose samples; `None` for all of the node.
    pub collector: Option<Arc<str>>,
    /// Where it begins.
    pub from: WallTime,
    /// Where it ends; `None` while it goes on.
    pub to: Option<WallTime>,
    /// Why.
    pub cause: GapCause,
    /// Samples that were dropped in it; 0 if nobody counted any.
    pub samples: u64,
    /// When its samples came after all.
    pub filled: Option<WallTime>,
}

/// When and as what a node was last heard, for the next run of the aggregator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastHeard {
    /// When its newest sample was taken, on the aggregator's time line.
    pub at: WallTime,
    /// How soon it announced the next.
    pub due_ms: u32,
    /// The start of its agent.
    pub epoch: Epoch,
    /// The boot of its host.
    pub boot_id: [u8; 16],
}
