//! Why somebody was sent away or cut short: one word for each reason.

use quorate_common::words;

words! {
    /// A reason. Every one is counted, see [`super::Refusals`].
    Reason {
        /// The port is full.
        Connections = "connections",
        /// This process may open no more files.
        Descriptors = "descriptors",
        /// Too many of this address have no certificate.
        Address = "address",
        /// It began with something else than TLS.
        NotTls = "not_tls",
        /// A handshake had to wait for another; nobody was sent away.
        HandshakeQueued = "handshake_queued",
        /// TLS was not done in time.
        HandshakeTimeout = "handshake_timeout",
        /// It closed before it said anything.
        Closed = "closed",
        /// TLS failed: no certificate, a foreign or an expired one, another protocol.
        Tls = "tls",
        /// The socket failed.
        Socket = "socket",
        /// TLS was done, HTTP/2 did not follow.
        PrefaceTimeout = "preface_timeout",
        /// HTTP/2 was there, a request did not follow.
        RequestTimeout = "request_timeout",
        /// A caller without a certificate had stayed long enough.
        AnonymousLife = "anonymous_life",
        /// HTTP/2 was broken or abused.
        Http2 = "http2",
        /// Too many frames without content.
        ControlFrames = "control_frames",
        /// It did not answer a ping.
        PingTimeout = "ping_timeout",
        /// It took no bytes.
        WriteTimeout = "write_timeout",
        /// HTTP/1 was broken, or its headers too large.
        Http = "http",
        /// A Host or Origin that is not ours: another site, or a name that was bent to us.
        Host = "host",
        /// No more API tokens or web sessions.
        Tokens = "tokens",
        /// Nobody of ours, or no longer.
        Unauthenticated = "unauthenticated",
        /// Its role may not call this.
        Forbidden = "forbidden",
        /// There is no such method.
        UnknownMethod = "unknown_method",
        /// The request is wrong.
        Invalid = "invalid",
        /// A message could not be decoded.
        Decode = "decode",
        /// A message is too large.
        MessageBytes = "message_bytes",
        /// A message was begun and not ended.
        MessageTimeout = "message_timeout",
        /// The answer took too long.
        Deadline = "deadline",
        /// Too many calls are in work.
        Calls = "calls",
        /// Too many calls of one caller are in work.
        Caller = "caller",
        /// Too many range queries are in work.
        Ranges = "ranges",
        /// A query waited for its turn in vain.
        Queries = "queries",
        /// A query wants to read or make too much.
        QuerySize = "query_size",
        /// Too many read along.
        Watchers = "watchers",
        /// An update was not queued for a reader that is slow; it is told how many it missed.
        UpdatesMissed = "updates_missed",
        /// A reader takes nothing.
        SlowConsumer = "slow_consumer",
        /// Another version of the agent's protocol.
        Protocol = "protocol",
        /// A message of a session that may not come now, or contradicts what came before.
        OutOfTurn = "out_of_turn",
        /// Too many messages of an agent.
        MessageRate = "message_rate",
        /// A frame is too long.
        FrameBytes = "frame_bytes",
        /// A series beyond the quota of its node; it is decoded, and dropped.
        Series = "series",
        /// A frame announced the next one too far away; the limit counts instead.
        Interval = "interval",
        /// A session without a Hello.
        HelloTimeout = "hello_timeout",
        /// An agent's answer is too large.
        AnswerBytes = "answer_bytes",
        /// An agent does not take its replies.
        Replies = "replies",
        /// A later session of the same node took over.
        Superseded = "superseded",
        /// Sessions of one node take over from one another again and again: two hosts with one identity.
        IdentityFlapping = "identity_flapping",
        /// Too many failed tries to enrol, or another thing of which there is no more.
        Tries = "tries",
        /// A node rejoins too often, or too many do at once.
        RejoinAttempts = "rejoin_attempts",
        /// A rejoining node answers a challenge too late, or one that was never made.
        RejoinChallenge = "rejoin_challenge",
        /// A rejoining node was away for too long.
        RejoinExpired = "rejoin_expired",
    }
}
