//! The Prometheus HTTP API, as Grafana and promtool call it, at the root and under `/prometheus`.
//!
//! ```text
//!   request ─ parameters ─► desk ─ its turn ─► a thread: parse ─ evaluate over the store ─ JSON ─► answer
//!                            │
//!                            └ deadline, and the end of whoever asked
//! ```
//!
//! What is wrong with a request is said in the words of Prometheus, by which clients know it. What we do not have
//! is told as empty, never made up.

mod api;
mod desk;
mod exemplar;
mod failure;
mod format;
mod label;
mod metadata;
mod parameter;
mod query;
mod result;
mod rule;
mod series;
mod status;
mod target;
mod time;
mod tree;
mod value;

pub use api::Prometheus;

#[cfg(test)]
mod tests;
