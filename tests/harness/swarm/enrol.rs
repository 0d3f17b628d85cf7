//! Identities for thousands: each node is declared and enrolled by the public API, many at once.
//!
//! Keys stay in memory. A connection to the enrolment port serves many nodes: who comes back for each would only
//! measure handshakes.

use anyhow::{Context, anyhow};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::time::BootTime;
use quorate_common::tls::{self, Credential, certificates_from_pem};
use quorate_common::token::Token;
use quorate_proto::connect::{Options, channel};
use quorate_proto::v1;
use quorate_proto::v1::admin_service_client::AdminServiceClient;
use quorate_proto::v1::create_token_request::Subject;
use quorate_proto::v1::enrolment_service_client::EnrolmentServiceClient;
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tonic::transport::Channel;

/// Nodes that are enrolled at once; below what one address may have of connections without a certificate.
const AT_ONCE: usize = 8;
/// The enrolment port closes a connection after a minute.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(30);

/// A node that may call.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The name in its certificate.
    pub name: String,
    /// Its number in the swarm.
    pub node: u64,
    /// What it shows and whom it trusts.
    pub tls: Arc<ClientConfig>,
}

/// Declares and enrols nodes as an admin and their agents would; in the order that was given.
///
/// # Errors
/// The first node that was refused.
pub async fn enrol(admin: &Channel, nodes: Vec<v1::NodeDeclaration>) -> anyhow::Result<Vec<Identity>> {
    let count = nodes.len();
    let waiting = Arc::new(Mutex::new((0u64..).zip(nodes).collect::<VecDeque<_>>()));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE.min(count) {
        let worker = Worker { admin: AdminServiceClient::new(admin.clone()), door: None };
        workers.spawn(worker.run(waiting.clone()));
    }
    let mut identities = Vec::with_capacity(count);
    while let Some(enrolled) = workers.join_next().await {
        identities.extend(enrolled??);
    }
    identities.sort_by_key(|identity: &Identity| identity.node);
    Ok(identities)
}

struct Worker {
    admin: AdminServiceClient<Channel>,
    /// The connection to the enrolment port, and since when.
    door: Option<(EnrolmentServiceClient<Channel>, BootTime)>,
}

type Waiting = Arc<Mutex<VecDeque<(u64, v1::NodeDeclaration)>>>;

impl Worker {
    async fn run(mut self, waiting: Waiting) -> anyhow::Result<Vec<Identity>> {
        let mut enrolled = Vec::new();
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((node, declaration)) = next else { return Ok(enrolled) };
            let name = declaration.name.clone();
            let tls = self.enrol(declaration).await.with_context(|| format!("failed to enrol `{name}`"))?;
            enrolled.push(Identity { name, node, tls });
        }
    }

    async fn enrol(&mut self, declaration: v1::NodeDeclaration) -> anyhow::Result<Arc<ClientConfig>> {
        let subject = Some(Subject::Node(declaration));
        let request = v1::CreateTokenRequest { subject, lifetime: None };
        let made = self.admin.create_token(request).await?.into_inner();
        let token = Token::parse(&made.token)?;
        let key = KeyPair::generate()?;
        let csr = CertificateParams::default().serialize_request(&key)?.der().to_vec();
        let token_secret = token.secret.expose().to_vec();
        let request = v1::EnrolRequest { token_id: token.id.clone(), token_secret, csr };
        let answer = self.door(&token).await?.enrol(request).await?.into_inner();
        let issued = answer.issued.context("the answer holds no certificate")?;
        let chain = certificates_from_pem(issued.certificate_chain_pem.as_bytes(), "the answer")?;
        let roots = certificates_from_pem(issued.roots_pem.as_bytes(), "the answer")?;
        let key = key.serialize_der().try_into().map_err(|problem: &str| anyhow!(problem))?;
        Ok(Arc::new(tls::client_config(&roots, Some(Credential { chain, key }))?))
    }

    /// A connection that is not about to be closed.
    async fn door(&mut self, token: &Token) -> anyhow::Result<&mut EnrolmentServiceClient<Channel>> {
        let now = SystemClock.now().boot;
        let door = match self.door.take() {
            Some(door) if now.since(door.1) < CONNECTION_AGE_MAX => door,
            _ => {
                let pinned = Arc::new(tls::pinned_config(token.root_spki_sha256)?);
                let address = token.addresses.first().context("the token names no address")?;
                (EnrolmentServiceClient::new(channel(address, pinned, Options::CALL).await?), now)
            }
        };
        Ok(&mut self.door.insert(door).0)
    }
}
