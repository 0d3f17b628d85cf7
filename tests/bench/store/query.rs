//! How long queries take inside the process: the newest value of one metric of every node, and an hour of one series
//! of one of them, sealed, with everything in the page cache.

use super::ingest::OVER;
use super::keeper::{Keeper, read};
use super::words::Fleet;
use anyhow::{Context, ensure};
use quorate_aggregator::query::selector::Selector;
use quorate_aggregator::query::series::{Source, latest};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::node::{Member, MemberRole};
use quorate_common::model::time::WallTime;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::path::Path;

const CALLS: usize = 200;
/// The metric that fewest series have: 3 in 100.
const RARE: &str = "swarm_ratio";

/// Milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The middle one.
    pub p50: f64,
    /// The 99th of a hundred.
    pub p99: f64,
    /// The middle one of processor time: on a busy machine a call takes longer than it works.
    pub cpu_p50: f64,
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Times { p50, p99, cpu_p50 } = self;
        write!(
            f,
            "half of the calls took {p50:.2} ms, 99 of 100 {p99:.2} ms; half of them {cpu_p50:.2} ms of cpu"
        )
    }
}

fn times(mut call: impl FnMut(usize) -> anyhow::Result<()>) -> anyhow::Result<Times> {
    let (mut all, mut worked) = (Vec::new(), Vec::new());
    for turn in 0..CALLS {
        let (begin, cpu) = (SystemClock.now().boot, thread_ms());
        call(turn)?;
        all.push(SystemClock.now().boot.since(begin).as_secs_f64() * 1e3);
        worked.push(thread_ms() - cpu);
    }
    let place = |mut times: Vec<f64>, share: usize| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() * share / 100).copied().unwrap_or(f64::NAN)
    };
    Ok(Times { p50: place(all.clone(), 50), p99: place(all, 99), cpu_p50: place(worked, 50) })
}

/// Processor time of this thread, in milliseconds.
fn thread_ms() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// The newest value of one series of every node of a fleet.
pub async fn newest(fleet: Fleet, directory: &Path) -> anyhow::Result<Times> {
    let mut keeper = Keeper::begin(directory, fleet.from)?;
    for word in fleet.words() {
        keeper.take(&word?).await?;
    }
    let members = (0..fleet.nodes).map(member).collect::<anyhow::Result<Vec<_>>>()?;
    let now = fleet.at(fleet.ticks);
    let profile = fleet.profile();
    let specs = profile.layout.specs()?;
    // One series of each node, as of a metric like `node_load1`.
    let rare: Vec<usize> = (0..fleet.series)
        .filter(|slot| specs.get(*slot).is_some_and(|spec| &*spec.metric.name == RARE))
        .collect();
    let done = times(|turn| {
        let slot = rare.get(turn % rare.len()).copied().context("no such metric")?;
        let selector = Selector::parse(&format!("{RARE}{{slot=\"{slot}\"}}"))?;
        let source = Source { members: &members, live: &keeper.live, store: &*keeper.store, now };
        let answer = latest(source, &selector, fleet.nodes);
        ensure!(answer.series.len() == fleet.nodes, "{} nodes answer", answer.series.len());
        let wanted = profile.source(turn as u64).value(slot, fleet.ticks);
        let found = answer.series.get(turn).and_then(|found| found.samples.first());
        ensure!(found.is_some_and(|found| found.value.to_bits() == wanted.to_bits()), "node {turn} is wrong");
        Ok(())
    });
    keeper.stop();
    done
}

fn member(number: usize) -> anyhow::Result<Member> {
    Ok(Member {
        id: super::node::node_id(number),
        name: format!("n{number}").parse()?,
        cluster: "bench".into(),
        role: MemberRole::Voter,
        zone: None,
        weight: 1,
        maintenance: None,
        barred: None,
    })
}

/// All of one series, of a fleet whose ticks are sealed.
pub async fn hour(fleet: Fleet, directory: &Path) -> anyhow::Result<Times> {
    let mut keeper = Keeper::begin(directory, fleet.from)?;
    for word in fleet.words() {
        keeper.take(&word?).await?;
    }
    keeper.durable().await?;
    keeper.seal(WallTime(fleet.at(fleet.ticks).0 + OVER)).await?;
    let profile = fleet.profile();
    let done = times(|turn| {
        let (node, index) = (turn % fleet.nodes, turn * 7 % fleet.series);
        let slot = index.to_string();
        let span = (fleet.at(1), fleet.at(fleet.ticks));
        let found = read(&keeper.store, node, &|spec| spec.labels.get("slot") == Some(&slot), span);
        ensure!(found.len() as u64 == fleet.ticks, "{} samples of {}", found.len(), fleet.ticks);
        let wanted = profile.source(node as u64).value(index, fleet.ticks);
        ensure!(found.last().is_some_and(|last| last.value.to_bits() == wanted.to_bits()), "it is wrong");
        Ok(())
    });
    keeper.stop();
    done
}
