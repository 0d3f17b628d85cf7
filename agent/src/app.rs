//! Wiring: parse, build, run. The only file that sees every stage.

mod reload;

use crate::answer::Answerer;
use crate::backfill::Backfiller;
use crate::cli::{Cli, Command, Common, OnceFormat, Run};
use crate::config::Config;
use crate::encode::Cutter;
use crate::identity::{self, Identity};
use crate::renew::Renewer;
use crate::send::{Sender, Standing};
use crate::session::Introduction;
use crate::spool::{Keeper, Log, Spool};
use crate::{doctor, enrol, epoch, once, recorder, sample};
use quorate_common::backoff::Backoff;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::config::{Environment, load};
use quorate_common::disk::SystemDisk;
use quorate_common::durable;
use quorate_common::lock::StateLock;
use quorate_common::model::session::Epoch;
use quorate_common::notify::{Notifier, Progress, Pulse};
use quorate_common::program::Failure;
use quorate_common::rng::SystemRng;
use quorate_common::shutdown::Shutdown;
use quorate_common::telemetry;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// How long stopping may take.
const STOP_DEADLINE: Duration = Duration::from_secs(5);
/// Rounds that may wait for encoding; sampling skips a tick when there is no room.
const ROUNDS_MAX: usize = 4;
/// Sampling hangs if a round is late by this, and so does sending, which takes every round, connected or not: no
/// step of it may wait longer for the aggregator.
const HANG_MIN: Duration = Duration::from_secs(15);

/// Does what the command line says.
pub fn main(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        None => start(&cli.run),
        Some(Command::Run(run)) => start(&run),
        Some(Command::Doctor { json, common }) => examine(&common, json),
        Some(Command::CheckConfig { common }) => configure(&common).map(drop),
        Some(Command::Enroll { token, common }) => {
            let config = configure(&common)?;
            telemetry::start(config.log, &Environment::capture()).map_err(|error| Failure::failed(&error))?;
            runtime()?.block_on(enroll(&token, &config.state_dir))
        }
    }
}

fn start(run: &Run) -> Result<(), Failure> {
    let config = configure(&run.common)?;
    if run.once {
        return print_once(&config, run.format);
    }
    let environment = Environment::capture();
    let telling = telemetry::start(config.log, &environment).map_err(|error| Failure::failed(&error))?;
    let notifier = Notifier::from_environment(&environment).map_err(|error| Failure::failed(&error))?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let shutdown = Shutdown::new();
        // Before anything runs: the signal would end a program that does not expect it.
        let hangups = signal(SignalKind::hangup()).map_err(|error| Failure::failed(&error))?;
        let agent = build(config.clone(), &shutdown)?;
        let reload =
            reload::Reload { common: run.common.clone(), config, telling, notifier: notifier.clone() };
        shutdown.spawn("reload", reload.run(hangups, shutdown.clone()));
        shutdown.ask_on_signal().map_err(|error| Failure::failed(&error))?;
        if run.stop_on_stdin_eof {
            shutdown.ask_on_stdin_eof().map_err(|error| Failure::failed(&error))?;
        }
        agent.run(notifier, shutdown).await
    })
}

/// The configuration as files, environment and flags have it.
fn configure(common: &Common) -> Result<Config, Failure> {
    let loaded = load::<Config>("agent", common.config.as_deref(), &Environment::capture());
    let mut config = loaded.map_err(|error| Failure::configuration(&error))?.value;
    apply(common, &mut config);
    config.sample.check().map_err(|error| Failure::configuration(&error))?;
    config.recorder.check().map_err(|error| Failure::configuration(&error))?;
    Ok(config)
}

/// What the command line says counts more than files and environment.
fn apply(common: &Common, config: &mut Config) {
    if let Some(dir) = &common.dir {
        config.state_dir.clone_from(dir);
    }
    config.log.level = common.log_level.unwrap_or(config.log.level);
    config.log.format = common.log_format.unwrap_or(config.log.format);
}

/// Looks at everything, also with a configuration that would not start.
fn examine(common: &Common, json: bool) -> Result<(), Failure> {
    let environment = Environment::capture();
    let loaded = load("agent", common.config.as_deref(), &environment).map(|loaded| loaded.value);
    let examined = doctor::Examined::new(loaded, |config| apply(common, config));
    let runtime = runtime()?;
    let report = runtime.block_on(doctor::examine(&examined, &environment, &SystemClock));
    // A look-up or a mount that hangs must not hold the verdict back.
    runtime.shutdown_background();
    doctor::print(&report, json, &environment).map_err(|error| Failure::failed(&error))?;
    match report.exit_code() {
        0 => Ok(()),
        code => Err(Failure::Verdict(code)),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(5)
        .build()
        .map_err(|error| Failure::failed(&error))
}

fn print_once(config: &Config, format: OnceFormat) -> Result<(), Failure> {
    let format = match format {
        OnceFormat::Text => once::Format::Prometheus,
        OnceFormat::Json => once::Format::Json,
    };
    let mut out = std::io::stdout().lock();
    once::once(&config.sample, Path::new("/"), Arc::new(SystemClock), format, &mut out)
        .map_err(|error| Failure::failed(&error))
}

async fn enroll(token: &str, state_dir: &Path) -> Result<(), Failure> {
    let enrolled =
        enrol::enrol(token, state_dir, &SystemClock).await.map_err(|error| Failure::failed(&error))?;
    tracing::info!(class = "success", node = enrolled.name, dir = %state_dir.display(), "enrolled");
    Ok(())
}

/// An agent that is ready to run.
struct Agent {
    sender: Sender,
    backfiller: Option<Backfiller>,
    renewer: Renewer,
    progress: Progress,
    standing: watch::Receiver<Standing>,
    _lock: StateLock,
}

/// Reads what is needed and opens nothing: connecting is not part of starting up.
fn build(config: Config, shutdown: &Shutdown) -> Result<Agent, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let paths = enrol::paths(&config.state_dir);
    identity::look(&paths).map_err(|error| Failure::failed(&error))?;
    // Before anything in the directory is changed.
    let lock = StateLock::take(&config.state_dir).map_err(|error| Failure::failed(&error))?;
    let renewer = renewer(&config, clock.clone())?;
    let epoch = epoch::begin(&config.state_dir, &mut SystemRng).map_err(|error| Failure::failed(&error))?;
    let me = Introduction {
        epoch,
        boot_id: epoch::boot_id().map_err(|error| Failure::failed(&error))?,
        interval_ms: config.sample.interval_ms,
        facts: sample::host_facts(),
    };
    let keeper = keeper(&config, (me.epoch, me.boot_id), shutdown);
    let (rounds, inbox) = mpsc::channel(ROUNDS_MAX);
    let (pulse, (standing, shown)) = (Pulse::default(), watch::channel(Standing::default()));
    let recorder = recorder::Shared::begin(config.recorder);
    let tap = recorder.clone().map(|shared| Box::new(shared) as _);
    let outlet = sample::Outlet { rounds, tap, budget: Some(config.budget) };
    let sampling = sample::start(&config.sample, Path::new("/"), clock.clone(), outlet, shutdown)
        .map_err(|error| Failure::failed(&error))?;
    let round_max = Duration::from_millis(config.sample.interval_ms.into()) + HANG_MIN;
    let progress =
        Progress::default().with("sampling", sampling.pulse(), round_max).with("sending", &pulse, round_max);
    let backfiller = keeper.clone().map(|keeper| Backfiller {
        keeper,
        standing: shown.clone(),
        tls: renewer.identity.shown(),
        clock: clock.clone(),
        rng: Box::new(SystemRng),
        backoff: Backoff::default(),
    });
    let sender = Sender {
        me,
        aggregators: renewer.aggregators.subscribe(),
        tls: renewer.identity.shown(),
        life: renewer.identity.lives(),
        expired: renewer.expired.clone(),
        rounds: inbox,
        answerer: Answerer::new(renewer.identity.shown(), sampling, recorder, shutdown.clone()),
        spool: Spool::new(config.spool),
        keeper,
        kept: 0,
        clock,
        rng: Box::new(SystemRng),
        cutter: Cutter::default(),
        backoff: Backoff::default(),
        was_live: false,
        pulse,
        standing,
    };
    Ok(Agent { sender, backfiller, renewer, progress, standing: shown, _lock: lock })
}

/// The journal, unless there is to be none.
fn keeper(config: &Config, me: (Epoch, [u8; 16]), shutdown: &Shutdown) -> Option<Keeper> {
    let size_max = config.spool.size_max.bytes();
    let directory = config.state_dir.join("spool");
    let open = move || {
        durable::create_directory(&directory)?;
        Log::open(Arc::new(SystemDisk), &directory, size_max, me, Box::new(SystemRng))
    };
    (size_max > 0).then(|| Keeper::start(open, shutdown))
}

fn renewer(config: &Config, clock: Arc<dyn Clock>) -> Result<Renewer, Failure> {
    let paths = enrol::paths(&config.state_dir);
    let identity = Identity::load(paths).map_err(|error| Failure::failed(&error))?;
    let is_configured = !config.aggregators.is_empty();
    let aggregators = match is_configured {
        true => config.aggregators.clone(),
        false => enrol::read_aggregators(&identity.paths).map_err(|error| Failure::failed(&error))?,
    };
    let (aggregators, expired) = (watch::Sender::new(aggregators.into()), Arc::default());
    Ok(Renewer { identity, aggregators, is_configured, expired, clock, rng: Box::new(SystemRng) })
}

impl Agent {
    async fn run(self, notifier: Notifier, shutdown: Shutdown) -> Result<(), Failure> {
        let Agent { sender, backfiller, renewer, progress, standing, _lock } = self;
        tracing::info!(class = "success", aggregators = ?*sender.aggregators.borrow(), "agent started");
        shutdown.spawn("renew", renewer.run(shutdown.clone()));
        shutdown.spawn("send", sender.run(shutdown.clone()));
        if let Some(backfiller) = backfiller {
            shutdown.spawn("backfill", backfiller.run(shutdown.clone()));
        }
        let status = move || standing.borrow().to_string();
        shutdown.spawn("notify", notifier.clone().report(progress, status, shutdown.clone()));
        shutdown.asked().await;
        tracing::info!(class = "action", "stopping");
        let finished = notifier.stopping(shutdown.finished(STOP_DEADLINE)).await;
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
