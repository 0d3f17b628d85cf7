//! Gaps: which are asked for, and what is said of them.

use super::convert::{all, present, stamp};
use crate::view::{self, Stamp};
use quorate_proto::convert::timestamp;
use quorate_proto::v1;

/// Which gaps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GapQuestion {
    /// Of this node; empty for all.
    pub node: String,
    /// That end behind this.
    pub start: Option<Stamp>,
    /// That begin before this.
    pub end: Option<Stamp>,
    /// The newest of them.
    pub limit: u32,
}

impl From<&GapQuestion> for v1::ListGapsRequest {
    fn from(question: &GapQuestion) -> Self {
        let moment = |stamp: Option<Stamp>| stamp.map(|stamp| timestamp(stamp.0));
        let (start, end) = (moment(question.start), moment(question.end));
        v1::ListGapsRequest { node: question.node.clone(), start, end, limit: question.limit }
    }
}

impl From<v1::Gap> for view::Gap {
    fn from(message: v1::Gap) -> Self {
        view::Gap {
            node: message.node,
            collector: present(message.collector),
            from: stamp(message.from),
            to: stamp(message.to),
            cause: message.cause,
            samples: message.samples,
            filled: stamp(message.filled),
        }
    }
}

impl From<v1::ListGapsResponse> for view::GapList {
    fn from(message: v1::ListGapsResponse) -> Self {
        view::GapList { gaps: all(message.gaps), left_out: message.left_out }
    }
}
