//! The rows that authority comes from: nodes, people, tokens, and an audit line for every change.
//!
//! One connection, so one writer; each change is one transaction with its audit line, fsynced before it is
//! published as a new [`Roster`]. Time is an argument. Plain SQL, so that PostgreSQL can take its place.

mod access;
mod audit;
mod gap;
mod keys;
mod maintenance;
mod node;
mod token;
mod user;

pub use access::{AccessWanted, NewAccess, secret_text};
pub use audit::{AuditFilter, AuditKept, AuditLine, PASSING, REFUSED};
pub use gap::{GapFilter, GapKept, GapMemory, GapPart};
pub use keys::{Claim, RenewError, Settled};
pub use node::{NodeRow, Reason};
pub use token::{Declaration, NewToken, RedeemError, Redeemed, Subject, TokenRow, TokenState};

use super::generation::{GRACE_MAX, Keys};
use super::roster::{Entry, Held, Roster};
use quorate_common::model::node::Member;
use quorate_common::model::time::WallTime;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, SqlitePool, Transaction};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// The registry. A clone is the same registry.
#[derive(Clone)]
pub struct Registry {
    pool: SqlitePool,
    trust_domain: Arc<str>,
    /// How long a node's key before the present one is still accepted.
    grace: Duration,
    roster: watch::Sender<Arc<Roster>>,
    /// Held while a view is read and published, so that an older one never follows a newer one.
    publishing: Arc<Mutex<()>>,
}

/// Why the registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file is no registry, or of a later version.
    #[error("failed to open the registry")]
    Open(#[source] sqlx::migrate::MigrateError),
    /// The database failed.
    #[error("registry failed")]
    Database(#[from] sqlx::Error),
    /// A row holds what we never wrote.
    #[error("registry holds an invalid {what} `{value}`")]
    Row {
        /// Which column.
        what: &'static str,
        /// What stands there.
        value: String,
    },
    /// No row of that name.
    #[error("{what} `{name}` is not known")]
    NotFound {
        /// `node`, `user` or `token`.
        what: &'static str,
        /// What was asked for.
        name: String,
    },
    /// The name belongs to another key.
    #[error("node `{0}` is enrolled already: use --replace to let a new key take its name")]
    Known(String),
    /// A value that cannot be stored.
    #[error("{field} {problem}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The task that commits was stopped: the program is ending.
    #[error("registry was stopped")]
    Stopped(#[source] tokio::task::JoinError),
    /// The system gave no random bytes.
    #[error(transparent)]
    Randomness(#[from] quorate_common::secret::NoRandomness),
}

/// One line of the audit log, written with the change that it tells of.
struct Audit<'a> {
    actor: &'a str,
    action: &'static str,
    subject: &'a str,
    detail: String,
}

impl Registry {
    /// Opens the registry in `file`, making or migrating it, and publishes its first roster.
    pub async fn open(file: &Path, trust_domain: &str) -> Result<Registry, RegistryError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        sqlx::migrate!("./migrations").run(&pool).await.map_err(RegistryError::Open)?;
        let registry = Registry {
            pool,
            trust_domain: trust_domain.into(),
            grace: GRACE_MAX,
            roster: watch::Sender::new(Arc::default()),
            publishing: Arc::default(),
        };
        registry.reload().await?;
        Ok(registry)
    }

    /// The same, with this grace for a node's key before the present one.
    pub async fn with_grace(self, grace: Duration) -> Result<Registry, RegistryError> {
        let registry = Registry { grace, ..self };
        registry.reload().await?;
        Ok(registry)
    }

    /// The newest roster, and a wake-up for each later one.
    pub fn roster(&self) -> watch::Receiver<Arc<Roster>> {
        self.roster.subscribe()
    }

    /// Reads the rows again: after another process (`init --recover`) changed them.
    pub async fn reload(&self) -> Result<(), RegistryError> {
        let _turn = self.publishing.lock().await;
        let rows = self.list_nodes().await?;
        let nodes = rows.iter().map(|row| (row.member.name.as_str().into(), row.entry())).collect();
        let members: Vec<Member> = rows.into_iter().map(|row| row.member).collect();
        let people = self.people().await?;
        let roster =
            Roster::new(&self.trust_domain, members, nodes, people).with_grants(self.grants().await?);
        self.roster.send_replace(Arc::new(roster));
        Ok(())
    }

    /// Ends the connection to the database, with everything in its one file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A copy of the registry in `file` as it is now, in the empty file `copy`. Reads on a connection of its own: nobody
    /// waits for it.
    pub async fn copy(file: &Path, copy: &Path) -> Result<(), RegistryError> {
        let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(5));
        let mut connection = options.connect().await?;
        let copied =
            sqlx::query("VACUUM INTO $1").bind(copy.to_string_lossy()).execute(&mut connection).await;
        connection.close().await?;
        Ok(copied.map(drop)?)
    }

    /// Writes that somebody takes a backup.
    pub async fn note_backup(&self, actor: &str, detail: String, now: WallTime) -> Result<(), RegistryError> {
        let change = self.pool.begin().await?;
        self.commit(change, Audit { actor, action: "backup", subject: "aggregator", detail }, now).await
    }

    /// Writes that something was done on this machine, to what, and what else there is to say.
    pub async fn note_local(
        &self,
        action: &'static str,
        (subject, detail): (&str, String),
        now: WallTime,
    ) -> Result<(), RegistryError> {
        let change = self.pool.begin().await?;
        self.commit(change, Audit { actor: "local", action, subject, detail }, now).await
    }

    /// Writes the audit line, commits, and publishes.
    ///
    /// The last two happen in a task of their own: a caller that hangs up in between must not leave a
    /// revocation in the rows that no call ever sees.
    async fn commit(
        &self,
        mut change: Transaction<'static, Sqlite>,
        line: Audit<'_>,
        now: WallTime,
    ) -> Result<(), RegistryError> {
        let sql = "INSERT INTO audit (at_ms, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)";
        sqlx::query(sql)
            .bind(now.as_millis())
            .bind(line.actor)
            .bind(line.action)
            .bind(line.subject)
            .bind(&line.detail)
            .execute(&mut *change)
            .await?;
        tracing::info!(
            actor = line.actor,
            action = line.action,
            subject = line.subject,
            detail = line.detail,
            "audit"
        );
        let registry = self.clone();
        let publish = tokio::spawn(async move {
            change.commit().await?;
            registry.reload().await
        });
        publish.await.map_err(RegistryError::Stopped)?
    }
}

fn from_millis(millis: i64) -> WallTime {
    WallTime(millis.saturating_mul(1_000_000))
}

fn to_hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(what: &'static str, text: &str) -> Result<[u8; 32], RegistryError> {
    let invalid = || RegistryError::Row { what, value: text.to_owned() };
    if text.len() != 64 || !text.is_ascii() {
        return Err(invalid());
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| invalid())?;
    }
    Ok(bytes)
}

fn word<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<T, RegistryError> {
    text.parse().map_err(|_| RegistryError::Row { what, value: text.to_owned() })
}

#[cfg(test)]
mod tests;
