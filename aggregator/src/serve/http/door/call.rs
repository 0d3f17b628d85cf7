//! The requests in work, by credential: so many at once, and none for longer than its credential is good.
//!
//! ```text
//!   in work ──credential ends──→ told (its stream may say so) ──500 ms──→ cut
//!      └─ answered, gone ─→ forgotten
//! ```

use super::Door;
use crate::identity::ending::Ending;
use crate::limit::{HttpLimits, Reason};
use crate::serve::http::credential::Credential;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a stream has to say why it ends.
const FAREWELL: Duration = Duration::from_millis(500);
/// How often credentials that expired, or sessions that ended, are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// All requests in work. A clone is the same.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    next: u64,
    open: HashMap<u64, Open>,
}

#[derive(Clone)]
struct Open {
    credential: Credential,
    ending: Ending,
    cut: CancellationToken,
}

/// One request in work, until it is dropped.
pub(super) struct Call {
    /// Told before it is cut; in the extensions of the request.
    pub ending: Ending,
    /// Cancelled when it is to end at once.
    pub cut: CancellationToken,
    number: u64,
    calls: Calls,
}

impl Calls {
    /// One more, or the limit that is reached.
    pub(super) fn enter(&self, credential: Credential, limits: &HttpLimits) -> Result<Call, (Reason, u32)> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open.len() >= limits.at_once_max as usize {
            return Err((Reason::Calls, limits.at_once_max));
        }
        let own = state.open.values().filter(|open| open.credential == credential).count();
        if own >= limits.per_caller_max as usize {
            return Err((Reason::Caller, limits.per_caller_max));
        }
        let (ending, cut) = (Ending::default(), CancellationToken::new());
        let number = state.next;
        state.next += 1;
        state.open.insert(number, Open { credential, ending: ending.clone(), cut: cut.clone() });
        Ok(Call { ending, cut, number, calls: self.clone() })
    }

    fn open(&self) -> Vec<Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open.values().cloned().collect()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.calls.0.lock().unwrap_or_else(PoisonError::into_inner).open.remove(&self.number);
    }
}

impl Open {
    fn end(self, reason: &str) {
        if self.ending.tell(reason) {
            drop(tokio::spawn(async move {
                tokio::time::sleep(FAREWELL).await;
                self.cut.cancel();
            }));
        }
    }
}

/// Ends what is in work for somebody whose credential is no longer good: at once when the registry changes, within
/// a second otherwise.
pub(super) async fn enforce(door: Arc<Door>) {
    let mut roster = door.gate.registry.roster();
    let mut period = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = door.shutdown.asked() => break,
            _ = period.tick() => {}
            Ok(()) = roster.changed() => {}
        }
        let current = roster.borrow_and_update().clone();
        let now = door.gate.clock.now();
        for open in door.calls.open() {
            if let Err(refused) = open.credential.admit(&current, &door.gate.sessions, now) {
                open.end(&refused.to_string());
            }
        }
    }
    for open in door.calls.open() {
        open.ending.tell("the aggregator stops");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_at_once_and_an_end_that_is_told_first() {
        let limits = HttpLimits { at_once_max: 3, per_caller_max: 2, ..HttpLimits::default() };
        let (calls, ann, bob) = (Calls::default(), Credential::Token([1; 32]), Credential::Token([2; 32]));
        let first = calls.enter(ann, &limits).ok().unwrap();
        let second = calls.enter(ann, &limits).ok().unwrap();
        assert_eq!(calls.enter(ann, &limits).err(), Some((Reason::Caller, 2)));
        let third = calls.enter(bob, &limits).ok().unwrap();
        assert_eq!(calls.enter(Credential::Session([1; 32]), &limits).err(), Some((Reason::Calls, 3)));
        drop((second, third));
        assert_eq!(calls.open().len(), 1);
        calls.open().into_iter().for_each(|open| open.end("revoked"));
        assert_eq!(&*first.ending.told().await, "revoked");
        assert!(!first.cut.is_cancelled());
        first.cut.cancelled().await;
    }
}
