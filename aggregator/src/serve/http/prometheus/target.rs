//! Targets: the agents of all declared nodes. They send by themselves, so none of them is ever dropped.

use super::api::Prometheus;
use super::failure::invalid;
use super::parameter::Parameters;
use crate::query::selector::JOB;
use crate::serve::http::envelope::{Failure, Success};
use axum::extract::State;
use quorate_common::model::cluster::NodeVerdict;
use quorate_common::model::node::Liveness;
use serde_json::{Value, json};

/// When nobody was ever heard.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// `GET /api/v1/targets`.
pub async fn list(State(api): State<Prometheus>, parameters: Parameters) -> Result<Success<Value>, Failure> {
    let is_active = match parameters.get("state").map(str::to_ascii_lowercase).as_deref() {
        None | Some("active" | "any") => true,
        Some("dropped") => false,
        Some(other) => return Err(invalid("state", format_args!("not supported value {other:?}"))),
    };
    let is_pool = parameters.get("scrapePool").is_none_or(|pool| pool == JOB);
    let snapshot = api.snapshots.borrow().clone();
    let nodes = snapshot.nodes.iter().filter(|_| is_active && is_pool);
    let active: Vec<Value> = nodes.map(|node| target(&api, node)).collect();
    Ok(Success::of(json!({
        "activeTargets": active,
        "droppedTargets": [],
        "droppedTargetCounts": {},
    })))
}

fn target(api: &Prometheus, node: &NodeVerdict) -> Value {
    let name = node.member.name.as_str();
    let health = health(node.liveness);
    let interval_ms = api.live.get(node.member.id).map_or(0, |row| row.facts().next_due_ms);
    let error = if health == "down" { node.reasons.join("; ") } else { String::new() };
    json!({
        "discoveredLabels": {"__address__": name, "job": JOB},
        "labels": {
            "cluster": &*node.member.cluster,
            "instance": name,
            "job": JOB,
            "node": name,
        },
        "scrapePool": JOB,
        "scrapeUrl": format!("{JOB}://{name}"),
        "globalUrl": format!("{JOB}://{name}"),
        "lastError": error,
        "lastScrape": node.last_heard.map_or_else(|| NEVER.to_owned(), |at| at.to_string()),
        "lastScrapeDuration": 0,
        "health": health,
        "scrapeInterval": format!("{interval_ms}ms"),
        "scrapeTimeout": format!("{interval_ms}ms"),
    })
}

const fn health(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Up | Liveness::Suspect => "up",
        Liveness::Down | Liveness::Left | Liveness::Isolated | Liveness::AgentDead => "down",
        Liveness::Unknown => "unknown",
    }
}
