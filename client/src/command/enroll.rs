//! `quorate enroll --token TOKEN`: a token becomes a credential of your own and the `client.toml` that names
//! it, so that later commands need no flags.
//!
//! Overwrites nothing unless told to. What a cut-off attempt left, which is whatever is there beside a
//! pending key, is not in the way: the same command finishes it.

use crate::config::{self, Partial};
use crate::output::Output;
use crate::text::quoted;
use anyhow::{Context, bail};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::identity::Role;
use quorate_common::model::time::WallTime;
use quorate_common::token::Token;
use quorate_proto::enrol::exchange;
use quorate_proto::identity::{IdentityPaths, Issued};
use std::io;
use std::path::{Path, PathBuf};

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The token that `quorate token create --user` printed
    #[arg(long)]
    pub token: String,
    /// Where to keep certificate, key and client.toml [default: ~/.config/quorate]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Replace the credential and the client.toml that are there
    #[arg(long)]
    pub force: bool,
}

/// Enrols and says where everything is and how long it is good for.
pub async fn run(args: &Args, output: &mut Output) -> anyhow::Result<u8> {
    let dir = args.dir.clone().or_else(config::directory).context("no home directory: give --dir DIR")?;
    let token = Token::parse(&args.token)?;
    let issued = enrol(&token, &dir, args.force, SystemClock.now().wall).await?;
    let who = format!("{} {}", token.role, issued.name);
    output.message(&format!("enrolled as {who} in `{}`, until {}", dir.display(), issued.not_after));
    let config = dir.join(config::FILE);
    let flag = args.dir.as_ref().map(|_| format!("--config {} ", quoted(&config))).unwrap_or_default();
    output.message(&format!("try: quorate {flag}status"));
    Ok(0)
}

/// Enrols a person into `dir`, which then holds `ca.crt`, `client.crt`, `client.key` and `client.toml`.
async fn enrol(token: &Token, dir: &Path, force: bool, now: WallTime) -> anyhow::Result<Issued> {
    if !matches!(token.role, Role::Viewer | Role::Operator | Role::Admin) {
        bail!("token is for {} {}, not for a person: use quorate-agent enroll there", token.role, token.name);
    }
    let paths = IdentityPaths::below(dir, "client", config::FILE);
    if !force {
        refuse_overwriting(&paths)?;
    }
    let issued = exchange(token, &paths, now).await?;
    issued.save(&paths, &settings(&issued)?)?;
    Ok(issued)
}

/// A key means that an enrolment was finished; anything else without a pending one was put there by hand.
fn refuse_overwriting(paths: &IdentityPaths) -> anyhow::Result<()> {
    let IdentityPaths { key, chain, roots, aggregators, enrolment, pending_key, .. } = paths;
    let others = [chain, roots, aggregators, enrolment];
    let unfinished = is_there(pending_key)?;
    for path in [key].into_iter().chain(others.into_iter().filter(|_| !unfinished)) {
        if is_there(path)? {
            bail!("`{}` is there already: --force replaces it, --dir DIR leaves it", path.display());
        }
    }
    Ok(())
}

/// Also if it is a link to nowhere.
fn is_there(path: &Path) -> anyhow::Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("failed to look at `{}`", path.display())),
    }
}

/// The `client.toml`: the first aggregator, and files beside it.
fn settings(issued: &Issued) -> anyhow::Result<String> {
    let address = issued.aggregators.first().context("enrolment server named no aggregator")?;
    let address =
        address.parse().map_err(|error| anyhow::anyhow!("enrolment server sent an address: {error}"))?;
    let file = |name: &str| Some(name.into());
    let partial = Partial {
        address: Some(address),
        ca: file("ca.crt"),
        cert: file("client.crt"),
        key: file("client.key"),
        timeout: None,
    };
    Ok(toml::to_string(&partial)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::fake::{authority, in_front, server_credential};
    use quorate_common::error::chain;
    use quorate_common::secret::Secret;
    use quorate_common::tls::{Credential, certificates_from_pem, client_config, enrolment_config};
    use quorate_common::tls::{load_certificates, spki_sha256};
    use quorate_proto::v1;
    use quorate_proto::v1::enrolment_service_server::{EnrolmentService, EnrolmentServiceServer};
    use quorate_proto::v1::{EnrolRequest, EnrolResponse};
    use rcgen::{CertificateSigningRequestParams, Issuer, KeyPair, SanType};
    use std::os::unix::fs::PermissionsExt;
    use tonic::{Request, Response, Status};

    /// Certifies whoever asks as admin `ann`.
    struct Authority(Issuer<'static, KeyPair>, String);

    #[tonic::async_trait]
    impl EnrolmentService for Authority {
        async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolResponse>, Status> {
            let csr = request.into_inner().csr.into();
            let mut asked = CertificateSigningRequestParams::from_der(&csr).unwrap();
            let uri = "spiffe://quorate/admin/ann".to_owned().try_into().unwrap();
            asked.params.subject_alt_names.push(SanType::URI(uri));
            let issued = v1::Issued {
                certificate_chain_pem: asked.signed_by(&self.0).unwrap().pem(),
                roots_pem: self.1.clone(),
                name: "ann".into(),
                aggregators: vec!["agg.example:7443".into()],
                enrolment: Vec::new(),
            };
            Ok(Response::new(EnrolResponse { issued: Some(issued) }))
        }

        async fn challenge(
            &self,
            _: Request<v1::ChallengeRequest>,
        ) -> Result<Response<v1::ChallengeResponse>, Status> {
            Err(Status::unimplemented("nobody rejoins here"))
        }

        async fn rejoin(
            &self,
            _: Request<v1::RejoinRequest>,
        ) -> Result<Response<v1::RejoinResponse>, Status> {
            Err(Status::unimplemented("nobody rejoins here"))
        }
    }

    /// A token for `role` and `name` of a server that runs as long as the test.
    async fn token(role: Role, name: &str) -> Token {
        let (ca, pem) = authority();
        let roots = certificates_from_pem(pem.as_bytes(), "test").unwrap();
        let config = enrolment_config(server_credential(&ca), &roots).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let plain = listener.local_addr().unwrap();
        let service = EnrolmentServiceServer::new(Authority(ca, pem));
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let server = tonic::transport::Server::builder().add_service(service);
        drop(tokio::spawn(server.serve_with_incoming(incoming)));
        Token {
            id: "0123456789abcdef".into(),
            secret: Secret::new(vec![1; 32]),
            root_spki_sha256: spki_sha256(&roots[0]).unwrap(),
            role,
            name: name.into(),
            addresses: vec![in_front(plain, config).await.to_string()],
        }
    }

    async fn run(token: &Token, dir: &Path, force: bool) -> Result<Issued, String> {
        let enrolled = enrol(token, dir, force, SystemClock.now().wall).await;
        enrolled.map_err(|error| chain(error.as_ref()))
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn later_commands_need_no_flags() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("config/quorate");
        run(&token(Role::Admin, "ann").await, &dir, false).await.unwrap();
        let target = config::Target::resolve(Partial::default(), None, Some(&dir)).unwrap();
        assert_eq!(target.address.to_string(), "agg.example:7443");
        let own = Credential::load(&target.cert, &target.key).unwrap();
        client_config(&load_certificates(&target.ca).unwrap(), Some(own)).expect("they fit one another");
        let mut names = Vec::new();
        for entry in dir.read_dir().unwrap() {
            let entry = entry.unwrap();
            assert_eq!(mode(&entry.path()), 0o600);
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        assert_eq!(names, ["ca.crt", "client.crt", "client.key", "client.toml"]);
        assert_eq!(mode(&dir), 0o700);
    }

    #[tokio::test]
    async fn nothing_is_overwritten_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let token = token(Role::Admin, "ann").await;
        let settings = dir.path().join(config::FILE);
        std::fs::write(&settings, "# mine\n").unwrap();
        let error = run(&token, dir.path(), false).await.unwrap_err();
        assert!(error.contains("client.toml` is there already: --force"), "{error}");
        assert_eq!(dir.path().read_dir().unwrap().count(), 1, "no key was made");
        run(&token, dir.path(), true).await.unwrap();
        let key = dir.path().join("client.key");
        let first = std::fs::read(&key).unwrap();
        let error = run(&token, dir.path(), false).await.unwrap_err();
        assert!(error.contains("client.key` is there already"), "{error}");
        assert_eq!(std::fs::read(&key).unwrap(), first);
        // Cut off before the last step: the same command finishes it, with the same key.
        std::fs::rename(&key, dir.path().join("pending.key")).unwrap();
        run(&token, dir.path(), false).await.unwrap();
        assert_eq!(std::fs::read(&key).unwrap(), first);
    }

    #[tokio::test]
    async fn tokens_and_answers_for_others_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let check = async |role, name, expect: &str| {
            let error = run(&token(role, name).await, &state, false).await.unwrap_err();
            assert!(error.contains(expect), "{error}");
        };
        check(Role::Agent, "n1", "token is for agent n1, not for a person: use quorate-agent").await;
        assert!(!state.try_exists().unwrap(), "nothing was written");
        check(Role::Viewer, "ann", "sent a certificate for another name or role").await;
        check(Role::Admin, "bob", "sent a certificate for another name or role").await;
        assert!(!state.join("client.toml").try_exists().unwrap());
    }
}
