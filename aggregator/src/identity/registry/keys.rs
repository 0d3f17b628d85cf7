//! A node's keys in its row: renewed, taken into use, and frozen when two hold them. What each step means is
//! decided by [`Keys`]; here it is read, decided and written in one transaction.

use super::{Audit, Registry, RegistryError, from_hex, from_millis, to_hex};
use crate::identity::generation::{Key, Keys, NotRenewed, Shown, Standing};
use quorate_common::model::identity::Generation;
use sqlx::{Row, Sqlite, Transaction, sqlite::SqliteRow};
use std::net::SocketAddr;
use std::time::Duration;

/// Why a key is not followed by another.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The certificate that it was asked for with does not allow it.
    #[error(transparent)]
    NotRenewed(#[from] NotRenewed),
    /// The node is revoked, frozen or forgotten.
    #[error("node {0} may not renew: it is revoked, frozen or not enrolled")]
    Gone(String),
    /// The certificate is the sign of a copy; the node is frozen from now on.
    #[error("generation {number} of node {name} is already used; identity frozen")]
    Copied {
        /// The node.
        name: String,
        /// Which of its keys was shown.
        number: u64,
    },
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl From<sqlx::Error> for RenewError {
    fn from(error: sqlx::Error) -> Self {
        RenewError::Registry(error.into())
    }
}

/// What became of a certificate that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nothing had to be written.
    Unchanged,
    /// Its key is the current one from now on.
    Advanced,
    /// The node is frozen.
    Frozen,
}

/// Who asks for what: the node, the certificate that it shows, and where it calls from.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The node's name.
    pub name: &'a str,
    /// What it shows.
    pub shown: Shown,
    /// Where it calls from.
    pub address: SocketAddr,
}

impl Registry {
    /// Writes down what a certificate means that was shown: the first use of a key, or a copy.
    pub async fn settle(&self, claim: Claim<'_>) -> Result<Settled, RegistryError> {
        let mut change = self.pool.begin().await?;
        let Some(keys) = self.find(&mut change, claim.name).await? else { return Ok(Settled::Unchanged) };
        match keys.standing(&claim.shown) {
            Standing::First | Standing::Newer => {
                let line = advance(&mut change, &keys, claim).await?;
                self.commit(change, line, claim.shown.now).await?;
                Ok(Settled::Advanced)
            }
            Standing::Copied => {
                let line = freeze(&mut change, &keys, claim).await?;
                self.commit(change, line, claim.shown.now).await?;
                Ok(Settled::Frozen)
            }
            Standing::Current | Standing::Previous | Standing::Stale | Standing::Replaced => {
                Ok(Settled::Unchanged)
            }
        }
    }

    /// Lets `new` follow the key of this claim, and says which generation its certificate is for. Asked again
    /// with the same key it gives the same answer. `action` is the word in the audit log.
    pub async fn renew(
        &self,
        claim: Claim<'_>,
        new: &Key,
        action: &'static str,
    ) -> Result<Generation, RenewError> {
        if self.settle(claim).await? == Settled::Frozen {
            let (name, number) = (claim.name.to_owned(), claim.shown.generation.number);
            return Err(RenewError::Copied { name, number });
        }
        let mut change = self.pool.begin().await?;
        let keys = self.find(&mut change, claim.name).await?;
        let keys = keys.ok_or_else(|| RenewError::Gone(claim.name.to_owned()))?;
        let number = keys.renew(keys.standing(&claim.shown), new)?;
        if number > keys.generation.number {
            let sql = "UPDATE nodes SET pending_spki = $1, certified_ms = $2 WHERE name = $3";
            let update =
                sqlx::query(sql).bind(to_hex(new)).bind(claim.shown.now.as_millis()).bind(claim.name);
            update.execute(&mut *change).await?;
        }
        let detail = format!("generation {number}, key {}, from {}", to_hex(new), claim.address.ip());
        let line = Audit { actor: claim.name, action, subject: claim.name, detail };
        self.commit(change, line, claim.shown.now).await?;
        Ok(Generation { number, ..keys.generation })
    }

    /// The keys of a node that is in force.
    async fn find(
        &self,
        change: &mut Transaction<'_, Sqlite>,
        name: &str,
    ) -> Result<Option<Keys>, RegistryError> {
        let sql = "SELECT * FROM nodes WHERE name = $1 AND state = 'active' AND frozen_ms IS NULL";
        let row = sqlx::query(sql).bind(name).fetch_optional(&mut **change).await?;
        row.as_ref().map(|row| read(row, self.grace)).transpose()
    }
}

/// The keys in a row.
pub(super) fn read(row: &SqliteRow, grace: Duration) -> Result<Keys, RegistryError> {
    let number: i64 = row.try_get("generation")?;
    let number = u64::try_from(number)
        .map_err(|_| RegistryError::Row { what: "generation", value: number.to_string() })?;
    let optional = |column| {
        let text: Option<&str> = row.try_get(column)?;
        text.map(|text| from_hex(column, text)).transpose()
    };
    Ok(Keys {
        generation: Generation { enrolment: row.try_get("enrolled_ms")?, number },
        current: from_hex("spki_sha256", row.try_get("spki_sha256")?)?,
        previous: optional("previous_spki")?,
        pending: optional("pending_spki")?,
        advanced: row.try_get::<Option<i64>, _>("advanced_ms")?.map(from_millis),
        grace,
    })
}

async fn advance<'a>(
    change: &mut Transaction<'_, Sqlite>,
    keys: &Keys,
    Claim { name, shown, address }: Claim<'a>,
) -> Result<Audit<'a>, RegistryError> {
    let number = i64::try_from(shown.generation.number)
        .map_err(|_| RegistryError::Row { what: "generation", value: shown.generation.number.to_string() })?;
    let sql = "UPDATE nodes SET previous_spki = spki_sha256, spki_sha256 = $1, generation = $2, \
               advanced_ms = $3, pending_spki = NULL WHERE name = $4";
    let update =
        sqlx::query(sql).bind(to_hex(&shown.key)).bind(number).bind(shown.now.as_millis()).bind(name);
    update.execute(&mut **change).await?;
    // The authority signed what this registry does not know of: somebody should hear that it is an older copy.
    let was_known = keys.pending == Some(shown.key);
    let note = if was_known { "" } else { ", which this registry did not know: was it restored?" };
    let detail = format!("generation {number} in use{note}, from {}", address.ip());
    Ok(Audit { actor: name, action: "advance", subject: name, detail })
}

async fn freeze<'a>(
    change: &mut Transaction<'_, Sqlite>,
    keys: &Keys,
    Claim { name, shown, address }: Claim<'a>,
) -> Result<Audit<'a>, RegistryError> {
    let sql = "UPDATE nodes SET frozen_ms = $1 WHERE name = $2";
    sqlx::query(sql).bind(shown.now.as_millis()).bind(name).execute(&mut **change).await?;
    let (number, current) = (shown.generation.number, keys.generation.number);
    let detail = format!("generation {number} was shown from {} while {current} is in use", address.ip());
    Ok(Audit { actor: "aggregator", action: "freeze", subject: name, detail })
}
