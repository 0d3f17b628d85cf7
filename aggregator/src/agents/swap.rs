//! How often sessions of one node take over from one another: again and again, and two hosts have one identity.

use quorate_common::model::time::BootTime;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Sessions that take over more often within [`WINDOW`] are told of.
const SWAPS_MAX: usize = 3;
const WINDOW: Duration = Duration::from_secs(60);
/// Swaps that are remembered: more says nothing more.
const REMEMBERED_MAX: usize = 64;

/// Where a session comes from, and when.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// From where.
    pub from: SocketAddr,
    /// When.
    pub at: BootTime,
}

/// The last minute of one node.
#[derive(Debug, Default)]
pub(super) struct Swaps(VecDeque<BootTime>);

impl Swaps {
    /// A session takes over from one that is still there; how often that was, if it was too often.
    pub(super) fn count(&mut self, now: BootTime) -> Option<usize> {
        self.0.push_back(now);
        let over = |swaps: &VecDeque<BootTime>| {
            swaps.len() > REMEMBERED_MAX || swaps.front().is_some_and(|first| now.since(*first) > WINDOW)
        };
        while over(&self.0) {
            self.0.pop_front();
        }
        (self.0.len() > SWAPS_MAX).then_some(self.0.len())
    }
}
