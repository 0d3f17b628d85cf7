//! The embedded store, beside Prometheus and VictoriaMetrics that are fed with the same samples by remote write in
//! the same run: what a sample and a new series cost, what they take on disk and in memory, how soon a query is
//! answered, and how soon a store that was killed answers again.
//!
//! ```text
//!   words ─┬─→ our store, in this process or in a child that is killed
//!          ├─→ remote write ─→ Prometheus
//!          └─→ remote write ─→ VictoriaMetrics
//! ```
//!
//! A peer that is not installed has no value. Everything lies in directories below the one for temporary files,
//! which has to be on a real disk.

mod child;
mod ingest;
mod keeper;
mod node;
mod query;
mod remote;
mod restart;
mod rival;
mod words;

pub use child::run as run_child;

use crate::report::Figure;
use anyhow::ensure;
use ingest::{OVER, Outcome};
use keeper::Keeper;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::time::WallTime;
use quorate_tests::swarm::mix::Mix;
use restart::Restarted;
use rival::{Fed, Make, Rival};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::path::{Path, PathBuf};
use words::{Fleet, Recorded, SECOND, Word};

const MAKES: [(Make, &str); 2] = [
    (Make::Prometheus, "Prometheus 2.42 (Debian), defaults, the same samples by remote write, same run"),
    (
        Make::VictoriaMetrics,
        "VictoriaMetrics 1.79 (Debian), defaults, the same samples by remote write, same run",
    ),
];

/// How much.
#[derive(Clone, Debug, clap::Args)]
pub struct Flags {
    /// Nodes of 500 series whose ticks are kept and sealed, in both mixes.
    #[arg(long, default_value_t = 200)]
    pub store_nodes: usize,
    /// Their ticks.
    #[arg(long, default_value_t = 600)]
    pub store_ticks: u64,
    /// Nodes of 500 series that are fed to the peers, too, to compare bytes; as many ticks.
    #[arg(long, default_value_t = 20)]
    pub store_peer_nodes: usize,
    /// Nodes of 500 series whose memory is measured and that are killed.
    #[arg(long, default_value_t = 500)]
    pub store_live_nodes: usize,
    /// Their ticks: with 240, 60 million samples, all in one window that is not over.
    #[arg(long, default_value_t = 240)]
    pub store_live_ticks: u64,
    /// The ticks of the peers that are killed: 240 take them a quarter of an hour.
    #[arg(long, default_value_t = 40)]
    pub store_killed_ticks: u64,
    /// Nodes of 500 series with an hour of ticks, for queries.
    #[arg(long, default_value_t = 100)]
    pub store_hour_nodes: usize,
    /// Without Prometheus and VictoriaMetrics.
    #[arg(long)]
    pub store_alone: bool,
    /// Only one measurement of this part.
    #[arg(long, value_enum)]
    pub store_only: Option<Only>,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Only {
    /// Samples and series a second.
    Ingest,
    /// Bytes of the hard mix.
    Bytes,
    /// Bytes of the recording.
    Recording,
    /// Memory, and the start after a kill.
    Restart,
    /// Queries.
    Query,
}

const SERIES: usize = 500;

/// Measures what is asked for.
pub async fn measure(flags: &Flags, recording: &Path) -> anyhow::Result<Vec<Figure>> {
    let _cores = Cores::all()?;
    let run = Run { flags: flags.clone(), recording: recording.to_owned(), from: begin() };
    let is_asked = |only| flags.store_only.unwrap_or(only) == only;
    let mut figures = Vec::new();
    if is_asked(Only::Ingest) {
        figures.extend(run.ingest().await?);
    }
    if is_asked(Only::Bytes) {
        figures.extend(run.bytes_of_hard_mix().await?);
    }
    if is_asked(Only::Recording) {
        figures.extend(run.bytes_of_recording().await?);
    }
    if is_asked(Only::Restart) {
        figures.extend(run.restart().await?);
    }
    if is_asked(Only::Query) {
        figures.extend(run.queries().await?);
    }
    Ok(figures)
}

/// All cores, as long as this lives: a store has threads, and peers have more of them.
struct Cores(CpuSet);

impl Cores {
    fn all() -> anyhow::Result<Cores> {
        let before = sched_getaffinity(None)?;
        let mut all = CpuSet::new();
        (0..CpuSet::MAX_CPU).for_each(|core| all.set(core));
        // The kernel leaves out what is not there.
        sched_setaffinity(None, &all)?;
        Ok(Cores(before))
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        sched_setaffinity(None, &self.0).ok();
    }
}

/// The beginning of a window of every class, some hours ago: peers take it, and have nothing to wait for.
fn begin() -> WallTime {
    let two_hours = 7_200 * SECOND;
    WallTime((SystemClock.now().wall.0 / two_hours - 2) * two_hours)
}

struct Run {
    flags: Flags,
    recording: PathBuf,
    from: WallTime,
}

/// Name, unit, value, goal, and the peer with its value.
type Row = (&'static str, &'static str, f64, Option<f64>, Option<(&'static str, f64)>);

impl Run {
    fn fleet(&self, mix: Mix, nodes: usize, ticks: u64) -> Fleet {
        Fleet { mix, nodes, series: SERIES, ticks, from: self.from }
    }

    /// The peers that are fed.
    fn makes(&self) -> Vec<(Make, &'static str)> {
        if self.flags.store_alone { Vec::new() } else { MAKES.into() }
    }

    fn figures(&self, only: Only, rows: Vec<Row>) -> Vec<Figure> {
        let Flags { store_nodes, store_ticks, store_peer_nodes, store_live_nodes, store_live_ticks, .. } =
            self.flags;
        let store_killed_ticks = self.flags.store_killed_ticks;
        let hour = self.flags.store_hour_nodes;
        let only = clap::ValueEnum::to_possible_value(&only).map(|only| only.get_name().to_owned());
        let command = format!(
            "make bench BENCH='--part store --store-only {} --store-nodes {store_nodes} --store-ticks {store_ticks} \
             --store-peer-nodes {store_peer_nodes} --store-live-nodes {store_live_nodes} \
             --store-live-ticks {store_live_ticks} --store-killed-ticks {store_killed_ticks} \
             --store-hour-nodes {hour}'",
            only.unwrap_or_default()
        );
        let figure = |(name, unit, value, goal, peer): Row| {
            let (peer, peer_value) = peer.unzip();
            Figure { name, value, unit, goal, peer, peer_value, command: command.clone() }
        };
        rows.into_iter().map(figure).collect()
    }

    async fn ingest(&self) -> anyhow::Result<Vec<Figure>> {
        let mut rows = Vec::new();
        let peers = self.fed_peers().await?;
        let peer = |value: fn(&Fed) -> f64| {
            let of = |(make, about): &(Make, &'static str)| {
                peers.iter().find(|(other, _)| other == make).map(|(_, fed)| (*about, value(fed)))
            };
            MAKES.iter().filter_map(of).max_by(|a, b| a.1.total_cmp(&b.1))
        };
        let names = [
            (
                Mix::Quiet,
                "ingest.durable_samples_per_s_core_quiet",
                "ingest.sealed_samples_per_s_core_quiet",
                10e6,
            ),
            (Mix::Hard, "ingest.durable_samples_per_s_core", "ingest.sealed_samples_per_s_core", 4e6),
        ];
        for (mix, durable, sealed, goal) in names {
            let dir = tempfile::tempdir()?;
            let fleet = self.fleet(mix, self.flags.store_nodes, self.flags.store_ticks);
            let outcome = ingest::measure(fleet, dir.path()).await?;
            println!("store, {mix:?}: {}", told(&outcome));
            let samples = peer(|fed| (fed.samples - fed.new) as f64 / fed.rest.as_secs_f64());
            rows.push((durable, "samples/s/core", outcome.samples_per_s_core(), Some(goal), samples));
            rows.push((sealed, "samples/s/core", outcome.sealed_samples_per_s_core(), None, samples));
            if mix == Mix::Hard {
                let series = peer(|fed| fed.new as f64 / fed.first.as_secs_f64());
                let value = outcome.new_series_per_s_core();
                rows.push(("ingest.new_series_per_s_core", "series/s/core", value, Some(200e3), series));
            }
        }
        Ok(self.figures(Only::Ingest, rows))
    }

    /// What a sample and a series cost the peers, hard mix.
    async fn fed_peers(&self) -> anyhow::Result<Vec<(Make, Fed)>> {
        let mut fed = Vec::new();
        for (make, _) in self.makes() {
            let Some(rival) = Rival::start(make).await? else { continue };
            let fleet = self.fleet(Mix::Hard, self.flags.store_nodes, 20);
            let one = rival.feed(fleet.nodes, fleet.words())?;
            println!("{make:?}: {one:?}");
            fed.push((make, one));
        }
        Ok(fed)
    }

    async fn bytes_of_hard_mix(&self) -> anyhow::Result<Vec<Figure>> {
        let fleet = self.fleet(Mix::Hard, self.flags.store_peer_nodes, self.flags.store_ticks);
        let names = [
            "store.bytes_per_sample_hard",
            "store.ratio_victoriametrics_hard",
            "store.ratio_prometheus_hard",
        ];
        let end = fleet.at(fleet.ticks);
        let rows = self.bytes(names, end, fleet.nodes, || Ok(fleet.words())).await?;
        Ok(self.figures(Only::Bytes, rows))
    }

    async fn bytes_of_recording(&self) -> anyhow::Result<Vec<Figure>> {
        let names = ["store.bytes_per_sample", "store.ratio_victoriametrics", "store.ratio_prometheus"];
        let words = || Recorded::open(&self.recording, self.from);
        let end = WallTime(self.from.0 + 7_200 * SECOND);
        let rows = self.bytes(names, end, 1, words).await?;
        Ok(self.figures(Only::Recording, rows))
    }

    /// Bytes a sample, ours and theirs, of the same words.
    async fn bytes<I: Iterator<Item = anyhow::Result<Word>>>(
        &self,
        [name, victoria, prometheus]: [&'static str; 3],
        end: WallTime,
        nodes: usize,
        words: impl Fn() -> anyhow::Result<I>,
    ) -> anyhow::Result<Vec<Row>> {
        let dir = tempfile::tempdir()?;
        let mut keeper = Keeper::begin(dir.path(), self.from)?;
        for word in words()? {
            keeper.take(&word?).await?;
        }
        keeper.durable().await?;
        keeper.seal(WallTime(end.0 + OVER)).await?;
        let samples = keeper.samples();
        let ours = keeper.bytes()? as f64 / samples as f64;
        let (constant, series) = keeper.constant();
        println!("{name}: {ours:.4} B of {samples} samples, {constant} of {series} series are constant");
        keeper.stop();
        let percent = constant as f64 * 100.0 / series as f64;
        let mut rows: Vec<Row> = vec![(name, "B", ours, None, None)];
        rows.push(("store.constant_series_percent", "%", percent, None, None));
        for ((make, about), (ratio, goal)) in
            self.makes().into_iter().zip([(prometheus, 0.25), (victoria, 0.9)])
        {
            let Some(rival) = Rival::start(make).await? else { continue };
            let fed = rival.feed(nodes, words()?)?;
            ensure!(fed.samples == samples, "{make:?} was sent {} samples, we took {samples}", fed.samples);
            let theirs = rival.settled_bytes().await? as f64 / samples as f64;
            println!("{name}: {make:?} {theirs:.4} B");
            rows.push((ratio, "ours / theirs", ours / theirs, Some(goal), Some((about, 1.0))));
        }
        Ok(rows)
    }

    async fn restart(&self) -> anyhow::Result<Vec<Figure>> {
        let Flags { store_live_nodes: nodes, store_live_ticks, store_killed_ticks, .. } = self.flags;
        // As many as the peers have, for the memory; more of them for the start.
        let (fleet, full) = (
            self.fleet(Mix::Hard, nodes, store_killed_ticks),
            self.fleet(Mix::Hard, nodes, store_live_ticks),
        );
        let (ours, ours_full) = (restart::ours(fleet)?, restart::ours(full)?);
        let mut theirs = Vec::new();
        for (make, about) in self.makes() {
            theirs.extend(restart::theirs(make, fleet).await?.map(|one| (make, about, one)));
        }
        let least = |value: fn(&Restarted) -> f64| {
            let all = theirs.iter().map(|(_, about, one)| (*about, value(one)));
            all.min_by(|a, b| a.1.total_cmp(&b.1))
        };
        let memory = |one: &Restarted| one.bytes_per_series;
        let seconds = |one: &Restarted| one.took.as_secs_f64();
        let mut rows: Vec<Row> = vec![
            ("store.memory_bytes_per_series", "B", memory(&ours), Some(380.0), least(memory)),
            ("store.memory_bytes_per_series_full", "B", memory(&ours_full), None, None),
            ("store.restart_s", "s", seconds(&ours_full), Some(0.5), least(seconds)),
        ];
        if let Some((_, about, one)) = theirs.iter().find(|(make, ..)| *make == Make::Prometheus) {
            let ratio = seconds(&ours) / seconds(one);
            rows.push((
                "store.restart_ratio_prometheus",
                "ours / theirs",
                ratio,
                Some(0.1),
                Some((about, 1.0)),
            ));
        }
        Ok(self.figures(Only::Restart, rows))
    }

    async fn queries(&self) -> anyhow::Result<Vec<Figure>> {
        let dir = tempfile::tempdir()?;
        let newest = query::newest(self.fleet(Mix::Hard, 1_000, 3), dir.path()).await?;
        println!("latest of 1000 nodes: {newest}");
        let dir = tempfile::tempdir()?;
        let hour =
            query::hour(self.fleet(Mix::Quiet, self.flags.store_hour_nodes, 3_600), dir.path()).await?;
        println!("an hour of one series: {hour}");
        let rows = vec![
            ("query.latest_1000_nodes_p99_ms", "ms", newest.p99, Some(5.0), None),
            ("query.hour_of_one_series_p99_ms", "ms", hour.p99, Some(1.0), None),
        ];
        Ok(self.figures(Only::Query, rows))
    }
}

fn told(outcome: &Outcome) -> String {
    let Outcome { series, samples, begin, keep, seal, logged_bytes, sealed_bytes } = outcome;
    format!(
        "{series} new series in {begin:.2?}, {samples} more samples durable in {keep:.2?} ({:.1} ns each) and sealed \
         in {seal:.2?} ({:.1} ns each) of cpu; {} MiB before and {} MiB after, {:.3} B a sample; read back",
        keep.as_secs_f64() * 1e9 / *samples as f64,
        seal.as_secs_f64() * 1e9 / *samples as f64,
        logged_bytes >> 20,
        sealed_bytes >> 20,
        outcome.bytes_per_sample(),
    )
}
