//! Process tables, asked of the agents.

use super::Rest;
use super::ask::ask;
use super::extract::{Query, limit};
use super::hostname::{hostname_of, resolve_or_all};
use super::refused::{Refused, Unanswered, Unfound};
use crate::serve::http::envelope::{Failure, FailureKind, Success};
use axum::extract::State;
use quorate_common::model::process::ProcessRow;
use quorate_common::model::session::{RequestKind, ResponseBody};
use serde::{Deserialize, Serialize};

/// Which processes.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ProcessesAsked {
    /// Of this node only: its name, or a hostname that it alone has.
    pub hostname: Option<String>,
    /// Whose name is this.
    pub process_name: Option<String>,
    /// Most processes.
    #[param(minimum = 1, maximum = 10000, default = 100)]
    pub limit: Option<u32>,
}

/// One process.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Process {
    /// On which node.
    pub node: String,
    /// Its hostname.
    pub hostname: String,
    /// Number of the process.
    pub pid: u32,
    /// Number of its parent.
    pub parent_pid: u32,
    /// The program.
    pub process_name: String,
    /// Whose it is.
    pub user: String,
    /// The kernel's letter.
    pub state: String,
    /// Share of one processor, in percent.
    pub cpu_percent: f64,
    /// Resident memory.
    pub memory_bytes: u64,
    /// The same, in percent of the host's.
    pub memory_percent: f64,
    /// Threads.
    pub threads: u32,
    /// Bytes read from storage; absent where the agent may not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_bytes: Option<u64>,
    /// Bytes written to storage; absent where the agent may not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_bytes: Option<u64>,
}

fn process((node, hostname): (&str, &str), row: ProcessRow) -> Process {
    Process {
        node: node.to_owned(),
        hostname: hostname.to_owned(),
        pid: row.pid,
        parent_pid: row.parent_pid,
        process_name: row.name,
        user: row.user,
        state: row.state,
        cpu_percent: row.cpu_percent,
        memory_bytes: row.memory_bytes,
        memory_percent: row.memory_percent,
        threads: row.threads,
        read_bytes: row.read_bytes,
        written_bytes: row.written_bytes,
    }
}

/// Processes as they are now, the busiest first. A node that does not answer is a warning, or a failure if it was named.
#[utoipa::path(get, path = "/api/v1/metrics/processes", tag = "metrics", params(ProcessesAsked),
    responses((status = 200, body = Success<Vec<Process>>), Refused, Unfound, Unanswered))]
pub async fn list(
    State(rest): State<Rest>,
    Query(asked): Query<ProcessesAsked>,
) -> Result<Success<Vec<Process>>, Failure> {
    let most = limit(asked.limit, 100, 10_000)?;
    let nodes = resolve_or_all(&rest.snapshot(), asked.hostname.as_deref())?;
    let (mut rows, mut warnings) = (Vec::new(), Vec::new());
    for (node, answer) in ask(&rest, nodes, RequestKind::ProcessTable).await? {
        match answer {
            Ok(ResponseBody::Processes(table)) => {
                let names = (node.member.name.as_str(), &*hostname_of(&node));
                let wanted =
                    |row: &ProcessRow| asked.process_name.as_ref().is_none_or(|name| *name == row.name);
                rows.extend(table.into_iter().filter(wanted).map(|row| process(names, row)));
            }
            Ok(_) => warnings.push(format!("node `{}` answered something else", node.member.name)),
            Err(error) if asked.hostname.is_some() => {
                return Err(Failure::new(FailureKind::Unavailable, error.to_string()));
            }
            Err(error) => warnings.push(error.to_string()),
        }
    }
    rows.sort_by(|a, b| b.cpu_percent.total_cmp(&a.cpu_percent).then(b.memory_bytes.cmp(&a.memory_bytes)));
    rows.truncate(most);
    Ok(Success { data: rows, warnings, infos: Vec::new() })
}
