//! The first start: an authority, the aggregator's own certificate, the registry, and one admin.
//!
//! Nothing that is there is ever overwritten. `recover` only makes another credential for the admin, which
//! replaces the lost one; it needs the state directory, so it needs the host.

use super::ca::{Authority, CaError, Issued};
use super::registry::{Registry, RegistryError};
use quorate_common::durable;
use quorate_common::model::identity::Role;
use quorate_common::model::node::is_name;
use quorate_common::model::time::WallTime;
use std::path::{Path, PathBuf};

/// The name of the person that `init` makes.
pub const ADMIN: &str = "admin";

/// What the aggregator is called, and where it will be reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// The state directory.
    pub dir: PathBuf,
    /// The aggregator's name in its certificate.
    pub name: String,
    /// Host names and IP addresses that agents and clients reach it by, without port; at least one.
    pub hosts: Vec<String>,
    /// What the authority vouches for.
    pub trust_domain: String,
}

/// Where everything lies in a state directory.
#[derive(Clone, Debug)]
pub struct StatePaths {
    /// The directory of the authority, see [`super::ca::Paths`].
    pub authority: PathBuf,
    /// The aggregator's own chain: leaf, intermediate.
    pub server_chain: PathBuf,
    /// Its key.
    pub server_key: PathBuf,
    /// The hosts that it is reached by, one per line.
    pub hosts: PathBuf,
    /// The registry's database.
    pub registry: PathBuf,
    /// The directory of history.
    pub history: PathBuf,
    /// The admin's chain.
    pub admin_chain: PathBuf,
    /// The admin's key.
    pub admin_key: PathBuf,
    /// The root that the admin's tools trust.
    pub admin_roots: PathBuf,
}

impl StatePaths {
    /// The file names below `dir`.
    pub fn below(dir: &Path) -> StatePaths {
        let admin = dir.join("admin");
        StatePaths {
            authority: dir.join("ca"),
            server_chain: dir.join("server.crt"),
            server_key: dir.join("server.key"),
            hosts: dir.join("hosts"),
            registry: dir.join("registry.db"),
            history: dir.join("history"),
            admin_chain: admin.join("admin.crt"),
            admin_key: admin.join("admin.key"),
            admin_roots: admin.join("ca.crt"),
        }
    }
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Initialised {
    /// Where it lies.
    pub paths: StatePaths,
    /// SHA-256 of the root's public key (SPKI in DER).
    pub root_spki_sha256: [u8; 32],
}

/// Why nothing, or not everything, was made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is an authority already.
    #[error("`{}` holds an authority already: it is never overwritten (--recover makes an admin credential)", .0.display())]
    Present(PathBuf),
    /// The aggregator's name is not one.
    #[error("name `{0}` is not 1 to 63 of a-z, 0-9 and dash")]
    Name(String),
    /// Nobody could reach it.
    #[error("address is missing: give at least one host name or IP address")]
    NoHost,
    /// A directory or file could not be made.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The authority failed.
    #[error(transparent)]
    Authority(#[from] CaError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Makes authority, server certificate, registry and the first admin in an empty state directory.
pub async fn init(options: &Options, now: WallTime) -> Result<Initialised, InitError> {
    let paths = StatePaths::below(&options.dir);
    check(options, &paths)?;
    directory(&options.dir)?;
    let authority = Authority::create(&paths.authority, &options.trust_domain, now)?;
    let server = authority.issue_server(&options.name, &options.hosts, now)?;
    create(&paths.server_key, &server.key_pem)?;
    create(&paths.server_chain, &server.chain_pem)?;
    create(&paths.hosts, &(options.hosts.join("\n") + "\n"))?;
    admin(&authority, &paths, "init", now).await?;
    Ok(Initialised { paths, root_spki_sha256: authority.root_spki_sha256() })
}

/// Makes another credential for the admin; the one before is refused from then on.
///
/// An aggregator that is running sees it after [`Registry::reload`].
pub async fn recover(dir: &Path, now: WallTime) -> Result<Initialised, InitError> {
    let paths = StatePaths::below(dir);
    let authority = Authority::load(&paths.authority)?;
    admin(&authority, &paths, "recover", now).await?;
    Ok(Initialised { paths, root_spki_sha256: authority.root_spki_sha256() })
}

fn check(options: &Options, paths: &StatePaths) -> Result<(), InitError> {
    if !is_name(&options.name) {
        return Err(InitError::Name(options.name.chars().take(80).collect()));
    }
    if options.hosts.is_empty() {
        return Err(InitError::NoHost);
    }
    // Before anything is written, so that a typing error leaves no half of an authority.
    Authority::check(&options.trust_domain, &options.hosts)?;
    match paths.authority.try_exists() {
        Ok(false) => Ok(()),
        Ok(true) => Err(InitError::Present(options.dir.clone())),
        Err(source) => Err(InitError::Write { path: paths.authority.clone(), source }),
    }
}

/// The row first: a credential without a row opens nothing, a row without its credential is recovered.
async fn admin(
    authority: &Authority,
    paths: &StatePaths,
    action: &'static str,
    now: WallTime,
) -> Result<(), InitError> {
    let Issued { chain_pem, key_pem, spki_sha256 } =
        authority.issue_client(&authority.identity(Role::Admin, ADMIN), now)?;
    let registry = Registry::open(&paths.registry, authority.trust_domain()).await?;
    registry.put_user(("local", action), (ADMIN, Role::Admin), &spki_sha256, now).await?;
    registry.close().await;
    if let Some(parent) = paths.admin_key.parent() {
        directory(parent)?;
    }
    replace(&paths.admin_roots, authority.root_pem())?;
    replace(&paths.admin_key, &key_pem)?;
    replace(&paths.admin_chain, &chain_pem)
}

fn directory(path: &Path) -> Result<(), InitError> {
    durable::create_directory(path).map_err(|source| InitError::Write { path: path.to_owned(), source })
}

fn create(path: &Path, text: &str) -> Result<(), InitError> {
    durable::create(path, text.as_bytes(), durable::PRIVATE)
        .map_err(|source| InitError::Write { path: path.to_owned(), source })
}

fn replace(path: &Path, text: &str) -> Result<(), InitError> {
    durable::replace(path, text.as_bytes(), durable::PRIVATE)
        .map_err(|source| InitError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::registry::AuditFilter;
    use crate::identity::roster::Seen;
    use quorate_common::error::chain;
    use quorate_common::tls::{Credential, load_certificates, peer_identity};
    use std::os::unix::fs::PermissionsExt;

    const NOW: WallTime = WallTime(1_795_000_000_000_000_000);

    fn options(dir: &Path) -> Options {
        Options {
            dir: dir.join("state"),
            name: "agg".into(),
            hosts: vec!["localhost".into(), "127.0.0.1".into()],
            trust_domain: "quorate".into(),
        }
    }

    #[tokio::test]
    async fn makes_everything_private_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let made = init(&options(dir.path()), NOW).await.unwrap();
        let admin = Credential::load(&made.paths.admin_chain, &made.paths.admin_key).unwrap();
        let peer = peer_identity(&admin.chain).unwrap();
        assert_eq!(peer.identity.to_string(), "spiffe://quorate/admin/admin");
        assert_eq!(peer.not_after.as_millis() - NOW.as_millis(), 90 * 86_400_000);
        let server = Credential::load(&made.paths.server_chain, &made.paths.server_key).unwrap();
        assert_eq!(
            peer_identity(&server.chain).unwrap().identity.to_string(),
            "spiffe://quorate/aggregator/agg"
        );
        assert_eq!(load_certificates(&made.paths.admin_roots).unwrap().len(), 1);
        for entry in std::fs::read_dir(dir.path().join("state/ca")).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let mode = std::fs::metadata(dir.path().join("state")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let error = init(&options(dir.path()), NOW).await.unwrap_err();
        assert!(error.to_string().contains("is never overwritten"), "{error}");
    }

    #[tokio::test]
    async fn recovering_replaces_the_admins_key_and_is_audited() {
        let dir = tempfile::tempdir().unwrap();
        let made = init(&options(dir.path()), NOW).await.unwrap();
        let load = || {
            let admin = Credential::load(&made.paths.admin_chain, &made.paths.admin_key).unwrap();
            peer_identity(&admin.chain).unwrap()
        };
        let lost = load();
        recover(&dir.path().join("state"), NOW).await.unwrap();
        let registry = Registry::open(&made.paths.registry, "quorate").await.unwrap();
        let roster = registry.roster().borrow().clone();
        let seen = Seen { opened: NOW, now: NOW };
        assert_eq!(roster.authorize(&load(), seen).unwrap().principal.role, Role::Admin);
        assert_eq!(
            roster.authorize(&lost, seen).unwrap_err().to_string(),
            "admin admin was enrolled again with another key"
        );
        let lines = registry.list_audit(&AuditFilter::default(), 10).await.unwrap();
        let told = lines.iter().map(|line| (&*line.actor, &*line.action, &*line.subject, &*line.detail));
        let expect = ["recover", "init"].map(|action| ("local", action, "admin", "admin"));
        assert_eq!(told.collect::<Vec<_>>(), expect);
    }

    #[tokio::test]
    async fn typing_errors_leave_nothing_behind() {
        async fn check(change: fn(&mut Options), expect: &str) {
            let dir = tempfile::tempdir().unwrap();
            let mut options = options(dir.path());
            change(&mut options);
            let error = init(&options, NOW).await.unwrap_err();
            assert!(chain(&error).contains(expect), "{}", chain(&error));
            assert!(!options.dir.try_exists().unwrap());
        }
        check(|o| o.name = "Agg".into(), "name `Agg` is not").await;
        check(|o| o.hosts.clear(), "address is missing").await;
        check(|o| o.hosts = vec!["a b".into()], "address `a b` is neither").await;
        check(|o| o.trust_domain = "a/b".into(), "trust domain `a/b` is not").await;
    }
}
