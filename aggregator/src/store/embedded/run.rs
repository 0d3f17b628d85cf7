//! The two threads of a store that lasts: one commits, one seals and deletes. What they do and when is decided
//! elsewhere; they wait, and say what failed.

use super::Embedded;
use super::engine::Engine;
use super::log::{COMMIT_BYTES, COMMIT_EVERY};
use quorate_common::error::chain;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Windows are looked at so often.
const KEEP_UP_EVERY: Duration = Duration::from_secs(1);
/// After a failure the disk is left alone for so long.
const PAUSE: Duration = Duration::from_secs(1);

/// The threads. They end with [`Running::stop`], which makes durable what was gathered.
pub struct Running {
    store: Arc<Embedded>,
    is_over: Arc<Over>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Over {
    is_over: Mutex<bool>,
    changed: Condvar,
}

impl Running {
    /// Begins them. A store in memory has none.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub fn begin(store: Arc<Embedded>) -> io::Result<Running> {
        let mut running = Running { store, is_over: Arc::default(), threads: Vec::new() };
        if running.store.engine.is_some() {
            running.spawn("store-commit", commit)?;
            running.spawn("store-seal", keep_up)?;
        }
        Ok(running)
    }

    fn spawn(&mut self, name: &str, work: fn(&Embedded, &Engine, &Over)) -> io::Result<()> {
        let (store, over) = (self.store.clone(), self.is_over.clone());
        let run = move || store.engine.iter().for_each(|engine| work(&store, engine, &over));
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(())
    }

    /// Ends them, and waits until all that was gathered is durable or has failed. Blocks.
    pub fn stop(self) {
        *self.is_over.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.is_over.changed.notify_all();
        self.store.engine.iter().for_each(|engine| engine.log.end());
        for thread in self.threads {
            // A panic was reported where it happened.
            thread.join().ok();
        }
    }
}

impl Over {
    /// Waits for so long; true if it is over.
    fn wait(&self, least: Duration) -> bool {
        let is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(is_over, least, |is_over| !*is_over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

fn commit(store: &Embedded, engine: &Engine, over: &Over) {
    while engine.log.wait() {
        engine.log.linger(COMMIT_EVERY, COMMIT_BYTES);
        if engine.commit(&store.nodes).is_err() && over.wait(PAUSE) {
            return;
        }
    }
}

fn keep_up(store: &Embedded, engine: &Engine, over: &Over) {
    let mut is_failing = false;
    while !over.wait(KEEP_UP_EVERY) {
        let now = engine.clock.now();
        let errors = engine.keep_up(&store.nodes, now);
        engine.verify(now.boot);
        for error in errors.iter().filter(|_| !is_failing) {
            tracing::error!(class = "failure", error = chain(error), "history is not sealed");
        }
        is_failing = !errors.is_empty();
    }
}
