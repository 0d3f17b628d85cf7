//! The task of one virtual agent: connects, carries its machine's session, and connects again as a real one does.

use super::Standing;
use super::count::Counters;
use super::link::{FAREWELL, Link, LinkError};
use super::machine::{Heard, Machine, MachineError};
use quorate_common::backoff::Backoff;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::session::{AgentMessage, ByeReason};
use quorate_common::model::time::{BootTime, Now};
use quorate_common::rng::SeededRng;
use quorate_common::shutdown::Shutdown;
use quorate_proto::connect::Options;
use rustls::ClientConfig;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::watch;

/// What a virtual agent is made of.
pub(super) struct Agent {
    pub machine: Machine,
    pub address: Arc<str>,
    pub options: Options,
    pub tls: Arc<ClientConfig>,
    pub rng: SeededRng,
    pub counters: Arc<Counters>,
    /// How many sessions of the swarm are live.
    pub live: watch::Sender<usize>,
    pub standing: Arc<Standing>,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Machine(#[from] MachineError),
    #[error("asked to reconnect")]
    Drained,
}

/// A live session, as far as it counts. It is over when this is dropped, also when the task is cut off.
struct Alive {
    live: watch::Sender<usize>,
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.live.send_modify(|live| *live -= 1);
    }
}

impl Agent {
    /// Runs until asked to stop; begins after `delay`.
    pub(super) async fn run(mut self, delay: Duration, stop: Shutdown) {
        let mut backoff = Backoff::default();
        let mut lost_at = None;
        let mut wait = delay;
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.asked() => return,
            }
            self.counters.attempt();
            let opened = tokio::select! {
                opened = Link::open(&self.address, self.tls.clone(), self.options) => opened,
                () = stop.asked() => return,
            };
            let mut was_live = false;
            let ended = match opened {
                Ok(link) => self.session(link, (&mut was_live, lost_at), &stop).await,
                Err(error) => {
                    self.counters.unreachable();
                    Err(error.into())
                }
            };
            self.machine.end();
            let Err(ended) = ended else { return };
            wait = self.rest(&ended, was_live, &mut backoff);
            if was_live {
                lost_at = Some(now().boot);
            }
        }
    }

    /// Counts the end of a session, and says how long to wait before the next attempt.
    fn rest(&mut self, ended: &Ended, was_live: bool, backoff: &mut Backoff) -> Duration {
        let refused = matches!(ended, Ended::Link(error) if error.is_refusal());
        self.standing.say(ended.to_string());
        if refused {
            self.counters.refused();
        }
        if was_live {
            self.counters.lost();
            backoff.accepted();
        }
        let now = now().boot;
        let again = if was_live && !refused {
            backoff.lost(now, &mut self.rng)
        } else {
            backoff.refused(now, &mut self.rng)
        };
        again.since(now)
    }

    /// One session. `Ok` when it ended because the swarm was asked to stop.
    async fn session(
        &mut self,
        mut link: Link,
        (was_live, lost_at): (&mut bool, Option<BootTime>),
        stop: &Shutdown,
    ) -> Result<(), Ended> {
        let mut alive = None;
        let mut acked_at: Option<BootTime> = None;
        let mut stopping = pin!(stop.asked());
        link.send(self.machine.begin(now())).await?;
        loop {
            self.send_due(&mut link).await?;
            let before = now().boot;
            let heard = tokio::select! {
                message = link.next() => Some(self.machine.receive(&message?, now().boot)?),
                () = tokio::time::sleep(self.machine.next(before).since(before)) => None,
                () = &mut stopping => {
                    link.close(AgentMessage::Bye(ByeReason::Stop), FAREWELL).await;
                    return Ok(());
                }
            };
            self.standing.durable.store(self.machine.durable(), Relaxed);
            self.standing.forgotten.store(self.machine.forgotten(), Relaxed);
            let now = now().boot;
            match heard {
                None => self.machine.check(now)?,
                Some(Heard::Question) => {}
                Some(Heard::Welcome) => {
                    *was_live = true;
                    self.counters.live(lost_at.map(|at| now.since(at)));
                    self.live.send_modify(|live| *live += 1);
                    alive = Some(Alive { live: self.live.clone() });
                }
                Some(Heard::Ack) => {
                    self.counters.ack(acked_at.replace(now).map(|at| now.since(at)));
                    self.standing.acknowledged.store(self.machine.received(), Relaxed);
                }
                Some(Heard::Drain) => {
                    drop(alive.take());
                    link.close(AgentMessage::Bye(ByeReason::Drain), FAREWELL).await;
                    return Err(Ended::Drained);
                }
            }
        }
    }

    async fn send_due(&mut self, link: &mut Link) -> Result<(), Ended> {
        while let Some(message) = self.machine.due(now().boot)? {
            let is_frame = matches!(message, AgentMessage::Frame(_));
            link.send(message).await?;
            if is_frame {
                self.counters.frame(self.machine.series());
                self.standing.sent.store(self.machine.newest_sent(), Relaxed);
                self.standing.overflowed.store(self.machine.overflowed(), Relaxed);
            }
        }
        Ok(())
    }
}

fn now() -> Now {
    SystemClock.now()
}
