//! What is known of one node's streams: how many are open, and how the last one ended.
//!
//! Streams are counted, because a new session may open before the loss of the old one is observed: an end is a
//! loss only when no stream is left. Nothing is judged here; an end waits for the next sweep.

use quorate_common::model::node::HostFacts;
use quorate_common::model::session::ByeReason;
use quorate_common::model::stream::{StreamEnd, StreamEvent};
use quorate_common::model::time::BootTime;
use std::sync::Arc;

/// How the last open stream of a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// The kernel of the node said so: FIN or RST, without a Bye.
    Lost,
    /// Nobody said anything.
    Silent,
    /// The agent said farewell.
    Bye(ByeReason),
}

/// The end of the last open stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) how: Parting,
    pub(super) at: BootTime,
    /// When the newest stream had begun.
    pub(super) opened: BootTime,
}

/// The streams of one node.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: u32,
    opened: BootTime,
    boot_id: Option<[u8; 16]>,
    rebooted: bool,
    /// The newest end that left no stream open.
    pub(super) end: Option<End>,
    /// What the node said of itself in its newest Hello.
    pub(super) facts: Option<Arc<HostFacts>>,
}

impl Streams {
    /// Takes in one event.
    pub(super) fn observe(&mut self, event: StreamEvent, at: BootTime) {
        match event {
            StreamEvent::Opened { boot_id, facts } => {
                self.open = self.open.saturating_add(1);
                self.opened = at;
                self.rebooted |= self.boot_id.is_some_and(|known| known != boot_id);
                self.boot_id = Some(boot_id);
                self.facts = Some(facts);
            }
            StreamEvent::Ended(end) => {
                self.open = self.open.saturating_sub(1);
                if let (0, Some(how)) = (self.open, parting(end)) {
                    self.end = Some(End { how, at, opened: self.opened });
                }
            }
        }
    }

    /// Whether any stream is open.
    pub(super) fn is_open(&self) -> bool {
        self.open > 0
    }

    /// Whether another boot id was seen since this was last asked.
    pub(super) fn take_rebooted(&mut self) -> bool {
        std::mem::take(&mut self.rebooted)
    }
}

/// How a stream parted from us; `None` if it was we who parted.
fn parting(end: StreamEnd) -> Option<Parting> {
    match end {
        StreamEnd::Lost => Some(Parting::Lost),
        StreamEnd::Silent => Some(Parting::Silent),
        StreamEnd::Bye(reason) => Some(Parting::Bye(reason)),
        StreamEnd::Superseded => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(boot: u8) -> StreamEvent {
        StreamEvent::Opened { boot_id: [boot; 16], facts: Arc::default() }
    }

    #[test]
    fn an_end_counts_when_no_stream_is_left() {
        let mut streams = Streams::default();
        streams.observe(opened(1), BootTime(1));
        streams.observe(opened(1), BootTime(2));
        streams.observe(StreamEvent::Ended(StreamEnd::Lost), BootTime(3));
        assert_eq!(streams.end, None, "the newer stream is open");
        streams.observe(StreamEvent::Ended(StreamEnd::Silent), BootTime(4));
        assert_eq!(streams.end, Some(End { how: Parting::Silent, at: BootTime(4), opened: BootTime(2) }));
    }

    #[test]
    fn what_we_end_ourselves_is_no_end() {
        let mut streams = Streams::default();
        streams.observe(opened(1), BootTime(1));
        streams.observe(StreamEvent::Ended(StreamEnd::Superseded), BootTime(2));
        assert_eq!((streams.end, streams.is_open()), (None, false));
    }

    #[test]
    fn another_boot_id_is_a_reboot_once() {
        let mut streams = Streams::default();
        for (boot, expect) in [(1, false), (1, false), (2, true), (2, false)] {
            streams.observe(opened(boot), BootTime(1));
            assert_eq!(streams.take_rebooted(), expect);
        }
    }
}
