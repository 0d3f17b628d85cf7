//! The callers: one for each thing that can be right or wrong with a certificate.

use quorate_aggregator::identity::ca::{Authority, Request, Subject};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::identity::{Generation, Identity, Role};
use quorate_common::model::time::WallTime;
use quorate_common::tls::{Credential, certificates_from_pem, client_config, load_certificates};
use quorate_proto::v1;
use quorate_proto::v1::MemberRole;
use quorate_tests::cluster::Cluster;
use quorate_tests::door::Files;
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use std::path::Path;
use std::sync::Arc;

/// TLS ends before anybody looks at it.
const GENERATION: Generation = Generation { enrolment: 1, number: 1 };
const HOUR: i64 = 3600 * 1_000_000_000;

/// Somebody who calls.
pub struct Caller {
    pub name: &'static str,
    pub tls: Arc<ClientConfig>,
    pub standing: Standing,
}

/// How the aggregator sees a caller.
pub enum Standing {
    /// TLS does not come about: the alert.
    Stranger(&'static str),
    /// TLS does, and every call is answered with this.
    Nobody(String),
    /// Known, with this role.
    Role(&'static str),
}

/// All of them. `n1` is the agent that most of the wrong ones pretend to be, with its own key.
pub async fn all(cluster: &Cluster) -> Vec<Caller> {
    for name in ["n1", "n2", "n3", "n4"] {
        cluster.enrol(name, MemberRole::Voter, "").await;
    }
    let revoked = revoke(cluster, "n3").await;
    // Its files are of before; the name has another key by now.
    let replaced = credential(&cluster.node_files("n4"));
    replace(cluster, "n4").await;
    let own = |name: &str| credential(&cluster.node_files(name));
    let made = Made::new(cluster);
    let person = async |name: &str, role| credential(&cluster.person(name, role).await);
    let aggregator = Files::below(&cluster.dir().join("aggregator"), "server");
    let replaced_text = "Unauthenticated node n4 was enrolled again with another key".to_owned();
    let aggregator_text = "Unauthenticated aggregator aggregator is not enrolled".to_owned();
    let list = [
        ("no certificate", None, Standing::Stranger("received fatal alert: CertificateRequired")),
        ("another authority", Some(made.foreign()), Standing::Stranger("received fatal alert: UnknownCA")),
        ("expired", Some(made.at(-25)), Standing::Stranger("received fatal alert: CertificateExpired")),
        ("not yet valid", Some(made.at(1)), Standing::Stranger("received fatal alert: CertificateExpired")),
        ("revoked", Some(own("n3")), Standing::Nobody(revoked)),
        ("replaced", Some(replaced), Standing::Nobody(replaced_text)),
        ("never enrolled", Some(made.ghost()), Standing::Nobody(GHOST.to_owned())),
        ("the aggregator", Some(credential(&aggregator)), Standing::Nobody(aggregator_text)),
        ("n1", Some(own("n1")), Standing::Role("agent")),
        ("n2", Some(own("n2")), Standing::Role("agent")),
        ("vera", Some(person("vera", v1::Role::Viewer).await), Standing::Role("viewer")),
        ("otto", Some(person("otto", v1::Role::Operator).await), Standing::Role("operator")),
        ("ada", Some(person("ada", v1::Role::Admin).await), Standing::Role("admin")),
    ];
    let roots = load_certificates(&cluster.admin().ca).unwrap();
    let caller = |(name, own, standing)| {
        let tls = Arc::new(client_config(&roots, own).unwrap());
        Caller { name, tls, standing }
    };
    list.into_iter().map(caller).collect()
}

const GHOST: &str = "Unauthenticated admin mallory is not enrolled";

/// Certificates that no aggregator would make: with the key of n1, and something wrong.
struct Made {
    authority: Authority,
    identity: Identity,
    key: KeyPair,
    now: WallTime,
    dir: tempfile::TempDir,
}

impl Made {
    fn new(cluster: &Cluster) -> Made {
        let authority = Authority::load(&cluster.dir().join("aggregator/ca")).unwrap();
        let pem = std::fs::read_to_string(cluster.node_files("n1").key).unwrap();
        Made {
            identity: authority.identity(Role::Agent, "n1"),
            authority,
            key: KeyPair::from_pem(&pem).unwrap(),
            now: SystemClock.now().wall,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// By our authority, valid for its 24 hours from so many hours on.
    fn at(&self, hours: i64) -> Credential {
        self.by(&self.authority, &self.identity, WallTime(self.now.0 + hours * HOUR))
    }

    /// By another authority of the same name.
    fn foreign(&self) -> Credential {
        let other = Authority::create(&self.dir.path().join("ca"), self.authority.trust_domain(), self.now);
        self.by(&other.unwrap(), &self.identity, self.now)
    }

    /// By our authority, for an admin whom the registry never heard of: as if a signing key had leaked.
    fn ghost(&self) -> Credential {
        self.by(&self.authority, &self.authority.identity(Role::Admin, "mallory"), self.now)
    }

    fn by(&self, authority: &Authority, identity: &Identity, now: WallTime) -> Credential {
        let csr = CertificateParams::default().serialize_request(&self.key).unwrap();
        let request = Request::parse(csr.der()).unwrap();
        let generation = (identity.role == Role::Agent).then_some(GENERATION);
        let pem = authority.issue(&request, Subject { identity, generation }, now).unwrap();
        let chain = certificates_from_pem(pem.as_bytes(), "test").unwrap();
        Credential { chain, key: self.key.serialize_der().try_into().unwrap() }
    }
}

fn credential(Files { cert, key, .. }: &Files) -> Credential {
    let load = |cert: &Path, key: &Path| Credential::load(cert, key).unwrap();
    load(cert, key)
}

/// The text that its calls are answered with from then on.
async fn revoke(cluster: &Cluster, name: &str) -> String {
    let request = v1::RevokeNodeRequest { name: name.into(), reason: "sold".into() };
    cluster.admin_service().revoke_node(request).await.unwrap();
    let action = "revoke_node".to_owned();
    let request = v1::ListAuditRequest { action, ..Default::default() };
    let lines = cluster.admin_service().list_audit(request).await.unwrap().into_inner().lines;
    let at = quorate_proto::convert::wall_time(&lines[0].at.unwrap());
    format!("Unauthenticated node {name} revoked at {at}")
}

async fn replace(cluster: &Cluster, name: &str) {
    let node = v1::NodeDeclaration { name: name.into(), replace: true, ..Default::default() };
    let token = cluster.token(v1::create_token_request::Subject::Node(node)).await.token;
    quorate_tests::door::enrol_person(&token, &cluster.dir().join("elsewhere")).await;
}
