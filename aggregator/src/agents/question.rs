//! What is asked of a node, and the queue of it in front of a session.

use quorate_common::error::Kind;
use quorate_common::model::node::NodeName;
use quorate_common::model::session::{AggregatorMessage, Rate, RecorderRange, RequestKind};
use std::time::Duration;
use tokio::sync::mpsc;

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The node has no session.
    #[error("node `{0}` has no session")]
    Away(NodeName),
    /// Too many questions wait already.
    #[error("too many requests wait for node `{0}`")]
    Busy(NodeName),
    /// The answer did not come in time.
    #[error("node `{0}` did not answer in {1:?}")]
    Late(NodeName, Duration),
    /// The agent could not do it.
    #[error("node `{0}`: {1}")]
    Failed(NodeName, String),
    /// The aggregator is stopping.
    #[error("the aggregator is stopping")]
    Stopping,
}

impl AskError {
    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        match self {
            AskError::Away(_) | AskError::Stopping => Kind::Unavailable,
            AskError::Busy(_) => Kind::Exhausted,
            AskError::Late(..) => Kind::Timeout,
            AskError::Failed(..) => Kind::Internal,
        }
    }
}

/// What is asked of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub kind: RequestKind,
    /// What of the recorder; only for that kind.
    pub range: Option<RecorderRange>,
    /// Which rate; only with [`RequestKind::SetRate`].
    pub rate: Option<Rate>,
}

impl From<RequestKind> for Question {
    fn from(kind: RequestKind) -> Question {
        Question { kind, range: None, rate: None }
    }
}

impl From<RecorderRange> for Question {
    fn from(range: RecorderRange) -> Question {
        Question { range: Some(range), ..RequestKind::Recorder.into() }
    }
}

impl From<Rate> for Question {
    fn from(rate: Rate) -> Question {
        Question { rate: Some(rate), ..RequestKind::SetRate.into() }
    }
}

/// Questions that wait for a session. A queue sets room aside for many, and most sessions are never asked anything: it
/// holds pointers.
#[derive(Debug)]
pub struct Questions(mpsc::Receiver<Box<AggregatorMessage>>);

/// Where they are put.
pub(super) type Queue = mpsc::Sender<Box<AggregatorMessage>>;

/// A queue for so many.
pub(super) fn queue(max: usize) -> (Queue, Questions) {
    let (queue, inbox) = mpsc::channel(max);
    (queue, Questions(inbox))
}

impl Questions {
    /// The next one; `None` once the session is no longer the current one of its node.
    pub async fn recv(&mut self) -> Option<AggregatorMessage> {
        self.0.recv().await.map(|question| *question)
    }
}
