//! Carries the bytes of one direction of one connection through its [`Line`].

use super::line::{Flow, Line, Way};
use super::{Side, Weather};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::time::BootTime;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;

/// What one segment holds at most on a usual link.
const SEGMENT: usize = 1448;
/// Bytes that may be under way; then the sender is not read any more.
const UNDER_WAY_MAX: usize = 256 * 1024;

/// A side is gone: the other one must be told.
#[derive(Debug)]
pub(super) struct Broken;

/// One direction of one connection.
pub(super) struct Pump<'a> {
    pub from: ReadHalf<'a>,
    pub to: WriteHalf<'a>,
    pub side: Side,
    pub weather: watch::Receiver<Weather>,
    pub line: Line,
    /// Bytes that arrived, of all connections.
    pub carried: Arc<AtomicU64>,
}

/// What the sender's side still says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Open,
    /// It has said all.
    Ended,
    /// It is gone.
    Gone,
}

impl Pump<'_> {
    /// Until the sender has said all and all of it arrived, or a side is gone.
    pub(super) async fn run(mut self) -> Result<(), Broken> {
        let (mut source, mut swallowed) = (Source::Open, false);
        let (mut under_way, mut bytes) = (VecDeque::<(BootTime, Vec<u8>)>::new(), 0);
        let mut buffer = vec![0; SEGMENT];
        loop {
            let way = self.way();
            swallowed |= way.flow == Flow::Swallow;
            if swallowed {
                under_way.clear();
                bytes = 0;
            }
            let passes = way.flow == Flow::Pass && !swallowed;
            if passes && under_way.is_empty() && source != Source::Open {
                return self.finish(source).await;
            }
            let now = now();
            let wait = under_way.front().map(|(due, _)| due.since(now)).unwrap_or_default();
            tokio::select! {
                changed = self.weather.changed() => changed.map_err(|_| Broken)?,
                read = self.from.read(&mut buffer), if source == Source::Open && bytes < UNDER_WAY_MAX => {
                    match read {
                        Ok(0) => source = Source::Ended,
                        Err(_) => source = Source::Gone,
                        Ok(length) => {
                            bytes += length;
                            let segment = buffer[..length].to_vec();
                            under_way.extend(self.line.carry(&way, segment, self::now()));
                        }
                    }
                }
                () = tokio::time::sleep(wait), if passes && !under_way.is_empty() => {
                    if let Some((_, piece)) = under_way.pop_front() {
                        bytes -= piece.len();
                        self.write(&piece).await?;
                    }
                }
            }
        }
    }

    async fn write(&mut self, piece: &[u8]) -> Result<(), Broken> {
        let written = self.to.write_all(piece).await;
        // Whoever is told nothing cannot know that the other is gone.
        if written.is_err() && self.weather.borrow().of(self.side.other()).flow == Flow::Pass {
            return Err(Broken);
        }
        self.carried.fetch_add(piece.len() as u64, Relaxed);
        Ok(())
    }

    async fn finish(&mut self, source: Source) -> Result<(), Broken> {
        if source == Source::Gone {
            return Err(Broken);
        }
        self.to.shutdown().await.map_err(|_| Broken)
    }

    fn way(&mut self) -> Way {
        *self.weather.borrow_and_update().of(self.side)
    }
}

fn now() -> BootTime {
    SystemClock.now().boot
}
