//! The recorder: reads `ClusterService.Watch` and keeps every change with the time at which we were told.

use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::time::BootTime;
use quorate_proto::v1;
use quorate_proto::v1::cluster_service_client::ClusterServiceClient;
use quorate_proto::v1::watch_response::Event;
use quorate_proto::v1::{Health, Liveness, QuorumStatus};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

/// The cluster that the harness makes.
pub const CLUSTER: &str = "default";

/// What was told so far.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The newest state of each node.
    pub nodes: BTreeMap<String, v1::Node>,
    /// The newest health of each cluster.
    pub clusters: BTreeMap<String, v1::ClusterHealth>,
    /// Every change of a node's liveness, in order; the first is what it was when watching began.
    pub changes: Vec<Change>,
    /// Every transition as the aggregator names it, in order.
    pub transitions: Vec<v1::Transition>,
    /// Snapshots that we were too slow for.
    pub missed: u64,
    /// Why the stream ended, if it has.
    pub ended: Option<String>,
}

/// A node's liveness changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// When we were told.
    pub at: BootTime,
    /// Which node.
    pub node: String,
    /// What it is now; `None` once it is no member any more.
    pub liveness: Option<Liveness>,
}

impl Record {
    /// What a node is now.
    pub fn liveness(&self, node: &str) -> Option<Liveness> {
        self.nodes.get(node).map(v1::Node::liveness)
    }

    /// Whether all these nodes are of one liveness.
    pub fn all(&self, nodes: &[&str], liveness: Liveness) -> bool {
        nodes.iter().all(|node| self.liveness(node) == Some(liveness))
    }

    /// The health of the harness' cluster.
    pub fn health(&self) -> Health {
        self.clusters.get(CLUSTER).map_or(Health::Unspecified, v1::ClusterHealth::status)
    }

    /// Whether its voters are enough.
    pub fn quorum(&self) -> QuorumStatus {
        self.clusters.get(CLUSTER).map_or(QuorumStatus::Unspecified, v1::ClusterHealth::quorum_status)
    }

    /// When a node became this, at or after `since`.
    pub fn became(&self, node: &str, liveness: Liveness, since: BootTime) -> Option<BootTime> {
        let mut changes = self.changes.iter().filter(|change| change.at >= since && change.node == node);
        changes.find(|change| change.liveness == Some(liveness)).map(|change| change.at)
    }

    /// Fails if a node was told to be `liveness` at or after `since`, by state or by transition, or if we may
    /// have missed it.
    pub fn assert_never(&self, liveness: Liveness, nodes: &[&str], since: BootTime) {
        assert_eq!((self.missed, &self.ended), (0, &None), "the record has holes");
        let word = liveness.as_str_name().trim_start_matches("LIVENESS_").to_lowercase();
        for node in nodes {
            assert_eq!(self.became(node, liveness, since), None, "{node} was {word}\n{}", self.story());
        }
        // Transitions are kept since the watch began: tests of this kind begin with a healthy cluster.
        let told =
            |t: &&v1::Transition| t.kind == "node" && t.to == word && nodes.contains(&t.subject.as_str());
        assert!(self.transitions.iter().find(told).is_none(), "{}", self.story());
    }

    /// All changes as text, for messages of failed tests.
    pub fn story(&self) -> String {
        let mut text = String::new();
        let first = self.changes.first().map_or(BootTime(0), |change| change.at);
        for Change { at, node, liveness } in &self.changes {
            writeln!(text, "  +{:>6} ms {node} {liveness:?}", at.since(first).as_millis()).unwrap();
        }
        for v1::Transition { kind, subject, from, to, reason, .. } in &self.transitions {
            writeln!(text, "  {kind} {subject}: {from} → {to} ({reason})").unwrap();
        }
        writeln!(text, "  {:?} {:?} missed {} {:?}", self.health(), self.quorum(), self.missed, self.ended)
            .unwrap();
        text
    }

    fn take(&mut self, event: Event, at: BootTime) {
        match event {
            Event::Full(full) => {
                self.missed += full.missed;
                let gone: Vec<String> = self
                    .nodes
                    .keys()
                    .filter(|name| full.nodes.iter().all(|n| n.name != **name))
                    .cloned()
                    .collect();
                self.remove(gone, at);
                self.update(full.clusters, full.nodes, at);
            }
            Event::Changes(changes) => {
                self.remove(changes.removed_nodes, at);
                self.update(changes.clusters, changes.nodes, at);
                self.transitions.extend(changes.transitions);
            }
        }
    }

    fn update(&mut self, clusters: Vec<v1::ClusterHealth>, nodes: Vec<v1::Node>, at: BootTime) {
        self.clusters.extend(clusters.into_iter().map(|cluster| (cluster.cluster.clone(), cluster)));
        for node in nodes {
            let liveness = Some(node.liveness());
            if self.liveness(&node.name) != liveness {
                self.changes.push(Change { at, node: node.name.clone(), liveness });
            }
            self.nodes.insert(node.name.clone(), node);
        }
    }

    fn remove(&mut self, gone: Vec<String>, at: BootTime) {
        for node in gone {
            self.nodes.remove(&node);
            self.changes.push(Change { at, node, liveness: None });
        }
    }
}

/// Reads until it is dropped.
#[derive(Debug)]
pub struct Recorder {
    record: watch::Receiver<Record>,
    task: JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recorder {
    /// Begins to read; returns with the first full state.
    pub async fn begin(channel: Channel) -> Recorder {
        let mut client = ClusterServiceClient::new(channel);
        let request = v1::WatchRequest { cluster: String::new() };
        let mut stream = client.watch(request).await.expect("a watch begins").into_inner();
        let (write, record) = watch::channel(Record::default());
        let first = stream.message().await.unwrap().and_then(|message| message.event).expect("a full state");
        write.send_modify(|record| record.take(first, SystemClock.now().boot));
        let task = tokio::spawn(async move {
            let why = loop {
                match stream.message().await {
                    Ok(Some(v1::WatchResponse { event: Some(event) })) => {
                        write.send_modify(|record| record.take(event, SystemClock.now().boot));
                    }
                    Ok(Some(_)) => break "an empty message".to_owned(),
                    Ok(None) => break "end of stream".to_owned(),
                    Err(status) => break status.to_string(),
                }
            };
            write.send_modify(|record| record.ended = Some(why));
            write.closed().await;
        });
        Recorder { record, task }
    }

    /// What was told so far.
    pub fn record(&self) -> Record {
        self.record.borrow().clone()
    }

    /// Waits until `found` finds what it looks for; fails after `limit`, and says what was told.
    pub async fn until<T>(&self, what: &str, limit: Duration, found: impl Fn(&Record) -> Option<T>) -> T {
        let mut record = self.record.clone();
        let wait = record.wait_for(|record| found(record).is_some());
        let told = tokio::time::timeout(limit, wait).await.map(|told| told.map(|record| found(&record)));
        match told {
            Ok(Ok(Some(value))) => value,
            _ => panic!("not within {limit:?}: {what}\n{}", self.record().story()),
        }
    }

    /// Reads on for `span`, and gives what was told until then.
    pub async fn observe(&self, span: Duration) -> Record {
        tokio::time::sleep(span).await;
        self.record()
    }
}
