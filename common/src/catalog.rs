//! Every metric that Quorate emits, declared once: the only place where a metric is named.
//!
//! Names are node_exporter's for hosts and process-exporter's for groups of processes, so that existing
//! dashboards and rules work as they are; our own begin with `quorate_`. Nothing is emitted that is not here,
//! and nothing is here that nobody emits.

mod definition;

pub use definition::MetricDef;

use crate::model::series::{MetricKind, SeriesClass};
use definition::{CENTI, COUNT, FLOAT, KIB, KILO, MEGABIT, MICRO, MILLI, SECTOR, TENTH_MILLI};

/// The definition of a metric; `None` if it is not ours.
pub fn find(name: &str) -> Option<&'static MetricDef> {
    CATALOG.iter().find(|def| def.name == name)
}

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
    FILESYSTEM_DEVICE_ERROR = Gauge "node_filesystem_device_error" COUNT "" System "Whether a file system could not be asked: it failed, or its answer is overdue.";

    DISK_READS_COMPLETED = Counter "node_disk_reads_completed_total" COUNT "reads" System "Reads that a disk completed.";
    DISK_READS_MERGED = Counter "node_disk_reads_merged_total" COUNT "reads" System "Reads of a disk that were merged into others.";
    DISK_READ_BYTES = Counter "node_disk_read_bytes_total" SECTOR "bytes" System "Bytes read from a disk.";
    DISK_READ_TIME = Counter "node_disk_read_time_seconds_total" MILLI "seconds" System "Time that all reads of a disk took, added up.";
    DISK_WRITES_COMPLETED = Counter "node_disk_writes_completed_total" COUNT "writes" System "Writes that a disk completed.";
    DISK_WRITES_MERGED = Counter "node_disk_writes_merged_total" COUNT "writes" System "Writes of a disk that were merged into others.";
    DISK_WRITTEN_BYTES = Counter "node_disk_written_bytes_total" SECTOR "bytes" System "Bytes written to a disk.";
    DISK_WRITE_TIME = Counter "node_disk_write_time_seconds_total" MILLI "seconds" System "Time that all writes of a disk took, added up.";
    DISK_IO_NOW = Gauge "node_disk_io_now" COUNT "requests" System "Requests that a disk is working on.";
    DISK_IO_TIME = Counter "node_disk_io_time_seconds_total" MILLI "seconds" System "Time that a disk was busy.";
    DISK_IO_TIME_WEIGHTED = Counter "node_disk_io_time_weighted_seconds_total" MILLI "seconds" System "Time that a disk was busy, times the requests in progress.";
    DISK_DISCARDS_COMPLETED = Counter "node_disk_discards_completed_total" COUNT "discards" System "Discards that a disk completed.";
    DISK_DISCARDS_MERGED = Counter "node_disk_discards_merged_total" COUNT "discards" System "Discards of a disk that were merged into others.";
    DISK_DISCARDED_SECTORS = Counter "node_disk_discarded_sectors_total" COUNT "sectors" System "Sectors of a disk that were discarded.";
    DISK_DISCARD_TIME = Counter "node_disk_discard_time_seconds_total" MILLI "seconds" System "Time that all discards of a disk took, added up.";
    DISK_FLUSH_REQUESTS = Counter "node_disk_flush_requests_total" COUNT "flushes" System "Flushes that a disk completed.";
    DISK_FLUSH_TIME = Counter "node_disk_flush_requests_time_seconds_total" MILLI "seconds" System "Time that all flushes of a disk took, added up.";
    DISK_INFO = Gauge "node_disk_info" COUNT "" System "What udev says of a disk, in labels.";

    VMSTAT_OOM_KILL = Counter "node_vmstat_oom_kill" COUNT "kills" System "Processes killed because memory ran out.";
    VMSTAT_PGPGIN = Counter "node_vmstat_pgpgin" COUNT "KiB" System "Data paged in from disks.";
    VMSTAT_PGPGOUT = Counter "node_vmstat_pgpgout" COUNT "KiB" System "Data paged out to disks.";
    VMSTAT_PSWPIN = Counter "node_vmstat_pswpin" COUNT "pages" System "Pages brought in from swap.";
    VMSTAT_PSWPOUT = Counter "node_vmstat_pswpout" COUNT "pages" System "Pages put out to swap.";
    VMSTAT_PGFAULT = Counter "node_vmstat_pgfault" COUNT "faults" System "Page faults of all kinds.";
    VMSTAT_PGMAJFAULT = Counter "node_vmstat_pgmajfault" COUNT "faults" System "Page faults that waited for storage.";

    NETSTAT_IP_FORWARDING = Gauge "node_netstat_Ip_Forwarding" COUNT "" System "Whether the host forwards packets: 1 if it does, 2 if not.";
    NETSTAT_IP_EXT_IN_OCTETS = Counter "node_netstat_IpExt_InOctets" COUNT "octets" System "Bytes received in IPv4 packets.";
    NETSTAT_IP_EXT_OUT_OCTETS = Counter "node_netstat_IpExt_OutOctets" COUNT "octets" System "Bytes sent in IPv4 packets.";
    NETSTAT_IP6_IN_OCTETS = Counter "node_netstat_Ip6_InOctets" COUNT "octets" System "Bytes received in IPv6 packets.";
    NETSTAT_IP6_OUT_OCTETS = Counter "node_netstat_Ip6_OutOctets" COUNT "octets" System "Bytes sent in IPv6 packets.";
    NETSTAT_ICMP_IN_MSGS = Counter "node_netstat_Icmp_InMsgs" COUNT "messages" System "ICMP messages received.";
    NETSTAT_ICMP_IN_ERRORS = Counter "node_netstat_Icmp_InErrors" COUNT "messages" System "ICMP messages received with errors.";
    NETSTAT_ICMP_OUT_MSGS = Counter "node_netstat_Icmp_OutMsgs" COUNT "messages" System "ICMP messages sent.";
    NETSTAT_ICMP6_IN_MSGS = Counter "node_netstat_Icmp6_InMsgs" COUNT "messages" System "ICMPv6 messages received.";
    NETSTAT_ICMP6_IN_ERRORS = Counter "node_netstat_Icmp6_InErrors" COUNT "messages" System "ICMPv6 messages received with errors.";
    NETSTAT_ICMP6_OUT_MSGS = Counter "node_netstat_Icmp6_OutMsgs" COUNT "messages" System "ICMPv6 messages sent.";
    NETSTAT_TCP_ACTIVE_OPENS = Counter "node_netstat_Tcp_ActiveOpens" COUNT "connections" System "TCP connections that this host opened.";
    NETSTAT_TCP_PASSIVE_OPENS = Counter "node_netstat_Tcp_PassiveOpens" COUNT "connections" System "TCP connections that others opened to this host.";
    NETSTAT_TCP_CURR_ESTAB = Gauge "node_netstat_Tcp_CurrEstab" COUNT "connections" System "TCP connections that are established now.";
    NETSTAT_TCP_IN_SEGS = Counter "node_netstat_Tcp_InSegs" COUNT "segments" System "TCP segments received.";
    NETSTAT_TCP_OUT_SEGS = Counter "node_netstat_Tcp_OutSegs" COUNT "segments" System "TCP segments sent.";
    NETSTAT_TCP_RETRANS_SEGS = Counter "node_netstat_Tcp_RetransSegs" COUNT "segments" System "TCP segments sent once more.";
    NETSTAT_TCP_IN_ERRS = Counter "node_netstat_Tcp_InErrs" COUNT "segments" System "TCP segments received with errors.";
    NETSTAT_TCP_OUT_RSTS = Counter "node_netstat_Tcp_OutRsts" COUNT "segments" System "TCP resets sent.";
    NETSTAT_TCP_EXT_LISTEN_OVERFLOWS = Counter "node_netstat_TcpExt_ListenOverflows" COUNT "connections" System "TCP connections lost because the queue of a listening socket was full.";
    NETSTAT_TCP_EXT_LISTEN_DROPS = Counter "node_netstat_TcpExt_ListenDrops" COUNT "connections" System "TCP connections lost at a listening socket, for any reason.";
    NETSTAT_TCP_EXT_SYNCOOKIES_SENT = Counter "node_netstat_TcpExt_SyncookiesSent" COUNT "cookies" System "SYN cookies sent.";
    NETSTAT_TCP_EXT_SYNCOOKIES_RECV = Counter "node_netstat_TcpExt_SyncookiesRecv" COUNT "cookies" System "SYN cookies received and valid.";
    NETSTAT_TCP_EXT_SYNCOOKIES_FAILED = Counter "node_netstat_TcpExt_SyncookiesFailed" COUNT "cookies" System "SYN cookies received and not valid.";
    NETSTAT_TCP_EXT_TCP_SYN_RETRANS = Counter "node_netstat_TcpExt_TCPSynRetrans" COUNT "segments" System "TCP segments that open a connection, sent once more.";
    NETSTAT_TCP_EXT_TCP_TIMEOUTS = Counter "node_netstat_TcpExt_TCPTimeouts" COUNT "timeouts" System "TCP segments whose acknowledgement did not come in time.";
    NETSTAT_UDP_IN_DATAGRAMS = Counter "node_netstat_Udp_InDatagrams" COUNT "datagrams" System "UDP: datagrams received.";
    NETSTAT_UDP_OUT_DATAGRAMS = Counter "node_netstat_Udp_OutDatagrams" COUNT "datagrams" System "UDP: datagrams sent.";
    NETSTAT_UDP_NO_PORTS = Counter "node_netstat_Udp_NoPorts" COUNT "datagrams" System "UDP: datagrams received for a port that nobody listens on.";
    NETSTAT_UDP_IN_ERRORS = Counter "node_netstat_Udp_InErrors" COUNT "datagrams" System "UDP: datagrams received and not delivered.";
    NETSTAT_UDP_RCVBUF_ERRORS = Counter "node_netstat_Udp_RcvbufErrors" COUNT "datagrams" System "UDP: datagrams dropped because a receive buffer was full.";
    NETSTAT_UDP_SNDBUF_ERRORS = Counter "node_netstat_Udp_SndbufErrors" COUNT "datagrams" System "UDP: datagrams not sent because a send buffer was full.";
    NETSTAT_UDP6_IN_DATAGRAMS = Counter "node_netstat_Udp6_InDatagrams" COUNT "datagrams" System "UDP over IPv6: datagrams received.";
    NETSTAT_UDP6_OUT_DATAGRAMS = Counter "node_netstat_Udp6_OutDatagrams" COUNT "datagrams" System "UDP over IPv6: datagrams sent.";
    NETSTAT_UDP6_NO_PORTS = Counter "node_netstat_Udp6_NoPorts" COUNT "datagrams" System "UDP over IPv6: datagrams received for a port that nobody listens on.";
    NETSTAT_UDP6_IN_ERRORS = Counter "node_netstat_Udp6_InErrors" COUNT "datagrams" System "UDP over IPv6: datagrams received and not delivered.";
    NETSTAT_UDP6_RCVBUF_ERRORS = Counter "node_netstat_Udp6_RcvbufErrors" COUNT "datagrams" System "UDP over IPv6: datagrams dropped because a receive buffer was full.";
    NETSTAT_UDP6_SNDBUF_ERRORS = Counter "node_netstat_Udp6_SndbufErrors" COUNT "datagrams" System "UDP over IPv6: datagrams not sent because a send buffer was full.";
    NETSTAT_UDPLITE_IN_ERRORS = Counter "node_netstat_UdpLite_InErrors" COUNT "datagrams" System "UDP-Lite: datagrams received and not delivered.";
    NETSTAT_UDPLITE6_IN_ERRORS = Counter "node_netstat_UdpLite6_InErrors" COUNT "datagrams" System "UDP-Lite over IPv6: datagrams received and not delivered.";

    SOCKSTAT_SOCKETS_USED = Gauge "node_sockstat_sockets_used" COUNT "sockets" System "Sockets in use, of all kinds.";
    SOCKSTAT_TCP_INUSE = Gauge "node_sockstat_TCP_inuse" COUNT "sockets" System "Sockets in use: TCP over IPv4.";
    SOCKSTAT_TCP_ORPHAN = Gauge "node_sockstat_TCP_orphan" COUNT "sockets" System "TCP sockets that belong to no process any more.";
    SOCKSTAT_TCP_TW = Gauge "node_sockstat_TCP_tw" COUNT "sockets" System "TCP sockets that wait after their end.";
    SOCKSTAT_TCP_ALLOC = Gauge "node_sockstat_TCP_alloc" COUNT "sockets" System "TCP sockets that exist, of IPv4 and IPv6.";
    SOCKSTAT_TCP_MEM = Gauge "node_sockstat_TCP_mem" COUNT "pages" System "Memory of all TCP sockets, in pages.";
    SOCKSTAT_TCP_MEM_BYTES = Gauge "node_sockstat_TCP_mem_bytes" KIB "bytes" System "Memory of all TCP sockets.";
    SOCKSTAT_UDP_INUSE = Gauge "node_sockstat_UDP_inuse" COUNT "sockets" System "Sockets in use: UDP over IPv4.";
    SOCKSTAT_UDP_MEM = Gauge "node_sockstat_UDP_mem" COUNT "pages" System "Memory of all UDP sockets, in pages.";
    SOCKSTAT_UDP_MEM_BYTES = Gauge "node_sockstat_UDP_mem_bytes" KIB "bytes" System "Memory of all UDP sockets.";
    SOCKSTAT_UDPLITE_INUSE = Gauge "node_sockstat_UDPLITE_inuse" COUNT "sockets" System "Sockets in use: UDP-Lite over IPv4.";
    SOCKSTAT_RAW_INUSE = Gauge "node_sockstat_RAW_inuse" COUNT "sockets" System "Sockets in use: raw sockets of IPv4.";
    SOCKSTAT_FRAG_INUSE = Gauge "node_sockstat_FRAG_inuse" COUNT "packets" System "IPv4 packets that wait for their other parts.";
    SOCKSTAT_FRAG_MEMORY = Gauge "node_sockstat_FRAG_memory" COUNT "octets" System "Memory of IPv4 packets that wait for their other parts.";
    SOCKSTAT_TCP6_INUSE = Gauge "node_sockstat_TCP6_inuse" COUNT "sockets" System "Sockets in use: TCP over IPv6.";
    SOCKSTAT_UDP6_INUSE = Gauge "node_sockstat_UDP6_inuse" COUNT "sockets" System "Sockets in use: UDP over IPv6.";
    SOCKSTAT_UDPLITE6_INUSE = Gauge "node_sockstat_UDPLITE6_inuse" COUNT "sockets" System "Sockets in use: UDP-Lite over IPv6.";
    SOCKSTAT_RAW6_INUSE = Gauge "node_sockstat_RAW6_inuse" COUNT "sockets" System "Sockets in use: raw sockets of IPv6.";
    SOCKSTAT_FRAG6_INUSE = Gauge "node_sockstat_FRAG6_inuse" COUNT "packets" System "IPv6 packets that wait for their other parts.";
    SOCKSTAT_FRAG6_MEMORY = Gauge "node_sockstat_FRAG6_memory" COUNT "octets" System "Memory of IPv6 packets that wait for their other parts.";

    PRESSURE_CPU_WAITING = Counter "node_pressure_cpu_waiting_seconds_total" MICRO "seconds" System "Time in which some task waited for a processor.";
    PRESSURE_IO_WAITING = Counter "node_pressure_io_waiting_seconds_total" MICRO "seconds" System "Time in which some task waited for storage.";
    PRESSURE_IO_STALLED = Counter "node_pressure_io_stalled_seconds_total" MICRO "seconds" System "Time in which no task got on because of storage.";
    PRESSURE_MEMORY_WAITING = Counter "node_pressure_memory_waiting_seconds_total" MICRO "seconds" System "Time in which some task waited for memory.";
    PRESSURE_MEMORY_STALLED = Counter "node_pressure_memory_stalled_seconds_total" MICRO "seconds" System "Time in which no task got on because of memory.";
    PRESSURE_IRQ_STALLED = Counter "node_pressure_irq_stalled_seconds_total" MICRO "seconds" System "Time in which no task got on because of interrupts.";

    SOFTNET_PROCESSED = Counter "node_softnet_processed_total" COUNT "packets" System "Packets that a processor took from network queues.";
    SOFTNET_DROPPED = Counter "node_softnet_dropped_total" COUNT "packets" System "Packets that a processor dropped because its queue was full.";
    SOFTNET_TIMES_SQUEEZED = Counter "node_softnet_times_squeezed_total" COUNT "times" System "How often a processor ran out of time while packets were left.";

    CONNTRACK_ENTRIES = Gauge "node_nf_conntrack_entries" COUNT "connections" System "Connections that the firewall keeps in mind.";
    CONNTRACK_LIMIT = Gauge "node_nf_conntrack_entries_limit" COUNT "connections" System "Most connections that the firewall keeps in mind.";
    FILEFD_ALLOCATED = Gauge "node_filefd_allocated" COUNT "files" System "Open files of the whole host.";
    FILEFD_MAXIMUM = Gauge "node_filefd_maximum" COUNT "files" System "Most open files of the whole host.";
    ENTROPY_AVAILABLE = Gauge "node_entropy_available_bits" COUNT "bits" System "Entropy that the random number generator has.";
    ENTROPY_POOL_SIZE = Gauge "node_entropy_pool_size_bits" COUNT "bits" System "Entropy that the random number generator can have.";

    NETWORK_INFO = Gauge "node_network_info" COUNT "" System "What an interface is, in labels.";
    NETWORK_UP = Gauge "node_network_up" COUNT "" System "Whether the state of an interface is up.";
    NETWORK_CARRIER = Gauge "node_network_carrier" COUNT "" System "Whether an interface has a link.";
    NETWORK_CARRIER_CHANGES = Counter "node_network_carrier_changes_total" COUNT "changes" System "How often an interface got or lost its link.";
    NETWORK_MTU = Gauge "node_network_mtu_bytes" COUNT "bytes" System "Largest packet of an interface.";
    NETWORK_SPEED = Gauge "node_network_speed_bytes" MEGABIT "bytes" System "Speed of an interface, per second.";
    NETWORK_QUEUE_LENGTH = Gauge "node_network_transmit_queue_length" COUNT "packets" System "Most packets that wait to be sent by an interface.";
    NETWORK_PROTOCOL_TYPE = Gauge "node_network_protocol_type" COUNT "" System "Which kind of network an interface is, as a number of the kernel.";
    NETWORK_IFACE_ID = Gauge "node_network_iface_id" COUNT "" System "Number of an interface.";

    CPU_FREQUENCY_MIN = Gauge "node_cpu_frequency_min_hertz" KILO "hertz" System "Lowest frequency that a processor can run at.";
    CPU_FREQUENCY_MAX = Gauge "node_cpu_frequency_max_hertz" KILO "hertz" System "Highest frequency that a processor can run at.";
    CPU_SCALING_FREQUENCY = Gauge "node_cpu_scaling_frequency_hertz" KILO "hertz" System "Frequency of a processor now.";
    CPU_SCALING_FREQUENCY_MIN = Gauge "node_cpu_scaling_frequency_min_hertz" KILO "hertz" System "Lowest frequency that a processor is allowed.";
    CPU_SCALING_FREQUENCY_MAX = Gauge "node_cpu_scaling_frequency_max_hertz" KILO "hertz" System "Highest frequency that a processor is allowed.";

    HWMON_CHIP_NAMES = Gauge "node_hwmon_chip_names" COUNT "" System "What a chip with sensors calls itself, in labels.";
    HWMON_SENSOR_LABEL = Gauge "node_hwmon_sensor_label" COUNT "" System "What a sensor is called, in labels.";
    HWMON_TEMP_CELSIUS = Gauge "node_hwmon_temp_celsius" MILLI "celsius" System "Temperature: as measured.";
    HWMON_TEMP_MIN_CELSIUS = Gauge "node_hwmon_temp_min_celsius" MILLI "celsius" System "Temperature: lower limit.";
    HWMON_TEMP_MAX_CELSIUS = Gauge "node_hwmon_temp_max_celsius" MILLI "celsius" System "Temperature: upper limit.";
    HWMON_TEMP_CRIT_CELSIUS = Gauge "node_hwmon_temp_crit_celsius" MILLI "celsius" System "Temperature: critical upper limit.";
    HWMON_TEMP_LCRIT_CELSIUS = Gauge "node_hwmon_temp_lcrit_celsius" MILLI "celsius" System "Temperature: critical lower limit.";
    HWMON_TEMP_EMERGENCY_CELSIUS = Gauge "node_hwmon_temp_emergency_celsius" MILLI "celsius" System "Temperature: emergency upper limit.";
    HWMON_TEMP_CRIT_HYST_CELSIUS = Gauge "node_hwmon_temp_crit_hyst_celsius" MILLI "celsius" System "Temperature: below which a critical alarm ends.";
    HWMON_TEMP_MAX_HYST_CELSIUS = Gauge "node_hwmon_temp_max_hyst_celsius" MILLI "celsius" System "Temperature: below which an alarm ends.";
    HWMON_TEMP_HIGHEST_CELSIUS = Gauge "node_hwmon_temp_highest_celsius" MILLI "celsius" System "Temperature: highest seen.";
    HWMON_TEMP_LOWEST_CELSIUS = Gauge "node_hwmon_temp_lowest_celsius" MILLI "celsius" System "Temperature: lowest seen.";
    HWMON_TEMP_OFFSET_CELSIUS = Gauge "node_hwmon_temp_offset_celsius" MILLI "celsius" System "Temperature: offset added to what is measured.";
    HWMON_TEMP_CRIT_ALARM_CELSIUS = Gauge "node_hwmon_temp_crit_alarm_celsius" MILLI "celsius" System "Temperature: critical alarm, in thousandths as node_exporter says it.";
    HWMON_TEMP_MAX_ALARM_CELSIUS = Gauge "node_hwmon_temp_max_alarm_celsius" MILLI "celsius" System "Temperature: alarm of the upper limit, in thousandths as node_exporter says it.";
    HWMON_TEMP_MIN_ALARM_CELSIUS = Gauge "node_hwmon_temp_min_alarm_celsius" MILLI "celsius" System "Temperature: alarm of the lower limit, in thousandths as node_exporter says it.";
    HWMON_TEMP_ALARM = Gauge "node_hwmon_temp_alarm" COUNT "" System "Temperature: whether there is an alarm.";
    HWMON_TEMP_FAULT = Gauge "node_hwmon_temp_fault" COUNT "" System "Temperature: whether the sensor is broken.";
    HWMON_TEMP_TYPE = Gauge "node_hwmon_temp_type" COUNT "" System "Temperature: kind of sensor.";
    HWMON_FAN_RPM = Gauge "node_hwmon_fan_rpm" COUNT "rpm" System "Fan: as measured.";
    HWMON_FAN_MIN_RPM = Gauge "node_hwmon_fan_min_rpm" COUNT "rpm" System "Fan: lower limit.";
    HWMON_FAN_MAX_RPM = Gauge "node_hwmon_fan_max_rpm" COUNT "rpm" System "Fan: upper limit.";
    HWMON_FAN_TARGET_RPM = Gauge "node_hwmon_fan_target_rpm" COUNT "rpm" System "Fan: target.";
    HWMON_FAN_ALARM = Gauge "node_hwmon_fan_alarm" COUNT "" System "Fan: whether there is an alarm.";
    HWMON_FAN_FAULT = Gauge "node_hwmon_fan_fault" COUNT "" System "Fan: whether the sensor is broken.";
    HWMON_FAN_DIV = Gauge "node_hwmon_fan_div" COUNT "" System "Fan: divisor.";
    HWMON_FAN_PULSES = Gauge "node_hwmon_fan_pulses" COUNT "" System "Fan: pulses per revolution.";
    HWMON_IN_VOLTS = Gauge "node_hwmon_in_volts" MILLI "volts" System "Voltage: as measured.";
    HWMON_IN_MIN_VOLTS = Gauge "node_hwmon_in_min_volts" MILLI "volts" System "Voltage: lower limit.";
    HWMON_IN_MAX_VOLTS = Gauge "node_hwmon_in_max_volts" MILLI "volts" System "Voltage: upper limit.";
    HWMON_IN_CRIT_VOLTS = Gauge "node_hwmon_in_crit_volts" MILLI "volts" System "Voltage: critical upper limit.";
    HWMON_IN_LCRIT_VOLTS = Gauge "node_hwmon_in_lcrit_volts" MILLI "volts" System "Voltage: critical lower limit.";
    HWMON_IN_AVERAGE_VOLTS = Gauge "node_hwmon_in_average_volts" MILLI "volts" System "Voltage: average.";
    HWMON_IN_HIGHEST_VOLTS = Gauge "node_hwmon_in_highest_volts" MILLI "volts" System "Voltage: highest seen.";
    HWMON_IN_LOWEST_VOLTS = Gauge "node_hwmon_in_lowest_volts" MILLI "volts" System "Voltage: lowest seen.";
    HWMON_IN_ALARM = Gauge "node_hwmon_in_alarm" COUNT "" System "Voltage: whether there is an alarm.";
    HWMON_CURR_AMPS = Gauge "node_hwmon_curr_amps" MILLI "amperes" System "Current: as measured.";
    HWMON_CURR_MIN_AMPS = Gauge "node_hwmon_curr_min_amps" MILLI "amperes" System "Current: lower limit.";
    HWMON_CURR_MAX_AMPS = Gauge "node_hwmon_curr_max_amps" MILLI "amperes" System "Current: upper limit.";
    HWMON_CURR_CRIT_AMPS = Gauge "node_hwmon_curr_crit_amps" MILLI "amperes" System "Current: critical upper limit.";
    HWMON_CURR_LCRIT_AMPS = Gauge "node_hwmon_curr_lcrit_amps" MILLI "amperes" System "Current: critical lower limit.";
    HWMON_CURR_AVERAGE_AMPS = Gauge "node_hwmon_curr_average_amps" MILLI "amperes" System "Current: average.";
    HWMON_CURR_HIGHEST_AMPS = Gauge "node_hwmon_curr_highest_amps" MILLI "amperes" System "Current: highest seen.";
    HWMON_POWER_WATT = Gauge "node_hwmon_power_watt" MICRO "watts" System "Power: as measured.";
    HWMON_POWER_AVERAGE_WATT = Gauge "node_hwmon_power_average_watt" MICRO "watts" System "Power: average.";
    HWMON_POWER_CAP_WATT = Gauge "node_hwmon_power_cap_watt" MICRO "watts" System "Power: limit that is enforced.";
    HWMON_POWER_CAP_MAX_WATT = Gauge "node_hwmon_power_cap_max_watt" MICRO "watts" System "Power: highest limit that can be enforced.";
    HWMON_POWER_CAP_MIN_WATT = Gauge "node_hwmon_power_cap_min_watt" MICRO "watts" System "Power: lowest limit that can be enforced.";
    HWMON_POWER_MAX_WATT = Gauge "node_hwmon_power_max_watt" MICRO "watts" System "Power: upper limit.";
    HWMON_POWER_CRIT_WATT = Gauge "node_hwmon_power_crit_watt" MICRO "watts" System "Power: critical upper limit.";
    HWMON_POWER_AVERAGE_INTERVAL_SECONDS = Gauge "node_hwmon_power_average_interval_seconds" MILLI "seconds" System "Power: time over which it is averaged.";
    HWMON_POWER_ALARM = Gauge "node_hwmon_power_alarm" COUNT "" System "Power: whether there is an alarm.";
    HWMON_ENERGY_JOULE = Counter "node_hwmon_energy_joule_total" MICRO "joules" System "Energy used: as measured.";
    HWMON_HUMIDITY = Gauge "node_hwmon_humidity" MICRO "" System "Humidity as a ratio: as measured.";
    HWMON_PWM = Gauge "node_hwmon_pwm" COUNT "" System "Fan control: as set.";
    HWMON_PWM_ENABLE = Gauge "node_hwmon_pwm_enable" COUNT "" System "Fan control: how it is controlled.";
    HWMON_PWM_MODE = Gauge "node_hwmon_pwm_mode" COUNT "" System "Fan control: how it is driven.";
    HWMON_INTRUSION_ALARM = Gauge "node_hwmon_intrusion_alarm" COUNT "" System "Opened case: whether there is an alarm.";

    OS_INFO = Gauge "node_os_info" COUNT "" System "What the distribution says of itself, in labels.";
    OS_VERSION = Gauge "node_os_version" FLOAT "" System "Version of the distribution, the part that is a decimal number.";
    DMI_INFO = Gauge "node_dmi_info" COUNT "" System "What the firmware says of the machine, in labels.";

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

    BUILD_INFO = Gauge "quorate_build_info" COUNT "" Other "The running aggregator, in labels.";
    START_TIME = Gauge "quorate_start_time_seconds" MILLI "seconds" Other "When the aggregator started, in seconds since the Unix epoch.";
    RESIDENT_MEMORY = Gauge "quorate_resident_memory_bytes" COUNT "bytes" Other "Resident memory of the aggregator.";
    RELOAD_SUCCESS = Gauge "quorate_config_last_reload_success" COUNT "" Other "Whether the last reload of the configuration was taken; absent before the first.";
    CERTIFICATE_END = Gauge "quorate_certificate_not_after_seconds" COUNT "seconds" Other "When a certificate of the aggregator ends, in seconds since the Unix epoch.";
    QUEUE_LENGTH = Gauge "quorate_queue_length" COUNT "messages" Other "Messages that wait in a queue of the aggregator.";
    QUEUE_ROOM = Gauge "quorate_queue_capacity" COUNT "messages" Other "Messages that a queue of the aggregator can hold.";
    SESSIONS = Gauge "quorate_sessions" COUNT "sessions" Other "Nodes that have a session.";
    CONNECTIONS = Gauge "quorate_connections" COUNT "connections" Other "Open connections of a port, proven or not.";
    CONNECTIONS_ACCEPTED = Counter "quorate_connections_accepted_total" COUNT "connections" Other "Connections that a port accepted.";
    HANDSHAKES = Counter "quorate_handshakes_total" COUNT "handshakes" Other "TLS handshakes that a port finished.";
    ACCEPT_ERRORS = Counter "quorate_accept_errors_total" COUNT "errors" Other "Failures to accept a connection at a port.";
    REFUSALS = Counter "quorate_refusals_total" COUNT "refusals" Other "How often somebody was sent away or cut short, by reason.";

    HISTORY_COMMITS = Counter "quorate_history_commits_total" COUNT "batches" Other "Batches of history, by whether they became durable.";
    HISTORY_FAILING = Gauge "quorate_history_commit_failing" COUNT "" Other "Whether the last batch of history failed to become durable.";
    HISTORY_BYTES = Gauge "quorate_history_disk_bytes" COUNT "bytes" Other "Disk that history takes.";
    HISTORY_FILES = Gauge "quorate_history_chunk_files" COUNT "files" Other "Chunk files of history.";
    HISTORY_DAMAGED = Counter "quorate_history_damaged_chunks_total" COUNT "chunks" Other "Chunks that could not be read since the start.";
    HISTORY_DELETED_FILES = Counter "quorate_history_deleted_files_total" COUNT "files" Other "Files that retention deleted since the start, by reason.";
    HISTORY_DELETED_BYTES = Counter "quorate_history_deleted_bytes_total" COUNT "bytes" Other "Bytes of files that retention deleted since the start, by reason.";

    SAMPLES_COLLECTED = Counter "quorate_samples_collected_total" COUNT "samples" Other "Samples that a node collected, as far as it was heard.";
    SAMPLES_STORED = Counter "quorate_samples_stored_total" COUNT "samples" Other "Samples of a node that are durable.";
    SAMPLES_DROPPED = Counter "quorate_samples_dropped_total" COUNT "samples" Other "Samples of a node that were not kept, by cause.";
    SAMPLES_OPEN = Gauge "quorate_samples_open" COUNT "samples" Other "Samples of a node that were collected and are neither stored nor lost yet.";
    NODE_SERIES = Gauge "quorate_node_series" COUNT "series" Other "Series of a node that are live.";
    NODE_FRAMES = Counter "quorate_node_frames_total" COUNT "frames" Other "Frames of a node that were accepted since the start.";
    NODE_SKEW = Gauge "quorate_node_clock_skew_seconds" MILLI "seconds" Other "Wall clock of a node minus that of the aggregator.";
    NODE_UP = Gauge "quorate_node_up" COUNT "" Other "Whether a node is heard within its time.";
    NODE_HEALTH = Gauge "quorate_node_health" COUNT "" Other "Is 1 for the health that a node has, 0 for the others.";
    PERFORMANCE = Gauge "quorate_performance" FLOAT "" Other "What a component of a node has left, from 0 for nothing to 100 for everything.";

    CLUSTER_HEALTH = Gauge "quorate_cluster_health" COUNT "" Other "Is 1 for the health that a cluster has, 0 for the others.";
    HEALTHY_NODES = Gauge "quorate_healthy_nodes" COUNT "nodes" Other "Members of a cluster that respond: healthy or degraded.";
    TOTAL_NODES = Gauge "quorate_total_nodes" COUNT "nodes" Other "Declared members of a cluster.";
    DEGRADED_NODES = Gauge "quorate_degraded_nodes" COUNT "nodes" Other "Members of a cluster that are degraded.";
    UNHEALTHY_NODES = Gauge "quorate_unhealthy_nodes" COUNT "nodes" Other "Members of a cluster that do not respond.";
    UNKNOWN_NODES = Gauge "quorate_unknown_nodes" COUNT "nodes" Other "Members of a cluster of which nothing is known.";
    QUORUM_STATUS = Gauge "quorate_quorum_status" COUNT "" Other "Is 1 for the status that the quorum of a cluster has, 0 for the others.";
    QUORUM_DECLARED = Gauge "quorate_quorum_votes_declared" COUNT "votes" Other "Weight of all voters of a cluster.";
    QUORUM_NEEDED = Gauge "quorate_quorum_votes_needed" COUNT "votes" Other "Weight that the quorum of a cluster needs.";
    QUORUM_ALIVE = Gauge "quorate_quorum_votes_alive" COUNT "votes" Other "Weight of voters of a cluster that are surely alive.";
    QUORUM_MARGIN = Gauge "quorate_quorum_margin" COUNT "failures" Other "Further failures that a quorum surely survives; absent when it is not there.";
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
        // These two subjects are counters of the kernel, named by node_exporter as the kernel names them.
        let is_kernel = |name: &str| name.starts_with("node_netstat_") || name.starts_with("node_vmstat_");
        for def in CATALOG.iter().filter(|def| !is_kernel(def.name)) {
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
