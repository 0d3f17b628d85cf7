//! The listener's log lines, ten a second at most: a flood of callers must not become one of lines.

use super::limit::Refusal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const LINES_PER_SECOND: u32 = 10;
/// A failed accept is followed by a wait of 100 ms, so that every fiftieth is one in five seconds.
const ACCEPT_ERRORS_PER_LINE: u32 = 50;

/// Writes for one listener. A clone shares the limit.
#[derive(Clone)]
pub struct Log {
    name: &'static str,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    lines: AtomicU32,
    accept_errors: AtomicU32,
}

impl Log {
    /// For the listener of this name.
    pub fn new(name: &'static str) -> Log {
        Log { name, state: Arc::default() }
    }

    /// Who was sent away, and why.
    pub fn refused(&self, address: SocketAddr, refusal: &Refusal) {
        if self.state.lines.fetch_add(1, Ordering::Relaxed) < LINES_PER_SECOND {
            tracing::warn!(listener = self.name, %address, reason = %refusal, "connection refused");
        }
    }

    /// Accept itself failed, such as for want of descriptors.
    pub fn accept_failed(&self, error: &std::io::Error) {
        let before = self.state.accept_errors.fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(ACCEPT_ERRORS_PER_LINE) {
            tracing::error!(listener = self.name, %error, failed = before + 1, "failed to accept connections");
        }
    }

    /// Called once a second: says how many lines were not written, and begins to write again.
    pub fn tick(&self) {
        let untold = self.state.lines.swap(0, Ordering::Relaxed).saturating_sub(LINES_PER_SECOND);
        if untold > 0 {
            tracing::warn!(listener = self.name, untold, "more connections refused");
        }
    }
}
