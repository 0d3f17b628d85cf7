//! A wire that counts: it carries TCP from an agent to an aggregator, unchanged, and counts the bytes of both
//! directions. TLS passes through, so these are the bytes of the wire but for the heads of IP and TCP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Bytes so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// From the agent.
    pub up: u64,
    /// To the agent.
    pub down: u64,
}

impl Bytes {
    /// What came after `before`.
    pub fn since(self, before: Bytes) -> Bytes {
        Bytes { up: self.up - before.up, down: self.down - before.down }
    }

    /// Both directions.
    pub fn all(self) -> u64 {
        self.up + self.down
    }
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
}

/// The wire. It is cut when this is dropped.
#[derive(Debug)]
pub struct Meter {
    /// Where to connect to.
    pub address: String,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Meter {
    /// A wire to `target`.
    pub async fn start(target: String) -> anyhow::Result<Meter> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let counters = Arc::<Counters>::default();
        let task = tokio::spawn(accept(listener, target, counters.clone()));
        Ok(Meter { address, counters, task })
    }

    /// Bytes so far, of all connections.
    pub fn bytes(&self) -> Bytes {
        let [up, down] = [&self.counters.up, &self.counters.down].map(|one| one.load(Ordering::Relaxed));
        Bytes { up, down }
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.counters.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The connections end with the wire: they belong to its task.
async fn accept(listener: TcpListener, target: String, counters: Arc<Counters>) {
    let mut carried = tokio::task::JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let Ok(far) = TcpStream::connect(&target).await else { continue };
        near.set_nodelay(true).and(far.set_nodelay(true)).ok();
        counters.connections.fetch_add(1, Ordering::Relaxed);
        let ((up_in, down_out), (down_in, up_out)) = (near.into_split(), far.into_split());
        let (up, down) = (counters.clone(), counters.clone());
        carried.spawn(async move { carry(up_in, up_out, &up.up).await });
        carried.spawn(async move { carry(down_in, down_out, &down.down).await });
    }
}

/// Until one side has said all, or the other hears no more.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, count: &AtomicU64) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        count.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    to.shutdown().await.ok();
}
