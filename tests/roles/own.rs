//! An agent speaks for itself. Nothing in the protocol can even say whose data it is: what could carry a name
//! is listed here field by field, and what it could carry is tried.

use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::label::Labels;
use quorate_common::model::node::HostFacts;
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, SeriesSpec};
use quorate_common::model::session::{AgentMessage, Epoch, Frame, Hello, PROTOCOL, Register, RegisterGroup};
use quorate_proto::convert::SessionWriter;
use quorate_proto::v1;
use quorate_proto::v1::answer_request::Body;
use quorate_proto::v1::ingest_service_client::IngestServiceClient;
use quorate_proto::v1::session_response::Message as Down;
use quorate_tests::cluster::Cluster;
use quorate_tests::programs;
use quorate_tests::watch::Record;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

const PATIENCE: Duration = Duration::from_secs(30);

/// Every text and every run of bytes that an agent sends, and why it names no node.
const TEXTS: &[(&str, &str)] = &[
    ("AnswerRequest.failed", "shown to whoever asked this node"),
    ("Frame.cells", "numbers by index of this session"),
    ("Frame.groups", "numbers of groups of this session"),
    ("Hello.boot_id", "sixteen random bytes of the host"),
    ("HostFacts.agent_version", "shown"),
    ("HostFacts.arch", "shown"),
    ("HostFacts.cpu_model", "shown"),
    ("HostFacts.hostname", "shown; two nodes may say the same"),
    ("HostFacts.kernel", "shown"),
    ("HostFacts.missing_rights", "shown"),
    ("HostFacts.os", "shown"),
    ("Process.group", "shown to whoever asked this node"),
    ("Process.name", "shown to whoever asked this node"),
    ("Process.state", "shown to whoever asked this node"),
    ("Process.user", "shown to whoever asked this node"),
    ("RecordedSeries.labels", "shown to whoever asked this node"),
    ("RecordedSeries.metric", "shown to whoever asked this node"),
    ("Register.strings", "labels; those that name a node become exported_*, see below"),
];

#[test]
fn nothing_that_an_agent_sends_can_name_a_node() {
    let set = FileDescriptorSet::decode(quorate_proto::DESCRIPTORS).unwrap();
    let find = |full: &str| -> DescriptorProto {
        let name = full.rsplit('.').next().unwrap();
        let mut messages = set.file.iter().flat_map(|file| &file.message_type);
        messages.find(|message| message.name() == name).unwrap_or_else(|| panic!("{full}")).clone()
    };
    let (mut todo, mut seen) =
        (vec!["SessionRequest".to_owned(), "AnswerRequest".to_owned()], BTreeSet::new());
    let mut texts = BTreeSet::new();
    while let Some(name) = todo.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let message = find(&name);
        for field in &message.field {
            let path = format!("{}.{}", message.name(), field.name());
            assert!(!field.name().contains("node"), "{path} sounds as if it named one");
            match field.r#type() {
                Type::Message => todo.push(field.type_name().rsplit('.').next().unwrap().to_owned()),
                Type::String | Type::Bytes => drop(texts.insert(path)),
                _ => {}
            }
        }
    }
    let known: BTreeSet<String> = TEXTS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(texts, known, "say why the new one cannot name a node");
}

/// An agent made of nothing but its certificate.
struct Agent {
    channel: Channel,
    writer: SessionWriter,
    messages: mpsc::Sender<v1::SessionRequest>,
    replies: Streaming<v1::SessionResponse>,
}

impl Agent {
    async fn connect(cluster: &Cluster, name: &str, hostname: &str) -> Agent {
        let channel = cluster.node_files(name).open(&cluster.doors.grpc).await.unwrap();
        let (messages, outbox) = mpsc::channel(16);
        let now = SystemClock.now();
        let hello = Hello {
            protocol: PROTOCOL,
            epoch: Epoch { order: 1, nonce: 7 },
            boot_id: [9; 16],
            interval_ms: 1000,
            held: Vec::new(),
            facts: HostFacts { hostname: hostname.into(), ..HostFacts::default() },
            boot_ns: now.boot.0,
            wall_ns: now.wall.0,
        };
        let mut writer = SessionWriter::default();
        messages.send(writer.write(AgentMessage::Hello(hello))).await.unwrap();
        let session = IngestServiceClient::new(channel.clone()).session(ReceiverStream::new(outbox)).await;
        let mut agent = Agent { channel, writer, messages, replies: session.unwrap().into_inner() };
        assert!(matches!(agent.reply().await, Down::Welcome(_)));
        agent
    }

    async fn reply(&mut self) -> Down {
        let reply = tokio::time::timeout(PATIENCE, self.replies.message()).await.expect("a reply");
        reply.unwrap().expect("a session").message.unwrap()
    }

    /// The number of the next question.
    async fn question(&mut self) -> u64 {
        loop {
            if let Down::Request(request) = self.reply().await {
                return request.id;
            }
        }
    }

    /// Registers one series with these labels, and sends one sample of it.
    async fn sample(&mut self, labels: &[(&str, &str)]) {
        let metric = Metric { name: "forged".into(), kind: MetricKind::Gauge, form: CellForm::COUNT };
        let spec = SeriesSpec { metric, labels: Labels::new(labels.iter().copied()).unwrap() };
        let group = RegisterGroup {
            group: 0,
            collector: "forger".into(),
            interval_ms: 1000,
            class: SeriesClass::System,
            first_index: 0,
            series: vec![spec],
        };
        let register = Register { groups: vec![group], retire: Vec::new() };
        let register = self.writer.write(AgentMessage::Register(register));
        self.messages.send(register).await.unwrap();
        let now = SystemClock.now();
        let frame = Frame {
            seq: 1,
            window: Some(quorate_common::model::series::Window::Short),
            boot_ns: now.boot.0,
            wall_ns: now.wall.0,
            next_due_ms: 60_000,
            collected_total: 1,
            groups: vec![1].into(),
            // The first series, and 7 more than 0.
            cells: vec![0, 14].into(),
            ..Frame::default()
        };
        let frame = self.writer.write(AgentMessage::Frame(frame));
        self.messages.send(frame).await.unwrap();
        while !matches!(self.reply().await, Down::Ack(ack) if ack.received == 1) {}
    }

    async fn answer(&self, id: u64, process: &str) {
        let rows = vec![v1::Process { name: process.into(), ..Default::default() }];
        let body = Some(Body::Processes(v1::ProcessTable { rows }));
        let answer = v1::AnswerRequest { id, part: 0, last: true, body };
        let sent = IngestServiceClient::new(self.channel.clone()).answer(tokio_stream::once(answer)).await;
        sent.unwrap();
    }
}

/// The judge tells of a node's first session; questions find the node from then on.
async fn heard(cluster: &Cluster, name: &str) {
    let facts = |record: &Record| record.nodes.get(name).is_some_and(|node| node.facts.is_some());
    cluster.until(&format!("{name} has a session"), PATIENCE, facts).await;
}

#[tokio::test]
async fn what_an_agent_writes_is_its_own_whatever_it_says() {
    let cluster = Cluster::start(programs!()).await;
    for name in ["n1", "n2"] {
        cluster.enrol(name, v1::MemberRole::Voter, "").await;
    }
    let mut forger = Agent::connect(&cluster, "n1", "n2").await;
    let victim = [("node", "n2"), ("instance", "n2"), ("cluster", "other"), ("job", "x"), ("zone", "z")];
    forger.sample(&victim).await;
    heard(&cluster, "n1").await;
    let query = async |selector: &str| {
        let request = v1::QueryLatestRequest { selector: selector.into(), limit: 0 };
        cluster.query_service().query_latest(request).await.unwrap().into_inner().series
    };
    assert_eq!(query(r#"{node="n2"}"#).await, [], "nothing of it is n2's");
    let series = query(r#"{node="n1",__name__="forged"}"#).await;
    let labels: Vec<String> =
        series[0].labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
    let expect = [
        "__name__=forged",
        "cluster=default",
        "exported_cluster=other",
        "exported_instance=n2",
        "exported_job=x",
        "exported_node=n2",
        "exported_zone=z",
        "instance=n1",
        "job=quorate",
        "node=n1",
    ];
    assert_eq!((series.len(), labels), (1, expect.map(str::to_owned).to_vec()));
    assert_eq!(series[0].sample.unwrap().value, 7.0);
    let n2 = cluster.node("n2").await.node.unwrap();
    assert_eq!((n2.last_heard, n2.facts), (None, None), "nobody was heard of n2");
    let n1 = cluster.node("n1").await.node.unwrap();
    assert_eq!(n1.facts.unwrap().hostname, "n2", "a hostname is shown and means nothing");
}

#[tokio::test]
async fn a_question_is_answered_by_whom_it_was_asked() {
    let cluster = Cluster::start(programs!()).await;
    for name in ["n1", "n2"] {
        cluster.enrol(name, v1::MemberRole::Voter, "").await;
    }
    let mut asked = Agent::connect(&cluster, "n1", "h1").await;
    let other = Agent::connect(&cluster, "n2", "h2").await;
    heard(&cluster, "n1").await;
    let mut query = cluster.query_service();
    let request = v1::ListProcessesRequest { node: "n1".into(), limit: 0 };
    let waiting = tokio::spawn(async move { query.list_processes(request).await });
    let id = asked.question().await;
    // Each of these is taken, as a late answer is, and changes nothing.
    for guess in [id - 1, id, id + 1] {
        other.answer(guess, "forged").await;
    }
    asked.answer(id, "real").await;
    let answer = waiting.await.unwrap().unwrap().into_inner();
    let names: Vec<_> = answer.processes.iter().map(|process| process.name.as_str()).collect();
    assert_eq!((answer.node.as_str(), names), ("n1", vec!["real"]));
    // Nobody else answers for a node that does not.
    let mut query = cluster.query_service();
    let request = v1::ListProcessesRequest { node: "n1".into(), limit: 0 };
    let waiting = tokio::spawn(async move { query.list_processes(request).await });
    other.answer(asked.question().await, "forged").await;
    assert_eq!(waiting.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
}
