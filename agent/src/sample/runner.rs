//! Where a collector runs: here, or in a thread of its own.
//!
//! A collector that only reads `/proc` runs here; one that may block has a thread of its own with one call at
//! a time. While a call has not returned, the collector counts as failed and is not asked again. What comes
//! late is thrown away: its time is not that of the round.
//!
//! ```text
//!             due               in time
//!   idle ──────────→ called ──────────────→ idle, sampled
//!                      │ deadline
//!                      └────→ overdue ──returned──→ idle, failed in each round between
//! ```

use super::error::SampleError;
use super::{Sampler, Sink};
use quorate_common::clock::Clock;
use quorate_common::model::process::ProcessRow;
use quorate_common::model::time::{BootTime, Now};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Where a collector runs.
pub(super) enum Runner {
    Inline { sampler: Box<dyn Sampler>, sink: Sink },
    Thread(Worker),
}

/// A collector in a thread of its own. Its sink travels with the call.
pub(super) struct Worker {
    calls: SyncSender<(Now, Sink)>,
    returns: Receiver<Returned>,
    sink: Option<Sink>,
    /// This round's call is under way.
    is_called: bool,
    is_gone: bool,
}

struct Returned {
    sink: Sink,
    result: Result<(), SampleError>,
    took: Duration,
}

impl Runner {
    /// Starts a thread for one that may block.
    pub fn start(sampler: Box<dyn Sampler>, clock: &Arc<dyn Clock>) -> std::io::Result<Runner> {
        if sampler.may_block() {
            Ok(Runner::Thread(Worker::start(sampler, Arc::clone(clock))?))
        } else {
            Ok(Runner::Inline { sampler, sink: Sink::default() })
        }
    }

    /// Sets a worker to work; those that run here wait for [`Runner::finish`].
    pub fn call(&mut self, at: Now) {
        if let Runner::Thread(worker) = self {
            worker.call(at);
        }
    }

    /// How the round went and how long it took; a worker is waited for until `deadline` after `start`.
    pub fn finish(
        &mut self,
        at: Now,
        clock: &dyn Clock,
        start: BootTime,
        deadline: Duration,
    ) -> (Result<(), SampleError>, Duration) {
        let (result, took) = match self {
            Runner::Inline { sampler, sink } => {
                let before = clock.now().boot;
                let result = sampler.sample(at, sink);
                (result, clock.now().boot.since(before))
            }
            Runner::Thread(worker) => {
                worker.wait(deadline.saturating_sub(clock.now().boot.since(start)), deadline)
            }
        };
        let deadline_ms = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        let is_late = took >= deadline && result.is_ok();
        (if is_late { Err(SampleError::Timeout { deadline_ms }) } else { result }, took)
    }

    /// The processes of the last round, if this collector knows them.
    pub fn process_table(&self) -> Option<Vec<ProcessRow>> {
        match self {
            Runner::Inline { sampler, .. } => sampler.process_table(),
            Runner::Thread(_) => None,
        }
    }

    /// Whether it works while others run.
    pub fn is_thread(&self) -> bool {
        matches!(self, Runner::Thread(_))
    }

    /// Its sink, unless a call is under way.
    pub fn sink(&self) -> Option<&Sink> {
        match self {
            Runner::Inline { sink, .. } => Some(sink),
            Runner::Thread(worker) => worker.sink.as_ref(),
        }
    }

    /// Its sink, unless a call is under way.
    pub fn sink_mut(&mut self) -> Option<&mut Sink> {
        match self {
            Runner::Inline { sink, .. } => Some(sink),
            Runner::Thread(worker) => worker.sink.as_mut(),
        }
    }
}

impl Worker {
    fn start(mut sampler: Box<dyn Sampler>, clock: Arc<dyn Clock>) -> std::io::Result<Worker> {
        let (calls, called) = sync_channel::<(Now, Sink)>(1);
        let (returned, returns) = sync_channel::<Returned>(1);
        let run = move || {
            while let Ok((at, mut sink)) = called.recv() {
                let before = clock.now().boot;
                let result = sampler.sample(at, &mut sink);
                let took = clock.now().boot.since(before);
                if returned.send(Returned { sink, result, took }).is_err() {
                    break;
                }
            }
        };
        // Nobody joins it: it may hang in the kernel, and ends by itself when its channel closes.
        drop(std::thread::Builder::new().name("sample-blocking".into()).spawn(run)?);
        Ok(Worker { calls, returns, sink: Some(Sink::default()), is_called: false, is_gone: false })
    }

    fn call(&mut self, at: Now) {
        if self.sink.is_none() {
            // What comes back from an earlier round only brings the sink.
            self.sink = self.returns.try_recv().ok().map(|returned| returned.sink);
        }
        if let Some(sink) = self.sink.take() {
            self.is_called = self.calls.try_send((at, sink)).is_ok();
            self.is_gone = !self.is_called;
        }
    }

    fn wait(&mut self, left: Duration, deadline: Duration) -> (Result<(), SampleError>, Duration) {
        let deadline_ms = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        if self.is_gone {
            return (Err(SampleError::Gone), Duration::ZERO);
        }
        if !std::mem::take(&mut self.is_called) {
            // An earlier call has not returned: there is nothing to wait for.
            return (Err(SampleError::Timeout { deadline_ms }), deadline);
        }
        match self.returns.recv_timeout(left) {
            Ok(returned) => {
                self.sink = Some(returned.sink);
                (returned.result, returned.took)
            }
            Err(RecvTimeoutError::Timeout) => (Err(SampleError::Timeout { deadline_ms }), deadline),
            Err(RecvTimeoutError::Disconnected) => {
                self.is_gone = true;
                (Err(SampleError::Gone), Duration::ZERO)
            }
        }
    }
}
