//! What is asked of a node, and the queue of it in front of a session.

use quorate_common::model::session::{AggregatorMessage, Rate, RecorderRange, RequestKind};
use tokio::sync::mpsc;

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
