//! Telling the service manager how the program does: systemd's protocol, datagrams of `NAME=value` lines.
//!
//! ```text
//!              all parts have begun            SIGHUP                   SIGTERM
//!   starting ───────READY=1───────→ running ──RELOADING=1──→ reloading     │
//!                                     ↑  │ ↺ STATUS=…           │          ↓
//!                                     │  │   WATCHDOG=1         │      STOPPING=1, then
//!                                     └──┼──────READY=1─────────┘      EXTEND_TIMEOUT_USEC=… while it takes
//!                                        └─ no WATCHDOG=1 while a part stands still
//! ```
//!
//! Without a service manager nothing is sent and nothing else differs. The watchdog is fed by progress only: a
//! timer that goes on while the work stands still would hide the very thing that it is for.

mod progress;

pub use progress::{Progress, Pulse};

use crate::config::Environment;
use crate::error::chain;
use crate::shutdown::Shutdown;
use std::fmt::Write;
use std::future::Future;
use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// The most seldom that the status is told.
const TELL_EVERY_MAX: Duration = Duration::from_secs(5);
/// The most often, however short the watchdog's patience is.
const TELL_EVERY_MIN: Duration = Duration::from_millis(10);
/// Datagrams in each span of the watchdog: one or two may be late.
const TELLS_PER_WATCHDOG: u32 = 4;
/// A manager empties its queue at once; one that does not for this long is not waited for.
const SEND_DEADLINE: Duration = Duration::from_millis(250);
/// How often a program that takes long to stop asks for more time, and for how much.
const EXTEND_EVERY: Duration = Duration::from_secs(1);
const EXTENSION: Duration = Duration::from_secs(5);
/// Longer status lines are cut.
const STATUS_CHARS_MAX: usize = 500;

/// Why the service manager cannot be told anything.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The variable names no socket of this kind.
    #[error("`NOTIFY_SOCKET` is `{0}`, expected an absolute path or `@` and a name")]
    Address(String),
    /// The name of the socket is too long, or has a zero byte in it.
    #[error("`NOTIFY_SOCKET` is `{0}`, which no socket can be called")]
    Name(String, #[source] io::Error),
    /// No socket could be made.
    #[error("failed to make a socket for the service manager")]
    Socket(#[source] io::Error),
}

/// One line of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State<'a> {
    /// Starting, or loading anew, is over.
    Ready,
    /// How the program does, for people.
    Status(&'a str),
    /// The program ends.
    Stopping,
    /// The work goes on.
    Watchdog,
    /// What is configured is loaded anew; ends with [`State::Ready`].
    Reloading {
        /// Now, of [`crate::clock::monotonic_us`]. In the same datagram, or systemd waits for it in vain.
        at_us: u64,
    },
    /// Stopping takes longer: so much more, from now.
    ExtendTimeout(Duration),
}

/// Tells the service manager. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Notifier(Option<Arc<Line>>);

#[derive(Debug)]
struct Line {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Duration>,
    is_broken: AtomicBool,
}

impl Notifier {
    /// As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say; without the first, one that tells nobody.
    ///
    /// # Errors
    ///
    /// The socket is named in a way that is not understood, or none can be made.
    pub fn from_environment(environment: &Environment) -> Result<Notifier, NotifyError> {
        let Some(name) = environment.get("NOTIFY_SOCKET") else { return Ok(Notifier(None)) };
        let address = match name.strip_prefix('@') {
            #[cfg(target_os = "linux")]
            Some(name) => SocketAddr::from_abstract_name(name),
            // Only Linux has sockets without a file.
            #[cfg(not(target_os = "linux"))]
            Some(_) => return Err(NotifyError::Address(name.to_owned())),
            None if name.starts_with('/') => SocketAddr::from_pathname(name),
            None => return Err(NotifyError::Address(name.to_owned())),
        };
        let address = address.map_err(|error| NotifyError::Name(name.to_owned(), error))?;
        let socket = UnixDatagram::unbound().map_err(NotifyError::Socket)?;
        socket.set_write_timeout(Some(SEND_DEADLINE)).map_err(NotifyError::Socket)?;
        let watchdog = watchdog(environment, std::process::id());
        Ok(Notifier(Some(Arc::new(Line { socket, address, watchdog, is_broken: AtomicBool::new(false) }))))
    }

    /// Sends one datagram. That it cannot be sent is told once, and is no reason to stop working.
    pub fn tell(&self, states: &[State<'_>]) {
        let Some(line) = &self.0 else { return };
        let sent = line.socket.send_to_addr(datagram(states).as_bytes(), &line.address);
        let was_broken = line.is_broken.swap(sent.is_err(), Ordering::Relaxed);
        if let Err(error) = sent
            && !was_broken
        {
            tracing::warn!(class = "failure", error = chain(&error), "the service manager cannot be told");
        }
    }

    /// Tells READY once all parts have begun, then the status, and the watchdog as long as all parts go on.
    /// Ends when stopping is asked for.
    pub async fn report(self, mut progress: Progress, status: impl Fn() -> String, shutdown: Shutdown) {
        let Some(line) = &self.0 else { return };
        tokio::select! {
            biased;
            () = shutdown.asked() => return,
            () = progress.begun() => self.tell(&[State::Ready, State::Status(&status())]),
        }
        let step = line.watchdog.map_or(TELL_EVERY_MAX, |span| span / TELLS_PER_WATCHDOG);
        let step = step.clamp(TELL_EVERY_MIN, TELL_EVERY_MAX);
        let mut every = tokio::time::interval(step);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stalled = None;
        loop {
            tokio::select! {
                biased;
                () = shutdown.asked() => return,
                _ = every.tick() => {}
            }
            let was = std::mem::replace(&mut stalled, progress.stalled(step));
            match stalled {
                None if line.watchdog.is_some() => self.tell(&[State::Status(&status()), State::Watchdog]),
                None => self.tell(&[State::Status(&status())]),
                Some(part) => self.tell(&[State::Status(&format!("{part} stands still, {}", status()))]),
            }
            if let Some(part) = stalled.filter(|_| stalled != was) {
                tracing::error!(class = "failure", part, "stands still, the watchdog is not fed");
            }
        }
    }

    /// Tells STOPPING, and asks for more time as long as `finished` is not.
    pub async fn stopping<T>(&self, finished: impl Future<Output = T>) -> T {
        self.tell(&[State::Stopping, State::Status("stopping")]);
        tokio::pin!(finished);
        loop {
            match tokio::time::timeout(EXTEND_EVERY, &mut finished).await {
                Ok(done) => return done,
                Err(_) => self.tell(&[State::ExtendTimeout(EXTENSION)]),
            }
        }
    }
}

/// The span within which the service manager waits for a sign of life; `None` if it does not, or not of `pid`.
fn watchdog(environment: &Environment, pid: u32) -> Option<Duration> {
    let is_ours = environment.get("WATCHDOG_PID").is_none_or(|text| text.parse() == Ok(pid));
    let span = Duration::from_micros(environment.get("WATCHDOG_USEC")?.parse().ok()?);
    (is_ours && !span.is_zero()).then_some(span)
}

fn datagram(states: &[State<'_>]) -> String {
    let mut text = String::new();
    for state in states {
        let done = match state {
            State::Ready => text.write_str("READY=1\n"),
            State::Status(status) => writeln!(text, "STATUS={}", one_line(status)),
            State::Stopping => text.write_str("STOPPING=1\n"),
            State::Watchdog => text.write_str("WATCHDOG=1\n"),
            State::Reloading { at_us } => writeln!(text, "RELOADING=1\nMONOTONIC_USEC={at_us}"),
            State::ExtendTimeout(more) => writeln!(text, "EXTEND_TIMEOUT_USEC={}", more.as_micros()),
        };
        debug_assert!(done.is_ok(), "a String takes everything");
    }
    text
}

/// A name with a line break in it must not be read as another state.
fn one_line(status: &str) -> String {
    status.chars().take(STATUS_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough on a machine under load.
    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn lines_are_what_systemd_reads() {
        for (states, expect) in [
            (&[State::Ready, State::Status("3/3 up")][..], "READY=1\nSTATUS=3/3 up\n"),
            (&[State::Stopping], "STOPPING=1\n"),
            (&[State::Status("a\nREADY=1\r"), State::Watchdog], "STATUS=a READY=1 \nWATCHDOG=1\n"),
            (&[State::Reloading { at_us: 77 }], "RELOADING=1\nMONOTONIC_USEC=77\n"),
            (&[State::ExtendTimeout(Duration::from_secs(5))], "EXTEND_TIMEOUT_USEC=5000000\n"),
        ] {
            assert_eq!(datagram(states), expect);
        }
        assert_eq!(datagram(&[State::Status(&"é".repeat(9000))]).chars().count(), STATUS_CHARS_MAX + 8);
    }

    #[test]
    fn the_watchdog_is_for_this_process_or_none() {
        for (usec, pid, expect_ms) in [
            (Some("30000000"), Some("7"), Some(30_000)),
            (Some("30000000"), None, Some(30_000)),
            (Some("30000000"), Some("8"), None),
            (Some("30000000"), Some("x"), None),
            (Some("0"), Some("7"), None),
            (Some("-1"), Some("7"), None),
            (None, Some("7"), None),
        ] {
            let pairs = [("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)];
            let environment = pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            assert_eq!(watchdog(&environment, 7), expect_ms.map(Duration::from_millis), "{usec:?} {pid:?}");
        }
    }

    fn notifier(socket: &str, watchdog_usec: &str) -> Result<Notifier, NotifyError> {
        let pairs = [("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", watchdog_usec)];
        Notifier::from_environment(&pairs.into_iter().collect())
    }

    #[test]
    fn sockets_have_paths_or_abstract_names() {
        let refused = notifier("vsock:2:1234", "").unwrap_err().to_string();
        assert_eq!(refused, "`NOTIFY_SOCKET` is `vsock:2:1234`, expected an absolute path or `@` and a name");
        assert!(notifier(&format!("/{}", "a".repeat(200)), "").is_err());
        assert!(notifier("", "").unwrap().0.is_none());
        Notifier::default().tell(&[State::Ready]);

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let abstract_name = format!("quorate-test-{}", std::process::id());
        let bound = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let sockets = [
            (UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap().to_owned()),
            (UnixDatagram::bind_addr(&bound).unwrap(), format!("@{abstract_name}")),
        ];
        for (socket, name) in sockets {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            notifier(&name, "").unwrap().tell(&[State::Ready]);
            assert_eq!(receive(&socket), "READY=1\n", "{name}");
        }
        // Nobody listens any more: the program goes on.
        notifier(path.to_str().unwrap(), "").unwrap().tell(&[State::Ready]);
    }

    fn receive(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 2048];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn pings_follow_progress() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let notifier = notifier(path.to_str().unwrap(), "80000").unwrap();
        let (pulse, shutdown) = (Pulse::default(), Shutdown::new());
        let progress = Progress::default().with("work", &pulse, Duration::from_millis(50));
        shutdown.spawn("notify", notifier.clone().report(progress, || "fine".into(), shutdown.clone()));
        pulse.beat();
        assert_eq!(receive(&socket), "READY=1\nSTATUS=fine\n");
        assert_eq!(receive(&socket), "STATUS=fine\nWATCHDOG=1\n");
        // The work stands still: after its patience nothing feeds the watchdog.
        let said: Vec<String> = std::iter::repeat_with(|| receive(&socket)).take(8).collect();
        assert!(said.len() - said.iter().filter(|one| one.contains("WATCHDOG")).count() >= 4, "{said:?}");
        assert_eq!(said[7], "STATUS=work stands still, fine\n");
        pulse.beat();
        while receive(&socket) != "STATUS=fine\nWATCHDOG=1\n" {}
        shutdown.ask();
        assert!(shutdown.finished(PATIENCE).await);
        assert_eq!(notifier.stopping(async { 7 }).await, 7);
        while receive(&socket) != "STOPPING=1\nSTATUS=stopping\n" {}
    }

    #[tokio::test]
    async fn a_slow_stop_asks_for_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let notifier = notifier(path.to_str().unwrap(), "").unwrap();
        // Over once it has asked twice.
        let heard = tokio::task::spawn_blocking(move || [(); 3].map(|()| receive(&socket)));
        let extend = "EXTEND_TIMEOUT_USEC=5000000\n";
        assert_eq!(
            notifier.stopping(heard).await.unwrap(),
            ["STOPPING=1\nSTATUS=stopping\n", extend, extend]
        );
    }
}
