//! HTTP: one door for web, tools and scripts, behind which several APIs lie side by side.
//!
//! ```text
//!   connection ─ door ─→ who calls? may he? ─→ prometheus │ rest │ live │ … ─→ envelope ─→ answer
//! ```
//!
//! The door puts the [`Principal`](crate::identity::roster::Principal) of the caller into each request that it lets
//! through; what lies behind asks nobody again.

pub mod access;
pub mod config;
pub mod credential;
pub mod door;
pub mod envelope;
pub mod host;
pub mod live;
pub mod login;
pub mod metric;
pub mod prometheus;
pub mod rest;
pub mod session;
