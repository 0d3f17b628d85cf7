//! One descriptor that is kept back: without it, a process out of descriptors could not even turn a caller away, and
//! everybody would wait in the kernel's queue until he gives up.
//!
//! ```text
//!   kept ── out of descriptors ─→ given up ─→ accept, close ─→ accept, close … nobody waits ─→ kept
//! ```

use rustix::io::Errno;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use tokio::net::TcpListener;

/// Callers that are turned away at once; those behind them have their turn after the next wait.
const SHED_MAX: usize = 256;

/// The descriptor, while we have it.
pub(in crate::serve) struct Reserve(Option<File>);

impl Reserve {
    /// Takes one, if there is any.
    pub(in crate::serve) fn take() -> Reserve {
        let mut reserve = Reserve(None);
        reserve.refill();
        reserve
    }

    /// Closes the connection of everybody who waits, and says who that was. Does nothing unless `error` is the want
    /// of descriptors.
    pub(in crate::serve) async fn shed(&mut self, tcp: &TcpListener, error: &io::Error) -> Vec<SocketAddr> {
        let mut shed = Vec::new();
        if !is_exhausted(error) {
            return shed;
        }
        self.0 = None;
        while shed.len() < SHED_MAX {
            // It is closed as soon as it is looked at, so that the next one has its place.
            let Some(Ok((_, address))) = waiting(tcp).await else { break };
            shed.push(address);
        }
        self.refill();
        shed
    }

    /// Somebody else may have been quicker; then the next one that is free is ours.
    fn refill(&mut self) {
        if self.0.is_none() {
            self.0 = File::open("/dev/null").ok();
        }
    }
}

/// This process, or the whole machine, may open no more.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Whoever waits to be accepted; nobody is waited for.
async fn waiting(tcp: &TcpListener) -> Option<io::Result<(tokio::net::TcpStream, SocketAddr)>> {
    poll_fn(|context| match tcp.poll_accept(context) {
        Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn whoever_waits_is_turned_away_at_once_and_nobody_else() {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut callers = Vec::new();
        for _ in 0..3 {
            callers.push(TcpStream::connect(tcp.local_addr().unwrap()).await.unwrap());
        }
        // The kernel tells of them a moment later.
        poll_fn(|context| tcp.poll_accept(context).map(drop)).await;
        let mut reserve = Reserve::take();
        let other = io::Error::from(io::ErrorKind::ConnectionAborted);
        assert!(reserve.shed(&tcp, &other).await.is_empty(), "there are descriptors");
        let exhausted = io::Error::from(Errno::MFILE);
        let shed = reserve.shed(&tcp, &exhausted).await;
        let mut late = callers.split_off(1);
        let expected: Vec<SocketAddr> = late.iter().map(|it| it.local_addr().unwrap()).collect();
        assert_eq!(shed, expected);
        for caller in &mut late {
            assert_eq!(caller.read(&mut [0]).await.unwrap(), 0, "closed");
        }
        assert!(reserve.shed(&tcp, &exhausted).await.is_empty() && reserve.0.is_some());
    }
}
