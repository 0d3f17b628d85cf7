//! Sacrificial threads: one for each network mount, with one question at a time.
//!
//! A thread that hangs in the kernel cannot be ended; it is left alone until the kernel lets it go, also when
//! its mount is no longer there, and is then asked again. So there is never more than one for a mount.
//!
//! ```text
//!           call           answer in time
//!   idle ─────────→ called ──────────────→ idle
//!                     │ patience is over
//!                     └──→ overdue ──late answer, thrown away──→ idle
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// How many numbers a file system has.
pub(super) const CELLS: usize = 6;
/// Numbers of a file system, in the order of their metrics.
pub(super) type Cells = [i64; CELLS];
/// Most network mounts that are asked; the others are in error.
pub(super) const WORKERS_MAX: usize = 256;
/// Each thread makes one system call; the smallest stack that is safe is enough.
const STACK_BYTES: usize = 128 << 10;

/// Asks a file system how full it is.
pub(super) trait Statvfs: Send + Sync {
    /// Its numbers; `None` if it cannot say. May take for ever.
    fn ask(&self, place: &Path) -> Option<Cells>;
}

/// The workers of all network mounts.
pub(super) struct Workers {
    kernel: Arc<dyn Statvfs>,
    by_mount: BTreeMap<Vec<u8>, Worker>,
    is_full: bool,
}

struct Worker {
    calls: SyncSender<()>,
    answers: Receiver<Option<Cells>>,
    state: State,
    is_mounted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Called,
    Overdue,
}

impl Workers {
    /// None yet.
    pub fn new(kernel: Arc<dyn Statvfs>) -> Workers {
        Workers { kernel, by_mount: BTreeMap::new(), is_full: false }
    }

    /// Sets the worker of a mount to work, unless it has not come back.
    pub fn call(&mut self, key: Vec<u8>, place: &Path) {
        if !self.by_mount.contains_key(&key) {
            if self.by_mount.len() >= WORKERS_MAX {
                if !std::mem::replace(&mut self.is_full, true) {
                    tracing::warn!(limit = WORKERS_MAX, "too many network mounts, the others are not asked");
                }
                return;
            }
            match Worker::start(Arc::clone(&self.kernel), place) {
                Ok(worker) => drop(self.by_mount.insert(key.clone(), worker)),
                Err(error) => {
                    tracing::warn!(%error, place = %place.display(), "no thread for a network mount")
                }
            }
        }
        if let Some(worker) = self.by_mount.get_mut(&key) {
            worker.call();
        }
    }

    /// What a mount answered; `None` if it could not say or has not come back. The first one that exhausts the
    /// patience leaves none to those after it: they had the same time.
    pub fn wait(&mut self, key: &[u8], patience: &mut Duration) -> Option<Cells> {
        let worker = self.by_mount.get_mut(key).filter(|worker| worker.state == State::Called)?;
        match worker.answers.recv_timeout(*patience) {
            Ok(answer) => {
                worker.state = State::Idle;
                answer
            }
            Err(_) => {
                worker.state = State::Overdue;
                *patience = Duration::ZERO;
                None
            }
        }
    }

    /// How many threads there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.by_mount.len()
    }

    /// Ends the round: workers whose mounts have gone end when they are back.
    pub fn finish(&mut self) {
        for worker in self.by_mount.values_mut() {
            worker.take_late_answer();
        }
        self.by_mount.retain(|_, worker| {
            std::mem::replace(&mut worker.is_mounted, false) || worker.state != State::Idle
        });
    }
}

impl Worker {
    fn start(kernel: Arc<dyn Statvfs>, place: &Path) -> std::io::Result<Worker> {
        let (calls, called) = sync_channel::<()>(1);
        let (answered, answers) = sync_channel(1);
        let place = place.to_owned();
        let run = move || {
            while called.recv().is_ok() {
                if answered.send(kernel.ask(&place)).is_err() {
                    break;
                }
            }
        };
        // Nobody joins it: it may hang in the kernel, and ends by itself when its channel closes.
        drop(std::thread::Builder::new().name("network-mount".into()).stack_size(STACK_BYTES).spawn(run)?);
        Ok(Worker { calls, answers, state: State::Idle, is_mounted: false })
    }

    fn call(&mut self) {
        self.is_mounted = true;
        self.take_late_answer();
        if self.state == State::Idle && self.calls.try_send(()).is_ok() {
            self.state = State::Called;
        }
    }

    /// It belongs to a round long gone.
    fn take_late_answer(&mut self) {
        if self.state == State::Overdue && self.answers.try_recv().is_ok() {
            self.state = State::Idle;
        }
    }
}
