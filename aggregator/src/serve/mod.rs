//! The doors: who may connect, who may call what, and how a certificate is given out.

pub mod auth;
pub mod enrol;
pub mod listen;
