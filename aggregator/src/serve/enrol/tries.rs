//! Failed tries by address, counted: guessing a token is hopeless, and must not cost anything either.

use crate::limit::{EnrolLimits, millis};
use crate::peer::network;
use quorate_common::model::time::BootTime;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Failed tries by address, in a bounded map.
#[derive(Default)]
pub(super) struct Tries(Mutex<HashMap<IpAddr, (BootTime, u32)>>);

impl Tries {
    /// Whether an address has to wait.
    pub(super) fn are_used_up(&self, address: IpAddr, now: BootTime, limits: &EnrolLimits) -> bool {
        let window = millis(limits.tries_window_ms);
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(&network(address))
            .is_some_and(|(since, tries)| now.since(*since) < window && *tries >= limits.tries_max)
    }

    /// Counts one; whether it was still within the limit.
    pub(super) fn count(&self, address: IpAddr, now: BootTime, limits: &EnrolLimits) -> bool {
        let (window, addresses_max) = (millis(limits.tries_window_ms), limits.addresses_max as usize);
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= addresses_max {
            map.retain(|_, (since, _)| now.since(*since) < window);
        }
        let address = network(address);
        // Full of addresses that all failed within the minute: this is an attack, new ones have to wait.
        if map.len() >= addresses_max && !map.contains_key(&address) {
            return false;
        }
        let (since, tries) = map.entry(address).or_insert((now, 0));
        if now.since(*since) >= window {
            (*since, *tries) = (now, 0);
        }
        *tries += 1;
        *tries <= limits.tries_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_limited_forgotten_and_bounded() {
        let (tries, limits) = (Tries::default(), EnrolLimits::default());
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let at = |seconds: u64| BootTime(seconds * 1_000_000_000);
        for _ in 0..5 {
            assert!(!tries.are_used_up(one, at(0), &limits));
            assert!(tries.count(one, at(0), &limits));
        }
        assert!(tries.are_used_up(one, at(59), &limits) && !tries.count(one, at(59), &limits));
        assert!(!tries.are_used_up(other, at(59), &limits));
        assert!(!tries.are_used_up(one, at(60), &limits) && tries.count(one, at(60), &limits));
        for number in 0..10_000_u32 {
            tries.count(IpAddr::V4(number.into()), at(61), &limits);
        }
        assert_eq!(tries.0.lock().unwrap().len(), limits.addresses_max as usize);
        assert!(tries.count(other, at(200), &limits), "room again after a minute");
    }
}
