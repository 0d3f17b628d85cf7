//! What systemd is told, and what the units that we ship say.
//!
//! No systemd runs here: its end of the notification socket is the test's, and the units are judged by
//! `systemd-analyze` and by what they must and must not contain.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by panicking what is wrong")]

#[cfg(test)]
mod notify;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
mod supervisor;
#[cfg(test)]
mod units;
