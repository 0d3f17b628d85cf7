//! One reader of changes: what it is sent, how much may wait for it, and what becomes of one that is too slow.
//!
//! ```text
//!   snapshot changed ─→ room in the queue? ── yes ─→ queued ─→ taken by the reader
//!                              └─ no ─→ missed + 1; the next that fits is the full state and says how many
//!   takes nothing for 30 s ─→ RESOURCE_EXHAUSTED "slow consumer: dropped N" ─→ does not even take that: closed
//! ```

use super::cluster::in_cluster;
use crate::limit::{CallLimits, Reason, Refusals, Slot, millis};
use crate::peer::Peer;
use prost::Message;
use quorate_common::model::cluster::{ClusterVerdict, NodeVerdict, Snapshot, Transition};
use quorate_proto::v1;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_stream::Stream;
use tonic::Status;

/// How long a reader that is sent away has to take the reason.
const FAREWELL: Duration = Duration::from_secs(2);

/// The end that updates are put into.
pub struct Updates {
    queue: mpsc::Sender<(v1::WatchResponse, usize)>,
    shared: Arc<Shared>,
    /// Ends when the reader's end is dropped.
    gone: oneshot::Receiver<()>,
    bytes_max: usize,
    stall: Duration,
}

/// The end that the reader takes them from.
pub struct Outbox {
    queue: mpsc::Receiver<(v1::WatchResponse, usize)>,
    shared: Arc<Shared>,
    ended: bool,
    /// Neither is ever used: both say by their drop that the reader is gone.
    _held: (oneshot::Sender<()>, Slot),
}

#[derive(Default)]
struct Shared {
    /// Bytes that wait.
    bytes: AtomicUsize,
    /// Updates that were taken.
    taken: AtomicU64,
    /// What is said after the last update.
    last: OnceLock<Status>,
}

/// A queue for one reader.
pub fn queue(limits: &CallLimits, slot: Slot) -> (Updates, Outbox) {
    let (sender, receiver) = mpsc::channel(limits.watch_updates_max as usize);
    let (alive, gone) = oneshot::channel();
    let shared = Arc::new(Shared::default());
    let (bytes_max, stall) = (limits.watch_bytes_max as usize, millis(limits.watch_stall_ms));
    let updates = Updates { queue: sender, shared: shared.clone(), gone, bytes_max, stall };
    (updates, Outbox { queue: receiver, shared, ended: false, _held: (alive, slot) })
}

impl Stream for Outbox {
    type Item = Result<v1::WatchResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = ready!(self.queue.poll_recv(cx));
        self.shared.taken.fetch_add(1, Ordering::Relaxed);
        if let Some((update, bytes)) = next {
            self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Poll::Ready(Some(Ok(update)));
        }
        self.ended = true;
        Poll::Ready(self.shared.last.get().cloned().map(Err))
    }
}

impl Updates {
    /// Puts an update in; `false` if there is no room. An empty queue has room for one of any size.
    fn put(&self, update: v1::WatchResponse) -> bool {
        let (bytes, waiting) = (update.encoded_len(), self.shared.bytes.load(Ordering::Relaxed));
        if waiting > 0 && waiting + bytes > self.bytes_max {
            return false;
        }
        self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        let queued = self.queue.try_send((update, bytes)).is_ok();
        if !queued {
            self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        queued
    }

    fn are_taken(&self) -> bool {
        self.queue.capacity() == self.queue.max_capacity()
    }

    /// Ends the stream with `status`, and says whether the reader took it.
    async fn end(self, status: Status) -> bool {
        // Nobody else sets it.
        self.shared.last.set(status).ok();
        drop(self.queue);
        tokio::time::timeout(FAREWELL, self.gone).await.is_ok()
    }
}

/// One reader of changes. A reader that was too slow for a change gets the full state instead of the next.
pub struct Watcher {
    /// Of which cluster; empty for all.
    pub cluster: String,
    /// The newest verdicts.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Where they go.
    pub updates: Updates,
    /// How many snapshots it was not given.
    pub missed: u64,
    /// Who reads.
    pub peer: Arc<Peer>,
    /// Who is told that it was sent away.
    pub refusals: Refusals,
}

impl Watcher {
    /// Sends the full state, then every change, until the reader is gone or has to go.
    pub async fn run(mut self) {
        let peer = self.peer.clone();
        let reason = tokio::select! {
            reason = self.carry() => reason,
            reason = peer.ending.told() => Some(Status::unauthenticated(&*reason)),
        };
        let Some(status) = reason else { return };
        let slow = status.code() == tonic::Code::ResourceExhausted;
        if slow {
            self.refusals.refuse(Reason::SlowConsumer, peer.address, &status.message());
        }
        // Whoever does not take its last word does not take anything on this connection.
        if !self.updates.end(status).await && slow {
            peer.close.cancel();
        }
    }

    /// Why the reader has to go; `None` if it went.
    async fn carry(&mut self) -> Option<Status> {
        let mut last = self.snapshots.borrow_and_update().clone();
        self.updates.put(self.full(&last));
        let mut patience = Patience::new(&self.updates);
        loop {
            tokio::select! {
                changed = self.snapshots.changed() => if changed.is_err() { return None },
                () = self.updates.queue.closed() => return None,
                () = sleep_until(patience.until), if !self.updates.are_taken() => {
                    if patience.is_over(&self.updates) {
                        return Some(Status::resource_exhausted(format!("slow consumer: dropped {}", self.missed)));
                    }
                    continue;
                }
            }
            if self.updates.are_taken() {
                patience = Patience::new(&self.updates);
            }
            let next = self.snapshots.borrow_and_update().clone();
            if next.revision == last.revision {
                continue;
            }
            self.missed += next.revision.saturating_sub(last.revision).saturating_sub(1);
            let update = if self.missed > 0 { Some(self.full(&next)) } else { self.changes(&last, &next) };
            last = next;
            // What changed may be of another cluster.
            let Some(update) = update else { continue };
            if self.updates.put(update) {
                self.missed = 0;
            } else {
                self.missed += 1;
                self.refusals.count(Reason::UpdatesMissed, 1);
            }
        }
    }

    fn full(&self, snapshot: &Snapshot) -> v1::WatchResponse {
        let clusters = snapshot.clusters.iter().filter(|c| self.wants(c));
        let nodes = snapshot.nodes.iter().filter(|node| in_cluster(node, &self.cluster));
        let full = v1::FullState {
            revision: snapshot.revision,
            clusters: clusters.map(|c| v1::ClusterHealth::of(c, snapshot.at)).collect(),
            nodes: nodes.map(Into::into).collect(),
            missed: self.missed,
        };
        v1::WatchResponse { event: Some(v1::watch_response::Event::Full(full)) }
    }

    fn changes(&self, last: &Snapshot, next: &Snapshot) -> Option<v1::WatchResponse> {
        let clusters = next.clusters.iter().filter(|c| self.wants(c) && last.cluster(&c.name) != Some(*c));
        let mine = |node: &&NodeVerdict| in_cluster(node, &self.cluster);
        let changed =
            |node: &&NodeVerdict| last.node(node.member.name.as_str()).is_none_or(|old| differs(old, node));
        let gone = |node: &&NodeVerdict| next.node(node.member.name.as_str()).is_none();
        let transitions = next.transitions.iter().filter(|told| self.concerns(told, last, next));
        let changes = v1::Changes {
            revision: next.revision,
            clusters: clusters.map(|c| v1::ClusterHealth::of(c, next.at)).collect(),
            nodes: next.nodes.iter().filter(mine).filter(changed).map(Into::into).collect(),
            removed_nodes: last
                .nodes
                .iter()
                .filter(mine)
                .filter(gone)
                .map(|n| n.member.name.to_string())
                .collect(),
            transitions: transitions.map(|t| v1::Transition::of(t, next.at)).collect(),
        };
        let quiet = v1::Changes { revision: next.revision, ..v1::Changes::default() };
        let event = |changes| v1::WatchResponse { event: Some(v1::watch_response::Event::Changes(changes)) };
        (changes != quiet).then(|| event(changes))
    }

    /// Whether a transition is of the watched cluster; a node may be in one of the two snapshots only.
    fn concerns(&self, transition: &Transition, last: &Snapshot, next: &Snapshot) -> bool {
        match transition {
            Transition::Quorum { cluster, .. } | Transition::Cluster { cluster, .. } => {
                self.cluster.is_empty() || **cluster == *self.cluster
            }
            Transition::Node { node, .. } | Transition::Rebooted { node } => {
                let known = next.node(node.as_str()).or_else(|| last.node(node.as_str()));
                known.is_some_and(|node| in_cluster(node, &self.cluster))
            }
        }
    }

    fn wants(&self, cluster: &ClusterVerdict) -> bool {
        self.cluster.is_empty() || *cluster.name == *self.cluster
    }
}

/// How long a reader that takes nothing is waited for.
struct Patience {
    taken: u64,
    until: Instant,
}

impl Patience {
    fn new(updates: &Updates) -> Patience {
        // The runtime's own clock, which a test may stop: `sleep` is the one way to read it here.
        let until = tokio::time::sleep(updates.stall).deadline();
        Patience { taken: updates.shared.taken.load(Ordering::Relaxed), until }
    }

    /// The time is up: whether nothing was taken in it. If something was, it begins again.
    fn is_over(&mut self, updates: &Updates) -> bool {
        let stuck = self.taken == updates.shared.taken.load(Ordering::Relaxed);
        if !stuck {
            *self = Patience::new(updates);
        }
        stuck
    }
}

/// Whether anything but the time of the last frame differs.
fn differs(old: &NodeVerdict, new: &NodeVerdict) -> bool {
    let mut old = old.clone();
    old.last_heard = new.last_heard;
    old != *new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Slots;
    use quorate_common::clock::SystemClock;
    use quorate_common::model::cluster::QuorumStatus;
    use tokio_stream::StreamExt;

    struct Rig {
        publish: watch::Sender<Arc<Snapshot>>,
        slots: Slots,
        outbox: Outbox,
        peer: Arc<Peer>,
        refusals: Refusals,
        watcher: tokio::task::JoinHandle<()>,
    }

    fn start(limits: CallLimits) -> Rig {
        let (publish, snapshots) = watch::channel(Arc::new(Snapshot::empty()));
        let slots = Slots::default();
        let (updates, outbox) = queue(&limits, slots.take(1).unwrap());
        let peer = Arc::new(Peer::new(1, "192.0.2.1:1".parse().unwrap(), None));
        let refusals = Refusals::new(Arc::new(SystemClock));
        let watcher = Watcher {
            cluster: String::new(),
            snapshots,
            updates,
            missed: 0,
            peer: peer.clone(),
            refusals: refusals.clone(),
        };
        Rig { publish, slots, outbox, peer, refusals, watcher: tokio::spawn(watcher.run()) }
    }

    impl Rig {
        /// A snapshot with a transition, so that there is something to say.
        async fn change(&self, revision: u64) {
            let (from, to) = (QuorumStatus::Available, QuorumStatus::Lost);
            let transitions = vec![Transition::Quorum { cluster: "a".into(), from, to }];
            self.publish.send_replace(Arc::new(Snapshot { revision, transitions, ..Snapshot::empty() }));
            // The watcher's turn: it has nothing else to wait for.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }

        async fn full(&mut self) -> Option<v1::FullState> {
            match self.outbox.next().await.unwrap().unwrap().event {
                Some(v1::watch_response::Event::Full(full)) => Some(full),
                _ => None,
            }
        }
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_what_it_missed() {
        let mut rig = start(CallLimits { watch_updates_max: 1, ..CallLimits::default() });
        tokio::task::yield_now().await;
        rig.change(1).await;
        rig.change(2).await;
        assert_eq!(rig.full().await.unwrap().missed, 0);
        rig.change(3).await;
        let full = rig.full().await.unwrap();
        assert_eq!((full.revision, full.missed), (3, 2));
        assert_eq!(rig.refusals.counted(Reason::UpdatesMissed), 2);
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_sent_away() {
        let limits = CallLimits { watch_updates_max: 1, watch_stall_ms: 50, ..CallLimits::default() };
        let mut rig = start(limits);
        tokio::task::yield_now().await;
        for revision in 1..=5 {
            rig.change(revision).await;
        }
        // It has not taken anything when this says that it was refused.
        while rig.refusals.counted(Reason::SlowConsumer) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(rig.full().await.is_some(), "what was queued is still there");
        let status = rig.outbox.next().await.unwrap().unwrap_err();
        let expect = (tonic::Code::ResourceExhausted, "slow consumer: dropped 5");
        assert_eq!((status.code(), status.message()), expect);
        assert!(rig.outbox.next().await.is_none());
        drop(rig.outbox);
        rig.watcher.await.unwrap();
        assert!(!rig.peer.close.is_cancelled(), "it took its last word");
        assert!(rig.slots.take(1).is_some(), "its place is free");
    }

    #[tokio::test]
    async fn a_reader_that_does_not_take_its_last_word_is_closed() {
        let rig = start(CallLimits { watch_stall_ms: 1, ..CallLimits::default() });
        rig.watcher.await.unwrap();
        assert!(rig.peer.close.is_cancelled());
        assert_eq!(rig.refusals.counted(Reason::SlowConsumer), 1);
    }

    #[tokio::test]
    async fn an_expelled_reader_is_told_why() {
        let mut rig = start(CallLimits::default());
        assert!(rig.full().await.is_some());
        rig.peer.clone().end("viewer alice revoked");
        let status = rig.outbox.next().await.unwrap().unwrap_err();
        assert_eq!((status.code(), status.message()), (tonic::Code::Unauthenticated, "viewer alice revoked"));
    }
}
