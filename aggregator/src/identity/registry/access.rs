//! API tokens of the HTTP door: made and taken back by an admin.
//!
//! ```text
//!   in force ──revoke──→ revoked ──30 d──→ forgotten
//!      └─────time─────→ expired ────↑
//! ```

use super::node::found;
use super::{Audit, Registry, RegistryError, from_hex, from_millis, to_hex, word};
use crate::identity::access::{Grant, Grants, Hash};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quorate_common::model::identity::Role;
use quorate_common::model::node::is_name;
use quorate_common::model::time::WallTime;
use quorate_common::secret::{NoRandomness, Secret};
use quorate_common::tls::sha256;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Life of an API token that says nothing about it.
pub const ACCESS_LIFETIME_DEFAULT: Duration = DAY.saturating_mul(90);
/// Longest life of an API token.
pub const ACCESS_LIFETIME_MAX: Duration = DAY.saturating_mul(366);
/// How long one that ended is still listed.
const LISTED: Duration = DAY.saturating_mul(30);
/// Bytes of what a token says.
const SECRET_BYTES: usize = 32;

/// What an API token is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessWanted {
    /// What it is for.
    pub name: String,
    /// Viewer, operator or admin.
    pub role: Role,
    /// How long it is good for.
    pub lifetime: Option<Duration>,
    /// How many may be in force.
    pub tokens_max: u32,
}

/// An API token as it was made. The text is kept nowhere.
#[derive(Debug)]
pub struct NewAccess {
    /// Public: which token.
    pub id: String,
    /// What is sent as Bearer: `qrt_…`.
    pub text: Secret,
    /// From when on it is refused.
    pub expires: WallTime,
}

/// A new secret text that says what it is: the prefix, then 32 random bytes in base64url.
pub fn secret_text(prefix: &str) -> Result<Secret, NoRandomness> {
    let secret = Secret::random(SECRET_BYTES)?;
    Ok(Secret::new(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(secret.expose())).into_bytes()))
}

impl Registry {
    /// Makes an API token that `actor` owns.
    pub async fn create_access(
        &self,
        actor: &str,
        wanted: &AccessWanted,
        now: WallTime,
    ) -> Result<NewAccess, RegistryError> {
        let lifetime = check(wanted)?;
        let in_force = |roster: &super::Roster| {
            roster.grants().filter(|it| it.revoked.is_none() && now < it.expires).count()
        };
        if in_force(&self.roster.borrow()) >= wanted.tokens_max as usize {
            let problem = format!("are {} already, revoke some", wanted.tokens_max);
            return Err(RegistryError::Invalid { field: "tokens", problem });
        }
        let new = NewAccess {
            id: Secret::random(8)?.expose().iter().map(|byte| format!("{byte:02x}")).collect(),
            text: secret_text("qrt_")?,
            expires: from_millis(now.as_millis() + lifetime),
        };
        let mut change = self.pool.begin().await?;
        let ended = now.as_millis() - i64::try_from(LISTED.as_millis()).unwrap_or(i64::MAX);
        let forget = "DELETE FROM access_tokens WHERE expires_ms < $1 OR revoked_ms < $1";
        sqlx::query(forget).bind(ended).execute(&mut *change).await?;
        let sql = "INSERT INTO access_tokens (id, secret_sha256, name, role, owner, created_ms, expires_ms) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        sqlx::query(sql)
            .bind(&new.id)
            .bind(to_hex(&sha256(new.text.expose())))
            .bind(&wanted.name)
            .bind(wanted.role.as_str())
            .bind(actor)
            .bind(now.as_millis())
            .bind(new.expires.as_millis())
            .execute(&mut *change)
            .await?;
        let detail = format!("{}, id {}, expires {}", wanted.role, new.id, new.expires);
        let line = Audit { actor, action: "create_access_token", subject: &wanted.name, detail };
        self.commit(change, line, now).await?;
        Ok(new)
    }

    /// Refuses an API token from now on. Revoking again changes nothing.
    pub async fn revoke_access(&self, actor: &str, id: &str, now: WallTime) -> Result<(), RegistryError> {
        let mut change = self.pool.begin().await?;
        let sql = "UPDATE access_tokens SET revoked_ms = COALESCE(revoked_ms, $1) WHERE id = $2";
        let update = sqlx::query(sql).bind(now.as_millis()).bind(id);
        found(update.execute(&mut *change).await?.rows_affected(), "token", id)?;
        let line = Audit { actor, action: "revoke_access_token", subject: id, detail: String::new() };
        self.commit(change, line, now).await
    }

    /// Writes down when API tokens were last used. It changes nothing that anybody is judged by, and leaves no line.
    pub async fn note_access(&self, used: &[(Hash, WallTime)]) -> Result<(), RegistryError> {
        let mut change = self.pool.begin().await?;
        for (hash, at) in used {
            let sql = "UPDATE access_tokens SET used_ms = $1 WHERE secret_sha256 = $2";
            sqlx::query(sql).bind(at.as_millis()).bind(to_hex(hash)).execute(&mut *change).await?;
        }
        change.commit().await?;
        self.reload().await
    }

    /// Writes that somebody was given a login link for the web.
    pub async fn note_login(&self, actor: &str, now: WallTime) -> Result<(), RegistryError> {
        let change = self.pool.begin().await?;
        let line = Audit { actor, action: "create_web_link", subject: actor, detail: String::new() };
        self.commit(change, line, now).await
    }

    /// All API tokens by hash.
    pub(super) async fn grants(&self) -> Result<Grants, RegistryError> {
        let rows = sqlx::query("SELECT * FROM access_tokens").fetch_all(&self.pool).await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &SqliteRow) -> Result<(Hash, Grant), RegistryError> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let grant = Grant {
        id: text("id")?.into(),
        name: text("name")?.into(),
        role: word("role", row.try_get("role")?)?,
        owner: text("owner")?.into(),
        created: from_millis(row.try_get("created_ms")?),
        expires: from_millis(row.try_get("expires_ms")?),
        used: row.try_get::<Option<i64>, _>("used_ms")?.map(from_millis),
        revoked: row.try_get::<Option<i64>, _>("revoked_ms")?.map(from_millis),
    };
    Ok((from_hex("secret_sha256", row.try_get("secret_sha256")?)?, grant))
}

/// Refuses what cannot be meant. Gives the life in milliseconds.
fn check(wanted: &AccessWanted) -> Result<i64, RegistryError> {
    let refuse = |field, problem: String| Err(RegistryError::Invalid { field, problem });
    if !is_name(&wanted.name) {
        let short: String = wanted.name.chars().take(80).collect();
        return refuse("name", format!("`{short}` is not 1 to 63 of a-z, 0-9 and dash"));
    }
    if !matches!(wanted.role, Role::Viewer | Role::Operator | Role::Admin) {
        return refuse("role", format!("`{}` is not viewer, operator or admin", wanted.role));
    }
    let lifetime = wanted.lifetime.unwrap_or(ACCESS_LIFETIME_DEFAULT);
    if lifetime < Duration::from_secs(1) || lifetime > ACCESS_LIFETIME_MAX {
        return refuse("lifetime", format!("is {lifetime:?}, expected 1 s to 366 d"));
    }
    Ok(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::access::Refused;

    const NOW: WallTime = WallTime(1_795_000_000_000_000_000);

    async fn opened(dir: &tempfile::TempDir) -> Registry {
        let registry = Registry::open(&dir.path().join("registry.db"), "q").await.unwrap();
        registry.put_user(("local", "init"), ("ann", Role::Admin), &[3; 32], NOW).await.unwrap();
        registry
    }

    fn wanted(name: &str) -> AccessWanted {
        AccessWanted { name: name.to_owned(), role: Role::Viewer, lifetime: None, tokens_max: 2 }
    }

    #[tokio::test]
    async fn a_token_is_in_force_until_it_is_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let registry = opened(&dir).await;
        let new = registry.create_access("ann", &wanted("grafana"), NOW).await.unwrap();
        let text = String::from_utf8(new.text.expose().to_vec()).unwrap();
        assert!(text.starts_with("qrt_") && text.len() == 4 + 43, "{text}");
        let hash = sha256(new.text.expose());
        registry.note_access(&[(hash, NOW)]).await.unwrap();
        let admit = || {
            let roster = registry.roster().borrow().clone();
            let grant = roster.grant(&hash).unwrap();
            assert_eq!(grant.used, Some(NOW));
            grant.admit(&roster, NOW).map(|principal| principal.role)
        };
        assert_eq!(admit(), Ok(Role::Viewer));
        registry.revoke_access("ann", &new.id, NOW).await.unwrap();
        assert_eq!(admit(), Err(Refused::Revoked(NOW)));
        registry.close().await;
        let bytes = std::fs::read(dir.path().join("registry.db")).unwrap();
        let is_there = bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!is_there, "the text is kept nowhere");
    }

    #[tokio::test]
    async fn what_cannot_be_meant_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let registry = opened(&dir).await;
        let too_long = Some(ACCESS_LIFETIME_MAX + Duration::from_secs(1));
        for (wanted, expect) in [
            (wanted("No Name"), "name `No Name` is not 1 to 63 of a-z, 0-9 and dash"),
            (
                AccessWanted { role: Role::Agent, ..wanted("a") },
                "role `agent` is not viewer, operator or admin",
            ),
            (
                AccessWanted { lifetime: too_long, ..wanted("a") },
                "lifetime is 31622401s, expected 1 s to 366 d",
            ),
            (AccessWanted { tokens_max: 0, ..wanted("a") }, "tokens are 0 already, revoke some"),
        ] {
            let error = registry.create_access("ann", &wanted, NOW).await.unwrap_err();
            assert_eq!(error.to_string(), expect);
        }
        let error = registry.revoke_access("ann", "17", NOW).await.unwrap_err();
        assert_eq!(error.to_string(), "token `17` is not known");
    }
}
