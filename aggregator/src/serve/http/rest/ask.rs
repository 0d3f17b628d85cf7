//! One question to several agents, some at a time.

use super::Rest;
use crate::agents::AskError;
use crate::serve::http::envelope::Failure;
use futures_util::StreamExt;
use quorate_common::model::cluster::NodeVerdict;
use quorate_common::model::session::{RequestKind, ResponseBody};
use std::time::Duration;

/// How long an agent has.
const ASK_DEADLINE: Duration = Duration::from_secs(5);
/// Agents that are asked at once.
const TOGETHER: usize = 64;

/// What a node said.
pub type Said = (NodeVerdict, Result<ResponseBody, AskError>);

/// Asks nodes, and gives what each said, in any order.
///
/// # Errors
/// Too many ask already.
pub async fn ask(rest: &Rest, nodes: Vec<NodeVerdict>, kind: RequestKind) -> Result<Vec<Said>, Failure> {
    let _slot = rest.slot()?;
    let one = |node: NodeVerdict| async move {
        let answer = rest.agents.ask(node.member.id, &node.member.name, kind, ASK_DEADLINE).await;
        (node, answer)
    };
    Ok(futures_util::stream::iter(nodes).map(one).buffer_unordered(TOGETHER).collect().await)
}
