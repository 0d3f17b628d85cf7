//! The hostile set: everything that somebody with a socket, or with a stolen key, can try against an aggregator,
//! each with the answer that it must get, while honest agents go on.
//!
//! ```text
//!   wire/   frames, headers and Huffman by hand      raw.rs     a socket, TLS, frames
//!   forge   certificates that nobody should have      honest.rs  agents as they should be
//!   siege   the aggregator under attack               the rest   the attacks, by what they attack
//! ```
//!
//! Attacks have the number of their row in our catalogue of bad inputs. Where our answer differs from the one that
//! stands there, the test says why.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by panicking what is wrong")]

mod call;
mod certificate;
mod configuration;
mod flood;
mod forge;
mod frame;
mod honest;
mod host;
mod identity;
mod raw;
mod siege;
mod token;
mod weak;
mod wire;
