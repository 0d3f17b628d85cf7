//! What a process uses, as the kernel counts it. Any process, ours or a peer's, is measured by the same lines.

use anyhow::Context;
use std::time::Duration;

/// Processor time since its start: its own, in user and in kernel mode.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = read(pid, "stat")?;
    // The name of the program may hold blanks and brackets; it ends at the last bracket.
    let (_, fields) = stat.rsplit_once(") ").context("the kernel's stat has no name")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second())?)
}

/// Resident memory, in bytes.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let statm = read(pid, "statm")?;
    let pages: u64 = statm.split(' ').nth(1).context("the kernel's statm is short")?.parse()?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Its proportional share of memory (PSS), in MiB: a page that two processes share counts half.
pub fn pss_mib(pid: u32) -> anyhow::Result<f64> {
    let rollup = read(pid, "smaps_rollup")?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")).context("no `Pss` in smaps_rollup")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}

fn read(pid: u32, file: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::read_to_string(&path).with_context(|| format!("failed to read `{path}`"))
}
