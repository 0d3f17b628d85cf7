//! The aggregator of Quorate: what it is made of, in the order in which data flows through it.

pub mod evaluate;
