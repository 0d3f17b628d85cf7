//! Who belongs: the built-in CA, the registry of nodes and people, and the view of it that every call asks.
//!
//! ```text
//!   init ─→ ca + registry ─┬─ token ─→ redeemed ─→ leaf           (enrolment port)
//!                          ├─ generation ─→ renewed ─→ next leaf  (gRPC port; after expiry, enrolment port)
//!                          └─ roster ─→ principal or denied       (every call)
//!                                ├─ access: API tokens of the HTTP door
//!                                └─ keeper: writes down first uses and copies
//! ```
//!
//! A certificate is only a name. What it may do stands in the registry, so that taking it away needs no
//! revocation list.

pub mod access;
pub mod backup;
pub mod ca;
mod config;
pub mod ending;
pub mod generation;
pub mod init;
pub mod keeper;
pub mod registry;
pub mod restore;
pub mod roster;

pub use config::Config;
