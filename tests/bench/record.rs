//! Records the real agent of this host: the relay of [`crate::wire`] reads its session along, and what it has read
//! becomes a [`quorate_tests::recording`].
//!
//! ```text
//!   agent ──mTLS──→ relay ──mTLS──→ aggregator
//!                     └─ told ──→ book ─ticks─→ file
//! ```
//!
//! Default configuration, no budget, all collectors. Frames of one moment are one tick. A session that breaks ends
//! the recording with an error; what was recorded before can be read. What would say whose host it is does not get
//! into the file: see [`anonymous`].

use crate::agent::{NODE, Plan};
use crate::server::Server;
use crate::wire::{Tally, relay};
use anyhow::{Context, bail, ensure};
use quorate_agent::encode::{GroupInfo, NewSeries};
use quorate_common::model::label::Labels;
use quorate_common::model::session::{Frame, Register};
use quorate_common::model::time::{BootTime, Now, WallTime};
use quorate_common::shutdown::Shutdown;
use quorate_proto::connect::{Options, channel};
use quorate_tests::recording::{Tick, Writer};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;

/// What was read along and is not yet in the file.
const TOLD_MAX: usize = 1000;
/// An agent that says nothing for this long is lost.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Labels that tell one machine from all others, and what they say instead.
const PRIVATE: &[(&str, &str)] = &[
    ("address", "02:00:00:00:00:01"),
    ("domainname", "(none)"),
    ("asset_tag", "none"),
    ("board_asset_tag", "none"),
    ("board_serial", "none"),
    ("chassis_asset_tag", "none"),
    ("chassis_serial", "none"),
    ("product_serial", "none"),
    ("product_uuid", "none"),
];

/// One thing that was read along.
#[derive(Debug)]
pub enum Told {
    /// Series that begin or end.
    Register(Register),
    /// One frame, its cells decoded.
    Frame {
        /// When it was sampled.
        at: Now,
        /// How long until the next.
        next_due_ms: u32,
        /// Groups that were sampled, ascending.
        sampled: Vec<u32>,
        /// Session indices and cells that it mentions, ascending.
        cells: Vec<(u32, i64)>,
    },
}

impl Told {
    /// A frame with what it was decoded to.
    pub fn frame(frame: &Frame, sampled: &[u32], cells: &[(u32, i64)]) -> Told {
        Told::Frame {
            at: Now { boot: BootTime(frame.boot_ns), wall: WallTime(frame.wall_ns) },
            next_due_ms: frame.next_due_ms,
            sampled: sampled.to_vec(),
            cells: cells.to_vec(),
        }
    }
}

/// What to record.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// This many ticks.
    pub ticks: u32,
    /// Into this file.
    pub into: PathBuf,
    /// Values of labels that are called otherwise, and how.
    pub renamed: Vec<(String, String)>,
}

/// Records. Gives how many series there were.
pub async fn record(plan: &Plan, wanted: Wanted) -> anyhow::Result<usize> {
    let Wanted { ticks, into, mut renamed } = wanted;
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    renamed.push((hostname, "host".to_owned()));
    let server = Server::start(&plan.aggregator, None).await?;
    let tls = server.enrol(NODE).await?;
    let target = channel(&server.grpc, tls, Options::AGENT).await?;
    let shutdown = Shutdown::new();
    let (tell, mut told) = mpsc::channel(TOLD_MAX);
    let (address, tally) = relay(&server, target, &shutdown, Some(tell)).await?;
    let mut book = Book::create(&into, renamed)?;
    let agent = server.start_agent(NODE, &plan.agent, &address)?;
    let followed = async {
        while book.writer.ticks() < ticks {
            let next = tokio::time::timeout(SILENCE_MAX, told.recv()).await;
            book.take(next.context("the agent is silent")?.context("the relay ended")?)?;
        }
        Ok(())
    };
    let ended: anyhow::Result<()> = followed.await;
    let tally = tally.borrow().clone();
    agent.release().await;
    shutdown.ask();
    let (recorded, series) = (book.writer.ticks(), book.cells.len());
    book.writer.finish()?;
    ended.with_context(|| format!("{recorded} ticks were recorded, {tally:?}"))?;
    let Tally { sessions, broken, .. } = &tally;
    ensure!((*sessions, broken) == (1, &None), "the session broke: {tally:?}");
    server.stop().await?;
    Ok(series)
}

/// Puts together what belongs to one tick.
struct Book {
    writer: Writer,
    renamed: Vec<(String, String)>,
    groups: u32,
    /// The newest cell of every session index: these are the slots of the recording.
    cells: Vec<i64>,
    open: Tick,
}

impl Book {
    fn create(path: &Path, renamed: Vec<(String, String)>) -> anyhow::Result<Book> {
        let (writer, open) = (Writer::create(path)?, Tick::default());
        Ok(Book { writer, renamed, groups: 0, cells: Vec::new(), open })
    }

    fn take(&mut self, told: Told) -> anyhow::Result<()> {
        match told {
            Told::Register(register) => {
                self.flush()?;
                self.register(register)
            }
            Told::Frame { at, next_due_ms, sampled, cells } => {
                if at != self.open.at {
                    self.flush()?;
                }
                (self.open.at, self.open.next_due_ms) = (at, next_due_ms);
                self.open.sampled.extend(sampled);
                for (slot, cell) in cells {
                    let known = self.cells.get_mut(slot as usize);
                    let old = known.with_context(|| format!("index {slot} is not registered"))?;
                    if *old != cell {
                        *old = cell;
                        self.open.changed.push((slot, cell));
                    }
                }
                Ok(())
            }
        }
    }

    /// Ends the open tick, if it has begun: registrations come before the first frame of theirs.
    fn flush(&mut self) -> anyhow::Result<()> {
        if self.open.at == Now::default() {
            return Ok(());
        }
        let mut tick = std::mem::take(&mut self.open);
        tick.retired.sort_unstable();
        tick.sampled.sort_unstable();
        tick.changed.sort_unstable();
        self.writer.push(&tick)
    }

    fn register(&mut self, register: Register) -> anyhow::Result<()> {
        self.open.retired.extend(register.retire);
        for group in register.groups {
            if group.group == self.groups {
                let (interval_ms, class) = (group.interval_ms, group.class);
                let collector = group.collector.clone();
                self.open.groups.push(GroupInfo { group: group.group, collector, interval_ms, class });
                self.groups += 1;
            }
            for (slot, mut spec) in (group.first_index..).zip(group.series) {
                if slot as usize != self.cells.len() {
                    bail!("index {slot} was registered after {}", self.cells.len());
                }
                spec.labels = anonymous(&spec.labels, &self.renamed)?;
                self.cells.push(0);
                self.open.registered.push(NewSeries { group: group.group, slot, spec });
            }
        }
        Ok(())
    }
}

/// The labels without what tells this host from others: addresses and serial numbers are gone, and what has to be
/// called otherwise is. Only whole values are: as a part, the name of a host could be of any word.
pub fn anonymous(labels: &Labels, renamed: &[(String, String)]) -> anyhow::Result<Labels> {
    let quiet = |(name, value): (&str, &str)| {
        let private = PRIVATE.iter().find(|(private, _)| *private == name);
        let value = private.map_or(value, |(_, instead)| instead);
        let value = renamed.iter().find(|(from, _)| from == value).map_or(value, |(_, to)| to);
        (name.to_owned(), value.to_owned())
    };
    Ok(Labels::new(labels.iter().map(quiet))?)
}
