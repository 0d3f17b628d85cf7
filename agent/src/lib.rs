//! Begins here.

pub mod once;
pub mod sample;
