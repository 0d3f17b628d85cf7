//! The chaos proxy: TCP in user space between two programs, with whatever can go wrong between them, each direction by
//! itself. What is wrong can be changed while connections live; the dice are seeded.
//!
//! ```text
//!   agent ──→ accept ──(door)──→ connect ──→ aggregator
//!                        up:   read → Line (throttle, delay, loss …) → write
//!                        down: write ← Line ← read
//! ```
//!
//! | Fault | How |
//! |---|---|
//! | delay, jitter, loss, throttle, slow drip, a turned bit | [`Way`], for each direction |
//! | a route that is broken for a while, one way or both | [`Flow::Hold`] |
//! | a peer that vanished without a word, one way or both | [`Flow::Swallow`] |
//! | half open: accepted, and then nothing | [`Door::Swallow`] |
//! | a connection that is reset, at once or later | [`Door::Reset`], [`Chaos::reset`] |
//!
//! Loss here is what a program sees of it: a stall of 200 ms, doubled if the segment is lost again, and order stays.
//! It cannot lose the packets of a handshake of TCP; for a peer that is silent on every layer there is [`crate::netns`].

mod line;
mod pump;

pub use line::{Drip, Flow, Line, RETRANSMISSION, Way};

use pump::Pump;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// It is carried to the target.
    #[default]
    Open,
    /// It is accepted, and whatever is sent on it is lost.
    Swallow,
    /// It is accepted and reset.
    Reset,
}

/// What is wrong. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weather {
    /// From whoever connects to the target.
    pub up: Way,
    /// And back.
    pub down: Way,
    /// For new connections.
    pub door: Door,
}

impl Weather {
    /// The same both ways.
    pub fn both(way: Way) -> Weather {
        Weather { up: way, down: way, door: Door::Open }
    }

    fn of(&self, side: Side) -> &Way {
        match side {
            Side::Up => &self.up,
            Side::Down => &self.down,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Up,
    Down,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Up => Side::Down,
            Side::Down => Side::Up,
        }
    }
}

/// The proxy. All its connections are cut when this is dropped.
#[derive(Debug)]
pub struct Chaos {
    /// Where to connect to, on loopback.
    pub address: String,
    weather: watch::Sender<Weather>,
    resets: watch::Sender<u64>,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    open: AtomicUsize,
    up: Arc<AtomicU64>,
    down: Arc<AtomicU64>,
}

impl Chaos {
    /// A proxy to `target`, in fair weather.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(target: String, seed: u64) -> io::Result<Chaos> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let (weather, resets) = (watch::Sender::new(Weather::default()), watch::Sender::new(0));
        let counters = Arc::<Counters>::default();
        let proxy = Proxy {
            target,
            seed,
            weather: weather.subscribe(),
            resets: resets.subscribe(),
            counters: counters.clone(),
        };
        Ok(Chaos { address, weather, resets, counters, task: tokio::spawn(proxy.accept(listener)) })
    }

    /// Changes what is wrong, also for connections that live.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Resets all connections, on both sides.
    pub fn reset(&self) {
        self.resets.send_modify(|resets| *resets += 1);
    }

    /// Connections so far.
    pub fn accepted(&self) -> u64 {
        self.counters.accepted.load(Relaxed)
    }

    /// Connections that live.
    pub fn open(&self) -> usize {
        self.counters.open.load(Relaxed)
    }

    /// Bytes that arrived at the target, and at those who connected.
    pub fn carried(&self) -> (u64, u64) {
        (self.counters.up.load(Relaxed), self.counters.down.load(Relaxed))
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Proxy {
    target: String,
    seed: u64,
    weather: watch::Receiver<Weather>,
    resets: watch::Receiver<u64>,
    counters: Arc<Counters>,
}

/// Counts a connection for as long as it lives.
struct Open(Arc<Counters>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

impl Proxy {
    /// The connections end with the proxy: they belong to this task.
    async fn accept(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while let Ok((near, _)) = listener.accept().await {
            while connections.try_join_next().is_some() {}
            let number = self.counters.accepted.fetch_add(1, Relaxed);
            connections.spawn(self.clone().connection(near, number));
        }
    }

    async fn connection(mut self, mut near: TcpStream, number: u64) {
        self.counters.open.fetch_add(1, Relaxed);
        let _open = Open(self.counters.clone());
        self.resets.mark_unchanged();
        let (door, mut resets) = (self.weather.borrow().door, self.resets.clone());
        match door {
            Door::Reset => reset(&near),
            Door::Swallow => {
                tokio::select! {
                    () = swallow(&mut near) => {}
                    _ = resets.changed() => reset(&near),
                }
            }
            Door::Open => {
                let Ok(far) = TcpStream::connect(&self.target).await else { return reset(&near) };
                self.carry(near, far, number).await;
            }
        }
    }

    async fn carry(mut self, mut near: TcpStream, mut far: TcpStream, number: u64) {
        near.set_nodelay(true).and(far.set_nodelay(true)).ok();
        let is_over = {
            let ((near_out, near_in), (far_out, far_in)) = (near.split(), far.split());
            let pump = |from, to, side| Pump {
                from,
                to,
                side,
                weather: self.weather.clone(),
                line: Line::new(self.seed.wrapping_add(2 * number + u64::from(side == Side::Down))),
                carried: if side == Side::Up { self.counters.up.clone() } else { self.counters.down.clone() },
            };
            let up = pump(near_out, far_in, Side::Up).run();
            let down = pump(far_out, near_in, Side::Down).run();
            tokio::select! {
                ended = async { tokio::try_join!(up, down) } => ended.is_ok(),
                _ = self.resets.changed() => false,
            }
        };
        if !is_over {
            reset(&near);
            reset(&far);
        }
    }
}

/// Reads and forgets until the other side closes.
async fn swallow(stream: &mut TcpStream) {
    let mut buffer = vec![0; 4096];
    while let Ok(1..) = stream.read(&mut buffer).await {}
}

/// Makes the coming end of a connection a reset.
fn reset(stream: &TcpStream) {
    // It fails for a connection that has ended already.
    stream.set_zero_linger().ok();
}

#[cfg(test)]
mod tests;
