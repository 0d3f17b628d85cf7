//! An outage of a day: what a node samples meanwhile lies in its journal, and is sent beside what it samples now.
//!
//! ```text
//!   recording, hour after hour ──→ the agent's own encoder and journal, an epoch an hour
//!                                        └── back-fill ──┐
//!   recording, at its pace ──→ session ──────────────────┴─mTLS─→ aggregator ──→ how old is the newest value?
//! ```
//!
//! The day passes on a clock that is made up: nobody waits for it. What was collected must all be stored in the end.

use crate::replay::{Shift, feed, idle};
use crate::report::Figure;
use crate::server::Server;
use anyhow::{Context, ensure};
use quorate_agent::answer::Answerer;
use quorate_agent::backfill::Backfiller;
use quorate_agent::encode::Cutter;
use quorate_agent::identity::Life;
use quorate_agent::send::{Sender, Standing};
use quorate_agent::session::Introduction;
use quorate_agent::spool::{self, Keeper, Log, Spool};
use quorate_common::backoff::Backoff;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::disk::SystemDisk;
use quorate_common::model::node::HostFacts;
use quorate_common::model::session::Epoch;
use quorate_common::model::time::{BootTime, Now, WallTime};
use quorate_common::notify::Pulse;
use quorate_common::rng::SystemRng;
use quorate_common::shutdown::Shutdown;
use quorate_proto::v1::QueryLatestRequest;
use quorate_proto::v1::query_service_client::QueryServiceClient;
use quorate_tests::recording::{Player, Reader};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

const NODE: &str = "outage";
const BOOT: [u8; 16] = [24; 16];
const HOUR: Duration = Duration::from_secs(3_600);
/// The host of the made-up clock has run so long.
const UPTIME: Duration = Duration::from_secs(30 * 86_400);
/// What the journal may take, as shipped.
const SIZE_MAX: u64 = 256 << 20;
const LOOK_EVERY: Duration = Duration::from_millis(100);
const FILLED_MAX: Duration = Duration::from_secs(3_600);
const MIB: f64 = (1_u64 << 20) as f64;

/// What is sampled while nobody is there.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The aggregator.
    pub aggregator: PathBuf,
    /// The recording, of one hour.
    pub recording: PathBuf,
    /// How long the outage is.
    pub hours: u32,
}

/// What it cost.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    hours: u32,
    samples: u64,
    journal_bytes: u64,
    memory_bytes: u64,
    filled_in: Duration,
    stale_max: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { hours, samples, journal_bytes, memory_bytes, filled_in, stale_max } = self;
        write!(
            f,
            "{hours} h, {samples} samples in {journal_bytes} bytes of journal and {memory_bytes} of memory, "
        )?;
        write!(f, "stored {filled_in:.1?} after the end, while live values were {stale_max:.1?} old at most")
    }
}

impl Outcome {
    /// As figures.
    pub fn figures(&self) -> [Figure; 4] {
        let hours = f64::from(self.hours);
        let times = HOUR.as_secs_f64() * hours / self.filled_in.as_secs_f64();
        let figure = |name, value, unit, goal| {
            let command = format!("make bench BENCH='--part outage --hours {}'", self.hours);
            Figure { name, value, unit, goal: Some(goal), peer: None, peer_value: None, command }
        };
        [
            figure("outage.journal_mib_24h", self.journal_bytes as f64 / MIB * 24.0 / hours, "MiB", 256.0),
            figure("outage.memory_mib", self.memory_bytes as f64 / MIB, "MiB", 10.0),
            figure("outage.backfill_times_real_time", times, "×", 20.0),
            figure("outage.live_age_ms_max", self.stale_max.as_secs_f64() * 1e3, "ms", 2_000.0),
        ]
    }
}

/// The host's clocks, had it been started a month ago.
struct Old;

impl Clock for Old {
    fn now(&self) -> Now {
        let now = SystemClock.now();
        Now { boot: now.boot + UPTIME, ..now }
    }
}

/// Runs the plan.
pub async fn measure(plan: &Plan) -> anyhow::Result<Outcome> {
    let server = Server::start(&plan.aggregator, None).await?;
    let tls = server.enrol(NODE).await?;
    let directory = tempfile::tempdir()?;
    let (samples, fill_bytes) = fill(plan, directory.path())?;
    let journal_bytes = size(directory.path())?;
    let shutdown = Shutdown::new();
    let before = resident()?;
    let begun = SystemClock.now().boot;
    let (keeper, feeding) = live(plan, directory.path(), (&server, tls), &shutdown).await?;
    let mut shown = keeper.shown();
    let mut filled = Box::pin(shown.wait_for(|shown| shown.is_there && !shown.is_due && shown.pieces < 3));
    let (mut stale_max, mut memory_bytes) = (Duration::ZERO, fill_bytes);
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            done = &mut filled => break drop(done.context("the journal is gone")?),
            _ = look.tick() => {
                stale_max = stale_max.max(age(&server).await?.unwrap_or_default());
                memory_bytes = memory_bytes.max(resident()?.saturating_sub(before));
                ensure!(SystemClock.now().boot.since(begun) < FILLED_MAX, "not filled after {FILLED_MAX:?}");
            }
        }
    }
    let filled_in = SystemClock.now().boot.since(begun);
    let delivery = server.delivery(NODE).await?;
    ensure!(delivery.dropped_by_cause.is_empty(), "samples were lost: {delivery:?}");
    ensure!(delivery.stored >= samples, "{samples} were collected: {delivery:?}");
    feeding.abort();
    shutdown.ask();
    server.stop().await?;
    let hours = plan.hours;
    Ok(Outcome { hours, samples, journal_bytes, memory_bytes, filled_in, stale_max })
}

/// Writes the hours of the outage; gives how many samples they have, and by how much the memory grew after the first.
fn fill(plan: &Plan, directory: &Path) -> anyhow::Result<(u64, u64)> {
    let (mut samples, mut after_first, mut most) = (0, None, 0);
    for hour in 0..plan.hours {
        let epoch = Epoch { order: u64::from(hour) + 1, nonce: u64::from(hour) };
        let mut log =
            Log::open(Arc::new(SystemDisk), directory, SIZE_MAX, (epoch, BOOT), Box::new(SystemRng))?;
        let begin =
            BootTime((Old.now().boot.0).saturating_sub((HOUR * (plan.hours - hour)).as_nanos() as u64));
        let (mut cutter, mut shift, mut collected) = (Cutter::default(), None, 0);
        for round in Player::new(Reader::open(&plan.recording)?).take(HOUR.as_secs() as usize) {
            let mut round = round?;
            round.at = shift.get_or_insert_with(|| Shift::to(begin, round.at, &Old)).apply(round.at);
            for tick in cutter.cut(round) {
                log.push(&tick);
                collected = tick.collected_total;
            }
        }
        log.sync();
        samples += collected;
        let resident = resident()?;
        most = most.max(resident.saturating_sub(*after_first.get_or_insert(resident)));
    }
    Ok((samples, most))
}

/// Starts what an agent sends with, and samples at its pace.
async fn live(
    plan: &Plan,
    directory: &Path,
    (server, tls): (&Server, Arc<rustls::ClientConfig>),
    shutdown: &Shutdown,
) -> anyhow::Result<(Keeper, tokio::task::JoinHandle<anyhow::Result<()>>)> {
    let epoch = Epoch { order: 1_000, nonce: 1_000 };
    let facts = HostFacts { hostname: "host".to_owned(), ..HostFacts::default() };
    let me = Introduction { epoch, boot_id: BOOT, interval_ms: 1000, facts };
    let directory = directory.to_owned();
    let open =
        move || Log::open(Arc::new(SystemDisk), &directory, SIZE_MAX, (epoch, BOOT), Box::new(SystemRng));
    let keeper = Keeper::start(open, shutdown);
    let (rounds, inbox) = mpsc::channel(4);
    let (standing, shown) = watch::channel(Standing::default());
    let tls = watch::channel(tls).1;
    let backfiller = Backfiller {
        keeper: keeper.clone(),
        standing: shown,
        tls: tls.clone(),
        clock: Arc::new(Old),
        rng: Box::new(SystemRng),
        backoff: Backoff::default(),
    };
    let sender = Sender {
        me,
        aggregators: watch::channel([server.grpc.clone()].into()).1,
        tls: tls.clone(),
        life: watch::channel(Life { begins: WallTime(0), ends: WallTime(i64::MAX) }).1,
        expired: Arc::default(),
        rounds: inbox,
        answerer: Answerer::new(tls, idle(shutdown)?, None, shutdown.clone()),
        spool: Spool::new(spool::Config::default()),
        keeper: Some(keeper.clone()),
        kept: 0,
        clock: Arc::new(Old),
        rng: Box::new(SystemRng),
        cutter: Cutter::default(),
        backoff: Backoff::default(),
        was_live: false,
        pulse: Pulse::default(),
        standing,
    };
    shutdown.spawn("send", sender.run(shutdown.clone()));
    shutdown.spawn("backfill", backfiller.run(shutdown.clone()));
    let player = Player::new(Reader::open(&plan.recording)?);
    let begin = Old.now().boot + Duration::from_secs(1);
    let fed = feed(player, rounds, (begin, Arc::new(Old)), HOUR.as_secs() as u32);
    Ok((keeper, tokio::spawn(async move { fed.await.map(drop) })))
}

/// How old the newest value of the node is.
async fn age(server: &Server) -> anyhow::Result<Option<Duration>> {
    let request = QueryLatestRequest { selector: format!("node_load1{{node=\"{NODE}\"}}"), limit: 1 };
    let answer = QueryServiceClient::new(server.admin().clone()).query_latest(request).await?.into_inner();
    let newest = answer.series.first().and_then(|series| series.sample.as_ref()?.timestamp);
    let at = newest.map(|at| WallTime(at.seconds * 1_000_000_000 + i64::from(at.nanos)));
    Ok(at.map(|at| {
        Duration::from_nanos(SystemClock.now().wall.0.saturating_sub(at.0).try_into().unwrap_or(0))
    }))
}

fn size(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

/// Bytes of this process in memory.
fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
