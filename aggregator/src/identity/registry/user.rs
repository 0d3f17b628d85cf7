//! People: rows that `init` or a redeemed token makes.

use super::node::{check_reason, found};
use super::{Audit, Entry, Held, Reason, Registry, RegistryError, from_hex, from_millis, to_hex, word};
use quorate_common::model::identity::Role;
use quorate_common::model::time::WallTime;
use sqlx::{Sqlite, Transaction};
use std::collections::HashMap;
use std::sync::Arc;

impl Registry {
    /// Gives a person a role and a key; a key that the name had before is refused from then on.
    pub async fn put_user(
        &self,
        (actor, action): (&str, &'static str),
        (name, role): (&str, Role),
        spki_sha256: &[u8; 32],
        now: WallTime,
    ) -> Result<(), RegistryError> {
        let mut change = self.pool.begin().await?;
        put(&mut change, (name, role.as_str()), spki_sha256, now).await?;
        self.commit(change, Audit { actor, action, subject: name, detail: role.to_string() }, now).await
    }

    /// Refuses a person from now on. Revoking again changes nothing.
    pub async fn revoke_user(
        &self,
        actor: &str,
        name: &str,
        reason: Reason<'_>,
        now: WallTime,
    ) -> Result<(), RegistryError> {
        check_reason(reason)?;
        let mut change = self.pool.begin().await?;
        let sql = "UPDATE users SET state = 'revoked', revoked_ms = COALESCE(revoked_ms, $1), \
                   revoke_reason = COALESCE(revoke_reason, $2) WHERE name = $3";
        let update = sqlx::query(sql).bind(now.as_millis()).bind(reason).bind(name);
        found(update.execute(&mut *change).await?.rows_affected(), "user", name)?;
        let line = Audit { actor, action: "revoke_user", subject: name, detail: reason.to_owned() };
        self.commit(change, line, now).await
    }

    /// Everybody, node or person, whose certificate was last issued before `at`, and who is in force.
    pub async fn certified_before(&self, at: WallTime) -> Result<Vec<String>, RegistryError> {
        let sql = "SELECT 'node ' || name FROM nodes WHERE state = 'active' AND COALESCE(certified_ms, 0) < $1 \
                   UNION ALL SELECT role || ' ' || name FROM users \
                   WHERE state = 'active' AND COALESCE(certified_ms, 0) < $1 ORDER BY 1";
        Ok(sqlx::query_scalar(sql).bind(at.as_millis()).fetch_all(&self.pool).await?)
    }

    /// All people by name.
    pub(super) async fn people(&self) -> Result<HashMap<Arc<str>, Entry>, RegistryError> {
        let sql = "SELECT name, role, spki_sha256, revoked_ms FROM users";
        let rows: Vec<(String, String, String, Option<i64>)> =
            sqlx::query_as(sql).fetch_all(&self.pool).await?;
        let entry = |(name, role, spki, revoked): (String, String, String, Option<i64>)| {
            let entry = Entry {
                role: word("role", &role)?,
                held: Held::Key(from_hex("spki_sha256", &spki)?),
                revoked: revoked.map(from_millis),
                frozen: None,
                certified: None,
                node: None,
            };
            Ok((name.into(), entry))
        };
        rows.into_iter().map(entry).collect()
    }
}

/// Makes or renews a person's row within a transaction.
pub(super) async fn put(
    change: &mut Transaction<'_, Sqlite>,
    (name, role): (&str, &str),
    spki_sha256: &[u8; 32],
    now: WallTime,
) -> Result<(), RegistryError> {
    let sql = "INSERT INTO users (name, role, state, spki_sha256, created_ms, certified_ms) \
               VALUES ($1, $2, 'active', $3, $4, $4) ON CONFLICT (name) DO UPDATE SET role = excluded.role, \
               state = 'active', spki_sha256 = excluded.spki_sha256, revoked_ms = NULL, revoke_reason = NULL, \
               certified_ms = excluded.certified_ms";
    sqlx::query(sql)
        .bind(name)
        .bind(role)
        .bind(to_hex(spki_sha256))
        .bind(now.as_millis())
        .execute(&mut **change)
        .await?;
    Ok(())
}
