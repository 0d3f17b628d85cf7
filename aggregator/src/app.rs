//! Wiring: parse, build, run. The only file that sees every stage.

mod authority;
mod doors;
mod reload;
mod status;
mod upkeep;

use crate::agents::Agents;
use crate::cli::{Cli, Command, Common, Init, Run};
use crate::config::Config;
use crate::identity::ca::Authority;
use crate::identity::generation::grace;
use crate::identity::init::{self, StatePaths};
use crate::identity::registry::Registry;
use crate::judge;
use crate::receive::service::Ingest;
use crate::serve::admin::Admin;
use crate::serve::cluster::Clusters;
use crate::serve::query::Queries;
use crate::store::Append;
use crate::store::embedded::Embedded;
use crate::store::live::Live;
use doors::{Doors, Services};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::config::{Environment, load};
use quorate_common::error::chain;
use quorate_common::lock::StateLock;
use quorate_common::model::cluster::Snapshot;
use quorate_common::model::time::WallTime;
use quorate_common::notify::{Notifier, Progress, Pulse};
use quorate_common::program::Failure;
use quorate_common::shutdown::Shutdown;
use quorate_common::{durable, telemetry};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// How long stopping may take.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// What is kept in memory.
const KEPT: Duration = Duration::from_secs(15 * 60);
/// How often what is older is let go.
const EXPIRE_EVERY: Duration = Duration::from_secs(10);
/// A judge that has not swept for this long hangs.
const HANG_MIN: Duration = Duration::from_secs(10);

/// Does what the command line says.
pub fn main(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        None => start(&cli.run),
        Some(Command::Run(run)) => start(&run),
        Some(Command::CheckConfig { common }) => configure(&common).map(drop),
        Some(Command::Ca(change)) => authority::change(&change),
        Some(Command::Init(init)) => {
            let config = configure(&init.common)?;
            telemetry::start(config.log, &Environment::capture()).map_err(|error| Failure::failed(&error))?;
            runtime()?.block_on(initialise(config, init))
        }
    }
}

fn start(run: &Run) -> Result<(), Failure> {
    let mut config = configure(&run.common)?;
    config.listen.grpc = run.listen_grpc.unwrap_or(config.listen.grpc);
    config.listen.enrol = run.listen_enrol.unwrap_or(config.listen.enrol);
    let environment = Environment::capture();
    telemetry::start(config.log, &environment).map_err(|error| Failure::failed(&error))?;
    let notifier = Notifier::from_environment(&environment).map_err(|error| Failure::failed(&error))?;
    runtime()?.block_on(async {
        let shutdown = Shutdown::new();
        let aggregator = build(config, &shutdown).await?;
        shutdown.ask_on_signal().map_err(|error| Failure::failed(&error))?;
        if run.stop_on_stdin_eof {
            shutdown.ask_on_stdin_eof().map_err(|error| Failure::failed(&error))?;
        }
        aggregator.run(run, notifier, shutdown).await
    })
}

/// The configuration as files, environment and flags have it.
fn configure(common: &Common) -> Result<Config, Failure> {
    let loaded = load::<Config>("aggregator", common.config.as_deref(), &Environment::capture());
    let mut config = loaded.map_err(|error| Failure::configuration(&error))?.value;
    if let Some(dir) = &common.dir {
        config.state_dir.clone_from(dir);
    }
    config.log.level = common.log_level.unwrap_or(config.log.level);
    config.log.format = common.log_format.unwrap_or(config.log.format);
    config.check().map_err(|error| Failure::configuration(&error))?;
    Ok(config)
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
    judge: (crate::evaluate::Config, judge::Inputs, watch::Sender<Arc<Snapshot>>),
    agents: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
    store: Arc<Embedded>,
    clock: Arc<dyn Clock>,
    _lock: StateLock,
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
async fn build(config: Config, shutdown: &Shutdown) -> Result<Aggregator, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let State { paths, registry, lock } = State::open(&config).await?;
    let doors = Doors::open(&config, &paths).await.map_err(|error| Failure::failed(&error))?;
    let (live, store) = (Arc::new(Live::default()), Arc::new(Embedded::default()));
    let (agents, agents_task) = Agents::new();
    let (observations, inbox) = mpsc::channel(judge::OBSERVATIONS_MAX);
    let (publish, snapshots) = watch::channel(Arc::new(Snapshot::empty()));
    let inputs = judge::Inputs {
        observations: inbox,
        roster: registry.roster(),
        live: live.clone(),
        clock: clock.clone(),
        pulse: Pulse::default(),
    };
    let services = Services {
        ingest: Ingest {
            name: doors.name(),
            limits: config.limits,
            live: live.clone(),
            store: store.clone(),
            agents: agents.clone(),
            observations,
            clock: clock.clone(),
            shutdown: shutdown.clone(),
        },
        clusters: Clusters {
            snapshots: snapshots.clone(),
            roster: registry.roster(),
            live: live.clone(),
            store: store.clone(),
            agents: agents.clone(),
            clock: clock.clone(),
            shutdown: shutdown.clone(),
        },
        queries: Queries {
            snapshots,
            live: live.clone(),
            store: store.clone(),
            agents: agents.clone(),
            clock: clock.clone(),
        },
        admin: Admin {
            registry: registry.clone(),
            enrolment_addresses: doors.enrolment_addresses.clone(),
            authority: doors.authority(),
            agents,
            live,
            store: store.clone(),
            clock: clock.clone(),
        },
        registry,
        clock: clock.clone(),
    };
    tracing::info!(limits = ?config.limits, "limits of one agent");
    tracing::info!(limits = ?config.listen.limits, "limits of each port");
    let judge = (config.evaluate, inputs, publish);
    let agents = Box::pin(agents_task);
    Ok(Aggregator { doors, services, judge, agents, store, clock, _lock: lock })
}

impl Aggregator {
    async fn run(self, run: &Run, notifier: Notifier, shutdown: Shutdown) -> Result<(), Failure> {
        let (config, inputs, publish) = self.judge;
        let progress = Progress::default().with("judge", &inputs.pulse, HANG_MIN);
        let snapshots = publish.subscribe();
        shutdown.spawn("judge", judge::run(config, inputs, publish, shutdown.clone()));
        shutdown.spawn("expiry", expire(self.store, self.clock.clone(), shutdown.clone()));
        let registry = self.services.registry.clone();
        shutdown.spawn("upkeep", upkeep::run(registry, self.clock, shutdown.clone()));
        // Ends when the last handle is gone; nothing waits for it.
        drop(tokio::spawn(self.agents));
        let ready = self.doors.ready();
        // Before anybody is told that it runs: the signal would end a program that does not expect it.
        let hangups = signal(SignalKind::hangup()).map_err(|error| Failure::failed(&error))?;
        let (registry, clock) = (self.services.registry.clone(), self.services.clock.clone());
        let certificate =
            self.doors.serve(self.services, &shutdown).map_err(|error| Failure::failed(&error))?;
        let reload = reload::Reload { registry, certificate, notifier: notifier.clone(), clock };
        shutdown.spawn("reload", reload.run(hangups, shutdown.clone()));
        let status = move || status::line(&snapshots.borrow());
        shutdown.spawn("notify", notifier.clone().report(progress, status, shutdown.clone()));
        tracing::info!(class = "success", grpc = %ready.grpc, enrol = %ready.enrol, "aggregator listens");
        if let Some(path) = &run.ready_file {
            let text = serde_json::to_vec(&ready).map_err(|error| Failure::failed(&error))?;
            durable::replace(path, &text, durable::PUBLIC).map_err(|error| Failure::failed(&error))?;
        }
        shutdown.asked().await;
        tracing::info!(class = "action", "stopping");
        if notifier.stopping(shutdown.finished(STOP_DEADLINE)).await {
            Ok(())
        } else {
            Err(Failure::Failed(format!("some tasks had not ended after {} s", STOP_DEADLINE.as_secs())))
        }
    }
}

/// Lets go of what is older than is kept.
async fn expire(store: Arc<Embedded>, clock: Arc<dyn Clock>, shutdown: Shutdown) {
    let mut every = tokio::time::interval(EXPIRE_EVERY);
    loop {
        tokio::select! {
            () = shutdown.asked() => return,
            _ = every.tick() => {
                let kept = i64::try_from(KEPT.as_nanos()).unwrap_or(i64::MAX);
                let store = store.clone();
                let before = WallTime(clock.now().wall.0.saturating_sub(kept));
                // Off the runtime: it walks every segment.
                let swept = tokio::task::spawn_blocking(move || store.expire(before)).await;
                if let Err(error) = swept {
                    tracing::error!(class = "failure", error = chain(&error), "expiry failed");
                }
            }
        }
    }
}
