//! The agent's view of this host against that of others: node_exporter, and a file system that really hangs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by panicking what is wrong")]

mod exporter;
mod fuse;
