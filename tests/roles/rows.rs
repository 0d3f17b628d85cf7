//! The table: each method, who gets through, and what an empty message is then answered with.
//!
//! A method that is served and has no row fails the test: whoever adds one says here who may call it.

use prost::Message;
use prost_types::FileDescriptorSet;
use std::collections::BTreeSet;

/// One method.
pub struct Row {
    /// As it is called.
    pub path: &'static str,
    /// The roles that get through; empty for nobody.
    pub roles: &'static [&'static str],
    /// What those who get through are told about an empty message.
    pub answer: &'static str,
}

const AGENT: &[&str] = &["agent"];
const VIEWER: &[&str] = &["viewer", "operator", "admin"];
const OPERATOR: &[&str] = &["operator", "admin"];
const ADMIN: &[&str] = &["admin"];
const NOBODY: &[&str] = &[];

const fn row(path: &'static str, roles: &'static [&'static str], answer: &'static str) -> Row {
    Row { path, roles, answer }
}

/// Every method of every service.
pub const ROWS: &[Row] = &[
    row("/quorate.v1.IngestService/Session", AGENT, "InvalidArgument field `message` is missing"),
    row("/quorate.v1.IngestService/Answer", AGENT, "InvalidArgument field `answer.body` is missing"),
    row("/quorate.v1.IngestService/Backfill", AGENT, "InvalidArgument field `message` is missing"),
    row("/quorate.v1.RenewalService/Renew", AGENT, NO_CSR),
    row("/quorate.v1.ClusterService/GetHealth", VIEWER, "Ok"),
    row("/quorate.v1.ClusterService/ListNodes", VIEWER, "Ok"),
    row("/quorate.v1.ClusterService/GetNode", VIEWER, "InvalidArgument field `name` is missing"),
    row("/quorate.v1.ClusterService/Watch", VIEWER, "Ok"),
    row("/quorate.v1.QueryService/QueryLatest", VIEWER, NO_SELECTOR),
    row("/quorate.v1.QueryService/QueryRecent", VIEWER, NO_SELECTOR),
    row("/quorate.v1.QueryService/QueryRange", VIEWER, NO_SELECTOR),
    row("/quorate.v1.QueryService/ListGaps", VIEWER, "Ok"),
    row("/quorate.v1.QueryService/ListProcesses", VIEWER, "InvalidArgument field `node` is missing"),
    row("/quorate.v1.QueryService/ReadRecorder", VIEWER, NO_METRIC),
    row("/quorate.v1.AdminService/CreateToken", ADMIN, NO_SUBJECT),
    row("/quorate.v1.AdminService/ListTokens", ADMIN, "Ok"),
    row("/quorate.v1.AdminService/RevokeToken", ADMIN, "NotFound token `` is not known"),
    row("/quorate.v1.AdminService/RevokeNode", ADMIN, "NotFound node `` is not known"),
    row("/quorate.v1.AdminService/ForgetNode", ADMIN, "NotFound node `` is not known"),
    row("/quorate.v1.AdminService/SetMaintenance", OPERATOR, "NotFound node `` is not known"),
    row("/quorate.v1.AdminService/SetRate", OPERATOR, "NotFound node `` is not known"),
    row("/quorate.v1.AdminService/ListAudit", ADMIN, "Ok"),
    row("/quorate.v1.AdminService/Backup", ADMIN, "Ok"),
    row("/quorate.v1.DiagnosticService/GetStatus", VIEWER, "Ok"),
    row("/quorate.v1.EnrolmentService/Enrol", NOBODY, ""),
    row("/quorate.v1.EnrolmentService/Challenge", NOBODY, ""),
    row("/quorate.v1.EnrolmentService/Rejoin", NOBODY, ""),
    row("/grpc.health.v1.Health/Check", VIEWER, "Ok"),
    row("/grpc.health.v1.Health/Watch", VIEWER, "Ok"),
    row("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", VIEWER, NO_QUESTION),
    row("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", VIEWER, NO_QUESTION),
];

/// What the enrolment port answers to an empty message.
pub const ENROLMENT: &[(&str, &str)] = &[
    ("/quorate.v1.EnrolmentService/Enrol", NO_CSR),
    ("/quorate.v1.EnrolmentService/Challenge", "Ok"),
    (
        "/quorate.v1.EnrolmentService/Rejoin",
        "InvalidArgument nonce is not of this aggregator, or older than 60s",
    ),
];

const NO_CSR: &str = "InvalidArgument csr is not a PKCS#10 request in DER that can be read";
const NO_SELECTOR: &str = "InvalidArgument selector: no expression found in input";
const NO_METRIC: &str = "InvalidArgument metric name `` is not [a-zA-Z_:][a-zA-Z0-9_:]*";
const NO_SUBJECT: &str = "InvalidArgument field `subject`: a node or a user must be named";
const NO_QUESTION: &str = "InvalidArgument invalid MessageRequest";

/// What nobody serves, and what only looks like something that is served.
pub const UNKNOWN: &[&str] = &[
    "/quorate.v1.ClusterService/Nothing",
    "/grpc.health.v1.Health/List",
    "/quorate.v1.NothingService/GetHealth",
    "/quorate.v2.ClusterService/GetHealth",
    "/quorate.v1.clusterservice/gethealth",
    "/quorate.v1.AdminService/ListTokens/",
    "/quorate.v1.AdminService%2FListTokens",
    "/",
];

#[test]
fn every_method_has_a_row() {
    let sets = [
        quorate_proto::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut served = BTreeSet::new();
    for file in sets.iter().flat_map(|set| FileDescriptorSet::decode(*set).unwrap().file) {
        for service in &file.service {
            for method in &service.method {
                served.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    let rows: BTreeSet<String> = ROWS.iter().map(|row| row.path.to_owned()).collect();
    assert_eq!(rows, served, "say in ROWS who may call it");
    assert_eq!(rows.len(), ROWS.len(), "no method has two rows");
    assert!(UNKNOWN.iter().all(|path| !rows.contains(*path)));
}
