//! Stopping: one token for the whole program, and a deadline.
//!
//! ```text
//!   running ──signal──→ asked ──all tasks returned──→ stopped (exit 0)
//!      └───a part fails───→┘ └──deadline or 2nd signal──→ abandoned (exit 1; after a failure, too)
//! ```

use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Handed to every task: says when to stop, and knows who has not yet.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
    failed: Arc<OnceLock<&'static str>>,
}

impl Shutdown {
    /// A program that is running.
    pub fn new() -> Shutdown {
        Shutdown::default()
    }

    /// Asks everybody to stop. May be called more than once.
    pub fn ask(&self) {
        self.token.cancel();
        self.tasks.close();
    }

    /// Whether stopping was asked for.
    pub fn is_asked(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until stopping is asked for.
    pub async fn asked(&self) {
        self.token.cancelled().await;
    }

    /// Starts a task that the end of the program waits for.
    ///
    /// A panic in it stops the whole program: half a program that looks alive is worse than none.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = StopOnPanic { name, shutdown: self.clone(), done: false };
        // What an async block takes and then awaits has two places in it; a pointer may.
        let task = Box::pin(task);
        drop(self.tasks.spawn(async move {
            let mut stop = stop;
            task.await;
            stop.done = true;
        }));
    }

    /// Starts a task that the end of the program does not wait for. A panic in it stops the program, too.
    pub fn watch<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = StopOnPanic { name, shutdown: self.clone(), done: false };
        let task = Box::pin(task);
        drop(tokio::spawn(async move {
            let mut stop = stop;
            task.await;
            stop.done = true;
        }));
    }

    /// Asks everybody to stop because a part of the program has failed.
    pub fn fail(&self, part: &'static str) {
        // Only the first is remembered.
        self.failed.set(part).ok();
        self.ask();
    }

    /// The first part that failed: the program must not end as if all were well, or nobody starts it again.
    pub fn failed(&self) -> Option<&'static str> {
        self.failed.get().copied()
    }

    /// Waits until all tasks have returned; `false` if some had not by the deadline.
    pub async fn finished(&self, deadline: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(deadline, self.tasks.wait()).await.is_ok()
    }

    /// Asks to stop at SIGTERM or SIGINT; a second one ends the process at once.
    pub fn ask_on_signal(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        drop(tokio::spawn(async move {
            for round in 0.. {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
                if round > 0 {
                    std::process::exit(1);
                }
                shutdown.ask();
            }
        }));
        Ok(())
    }
}

impl Shutdown {
    /// Asks to stop when standard input ends: whoever holds its other end has ended.
    pub fn ask_on_stdin_eof(&self) -> std::io::Result<()> {
        let shutdown = self.clone();
        let watch = move || {
            std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()).ok();
            shutdown.ask();
        };
        std::thread::Builder::new().name("stdin".to_owned()).spawn(watch).map(drop)
    }
}

struct StopOnPanic {
    name: &'static str,
    shutdown: Shutdown,
    done: bool,
}

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if !self.done && std::thread::panicking() {
            tracing::error!(task = self.name, "task panicked, stopping");
            self.shutdown.fail(self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_its_tasks() {
        let shutdown = Shutdown::new();
        let inner = shutdown.clone();
        shutdown.spawn("test", async move { inner.asked().await });
        assert!(!shutdown.finished(Duration::from_millis(10)).await);
        shutdown.ask();
        assert!(shutdown.finished(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn a_panic_stops_the_program() {
        let shutdown = Shutdown::new();
        shutdown.spawn("test", async { panic!("expected by this test") });
        tokio::time::timeout(Duration::from_secs(5), shutdown.asked()).await.unwrap();
        assert_eq!(shutdown.failed(), Some("test"));
    }
}
