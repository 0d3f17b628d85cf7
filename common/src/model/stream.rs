//! What happens on the streams of nodes, as sessions tell the judge.

use super::node::{HostFacts, NodeId};
use super::session::ByeReason;
use super::time::Now;
use std::sync::Arc;

/// Something that happened on a node's stream. Each `Opened` is followed by one `Ended` of the same stream.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamEvent {
    /// A session began.
    Opened {
        /// Random number of this boot of the host.
        boot_id: [u8; 16],
        /// What the host said of itself.
        facts: Arc<HostFacts>,
    },
    /// A session ended.
    Ended(StreamEnd),
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// By the node's kernel: FIN or RST without a Bye.
    Lost,
    /// By a keepalive timeout, or cleanly without a Bye and without a word from the node's kernel.
    Silent,
    /// By a farewell.
    Bye(ByeReason),
    /// By us: replaced, refused, drained or revoked. No sign of anything.
    Superseded,
}

/// Something that happened, on whose stream, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The node whose stream it is.
    pub node: NodeId,
    /// What happened.
    pub event: StreamEvent,
    /// When.
    pub at: Now,
}
