//! Sampling: what this host is doing, read from the kernel, as rows of cells.
//!
//! One file per subject, one explicit list of them. A collector parses a whole file before it says anything,
//! so a failed round leaves no half a truth. Nothing here knows the wire, the aggregator or a threshold. A file
//! that this kernel or machine does not have is said once and is no failure.
//!
//! Names and values are node_exporter's; `tests/compare` holds them against it. Its `node_timex_*` are left out
//! (`docs/decisions/0011-no-timex.md`): the aggregator measures each node's clock against its own anyway.
//!
//! ```text
//!   clock ─tick→ schedule ─due→ collectors ─cells→ book ─→ Round ─→ encode
//!                   ↑ commands       │ may block: own thread, one call at a time
//! ```

mod budget;
mod collect;
mod config;
mod error;
mod host;
#[cfg(target_os = "linux")]
mod keyed;
mod rate;
mod round;
mod runner;
mod schedule;
mod sink;
#[cfg(target_os = "linux")]
mod text;
mod ticker;

#[cfg(target_os = "linux")]
mod conntrack;
#[cfg(target_os = "linux")]
mod cpu;
#[cfg(target_os = "linux")]
mod cpufreq;
#[cfg(target_os = "linux")]
mod diskstats;
#[cfg(target_os = "linux")]
mod dmi;
#[cfg(target_os = "linux")]
mod entropy;
#[cfg(target_os = "linux")]
mod filefd;
#[cfg(target_os = "linux")]
mod filesystem;
#[cfg(target_os = "linux")]
mod hwmon;
#[cfg(target_os = "linux")]
mod labelled;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod netclass;
#[cfg(target_os = "linux")]
mod netstat;
#[cfg(target_os = "linux")]
mod network;
#[cfg(target_os = "linux")]
mod os;
#[cfg(target_os = "linux")]
mod pressure;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod reader;
#[cfg(target_os = "linux")]
mod scalar;
#[cfg(target_os = "linux")]
mod sockstat;
#[cfg(target_os = "linux")]
mod softnet;
#[cfg(target_os = "linux")]
mod uptime;
#[cfg(target_os = "linux")]
mod vmstat;

#[cfg(test)]
#[cfg(target_os = "linux")]
mod golden;

pub use budget::{BudgetConfig, Share};
pub use collect::{Collection, Due, Setup};
pub use config::{Config, ConfigError, ProcessConfig};
pub use error::SampleError;
#[cfg(target_os = "linux")]
pub use filesystem::is_remote;
pub use host::host_facts;
pub use rate::RateError;
pub use round::{GroupInfo, Moment, NewSeries, Round, Tap};
pub use schedule::{AskError, Outlet, Sampling, StartError, start};
pub use sink::{Sink, Slot};

use quorate_common::model::process::ProcessRow;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::time::Duration;

/// Whether a file system's other end is another machine or program.
#[cfg(not(target_os = "linux"))]
pub fn is_remote(_kind: &str) -> bool {
    false
}

/// One collector: reads one subject and says what it saw.
pub trait Sampler: Send {
    /// Its name, as in `node_scrape_collector_success{collector}`.
    fn name(&self) -> &'static str;

    /// How often it runs.
    fn interval_ms(&self) -> u32;

    /// Which retention its series fall under.
    fn class(&self) -> SeriesClass;

    /// Whether a call can hang, as on a dead network mount; such a collector gets a thread of its own.
    fn may_block(&self) -> bool {
        false
    }

    /// Reads its subject and sets the cells of its series.
    ///
    /// # Errors
    ///
    /// What could not be read or understood. Cells already set are then not used.
    fn sample(&mut self, now: Now, out: &mut Sink) -> Result<(), SampleError>;

    /// The processes of the last round; `None` for all collectors but that of processes.
    fn process_table(&self) -> Option<Vec<ProcessRow>> {
        None
    }
}

/// All collectors of this system that are not disabled. `root` holds `proc`: `/` but for tests.
#[cfg(target_os = "linux")]
pub fn collectors(config: &Config, root: &Path) -> Vec<Box<dyn Sampler>> {
    let every = |ms: u32| ms.max(config.interval_ms);
    let tick = config.interval_ms;
    // Enough for a network that lives, and early enough for the rest of the collector.
    let patience = Duration::from_millis(u64::from(config.deadline_ms) / 2);
    let all: Vec<Box<dyn Sampler>> = vec![
        Box::new(cpu::Cpu::new(root, tick)),
        Box::new(memory::Memory::new(root, tick)),
        Box::new(load::Load::new(root, tick)),
        Box::new(uptime::Time::new(tick)),
        Box::new(network::Network::new(root, tick)),
        Box::new(diskstats::Diskstats::new(root, tick)),
        Box::new(vmstat::new(root, tick)),
        Box::new(netstat::new(root, tick)),
        Box::new(sockstat::new(root, tick)),
        Box::new(softnet::Softnet::new(root, tick)),
        Box::new(pressure::new(root, tick)),
        Box::new(filefd::new(root, tick)),
        Box::new(process::Process::new(root, tick, &config.process)),
        Box::new(conntrack::new(root, every(10_000))),
        Box::new(entropy::new(root, every(10_000))),
        Box::new(hwmon::Hwmon::new(root, every(10_000))),
        Box::new(filesystem::Filesystem::new(root, every(10_000), patience)),
        Box::new(netclass::Netclass::new(root, every(30_000))),
        Box::new(cpufreq::Cpufreq::new(root, every(30_000))),
        Box::new(uptime::Uname::new(every(30_000))),
        Box::new(os::Os::new(root, every(60_000))),
        Box::new(dmi::Dmi::new(root, every(60_000))),
    ];
    all.into_iter().filter(|one| !config.disabled.iter().any(|name| name == one.name())).collect()
}

/// The collectors of a system that is not Linux, through sysinfo.
#[cfg(not(target_os = "linux"))]
pub fn collectors(config: &Config, _root: &Path) -> Vec<Box<dyn Sampler>> {
    host::portable(config)
}
