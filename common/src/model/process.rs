//! A process, as one row of the process table of a node.

/// One process at one moment.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct ProcessRow {
    /// Process number.
    pub pid: u32,
    /// Process number of the parent.
    pub parent_pid: u32,
    /// Name of the program, as the kernel has it.
    pub name: String,
    /// The group that it is counted in.
    pub group: String,
    /// Name of the user, or the number where it has no name.
    pub user: String,
    /// State letter of the kernel: R, S, D, Z, T, I.
    pub state: String,
    /// Share of one processor over the last interval, in percent.
    pub cpu_percent: f64,
    /// Processor time used since the start.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Resident memory as a share of the host's, in percent.
    pub memory_percent: f64,
    /// Threads.
    pub threads: u32,
    /// When it started, in seconds since the Unix epoch.
    pub started_unix_seconds: f64,
    /// Bytes read from storage since the start; `None` where the agent may not know.
    pub read_bytes: Option<u64>,
    /// Bytes written to storage since the start; `None` where the agent may not know.
    pub written_bytes: Option<u64>,
}
