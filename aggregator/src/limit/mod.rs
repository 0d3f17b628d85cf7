//! Every limit of the aggregator: one struct of small ones, read from `[limits]`, printed at start, shown by
//! `quorate aggregator`, each with a count of how often it bit.
//!
//! ```text
//!   caller ─→ door ─→ http2 ─→ call ─→ a service
//!                                └───→ agent (a session), enrol (a token), rejoin (an expired certificate)
//! ```
//!
//! The values stand here and nowhere else; what obeys them takes the newest when a connection, a call or a session
//! begins, so that a reload holds from then on. Whoever is sent away is told to [`Refusals`].

mod bound;
mod bucket;
mod counted;
mod reason;
mod refusal;
mod slots;

pub use bound::Bound;
pub use bucket::Bucket;
pub use counted::{counted, reason};
pub use reason::Reason;
pub use refusal::Refusals;
pub use slots::{Slot, Slots};

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The limits in force, now and later.
pub type Current = watch::Receiver<Arc<Limits>>;

/// The section `[limits]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// What callers of one port may do before they have proven anything; each port counts for itself.
    pub door: DoorLimits,
    /// What one connection may do.
    pub http2: Http2Limits,
    /// What calls may take.
    pub call: CallLimits,
    /// What queries in PromQL may take.
    pub query: QueryLimits,
    /// What one agent may do.
    pub agent: AgentLimits,
    /// What whoever has a token may do.
    pub enrol: EnrolLimits,
    /// What a node may do that was away until its certificate expired.
    pub rejoin: RejoinLimits,
    /// What callers of the HTTP port may do.
    pub http: HttpLimits,
}

/// The section `[limits.door]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DoorLimits {
    /// Open connections, proven or not.
    pub connections_max: u32,
    /// Connections of one address (IPv6: of one /64) that have proven no certificate yet.
    pub unproven_per_address_max: u32,
    /// How long one more of the same address waits for a place.
    pub admission_wait_ms: u32,
    /// TLS handshakes at the same time; more wait, within their deadline.
    pub handshakes_max: u32,
    /// From the first look at the socket to the end of the TLS handshake.
    pub handshake_deadline_ms: u32,
    /// From there to the whole HTTP/2 preface.
    pub preface_deadline_ms: u32,
    /// From there to the first request.
    pub request_deadline_ms: u32,
    /// How long a caller without a certificate may stay.
    pub anonymous_life_ms: u32,
}

/// The section `[limits.http2]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http2Limits {
    /// Calls at once on one connection; one more is refused with `REFUSED_STREAM`.
    pub streams_max: u32,
    /// What one stream may send before it is read.
    pub stream_window_bytes: u32,
    /// What all streams of a connection may send before they are read.
    pub connection_window_bytes: u32,
    /// Headers of one request.
    pub header_bytes_max: u32,
    /// What waits for one stream's reader, beside its service's own queue.
    pub send_buffer_bytes_max: u32,
    /// Streams that a caller opened and reset before they were looked at.
    pub pending_resets_max: u32,
    /// Streams that we had to reset for a mistake of the caller.
    pub faulty_streams_max: u32,
    /// Frames without content (pings, settings, resets, window updates, empty data) a second, in the long run.
    pub control_frames_per_s_max: u32,
    /// The same at once.
    pub control_frames_burst_max: u32,
    /// A quiet connection is asked this often whether it is still there.
    pub ping_every_ms: u32,
    /// And closed when it did not answer for this long.
    pub ping_timeout_ms: u32,
    /// A connection that takes no bytes for this long is closed.
    pub write_deadline_ms: u32,
}

/// The section `[limits.call]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallLimits {
    /// The longest that an answer may take to begin, whatever a caller's `grpc-timeout` says.
    pub deadline_ms_max: u32,
    /// From the first byte of a message to its last.
    pub message_deadline_ms: u32,
    /// Largest message of people and tools.
    pub request_bytes_max: u32,
    /// Calls in work; one more is refused.
    pub at_once_max: u32,
    /// The same of one caller.
    pub per_caller_max: u32,
    /// Range queries in work; one more is refused.
    pub ranges_max: u32,
    /// Readers of `Watch`.
    pub watchers_max: u32,
    /// Updates that wait for one reader of `Watch`.
    pub watch_updates_max: u32,
    /// Bytes of them; a single update may be larger.
    pub watch_bytes_max: u32,
    /// A reader of `Watch` that takes nothing for this long is sent away.
    pub watch_stall_ms: u32,
}

/// The section `[limits.query]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueryLimits {
    /// Queries in work that read little; more wait.
    pub light_at_once_max: u32,
    /// Queries in work that read many hours; more wait.
    pub heavy_at_once_max: u32,
    /// How long one more waits for its turn.
    pub wait_ms_max: u32,
    /// How long a query may take, whatever its `timeout` says.
    pub deadline_ms_max: u32,
    /// Samples that one query may read, and values that it may hold at a time.
    pub samples_max: u32,
    /// Series in any part of one query.
    pub series_max: u32,
    /// Bytes of samples and values that one query may make.
    pub bytes_max: u32,
}

/// The section `[limits.agent]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentLimits {
    /// Series that are kept of one node; more are decoded, dropped and counted.
    pub series_per_node_max: u32,
    /// Largest message.
    pub message_bytes_max: usize,
    /// Largest encoded frame.
    pub frame_bytes_max: usize,
    /// Messages a second, in the long run.
    pub messages_per_s_max: u32,
    /// Messages at once.
    pub messages_burst_max: u32,
    /// Groups in one session.
    pub groups_max: u32,
    /// Longest accepted distance between frames.
    pub interval_ms_max: u32,
    /// From the begin of a session to its Hello.
    pub hello_deadline_ms: u32,
    /// One answer to a question of ours, all its parts.
    pub answer_bytes_max: u32,
    /// One piece of what a node sends of earlier, unpacked.
    pub piece_bytes_max: usize,
}

/// The section `[limits.enrol]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnrolLimits {
    /// Failed tries of one address (IPv6: of one /64).
    pub tries_max: u32,
    /// For this long; then it may try again.
    pub tries_window_ms: u32,
    /// Addresses that are remembered for their failed tries; beyond them every failed try is one too many.
    pub addresses_max: u32,
    /// Largest message: the request, the token, and room.
    pub message_bytes_max: u32,
}

/// The section `[limits.rejoin]`. Everything is counted by node, not by address: a whole fleet may come back from
/// behind one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RejoinLimits {
    /// How long ago a certificate may have expired; its node is enrolled again after that.
    pub expired_s_max: u32,
    /// How long a challenge is good for.
    pub challenge_life_ms: u32,
    /// Proven attempts of one node.
    pub attempts_max: u32,
    /// For this long; then it may try again.
    pub attempts_window_ms: u32,
    /// Nodes whose attempts are remembered; beyond them every attempt is one too many.
    pub nodes_max: u32,
    /// Certificates of the chain that is shown.
    pub chain_certificates_max: u32,
}

/// The section `[limits.http]`. Handshakes, frames and writes obey `[limits.door]` and `[limits.http2]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpLimits {
    /// Open connections.
    pub connections_max: u32,
    /// The same of one address (IPv6: of one /64); what lies behind a proxy is one address.
    pub per_address_max: u32,
    /// From the begin of a connection, or of what follows an answer, to the end of a request's headers.
    pub header_deadline_ms: u32,
    /// Headers of one request.
    pub header_bytes_max: u32,
    /// From the end of the headers to the end of the body.
    pub body_deadline_ms: u32,
    /// Body of one request.
    pub body_bytes_max: u32,
    /// Requests in work, streams included; one more is refused with 429.
    pub at_once_max: u32,
    /// The same of one credential.
    pub per_caller_max: u32,
    /// API tokens that are in force.
    pub tokens_max: u32,
    /// Web sessions, login links and tickets that are good, each.
    pub sessions_max: u32,
}

impl Default for DoorLimits {
    fn default() -> Self {
        DoorLimits {
            connections_max: 20_000,
            unproven_per_address_max: 20,
            admission_wait_ms: 1_000,
            handshakes_max: 64,
            handshake_deadline_ms: 5_000,
            preface_deadline_ms: 10_000,
            request_deadline_ms: 10_000,
            anonymous_life_ms: 60_000,
        }
    }
}

impl Default for Http2Limits {
    fn default() -> Self {
        Http2Limits {
            streams_max: 100,
            stream_window_bytes: 256 * 1024,
            connection_window_bytes: 1024 * 1024,
            header_bytes_max: 16 * 1024,
            send_buffer_bytes_max: 256 * 1024,
            pending_resets_max: 20,
            faulty_streams_max: 1_024,
            control_frames_per_s_max: 1_000,
            control_frames_burst_max: 5_000,
            ping_every_ms: 10_000,
            ping_timeout_ms: 5_000,
            write_deadline_ms: 15_000,
        }
    }
}

impl Default for CallLimits {
    fn default() -> Self {
        CallLimits {
            deadline_ms_max: 60_000,
            message_deadline_ms: 10_000,
            request_bytes_max: 64 * 1024,
            at_once_max: 512,
            per_caller_max: 64,
            ranges_max: 16,
            watchers_max: 1_000,
            watch_updates_max: 8,
            watch_bytes_max: 1024 * 1024,
            watch_stall_ms: 30_000,
        }
    }
}

impl Default for QueryLimits {
    fn default() -> Self {
        QueryLimits {
            light_at_once_max: 16,
            heavy_at_once_max: 2,
            wait_ms_max: 10_000,
            deadline_ms_max: 120_000,
            samples_max: 10_000_000,
            series_max: 200_000,
            bytes_max: 512 * 1024 * 1024,
        }
    }
}

impl Default for AgentLimits {
    fn default() -> Self {
        AgentLimits {
            series_per_node_max: 20_000,
            message_bytes_max: 1024 * 1024,
            frame_bytes_max: 256 * 1024,
            messages_per_s_max: 20,
            messages_burst_max: 1_000,
            groups_max: 4_096,
            interval_ms_max: 60_000,
            hello_deadline_ms: 10_000,
            answer_bytes_max: 16 * 1024 * 1024,
            piece_bytes_max: 16 * 1024 * 1024,
        }
    }
}

impl Default for EnrolLimits {
    fn default() -> Self {
        EnrolLimits {
            tries_max: 5,
            tries_window_ms: 60_000,
            addresses_max: 4096,
            message_bytes_max: 32 * 1024,
        }
    }
}

impl Default for RejoinLimits {
    fn default() -> Self {
        RejoinLimits {
            expired_s_max: 30 * 24 * 3600,
            challenge_life_ms: 60_000,
            attempts_max: 10,
            attempts_window_ms: 60_000,
            nodes_max: 100_000,
            // Leaf, intermediate and the same signed by an older root, with room.
            chain_certificates_max: 4,
        }
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        HttpLimits {
            connections_max: 2_000,
            per_address_max: 200,
            header_deadline_ms: 10_000,
            header_bytes_max: 16 * 1024,
            body_deadline_ms: 30_000,
            body_bytes_max: 16 * 1024 * 1024,
            at_once_max: 512,
            per_caller_max: 64,
            tokens_max: 1_000,
            sessions_max: 1_000,
        }
    }
}

impl AgentLimits {
    /// Session indices that one node may use up: retired ones are not used again.
    pub fn indices_max(&self) -> u32 {
        self.series_per_node_max.saturating_mul(2)
    }
}

impl Limits {
    /// For whoever takes limits that never change.
    pub fn fixed(self) -> Current {
        // The sender may go: the last value stays.
        watch::channel(Arc::new(self)).1
    }
}

impl From<DoorLimits> for Limits {
    fn from(door: DoorLimits) -> Limits {
        Limits { door, ..Limits::default() }
    }
}

/// A number of milliseconds from the configuration.
pub fn millis(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}
