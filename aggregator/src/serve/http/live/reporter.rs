//! Looks at what is judged, committed and sampled, and says what changed.

use super::feed::{Feed, Subject};
use super::record;
use super::topic::Topic;
use crate::query::resource::usage;
use crate::query::series::Source;
use crate::store::live::Live;
use crate::store::{Commits, Select};
use quorate_common::clock::Clock;
use quorate_common::model::cluster::{ClusterVerdict, NodeVerdict, Snapshot};
use quorate_common::model::node::{Liveness, Member};
use quorate_common::model::resource::{ResourceType, ResourceUsage};
use quorate_common::model::time::WallTime;
use quorate_common::shutdown::Shutdown;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// How often resources are told of, while somebody listens.
const PERFORMANCE_EVERY: Duration = Duration::from_secs(5);

/// What is looked at.
#[derive(Clone)]
pub struct Reporter {
    /// Where it is said.
    pub feed: Feed,
    /// The newest verdicts.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// How batches of history go.
    pub commits: watch::Receiver<Commits>,
    /// The newest values.
    pub live: Arc<Live>,
    /// History.
    pub store: Arc<dyn Select>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Reporter {
    /// Until asked to stop.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut tick = tokio::time::interval(PERFORMANCE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut seen, mut was_failing) = (Arc::new(Snapshot::empty()), false);
        self.snapshots.mark_changed();
        self.commits.mark_changed();
        loop {
            tokio::select! {
                () = shutdown.asked() => return,
                Ok(()) = self.snapshots.changed() => {
                    let now = self.snapshots.borrow_and_update().clone();
                    judged(&self.feed, &seen, &now);
                    seen = now;
                }
                Ok(()) = self.commits.changed() => {
                    let now = *self.commits.borrow_and_update();
                    committed(&self.feed, was_failing, now, self.clock.now().wall);
                    was_failing = now.is_failing;
                }
                _ = tick.tick() => if self.feed.is_heard() { self.perform(&seen).await; },
                else => return,
            }
        }
    }

    /// Reads aside: there may be many series.
    async fn perform(&self, snapshot: &Arc<Snapshot>) {
        let (reporter, snapshot) = (self.clone(), snapshot.clone());
        let told = tokio::task::spawn_blocking(move || {
            let heard = snapshot.nodes.iter().filter(|node| node.liveness == Liveness::Up);
            heard.for_each(|node| reporter.tell(&node.member));
        });
        told.await.ok();
    }

    fn tell(&self, member: &Member) {
        let now = self.clock.now().wall;
        let members = std::slice::from_ref(member);
        let source = Source { members, live: &self.live, store: &*self.store, now };
        for used in usage(source, member) {
            let subject = Subject { part: part(&used), ..of_node(member) };
            self.feed.say(Topic::Performance, subject, now, record::resource_usage(&used), true);
        }
    }
}

fn part(usage: &ResourceUsage) -> &'static str {
    match usage.resource_type {
        ResourceType::Cpu => "cpu",
        ResourceType::Memory => "memory",
        ResourceType::Disk => "disk",
        ResourceType::Network => "network",
    }
}

fn of_node(member: &Member) -> Subject {
    let (cluster, node) = (Some(member.cluster.to_string()), Some(member.name.to_string()));
    Subject { cluster, node, part: "" }
}

/// What changed from one snapshot to another.
pub fn judged(feed: &Feed, before: &Snapshot, now: &Snapshot) {
    // What was said of members that are none any more holds no longer.
    feed.keep(|topic, subject| match (topic, &subject.cluster, &subject.node) {
        (Topic::ClusterHealth, Some(cluster), _) => now.cluster(cluster).is_some(),
        (Topic::Performance, _, Some(node)) => {
            now.node(node).is_some_and(|node| node.liveness == Liveness::Up)
        }
        (_, _, Some(node)) => now.node(node).is_some(),
        _ => true,
    });
    for cluster in &now.clusters {
        if before.cluster(&cluster.name).is_none_or(|before| has_changed(before, cluster)) {
            let subject = Subject { cluster: Some(cluster.name.to_string()), ..Subject::default() };
            let record = record::cluster_health(cluster, now.at);
            feed.say(Topic::ClusterHealth, subject, now.at, record, true);
        }
    }
    for node in &now.nodes {
        let was = before.node(node.member.name.as_str()).map(|before| before.liveness);
        // At the first look one that is up is no news, and of one that was not heard yet there is none.
        let is_news = match was {
            Some(was) => was != node.liveness,
            None => !matches!(node.liveness, Liveness::Up | Liveness::Unknown),
        };
        if is_news {
            fail(feed, node, now);
        }
    }
}

fn fail(feed: &Feed, node: &NodeVerdict, now: &Snapshot) {
    let record = record::node_failure(node, now.cluster(&node.member.cluster), now.at);
    let holds = node.liveness != Liveness::Up;
    feed.say(Topic::NodeFailure, of_node(&node.member), now.at, record, holds);
}

/// Numbers that only say how long something is so are no change.
fn has_changed(before: &ClusterVerdict, now: &ClusterVerdict) -> bool {
    before.health != now.health
        || before.quorum != now.quorum
        || before.total_nodes != now.total_nodes
        || before.degraded_nodes != now.degraded_nodes
        || before.unhealthy_nodes != now.unhealthy_nodes
        || before.unknown_nodes != now.unknown_nodes
}

/// Whether history becomes durable.
pub fn committed(feed: &Feed, was_failing: bool, now: Commits, at: WallTime) {
    if was_failing != now.is_failing {
        let subject = Subject { part: "history", ..Subject::default() };
        let record = record::persistence_failure(now.is_failing, now.failed, at);
        feed.say(Topic::PersistenceFailure, subject, at, record, now.is_failing);
    }
}
