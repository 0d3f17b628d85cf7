//! The agent: samples one host and streams what it sees to the aggregator.

pub mod enrol;
