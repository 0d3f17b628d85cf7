//! Ways in: channels with one certificate or another, and certificates for people.

use quorate_common::tls::{self, Credential, client_config, load_certificates};
use quorate_common::token::Token;
use quorate_proto::connect::{ConnectError, Options, channel};
use quorate_proto::v1;
use quorate_proto::v1::enrolment_service_client::EnrolmentServiceClient;
use rcgen::{CertificateParams, KeyPair};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tonic::transport::Channel;

/// The files of a credential.
#[derive(Clone, Debug)]
pub struct Files {
    /// Roots to trust.
    pub ca: PathBuf,
    /// The certificate chain.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Files {
    /// `<name>.crt` and `<name>.key` beside `ca.crt` in `dir`: how aggregator, agent and we keep them.
    pub fn below(dir: &Path, name: &str) -> Files {
        let file = |name: String| dir.join(name);
        Files { ca: dir.join("ca.crt"), cert: file(format!("{name}.crt")), key: file(format!("{name}.key")) }
    }

    /// A channel that shows this credential.
    pub async fn open(&self, address: &str) -> Result<Channel, ConnectError> {
        let roots = load_certificates(&self.ca)?;
        let own = Credential::load(&self.cert, &self.key)?;
        channel(address, Arc::new(client_config(&roots, Some(own))?), Options::CALL).await
    }

    /// A channel that trusts the same roots and shows nothing.
    pub async fn open_without(&self, address: &str) -> Result<Channel, ConnectError> {
        let roots = load_certificates(&self.ca)?;
        channel(address, Arc::new(client_config(&roots, None)?), Options::CALL).await
    }
}

/// Exchanges a person's token for a credential in `dir`, as any program can by the public API.
pub async fn enrol_person(token: &str, dir: &Path) -> Files {
    let token = Token::parse(token).unwrap();
    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap().der().to_vec();
    let pinned = Arc::new(tls::pinned_config(token.root_spki_sha256).unwrap());
    let channel = channel(&token.addresses[0], pinned, Options::CALL).await.unwrap();
    let request =
        v1::EnrolRequest { token_id: token.id.clone(), token_secret: token.secret.expose().to_vec(), csr };
    let answer =
        EnrolmentServiceClient::new(channel).enrol(request).await.unwrap().into_inner().issued.unwrap();
    let files = Files::below(dir, &token.name);
    std::fs::create_dir_all(dir).unwrap();
    write(&files.ca, &answer.roots_pem);
    write(&files.cert, &answer.certificate_chain_pem);
    write(&files.key, &key.serialize_pem());
    files
}

fn write(path: &Path, text: &str) {
    let mut file =
        std::fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}
