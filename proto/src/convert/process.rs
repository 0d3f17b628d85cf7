//! Rows of a process table.

use crate::v1;
use quorate_common::model::process::ProcessRow;

impl From<&ProcessRow> for v1::Process {
    fn from(row: &ProcessRow) -> Self {
        v1::Process {
            pid: row.pid,
            parent_pid: row.parent_pid,
            name: row.name.clone(),
            group: row.group.clone(),
            user: row.user.clone(),
            state: row.state.clone(),
            cpu_percent: row.cpu_percent,
            cpu_seconds: row.cpu_seconds,
            memory_bytes: row.memory_bytes,
            memory_percent: row.memory_percent,
            threads: row.threads,
            started_unix_seconds: row.started_unix_seconds,
            read_bytes: row.read_bytes,
            written_bytes: row.written_bytes,
        }
    }
}

impl From<v1::Process> for ProcessRow {
    fn from(row: v1::Process) -> Self {
        ProcessRow {
            pid: row.pid,
            parent_pid: row.parent_pid,
            name: row.name,
            group: row.group,
            user: row.user,
            state: row.state,
            cpu_percent: row.cpu_percent,
            cpu_seconds: row.cpu_seconds,
            memory_bytes: row.memory_bytes,
            memory_percent: row.memory_percent,
            threads: row.threads,
            started_unix_seconds: row.started_unix_seconds,
            read_bytes: row.read_bytes,
            written_bytes: row.written_bytes,
        }
    }
}
