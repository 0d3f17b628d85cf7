//! Values, labels, host names and frame numbers that nobody would expect, from an agent with a good certificate. What
//! is kept is kept byte for byte and bit for bit, also over a kill; of what contradicts itself the first stays. Rows
//! 38, 42, 43, 46 and 48 of the bad inputs.

use quorate_common::cell::{Encoder, Form};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::label::Labels;
use quorate_common::model::node::HostFacts;
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, SeriesSpec, Window};
use quorate_common::model::session::{
    AgentMessage, AggregatorMessage, Epoch, Frame, Held, Hello, PROTOCOL, Register, RegisterGroup,
};
use quorate_common::model::time::BootTime;
use quorate_proto::connect::Options;
use quorate_proto::v1;
use quorate_tests::cluster::Cluster;
use quorate_tests::programs;
use quorate_tests::swarm::Identity;
use quorate_tests::swarm::link::{Link, LinkError};
use std::collections::BTreeMap;
use std::time::Duration;

/// A session that becomes durable does so by then.
const DURABLE_MAX: Duration = Duration::from_secs(20);
const NODE: &str = "odd";

/// Values that are none, or hardly any.
const VALUES: [f64; 8] =
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324, f64::MAX, f64::MIN_POSITIVE / 2.0, 250.0];

/// Texts that mean something to whoever shows them.
const TEXTS: [&str; 12] = [
    "\"",
    "\\",
    "\n",
    "{",
    "🦀",
    "\u{202e}rtl",
    "\u{1b}[2J",
    "<img src=x onerror=alert(1)>",
    "'; DROP TABLE nodes; --",
    "${jndi:ldap://x}",
    "%0d%0a",
    "../../etc/passwd",
];

/// An agent that says what it is told to.
struct Agent {
    link: Link,
    encoder: Encoder,
    echo: u64,
}

fn specs() -> Vec<SeriesSpec> {
    let spec = |name: &str, at: usize, text: &str| SeriesSpec {
        metric: Metric { name: name.into(), kind: MetricKind::Gauge, form: CellForm::Float },
        labels: Labels::new([("at", at.to_string()), ("text", text.to_owned())]).unwrap(),
    };
    let values = VALUES.iter().enumerate().map(|(at, _)| spec("odd_value", at, "plain"));
    values.chain(TEXTS.iter().enumerate().map(|(at, text)| spec("odd_text", at, text))).collect()
}

/// All values as they are, and 1 for each text.
fn row() -> Vec<i64> {
    let ones = TEXTS.map(|_| 1.0);
    VALUES.iter().chain(&ones).map(|value| value.to_bits().cast_signed()).collect()
}

impl Agent {
    /// A session of one epoch; `newest` is the last frame that it holds.
    async fn begin(cluster: &Cluster, identity: &Identity, newest: u64) -> Agent {
        let link = Link::open(&cluster.doors.grpc, identity.tls.clone(), Options::AGENT).await.unwrap();
        let mut agent = Agent { link, encoder: Encoder::new(), echo: 0 };
        let (now, epoch) = (SystemClock.now(), Epoch { order: 1, nonce: 1 });
        let hello = Hello {
            protocol: PROTOCOL,
            epoch,
            boot_id: [3; 16],
            boot_ns: now.boot.0,
            wall_ns: now.wall.0,
            interval_ms: 1_000,
            held: vec![Held { epoch, first: 1, last: newest }],
            facts: HostFacts { hostname: format!("{}\u{1b}[2J", "h".repeat(300)), ..HostFacts::default() },
        };
        agent.link.send(AgentMessage::Hello(hello)).await.unwrap();
        assert!(matches!(agent.link.next().await.unwrap(), AggregatorMessage::Welcome(_)));
        let (window, series) = (Window::Short, specs());
        let first_index = agent.encoder.register(0, window, &vec![Form::Float; series.len()]).unwrap();
        let group = RegisterGroup {
            group: 0,
            collector: "odd".into(),
            interval_ms: 1_000,
            class: SeriesClass::System,
            first_index,
            series,
        };
        let register = Register { groups: vec![group], retire: Vec::new() };
        agent.link.send(AgentMessage::Register(register)).await.unwrap();
        agent
    }

    /// Frame `seq`, sampled so many seconds after `first`.
    async fn frame(&mut self, seq: u64, row: &[i64], first: BootTime) -> Result<(), LinkError> {
        let encoded = self.encoder.encode(seq, Window::Short, &[0], row, false).unwrap();
        let frame = Frame {
            seq,
            predecessor: encoded.predecessor,
            window: Some(Window::Short),
            boot_ns: first.0.saturating_add(seq.saturating_mul(1_000_000)),
            wall_ns: SystemClock.now().wall.0,
            next_due_ms: 1_000,
            collected_total: seq.saturating_mul(row.len() as u64),
            echo: self.echo,
            groups: encoded.groups,
            cells: encoded.cells,
        };
        self.link.send(AgentMessage::Frame(frame)).await
    }

    /// Sends on until frame `seq` is durable; gives the next number.
    async fn until_durable(&mut self, mut seq: u64, row: &[i64], first: BootTime) -> u64 {
        let wanted = seq;
        let durable = async {
            loop {
                self.frame(seq, row, first).await.unwrap();
                seq += 1;
                let heard = tokio::time::timeout(Duration::from_millis(200), self.link.next()).await;
                let Ok(heard) = heard else { continue };
                if let AggregatorMessage::Ack(ack) = heard.unwrap() {
                    self.echo = ack.echo;
                    if ack.durable >= wanted {
                        return seq;
                    }
                }
            }
        };
        tokio::time::timeout(DURABLE_MAX, durable).await.expect("it becomes durable")
    }
}

/// All values of a metric, oldest first, by the label that counts them, and the text of each.
async fn kept(cluster: &Cluster, metric: &str) -> BTreeMap<usize, (String, Vec<f64>)> {
    let selector = format!("{metric}{{node=\"{NODE}\"}}");
    let request = v1::QueryRecentRequest { selector, seconds: 900, limit: 100 };
    let answer = cluster.query_service().query_recent(request).await.unwrap().into_inner();
    let read = |series: v1::RecentSeries| {
        let label = |name: &str| {
            series.labels.iter().find(|label| label.name == name).map(|label| label.value.clone()).unwrap()
        };
        let values = series.samples.iter().map(|sample| sample.value).collect();
        (label("at").parse().unwrap(), (label("text"), values))
    };
    answer.series.into_iter().map(read).collect()
}

async fn check(cluster: &Cluster) {
    let values = kept(cluster, "odd_value").await;
    assert_eq!(values.len(), VALUES.len());
    for (at, expect) in VALUES.iter().enumerate() {
        let (_, found) = &values[&at];
        // The wire of queries knows one zero.
        let is_same = |value: &f64| value.to_bits() == expect.to_bits() || (*expect == 0.0 && *value == 0.0);
        assert!(found.iter().all(is_same), "{expect}: {found:?}");
        assert!(found.len() >= 3, "{expect}: {found:?}");
    }
    let texts = kept(cluster, "odd_text").await;
    for (at, expect) in TEXTS.iter().enumerate() {
        assert_eq!(texts[&at].0, *expect);
    }
}

#[tokio::test]
async fn rows_38_to_48_are_kept_as_they_came_or_refused() {
    let cluster = Cluster::start(programs!()).await;
    let identity = cluster.enrol_observers([NODE.to_owned()]).await.remove(0);
    let first = SystemClock.now().boot;
    let mut agent = Agent::begin(&cluster, &identity, 3).await;
    let known = agent.until_durable(1, &row(), first).await;
    let next = agent.until_durable(known, &row(), first).await;
    check(&cluster).await;
    let shown = cluster.list().await;
    assert_eq!((shown.len(), shown[0].name.as_str()), (1, NODE), "row 48: a host name is no identity");
    drop(agent);

    cluster.aggregator.kill();
    let cluster = cluster.revive_aggregator().await;
    check(&cluster).await;

    // Row 42: the same frames with other values. The first ones stay.
    let mut agent = Agent::begin(&cluster, &identity, next).await;
    let other = vec![7.0_f64.to_bits().cast_signed(); row().len()];
    for seq in 1..next {
        // What was not durable went with the process, and is new.
        let values = if seq <= known { &other } else { &row() };
        agent.frame(seq, values, first).await.unwrap();
    }
    agent.until_durable(next, &row(), first).await;
    check(&cluster).await;

    // Row 43: a number again is refused, and so is one from nowhere, or it is a hole that can be told.
    agent.encoder = Encoder::new();
    agent.encoder.register(0, Window::Short, &vec![Form::Float; row().len()]).unwrap();
    let ended = async {
        agent.frame(1, &row(), first).await?;
        loop {
            agent.link.next().await?;
        }
    };
    let ended: Result<(), LinkError> = tokio::time::timeout(DURABLE_MAX, ended).await.expect("it is refused");
    assert!(ended.as_ref().is_err_and(LinkError::is_refusal), "{ended:?}");
    let mut agent = Agent::begin(&cluster, &identity, next).await;
    agent.frame(1 << 63, &row(), first).await.unwrap();
    drop(agent);
    check(&cluster).await;
    let delivery = cluster.node(NODE).await.delivery.unwrap();
    let dropped: u64 = delivery.dropped_by_cause.values().sum();
    assert!(delivery.stored.saturating_add(dropped) <= delivery.collected, "{delivery:?}");
}
