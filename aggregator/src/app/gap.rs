//! The owner of gaps: once a second it looks at all nodes, and writes what there is to say.
//!
//! What cannot be written waits for the next second, and only the newest of each part does.

use crate::agents::gap::{Gaps, Node, Run, Sight, Timeline, dropped};
use crate::identity::registry::{GapKept, GapMemory, GapPart, Registry, RegistryError};
use crate::store::live::Live;
use crate::store::{Select, SeriesId};
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::model::gap::{Gap, LastHeard};
use quorate_common::model::node::NodeId;
use quorate_common::model::time::WallTime;
use quorate_common::program::Failure;
use quorate_common::shutdown::Shutdown;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often nodes are looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Sweeps between two notes of when nodes were last heard.
const SWEEPS_PER_NOTE: u64 = 5;
/// Sweeps between two looks for what is too old.
const SWEEPS_PER_TRIM: u64 = 3600;
/// Parts that may wait to be written; beyond them the oldest are dropped, and counted.
const WAITING_MAX: usize = 20_000;
/// How long after a gap began it may be filled in another run.
const FILLABLE: Duration = Duration::from_secs(7 * 86_400);
/// How much older than the truth a note may be, and how many series are asked for what is newer.
const NOTE_NS: i64 = 60 * 1_000_000_000;
const SERIES_MAX: usize = 64;
/// How long gaps are kept: as long as buckets of an hour.
const KEPT: Duration = Duration::from_secs(2 * 365 * 86_400);
/// Gaps of one node that are kept.
const PER_NODE: u32 = 2000;

/// The time lines as the run before left them.
pub async fn open(registry: &Registry, store: Arc<dyn Select>, started: WallTime) -> Result<Gaps, Failure> {
    let memory = registry.load_gaps(before(started, FILLABLE)).await;
    let memory = memory.map_err(|error| Failure::failed(&error))?;
    let run = Run { started, before: memory.ran, next: memory.next };
    let restore = move || {
        let GapMemory { mut heard, mut open, .. } = memory;
        let nodes: HashSet<NodeId> = heard.keys().chain(open.keys()).copied().collect();
        let restored = nodes.into_iter().map(|node| {
            let last = heard.remove(&node).map(|last| newest(&*store, node, last, started));
            (node, Timeline::restore(run, last, open.remove(&node).unwrap_or_default()))
        });
        Gaps::new(run, restored)
    };
    // Off the runtime: it reads files.
    tokio::task::spawn_blocking(restore).await.map_err(|error| Failure::failed(&error))
}

/// When a node was last heard: what was noted of it, or later, if it has samples of then.
fn newest(store: &dyn Select, node: NodeId, last: LastHeard, started: WallTime) -> LastHeard {
    let series: Vec<SeriesId> =
        store.find(node, &|_| true).into_iter().map(|(id, _)| id).take(SERIES_MAX).collect();
    let until = WallTime(last.at.0.saturating_add(NOTE_NS)).min(started);
    let samples = store.samples(node, &series, last.at, until);
    let at = samples.iter().flatten().map(|sample| sample.at).fold(last.at, WallTime::max);
    LastHeard { at, ..last }
}

/// Who looks, and where it writes.
pub struct Owner {
    /// The time lines.
    pub gaps: Gaps,
    /// Where gaps are kept.
    pub registry: Registry,
    /// Which collectors fail.
    pub live: Arc<Live>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Waiting {
    parts: BTreeMap<(NodeId, u64), Vec<Gap>>,
    heard: HashMap<NodeId, LastHeard>,
    /// As they were written.
    noted: HashMap<NodeId, LastHeard>,
    lost: u64,
}

impl Owner {
    /// Looks until asked to stop, and then once more.
    pub async fn run(self, shutdown: Shutdown) {
        let mut every = tokio::time::interval(SWEEP_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = Waiting::default();
        for number in 0_u64.. {
            let is_last = tokio::select! {
                () = shutdown.asked() => true,
                _ = every.tick() => false,
            };
            self.sweep(&mut waiting);
            let is_due = number % SWEEPS_PER_NOTE == 0 || is_last;
            if is_due || !waiting.parts.is_empty() {
                tell(self.write(&mut waiting, is_due).await);
            }
            if number % SWEEPS_PER_TRIM == 0 {
                let kept = GapKept { since: before(self.clock.now().wall, KEPT), per_node: PER_NODE };
                tell(self.registry.trim_gaps(kept).await.map(|trimmed| {
                    if trimmed > 0 {
                        tracing::info!(trimmed, "the oldest gaps were let go");
                    }
                }));
            }
            if is_last {
                return;
            }
        }
    }

    fn sweep(&self, waiting: &mut Waiting) {
        let roster = self.registry.roster().borrow().clone();
        let declared: HashSet<NodeId> = roster.members().iter().map(|member| member.id).collect();
        self.gaps.retain(|node| declared.contains(&node));
        let now = self.clock.now().wall;
        for (id, Node { line, delivery }) in self.gaps.nodes() {
            let failing = self.live.get(id).map(|row| row.facts().failing).unwrap_or_default();
            let dropped = delivery.map(|delivery| dropped(&delivery));
            let sight = Sight { now, failing: &failing, dropped: dropped.as_deref() };
            let (said, last) = line.sweep(sight);
            waiting.parts.extend(said.into_iter().map(|(part, gaps)| ((id, part), gaps)));
            waiting.heard.extend(last.map(|last| (id, last)));
        }
        waiting.cut();
    }

    async fn write(&self, waiting: &mut Waiting, is_due: bool) -> Result<(), RegistryError> {
        let now = self.clock.now().wall;
        let parts: Vec<GapPart> = waiting
            .parts
            .iter()
            .map(|((node, part), gaps)| GapPart { node: *node, part: *part, gaps: gaps.clone() })
            .collect();
        let changed = waiting.heard.iter().filter(|(node, last)| waiting.noted.get(node) != Some(last));
        let heard: Vec<_> = changed.filter(|_| is_due).map(|(node, last)| (*node, *last)).collect();
        self.registry.write_gaps(&parts, &heard, now).await?;
        waiting.parts.clear();
        waiting.noted.extend(heard);
        Ok(())
    }
}

impl Waiting {
    fn cut(&mut self) {
        while self.parts.len() > WAITING_MAX && self.parts.pop_first().is_some() {
            self.lost += 1;
            tracing::warn!(class = "failure", lost = self.lost, "gaps are not written and too many wait");
        }
    }
}

fn before(now: WallTime, span: Duration) -> WallTime {
    WallTime(now.0.saturating_sub(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
}

fn tell(done: Result<(), RegistryError>) {
    if let Err(error) = done {
        tracing::error!(class = "failure", error = chain(&error), "failed to write gaps");
    }
}
