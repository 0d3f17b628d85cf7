//! A message that is begun has to end in time: otherwise whoever sends five bytes and nothing more holds what was
//! set aside for the rest.
//!
//! ```text
//!   between messages ──first byte──→ within one ──last byte──→ between messages     no deadline between
//!                                        └─ deadline ─→ DEADLINE_EXCEEDED
//! ```

use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;

/// A flag and a length precede each message.
const HEAD_BYTES: usize = 5;

/// A request's body, read along.
pub struct Timed {
    body: Body,
    deadline: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    reader: Reader,
}

/// How far the message is.
#[derive(Debug, Default)]
struct Reader {
    head: [u8; HEAD_BYTES],
    filled: usize,
    /// Bytes of the message that are still to come.
    missing: usize,
}

impl Timed {
    /// Each message of `body` has so long from its first byte to its last.
    pub fn new(body: Body, deadline: Duration) -> Timed {
        Timed { body, deadline, timer: None, reader: Reader::default() }
    }

    fn follow(&mut self, data: &Bytes) {
        let ended = self.reader.read(data);
        if !self.reader.is_within() {
            self.timer = None;
        } else if ended || self.timer.is_none() {
            self.timer = Some(Box::pin(tokio::time::sleep(self.deadline)));
        }
    }
}

impl Reader {
    /// Reads on; whether a message ended meanwhile.
    fn read(&mut self, mut data: &[u8]) -> bool {
        let mut ended = false;
        while data.has_remaining() {
            let taken = self.missing.min(data.len());
            self.missing -= taken;
            data.advance(taken);
            ended |= taken > 0 && self.missing == 0;
            let wanted = (HEAD_BYTES - self.filled).min(data.len());
            if self.missing > 0 || wanted == 0 {
                continue;
            }
            self.head[self.filled..self.filled + wanted].copy_from_slice(&data[..wanted]);
            self.filled += wanted;
            data.advance(wanted);
            if self.filled == HEAD_BYTES {
                let [_, length @ ..] = self.head;
                (self.filled, self.missing) = (0, u32::from_be_bytes(length) as usize);
                ended |= self.missing == 0;
            }
        }
        ended
    }

    fn is_within(&self) -> bool {
        self.filled > 0 || self.missing > 0
    }
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.follow(data);
        }
        if polled.is_ready() {
            return polled;
        }
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        std::task::ready!(timer.as_mut().poll(cx));
        self.timer = None;
        let text = format!("a message was begun and not ended within {:?}", self.deadline);
        Poll::Ready(Some(Err(Status::deadline_exceeded(text))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;

    #[test]
    fn messages_are_followed_however_they_are_cut() {
        let stream = [&[0, 0, 0, 0, 3, 1, 2, 3][..], &[0; 5], &[1, 0, 0, 1, 0], &[9; 256]].concat();
        for size in [1, 2, 5, 7, 300] {
            let mut reader = Reader::default();
            let ended = stream.chunks(size).filter(|chunk| reader.read(chunk)).count();
            assert!((1..=3).contains(&ended) && !reader.is_within(), "{size}");
            assert!(!reader.read(&[0]) && reader.is_within());
        }
    }

    #[tokio::test]
    async fn only_a_begun_message_has_a_deadline() {
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, Status>>(4);
        let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let body = Body::new(http_body_util::StreamBody::new(stream));
        let mut timed = Box::pin(Timed::new(body, Duration::from_millis(20)));
        let mut next = async || std::future::poll_fn(|cx| timed.as_mut().poll_frame(cx)).await;
        let send =
            |bytes: &'static [u8]| sender.try_send(Ok(Frame::data(Bytes::from_static(bytes)))).unwrap();
        send(&[0, 0, 0, 0, 1, 7]);
        assert!(next().await.unwrap().is_ok());
        let quiet = tokio::time::timeout(Duration::from_millis(100), next()).await;
        assert!(quiet.is_err(), "between messages it may be quiet");
        send(&[0, 0, 16, 0, 0]);
        assert!(next().await.unwrap().is_ok());
        let status = next().await.unwrap().unwrap_err();
        assert_eq!(status.message(), "a message was begun and not ended within 20ms");
    }
}
