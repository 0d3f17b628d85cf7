//! Who this node is, now: its certificate as it lies on disk, and what is shown of it.
//!
//! One value owns it. `renew` replaces it on disk first and then here; whoever connects takes what is here.

use crate::enrol::{self, EnrolError, IdentityPaths};
use quorate_common::model::time::WallTime;
use quorate_common::tls::{self, Credential, TlsError, peer_identity, validity};
use quorate_proto::identity::{IdentityError, Issued};
use rustls::ClientConfig;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// Why there is no identity to show.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is none.
    #[error(
        "this node is not enrolled: there is no `{0}`; run the line that `quorate token create --node NAME` prints"
    )]
    Absent(String),
    /// A file cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What was cut off cannot be finished.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The addresses cannot be read.
    #[error(transparent)]
    Addresses(#[from] EnrolError),
    /// The certificate names nobody.
    #[error("`{0}` is no certificate of a node")]
    Nobody(String),
}

/// The identity of this node.
#[derive(Debug)]
pub struct Identity {
    /// Where it lies.
    pub paths: IdentityPaths,
    /// The node's name.
    pub name: String,
    shown: watch::Sender<Arc<ClientConfig>>,
    life: watch::Sender<Life>,
}

/// How long a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// From when on.
    pub begins: WallTime,
    /// Until when.
    pub ends: WallTime,
}

impl Identity {
    /// Reads it, and finishes what a crash cut off.
    pub fn load(paths: IdentityPaths) -> Result<Identity, LoadError> {
        paths.finish()?;
        let (tls, name, life) = read(&paths)?;
        Ok(Identity { paths, name, shown: watch::Sender::new(tls), life: watch::Sender::new(life) })
    }

    /// What is shown to aggregators, now and later.
    pub fn shown(&self) -> watch::Receiver<Arc<ClientConfig>> {
        self.shown.subscribe()
    }

    /// How long it is good.
    pub fn life(&self) -> Life {
        *self.life.borrow()
    }

    /// The same, now and later.
    pub fn lives(&self) -> watch::Receiver<Life> {
        self.life.subscribe()
    }

    /// Keeps another certificate: on disk, so that it would survive a power cut, and then here.
    pub fn replace(&mut self, issued: &Issued) -> Result<(), LoadError> {
        issued.save(&self.paths, &enrol::lines(&issued.aggregators))?;
        self.refresh()
    }

    /// Shows what lies on disk. Before another certificate is asked for, this must succeed: the one that was kept
    /// last must not be passed over, for an aggregator takes a node that leaves out a key for a copy.
    pub fn refresh(&mut self) -> Result<(), LoadError> {
        self.paths.finish()?;
        let (tls, _, life) = read(&self.paths)?;
        if life != self.life() {
            self.life.send_replace(life);
            self.shown.send_replace(tls);
        }
        Ok(())
    }
}

/// Whether there is one at all. Changes nothing.
pub fn look(paths: &IdentityPaths) -> Result<(), LoadError> {
    let is_absent = |path: &Path| path.try_exists().is_ok_and(|found| !found);
    if is_absent(&paths.key) && is_absent(&paths.pending_chain) {
        return Err(LoadError::Absent(paths.key.display().to_string()));
    }
    Ok(())
}

fn read(paths: &IdentityPaths) -> Result<(Arc<ClientConfig>, String, Life), LoadError> {
    let nobody = |_| LoadError::Nobody(paths.chain.display().to_string());
    let credential = Credential::load(&paths.chain, &paths.key)?;
    let name = peer_identity(&credential.chain).map_err(nobody)?.identity.name.to_string();
    let leaf = credential.chain.first().ok_or(tls::PeerError).map_err(nobody)?;
    let dates = validity(leaf).map_err(nobody)?;
    let roots = tls::load_certificates(&paths.roots)?;
    let config = tls::client_config(&roots, Some(credential))?;
    Ok((Arc::new(config), name, Life { begins: dates.not_before, ends: dates.not_after }))
}
