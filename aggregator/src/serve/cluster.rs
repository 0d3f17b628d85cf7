//! The state of clusters and nodes, as judged.

use super::watch::{Watcher, queue};
use crate::agents::Agents;
use crate::identity::registry::{GapFilter, Registry};
use crate::identity::roster::Held;
use crate::limit::{Current, Reason, Refusals, Slots, counted};
use crate::peer::Peer;
use crate::query::resource::usage;
use crate::query::series::Source;
use crate::store::Select;
use crate::store::live::Live;
use quorate_common::clock::Clock;
use quorate_common::model::cluster::{NodeVerdict, Snapshot};
use quorate_common::model::component::ComponentHealth;
use quorate_common::model::node::{Health, Liveness, NodeId};
use quorate_common::model::time::WallTime;
use quorate_common::shutdown::Shutdown;
use quorate_proto::convert::timestamp;
use quorate_proto::v1::cluster_service_server::ClusterService;
use quorate_proto::{status, v1};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

/// How long the count of gaps may take.
const COUNT_MAX: Duration = Duration::from_millis(250);
/// Nodes on one page.
const PAGE_MAX: usize = 1000;
const DAY_NS: i64 = 86_400 * 1_000_000_000;

/// The service.
#[derive(Clone)]
pub struct Clusters {
    /// The newest verdicts.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Who belongs, and by which key, and when there were no samples.
    pub registry: Registry,
    /// The newest values.
    pub live: Arc<Live>,
    /// History.
    pub store: Arc<dyn Select>,
    /// Current sessions.
    pub agents: Agents,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How many may watch, and how slowly they may read.
    pub limits: Current,
    /// Who watches.
    pub watchers: Slots,
    /// Who is told whom we send away.
    pub refusals: Refusals,
    /// When to stop.
    pub shutdown: Shutdown,
}

impl Clusters {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    fn identity(&self, name: &str) -> Option<v1::NodeIdentity> {
        let roster = self.registry.roster();
        let roster = roster.borrow();
        let entry = roster.node(name)?;
        let Held::Keys(keys) = &entry.held else { return None };
        let enrolled = WallTime(keys.generation.enrolment.saturating_mul(1_000_000));
        Some(v1::NodeIdentity {
            generation: keys.generation.number,
            enrolled: Some(timestamp(enrolled)),
            certified: entry.certified.map(timestamp),
            revoked: entry.revoked.map(timestamp),
            frozen: entry.frozen.map(timestamp),
        })
    }

    /// `None` if the registry cannot say so soon: nobody waits for its disk to hear how a node does.
    async fn gaps_of_day(&self, node: NodeId, now: WallTime) -> Option<u32> {
        let from = WallTime(now.0.saturating_sub(DAY_NS));
        let filter = GapFilter { node: Some(node), from, to: now };
        let count = tokio::time::timeout(COUNT_MAX, self.registry.count_gaps(filter)).await.ok()?.ok()?;
        Some(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn components(&self, node: &NodeVerdict) -> Vec<ComponentHealth> {
        let heard = self.live.get(node.member.id).map(|row| row.facts());
        let at = heard.as_ref().and_then(|heard| heard.last_frame).map_or(node.since, |now| now.wall);
        let component = |name: String, status, details| ComponentHealth {
            component: name,
            node: node.member.name.clone(),
            status,
            details,
            last_check: at,
        };
        let agent = match node.liveness {
            Liveness::Up | Liveness::Suspect | Liveness::Isolated => Health::Healthy,
            Liveness::Down | Liveness::Left | Liveness::AgentDead => Health::Unhealthy,
            Liveness::Unknown => Health::Unknown,
        };
        let mut details = BTreeMap::new();
        if let Some(facts) = &node.facts {
            details.insert("version".to_owned(), facts.agent_version.clone());
        }
        let failing = heard.map(|heard| heard.failing).unwrap_or_default();
        let collectors = failing.into_iter().map(|(name, rounds)| {
            let details = BTreeMap::from([("failed_rounds".to_owned(), rounds.to_string())]);
            component(format!("collector/{name}"), Health::Degraded, details)
        });
        std::iter::once(component("agent".to_owned(), agent, details)).chain(collectors).collect()
    }
}

#[tonic::async_trait]
impl ClusterService for Clusters {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

    async fn get_health(
        &self,
        request: Request<v1::GetHealthRequest>,
    ) -> Result<Response<v1::GetHealthResponse>, Status> {
        let snapshot = self.snapshot();
        let cluster = request.into_inner().cluster;
        known_cluster(&snapshot, &cluster)?;
        let clusters = snapshot.clusters.iter().filter(|c| cluster.is_empty() || *c.name == *cluster);
        let clusters = clusters.map(|c| v1::ClusterHealth::of(c, snapshot.at)).collect();
        Ok(Response::new(v1::GetHealthResponse { clusters, timestamp: Some(timestamp(snapshot.at)) }))
    }

    async fn list_nodes(
        &self,
        request: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesResponse>, Status> {
        let request = request.into_inner();
        let snapshot = self.snapshot();
        known_cluster(&snapshot, &request.cluster)?;
        let size = match request.page_size as usize {
            0 => PAGE_MAX,
            size => size.min(PAGE_MAX),
        };
        // Nodes are sorted by name, so the name of the last one on a page is where the next begins.
        let mut rest = snapshot.nodes.iter().filter(|node| {
            in_cluster(node, &request.cluster) && node.member.name.as_str() > request.page_token.as_str()
        });
        let nodes: Vec<v1::Node> = rest.by_ref().take(size).map(Into::into).collect();
        let more = rest.next().is_some();
        let next_page_token = nodes.last().filter(|_| more).map(|node| node.name.clone()).unwrap_or_default();
        Ok(Response::new(v1::ListNodesResponse { nodes, next_page_token }))
    }

    async fn get_node(
        &self,
        request: Request<v1::GetNodeRequest>,
    ) -> Result<Response<v1::GetNodeResponse>, Status> {
        let name = request.into_inner().name;
        let snapshot = self.snapshot();
        let node = known_node(&snapshot, &name, "name")?;
        let members = std::slice::from_ref(&node.member);
        let now = self.clock.now().wall;
        let source = Source { members, live: &self.live, store: &*self.store, now };
        let resources = usage(source, &node.member).iter().map(Into::into).collect();
        let components = self.components(node).iter().map(Into::into).collect();
        let delivery = self.agents.delivery(node.member.id).await.map(|delivery| delivery.counts());
        let series = self.live.get(node.member.id).map_or(0, |row| row.series_count());
        let delivery = delivery.map(|counts| v1::Delivery {
            collected: counts.collected,
            stored: counts.stored,
            dropped_by_cause: counts.dropped.iter().map(|(c, n)| (c.as_str().to_owned(), *n)).collect(),
            series: u32::try_from(series).unwrap_or(u32::MAX),
        });
        let identity = self.identity(&name);
        let gaps_of_day = self.gaps_of_day(node.member.id, now).await;
        let node = Some(node.into());
        let answer = v1::GetNodeResponse { node, components, resources, delivery, identity, gaps_of_day };
        Ok(Response::new(answer))
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        let peer = peer.ok_or_else(|| Status::internal("connection has no address"))?;
        let cluster = request.into_inner().cluster;
        known_cluster(&self.snapshot(), &cluster)?;
        let limits = self.limits.borrow().call;
        let slot = self.watchers.take(limits.watchers_max).ok_or_else(|| {
            let text = format!("too many read along, the limit is {}", limits.watchers_max);
            counted(Reason::Watchers, Status::resource_exhausted(text))
        })?;
        let (updates, outbox) = queue(&limits, slot);
        let watcher = Watcher {
            cluster,
            snapshots: self.snapshots.clone(),
            updates,
            missed: 0,
            peer,
            refusals: self.refusals.clone(),
        };
        let shutdown = self.shutdown.clone();
        self.shutdown.spawn("watcher", async move {
            tokio::select! { () = watcher.run() => {}, () = shutdown.asked() => {} }
        });
        Ok(Response::new(Box::pin(outbox)))
    }
}

/// Whether a node is of this cluster; every node is of the one without a name.
pub(super) fn in_cluster(node: &NodeVerdict, cluster: &str) -> bool {
    cluster.is_empty() || *node.member.cluster == *cluster
}

fn known_cluster(snapshot: &Snapshot, cluster: &str) -> Result<(), Status> {
    if cluster.is_empty() || snapshot.cluster(cluster).is_some() {
        return Ok(());
    }
    Err(Status::not_found(format!("cluster `{}` has no members", cluster.escape_debug())))
}

/// A declared node by name; `field` is where the name stood.
pub fn known_node<'a>(snapshot: &'a Snapshot, name: &str, field: &str) -> Result<&'a NodeVerdict, Status> {
    if name.is_empty() {
        return Err(status::field(field, format!("field `{field}` is missing")));
    }
    snapshot
        .node(name)
        .ok_or_else(|| Status::not_found(format!("no node is named `{}`", name.escape_debug())))
}
