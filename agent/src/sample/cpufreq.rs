//! Frequencies of processors: `/sys/devices/system/cpu/cpu*/cpufreq`. Absent on most virtual machines.
//!
//! Reading a frequency may wake a sleeping processor, so it is done seldom.

use super::error::SampleError;
use super::labelled::Labelled;
use super::reader::{attribute, names};
use super::text::digits;
use super::{Sampler, Sink};
use quorate_common::catalog::{self, MetricDef};
use quorate_common::model::label::Labels;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::path::{Path, PathBuf};

/// The kernel's own limit.
const PROCESSORS_MAX: usize = 8192;
/// Files that are a frequency in kHz.
const FILES: [(&str, &MetricDef); 5] = [
    ("cpuinfo_min_freq", &catalog::CPU_FREQUENCY_MIN),
    ("cpuinfo_max_freq", &catalog::CPU_FREQUENCY_MAX),
    ("scaling_cur_freq", &catalog::CPU_SCALING_FREQUENCY),
    ("scaling_min_freq", &catalog::CPU_SCALING_FREQUENCY_MIN),
    ("scaling_max_freq", &catalog::CPU_SCALING_FREQUENCY_MAX),
];

/// Reads the directories of all processors.
pub(super) struct Cpufreq {
    directory: PathBuf,
    interval_ms: u32,
    said: Labelled,
}

impl Cpufreq {
    /// Reads below `root`, every `interval_ms`.
    pub fn new(root: &Path, interval_ms: u32) -> Cpufreq {
        Cpufreq { directory: root.join("sys/devices/system/cpu"), interval_ms, said: Labelled::default() }
    }
}

impl Sampler for Cpufreq {
    fn name(&self) -> &'static str {
        "cpufreq"
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn class(&self) -> SeriesClass {
        SeriesClass::System
    }

    fn may_block(&self) -> bool {
        true
    }

    fn sample(&mut self, _now: Now, out: &mut Sink) -> Result<(), SampleError> {
        for name in names(&self.directory, PROCESSORS_MAX)? {
            let name = name.to_string_lossy();
            let Some(number) = name.strip_prefix("cpu").filter(|rest| digits(rest.as_bytes()).is_some())
            else {
                continue;
            };
            let labels = Labels::new([("cpu", number)])?;
            let directory = self.directory.join(&*name).join("cpufreq");
            for (file, def) in FILES {
                // `<unknown>` where the driver does not know.
                let khz = attribute(&directory.join(file)).and_then(|text| text.parse::<u32>().ok());
                if let Some(khz) = khz {
                    self.said.set((def, &labels), i64::from(khz), out)?;
                }
            }
        }
        self.said.finish(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{Board, Tree, sample};
    use super::*;

    #[test]
    fn kilohertz_become_hertz() {
        let (tree, mut board) = (Tree::empty(), Board::default());
        let cpu = "sys/devices/system/cpu";
        tree.write(&format!("{cpu}/cpu12/cpufreq/scaling_cur_freq"), "2399998\n");
        tree.write(&format!("{cpu}/cpu12/cpufreq/cpuinfo_max_freq"), "<unknown>\n");
        tree.write(&format!("{cpu}/cpuidle/cpufreq/scaling_cur_freq"), "1\n");
        let said = sample(&mut Cpufreq::new(tree.root(), 30_000), &mut board).unwrap();
        assert_eq!(said, "node_cpu_scaling_frequency_hertz{cpu=\"12\"} 2399998000\n");
    }
}
