//! Samples and series a second of one core until they are durable: decoded, shown as newest, kept, logged, synced.
//! Transport is not in it: gRPC and TLS are in `ingest.live_samples_per_s_core`.
//!
//! ```text
//!   register, first frame ─→ durable │ frames of all ticks ─→ durable │ clock moves on ─→ sealed
//!        new series a second                samples a second                  what sealing costs
//! ```

use super::keeper::{Keeper, cpu};
use super::words::{Fleet, Word};
use anyhow::ensure;
use quorate_common::model::session::AgentMessage;
use quorate_common::model::time::WallTime;
use std::path::Path;
use std::time::Duration;

/// Windows of the shortest class are over after this, with their grace.
pub const OVER: i64 = 2 * 7_200 * super::words::SECOND;
/// Nodes whose series are read back, at most, and series of each.
const COMPARED: usize = 8;

/// What a run showed.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Series that began.
    pub series: u64,
    /// Samples behind the first of each series.
    pub samples: u64,
    /// Processor time until all series and their first samples were durable.
    pub begin: Duration,
    /// Processor time until all other samples were durable.
    pub keep: Duration,
    /// Processor time until they were sealed.
    pub seal: Duration,
    /// Bytes of logs and dictionary before they were sealed.
    pub logged_bytes: u64,
    /// Everything on the disk afterwards.
    pub sealed_bytes: u64,
}

impl Outcome {
    /// New series a second of one core.
    pub fn new_series_per_s_core(&self) -> f64 {
        self.series as f64 / self.begin.as_secs_f64()
    }

    /// Samples a second of one core, until they are durable.
    pub fn samples_per_s_core(&self) -> f64 {
        self.samples as f64 / self.keep.as_secs_f64()
    }

    /// Samples a second of one core, sealing included.
    pub fn sealed_samples_per_s_core(&self) -> f64 {
        self.samples as f64 / (self.keep + self.seal).as_secs_f64()
    }

    /// Bytes a sample, everything on the disk.
    pub fn bytes_per_sample(&self) -> f64 {
        self.sealed_bytes as f64 / (self.samples + self.series) as f64
    }
}

/// Runs a fleet into a store in an empty directory.
pub async fn measure(fleet: Fleet, directory: &Path) -> anyhow::Result<Outcome> {
    // Encoded before, so that the agents' work is not counted as ours.
    let words: Vec<Word> = fleet.words().collect::<anyhow::Result<_>>()?;
    let is_first = |(_, message): &Word| match message {
        AgentMessage::Frame(frame) => frame.seq == 1,
        _ => true,
    };
    let (first, rest) = words.split_at(words.partition_point(is_first));
    let mut keeper = Keeper::begin(directory, fleet.from)?;
    let begin = take(&mut keeper, first).await?;
    let keep = take(&mut keeper, rest).await?;
    ensure!(keeper.samples() == fleet.samples(), "{} samples arrived", keeper.samples());
    let logged_bytes = keeper.bytes()?;
    compare(&keeper, &fleet)?;
    let before = cpu();
    keeper.seal(WallTime(fleet.at(fleet.ticks).0 + OVER)).await?;
    let seal = cpu() - before;
    compare(&keeper, &fleet)?;
    let sealed_bytes = keeper.bytes()?;
    keeper.stop();
    let series = (fleet.nodes * fleet.series) as u64;
    let samples = fleet.samples() - series;
    Ok(Outcome { series, samples, begin, keep, seal, logged_bytes, sealed_bytes })
}

async fn take(keeper: &mut Keeper, words: &[Word]) -> anyhow::Result<Duration> {
    let before = cpu();
    for word in words {
        keeper.take(word).await?;
    }
    keeper.durable().await?;
    Ok(cpu() - before)
}

/// Some series of some nodes are read back, all of their samples.
fn compare(keeper: &Keeper, fleet: &Fleet) -> anyhow::Result<()> {
    let profile = fleet.profile();
    for node in (0..fleet.nodes).step_by(fleet.nodes.div_ceil(COMPARED)) {
        let source = profile.source(node as u64);
        for index in (0..fleet.series).step_by(fleet.series.div_ceil(COMPARED)) {
            let slot = index.to_string();
            let found = keeper.series(node, &|spec| spec.labels.get("slot") == Some(&slot));
            ensure!(found.len() as u64 == fleet.ticks, "node {node}, slot {slot}: {} ticks", found.len());
            for (tick, sample) in (1..).zip(found) {
                let (at, value) = (fleet.at(tick), source.value(index, tick));
                ensure!(sample.at == at, "node {node}, slot {slot}, tick {tick}: at {}", sample.at);
                ensure!(sample.value.to_bits() == value.to_bits(), "node {node}, slot {slot}, tick {tick}");
            }
        }
    }
    Ok(())
}
