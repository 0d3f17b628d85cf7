//! What a recorded host costs on the wire: stretches of a recording, each sent by an agent of its own at the pace at
//! which it was recorded. All at once, so that an hour takes minutes.
//!
//! ```text
//!   recording ─rounds→ the agent's own encoder, spool and session ──mTLS──→ meter ──→ relay ──mTLS──→ aggregator
//! ```
//!
//! The path is that of [`crate::wire`]; only the sampling is another. A stretch begins some time before its window,
//! so that the window sees a session that has settled. In the end each aggregator's count must be right, and every
//! value that it shows.

use crate::meter::{Bytes, Meter};
use crate::server::Server;
use crate::wire::{Outcome, Tally, relay};
use anyhow::{Context, ensure};
use quorate_agent::answer::Answerer;
use quorate_agent::encode::{Cutter, Round};
use quorate_agent::identity::Life;
use quorate_agent::sample::{self, Outlet};
use quorate_agent::send::{Sender, Standing};
use quorate_agent::session::Introduction;
use quorate_agent::spool::{self, Spool};
use quorate_common::backoff::Backoff;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::node::HostFacts;
use quorate_common::model::session::Epoch;
use quorate_common::model::time::{BootTime, Now, WallTime};
use quorate_common::notify::Pulse;
use quorate_common::rng::SystemRng;
use quorate_common::shutdown::Shutdown;
use quorate_proto::connect::{Options, channel};
use quorate_tests::recording::{Player, Reader};
use rustls::ClientConfig;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Rounds that may wait for sending, as in the agent.
const ROUNDS_MAX: usize = 4;
/// From when everything is ready to the first round.
const LEAD: Duration = Duration::from_secs(1);
/// All that was sent must be stored this soon.
const STORED_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const SECOND_NS: u64 = 1_000_000_000;
/// Labels that the aggregator adds.
const ADDED: [&str; 5] = ["cluster", "instance", "job", "node", "zone"];

/// What to send of a recording.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The aggregator.
    pub aggregator: PathBuf,
    /// The recording.
    pub recording: PathBuf,
    /// Tick that the first window begins with.
    pub first: u32,
    /// Ticks from one window to the next.
    pub step: u32,
    /// How many windows.
    pub stretches: u32,
    /// Ticks of each stretch before its window, at most `first`.
    pub settle: u32,
    /// Ticks of each window.
    pub window: u32,
}

/// One stretch and the node that is to send it.
struct Enrolled {
    number: u32,
    node: String,
    tls: Arc<ClientConfig>,
    player: Player,
}

/// One stretch and the node that sends it.
struct Stretch {
    node: String,
    meter: Meter,
    tally: watch::Receiver<Tally>,
    rounds: mpsc::Sender<Round>,
    player: Player,
}

/// Metric and labels, and the newest value.
type Values = BTreeMap<Vec<(String, String)>, f64>;

/// Runs the plan; the outcome is that of all stretches together.
pub async fn measure(plan: &Plan) -> anyhow::Result<Outcome> {
    let server = Server::start(&plan.aggregator, None).await?;
    let shutdown = Shutdown::new();
    // No session waits for others to enrol: each lives for its stretch alone, as a real one begins with its first
    // tick.
    let mut enrolled = Vec::new();
    for number in 0..plan.stretches {
        enrolled.push(enrol(plan, number, &server).await?);
    }
    let mut stretches = Vec::new();
    for one in enrolled {
        stretches.push(stretch(one, &server, &shutdown).await?);
    }
    let begin = BootTime(((SystemClock.now().boot + LEAD).0 / SECOND_NS + 1) * SECOND_NS);
    let mut feeds = Vec::new();
    let mut watched = Vec::new();
    for Stretch { node, meter, tally, rounds, player } in stretches {
        let clock = Arc::new(SystemClock);
        feeds.push(tokio::spawn(feed(player, rounds, (begin, clock), plan.settle + plan.window)));
        watched.push((node, meter, tally));
    }
    let look = || watched.iter().map(|(_, meter, tally)| (tally.borrow().clone(), meter.bytes())).collect();
    // Half a second after a tick everything of it has arrived.
    let between = begin + Duration::from_millis(500);
    until(between + Duration::from_secs(u64::from(plan.settle)) - Duration::from_secs(1)).await;
    let before: Vec<(Tally, Bytes)> = look();
    until(between + Duration::from_secs(u64::from(plan.settle + plan.window)) - Duration::from_secs(1)).await;
    let after: Vec<(Tally, Bytes)> = look();
    for (feed, (node, meter, tally)) in feeds.into_iter().zip(&watched) {
        verify(&server, node, &feed.await??, tally).await.with_context(|| format!("node `{node}`"))?;
        ensure!(meter.connections() == 1, "`{node}` connected {} times", meter.connections());
    }
    shutdown.ask();
    server.stop().await?;
    let windows = before.iter().zip(&after);
    Ok(windows.map(|((from, begun), (to, bytes))| Outcome::between(from, to, bytes.since(*begun))).sum())
}

/// Enrols a node and finds its place in the recording.
async fn enrol(plan: &Plan, number: u32, server: &Server) -> anyhow::Result<Enrolled> {
    let node = format!("replay-{number}");
    let mut player = Player::new(Reader::open(&plan.recording)?);
    let first = plan.first + number * plan.step;
    player
        .skip_ticks(first.checked_sub(plan.settle).context("no room to settle before the first window")?)?;
    let tls = server.enrol(&node).await?;
    Ok(Enrolled { number, node, tls, player })
}

/// Starts what an agent sends with.
async fn stretch(from: Enrolled, server: &Server, shutdown: &Shutdown) -> anyhow::Result<Stretch> {
    let Enrolled { number, node, tls, player } = from;
    let target = channel(&server.grpc, tls.clone(), Options::AGENT).await?;
    let (address, tally) = relay(server, target, shutdown, None).await?;
    let meter = Meter::start(address).await?;
    let (rounds, inbox) = mpsc::channel(ROUNDS_MAX);
    let (_, tls) = watch::channel(tls);
    let (_, aggregators) = watch::channel([meter.address.clone()].into());
    let me = Introduction {
        epoch: Epoch { order: 1, nonce: u64::from(number) },
        boot_id: [number as u8; 16],
        interval_ms: 1000,
        facts: HostFacts { hostname: "host".to_owned(), ..HostFacts::default() },
    };
    let sender = Sender {
        me,
        aggregators,
        tls: tls.clone(),
        // Longer than any stretch: nothing is renewed here.
        life: watch::channel(Life { begins: WallTime(0), ends: WallTime(i64::MAX) }).1,
        expired: Arc::default(),
        rounds: inbox,
        answerer: Answerer::new(tls, idle(shutdown)?, None, shutdown.clone()),
        spool: Spool::new(spool::Config::default()),
        keeper: None,
        kept: 0,
        clock: Arc::new(SystemClock),
        rng: Box::new(SystemRng),
        cutter: Cutter::default(),
        backoff: Backoff::default(),
        was_live: false,
        pulse: Pulse::default(),
        standing: watch::channel(Standing::default()).0,
    };
    shutdown.spawn("send", sender.run(shutdown.clone()));
    Ok(Stretch { node, meter, tally, rounds, player })
}

/// Sampling that samples nothing: nobody asks for it, and a sender cannot be without.
pub fn idle(shutdown: &Shutdown) -> anyhow::Result<sample::Sampling> {
    let disabled = sample::collectors(&sample::Config::default(), Path::new("/"));
    let disabled = disabled.iter().map(|one| one.name().to_owned()).collect();
    let config = sample::Config { interval_ms: 60_000, disabled, ..sample::Config::default() };
    let (rounds, mut inbox) = mpsc::channel(ROUNDS_MAX);
    shutdown.spawn("idle", async move { while inbox.recv().await.is_some() {} });
    Ok(sample::start(&config, Path::new("/"), Arc::new(SystemClock), Outlet::from(rounds), shutdown)?)
}

/// Sends rounds when they are due, the first at `begin`, and gives what the aggregator must show after them.
pub async fn feed(
    mut player: Player,
    rounds: mpsc::Sender<Round>,
    (begin, clock): (BootTime, Arc<dyn Clock>),
    ticks: u32,
) -> anyhow::Result<Values> {
    let mut shift = None;
    let mut sampled = BTreeSet::new();
    for _ in 0..ticks {
        let mut round = player.next().context("the recording ends before the stretch")??;
        round.at = shift.get_or_insert_with(|| Shift::to(begin, round.at, &*clock)).apply(round.at);
        tokio::time::sleep(round.at.boot.since(clock.now().boot)).await;
        sampled.extend(round.sampled.iter().copied());
        rounds.send(round).await.context("sending has ended")?;
    }
    let is_sent = |group: u32| sampled.contains(&group);
    let newest = player.newest().filter(|(series, _)| is_sent(series.group)).map(|(series, cell)| {
        let name = [("__name__".to_owned(), series.spec.metric.name.to_string())];
        let labels = series.spec.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut labels: Vec<_> = name.into_iter().chain(labels).collect();
        labels.sort();
        (labels, series.spec.metric.form.value(cell))
    });
    Ok(newest.collect())
}

/// How far the recording's clocks are from ours.
#[derive(Clone, Copy, Debug)]
pub struct Shift {
    boot_ns: u64,
    wall_ns: i64,
}

impl Shift {
    /// So that the second in which the first tick was recorded begins at `begin`; the walls agree now.
    pub fn to(begin: BootTime, first: Now, clock: &dyn Clock) -> Shift {
        let boot_ns = begin.0.wrapping_sub(first.boot.0 / SECOND_NS * SECOND_NS);
        let now = clock.now();
        let wall_now = now.wall.0 - now.boot.0.cast_signed();
        let wall_then = first.wall.0 - first.boot.0.wrapping_add(boot_ns).cast_signed();
        Shift { boot_ns, wall_ns: wall_now - wall_then }
    }

    /// A moment of the recording on our clocks.
    pub fn apply(self, at: Now) -> Now {
        Now { boot: BootTime(at.boot.0.wrapping_add(self.boot_ns)), wall: WallTime(at.wall.0 + self.wall_ns) }
    }
}

async fn until(at: BootTime) {
    tokio::time::sleep(at.since(SystemClock.now().boot)).await;
}

/// Everything that was sent is stored and counted, and every newest value is what was recorded.
async fn verify(
    server: &Server,
    node: &str,
    sent: &Values,
    tally: &watch::Receiver<Tally>,
) -> anyhow::Result<()> {
    let stored = async {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            let delivery = server.delivery(node).await?;
            let tally = tally.borrow().clone();
            if delivery.stored == tally.samples && delivery.collected == tally.samples {
                ensure!(delivery.dropped_by_cause.is_empty(), "samples were lost: {delivery:?}");
                return Ok((tally, delivery));
            }
        }
    };
    let stored = tokio::time::timeout(STORED_MAX, stored).await;
    let (tally, _) = stored.with_context(|| format!("not all of {:?} is stored", tally.borrow()))??;
    ensure!((tally.sessions, &tally.broken) == (1, &None), "the session broke: {tally:?}");
    let shown: Values =
        server.newest(node).await?.into_iter().map(|(labels, value)| (own(labels), value)).collect();
    ensure!(shown.len() == sent.len(), "{} series are shown, {} were sent", shown.len(), sent.len());
    for (labels, value) in sent {
        let found = shown.get(labels).with_context(|| format!("{labels:?} is not shown"))?;
        ensure!(found.to_bits() == value.to_bits(), "{labels:?} is {found}, recorded was {value}");
    }
    Ok(())
}

/// The labels that the agent has sent.
fn own(mut labels: Vec<(String, String)>) -> Vec<(String, String)> {
    labels.retain(|(name, _)| !ADDED.contains(&&**name));
    labels.sort();
    labels
}
