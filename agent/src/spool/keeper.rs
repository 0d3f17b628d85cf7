//! Keeper: the thread that owns the journal, for its disk may make it wait.
//!
//! Ticks come in by a bounded queue and nobody waits for them; the rest asks and is answered. What the journal holds
//! is shown to whoever says Hello or back-fills.

use super::log::Log;
use crate::encode::{Catalogue, Tick};
use quorate_common::model::backfill::{Backfill, Known};
use quorate_common::model::session::Held;
use quorate_common::shutdown::Shutdown;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

/// Ticks and questions that may wait for the disk.
const QUEUE_MAX: usize = 256;

enum Command {
    Tick { tick: Tick, is_live: bool },
    Rebase(Catalogue),
    Known(Known),
    Next(oneshot::Sender<Option<Backfill>>),
}

/// What the journal holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Somebody looked: before that nobody knows what an earlier process has left.
    pub is_open: bool,
    /// There is a journal.
    pub is_there: bool,
    /// One range for each epoch.
    pub held: Vec<Held>,
    /// There is something to send that no session carries.
    pub is_due: bool,
    /// Pieces on disk.
    pub pieces: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// The way to the journal.
#[derive(Clone)]
pub struct Keeper {
    inbox: mpsc::Sender<Command>,
    shown: watch::Receiver<Shown>,
}

impl Keeper {
    /// Opens the journal on a thread of its own and keeps it until the last handle is gone; then it is on disk.
    pub fn start(
        open: impl FnOnce() -> std::io::Result<Log> + Send + 'static,
        shutdown: &Shutdown,
    ) -> Keeper {
        let (inbox, commands) = mpsc::channel(QUEUE_MAX);
        let (show, shown) = watch::channel(Shown::default());
        shutdown.spawn("journal", async move {
            tokio::task::spawn_blocking(move || match open() {
                Ok(log) => keep(log, commands, &show),
                Err(error) => {
                    tracing::warn!(class = "failure", %error, "there is no journal: what is not sent at once is lost");
                    show.send_modify(|shown| shown.is_open = true);
                }
            })
            .await
            .ok();
        });
        Keeper { inbox, shown }
    }

    /// Hands a tick over; `false` if there is no room for it now.
    pub fn push(&self, tick: Tick, is_live: bool) -> bool {
        self.send(Command::Tick { tick, is_live })
    }

    /// Says what is registered before the next tick; `false` if there is no room for it now.
    pub fn rebase(&self, base: Catalogue) -> bool {
        self.send(Command::Rebase(base))
    }

    /// Says what the aggregator knows. What does not fit is said again with the next.
    pub fn known(&self, known: Known) {
        self.send(Command::Known(known));
    }

    /// A journal that is gone takes everything.
    fn send(&self, command: Command) -> bool {
        !matches!(self.inbox.try_send(command), Err(TrySendError::Full(_)))
    }

    /// What is to be sent next of earlier.
    pub async fn next(&self) -> Option<Backfill> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Command::Next(reply)).await.ok()?;
        answer.await.ok()?
    }

    /// What it holds.
    pub fn shown(&self) -> watch::Receiver<Shown> {
        self.shown.clone()
    }
}

fn keep(mut log: Log, mut commands: mpsc::Receiver<Command>, show: &watch::Sender<Shown>) {
    publish(&log, show);
    while let Some(command) = commands.blocking_recv() {
        match command {
            Command::Tick { tick, is_live } => {
                log.push(&tick);
                if !is_live {
                    log.sync();
                }
            }
            Command::Rebase(base) => log.rebase(base),
            Command::Known(known) => log.known(known),
            Command::Next(reply) => drop(reply.send(log.due())),
        }
        publish(&log, show);
    }
    log.sync();
}

fn publish(log: &Log, show: &watch::Sender<Shown>) {
    let (pieces, bytes) = log.size();
    let shown =
        Shown { is_open: true, is_there: true, held: log.held(), is_due: log.has_due(), pieces, bytes };
    show.send_if_modified(|before| {
        let is_other = *before != shown;
        *before = shown;
        is_other
    });
}
