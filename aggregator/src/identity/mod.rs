//! Who belongs: the built-in CA, the registry of nodes and people, and the view of it that every call asks.
//!
//! ```text
//!   init ─→ ca + registry ─┬─ token ─→ redeemed ─→ leaf      (enrolment port)
//!                          └─ roster ─→ principal or denied  (every call)
//! ```
//!
//! A certificate is only a name. What it may do stands in the registry, so that taking it away needs no
//! revocation list.

pub mod ca;
pub mod init;
pub mod registry;
pub mod roster;
