//! Debian's node_exporter, scraped each second over one connection with gzip, as Prometheus does it.

use anyhow::{Context, ensure};
use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

const PROGRAM: &str = "prometheus-node-exporter";
const READY_MAX: Duration = Duration::from_secs(10);
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A running exporter. It dies with this value.
pub struct Exporter {
    /// Its number.
    pub pid: u32,
    stream: TcpStream,
    request: String,
    _child: Child,
}

impl Exporter {
    /// Starts it with its defaults on a free port of loopback; `None` if it is not installed.
    pub async fn start() -> anyhow::Result<Option<Exporter>> {
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let mut command = Command::new(PROGRAM);
        command.arg(format!("--web.listen-address={address}")).kill_on_drop(true);
        let child = match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            child => child?,
        };
        let pid = child.id().context("node_exporter has ended")?;
        let connected = async {
            let mut look = tokio::time::interval(Duration::from_millis(20));
            loop {
                look.tick().await;
                if let Ok(stream) = TcpStream::connect(address).await {
                    return stream;
                }
            }
        };
        let stream =
            tokio::time::timeout(READY_MAX, connected).await.context("node_exporter is not ready")?;
        stream.set_nodelay(true)?;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: gzip\r\n\r\n");
        Ok(Some(Exporter { pid, stream, request, _child: child }))
    }

    /// One scrape: how many bytes came.
    pub async fn scrape(&mut self) -> anyhow::Result<usize> {
        self.stream.write_all(self.request.as_bytes()).await?;
        let answer = tokio::time::timeout(ANSWER_MAX, self.answer()).await;
        let answer = answer.context("node_exporter does not answer")??;
        ensure!(answer.starts_with(b"HTTP/1.1 200 "), "node_exporter refuses");
        Ok(answer.len())
    }

    /// The answer is longer than a buffer of Go's server, so it comes in chunks, and the last one is empty.
    async fn answer(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut answer = Vec::with_capacity(64 * 1024);
        while !answer.ends_with(b"\r\n0\r\n\r\n") {
            ensure!(self.stream.read_buf(&mut answer).await? > 0, "node_exporter closed the connection");
        }
        Ok(answer)
    }
}
