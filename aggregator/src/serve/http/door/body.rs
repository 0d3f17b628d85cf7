//! Bodies: one that is read is bounded in bytes and time, one that is written ends with its caller's credential.

use super::call::Call;
use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// Why a body was not read or written to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// It is larger than it may be.
    #[error("the body is larger than {0} bytes")]
    Large(u64),
    /// It was not there in time.
    #[error("the body was not sent within {0:?}")]
    Slow(Duration),
    /// The credential ended.
    #[error("the caller's token is no longer good")]
    Cut,
    /// The connection or its producer failed.
    #[error(transparent)]
    Inner(axum::Error),
}

/// A request's body, within its bounds.
pub(super) struct Bounded {
    body: Body,
    max: u64,
    left: u64,
    deadline: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Bounded {
    pub(super) fn new(body: Body, max: u64, deadline: Duration) -> Bounded {
        Bounded { body, max, left: max, deadline, timer: Box::pin(tokio::time::sleep(deadline)) }
    }
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let Poll::Ready(frame) = polled else {
            ready!(self.timer.as_mut().poll(cx));
            return Poll::Ready(Some(Err(BodyError::Slow(self.deadline))));
        };
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref().map(Bytes::len));
        match self.left.checked_sub(bytes.unwrap_or_default() as u64) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Some(Err(BodyError::Large(self.max)))),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Inner)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body. Its call is in work until it is dropped.
pub(super) struct Owned {
    body: Body,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _call: Call,
}

impl Owned {
    pub(super) fn new(body: Body, call: Call) -> Owned {
        Owned { body, cut: Box::pin(call.cut.clone().cancelled_owned()), _call: call }
    }
}

impl http_body::Body for Owned {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(BodyError::Cut)));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        polled.map(|frame| frame.map(|frame| frame.map_err(BodyError::Inner)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
