//! What the host is, and the one place that chooses between sysinfo and our own reading.
//!
//! sysinfo is the portable base: facts that do not change, and everything on systems other than Linux. On
//! Linux what is read each second is read by hand, because that costs a fifth (`transport.md` §4).

use quorate_common::model::node::HostFacts;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// What is said once of this host, at the beginning of each session. Takes some milliseconds.
pub fn host_facts() -> HostFacts {
    let kinds = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing())
        .with_memory(MemoryRefreshKind::nothing().with_ram());
    // Where even the number of processors cannot be had, a session is still worth having.
    let system = System::new_with_specifics(kinds).ok();
    let cpus = system.as_ref().map(System::cpus).unwrap_or_default();
    HostFacts {
        hostname: System::host_name().unwrap_or_default(),
        os: System::long_os_version().unwrap_or_default(),
        kernel: System::kernel_version().unwrap_or_default(),
        arch: System::cpu_arch(),
        cpu_model: cpus.first().map(|cpu| cpu.brand().trim().to_owned()).unwrap_or_default(),
        cpu_count: u32::try_from(cpus.len()).unwrap_or(u32::MAX),
        memory_bytes: system.as_ref().map_or(0, System::total_memory),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        missing_rights: missing_rights(),
    }
}

/// What the agent is not allowed to read, one line each.
#[cfg(target_os = "linux")]
fn missing_rights() -> Vec<String> {
    let denied = |path: &str| {
        let read =
            std::fs::File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut [0; 64]));
        matches!(read, Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied)
    };
    let rights = [
        ("/proc/1/io", "bytes read and written by processes of other users (needs CAP_SYS_PTRACE)"),
        ("/proc/1/fd", "open files of processes of other users (needs CAP_SYS_PTRACE)"),
    ];
    rights.iter().filter(|(path, _)| denied(path)).map(|(path, what)| format!("{path}: {what}")).collect()
}

#[cfg(not(target_os = "linux"))]
fn missing_rights() -> Vec<String> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
pub(super) use other::portable;

/// Memory and load of a system that is not Linux.
#[cfg(not(target_os = "linux"))]
mod other {
    use super::super::{Config, SampleError, Sampler, Sink, Slot};
    use quorate_common::catalog;
    use quorate_common::model::label::Labels;
    use quorate_common::model::series::SeriesClass;
    use quorate_common::model::time::Now;
    use std::path::Path;
    use sysinfo::System;

    struct Portable {
        system: System,
        interval_ms: u32,
        slots: Option<[Slot; 7]>,
    }

    /// One collector for all that sysinfo says and node_exporter has a name for.
    pub fn portable(config: &Config) -> Vec<Box<dyn Sampler>> {
        let begin = |system| Portable { system, interval_ms: config.interval_ms, slots: None };
        System::new().ok().into_iter().map(|system| Box::new(begin(system)) as Box<dyn Sampler>).collect()
    }

    impl Sampler for Portable {
        fn name(&self) -> &'static str {
            "memory"
        }

        fn interval_ms(&self) -> u32 {
            self.interval_ms
        }

        fn class(&self) -> SeriesClass {
            SeriesClass::System
        }

        fn sample(&mut self, _now: Now, out: &mut Sink) -> Result<(), SampleError> {
            self.system.refresh_memory();
            let failed = |error: sysinfo::Error| {
                SampleError::read(Path::new("load average"), std::io::Error::other(error.to_string()))
            };
            let load = System::load_average().map_err(failed)?;
            let load = [load.one, load.five, load.fifteen];
            let said = [
                (&catalog::MEMORY_MEM_TOTAL, self.system.total_memory() as f64),
                (&catalog::MEMORY_MEM_AVAILABLE, self.system.available_memory() as f64),
                (&catalog::MEMORY_SWAP_TOTAL, self.system.total_swap() as f64),
                (&catalog::MEMORY_SWAP_FREE, self.system.free_swap() as f64),
                (&catalog::LOAD1, load[0]),
                (&catalog::LOAD5, load[1]),
                (&catalog::LOAD15, load[2]),
            ];
            let slots =
                self.slots.get_or_insert_with(|| said.map(|(def, _)| out.slot(def, Labels::default())));
            slots.iter().zip(said).for_each(|(slot, (def, value))| out.set(*slot, def.form.cell(value)));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_something() {
        let facts = host_facts();
        assert!(facts.cpu_count >= 1 && facts.memory_bytes > 1 << 20, "{facts:?}");
        for text in [&facts.hostname, &facts.os, &facts.kernel, &facts.arch, &facts.agent_version] {
            assert!(!text.is_empty(), "{facts:?}");
        }
    }
}
