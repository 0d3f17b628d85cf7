//! Who may ask what: without a certificate nothing, with one what its role says.

use quorate_proto::v1;
use quorate_proto::v1::admin_service_client::AdminServiceClient;
use quorate_proto::v1::cluster_service_client::ClusterServiceClient;
use quorate_proto::v1::ingest_service_client::IngestServiceClient;
use quorate_proto::v1::query_service_client::QueryServiceClient;
use quorate_proto::v1::{MemberRole, Role};
use quorate_tests::cluster::Cluster;
use quorate_tests::door::Files;
use quorate_tests::programs;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// What each kind of call is answered with: look, mute, admit, send.
async fn codes(channel: &Channel) -> [Code; 4] {
    let code = |status: Option<Status>| status.map_or(Code::Ok, |status| status.code());
    let health = ClusterServiceClient::new(channel.clone()).get_health(v1::GetHealthRequest::default()).await;
    let mute = v1::SetMaintenanceRequest { name: "nobody".into(), maintenance: true, ..Default::default() };
    let mute = AdminServiceClient::new(channel.clone()).set_maintenance(mute).await;
    let tokens = AdminServiceClient::new(channel.clone()).list_tokens(v1::ListTokensRequest {}).await;
    let session = IngestServiceClient::new(channel.clone()).session(tokio_stream::empty()).await;
    [code(health.err()), code(mute.err()), code(tokens.err()), code(session.err())]
}

#[tokio::test]
async fn each_role_may_do_its_own() {
    let cluster = Cluster::start(programs!()).await;
    cluster.enrol("n1", MemberRole::Voter, "").await;
    let denied = Code::PermissionDenied;
    for (files, expect) in [
        (cluster.node_files("n1"), [denied, denied, denied, Code::Ok]),
        (cluster.person("vera", Role::Viewer).await, [Code::Ok, denied, denied, denied]),
        (cluster.person("otto", Role::Operator).await, [Code::Ok, Code::NotFound, denied, denied]),
        (cluster.person("ada", Role::Admin).await, [Code::Ok, Code::NotFound, Code::Ok, denied]),
        (cluster.admin(), [Code::Ok, Code::NotFound, Code::Ok, denied]),
    ] {
        let channel = files.open(&cluster.doors.grpc).await.unwrap();
        assert_eq!(codes(&channel).await, expect, "{}", files.cert.display());
    }
}

#[tokio::test]
async fn an_agent_may_read_nothing_and_a_viewer_may_change_nothing() {
    let cluster = Cluster::start(programs!()).await;
    cluster.enrol("n1", MemberRole::Voter, "").await;
    let agent = cluster.node_files("n1").open(&cluster.doors.grpc).await.unwrap();
    let mut look = ClusterServiceClient::new(agent.clone());
    let mut query = QueryServiceClient::new(agent);
    let latest = v1::QueryLatestRequest { selector: "node_load1".into(), limit: 0 };
    let errors = [
        look.list_nodes(v1::ListNodesRequest::default()).await.unwrap_err(),
        look.get_node(v1::GetNodeRequest { name: "n1".into() }).await.unwrap_err(),
        look.watch(v1::WatchRequest::default()).await.unwrap_err(),
        query.query_latest(latest).await.unwrap_err(),
    ];
    let viewer = cluster.person("vera", Role::Viewer).await.open(&cluster.doors.grpc).await.unwrap();
    let mut admin = AdminServiceClient::new(viewer);
    let user = v1::UserDeclaration { name: "mallory".into(), role: Role::Admin.into() };
    let subject = Some(v1::create_token_request::Subject::User(user));
    let denied = [
        admin.create_token(v1::CreateTokenRequest { subject, lifetime: None }).await.unwrap_err(),
        admin.forget_node(v1::ForgetNodeRequest { name: "n1".into() }).await.unwrap_err(),
        admin
            .revoke_node(v1::RevokeNodeRequest { name: "n1".into(), reason: String::new() })
            .await
            .unwrap_err(),
    ];
    for error in errors.iter().chain(&denied) {
        assert_eq!(error.code(), Code::PermissionDenied, "{error}");
    }
    let limit = Duration::from_secs(5);
    cluster.until("n1 is still a member", limit, |record| record.nodes.contains_key("n1")).await;
}

#[tokio::test]
async fn without_a_certificate_of_ours_there_is_no_answer() {
    let (cluster, other) = tokio::join!(Cluster::start(programs!()), Cluster::start(programs!()));
    let stranger = Files { ca: cluster.admin().ca, ..other.admin() };
    for opened in
        [cluster.admin().open_without(&cluster.doors.grpc).await, stranger.open(&cluster.doors.grpc).await]
    {
        // In TLS 1.3 a caller may learn of it only when it reads.
        let Ok(channel) = opened else { continue };
        for code in codes(&channel).await {
            // How the client's library names a connection that was closed under it.
            let closed = [Code::Unknown, Code::Unavailable, Code::Unauthenticated, Code::Cancelled];
            assert!(closed.contains(&code), "{code:?}");
        }
    }
    other.admin().open(&cluster.doors.grpc).await.expect_err("nor do we speak to a server of another root");
    // On the enrolment port there is enrolment only.
    let enrol = cluster.admin().open_without(&cluster.doors.enrol).await.unwrap();
    assert_eq!(codes(&enrol).await, [Code::Unimplemented; 4]);
}
