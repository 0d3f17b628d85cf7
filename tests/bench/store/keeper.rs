//! A store on a real disk with its two threads, as the aggregator has it, on a clock that stands where it is put:
//! windows are over when the measurement says so.

use super::node::{Node, node_id};
use super::words::Word;
use anyhow::{Context, ensure};
use quorate_aggregator::store::embedded::{Config, Dice, Embedded, Report, ReserveState, Running};
use quorate_aggregator::store::live::Live;
use quorate_aggregator::store::{Append, Sample, Select};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::series::SeriesSpec;
use quorate_common::model::session::AgentMessage;
use quorate_common::model::time::{Now, WallTime};
use quorate_common::rng::SystemRng;
use rustix::time::{ClockId, clock_gettime};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Bytes of frames that may wait for the disk: no session has more under way, and the store takes no more.
const UNDER_WAY_BYTES_MAX: usize = 8 << 20;
const DURABLE_MAX: Duration = Duration::from_secs(60);
const SEALED_MAX: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A wall clock that stands.
#[derive(Debug, Default)]
pub struct Standing(AtomicI64);

impl Standing {
    /// One that stands at `wall`.
    pub fn at(wall: WallTime) -> Standing {
        Standing(AtomicI64::new(wall.0))
    }

    /// Puts it to `wall`.
    pub fn put(&self, wall: WallTime) {
        self.0.store(wall.0, Ordering::Relaxed);
    }
}

impl Clock for Standing {
    fn now(&self) -> Now {
        Now { boot: SystemClock.now().boot, wall: WallTime(self.0.load(Ordering::Relaxed)) }
    }
}

/// See the module.
pub struct Keeper {
    /// The newest values.
    pub live: Live,
    /// The store.
    pub store: Arc<Embedded>,
    nodes: Vec<Node>,
    directory: PathBuf,
    clock: Arc<Standing>,
    running: Running,
    under_way: usize,
    failed: u64,
}

/// Opens what lies in a directory, on a clock that stands at `wall`.
pub fn open(directory: &Path, clock: Arc<Standing>) -> anyhow::Result<(Embedded, Report)> {
    let dice: Dice = [Box::new(SystemRng), Box::new(SystemRng)];
    Ok(Embedded::open(directory, Config::default(), clock, dice)?)
}

impl Keeper {
    /// A store in an empty directory.
    pub fn begin(directory: &Path, wall: WallTime) -> anyhow::Result<Keeper> {
        let clock = Arc::new(Standing::at(wall));
        let store = Arc::new(open(directory, clock.clone())?.0);
        let running = Running::begin(store.clone())?;
        let (live, nodes, directory) = (Live::default(), Vec::new(), directory.to_owned());
        Ok(Keeper { live, store, nodes, directory, clock, running, under_way: 0, failed: 0 })
    }

    /// Takes what a node says, and waits for the disk when much is under way.
    pub async fn take(&mut self, (number, message): &Word) -> anyhow::Result<()> {
        while self.nodes.len() <= *number {
            self.nodes.push(Node::begin(self.nodes.len(), &self.live, &self.store)?);
        }
        let node = self.nodes.get_mut(*number).context("no such node")?;
        node.take(message, &self.store)?;
        self.under_way += size(message);
        if self.under_way > UNDER_WAY_BYTES_MAX {
            self.durable().await?;
        }
        Ok(())
    }

    /// Waits until everything that was taken is durable.
    pub async fn durable(&mut self) -> anyhow::Result<()> {
        self.under_way = 0;
        let mut commits = self.store.commits();
        let is_durable = |node: &Node| self.store.durable(node.id, node.epoch).watermark() >= node.received;
        let all = async {
            while !self.nodes.iter().rev().all(is_durable) {
                commits.changed().await?;
            }
            anyhow::Ok(commits.borrow().failed)
        };
        let failed = tokio::time::timeout(DURABLE_MAX, all).await.context("the disk takes too long")??;
        ensure!(failed == self.failed, "a commit failed");
        Ok(())
    }

    /// Puts the clock to `wall`, and waits until every window that is over then is sealed.
    pub async fn seal(&mut self, wall: WallTime) -> anyhow::Result<()> {
        self.clock.put(wall);
        let all = async {
            let mut look = tokio::time::interval(LOOK_EVERY);
            while any_log(&self.directory)? {
                look.tick().await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(SEALED_MAX, all).await.context("sealing takes too long")?
    }

    /// Samples that were taken.
    pub fn samples(&self) -> u64 {
        self.nodes.iter().map(|node| node.samples).sum()
    }

    /// How many series never change, and how many there are.
    pub fn constant(&self) -> (usize, usize) {
        let (mut constant, mut all) = (0, 0);
        for node in &self.nodes {
            let ids: Vec<_> = self.store.find(node.id, &|_| true).into_iter().map(|(id, _)| id).collect();
            for list in self.store.samples(node.id, &ids, WallTime(0), WallTime(i64::MAX)) {
                let mut values = list.iter().map(|sample| sample.value.to_bits());
                let first = values.next();
                all += usize::from(first.is_some());
                constant += usize::from(first.is_some() && values.all(|value| Some(value) == first));
            }
        }
        (constant, all)
    }

    /// Everything on the disk but the room that is given back when it is full.
    pub fn bytes(&self) -> anyhow::Result<u64> {
        let is_held = self.store.reserve() == Some(ReserveState::Held);
        let reserve = if is_held { Config::default().reserve.bytes() } else { 0 };
        Ok(bytes_of(&self.directory)? - reserve)
    }

    /// All samples of one series of a node.
    pub fn series(&self, number: usize, matches: &dyn Fn(&SeriesSpec) -> bool) -> Vec<Sample> {
        read(&self.store, number, matches, (WallTime(0), WallTime(i64::MAX)))
    }

    /// Ends the threads.
    pub fn stop(self) {
        self.running.stop();
    }
}

/// The samples of the first series of a node that matches.
pub fn read(
    store: &Embedded,
    number: usize,
    matches: &dyn Fn(&SeriesSpec) -> bool,
    (from, to): (WallTime, WallTime),
) -> Vec<Sample> {
    let node = node_id(number);
    let found: Vec<_> = store.find(node, matches).into_iter().map(|(id, _)| id).take(1).collect();
    store.samples(node, &found, from, to).into_iter().next().unwrap_or_default()
}

/// About what a message takes until it is on the disk.
fn size(message: &AgentMessage) -> usize {
    match message {
        AgentMessage::Frame(frame) => frame.cells.len() + frame.groups.len() + 64,
        AgentMessage::Register(register) => {
            register.groups.iter().map(|group| group.series.len() * 128).sum::<usize>()
        }
        _ => 0,
    }
}

fn any_log(directory: &Path) -> anyhow::Result<bool> {
    for entry in std::fs::read_dir(directory)? {
        if entry?.file_name().to_string_lossy().starts_with("log-") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The bytes of all files below a directory, as `du --apparent-size` counts them.
pub fn bytes_of(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { bytes_of(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}

/// Processor time of this process.
pub fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}
