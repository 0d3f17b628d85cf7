//! Wiring: parse, build, run. The only file that sees every stage.

mod authority;
mod certificate;
mod change;
mod doors;
mod gap;
mod history;
mod reload;
mod restore;
mod status;
mod upkeep;
mod web;
mod wire;

use crate::agents::Agents;
use crate::cli::{Cli, Command, Common, Init, Run};
use crate::config::Config;
use crate::evaluate;
use crate::identity::ca::Authority;
use crate::identity::generation::grace;
use crate::identity::init::{self, StatePaths};
use crate::identity::registry::Registry;
use crate::judge;
use crate::limit::{Bound, Limits};
use crate::serve::diagnostic::Configuration;
use doors::{Doors, Services};
use history::History;
use quorate_common::clock::{Clock, SlewedClock, SystemClock};
use quorate_common::config::{Environment, load};
use quorate_common::lock::StateLock;
use quorate_common::model::cluster::Snapshot;
use quorate_common::model::time::WallTime;
use quorate_common::notify::{Notifier, Progress};
use quorate_common::program::{Failure, raise_descriptors};
use quorate_common::shutdown::Shutdown;
use quorate_common::telemetry::Telling;
use quorate_common::{durable, telemetry};
use reload::{Live, Reload};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use wire::Parts;

/// How long stopping may take.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// A judge that has not swept for this long hangs.
const HANG_MIN: Duration = Duration::from_secs(10);

/// Does what the command line says.
pub fn main(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        None => start(&cli.run),
        Some(Command::Run(run)) => start(&run),
        Some(Command::CheckConfig { common }) => configure(&(&common).into()).map(drop),
        Some(Command::Ca(change)) => authority::change(&change),
        Some(Command::Restore(flags)) => restore::run(&flags),
        Some(Command::Init(init)) => {
            let (config, _) = configure(&(&init.common).into())?;
            telemetry::start(config.log, &Environment::capture()).map_err(|error| Failure::failed(&error))?;
            runtime()?.block_on(initialise(config, init))
        }
    }
}

fn start(run: &Run) -> Result<(), Failure> {
    let loading =
        Loading { common: run.common.clone(), listen: [run.listen_grpc, run.listen_enrol, run.listen_http] };
    let (config, files) = configure(&loading)?;
    let environment = Environment::capture();
    let telling = telemetry::start(config.log, &environment).map_err(|error| Failure::failed(&error))?;
    // Each agent is an open file.
    let descriptors = raise_descriptors();
    tracing::info!(?descriptors, "open files allowed");
    let notifier = Notifier::from_environment(&environment).map_err(|error| Failure::failed(&error))?;
    runtime()?.block_on(async {
        let shutdown = Shutdown::new();
        let aggregator = build(config, files, telling, &shutdown).await?;
        shutdown.ask_on_signal().map_err(|error| Failure::failed(&error))?;
        if run.stop_on_stdin_eof {
            shutdown.ask_on_stdin_eof().map_err(|error| Failure::failed(&error))?;
        }
        aggregator.run((run, loading), notifier, shutdown).await
    })
}

/// Where the configuration is, and the flags that win over it: the same at start and at each reload.
pub struct Loading {
    common: Common,
    /// Of gRPC, of enrolment, and of HTTP.
    listen: [Option<SocketAddr>; 3],
}

impl From<&Common> for Loading {
    fn from(common: &Common) -> Loading {
        Loading { common: common.clone(), listen: [None; 3] }
    }
}

/// The configuration as files, environment and flags have it, and the files.
fn configure(loading: &Loading) -> Result<(Config, Vec<PathBuf>), Failure> {
    let Loading { common, listen } = loading;
    let loaded = load::<Config>("aggregator", common.config.as_deref(), &Environment::capture());
    let loaded = loaded.map_err(|error| Failure::configuration(&error))?;
    loaded.value.check().map_err(|error| {
        Failure::configuration(&loaded.problem("aggregator", error.field, &error.to_string()))
    })?;
    let mut config = loaded.value;
    if let Some(dir) = &common.dir {
        config.state_dir.clone_from(dir);
    }
    config.log.level = common.log_level.unwrap_or(config.log.level);
    config.log.format = common.log_format.unwrap_or(config.log.format);
    let [grpc, enrol, http] = *listen;
    config.listen.grpc = grpc.unwrap_or(config.listen.grpc);
    config.listen.enrol = enrol.unwrap_or(config.listen.enrol);
    config.listen.http = http.unwrap_or(config.listen.http);
    Ok((config, loaded.files))
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(8)
        .build()
        .map_err(|error| Failure::failed(&error))
}

async fn initialise(config: Config, flags: Init) -> Result<(), Failure> {
    let now = SystemClock.now().wall;
    let made = if flags.recover {
        init::recover(&config.state_dir, now).await
    } else {
        let options = init::Options {
            dir: config.state_dir,
            name: flags.name,
            hosts: flags.address,
            trust_domain: flags.trust_domain,
        };
        init::init(&options, now).await
    };
    let made = made.map_err(|error| Failure::failed(&error))?;
    tracing::info!(
        class = "success",
        certificate = %made.paths.admin_chain.display(),
        key = %made.paths.admin_key.display(),
        ca = %made.paths.admin_roots.display(),
        "the admin credential is ready"
    );
    Ok(())
}

/// An aggregator that listens and is ready to run.
struct Aggregator {
    doors: Doors,
    services: Services,
    judge: (judge::Inputs, watch::Sender<Arc<Snapshot>>),
    settings: Settings,
    agents: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
    history: History,
    clock: Arc<dyn Clock>,
    _lock: StateLock,
}

/// What a reload changes.
struct Settings {
    config: Config,
    telling: Telling,
    limits: watch::Sender<Arc<Limits>>,
    evaluate: watch::Sender<evaluate::Config>,
    shown: watch::Sender<Configuration>,
}

impl Settings {
    fn new(config: Config, files: Vec<PathBuf>, telling: Telling, now: WallTime) -> Settings {
        let limits = watch::Sender::new(Arc::new(config.limits));
        let evaluate = watch::Sender::new(config.evaluate.clone());
        let shown = Configuration { revision: 1, since: now, files, ..Configuration::default() };
        Settings { config, telling, limits, evaluate, shown: watch::Sender::new(shown) }
    }
}

/// What lies in the state directory.
struct State {
    paths: StatePaths,
    registry: Registry,
    lock: StateLock,
}

impl State {
    async fn open(config: &Config) -> Result<State, Failure> {
        let paths = StatePaths::below(&config.state_dir);
        if paths.authority.try_exists().is_ok_and(|found| !found) {
            let dir = config.state_dir.display();
            return Err(Failure::Failed(format!(
                "`{dir}` holds no authority: run `quorate-aggregator init` first"
            )));
        }
        let lock = StateLock::take(&config.state_dir).map_err(|error| Failure::failed(&error))?;
        let authority = Authority::load(&paths.authority).map_err(|error| Failure::failed(&error))?;
        let grace = grace(Duration::from_secs(config.identity.node_leaf_s.into()));
        let registry = Registry::open(&paths.registry, authority.trust_domain()).await;
        let registry = registry.map_err(|error| Failure::failed(&error))?.with_grace(grace).await;
        let registry = registry.map_err(|error| Failure::failed(&error))?;
        Ok(State { paths, registry, lock })
    }
}

/// Opens what is on disk and binds the ports; accepts nobody yet.
async fn build(
    config: Config,
    files: Vec<PathBuf>,
    telling: Telling,
    shutdown: &Shutdown,
) -> Result<Aggregator, Failure> {
    let wall: Arc<dyn Clock> = Arc::new(SystemClock);
    // Certificates and tokens go by the wall clock; what is stamped, judged and shown goes by our own.
    let own = Arc::new(SlewedClock::new(SystemClock, WallTime(0)));
    let clock: Arc<dyn Clock> = own.clone();
    let started = wall.now().wall;
    let State { paths, registry, lock } = State::open(&config).await?;
    let doors = Doors::open(&config, &paths, started).await.map_err(|error| Failure::failed(&error))?;
    let settings = Settings::new(config, files, telling, started);
    let history = History::open(&paths.history, settings.config.history, own).await?;
    let gaps = gap::open(&registry, history.store.clone(), clock.now().wall).await?;
    let (agents, agents_task) = Agents::new(history.store.clone(), gaps);
    let parts =
        Parts { paths, registry, agents, store: history.store.clone(), own: clock, wall: wall.clone() };
    let (services, judge) = parts.wire(&doors, &settings, shutdown);
    tracing::info!(limits = %line(&settings.config.limits), "limits");
    let agents = Box::pin(agents_task);
    Ok(Aggregator { doors, services, judge, settings, agents, history, clock: wall, _lock: lock })
}

/// All limits in one line: `door.connections_max=20000 …`.
fn line(limits: &Limits) -> String {
    let pair = |bound: Bound| format!("{}={}", bound.key.trim_start_matches("limits."), bound.value);
    limits.bounds().into_iter().map(pair).collect::<Vec<_>>().join(" ")
}

impl Aggregator {
    async fn run(
        self,
        (run, loading): (&Run, Loading),
        notifier: Notifier,
        shutdown: Shutdown,
    ) -> Result<(), Failure> {
        let (inputs, publish) = self.judge;
        let progress = Progress::default().with("judge", &inputs.pulse, HANG_MIN);
        let snapshots = publish.subscribe();
        shutdown.spawn("judge", judge::run(inputs, publish, shutdown.clone()));
        let (gaps, live) = (self.services.ingest.agents.gaps(), self.services.ingest.live.clone());
        let (registry, clock) = (self.services.registry.clone(), self.services.clusters.clock.clone());
        shutdown.spawn("gaps", gap::Owner { gaps, registry, live, clock }.run(shutdown.clone()));
        let registry = self.services.registry.clone();
        shutdown.spawn("upkeep", upkeep::run(registry, self.clock.clone(), shutdown.clone()));
        // Ends when the last handle is gone; nothing waits for it.
        shutdown.watch("agents", self.agents);
        let ready = self.doors.ready();
        // Before anybody is told that it runs: the signal would end a program that does not expect it.
        let hangups = signal(SignalKind::hangup()).map_err(|error| Failure::failed(&error))?;
        let registry = self.services.registry.clone();
        let served = self.doors.serve(self.services, &shutdown);
        let (certificate, advertised) = served.map_err(|error| Failure::failed(&error))?;
        let Settings { config, telling, limits, evaluate, shown } = self.settings;
        let live = Live { telling, limits, evaluate, advertised };
        let (notifier_then, clock) = (notifier.clone(), self.clock);
        let reload =
            Reload { loading, config, live, shown, registry, certificate, notifier: notifier_then, clock };
        shutdown.spawn("reload", reload.run(hangups, shutdown.clone()));
        let status = move || status::line(&snapshots.borrow());
        shutdown.spawn("notify", notifier.clone().report(progress, status, shutdown.clone()));
        tracing::info!(class = "success", grpc = %ready.grpc, enrol = %ready.enrol, http = %ready.http, "aggregator listens");
        if let Some(path) = &run.ready_file {
            let text = serde_json::to_vec(&ready).map_err(|error| Failure::failed(&error))?;
            durable::replace(path, &text, durable::PUBLIC).map_err(|error| Failure::failed(&error))?;
        }
        shutdown.asked().await;
        tracing::info!(class = "action", "stopping");
        let history = self.history;
        let stopped = async {
            let finished = shutdown.finished(STOP_DEADLINE).await;
            // A disk that hangs must not keep the program: what it did not take, the agents have.
            finished && tokio::time::timeout(STOP_DEADLINE, history.close()).await.is_ok()
        };
        let finished = notifier.stopping(stopped).await;
        if let Some(part) = shutdown.failed() {
            return Err(Failure::Failed(format!("`{part}` failed, see above")));
        }
        if finished {
            Ok(())
        } else {
            Err(Failure::Failed(format!("some tasks had not ended after {} s", STOP_DEADLINE.as_secs())))
        }
    }
}
