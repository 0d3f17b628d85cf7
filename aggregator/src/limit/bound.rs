//! Every limit by its key: what it may be, and what is counted when it bites.

use super::{
    AgentLimits, CallLimits, DoorLimits, EnrolLimits, Http2Limits, HttpLimits, Limits, QueryLimits, Reason,
    RejoinLimits,
};
use std::ops::RangeInclusive;

/// One limit as it is checked and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Its key in the configuration.
    pub key: &'static str,
    /// Its value.
    pub value: u64,
    /// What the value may be.
    pub allowed: RangeInclusive<u64>,
    /// What is counted when it bites; `None` where nobody but the kernel or the peer's own flow control sees it.
    pub bites: Option<Reason>,
}

/// The most of what is counted one by one in memory.
const COUNT: RangeInclusive<u64> = 1..=10_000_000;
/// The longest deadline: a day.
const TIME_MS: RangeInclusive<u64> = 1..=86_400_000;
/// How long somebody may have been away: ten years.
const AWAY_S: RangeInclusive<u64> = 1..=315_360_000;
const BYTES: RangeInclusive<u64> = 1024..=64 * 1024 * 1024;
/// What HTTP/2 can say of a window.
const WINDOW: RangeInclusive<u64> = 65_535..=0x7fff_ffff;

impl Limits {
    /// All of them, in the order of the configuration.
    pub fn bounds(&self) -> Vec<Bound> {
        let Limits { door, http2, call, query, agent, enrol, rejoin, http } = self;
        let callers = [door.bounds(), http2.bounds(), call.bounds(), query.bounds(), http.bounds()].concat();
        [callers, agent.bounds(), enrol.bounds(), rejoin.bounds()].concat()
    }
}

impl DoorLimits {
    fn bounds(&self) -> Vec<Bound> {
        let wait = 0..=*TIME_MS.end();
        vec![
            bound("limits.door.connections_max", self.connections_max, COUNT, Reason::Connections),
            bound(
                "limits.door.unproven_per_address_max",
                self.unproven_per_address_max,
                COUNT,
                Reason::Address,
            ),
            bound("limits.door.admission_wait_ms", self.admission_wait_ms, wait, Reason::Address),
            bound("limits.door.handshakes_max", self.handshakes_max, COUNT, Reason::HandshakeQueued),
            bound(
                "limits.door.handshake_deadline_ms",
                self.handshake_deadline_ms,
                TIME_MS,
                Reason::HandshakeTimeout,
            ),
            bound(
                "limits.door.preface_deadline_ms",
                self.preface_deadline_ms,
                TIME_MS,
                Reason::PrefaceTimeout,
            ),
            bound(
                "limits.door.request_deadline_ms",
                self.request_deadline_ms,
                TIME_MS,
                Reason::RequestTimeout,
            ),
            bound("limits.door.anonymous_life_ms", self.anonymous_life_ms, TIME_MS, Reason::AnonymousLife),
        ]
    }
}

impl Http2Limits {
    fn bounds(&self) -> Vec<Bound> {
        let ping = Reason::PingTimeout;
        vec![
            bound("limits.http2.streams_max", self.streams_max, COUNT, None),
            bound("limits.http2.stream_window_bytes", self.stream_window_bytes, WINDOW, None),
            bound("limits.http2.connection_window_bytes", self.connection_window_bytes, WINDOW, None),
            bound("limits.http2.header_bytes_max", self.header_bytes_max, BYTES, None),
            bound("limits.http2.send_buffer_bytes_max", self.send_buffer_bytes_max, BYTES, None),
            bound("limits.http2.pending_resets_max", self.pending_resets_max, COUNT, Reason::Http2),
            bound("limits.http2.faulty_streams_max", self.faulty_streams_max, COUNT, Reason::Http2),
            bound(
                "limits.http2.control_frames_per_s_max",
                self.control_frames_per_s_max,
                COUNT,
                Reason::ControlFrames,
            ),
            bound(
                "limits.http2.control_frames_burst_max",
                self.control_frames_burst_max,
                COUNT,
                Reason::ControlFrames,
            ),
            bound("limits.http2.ping_every_ms", self.ping_every_ms, TIME_MS, ping),
            bound("limits.http2.ping_timeout_ms", self.ping_timeout_ms, TIME_MS, ping),
            bound("limits.http2.write_deadline_ms", self.write_deadline_ms, TIME_MS, Reason::WriteTimeout),
        ]
    }
}

impl CallLimits {
    fn bounds(&self) -> Vec<Bound> {
        let slow = Reason::SlowConsumer;
        vec![
            bound("limits.call.deadline_ms_max", self.deadline_ms_max, TIME_MS, Reason::Deadline),
            bound(
                "limits.call.message_deadline_ms",
                self.message_deadline_ms,
                TIME_MS,
                Reason::MessageTimeout,
            ),
            bound("limits.call.request_bytes_max", self.request_bytes_max, BYTES, Reason::MessageBytes),
            bound("limits.call.at_once_max", self.at_once_max, COUNT, Reason::Calls),
            bound("limits.call.per_caller_max", self.per_caller_max, COUNT, Reason::Caller),
            bound("limits.call.ranges_max", self.ranges_max, COUNT, Reason::Ranges),
            bound("limits.call.watchers_max", self.watchers_max, COUNT, Reason::Watchers),
            bound("limits.call.watch_updates_max", self.watch_updates_max, COUNT, Reason::UpdatesMissed),
            bound("limits.call.watch_bytes_max", self.watch_bytes_max, BYTES, Reason::UpdatesMissed),
            bound("limits.call.watch_stall_ms", self.watch_stall_ms, TIME_MS, slow),
        ]
    }
}

impl QueryLimits {
    fn bounds(&self) -> Vec<Bound> {
        let (turn, size) = (Reason::Queries, Reason::QuerySize);
        // What one query may take has to fit into memory several times over.
        let (samples, bytes) = (1_000..=500_000_000, 1 << 20..=u64::from(u32::MAX));
        vec![
            bound("limits.query.light_at_once_max", self.light_at_once_max, 1..=1_000, turn),
            bound("limits.query.heavy_at_once_max", self.heavy_at_once_max, 1..=1_000, turn),
            bound("limits.query.wait_ms_max", self.wait_ms_max, TIME_MS, turn),
            bound("limits.query.deadline_ms_max", self.deadline_ms_max, TIME_MS, Reason::Deadline),
            bound("limits.query.samples_max", self.samples_max, samples, size),
            bound("limits.query.series_max", self.series_max, COUNT, size),
            bound("limits.query.bytes_max", self.bytes_max, bytes, size),
        ]
    }
}

impl AgentLimits {
    fn bounds(&self) -> Vec<Bound> {
        let (rate, interval) = (Reason::MessageRate, 100..=*TIME_MS.end());
        let (message, frame) = (self.message_bytes_max as u64, self.frame_bytes_max as u64);
        vec![
            bound("limits.agent.series_per_node_max", self.series_per_node_max, COUNT, Reason::Series),
            bound("limits.agent.message_bytes_max", message, BYTES, Reason::MessageBytes),
            bound("limits.agent.frame_bytes_max", frame, BYTES, Reason::FrameBytes),
            bound("limits.agent.messages_per_s_max", self.messages_per_s_max, COUNT, rate),
            bound("limits.agent.messages_burst_max", self.messages_burst_max, COUNT, rate),
            bound("limits.agent.groups_max", self.groups_max, COUNT, Reason::Decode),
            bound("limits.agent.interval_ms_max", self.interval_ms_max, interval, Reason::Interval),
            bound("limits.agent.hello_deadline_ms", self.hello_deadline_ms, TIME_MS, Reason::HelloTimeout),
            bound("limits.agent.answer_bytes_max", self.answer_bytes_max, BYTES, Reason::AnswerBytes),
            bound("limits.agent.piece_bytes_max", self.piece_bytes_max as u64, BYTES, Reason::Decode),
        ]
    }
}

impl EnrolLimits {
    fn bounds(&self) -> Vec<Bound> {
        let tries = Reason::Tries;
        vec![
            bound("limits.enrol.tries_max", self.tries_max, COUNT, tries),
            bound("limits.enrol.tries_window_ms", self.tries_window_ms, TIME_MS, tries),
            bound("limits.enrol.addresses_max", self.addresses_max, COUNT, tries),
            bound("limits.enrol.message_bytes_max", self.message_bytes_max, BYTES, Reason::MessageBytes),
        ]
    }
}

impl RejoinLimits {
    fn bounds(&self) -> Vec<Bound> {
        let (attempts, challenge) = (Reason::RejoinAttempts, Reason::RejoinChallenge);
        // Beyond the most that a chain of ours ever has, each certificate is only work.
        let chain = 1..=16;
        vec![
            bound("limits.rejoin.expired_s_max", self.expired_s_max, AWAY_S, Reason::RejoinExpired),
            bound("limits.rejoin.challenge_life_ms", self.challenge_life_ms, TIME_MS, challenge),
            bound("limits.rejoin.attempts_max", self.attempts_max, COUNT, attempts),
            bound("limits.rejoin.attempts_window_ms", self.attempts_window_ms, TIME_MS, attempts),
            bound("limits.rejoin.nodes_max", self.nodes_max, COUNT, attempts),
            bound(
                "limits.rejoin.chain_certificates_max",
                self.chain_certificates_max,
                chain,
                Reason::Unauthenticated,
            ),
        ]
    }
}

impl HttpLimits {
    fn bounds(&self) -> Vec<Bound> {
        // Less is no HTTP/1 buffer.
        let header = 8192..=*BYTES.end();
        vec![
            bound("limits.http.connections_max", self.connections_max, COUNT, Reason::Connections),
            bound("limits.http.per_address_max", self.per_address_max, COUNT, Reason::Address),
            bound("limits.http.header_deadline_ms", self.header_deadline_ms, TIME_MS, Reason::RequestTimeout),
            bound("limits.http.header_bytes_max", self.header_bytes_max, header, Reason::Http),
            bound("limits.http.body_deadline_ms", self.body_deadline_ms, TIME_MS, Reason::MessageTimeout),
            bound("limits.http.body_bytes_max", self.body_bytes_max, BYTES, Reason::MessageBytes),
            bound("limits.http.at_once_max", self.at_once_max, COUNT, Reason::Calls),
            bound("limits.http.per_caller_max", self.per_caller_max, COUNT, Reason::Caller),
            bound("limits.http.tokens_max", self.tokens_max, COUNT, Reason::Tokens),
            bound("limits.http.sessions_max", self.sessions_max, COUNT, Reason::Tokens),
        ]
    }
}

fn bound(
    key: &'static str,
    value: impl Into<u64>,
    allowed: RangeInclusive<u64>,
    bites: impl Into<Option<Reason>>,
) -> Bound {
    Bound { key, value: value.into(), allowed, bites: bites.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Every value that the configuration has, by its key.
    fn keys(limits: &Limits) -> BTreeMap<String, u64> {
        let serde_json::Value::Object(sections) = serde_json::to_value(limits).unwrap() else { panic!() };
        let pairs = sections.into_iter().flat_map(|(section, values)| {
            let values = values.as_object().unwrap().clone();
            values
                .into_iter()
                .map(move |(key, value)| (format!("limits.{section}.{key}"), value.as_u64().unwrap()))
        });
        pairs.collect()
    }

    #[test]
    fn every_value_is_shown_and_checked() {
        let limits = Limits::default();
        let shown: BTreeMap<String, u64> =
            limits.bounds().into_iter().map(|bound| (bound.key.to_owned(), bound.value)).collect();
        assert_eq!(shown, keys(&limits));
        for bound in limits.bounds() {
            assert!(bound.allowed.contains(&bound.value), "{bound:?}");
        }
        assert_eq!(shown.len(), limits.bounds().len(), "no key stands twice");
    }
}
