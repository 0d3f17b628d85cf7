//! Spool: ticks that nobody has acknowledged yet: the newest in memory, for the session, and all of them on disk.
//!
//! ```text
//!   tick ──→ memory: bounded, the oldest goes first ──→ session
//!     └────→ journal: keeper → log → pieces ──────────→ back-filling
//! ```
//!
//! The part in memory knows what was registered before its oldest tick, so that a new session can begin there.

mod keeper;
mod log;
mod loss;
mod piece;

pub use keeper::{Keeper, Shown};
pub use log::{LIVE_FOR, Log};

use crate::encode::{Catalogue, Tick};
use quorate_common::model::session::{Ack, SeqRange};
use quorate_common::model::time::BootTime;
use quorate_common::quantity::Size;
use std::collections::VecDeque;

/// How much is kept.
#[derive(Clone, Copy, Debug, serde::Deserialize, serde::Serialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Most ticks that wait for an acknowledgement in memory.
    pub ticks_max: usize,
    /// Most that the journal may have on disk, such as `256MiB`; `0B` for no journal: then what no session carries in
    /// time is lost.
    pub size_max: Size,
}

impl Default for Config {
    fn default() -> Self {
        Config { ticks_max: 120, size_max: Size::from_bytes(256 << 20) }
    }
}

/// The bounded queue between sampling and sending.
#[derive(Debug)]
pub struct Spool {
    config: Config,
    base: Catalogue,
    ticks: VecDeque<Tick>,
    /// Samples collected up to the newest tick.
    collected: u64,
    /// Ticks that were pushed out before anybody acknowledged them.
    overflowed: u64,
}

impl Spool {
    /// An empty spool.
    pub fn new(config: Config) -> Spool {
        Spool { config, base: Catalogue::default(), ticks: VecDeque::new(), collected: 0, overflowed: 0 }
    }

    /// Takes a tick; the oldest gives way when there is no room.
    pub fn push(&mut self, tick: Tick) {
        self.collected = tick.collected_total;
        self.ticks.push_back(tick);
        while self.ticks.len() > self.config.ticks_max.max(1) {
            self.pop();
            self.overflowed += 1;
        }
    }

    /// Lets go of what is durable, from the oldest on.
    ///
    /// A tick above the watermark goes too once everything older has gone: ranges name it.
    pub fn acknowledge(&mut self, durable: u64, above: &[SeqRange]) {
        let known =
            |seq: u64| seq <= durable || above.iter().any(|range| (range.first..=range.last).contains(&seq));
        while self.ticks.front().is_some_and(|tick| known(tick.seq)) {
            self.pop();
        }
    }

    /// The same, for an acknowledgement as it arrived.
    pub fn acknowledged(&mut self, ack: &Ack) {
        self.acknowledge(ack.durable, &ack.above);
    }

    fn pop(&mut self) {
        if let Some(tick) = self.ticks.pop_front() {
            self.base.apply(&tick.changes);
        }
    }

    /// Ticks after number `seq`, oldest first.
    pub fn after(&self, seq: u64) -> impl Iterator<Item = &Tick> {
        let skip = self.ticks.partition_point(|tick| tick.seq <= seq);
        self.ticks.range(skip..)
    }

    /// Number of the newest tick that has waited for longer than a session is waited for; 0 if none has.
    pub fn old(&self, now: BootTime) -> u64 {
        let count = self.ticks.partition_point(|tick| now.since(tick.at.boot) >= LIVE_FOR);
        count.checked_sub(1).and_then(|at| self.ticks.get(at)).map_or(0, |tick| tick.seq)
    }

    /// What is registered after tick `seq`, or before the oldest tick if that comes later.
    pub fn registered(&self, seq: u64) -> Catalogue {
        let mut registered = self.base.clone();
        self.ticks.iter().take_while(|tick| tick.seq <= seq).for_each(|tick| registered.apply(&tick.changes));
        registered
    }

    /// What is registered before the oldest tick.
    pub fn base(&self) -> &Catalogue {
        &self.base
    }

    /// Number of the oldest and of the newest tick; `None` when there are none.
    pub fn bounds(&self) -> Option<(u64, u64)> {
        Some((self.ticks.front()?.seq, self.ticks.back()?.seq))
    }

    /// Ticks that wait for an acknowledgement.
    pub fn waiting(&self) -> usize {
        self.ticks.len()
    }

    /// Samples collected so far, and ticks that were pushed out.
    pub fn counts(&self) -> (u64, u64) {
        (self.collected, self.overflowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tick;

    fn spool(ticks_max: usize, count: u64) -> Spool {
        let mut spool = Spool::new(Config { ticks_max, ..Config::default() });
        for seq in 1..=count {
            spool.push(tick(seq));
        }
        spool
    }

    #[test]
    fn the_oldest_goes_first_and_is_counted() {
        let spool = spool(3, 5);
        assert_eq!(spool.bounds(), Some((3, 5)));
        assert_eq!(spool.counts().1, 2);
        assert_eq!(spool.base().series.len(), 1, "what began with a lost tick is still registered");
    }

    #[test]
    fn lets_go_of_what_is_durable() {
        let mut spool = spool(10, 6);
        spool.acknowledge(2, &[]);
        assert_eq!(spool.bounds(), Some((3, 6)));
        spool.acknowledge(2, &[SeqRange { first: 4, last: 5 }]);
        assert_eq!(spool.bounds(), Some((3, 6)), "3 is not known");
        spool.acknowledge(3, &[SeqRange { first: 5, last: 5 }]);
        assert_eq!(spool.bounds(), Some((4, 6)));
        spool.acknowledge(9, &[]);
        assert_eq!(spool.bounds(), None);
    }

    #[test]
    fn reads_on_from_a_number() {
        let spool = spool(10, 4);
        assert_eq!(spool.after(2).map(|tick| tick.seq).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(spool.after(0).count(), 4);
        assert_eq!(spool.after(9).count(), 0);
    }
}
