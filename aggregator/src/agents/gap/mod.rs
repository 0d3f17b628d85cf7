//! Gaps: the time lines of all nodes, told by their sessions and swept by one owner.
//!
//! ```text
//!   session, back-fill ──→ Line ←── sweep, once a second ── the owner ──→ registry
//!         a comparison a frame           what there is to say
//! ```
//!
//! Between sessions and disk there is no queue that could be full: a line has a bounded number of parts, and the
//! owner is told how each of them stands.

mod failing;
mod hole;
mod loss;
mod timeline;

pub use timeline::{Run, Said, Sight, Timeline};

use super::delivery::Delivery;
use quorate_common::model::gap::{GapCause, LastHeard};
use quorate_common::model::node::NodeId;
use quorate_common::model::session::{ByeReason, Epoch};
use quorate_common::model::time::WallTime;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The time line of a node, shared by its connections.
#[derive(Debug, Default)]
pub struct Line(Mutex<Timeline>);

impl Line {
    /// What there is to say, and when the node was last heard.
    pub fn sweep(&self, sight: Sight<'_>) -> (Vec<Said>, Option<LastHeard>) {
        self.with(|line| (line.sweep(sight), line.last()))
    }

    fn with<T>(&self, call: impl FnOnce(&mut Timeline) -> T) -> T {
        call(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where a node's connections tell what they take; without a line nobody listens.
#[derive(Debug, Default)]
pub struct Teller(OnceLock<Arc<Line>>);

impl Teller {
    /// A session began.
    pub fn opened(&self, epoch: Epoch, boot_id: [u8; 16]) {
        self.tell(|line| line.opened(epoch, boot_id));
    }

    /// A live frame was taken: when it was sampled on our time line, and how soon the next is due.
    pub fn frame(&self, at: WallTime, due_ms: u32) {
        self.tell(|line| line.frame(at, due_ms));
    }

    /// A frame of earlier was taken.
    pub fn filled(&self, at: WallTime) {
        self.tell(|line| line.filled(at));
    }

    /// The agent said why it ends its session.
    pub fn farewell(&self, reason: ByeReason) {
        self.tell(|line| line.farewell(reason));
    }

    fn tell(&self, call: impl FnOnce(&mut Timeline)) {
        if let Some(line) = self.0.get() {
            line.with(call);
        }
    }
}

/// The time lines of all nodes. A clone is the same.
#[derive(Clone, Default)]
pub struct Gaps(Arc<Shared>);

#[derive(Default)]
struct Shared {
    run: Run,
    lines: Mutex<HashMap<NodeId, Node>>,
}

/// A node that is watched.
#[derive(Clone)]
pub struct Node {
    /// Its time line.
    pub line: Arc<Line>,
    /// What became of its samples; `None` if it had no session yet.
    pub delivery: Option<Arc<Delivery>>,
}

impl fmt::Debug for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gaps").field("run", &self.0.run).finish_non_exhaustive()
    }
}

impl Gaps {
    /// Goes on with what was known of nodes when the run before ended.
    pub fn new(run: Run, nodes: impl IntoIterator<Item = (NodeId, Timeline)>) -> Gaps {
        let node = |line| Node { line: Arc::new(Line(Mutex::new(line))), delivery: None };
        let lines = nodes.into_iter().map(|(id, line)| (id, node(line))).collect();
        Gaps(Arc::new(Shared { run, lines: Mutex::new(lines) }))
    }

    /// Has the connections of a node tell its line from now on.
    pub fn adopt(&self, id: NodeId, delivery: &Arc<Delivery>) {
        let mut lines = self.lines();
        let new = || Arc::new(Line(Mutex::new(Timeline::new(self.0.run))));
        let node = lines.entry(id).or_insert_with(|| Node { line: new(), delivery: None });
        if node.delivery.as_ref().is_none_or(|known| !Arc::ptr_eq(known, delivery)) {
            let dropped = dropped(delivery);
            node.line.with(|line| line.counted(&dropped));
            delivery.gaps.0.set(node.line.clone()).ok();
            node.delivery = Some(delivery.clone());
        }
    }

    /// All nodes that are watched.
    pub fn nodes(&self) -> Vec<(NodeId, Node)> {
        self.lines().iter().map(|(id, node)| (*id, node.clone())).collect()
    }

    /// Lets go of nodes that are no longer declared.
    pub fn retain(&self, is_declared: impl Fn(NodeId) -> bool) {
        self.lines().retain(|id, _| is_declared(*id));
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, HashMap<NodeId, Node>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was dropped of a node so far, by cause.
pub fn dropped(delivery: &Delivery) -> Vec<(GapCause, u64)> {
    let counts = delivery.counts();
    let word = |cause: &str| cause.parse().unwrap_or(GapCause::Unknown);
    counts.dropped.iter().map(|(cause, count)| (word(cause.as_str()), *count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::delivery::Cause;
    use crate::store::embedded::Embedded;

    #[test]
    fn every_cause_of_a_drop_is_a_cause_of_a_gap() {
        for cause in Cause::ALL {
            assert_eq!(cause.as_str().parse::<GapCause>().unwrap().as_str(), cause.as_str());
        }
    }

    #[test]
    fn a_node_tells_the_line_that_it_had() {
        let last = LastHeard { at: WallTime(0), due_ms: 1000, epoch: Epoch::default(), boot_id: [0; 16] };
        let known = Timeline::restore(Run::default(), Some(last), Vec::new());
        let gaps = Gaps::new(Run::default(), [(NodeId(1), known)]);
        let delivery = |node| Arc::new(Delivery::new(node, Arc::new(Embedded::default())));
        let (delivery, other) = (delivery(NodeId(1)), delivery(NodeId(2)));
        delivery.gaps.frame(WallTime(5), 1);
        gaps.adopt(NodeId(1), &delivery);
        gaps.adopt(NodeId(2), &other);
        delivery.gaps.opened(Epoch::default(), [0; 16]);
        delivery.gaps.frame(WallTime(1_000_000_000), 1000);
        let sight = Sight { now: WallTime(2_000_000_000), failing: &[], dropped: None };
        let nodes: HashMap<_, _> = gaps.nodes().into_iter().collect();
        let (said, last) = nodes[&NodeId(1)].line.sweep(sight);
        assert_eq!((said, last.unwrap().at), (Vec::new(), WallTime(1_000_000_000)));
        gaps.retain(|id| id == NodeId(2));
        assert_eq!(gaps.nodes().len(), 1);
    }
}
