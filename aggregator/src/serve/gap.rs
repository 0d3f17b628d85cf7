//! Gaps as they are told: as messages, and as sentences beside the values that they are missing from.

use super::cluster::known_node;
use super::query::within;
use crate::identity::registry::{GapFilter, Registry, RegistryError};
use quorate_common::error::Kind;
use quorate_common::model::cluster::Snapshot;
use quorate_common::model::gap::Gap;
use quorate_common::model::node::NodeId;
use quorate_common::model::time::WallTime;
use quorate_proto::convert::{timestamp, wall_time};
use quorate_proto::{status, v1};
use std::collections::HashMap;
use tonic::Status;

/// How far back a question reaches that says nothing about it.
const SPAN_DEFAULT_NS: i64 = 86_400 * 1_000_000_000;
/// Nodes that are asked one by one; of more, the newest gaps of all are looked through.
const NODES_MAX: usize = 32;
/// Gaps beside an answer.
const BESIDE_MAX: u32 = 1000;
/// Gaps that are told in sentences.
const SENTENCES_MAX: usize = 20;

/// The names of nodes.
pub type Names = HashMap<NodeId, String>;

/// The names of all declared nodes.
pub fn names(snapshot: &Snapshot) -> Names {
    let nodes = snapshot.nodes.iter().map(|node| &node.member);
    nodes.map(|member| (member.id, member.name.to_string())).collect()
}

/// Answers a question.
pub async fn list(
    registry: &Registry,
    snapshot: &Snapshot,
    request: v1::ListGapsRequest,
    now: WallTime,
) -> Result<v1::ListGapsResponse, Status> {
    let limit = within("limit", request.limit, 1000, 10_000)?;
    let node = match &*request.node {
        "" => None,
        name => Some(known_node(snapshot, name, "node")?.member.id),
    };
    let to = request.end.as_ref().map_or(now, wall_time);
    let from = request.start.as_ref().map_or(WallTime(to.0.saturating_sub(SPAN_DEFAULT_NS)), wall_time);
    if to < from {
        return Err(status::field("end", "field `end`: before `start`"));
    }
    let filter = GapFilter { node, from, to };
    let (gaps, left_out) = registry.list_gaps(filter, limit).await.map_err(|error| failed(&error))?;
    let names = names(snapshot);
    let gaps = gaps.iter().filter_map(|(node, gap)| Some(wire(names.get(node)?, gap))).collect();
    Ok(v1::ListGapsResponse { gaps, left_out })
}

/// The gaps of some nodes, the newest of them if there are very many.
pub async fn of(registry: &Registry, nodes: &Names, filter: GapFilter) -> Result<Vec<(NodeId, Gap)>, Status> {
    let mut found = Vec::new();
    if nodes.len() > NODES_MAX {
        found = registry.list_gaps(filter, BESIDE_MAX).await.map_err(|error| failed(&error))?.0;
        found.retain(|(node, _)| nodes.contains_key(node));
        return Ok(found);
    }
    for node in nodes.keys() {
        let own = GapFilter { node: Some(*node), ..filter };
        let limit = BESIDE_MAX / u32::try_from(nodes.len()).unwrap_or(1).max(1);
        found.extend(registry.list_gaps(own, limit).await.map_err(|error| failed(&error))?.0);
    }
    found.sort_by_key(|(_, gap)| std::cmp::Reverse(gap.from));
    Ok(found)
}

/// Adds gaps to the end of an answer: what is missing is a warning, what came after all only an info.
pub fn tell(end: &mut v1::RangeEnd, names: &Names, gaps: &[(NodeId, Gap)]) {
    let named = || gaps.iter().filter_map(|(node, gap)| Some((names.get(node)?, gap)));
    let is_missing = |gap: &Gap| gap.filled.is_none() && gap.collector.is_none();
    let sentences = |is_wanted: bool| {
        let wanted: Vec<_> = named().filter(|(_, gap)| is_missing(gap) == is_wanted).collect();
        let rest = wanted.len().saturating_sub(SENTENCES_MAX);
        let more = (rest > 0).then(|| format!("{rest} more gaps, see ListGaps"));
        let told = wanted.into_iter().take(SENTENCES_MAX).map(|(name, gap)| sentence(name, gap));
        told.chain(more).collect::<Vec<_>>()
    };
    end.warnings.extend(sentences(true));
    end.infos.extend(sentences(false));
    end.gaps.extend(named().map(|(name, gap)| wire(name, gap)));
}

/// `node n1: no samples A..B, link down, back-filled`.
fn sentence(node: &str, gap: &Gap) -> String {
    let to = gap.to.map_or_else(|| "now".to_owned(), |to| to.to_string());
    let whose = gap.collector.as_deref().map(|name| format!(" of collector {name}")).unwrap_or_default();
    let cause = gap.cause.as_str().replace('_', " ");
    let samples = if gap.samples > 0 { format!(", {} samples", gap.samples) } else { String::new() };
    let filled = if gap.filled.is_some() { ", back-filled" } else { "" };
    format!("node {node}: no samples{whose} {}..{to}, {cause}{samples}{filled}", gap.from)
}

fn wire(node: &str, gap: &Gap) -> v1::Gap {
    v1::Gap {
        node: node.to_owned(),
        collector: gap.collector.as_deref().unwrap_or_default().to_owned(),
        from: Some(timestamp(gap.from)),
        to: gap.to.map(timestamp),
        cause: gap.cause.as_str().to_owned(),
        samples: gap.samples,
        filled: gap.filled.map(timestamp),
    }
}

fn failed(error: &RegistryError) -> Status {
    status::of(Kind::Internal, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::model::gap::GapCause;

    #[test]
    fn what_is_missing_is_a_warning_and_what_came_after_all_is_not() {
        let names: Names = [(NodeId(1), "n1".to_owned())].into();
        let gap = Gap {
            collector: None,
            from: WallTime(5_000_000_000),
            to: Some(WallTime(9_500_000_000)),
            cause: GapCause::Overflow,
            samples: 7,
            filled: None,
        };
        let filled = Gap { cause: GapCause::LinkDown, samples: 0, filled: Some(WallTime(1)), ..gap.clone() };
        let collector = Gap { collector: Some("cpu".into()), to: None, samples: 0, ..gap.clone() };
        let collector = Gap { cause: GapCause::CollectorTimeout, ..collector };
        let of = |gap: &Gap| (NodeId(1), gap.clone());
        let mut end = v1::RangeEnd::default();
        tell(&mut end, &names, &[of(&gap), of(&filled), of(&collector), (NodeId(2), gap.clone())]);
        let span = "1970-01-01T00:00:05.000Z..1970-01-01T00:00:09.500Z";
        assert_eq!(end.warnings, [format!("node n1: no samples {span}, overflow, 7 samples")]);
        assert_eq!(
            end.infos,
            [
                format!("node n1: no samples {span}, link down, back-filled"),
                "node n1: no samples of collector cpu 1970-01-01T00:00:05.000Z..now, collector timeout"
                    .to_owned(),
            ]
        );
        assert_eq!(end.gaps.len(), 3);
        let mut end = v1::RangeEnd::default();
        tell(&mut end, &names, &vec![of(&gap); 25]);
        assert_eq!((end.warnings.len(), end.gaps.len()), (21, 25));
        assert_eq!(end.warnings[20], "5 more gaps, see ListGaps");
    }
}
