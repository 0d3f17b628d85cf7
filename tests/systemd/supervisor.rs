//! systemd's end of the notification socket, and programs that are started with it.

use quorate_tests::Programs;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixDatagram;

/// Nothing here takes this long; a machine under load may need much of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Hears what one program tells.
pub struct Supervisor {
    socket: UnixDatagram,
    path: PathBuf,
    // Last, so that the socket goes with it.
    dir: tempfile::TempDir,
}

/// One datagram: names and values.
pub type Message = BTreeMap<String, String>;

impl Supervisor {
    /// A socket that nobody knows yet.
    pub fn new() -> Supervisor {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        Supervisor { socket: UnixDatagram::bind(&path).unwrap(), path, dir }
    }

    /// The directory of the socket, for whatever else goes with the program.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `program` as a service of ours: a script that becomes the program, as systemd's child would.
    pub fn supervise(&self, program: &Path, watchdog: Duration, flags: &str) -> PathBuf {
        let script = self.dir().join("service");
        let text = format!(
            "#!/bin/sh\nexport NOTIFY_SOCKET='{}' WATCHDOG_USEC={} WATCHDOG_PID=$$\nexec '{}' \"$@\" {flags}\n",
            self.path.display(),
            watchdog.as_micros(),
            program.display()
        );
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        script
    }

    /// The next datagram.
    pub async fn next(&self) -> Message {
        let mut bytes = [0; 4096];
        let heard = tokio::time::timeout(PATIENCE, self.socket.recv(&mut bytes)).await;
        let length = heard.expect("the program tells nothing").unwrap();
        let text = std::str::from_utf8(&bytes[..length]).unwrap();
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.into(), value.into()));
        text.lines().map(|line| pair(line).unwrap_or_else(|| panic!("no state: `{line}`"))).collect()
    }

    /// The next datagram that has this name in it; what else is told is heard on the way.
    pub async fn next_with(&self, name: &str) -> Message {
        let mut others = Vec::new();
        let find = async {
            loop {
                let message = self.next().await;
                if message.contains_key(name) {
                    return message;
                }
                others.push(message);
            }
        };
        let found = tokio::time::timeout(PATIENCE, find).await;
        found.unwrap_or_else(|_| panic!("no {name}, but {others:?}"))
    }

    /// Waits for a status that `holds`, and gives the datagram it came in.
    pub async fn until_status(&self, what: &str, holds: impl Fn(&str) -> bool) -> Message {
        let mut last = String::new();
        let find = async {
            loop {
                let message = self.next_with("STATUS").await;
                last.clone_from(&message["STATUS"]);
                if holds(&last) {
                    return message;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, find).await;
        found.unwrap_or_else(|_| panic!("the status never was {what}, at last `{last}`"))
    }
}

/// The programs, one of them supervised.
pub fn with_agent(programs: Programs, agent: PathBuf) -> Programs {
    Programs { agent, ..programs }
}
