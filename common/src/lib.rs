//! The words of Quorate: what at least two of its programs must agree on.
//!
//! This crate knows no wire format: no protobuf type is named here, and no program of ours is
//! imported. The model holds plain values; the cell codec turns rows of values into bytes and back;
//! the rest is what every program needs to live: configuration, TLS, clocks, logging, stopping.

pub mod archive;
pub mod backoff;
pub mod block;
pub mod catalog;
pub mod cell;
pub mod clock;
pub mod config;
pub mod disk;
pub mod durable;
pub mod error;
pub mod journal;
pub mod ledger;
pub mod lock;
pub mod model;
pub mod net;
pub mod notify;
pub mod pack;
pub mod program;
pub mod quantity;
pub mod rejoin;
pub mod rng;
pub mod secret;
pub mod shutdown;
pub mod tally;
pub mod telemetry;
pub mod terminal;
pub mod tls;
pub mod token;
