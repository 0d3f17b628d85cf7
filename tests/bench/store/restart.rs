//! Memory of many live series, and how soon a store that was killed in the middle of a window answers again.

use super::child::{self, Loader, restart};
use super::rival::{Make, Rival};
use super::words::{Fleet, SECOND};
use anyhow::ensure;
use std::time::Duration;

/// The series that is asked for, of the last node.
const SLOT: usize = 7;

/// What was measured of one store.
#[derive(Clone, Copy, Debug)]
pub struct Restarted {
    /// Resident memory for each live series, that of an empty store left out.
    pub bytes_per_series: f64,
    /// From the start of the process to the right answer.
    pub took: Duration,
}

/// Ours.
pub fn ours(fleet: Fleet) -> anyhow::Result<Restarted> {
    let (node, now) = (fleet.nodes - 1, fleet.at(fleet.ticks));
    let dir = tempfile::tempdir()?;
    let loader = Loader::run(dir.path(), now, fleet.words())?;
    let loaded = loader.loaded;
    ensure!(loaded.samples == fleet.samples(), "{loaded:?}");
    loader.kill()?;
    let (answered, took) = restart(dir.path(), now, node, SLOT)?;
    let child::Answered { open_ms, open_cpu_ms, frames, .. } = answered;
    println!(
        "store: {loaded:?}; opened {frames} frames in {open_ms:.0} ms ({open_cpu_ms:.0} ms of cpu), answered after {took:.3?}"
    );
    let source = fleet.profile().source(node as u64);
    let expect: Vec<(i64, f64)> =
        (1..=fleet.ticks).map(|tick| (fleet.at(tick).0 / 1_000_000, source.value(SLOT, tick))).collect();
    ensure!(answered.samples == expect, "after a restart the answer is wrong");
    let bytes = loaded.full_bytes - loaded.empty_bytes;
    Ok(Restarted { bytes_per_series: bytes as f64 / (fleet.nodes * fleet.series) as f64, took })
}

/// That of a peer, if it is installed.
pub async fn theirs(make: Make, fleet: Fleet) -> anyhow::Result<Option<Restarted>> {
    let Some(mut rival) = Rival::start(make).await? else { return Ok(None) };
    let empty = rival.resident_bytes()?;
    let fed = rival.feed(fleet.nodes, fleet.words())?;
    let bytes = rival.resident_bytes()? - empty;
    let bytes_per_series = bytes as f64 / (fleet.nodes * fleet.series) as f64;
    let query = format!(
        "/api/v1/query?query=count_over_time(%7Binstance=%22n{}%22,slot=%22{SLOT}%22%7D%5B1h%5D)&time={}",
        fleet.nodes - 1,
        fleet.at(fleet.ticks).0 / SECOND
    );
    let took = rival.restart(&query, &format!("\"{}\"", fleet.ticks)).await?;
    println!("{make:?}: {fed:?}, {bytes_per_series:.0} B a series, answered after {took:.3?}");
    Ok(Some(Restarted { bytes_per_series, took }))
}
