//! The aggregator: receives, stores, judges and serves what the agents see.

pub mod identity;
pub mod serve;
