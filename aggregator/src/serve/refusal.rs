//! Refused attempts of callers that are known, for the audit log: the first of a kind at once, the rest of ten
//! minutes as one number.
//!
//! ```text
//!   refused ─→ queue ─→ first of this caller and subject ──→ a line at once
//!                 │         └─ again ─→ counted ─────────┐
//!                 └─ full, or too many kinds ─→ counted ─┴─ every 10 min ─→ a line each, and one for the rest
//! ```
//!
//! Whoever may not do something may try it as often as he likes: neither the disk nor what the log is for must
//! suffer. Callers that nobody knows are not told of here, but by the log lines of the ports.

use crate::identity::registry::Registry;
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::shutdown::Shutdown;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Refusals that wait to be written.
const QUEUE_MAX: usize = 64;
/// Kinds that are told apart within one window.
const KINDS_MAX: usize = 32;
/// How long equal ones are counted before they are told again.
const WINDOW: Duration = Duration::from_secs(600);

/// One refused attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refused {
    actor: String,
    subject: String,
    detail: String,
}

/// Where refusals are told. A clone tells the same.
#[derive(Clone)]
pub struct Refusals {
    queue: mpsc::Sender<Refused>,
    /// What did not fit into the queue.
    untold: Arc<AtomicU64>,
}

impl Refusals {
    /// Starts the task that writes them.
    pub fn start(registry: Registry, clock: Arc<dyn Clock>, shutdown: &Shutdown) -> Refusals {
        let (queue, inbox) = mpsc::channel(QUEUE_MAX);
        let untold = Arc::new(AtomicU64::new(0));
        let writer = Writer { registry, clock, window: Window::default(), untold: untold.clone() };
        shutdown.spawn("refusals", writer.run(inbox, shutdown.clone()));
        Refusals { queue, untold }
    }

    /// Tells of one. Waits for nothing.
    pub fn tell(&self, actor: &str, subject: &str, detail: &str) {
        let refused = Refused { actor: actor.into(), subject: subject.into(), detail: detail.into() };
        if self.queue.try_send(refused).is_err() {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Writer {
    registry: Registry,
    clock: Arc<dyn Clock>,
    window: Window,
    untold: Arc<AtomicU64>,
}

impl Writer {
    async fn run(mut self, mut inbox: mpsc::Receiver<Refused>, shutdown: Shutdown) {
        let mut every = tokio::time::interval(WINDOW);
        // The first tick of an interval is now, when there is nothing to tell.
        every.reset();
        loop {
            tokio::select! {
                () = shutdown.asked() => break,
                _ = every.tick() => self.close().await,
                Some(refused) = inbox.recv() => self.take(refused).await,
            }
        }
        while let Ok(refused) = inbox.try_recv() {
            self.take(refused).await;
        }
        self.close().await;
    }

    async fn take(&mut self, refused: Refused) {
        if let Some(line) = self.window.take(refused) {
            self.write(line).await;
        }
    }

    async fn close(&mut self) {
        let untold = self.untold.swap(0, Ordering::Relaxed);
        for line in self.window.close(untold) {
            self.write(line).await;
        }
    }

    async fn write(&self, Refused { actor, subject, detail }: Refused) {
        let now = self.clock.now().wall;
        if let Err(error) = self.registry.note_refusal(&actor, &subject, detail, now).await {
            tracing::error!(class = "failure", error = chain(&error), "failed to write a refusal");
        }
    }
}

/// What was refused since the last telling: how often again, by caller and subject.
#[derive(Default)]
struct Window {
    again: HashMap<(String, String), u64>,
    others: u64,
}

impl Window {
    /// The line to write at once, if this is the first of its kind.
    fn take(&mut self, refused: Refused) -> Option<Refused> {
        let kind = (refused.actor.clone(), refused.subject.clone());
        if let Some(count) = self.again.get_mut(&kind) {
            *count += 1;
            return None;
        }
        if self.again.len() >= KINDS_MAX {
            self.others += 1;
            return None;
        }
        self.again.insert(kind, 0);
        Some(refused)
    }

    /// Ends the window; the lines that tell what was only counted.
    fn close(&mut self, untold: u64) -> Vec<Refused> {
        let minutes = WINDOW.as_secs() / 60;
        let mut lines: Vec<Refused> = std::mem::take(&mut self.again)
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|((actor, subject), count)| Refused {
                actor,
                subject,
                detail: format!("{count} times more within {minutes} min"),
            })
            .collect();
        lines.sort_by(|a, b| (&a.actor, &a.subject).cmp(&(&b.actor, &b.subject)));
        let others = std::mem::take(&mut self.others).saturating_add(untold);
        if others > 0 {
            let detail = format!("{others} of other callers or subjects within {minutes} min");
            lines.push(Refused { actor: "aggregator".into(), subject: "calls".into(), detail });
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::registry::{AuditFilter, REFUSED};
    use quorate_common::clock::SystemClock;

    fn refused(actor: &str, subject: &str) -> Refused {
        Refused { actor: actor.into(), subject: subject.into(), detail: "role viewer".into() }
    }

    #[test]
    fn one_line_at_once_and_one_for_the_rest() {
        let mut window = Window::default();
        assert_eq!(window.take(refused("vera", "/a")), Some(refused("vera", "/a")));
        assert_eq!(window.take(refused("otto", "/a")), Some(refused("otto", "/a")));
        assert_eq!(window.take(refused("vera", "/b")), Some(refused("vera", "/b")));
        for _ in 0..3 {
            assert_eq!(window.take(refused("vera", "/a")), None);
        }
        let line = |actor: &str, subject: &str, detail: &str| Refused {
            detail: detail.into(),
            ..refused(actor, subject)
        };
        assert_eq!(window.close(0), [line("vera", "/a", "3 times more within 10 min")]);
        assert_eq!(window.close(0), [], "all is told");
        assert!(window.take(refused("vera", "/a")).is_some(), "a new window");
    }

    #[test]
    fn a_flood_is_a_bounded_number_of_lines() {
        let mut window = Window::default();
        let mut lines = 0;
        for number in 0..100_000 {
            lines += usize::from(window.take(refused(&format!("n{}", number % 1000), "/a")).is_some());
        }
        let closing = window.close(5);
        assert_eq!((lines, closing.len()), (KINDS_MAX, KINDS_MAX + 1));
        let others = 100_000 - 100 * KINDS_MAX + 5;
        let expect = format!("{others} of other callers or subjects within 10 min");
        assert_eq!(closing.last().unwrap().detail, expect, "nothing is lost silently");
    }

    #[tokio::test]
    async fn what_was_counted_is_told_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::open(&dir.path().join("registry.db"), "q").await.unwrap();
        let shutdown = Shutdown::new();
        let refusals = Refusals::start(registry.clone(), Arc::new(SystemClock), &shutdown);
        let total = QUEUE_MAX + 10;
        (0..total).for_each(|_| refusals.tell("vera", "/a", "role viewer"));
        // The task has not run yet: what did not fit is counted, and the rest is read before it stops.
        shutdown.ask();
        assert!(shutdown.finished(Duration::from_secs(30)).await);
        let lines = registry.list_audit(&AuditFilter::default(), 9).await.unwrap();
        assert!(lines.iter().all(|line| line.action == REFUSED));
        let told: Vec<_> = lines.iter().map(|line| (&*line.actor, &*line.detail)).collect();
        let counted = format!("{} times more within 10 min", QUEUE_MAX - 1);
        let expect = [
            ("aggregator", "10 of other callers or subjects within 10 min"),
            ("vera", counted.as_str()),
            ("vera", "role viewer"),
        ];
        assert_eq!(told, expect);
    }
}
