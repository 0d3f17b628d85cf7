//! Every metric that Quorate emits, declared once: the only place where a metric is named.
//!
//! Names are node_exporter's for hosts and process-exporter's for groups of processes, so that existing
//! dashboards and rules work as they are; our own begin with `quorate_`. Nothing is emitted that is not here,
//! and nothing is here that nobody emits.

use crate::model::series::{CellForm, Metric, MetricKind, SeriesClass};

/// One metric: what it is called, what it means, and how its values are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricDef {
    /// Name in Prometheus' rules.
    pub name: &'static str,
    /// Counter or gauge.
    pub kind: MetricKind,
    /// How values become cells.
    pub form: CellForm,
    /// What is counted, as a plural word; empty for the plain 1 of an `_info` metric and for yes or no.
    pub unit: &'static str,
    /// One sentence for `# HELP`.
    pub help: &'static str,
    /// Which retention it falls under.
    pub class: SeriesClass,
}

impl MetricDef {
    /// The part of the definition that goes over the wire.
    pub fn metric(&self) -> Metric {
        Metric { name: self.name.into(), kind: self.kind, form: self.form }
    }
}

/// The definition of a metric; `None` if it is not ours.
pub fn find(name: &str) -> Option<&'static MetricDef> {
    CATALOG.iter().find(|def| def.name == name)
}

const COUNT: CellForm = CellForm::COUNT;
/// Hundredths: the kernel counts processor time and load that finely.
const CENTI: CellForm = CellForm::Integer { scale: 2, unit: 1 };
const MILLI: CellForm = CellForm::Integer { scale: 3, unit: 1 };
/// Tenths of a millisecond: finer digits are noise, and noise costs bytes each second.
const TENTH_MILLI: CellForm = CellForm::Integer { scale: 4, unit: 1 };
/// Bytes that come in whole KiB; every page size is a multiple of it.
const KIB: CellForm = CellForm::Integer { scale: 0, unit: 1024 };

macro_rules! catalog {
    ($($id:ident = $kind:ident $name:literal $form:ident $unit:literal $class:ident $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $id: MetricDef = MetricDef {
                name: $name,
                kind: MetricKind::$kind,
                form: $form,
                unit: $unit,
                help: $help,
                class: SeriesClass::$class,
            };
        )+

        /// All of them, subject by subject.
        pub const CATALOG: &[MetricDef] = &[$($id),+];
    };
}

catalog! {
    CPU_SECONDS = Counter "node_cpu_seconds_total" CENTI "seconds" System "Time that a processor spent in each mode.";
    CPU_GUEST_SECONDS = Counter "node_cpu_guest_seconds_total" CENTI "seconds" System "Time that a processor ran virtual machines, also counted as user and nice.";
    CONTEXT_SWITCHES = Counter "node_context_switches_total" COUNT "switches" System "Context switches of all processors.";
    INTERRUPTS = Counter "node_intr_total" COUNT "interrupts" System "Interrupts served.";
    FORKS = Counter "node_forks_total" COUNT "forks" System "Processes and threads created.";
    PROCS_RUNNING = Gauge "node_procs_running" COUNT "threads" System "Threads that run or wait for a processor.";
    PROCS_BLOCKED = Gauge "node_procs_blocked" COUNT "threads" System "Threads that wait for input or output.";
    BOOT_TIME = Gauge "node_boot_time_seconds" COUNT "seconds" System "When the host booted, in seconds since the Unix epoch.";

    LOAD1 = Gauge "node_load1" CENTI "threads" System "Load average over one minute.";
    LOAD5 = Gauge "node_load5" CENTI "threads" System "Load average over five minutes.";
    LOAD15 = Gauge "node_load15" CENTI "threads" System "Load average over fifteen minutes.";

    TIME = Gauge "node_time_seconds" MILLI "seconds" System "The host's wall clock, in seconds since the Unix epoch.";
    UNAME_INFO = Gauge "node_uname_info" COUNT "" System "What the kernel says of itself and of the host, in labels.";

    MEMORY_MEM_TOTAL = Gauge "node_memory_MemTotal_bytes" KIB "bytes" System "Memory that the kernel can use.";
    MEMORY_MEM_FREE = Gauge "node_memory_MemFree_bytes" KIB "bytes" System "Memory that nobody uses.";
    MEMORY_MEM_AVAILABLE = Gauge "node_memory_MemAvailable_bytes" KIB "bytes" System "Memory that new programs can get without swapping, as the kernel estimates it.";
    MEMORY_BUFFERS = Gauge "node_memory_Buffers_bytes" KIB "bytes" System "Cache of raw blocks.";
    MEMORY_CACHED = Gauge "node_memory_Cached_bytes" KIB "bytes" System "Cache of files, swap cache left out.";
    MEMORY_SWAP_CACHED = Gauge "node_memory_SwapCached_bytes" KIB "bytes" System "Memory that is both in swap and in memory.";
    MEMORY_ACTIVE = Gauge "node_memory_Active_bytes" KIB "bytes" System "Memory used lately.";
    MEMORY_INACTIVE = Gauge "node_memory_Inactive_bytes" KIB "bytes" System "Memory not used lately.";
    MEMORY_ACTIVE_ANON = Gauge "node_memory_Active_anon_bytes" KIB "bytes" System "Anonymous memory used lately.";
    MEMORY_INACTIVE_ANON = Gauge "node_memory_Inactive_anon_bytes" KIB "bytes" System "Anonymous memory not used lately.";
    MEMORY_ACTIVE_FILE = Gauge "node_memory_Active_file_bytes" KIB "bytes" System "File cache used lately.";
    MEMORY_INACTIVE_FILE = Gauge "node_memory_Inactive_file_bytes" KIB "bytes" System "File cache not used lately.";
    MEMORY_UNEVICTABLE = Gauge "node_memory_Unevictable_bytes" KIB "bytes" System "Memory that cannot be reclaimed.";
    MEMORY_MLOCKED = Gauge "node_memory_Mlocked_bytes" KIB "bytes" System "Memory locked by programs.";
    MEMORY_SWAP_TOTAL = Gauge "node_memory_SwapTotal_bytes" KIB "bytes" System "Size of swap.";
    MEMORY_SWAP_FREE = Gauge "node_memory_SwapFree_bytes" KIB "bytes" System "Swap that nobody uses.";
    MEMORY_ZSWAP = Gauge "node_memory_Zswap_bytes" KIB "bytes" System "Memory that holds compressed swap.";
    MEMORY_ZSWAPPED = Gauge "node_memory_Zswapped_bytes" KIB "bytes" System "Memory that was compressed, at its full size.";
    MEMORY_DIRTY = Gauge "node_memory_Dirty_bytes" KIB "bytes" System "Memory that waits to be written back.";
    MEMORY_WRITEBACK = Gauge "node_memory_Writeback_bytes" KIB "bytes" System "Memory that is being written back.";
    MEMORY_ANON_PAGES = Gauge "node_memory_AnonPages_bytes" KIB "bytes" System "Anonymous memory mapped by programs.";
    MEMORY_MAPPED = Gauge "node_memory_Mapped_bytes" KIB "bytes" System "Files mapped by programs.";
    MEMORY_SHMEM = Gauge "node_memory_Shmem_bytes" KIB "bytes" System "Shared memory and tmpfs.";
    MEMORY_KRECLAIMABLE = Gauge "node_memory_KReclaimable_bytes" KIB "bytes" System "Kernel memory that can be reclaimed.";
    MEMORY_SLAB = Gauge "node_memory_Slab_bytes" KIB "bytes" System "Kernel data structures.";
    MEMORY_SRECLAIMABLE = Gauge "node_memory_SReclaimable_bytes" KIB "bytes" System "Kernel data structures that can be reclaimed.";
    MEMORY_SUNRECLAIM = Gauge "node_memory_SUnreclaim_bytes" KIB "bytes" System "Kernel data structures that cannot be reclaimed.";
    MEMORY_KERNEL_STACK = Gauge "node_memory_KernelStack_bytes" KIB "bytes" System "Kernel stacks of all tasks.";
    MEMORY_SHADOW_CALL_STACK = Gauge "node_memory_ShadowCallStack_bytes" KIB "bytes" System "Shadow call stacks of all tasks.";
    MEMORY_PAGE_TABLES = Gauge "node_memory_PageTables_bytes" KIB "bytes" System "Page tables of programs.";
    MEMORY_SEC_PAGE_TABLES = Gauge "node_memory_SecPageTables_bytes" KIB "bytes" System "Page tables of virtual machines and devices.";
    MEMORY_NFS_UNSTABLE = Gauge "node_memory_NFS_Unstable_bytes" KIB "bytes" System "NFS pages sent and not yet stored.";
    MEMORY_BOUNCE = Gauge "node_memory_Bounce_bytes" KIB "bytes" System "Bounce buffers of block devices.";
    MEMORY_WRITEBACK_TMP = Gauge "node_memory_WritebackTmp_bytes" KIB "bytes" System "Temporary write-back buffers of FUSE.";
    MEMORY_COMMIT_LIMIT = Gauge "node_memory_CommitLimit_bytes" KIB "bytes" System "Memory that may be promised when overcommit is strict.";
    MEMORY_COMMITTED_AS = Gauge "node_memory_Committed_AS_bytes" KIB "bytes" System "Memory promised to programs.";
    MEMORY_VMALLOC_TOTAL = Gauge "node_memory_VmallocTotal_bytes" KIB "bytes" System "Size of the vmalloc area.";
    MEMORY_VMALLOC_USED = Gauge "node_memory_VmallocUsed_bytes" KIB "bytes" System "Part of the vmalloc area in use.";
    MEMORY_VMALLOC_CHUNK = Gauge "node_memory_VmallocChunk_bytes" KIB "bytes" System "Largest free part of the vmalloc area.";
    MEMORY_PERCPU = Gauge "node_memory_Percpu_bytes" KIB "bytes" System "Memory of the kernel's per-processor data.";
    MEMORY_EARLY_MEMTEST_BAD = Gauge "node_memory_EarlyMemtestBad_bytes" KIB "bytes" System "Memory that failed the test at boot.";
    MEMORY_HARDWARE_CORRUPTED = Gauge "node_memory_HardwareCorrupted_bytes" KIB "bytes" System "Memory with hardware errors, taken out of use.";
    MEMORY_ANON_HUGE_PAGES = Gauge "node_memory_AnonHugePages_bytes" KIB "bytes" System "Anonymous transparent huge pages.";
    MEMORY_SHMEM_HUGE_PAGES = Gauge "node_memory_ShmemHugePages_bytes" KIB "bytes" System "Shared memory in huge pages.";
    MEMORY_SHMEM_PMD_MAPPED = Gauge "node_memory_ShmemPmdMapped_bytes" KIB "bytes" System "Shared memory mapped as huge pages.";
    MEMORY_FILE_HUGE_PAGES = Gauge "node_memory_FileHugePages_bytes" KIB "bytes" System "File cache in huge pages.";
    MEMORY_FILE_PMD_MAPPED = Gauge "node_memory_FilePmdMapped_bytes" KIB "bytes" System "File cache mapped as huge pages.";
    MEMORY_CMA_TOTAL = Gauge "node_memory_CmaTotal_bytes" KIB "bytes" System "Size of the contiguous allocator's area.";
    MEMORY_CMA_FREE = Gauge "node_memory_CmaFree_bytes" KIB "bytes" System "Free part of the contiguous allocator's area.";
    MEMORY_UNACCEPTED = Gauge "node_memory_Unaccepted_bytes" KIB "bytes" System "Memory not yet accepted by this virtual machine.";
    MEMORY_BALLOON = Gauge "node_memory_Balloon_bytes" KIB "bytes" System "Memory given back to the hypervisor.";
    MEMORY_HUGE_PAGES_TOTAL = Gauge "node_memory_HugePages_Total" COUNT "pages" System "Huge pages in the pool.";
    MEMORY_HUGE_PAGES_FREE = Gauge "node_memory_HugePages_Free" COUNT "pages" System "Huge pages of the pool that nobody uses.";
    MEMORY_HUGE_PAGES_RSVD = Gauge "node_memory_HugePages_Rsvd" COUNT "pages" System "Huge pages promised and not yet used.";
    MEMORY_HUGE_PAGES_SURP = Gauge "node_memory_HugePages_Surp" COUNT "pages" System "Huge pages above the size of the pool.";
    MEMORY_HUGEPAGESIZE = Gauge "node_memory_Hugepagesize_bytes" KIB "bytes" System "Size of a huge page.";
    MEMORY_HUGETLB = Gauge "node_memory_Hugetlb_bytes" KIB "bytes" System "Memory in huge pages of all sizes.";
    MEMORY_DIRECT_MAP4K = Gauge "node_memory_DirectMap4k_bytes" KIB "bytes" System "Kernel memory mapped by pages of 4 KiB.";
    MEMORY_DIRECT_MAP2M = Gauge "node_memory_DirectMap2M_bytes" KIB "bytes" System "Kernel memory mapped by pages of 2 MiB.";
    MEMORY_DIRECT_MAP4M = Gauge "node_memory_DirectMap4M_bytes" KIB "bytes" System "Kernel memory mapped by pages of 4 MiB.";
    MEMORY_DIRECT_MAP1G = Gauge "node_memory_DirectMap1G_bytes" KIB "bytes" System "Kernel memory mapped by pages of 1 GiB.";

    NETWORK_RECEIVE_BYTES = Counter "node_network_receive_bytes_total" COUNT "bytes" System "Bytes received by an interface.";
    NETWORK_RECEIVE_PACKETS = Counter "node_network_receive_packets_total" COUNT "packets" System "Packets received by an interface.";
    NETWORK_RECEIVE_ERRS = Counter "node_network_receive_errs_total" COUNT "packets" System "Errors in packets received by an interface.";
    NETWORK_RECEIVE_DROP = Counter "node_network_receive_drop_total" COUNT "packets" System "Packets received by an interface and dropped.";
    NETWORK_RECEIVE_FIFO = Counter "node_network_receive_fifo_total" COUNT "packets" System "Overruns of the queue of packets received by an interface.";
    NETWORK_RECEIVE_FRAME = Counter "node_network_receive_frame_total" COUNT "packets" System "Framing errors of packets received by an interface.";
    NETWORK_RECEIVE_COMPRESSED = Counter "node_network_receive_compressed_total" COUNT "packets" System "Compressed packets received by an interface.";
    NETWORK_RECEIVE_MULTICAST = Counter "node_network_receive_multicast_total" COUNT "packets" System "Multicast packets received by an interface.";
    NETWORK_TRANSMIT_BYTES = Counter "node_network_transmit_bytes_total" COUNT "bytes" System "Bytes sent by an interface.";
    NETWORK_TRANSMIT_PACKETS = Counter "node_network_transmit_packets_total" COUNT "packets" System "Packets sent by an interface.";
    NETWORK_TRANSMIT_ERRS = Counter "node_network_transmit_errs_total" COUNT "packets" System "Errors in packets sent by an interface.";
    NETWORK_TRANSMIT_DROP = Counter "node_network_transmit_drop_total" COUNT "packets" System "Packets sent by an interface and dropped.";
    NETWORK_TRANSMIT_FIFO = Counter "node_network_transmit_fifo_total" COUNT "packets" System "Overruns of the queue of packets sent by an interface.";
    NETWORK_TRANSMIT_COLLS = Counter "node_network_transmit_colls_total" COUNT "packets" System "Collisions of packets sent by an interface.";
    NETWORK_TRANSMIT_CARRIER = Counter "node_network_transmit_carrier_total" COUNT "packets" System "Losses of the carrier while packets were sent by an interface.";
    NETWORK_TRANSMIT_COMPRESSED = Counter "node_network_transmit_compressed_total" COUNT "packets" System "Compressed packets sent by an interface.";

    FILESYSTEM_SIZE = Gauge "node_filesystem_size_bytes" COUNT "bytes" System "Size of a file system.";
    FILESYSTEM_FREE = Gauge "node_filesystem_free_bytes" COUNT "bytes" System "Free space of a file system, the part kept for root included.";
    FILESYSTEM_AVAIL = Gauge "node_filesystem_avail_bytes" COUNT "bytes" System "Space of a file system that users other than root can get.";
    FILESYSTEM_FILES = Gauge "node_filesystem_files" COUNT "files" System "Files that a file system can hold.";
    FILESYSTEM_FILES_FREE = Gauge "node_filesystem_files_free" COUNT "files" System "Files that a file system can still take.";
    FILESYSTEM_READONLY = Gauge "node_filesystem_readonly" COUNT "" System "Whether a file system is mounted read-only.";

    GROUP_NUM_PROCS = Gauge "namedprocess_namegroup_num_procs" COUNT "processes" Process "Processes of a group.";
    GROUP_NUM_THREADS = Gauge "namedprocess_namegroup_num_threads" COUNT "threads" Process "Threads of a group.";
    GROUP_CPU_SECONDS = Counter "namedprocess_namegroup_cpu_seconds_total" CENTI "seconds" Process "Processor time used by a group, by mode.";
    GROUP_MEMORY = Gauge "namedprocess_namegroup_memory_bytes" KIB "bytes" Process "Memory of a group, by type.";
    GROUP_READ_BYTES = Counter "namedprocess_namegroup_read_bytes_total" COUNT "bytes" Process "Bytes that a group read from storage.";
    GROUP_WRITE_BYTES = Counter "namedprocess_namegroup_write_bytes_total" COUNT "bytes" Process "Bytes that a group wrote to storage.";
    GROUP_MAJOR_FAULTS = Counter "namedprocess_namegroup_major_page_faults_total" COUNT "faults" Process "Page faults of a group that waited for storage.";
    GROUP_MINOR_FAULTS = Counter "namedprocess_namegroup_minor_page_faults_total" COUNT "faults" Process "Page faults of a group that did not wait for storage.";
    GROUP_OLDEST_START = Gauge "namedprocess_namegroup_oldest_start_time_seconds" COUNT "seconds" Process "When the oldest process of a group started, in seconds since the Unix epoch.";
    GROUP_OPEN_FILES = Gauge "namedprocess_namegroup_open_filedesc" COUNT "descriptors" Process "Open descriptors of a group, counted every ten rounds.";
    GROUP_WORST_FILES = Gauge "namedprocess_namegroup_worst_fd_ratio" TENTH_MILLI "" Process "Open descriptors as a share of their limit, of the process of a group where that is highest.";
    GROUP_STATES = Gauge "namedprocess_namegroup_states" COUNT "processes" Process "Processes of a group, by state.";

    UNATTRIBUTED_CPU_SECONDS = Counter "quorate_unattributed_cpu_seconds_total" CENTI "seconds" System "Processor time that no process was seen to use: of short lives, hidden processes, interrupts.";
    PROCESSES_UNREAD = Counter "quorate_agent_processes_unread_total" COUNT "readings" System "Readings of processes that were left out because their text was not understood.";

    COLLECTOR_SUCCESS = Gauge "node_scrape_collector_success" COUNT "" System "Whether a collector succeeded in its last round.";
    COLLECTOR_DURATION = Gauge "node_scrape_collector_duration_seconds" TENTH_MILLI "seconds" System "How long a collector took in its last round.";
    SAMPLES_SKIPPED = Counter "quorate_agent_samples_skipped_total" COUNT "rounds" System "Rounds of sampling that did not take place, by reason.";
    BUDGET_STEP = Gauge "quorate_agent_budget_step" COUNT "steps" System "How many steps of detail the agent has given up to keep to its budget, 0 to 4.";
    AGENT_CPU_SECONDS = Counter "quorate_agent_cpu_seconds_total" CENTI "seconds" System "Processor time that the agent itself used.";
    AGENT_RESIDENT_MEMORY = Gauge "quorate_agent_resident_memory_bytes" KIB "bytes" System "Resident memory of the agent itself.";
    SERIES_REFUSED = Counter "quorate_agent_series_refused_total" COUNT "series" System "Series that the agent did not begin because a collector had too many.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::label::check_metric_name;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_valid_and_unique() {
        let names: BTreeSet<&str> = CATALOG.iter().map(|def| def.name).collect();
        assert_eq!(names.len(), CATALOG.len());
        for def in CATALOG {
            check_metric_name(def.name).unwrap();
            assert_eq!(find(def.name), Some(def));
            let prefixed =
                ["node_", "namedprocess_namegroup_", "quorate_"].iter().any(|p| def.name.starts_with(p));
            assert!(prefixed, "{}", def.name);
        }
        assert_eq!(find("node_nothing"), None);
    }

    #[test]
    fn counters_and_only_counters_end_in_total() {
        for def in CATALOG {
            assert_eq!(def.kind == MetricKind::Counter, def.name.ends_with("_total"), "{}", def.name);
        }
    }

    #[test]
    fn units_stand_in_names() {
        for def in CATALOG.iter().filter(|def| matches!(def.unit, "bytes" | "seconds")) {
            let name = def.name.trim_end_matches("_total");
            assert!(name.ends_with(def.unit), "{}", def.name);
        }
    }

    #[test]
    fn help_is_a_sentence() {
        for def in CATALOG {
            let first = def.help.chars().next().unwrap();
            assert!(
                first.is_uppercase() && def.help.ends_with('.') && def.help.contains(' '),
                "{}",
                def.help
            );
            assert!(!def.help.contains('\n') && def.help.len() < 120, "{}", def.help);
        }
    }

    #[test]
    fn classes_follow_subjects() {
        for def in CATALOG {
            let process = def.name.starts_with("namedprocess_");
            assert_eq!(def.class == SeriesClass::Process, process, "{}", def.name);
        }
    }
}
