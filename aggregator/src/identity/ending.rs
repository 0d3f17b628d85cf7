//! Why a connection is about to be closed, for the streams on it that can still say so.

use std::sync::Arc;
use tokio::sync::watch;

/// Told once by whoever closes the connection, heard by every stream on it. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Ending(watch::Sender<Option<Arc<str>>>);

impl Ending {
    /// Tells the reason; whether this was the first time.
    pub fn tell(&self, reason: &str) -> bool {
        self.0.send_if_modified(|told| {
            let is_first = told.is_none();
            told.get_or_insert_with(|| reason.into());
            is_first
        })
    }

    /// Waits for the reason.
    pub async fn told(&self) -> Arc<str> {
        let mut told = self.0.subscribe();
        // An error is impossible: a sender is ours.
        told.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stands_and_is_heard_late_too() {
        let ending = Ending::default();
        let hears = tokio::spawn({
            let ending = ending.clone();
            async move { ending.told().await }
        });
        assert!(ending.tell("revoked"));
        assert!(!ending.tell("expired"));
        assert_eq!(&*hears.await.unwrap(), "revoked");
        assert_eq!(&*ending.told().await, "revoked");
    }
}
