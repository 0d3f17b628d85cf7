//! How long tasks waited for processors, storage and memory: `/proc/pressure`.
//!
//! A kernel without it, or with it switched off, has no such series; that is said once.

use super::error::SampleError;
use super::scalar::{Fields, Parse, Scalars};
use super::text::{Lines, cell};
use quorate_common::catalog::{self, MetricDef};
use std::path::Path;

/// Reads the files below `root`, every `interval_ms`.
pub(super) fn new(root: &Path, interval_ms: u32) -> Scalars {
    let files: &[(&str, Parse)] = &[
        ("proc/pressure/cpu", |lines, fields| {
            // The kernel says `full` of processors only to look alike; it means nothing for a whole host.
            parse(lines, fields, &[(b"some", &catalog::PRESSURE_CPU_WAITING)])
        }),
        ("proc/pressure/io", |lines, fields| {
            let [some, full] = [&catalog::PRESSURE_IO_WAITING, &catalog::PRESSURE_IO_STALLED];
            parse(lines, fields, &[(b"some", some), (b"full", full)])
        }),
        ("proc/pressure/memory", |lines, fields| {
            let [some, full] = [&catalog::PRESSURE_MEMORY_WAITING, &catalog::PRESSURE_MEMORY_STALLED];
            parse(lines, fields, &[(b"some", some), (b"full", full)])
        }),
        ("proc/pressure/irq", |lines, fields| {
            parse(lines, fields, &[(b"full", &catalog::PRESSURE_IRQ_STALLED)])
        }),
    ];
    Scalars::new("pressure", root, interval_ms, files)
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=5`, in microseconds.
fn parse(
    lines: Lines<'_>,
    fields: &mut Fields<'_>,
    wanted: &[(&[u8; 4], &'static MetricDef)],
) -> Result<(), SampleError> {
    for mut line in lines {
        let kind = line.word().ok_or_else(|| line.error("no name"))?;
        let Some((_, def)) = wanted.iter().find(|(name, _)| kind == *name) else { continue };
        loop {
            match line.until(b'=') {
                Some(name) if name.ends_with(b"total") => break,
                Some(_) => {}
                None => return Err(line.error("`total` is missing")),
            }
        }
        fields.set(def, cell(line.number("total")?))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::scalar::say;
    use super::*;

    #[test]
    fn totals_in_seconds() {
        let line = |kind: &str, total: &str| format!("{kind} avg10=0.00 avg60=1.50 avg300=0.00 {total}\n");
        let io = line("some", "total=1500000") + &line("full", "total=1");
        let cpu = line("some", "total=7") + &line("full", "total=9");
        let files = [("proc/pressure/io", &*io), ("proc/pressure/cpu", &cpu)];
        let expect = "node_pressure_cpu_waiting_seconds_total 0.000007\n\
            node_pressure_io_stalled_seconds_total 0.000001\nnode_pressure_io_waiting_seconds_total 1.5\n";
        assert_eq!(say(new, &files), expect);
        assert_eq!(say(new, &[]), "");
        let garbage = |total: &str| say(new, &[("proc/pressure/io", &line("some", total))]);
        assert_eq!(garbage("sum=1"), "failed to parse `/proc/pressure/io` line 1: `total` is missing");
        let error = "failed to parse `/proc/pressure/io` line 1: `total` is `-1`, expected a whole number";
        assert_eq!(garbage("total=-1"), error);
    }
}
