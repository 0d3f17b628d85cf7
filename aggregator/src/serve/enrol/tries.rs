//! Failed tries by address, counted: guessing a token is hopeless, and must not cost anything either.

use crate::serve::listen::network;
use quorate_common::model::time::BootTime;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Failed tries of one address within [`WINDOW`].
const TRIES_MAX: u32 = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 4096;

/// Failed tries by address, in a bounded map.
#[derive(Default)]
pub(super) struct Tries(Mutex<HashMap<IpAddr, (BootTime, u32)>>);

impl Tries {
    /// Whether an address has to wait.
    pub(super) fn are_used_up(&self, address: IpAddr, now: BootTime) -> bool {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(&network(address))
            .is_some_and(|(since, tries)| now.since(*since) < WINDOW && *tries >= TRIES_MAX)
    }

    /// Counts one; whether it was still within the limit.
    pub(super) fn count(&self, address: IpAddr, now: BootTime) -> bool {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= ADDRESSES_MAX {
            map.retain(|_, (since, _)| now.since(*since) < WINDOW);
        }
        let address = network(address);
        // Full of addresses that all failed within the minute: this is an attack, new ones have to wait.
        if map.len() >= ADDRESSES_MAX && !map.contains_key(&address) {
            return false;
        }
        let (since, tries) = map.entry(address).or_insert((now, 0));
        if now.since(*since) >= WINDOW {
            (*since, *tries) = (now, 0);
        }
        *tries += 1;
        *tries <= TRIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_limited_forgotten_and_bounded() {
        let tries = Tries::default();
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let at = |seconds: u64| BootTime(seconds * 1_000_000_000);
        for _ in 0..5 {
            assert!(!tries.are_used_up(one, at(0)));
            assert!(tries.count(one, at(0)));
        }
        assert!(tries.are_used_up(one, at(59)) && !tries.count(one, at(59)));
        assert!(!tries.are_used_up(other, at(59)));
        assert!(!tries.are_used_up(one, at(60)) && tries.count(one, at(60)));
        for number in 0..10_000_u32 {
            tries.count(IpAddr::V4(number.into()), at(61));
        }
        assert_eq!(tries.0.lock().unwrap().len(), ADDRESSES_MAX);
        assert!(tries.count(other, at(200)), "room again after a minute");
    }
}
