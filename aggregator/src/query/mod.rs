//! Query: asks the store on behalf of people. Never waits, reads no clock.

mod bound;
pub mod performance;
pub mod promql;
pub mod range;
pub mod resource;
pub mod selector;
pub mod series;
pub mod store;
