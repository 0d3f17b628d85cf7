//! Nodes: rows that a redeemed token makes, and what operators do to them.

use super::{Audit, Entry, Held, Keys, Registry, RegistryError, from_millis, keys, to_hex, token, word};
use quorate_common::model::identity::Role;
use quorate_common::model::node::{Member, NodeId};
use quorate_common::model::time::WallTime;
use sqlx::{Row, Sqlite, Transaction, sqlite::SqliteRow};
use std::sync::Arc;
use std::time::Duration;

/// One node, as the registry has it.
#[derive(Clone, Debug)]
pub struct NodeRow {
    /// What it is declared as.
    pub member: Member,
    /// Its keys, one after another.
    pub keys: Keys,
    /// When it was revoked, if it is.
    pub revoked: Option<WallTime>,
    /// What was given as the reason; empty if nothing.
    pub revoke_reason: String,
    /// When it was frozen, if it is.
    pub frozen: Option<WallTime>,
    /// When a certificate of its was last issued, if it is known.
    pub certified: Option<WallTime>,
    /// The boot that it last reported.
    pub last_boot_id: Option<String>,
}

/// Why, in an operator's words.
pub type Reason<'a> = &'a str;

const REASON_BYTES_MAX: usize = 1024;

impl NodeRow {
    pub(super) fn entry(&self) -> Entry {
        Entry {
            role: Role::Agent,
            held: Held::Keys(self.keys.clone()),
            revoked: self.revoked,
            frozen: self.frozen,
            certified: self.certified,
            node: Some(self.member.id),
        }
    }

    fn read(row: &SqliteRow, grace: Duration) -> Result<NodeRow, RegistryError> {
        let weight: i64 = row.try_get("weight")?;
        let member = Member {
            id: NodeId(row.try_get("id")?),
            name: word("name", row.try_get("name")?)?,
            cluster: row.try_get::<&str, _>("cluster")?.into(),
            role: word("role", row.try_get("role")?)?,
            zone: row.try_get::<Option<&str>, _>("zone")?.map(Into::into),
            weight: u32::try_from(weight)
                .map_err(|_| RegistryError::Row { what: "weight", value: weight.to_string() })?,
            maintenance: row.try_get::<i64, _>("maintenance")? != 0,
            barred: barred(row)?,
        };
        Ok(NodeRow {
            member,
            keys: keys::read(row, grace)?,
            revoked: row.try_get::<Option<i64>, _>("revoked_ms")?.map(from_millis),
            frozen: row.try_get::<Option<i64>, _>("frozen_ms")?.map(from_millis),
            certified: row.try_get::<Option<i64>, _>("certified_ms")?.map(from_millis),
            revoke_reason: row.try_get::<Option<String>, _>("revoke_reason")?.unwrap_or_default(),
            last_boot_id: row.try_get("last_boot_id")?,
        })
    }
}

/// Why a node is let in no longer, in words.
fn barred(row: &SqliteRow) -> Result<Option<Arc<str>>, RegistryError> {
    let at = |column| Ok::<_, RegistryError>(row.try_get::<Option<i64>, _>(column)?.map(from_millis));
    if let Some(at) = at("revoked_ms")? {
        let reason: Option<&str> = row.try_get("revoke_reason")?;
        let reason = reason.filter(|reason| !reason.is_empty()).map(|reason| format!(": {reason}"));
        return Ok(Some(format!("revoked at {at}{}", reason.unwrap_or_default()).into()));
    }
    let frozen = at("frozen_ms")?;
    Ok(frozen.map(|at| format!("frozen at {at}: its key was used in two places, enrol it again").into()))
}

impl Registry {
    /// Every node, in the order of its name.
    pub async fn list_nodes(&self) -> Result<Vec<NodeRow>, RegistryError> {
        let rows = sqlx::query("SELECT * FROM nodes ORDER BY name").fetch_all(&self.pool).await?;
        rows.iter().map(|row| NodeRow::read(row, self.grace)).collect()
    }

    /// Refuses a node from now on. It stays a declared member. Revoking again changes nothing.
    pub async fn revoke_node(
        &self,
        actor: &str,
        name: &str,
        reason: Reason<'_>,
        now: WallTime,
    ) -> Result<(), RegistryError> {
        check_reason(reason)?;
        let mut change = self.pool.begin().await?;
        let sql = "UPDATE nodes SET state = 'revoked', revoked_ms = COALESCE(revoked_ms, $1), \
                   revoke_reason = COALESCE(revoke_reason, $2) WHERE name = $3";
        let update = sqlx::query(sql).bind(now.as_millis()).bind(reason).bind(name);
        found(update.execute(&mut *change).await?.rows_affected(), "node", name)?;
        let line = Audit { actor, action: "revoke_node", subject: name, detail: reason.to_owned() };
        self.commit(change, line, now).await
    }

    /// Takes a node out of its cluster for good. Its number is never given to another.
    pub async fn forget_node(&self, actor: &str, name: &str, now: WallTime) -> Result<(), RegistryError> {
        let mut change = self.pool.begin().await?;
        let delete = sqlx::query("DELETE FROM nodes WHERE name = $1").bind(name);
        found(delete.execute(&mut *change).await?.rows_affected(), "node", name)?;
        let line = Audit { actor, action: "forget_node", subject: name, detail: String::new() };
        self.commit(change, line, now).await
    }

    /// Mutes or unmutes the pages of a node.
    pub async fn set_maintenance(
        &self,
        actor: &str,
        name: &str,
        maintenance: bool,
        now: WallTime,
    ) -> Result<(), RegistryError> {
        let mut change = self.pool.begin().await?;
        let sql = "UPDATE nodes SET maintenance = $1 WHERE name = $2";
        let update = sqlx::query(sql).bind(i64::from(maintenance)).bind(name);
        found(update.execute(&mut *change).await?.rows_affected(), "node", name)?;
        let line = Audit { actor, action: "set_maintenance", subject: name, detail: maintenance.to_string() };
        self.commit(change, line, now).await
    }

    /// Writes that somebody had a node sample more often.
    pub async fn note_rate(
        &self,
        actor: &str,
        name: &str,
        detail: String,
        now: WallTime,
    ) -> Result<(), RegistryError> {
        let change = self.pool.begin().await?;
        self.commit(change, Audit { actor, action: "set_rate", subject: name, detail }, now).await
    }

    /// Notes the boot that a node is in; the answer is the one noted before, if any.
    pub async fn note_boot(&self, node: NodeId, boot_id: &str) -> Result<Option<String>, RegistryError> {
        let mut change = self.pool.begin().await?;
        let before: Option<Option<String>> =
            sqlx::query_scalar("SELECT last_boot_id FROM nodes WHERE id = $1")
                .bind(node.0)
                .fetch_optional(&mut *change)
                .await?;
        let sql = "UPDATE nodes SET last_boot_id = $1 WHERE id = $2";
        sqlx::query(sql).bind(boot_id).bind(node.0).execute(&mut *change).await?;
        change.commit().await?;
        Ok(before.flatten())
    }
}

/// Gives a name to a key: a new row, or a known one if the token lets it be replaced. The answer is the
/// enrolment: later than any before it, whatever the clock says, so that no two are taken for one.
pub(super) async fn enrol(
    change: &mut Transaction<'_, Sqlite>,
    token: &token::Stored,
    spki_sha256: &[u8; 32],
    now: WallTime,
) -> Result<i64, RegistryError> {
    let sql = "UPDATE nodes SET cluster = $1, role = $2, zone = $3, weight = $4, spki_sha256 = $5, \
               state = 'active', generation = 1, certified_ms = $6, revoked_ms = NULL, revoke_reason = NULL, \
               previous_spki = NULL, advanced_ms = NULL, pending_spki = NULL, frozen_ms = NULL, \
               enrolled_ms = CASE WHEN enrolled_ms < $6 THEN $6 ELSE enrolled_ms + 1 END \
               WHERE name = $7 AND $8 = 1 RETURNING enrolled_ms";
    let key = to_hex(spki_sha256);
    let bound = |sql: &'static str| {
        sqlx::query_scalar::<_, i64>(sql)
            .bind(&token.cluster)
            .bind(&token.role)
            .bind(&token.zone)
            .bind(token.weight)
            .bind(&key)
            .bind(now.as_millis())
            .bind(&token.name)
    };
    if let Some(enrolment) = bound(sql).bind(token.may_replace).fetch_optional(&mut **change).await? {
        return Ok(enrolment);
    }
    if is_known(change, &token.name).await? {
        return Err(RegistryError::Known(token.name.clone()));
    }
    let next = "UPDATE sequences SET last = last + 1 WHERE name = 'node' RETURNING last";
    let id: i64 = sqlx::query_scalar(next).fetch_one(&mut **change).await?;
    let sql = "INSERT INTO nodes (cluster, role, zone, weight, spki_sha256, created_ms, enrolled_ms, \
               certified_ms, name, state, id) VALUES ($1, $2, $3, $4, $5, $6, $6, $6, $7, 'active', $8) \
               RETURNING enrolled_ms";
    Ok(bound(sql).bind(id).fetch_one(&mut **change).await?)
}

/// Whether a name has a row, active or revoked.
pub(super) async fn is_known(
    change: &mut Transaction<'_, Sqlite>,
    name: &str,
) -> Result<bool, RegistryError> {
    let sql = "SELECT COUNT(*) FROM nodes WHERE name = $1";
    let count: i64 = sqlx::query_scalar(sql).bind(name).fetch_one(&mut **change).await?;
    Ok(count > 0)
}

/// Refuses a change that met no row.
pub(super) fn found(rows: u64, what: &'static str, name: &str) -> Result<(), RegistryError> {
    if rows > 0 {
        return Ok(());
    }
    Err(RegistryError::NotFound { what, name: name.chars().take(80).collect() })
}

/// Refuses a reason that nobody would read.
pub(super) fn check_reason(reason: &str) -> Result<(), RegistryError> {
    if reason.len() <= REASON_BYTES_MAX {
        return Ok(());
    }
    let problem = format!("is longer than {REASON_BYTES_MAX} bytes");
    Err(RegistryError::Invalid { field: "reason", problem })
}
