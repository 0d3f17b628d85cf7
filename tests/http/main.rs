//! The HTTP door of a real aggregator: who is let in, and what those find who are.
//!
//! `door.rs` knocks in every wrong way, `api.rs` asks what tools ask, `tool.rs` lets the tools ask themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by panicking what is wrong")]

mod api;
mod door;
mod tool;

use quorate_proto::v1;
use quorate_proto::v1::create_token_request::Subject;
use quorate_tests::cluster::Cluster;

/// A token that calls as this.
async fn token(cluster: &Cluster, name: &str, role: v1::Role) -> v1::CreateTokenResponse {
    cluster.token(Subject::Http(v1::HttpDeclaration { name: name.into(), role: role.into() })).await
}
