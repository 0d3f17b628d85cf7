//! A peer: Prometheus or VictoriaMetrics of Debian, with its defaults, on loopback, in a directory of its own. It is
//! fed by [`Remote`], asked over HTTP, measured from outside, and killed.

use super::keeper::bytes_of;
use super::remote::{Remote, answer};
use super::words::Word;
use anyhow::{Context, ensure};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::session::AgentMessage;
use quorate_tests::usage;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const READY_MAX: Duration = Duration::from_secs(120);
const SETTLED_MAX: Duration = Duration::from_secs(600);
const WRITTEN_AFTER: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// 2.42 in Debian 12.
    Prometheus,
    /// 1.79 in Debian 12.
    VictoriaMetrics,
}

/// A running one. It dies with this value.
pub struct Rival {
    make: Make,
    dir: TempDir,
    address: SocketAddr,
    child: Child,
}

/// What feeding showed.
#[derive(Clone, Copy, Debug)]
pub struct Fed {
    /// Samples that were sent.
    pub samples: u64,
    /// Processor time for the first sample of every series.
    pub first: Duration,
    /// Samples of those.
    pub new: u64,
    /// Processor time for all others.
    pub rest: Duration,
}

impl Rival {
    /// Starts one; `None` if it is not installed.
    pub async fn start(make: Make) -> anyhow::Result<Option<Rival>> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("prometheus.yml"), "")?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = match spawn(make, dir.path(), address) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            child => child?,
        };
        let rival = Rival { make, dir, address, child };
        rival.ready().await?;
        Ok(Some(rival))
    }

    /// Sends it what nodes say. What comes up to the first frame of the last of `nodes` nodes is counted apart.
    pub fn feed(
        &self,
        nodes: usize,
        words: impl Iterator<Item = anyhow::Result<Word>>,
    ) -> anyhow::Result<Fed> {
        let mut remote = Remote::connect(self.address)?;
        let begin = self.cpu()?;
        let mut first = None;
        for word in words {
            let word = word?;
            remote.take(&word)?;
            let is_frame = matches!(word.1, AgentMessage::Frame(_));
            if first.is_none() && is_frame && word.0 + 1 == nodes {
                remote.flush()?;
                first = Some((self.cpu()?, remote.sent));
            }
        }
        remote.flush()?;
        let (between, new) = first.context("not every node said something")?;
        Ok(Fed { samples: remote.sent, first: between - begin, new, rest: self.cpu()? - between })
    }

    /// Has it put everything into the form in which it keeps it, and gives the bytes of that: Prometheus writes its
    /// head as a block (snapshot), VictoriaMetrics flushes and merges all parts.
    pub async fn settled_bytes(&self) -> anyhow::Result<u64> {
        match self.make {
            Make::Prometheus => {
                self.ask("POST", "/api/v1/admin/tsdb/snapshot?skip_head=false").await?;
                bytes_of(&self.dir.path().join("data/snapshots"))
            }
            Make::VictoriaMetrics => {
                self.ask("GET", "/internal/force_flush").await?;
                self.ask("GET", "/internal/force_merge").await?;
                tokio::time::timeout(SETTLED_MAX, self.merged())
                    .await
                    .context("a merge takes too long")??;
                bytes_of(&self.dir.path().join("data"))
            }
        }
    }

    async fn merged(&self) -> anyhow::Result<()> {
        let mut look = tokio::time::interval(Duration::from_millis(500));
        loop {
            // The first look comes at once, and a merge begins a moment after it was asked for.
            look.tick().await;
            look.tick().await;
            let told = self.ask("GET", "/metrics").await?;
            let value = |name: &str| {
                let line = told.lines().find(|line| line.starts_with(name));
                line.and_then(|line| line.rsplit(' ').next()).unwrap_or("0").parse::<f64>().unwrap_or(0.0)
            };
            if value("vm_active_force_merges") == 0.0 {
                return Ok(());
            }
        }
    }

    /// Kills it and starts it again on what it left. Gives how long until it gives `expect` for a query.
    pub async fn restart(&mut self, query: &str, expect: &str) -> anyhow::Result<Duration> {
        // It writes to the disk every five seconds: what it has not written is gone with it, and it tells nobody.
        if self.make == Make::VictoriaMetrics {
            tokio::time::sleep(WRITTEN_AFTER).await;
        }
        self.child.kill()?;
        self.child.wait()?;
        let begin = SystemClock.now().boot;
        self.child = spawn(self.make, self.dir.path(), self.address)?;
        self.ready().await?;
        let answer = self.ask("GET", query).await?;
        let took = SystemClock.now().boot.since(begin);
        ensure!(answer.contains(expect), "after a restart {query} gives {answer}, not {expect}");
        Ok(took)
    }

    async fn ready(&self) -> anyhow::Result<()> {
        let path = if self.make == Make::Prometheus { "/-/ready" } else { "/health" };
        let ready = async {
            let mut look = tokio::time::interval(LOOK_EVERY);
            loop {
                look.tick().await;
                if self.ask("GET", path).await.is_ok() {
                    return;
                }
            }
        };
        tokio::time::timeout(READY_MAX, ready).await.with_context(|| format!("{:?} is not ready", self.make))
    }

    async fn ask(&self, method: &str, path: &str) -> anyhow::Result<String> {
        let mut stream = BufReader::new(TcpStream::connect(self.address)?);
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", self.address);
        stream.get_mut().write_all(head.as_bytes())?;
        let (status, body) = answer(&mut stream)?;
        let body = String::from_utf8(body)?;
        ensure!(status / 100 == 2, "{path} gives {status}: {body}");
        Ok(body)
    }

    /// Processor time since its start.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        usage::cpu(self.child.id())
    }

    /// Resident memory.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        usage::resident_bytes(self.child.id())
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(make: Make, dir: &Path, address: SocketAddr) -> std::io::Result<Child> {
    let data = dir.join("data");
    let mut command;
    match make {
        Make::Prometheus => {
            command = Command::new("prometheus");
            command
                .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
                .arg(format!("--storage.tsdb.path={}", data.display()))
                .arg(format!("--web.listen-address={address}"))
                .args(["--web.enable-remote-write-receiver", "--web.enable-admin-api"]);
        }
        Make::VictoriaMetrics => {
            command = Command::new("victoria-metrics");
            command
                .arg(format!("-storageDataPath={}", data.display()))
                .arg(format!("-httpListenAddr={address}"));
        }
    }
    let log = File::options().create(true).append(true).open(dir.join("log"))?;
    command.current_dir(dir).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
}
