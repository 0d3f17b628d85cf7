//! An aggregator under attack, with honest agents whose data has to stay fresh, and with an eye on its memory.
//!
//! ```text
//!   attackers (127.0.66.x) ─→ aggregator ←─ honest agents (127.0.0.1), a frame a second
//!                                  ↑
//!                       watch: freshness of every honest node, resident memory
//! ```

use crate::forge::client;
use crate::honest::Session;
use crate::raw::Raw;
use quorate_common::clock::{Clock, SystemClock};
use quorate_proto::v1::create_token_request::Subject;
use quorate_proto::v1::{self, Liveness};
use quorate_tests::cluster::Cluster;
use quorate_tests::door::{Files, enrol_person};
use quorate_tests::figure::figure;
use rustls::ClientConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// A node that was not heard for longer is not fresh.
const FRESH_MS_MAX: u64 = 5_000;
/// What the whole of an attack may cost in resident memory.
const GROWTH_BYTES_MAX: u64 = 64 << 20;
/// How often we look.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Files and sockets that this program may have open, and the aggregator after it.
const DESCRIPTORS: u64 = 8192;

/// See the module.
pub struct Siege {
    pub cluster: Cluster,
    honest: Vec<JoinHandle<tonic::Status>>,
    watch: JoinHandle<()>,
    seen: Arc<Seen>,
}

/// What the watch saw.
#[derive(Default)]
struct Seen {
    over: AtomicBool,
    rounds: AtomicU64,
    /// The longest that an honest node was not heard.
    stale_ms_max: AtomicU64,
    before_bytes: AtomicU64,
    bytes_max: AtomicU64,
}

impl Siege {
    /// An aggregator with so many honest agents, all up.
    pub async fn begin(honest: usize, variables: &[(&str, &str)]) -> Siege {
        raise_descriptors();
        let cluster = Cluster::start_with(quorate_tests::programs!(), variables).await;
        let mut siege =
            Siege { cluster, honest: Vec::new(), watch: tokio::spawn(async {}), seen: Arc::default() };
        let names: Vec<String> = (0..honest).map(|at| format!("honest-{at}")).collect();
        for (nonce, name) in names.iter().enumerate() {
            let files = siege.node(name).await;
            let session = Session::open(siege.grpc(), client(&files), nonce as u64).await.unwrap();
            siege.honest.push(tokio::spawn(session.run()));
        }
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        siege.cluster.until_all("up", &all, Liveness::Up, Duration::from_secs(30)).await;
        siege.seen.before_bytes.store(resident(siege.cluster.aggregator.pid), Ordering::Relaxed);
        siege.watch = siege.watch();
        siege
    }

    /// Declares a node and gives its credential.
    pub async fn node(&self, name: &str) -> Files {
        let declared = v1::NodeDeclaration { name: name.into(), ..v1::NodeDeclaration::default() };
        let token = self.cluster.token(Subject::Node(declared)).await.token;
        enrol_person(&token, &self.cluster.dir().join("nodes").join(name)).await
    }

    /// The address of the gRPC port.
    pub fn grpc(&self) -> &str {
        &self.cluster.doors.grpc
    }

    /// The address of the enrolment port.
    pub fn enrol(&self) -> &str {
        &self.cluster.doors.enrol
    }

    /// The admin, as an attacker who has its credential.
    pub fn admin(&self) -> Arc<ClientConfig> {
        client(&self.cluster.admin())
    }

    /// An HTTP/2 connection of the admin's from an address of ours.
    pub async fn raw(&self, last: u8) -> Raw {
        Raw::open(crate::raw::from(last), self.grpc(), &self.admin()).await.unwrap()
    }

    /// How often a reason was counted.
    pub async fn refused(&self, reason: &str) -> u64 {
        self.cluster.status().await.refused.get(reason).copied().unwrap_or_default()
    }

    /// Waits until a reason was counted more often than `before`, and a line of the log names it.
    pub async fn until_refused(&self, reason: &str, before: u64) {
        let told = format!("\"reason\":\"{reason}\"");
        let counted = tokio::time::timeout(Duration::from_secs(20), async {
            let mut look = tokio::time::interval(LOOK_EVERY);
            while self.refused(reason).await <= before || !self.cluster.aggregator.log().contains(&told) {
                look.tick().await;
            }
        });
        assert!(counted.await.is_ok(), "`{reason}` was not counted and told");
    }

    /// Waits until the aggregator's log has a text.
    pub async fn until_logged(&self, part: &str) {
        let logged = tokio::time::timeout(Duration::from_secs(20), async {
            let mut look = tokio::time::interval(LOOK_EVERY);
            while !self.cluster.aggregator.log().contains(part) {
                look.tick().await;
            }
        });
        assert!(logged.await.is_ok(), "the log does not say `{part}`");
    }

    /// Waits until a reason was counted at least so often.
    pub async fn until_counted(&self, reason: &str, count: u64) {
        let counted = tokio::time::timeout(Duration::from_secs(20), async {
            let mut look = tokio::time::interval(LOOK_EVERY);
            while self.refused(reason).await < count {
                look.tick().await;
            }
        });
        assert!(counted.await.is_ok(), "`{reason}` was not counted {count} times");
    }

    /// Waits until readers were told whether `honest-0` is in maintenance.
    pub async fn until_told(&self, maintenance: bool) {
        let told = |record: &quorate_tests::watch::Record| {
            record.nodes.get("honest-0").is_some_and(|node| node.maintenance == maintenance)
        };
        self.cluster.until("maintenance is told", Duration::from_secs(20), told).await;
    }

    /// The cluster alone, without anybody who looks at it.
    pub async fn release(self) -> Cluster {
        self.seen.over.store(true, Ordering::Relaxed);
        self.watch.await.unwrap();
        self.cluster
    }

    fn watch(&self) -> JoinHandle<()> {
        let (seen, channel, pid) =
            (self.seen.clone(), self.cluster.channel.clone(), self.cluster.aggregator.pid);
        let mut service = v1::cluster_service_client::ClusterServiceClient::new(channel);
        tokio::spawn(async move {
            let mut look = tokio::time::interval(LOOK_EVERY);
            while !seen.over.load(Ordering::Relaxed) {
                look.tick().await;
                seen.bytes_max.fetch_max(resident(pid), Ordering::Relaxed);
                let listed = service.list_nodes(v1::ListNodesRequest::default()).await.unwrap().into_inner();
                let now = SystemClock.now().wall.as_millis();
                for node in listed.nodes.iter().filter(|node| node.name.starts_with("honest-")) {
                    let heard =
                        node.last_heard.map_or(0, |at| at.seconds * 1000 + i64::from(at.nanos) / 1_000_000);
                    let age = u64::try_from(now - heard).unwrap_or_default();
                    seen.stale_ms_max.fetch_max(age, Ordering::Relaxed);
                    assert_eq!(node.liveness(), Liveness::Up, "{} is not up", node.name);
                }
                seen.rounds.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    /// Says what was seen; fails if an honest agent suffered, or if memory grew too much.
    pub async fn end(self, name: &str) {
        self.seen.over.store(true, Ordering::Relaxed);
        self.watch.await.unwrap();
        for (at, agent) in self.honest.into_iter().enumerate() {
            if agent.is_finished() {
                panic!("honest-{at} was sent away: {}", agent.await.unwrap());
            }
            agent.abort();
        }
        let stale = self.seen.stale_ms_max.load(Ordering::Relaxed);
        let before = self.seen.before_bytes.load(Ordering::Relaxed);
        let growth = self.seen.bytes_max.load(Ordering::Relaxed).saturating_sub(before);
        figure(&format!("hostile.{name}.fresh_ms_max"), stale);
        figure(&format!("hostile.{name}.growth_mib"), growth >> 20);
        assert!(self.seen.rounds.load(Ordering::Relaxed) > 0, "nobody looked");
        assert!(stale <= FRESH_MS_MAX, "an honest node was not heard for {stale} ms");
        assert!(growth <= GROWTH_BYTES_MAX, "grew from {before} bytes by {growth}");
        self.cluster.aggregator.stop().await;
    }
}

/// Resident bytes of a process.
pub fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
}

/// The aggregator inherits it.
fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(DESCRIPTORS).min(DESCRIPTORS.max(limit.current.unwrap_or(0)));
    limit.current = Some(wanted);
    setrlimit(Resource::Nofile, limit).unwrap();
}
