//! One root follows another, while everybody goes on.
//!
//! ```text
//!   before        root1 ─→ intermediate1 ─→ leaves
//!   rolled        root1 ─→ intermediate2 ─→ leaves, server     (its key is signed by both roots, so whoever
//!                 root2 ─→ intermediate2                        knows only root1 still trusts the server)
//!                 trusted: both; renewals hand both out
//!   retired       trusted: root2; leaves of intermediate1 are refused
//! ```
//!
//! The directory is made anew beside the old one and takes its place in one step, so that a crash leaves one or
//! the other. The running aggregator sees it at its next reload. Needs the key of the present root.

use super::leaf::BACKDATED_MAX;
use super::{
    Authority, CaError, Files, Paths, intermediate, new_key, new_root, read, sign_intermediate,
    trust_domain_of,
};
use crate::identity::init::{InitError, StatePaths};
use quorate_common::durable;
use quorate_common::model::time::WallTime;
use quorate_common::tls::{
    Credential, certificates_from_pem, load_certificates, load_key, peer_identity, validity,
};
use rcgen::{Issuer, KeyPair};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What a certificate ends with in a PEM file.
const END: &str = "-----END CERTIFICATE-----\n";

/// Makes another root and intermediate, both trusted beside the old ones, and the server's certificate anew for
/// its old key.
pub fn roll(paths: &StatePaths, now: WallTime) -> Result<Authority, InitError> {
    let dir = &paths.authority;
    let files = follow(dir, now)?;
    let next = beside(dir, "next");
    remove(&next)?;
    files.write(&next)?;
    take_place(&next, dir, "before")?;
    let authority = Authority::load(dir)?;
    certify_server(&authority, paths, now)?;
    replace(&paths.admin_roots, authority.root_pem())?;
    Ok(authority)
}

/// Renews the server's certificate when less than a third of its life is left; whether it did. One that another
/// authority signed is left alone.
pub fn renew_server(authority: &Authority, paths: &StatePaths, now: WallTime) -> Result<bool, InitError> {
    let chain = load_certificates(&paths.server_chain).map_err(CaError::Load)?;
    let ours = certificates_from_pem(authority.intermediate_pem.as_bytes(), "intermediate");
    let is_ours = ours.map_err(CaError::Load)?.iter().any(|ours| chain.get(1) == Some(ours));
    let Some(Ok(dates)) = chain.first().map(validity) else { return Ok(false) };
    let (life, left) = (dates.not_after.0 - dates.not_before.0, dates.not_after.0 - now.0);
    if !is_ours || left >= life / 3 {
        return Ok(false);
    }
    certify_server(authority, paths, now)?;
    Ok(true)
}

/// Trusts the newest root only, and forgets the keys of the one before.
pub fn retire(paths: &StatePaths) -> Result<Authority, InitError> {
    let dir = &paths.authority;
    let own = Paths::below(dir);
    let roots = read(&own.root_certificate)?;
    let (newest, older) = roots.split_at(roots.find(END).map_or(roots.len(), |at| at + END.len()));
    if !older.contains(END) {
        return Err(CaError::OneRoot.into());
    }
    let files = Files {
        root_certificates: newest.to_owned(),
        root_key: Zeroizing::new(read(&own.root_key)?),
        // The signature of the old root stays: people who only have that one still trust the server.
        intermediate_certificates: read(&own.intermediate_certificate)?,
        intermediate_key: Zeroizing::new(read(&own.intermediate_key)?),
    };
    let next = beside(dir, "next");
    remove(&next)?;
    files.write(&next)?;
    take_place(&next, dir, "retired")?;
    for name in ["retired", "before"] {
        remove(&beside(dir, name))?;
    }
    let authority = Authority::load(dir)?;
    replace(&paths.admin_roots, authority.root_pem())?;
    Ok(authority)
}

/// Since when leaves are under the newest root, while there are two.
pub fn rolled_at(paths: &StatePaths) -> Result<Option<WallTime>, CaError> {
    let all = load_certificates(&Paths::below(&paths.authority).root_certificate)?;
    let [newest, _, ..] = &all[..] else { return Ok(None) };
    let backdated = i64::try_from(BACKDATED_MAX.as_nanos()).unwrap_or(0);
    Ok(validity(newest).ok().map(|dates| WallTime(dates.not_before.0.saturating_add(backdated))))
}

/// The files of an authority that follows the one in `dir`.
fn follow(dir: &Path, now: WallTime) -> Result<Files, CaError> {
    let own = Paths::below(dir);
    let roots = load_certificates(&own.root_certificate)?;
    let [old] = &roots[..] else { return Err(CaError::Rolling) };
    let trust_domain = trust_domain_of(old).ok_or_else(|| CaError::Foreign(own.root_certificate.clone()))?;
    let foreign = |_| CaError::Foreign(own.root_key.clone());
    let old_key = KeyPair::try_from(&load_key(&own.root_key)?).map_err(foreign)?;
    let old_issuer = Issuer::from_ca_cert_der(old, old_key).map_err(foreign)?;
    let (root, root_key) = new_root(&trust_domain, now)?;
    let (key, intermediate_key) = new_key("intermediate")?;
    let params = intermediate(&trust_domain, now)?;
    let under_new = sign_intermediate(&params, &key, &root)?;
    let under_old = sign_intermediate(&params, &key, &old_issuer)?;
    Ok(Files {
        root_certificates: root.pem() + &read(&own.root_certificate)?,
        root_key,
        intermediate_certificates: under_new + &under_old,
        intermediate_key,
    })
}

/// The server's chain under the newest intermediate, for the key that it has.
fn certify_server(authority: &Authority, paths: &StatePaths, now: WallTime) -> Result<(), InitError> {
    let own = Credential::load(&paths.server_chain, &paths.server_key).map_err(CaError::Load)?;
    let foreign = |_| CaError::Foreign(paths.server_chain.clone());
    let name = peer_identity(&own.chain).map_err(foreign)?.identity.name;
    let text = std::fs::read_to_string(&paths.hosts)
        .map_err(|source| InitError::Read { path: paths.hosts.clone(), source })?;
    let hosts: Vec<String> = text.lines().map(str::to_owned).collect();
    replace(&paths.server_chain, &authority.issue_server_again((&name, &hosts), &own.key, now)?)
}

fn take_place(next: &Path, dir: &Path, before: &str) -> Result<(), CaError> {
    let failed = |source| CaError::Place(dir.to_owned(), source);
    durable::exchange(next, dir).map_err(failed)?;
    let kept = beside(dir, before);
    remove(&kept)?;
    durable::rename(next, &kept).map_err(failed)
}

fn beside(dir: &Path, name: &str) -> PathBuf {
    let mut path = dir.as_os_str().to_owned();
    path.push(".");
    path.push(name);
    PathBuf::from(path)
}

/// What an attempt before this one left.
fn remove(path: &Path) -> Result<(), CaError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(CaError::Place(path.to_owned(), error))
        }
        _ => Ok(()),
    }
}

fn replace(path: &Path, text: &str) -> Result<(), InitError> {
    durable::replace(path, text.as_bytes(), durable::PRIVATE)
        .map_err(|source| InitError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ca::Subject;
    use crate::identity::ca::request::{Request, tests::request};
    use crate::identity::init::{Options, init};
    use quorate_common::model::identity::Role;
    use quorate_common::tls::provider;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::server::WebPkiClientVerifier;
    use std::sync::Arc;
    use std::time::Duration;

    const NOW: WallTime = WallTime(1_795_000_000_000_000_000);

    fn store(roots: &[CertificateDer<'static>]) -> Arc<RootCertStore> {
        let mut store = RootCertStore::empty();
        roots.iter().for_each(|root| store.add(root.clone()).unwrap());
        Arc::new(store)
    }

    fn at() -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(1_795_000_000))
    }

    /// Whether a client that knows these roots trusts the server.
    fn trusts(roots: &[CertificateDer<'static>], paths: &StatePaths) -> bool {
        let chain = load_certificates(&paths.server_chain).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(store(roots), provider()).build().unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], at()).is_ok()
    }

    /// Whether a server with this authority lets the owner of a chain in.
    fn admits(authority: &Authority, pem: &str) -> bool {
        let roots = certificates_from_pem(authority.root_pem().as_bytes(), "test").unwrap();
        let chain = certificates_from_pem(pem.as_bytes(), "test").unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(store(&roots), provider()).build().unwrap();
        verifier.verify_client_cert(&chain[0], &chain[1..], at()).is_ok()
    }

    fn issue(authority: &Authority) -> String {
        let identity = authority.identity(Role::Agent, "n1");
        let request = Request::parse(&request(|_| {})).unwrap();
        authority.issue(&request, Subject { identity: &identity, generation: None }, NOW).unwrap()
    }

    #[tokio::test]
    async fn the_server_renews_its_own_certificate_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            dir: dir.path().join("state"),
            name: "agg".into(),
            hosts: vec!["127.0.0.1".into()],
            trust_domain: "quorate".into(),
        };
        let paths = init(&options, NOW).await.unwrap().paths;
        let authority = Authority::load(&paths.authority).unwrap();
        let after = |days: i64| WallTime(NOW.0 + days * 86_400_000_000_000);
        assert!(!renew_server(&authority, &paths, after(200)).unwrap());
        assert!(renew_server(&authority, &paths, after(300)).unwrap());
        let roots = load_certificates(&paths.admin_roots).unwrap();
        let leaf = &load_certificates(&paths.server_chain).unwrap()[0];
        assert_eq!(validity(leaf).unwrap().not_after, after(300 + 398));
        assert_eq!(roots.len(), 1);
        // Of another authority: not ours to replace.
        let other = Authority::create(&dir.path().join("other"), "quorate", NOW).unwrap();
        assert!(!renew_server(&other, &paths, after(690)).unwrap());
    }

    #[tokio::test]
    async fn nobody_is_cut_off_until_the_old_root_is_retired() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            dir: dir.path().join("state"),
            name: "agg".into(),
            hosts: vec!["127.0.0.1".into()],
            trust_domain: "quorate".into(),
        };
        let paths = init(&options, NOW).await.unwrap().paths;
        let first = Authority::load(&paths.authority).unwrap();
        let (old_roots, old_leaf) = (load_certificates(&paths.admin_roots).unwrap(), issue(&first));
        let key = std::fs::read(&paths.server_key).unwrap();
        assert!(matches!(retire(&paths), Err(InitError::Authority(CaError::OneRoot))));

        let second = roll(&paths, NOW).unwrap();
        let (both, new_leaf) = (load_certificates(&paths.admin_roots).unwrap(), issue(&second));
        assert_eq!(both.len(), 2);
        assert_ne!(second.root_spki_sha256(), first.root_spki_sha256(), "tokens name the newest root");
        for roots in [&old_roots[..], &both[..1], &both[1..], &both[..]] {
            assert!(trusts(roots, &paths), "whoever knows any of the roots trusts the server");
        }
        assert!(admits(&second, &old_leaf) && admits(&second, &new_leaf));
        assert!(!admits(&first, &new_leaf.split_inclusive(END).take(2).collect::<String>()));
        assert_eq!(rolled_at(&paths).unwrap(), Some(NOW));
        assert!(matches!(roll(&paths, NOW), Err(InitError::Authority(CaError::Rolling))));

        let third = retire(&paths).unwrap();
        assert_eq!(load_certificates(&paths.admin_roots).unwrap(), both[..1]);
        assert_eq!(third.root_spki_sha256(), second.root_spki_sha256());
        assert!(admits(&third, &new_leaf) && !admits(&third, &old_leaf));
        assert!(trusts(&old_roots, &paths), "people who have the old root only still find the server");
        assert_eq!(rolled_at(&paths).unwrap(), None);
        assert_eq!(std::fs::read(&paths.server_key).unwrap(), key, "its key is never in danger");
        let left: Vec<_> = std::fs::read_dir(&options.dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("ca.")), "{left:?}");
        roll(&paths, NOW).unwrap();
    }
}
