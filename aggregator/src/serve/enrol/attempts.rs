//! Attempts to rejoin by node, counted: whoever has an old key may be turned away as often as he likes, at little
//! cost.

use crate::limit::{RejoinLimits, millis};
use quorate_common::model::time::BootTime;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Attempts by node, in a bounded map.
#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<Arc<str>, (BootTime, u32)>>);

impl Attempts {
    /// Counts one; whether it was within the limit.
    pub(super) fn count(&self, name: &Arc<str>, now: BootTime, limits: &RejoinLimits) -> bool {
        let (window, nodes_max) = (millis(limits.attempts_window_ms), limits.nodes_max as usize);
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= nodes_max {
            map.retain(|_, (since, _)| now.since(*since) < window);
        }
        if map.len() >= nodes_max && !map.contains_key(name) {
            return false;
        }
        let (since, attempts) = map.entry(name.clone()).or_insert((now, 0));
        if now.since(*since) >= window {
            (*since, *attempts) = (now, 0);
        }
        *attempts += 1;
        *attempts <= limits.attempts_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_limited_forgotten_and_bounded() {
        let limits = RejoinLimits { attempts_max: 3, nodes_max: 100, ..RejoinLimits::default() };
        let attempts = Attempts::default();
        let at = |seconds: u64| BootTime(seconds * 1_000_000_000);
        let (one, other) = (Arc::from("n1"), Arc::from("n2"));
        assert_eq!((0..5).filter(|_| attempts.count(&one, at(0), &limits)).count(), 3);
        assert!(attempts.count(&other, at(59), &limits), "each node counts for itself");
        assert!(!attempts.count(&one, at(59), &limits) && attempts.count(&one, at(60), &limits));
        let let_in = (0..500).filter(|n| attempts.count(&format!("x{n}").into(), at(61), &limits)).count();
        assert_eq!((let_in, attempts.0.lock().unwrap().len()), (98, 100));
        assert!(attempts.count(&"late".into(), at(200), &limits), "room again after a minute");
    }
}
