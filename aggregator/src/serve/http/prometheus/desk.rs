//! Where queries wait for their turn: some that read little, and fewer that read much, so that these never keep
//! those waiting. A query ends with its deadline, or with whoever asked.
//!
//! ```text
//!   ask ─ wait ─► turn ─► a thread ─► answer
//!          │               │ ▲
//!          └ too long      │ └ asked at every part: deadline over? nobody there?
//!            503           └ its turn goes on until it has noticed
//! ```

use crate::limit::{Current, Reason, Refusals, millis};
use crate::query::promql::Stop;
use crate::serve::http::envelope::{Failure, FailureKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How much a query reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Little.
    Light,
    /// Many hours.
    Heavy,
}

/// A query reads much that reads more than this.
const LIGHT_MS_MAX: i64 = 6 * 3_600_000;

impl Weight {
    /// Of a query that reads so much time of every series.
    pub fn of(span_ms: i64) -> Weight {
        if span_ms > LIGHT_MS_MAX { Weight::Heavy } else { Weight::Light }
    }
}

/// All that wait and all that work.
#[derive(Clone)]
pub struct Desk {
    limits: Current,
    refusals: Refusals,
    light: Turns,
    heavy: Turns,
}

impl Desk {
    /// Nobody waits.
    pub fn new(limits: Current, refusals: Refusals) -> Desk {
        Desk { limits, refusals, light: Turns::default(), heavy: Turns::default() }
    }

    /// Does work on a thread of its own, in its turn. `limit` shortens the deadline.
    ///
    /// # Errors
    /// Its turn did not come, its time was over, or what the work says.
    pub async fn run<T: Send + 'static>(
        &self,
        weight: Weight,
        limit: Option<Duration>,
        work: impl FnOnce(&dyn Fn() -> Option<Stop>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let limits = self.limits.borrow().query;
        let most = millis(limits.deadline_ms_max);
        let limit = limit.map_or(most, |limit| limit.min(most));
        let turn = match weight {
            Weight::Light => self.light.take(limits.light_at_once_max),
            Weight::Heavy => self.heavy.take(limits.heavy_at_once_max),
        };
        let turn = timeout(limit.min(millis(limits.wait_ms_max)), turn).await.ok().flatten();
        let turn = turn.ok_or_else(|| self.late(Reason::Queries, "query timed out in query queue"))?;
        let outcome = timeout(limit, on_thread(turn, work)).await;
        outcome.unwrap_or_else(|_| Err(self.late(Reason::Deadline, &Stop::Deadline.to_string())))
    }

    fn late(&self, reason: Reason, text: &str) -> Failure {
        self.refusals.count(reason, 1);
        Failure::new(FailureKind::Timeout, text)
    }

    /// Where refusals are counted.
    pub fn refusals(&self) -> Refusals {
        self.refusals.clone()
    }
}

/// Some turns, whose number may change.
#[derive(Clone)]
struct Turns {
    turns: Arc<Semaphore>,
    /// How many there are, taken or not.
    count: Arc<Mutex<usize>>,
}

impl Default for Turns {
    fn default() -> Turns {
        Turns { turns: Arc::new(Semaphore::new(0)), count: Arc::default() }
    }
}

impl Turns {
    /// Waits for a turn. There is always one to come.
    async fn take(&self, max: u32) -> Option<OwnedSemaphorePermit> {
        self.resize(max as usize);
        self.turns.clone().acquire_owned().await.ok()
    }

    /// Fewer are fewer as soon as some come back.
    fn resize(&self, max: usize) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        if *count < max {
            self.turns.add_permits(max - *count);
            *count = max;
        } else {
            *count -= self.turns.forget_permits(*count - max);
        }
    }
}

/// Tells a thread that nobody waits any more.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

async fn on_thread<T: Send + 'static>(
    turn: OwnedSemaphorePermit,
    work: impl FnOnce(&dyn Fn() -> Option<Stop>) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let waiting = Waiting(Arc::new(AtomicBool::new(true)));
    let state = waiting.0.clone();
    let job = move || {
        let _turn = turn;
        work(&|| (!state.load(Ordering::Relaxed)).then_some(Stop::Cancelled))
    };
    let done = tokio::task::spawn_blocking(job).await;
    drop(waiting);
    done.unwrap_or_else(|error| Err(Failure::new(FailureKind::Internal, format!("query failed: {error}"))))
}
