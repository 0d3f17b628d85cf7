//! Who may call what: every method there is, by every kind of caller, on both ports of a real aggregator.
//!
//! `rows.rs` is the table, `callers.rs` makes the certificates, `call.rs` speaks without knowing a message.
//! `own.rs` tries to speak for somebody else, `audit.rs` reads who did what.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by panicking what is wrong")]

mod audit;
mod call;
mod callers;
mod matrix;
mod own;
mod rows;
