//! The loader: virtual agents at full throttle, each with its own certificate, its own mTLS connection and its own
//! session. What they say and how it is carried are the swarm's; only the pace is the loader's own.
//!
//! ```text
//!   prepare ──→ open: Hello, Welcome, Register, key frame, Ack ──→ run: frames and acks, Bye, end of stream
//!   (encodes)                                                      (the measured window)
//! ```
//!
//! Everything is encoded before the window, so that the loader does not limit the server. The end of the stream
//! is the server's word that it took every frame before it.

use anyhow::{Context, bail, ensure};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::session::{AgentMessage, AggregatorMessage, ByeReason, Frame, Hello, Register};
use quorate_common::model::time::{BootTime, Now, WallTime};
use quorate_proto::connect::Options;
use quorate_tests::swarm::link::Link;
use quorate_tests::swarm::mix::Mix;
use quorate_tests::swarm::script::{Profile, Script};
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;

const SECOND_NS: u64 = 1_000_000_000;
/// When the imagined host collected its first tick, after its start.
const FIRST_BOOT_NS: u64 = 1_000 * SECOND_NS;
const SEED: u64 = 2;
/// The aggregator has this long to take what lies in its windows.
const TAKEN_MAX: Duration = Duration::from_secs(60);

/// How much one virtual agent sends.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Agents.
    pub nodes: usize,
    /// Series of each.
    pub series: usize,
    /// Measured ticks of each; one more, the key frame, comes before.
    pub ticks: usize,
    /// What moves.
    pub mix: Mix,
    /// Distance between two ticks of one agent; `None` for as fast as they are taken.
    pub pace: Option<Duration>,
}

/// All that one virtual agent will say, encoded.
pub struct Prepared {
    hello: Hello,
    register: Register,
    frames: Vec<Frame>,
    /// What the server must hold in the end, by index.
    pub newest: Vec<f64>,
    /// Samples in all frames.
    pub samples: u64,
    /// Bytes of bitmaps and cells in all frames.
    pub bytes: u64,
}

/// Encodes everything that agent number `node` will send.
pub fn prepare(load: Load, profile: &Profile, node: usize) -> anyhow::Result<Prepared> {
    let (node, last) = (node as u64, load.ticks as u64 + 1);
    let mut script = Script::new(profile, node, 1);
    let at = |seq: u64| Now { boot: BootTime(FIRST_BOOT_NS + seq * SECOND_NS), wall: WallTime(0) };
    // As if the last tick were collected now.
    let hello = script.hello(None, at(last));
    let register = script.register()?;
    let frames: Vec<Frame> = (1..=last).map(|seq| script.frame(seq, at(seq))).collect::<Result<_, _>>()?;
    let source = profile.source(node);
    let newest = (0..load.series).map(|index| source.value(index, last)).collect();
    let bytes = frames.iter().map(|frame| (frame.groups.len() + frame.cells.len()) as u64).sum();
    Ok(Prepared { hello, register, frames, newest, samples: last * script.series(), bytes })
}

/// What the nodes of a load are like.
pub fn profile(load: Load) -> Profile {
    Profile::new(SEED, load.mix, load.series)
}

/// A session that is live: its key frame was acknowledged.
pub struct Session {
    link: Link,
    frames: std::vec::IntoIter<Frame>,
    echo: u64,
    received: u64,
}

impl Session {
    /// Connects, registers, and sends the key frame.
    pub async fn open(address: &str, tls: Arc<ClientConfig>, prepared: Prepared) -> anyhow::Result<Session> {
        let Prepared { mut hello, register, mut frames, .. } = prepared;
        let wall = SystemClock.now().wall.0;
        hello.wall_ns = wall;
        let end = hello.boot_ns;
        frames.iter_mut().for_each(|frame| frame.wall_ns = wall - (end - frame.boot_ns).cast_signed());
        let mut link = Link::open(address, tls, Options::AGENT).await?;
        link.send(AgentMessage::Hello(hello)).await?;
        link.send(AgentMessage::Register(register)).await?;
        let mut frames = frames.into_iter();
        link.send(AgentMessage::Frame(frames.next().context("no frame to send")?)).await?;
        let mut session = Session { link, frames, echo: 0, received: 0 };
        while session.received == 0 {
            let reply = session.link.next().await?;
            session.take(reply)?;
        }
        Ok(session)
    }

    /// Sends all frames and a farewell, and returns when the aggregator has taken them all.
    pub async fn run(mut self, pace: Option<Duration>, phase: Duration) -> anyhow::Result<()> {
        let mut due = pace.map(|period| {
            let start = tokio::time::sleep(phase);
            tokio::time::interval_at(start.deadline(), period)
        });
        while self.frames.len() > 0 {
            let ready = async {
                if let Some(due) = &mut due {
                    due.tick().await;
                }
            };
            tokio::select! {
                () = ready => {
                    let Some(mut frame) = self.frames.next() else { break };
                    frame.echo = self.echo;
                    self.link.send(AgentMessage::Frame(frame)).await?;
                }
                reply = self.link.next() => self.take(reply?)?,
            }
        }
        let taken = self.link.close(AgentMessage::Bye(ByeReason::Stop), TAKEN_MAX).await;
        ensure!(taken, "the aggregator did not take all");
        Ok(())
    }

    fn take(&mut self, reply: AggregatorMessage) -> anyhow::Result<()> {
        match reply {
            AggregatorMessage::Ack(ack) => (self.echo, self.received) = (ack.echo, ack.received),
            AggregatorMessage::Welcome(_) => {}
            AggregatorMessage::Request(_) => bail!("the aggregator sent {reply:?}"),
        }
        Ok(())
    }
}
