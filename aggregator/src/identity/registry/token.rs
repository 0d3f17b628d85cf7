//! Tokens: made by an admin, redeemed once.
//!
//! ```text
//!   unused ──redeem(key)──→ used ──same key, within its life──→ used (the same answer)
//!      ├──time──→ expired          └──another key──→ refused
//!      └──revoke──→ revoked
//! ```

use super::{Audit, Held, Registry, RegistryError, from_hex, from_millis, node, to_hex, user, word};
use quorate_common::model::identity::{Generation, Role};
use quorate_common::model::node::{MemberRole, is_name};
use quorate_common::model::time::WallTime;
use quorate_common::secret::Secret;
use quorate_common::tls::sha256;
use quorate_common::token::{SECRET_BYTES, Token};
use sqlx::{Row, sqlite::SqliteRow};
use std::time::Duration;

/// Life of a token that says nothing about it.
pub const LIFETIME_DEFAULT: Duration = Duration::from_secs(15 * 60);
/// Longest life of a token.
pub const LIFETIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// What a node will count for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The cluster that it joins.
    pub cluster: String,
    /// Voter or observer.
    pub role: MemberRole,
    /// Rack, room or region.
    pub zone: Option<String>,
    /// Votes of a voter; at least 1.
    pub weight: u32,
    /// Whether a new key may take the name of an enrolled node.
    pub replace: bool,
}

/// Who a token lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A node, under this name.
    Node(String, Declaration),
    /// A person, under this name. Viewer, operator or admin.
    User(String, Role),
}

/// A token as it was made. The secret is kept nowhere else.
#[derive(Debug)]
pub struct NewToken {
    /// Public: which token.
    pub id: String,
    /// What proves that one was given it.
    pub secret: Secret,
    /// From when on it is refused.
    pub expires: WallTime,
}

impl NewToken {
    /// What is shown, once, to whoever asked for it. `addresses` are those of the enrolment port.
    pub fn into_token(self, subject: &Subject, root_spki_sha256: [u8; 32], addresses: Vec<String>) -> Token {
        let (role, name, _) = parts(subject);
        Token { id: self.id, secret: self.secret, root_spki_sha256, role, name: name.to_owned(), addresses }
    }
}

/// What became of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// Can be redeemed.
    Unused,
    /// Was redeemed.
    Used,
    /// Was not redeemed in time.
    Expired,
    /// Was taken back.
    Revoked,
}

/// A token as it is listed.
#[derive(Clone, Debug)]
pub struct TokenRow {
    /// Public: which token.
    pub id: String,
    /// What its certificate is for.
    pub role: Role,
    /// Node or person.
    pub name: String,
    /// When it was made.
    pub created: WallTime,
    /// From when on it is refused.
    pub expires: WallTime,
    /// What became of it by now.
    pub state: TokenState,
}

/// Who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// What the certificate is to be for.
    pub role: Role,
    /// Node or person.
    pub name: String,
    /// Which of a node's keys this is: the first of its enrolment. People have none.
    pub generation: Option<Generation>,
}

/// Why a token was refused. For our own log: a caller is told nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// No such token.
    #[error("token is not known")]
    Unknown,
    /// The secret is another one.
    #[error("token for {0} has a wrong secret")]
    Secret(String),
    /// Too late.
    #[error("token for {0} expired")]
    Expired(String),
    /// It was taken back.
    #[error("token for {0} was revoked")]
    Revoked(String),
    /// Another key was first.
    #[error("token for {0} was used by another key")]
    Used(String),
    /// It was used by this key, whose name was revoked, forgotten or replaced since.
    #[error("what the token for {0} made is no longer there")]
    Gone(String),
    /// The registry failed, or the name is taken.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl From<sqlx::Error> for RedeemError {
    fn from(error: sqlx::Error) -> Self {
        RedeemError::Registry(error.into())
    }
}

/// A row of the table, as stored.
pub(super) struct Stored {
    secret_sha256: [u8; 32],
    kind: Role,
    pub(super) name: String,
    pub(super) cluster: String,
    pub(super) role: String,
    pub(super) zone: Option<String>,
    pub(super) weight: i64,
    pub(super) may_replace: i64,
    created: WallTime,
    expires: WallTime,
    used_spki: Option<[u8; 32]>,
    revoked: bool,
}

impl Registry {
    /// Makes a token. The name of an enrolled node is refused unless the declaration says `replace`.
    pub async fn create_token(
        &self,
        actor: &str,
        subject: &Subject,
        lifetime: Option<Duration>,
        now: WallTime,
    ) -> Result<NewToken, RegistryError> {
        check(subject)?;
        let lifetime = check_lifetime(lifetime)?;
        let token = NewToken {
            id: Secret::random(8)?.expose().iter().map(|byte| format!("{byte:02x}")).collect(),
            secret: Secret::random(SECRET_BYTES)?,
            expires: from_millis(now.as_millis() + lifetime),
        };
        let mut change = self.pool.begin().await?;
        if let Subject::Node(name, declared) = subject
            && !declared.replace
            && node::is_known(&mut change, name).await?
        {
            return Err(RegistryError::Known(name.clone()));
        }
        insert(&token, subject, now).execute(&mut *change).await?;
        let (role, name, _) = parts(subject);
        let detail = format!("{role}, id {}, expires {}", token.id, token.expires);
        self.commit(change, Audit { actor, action: "create_token", subject: name, detail }, now).await?;
        Ok(token)
    }

    /// Lets the owner of a key in, if id and secret are those of a token that is good now.
    ///
    /// One transaction: of several callers at once exactly one key wins. Repeating it with the same key
    /// within the token's life gives the same answer.
    pub async fn redeem_token(
        &self,
        (id, secret): (&str, &Secret),
        spki_sha256: &[u8; 32],
        now: WallTime,
    ) -> Result<Redeemed, RedeemError> {
        let mut change = self.pool.begin().await?;
        let row = sqlx::query("SELECT * FROM tokens WHERE id = $1").bind(id).fetch_optional(&mut *change);
        let token = Stored::read(&row.await?.ok_or(RedeemError::Unknown)?)?;
        let name = token.name.clone();
        if !Secret::new(token.secret_sha256.to_vec()).matches(&sha256(secret.expose())) {
            return Err(RedeemError::Secret(name));
        } else if token.revoked {
            return Err(RedeemError::Revoked(name));
        } else if now >= token.expires {
            return Err(RedeemError::Expired(name));
        }
        if let Some(used_by) = token.used_spki {
            drop(change);
            return self.repeat(token.kind, name, (&used_by, spki_sha256));
        }
        // The condition decides between two at once, on any database.
        let claim = "UPDATE tokens SET used_ms = $1, used_spki = $2 WHERE id = $3 AND used_ms IS NULL";
        let claim = sqlx::query(claim).bind(now.as_millis()).bind(to_hex(spki_sha256)).bind(id);
        if claim.execute(&mut *change).await?.rows_affected() != 1 {
            return Err(RedeemError::Used(name));
        }
        let mut generation = None;
        match token.kind {
            Role::Agent => {
                let enrolment = node::enrol(&mut change, &token, spki_sha256, now).await?;
                generation = Some(Generation { enrolment, number: 1 });
            }
            role => user::put(&mut change, (&name, role.as_str()), spki_sha256, now).await?,
        }
        let detail = format!("{}, id {id}, key {}", token.kind, to_hex(spki_sha256));
        self.commit(change, Audit { actor: &name, action: "enrol", subject: &name, detail }, now).await?;
        Ok(Redeemed { role: token.kind, name, generation })
    }

    /// All tokens, the newest first.
    pub async fn list_tokens(&self, now: WallTime) -> Result<Vec<TokenRow>, RegistryError> {
        let sql = "SELECT * FROM tokens ORDER BY created_ms DESC, id";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(Stored::read(row)?.listed(row.try_get("id")?, now))).collect()
    }

    /// Takes an unused token back; what a used one made stays.
    pub async fn revoke_token(&self, actor: &str, id: &str, now: WallTime) -> Result<(), RegistryError> {
        let mut change = self.pool.begin().await?;
        let sql = "UPDATE tokens SET revoked_ms = COALESCE(revoked_ms, $1) WHERE id = $2";
        let update = sqlx::query(sql).bind(now.as_millis()).bind(id);
        node::found(update.execute(&mut *change).await?.rows_affected(), "token", id)?;
        let line = Audit { actor, action: "revoke_token", subject: id, detail: String::new() };
        self.commit(change, line, now).await
    }

    /// A used token once more: only its own key, and only while what it made is still in force.
    fn repeat(
        &self,
        role: Role,
        name: String,
        (used_by, key): (&[u8; 32], &[u8; 32]),
    ) -> Result<Redeemed, RedeemError> {
        if used_by != key {
            return Err(RedeemError::Used(name));
        }
        let roster = self.roster.borrow();
        let Some(entry) = roster.holder(role, &name, key) else { return Err(RedeemError::Gone(name)) };
        let generation = match &entry.held {
            Held::Keys(keys) => Some(keys.generation),
            Held::Key(_) => None,
        };
        Ok(Redeemed { role, name, generation })
    }
}

impl Stored {
    fn read(row: &SqliteRow) -> Result<Stored, RegistryError> {
        let used: Option<&str> = row.try_get("used_spki")?;
        Ok(Stored {
            secret_sha256: from_hex("secret_sha256", row.try_get("secret_sha256")?)?,
            kind: word("kind", row.try_get("kind")?)?,
            name: row.try_get("name")?,
            cluster: row.try_get("cluster")?,
            role: row.try_get("role")?,
            zone: row.try_get("zone")?,
            weight: row.try_get("weight")?,
            may_replace: row.try_get("may_replace")?,
            created: from_millis(row.try_get("created_ms")?),
            expires: from_millis(row.try_get("expires_ms")?),
            used_spki: used.map(|text| from_hex("used_spki", text)).transpose()?,
            revoked: row.try_get::<Option<i64>, _>("revoked_ms")?.is_some(),
        })
    }

    fn listed(self, id: String, now: WallTime) -> TokenRow {
        let state = match () {
            () if self.used_spki.is_some() => TokenState::Used,
            () if self.revoked => TokenState::Revoked,
            () if now >= self.expires => TokenState::Expired,
            () => TokenState::Unused,
        };
        let Stored { kind: role, name, created, expires, .. } = self;
        TokenRow { id, role, name, created, expires, state }
    }
}

type Insert<'a> = sqlx::query::Query<'a, sqlx::Sqlite, <sqlx::Sqlite as sqlx::Database>::Arguments>;

fn insert<'a>(token: &'a NewToken, subject: &'a Subject, now: WallTime) -> Insert<'a> {
    let (kind, name, declared) = parts(subject);
    let sql = "INSERT INTO tokens (id, secret_sha256, kind, name, cluster, role, zone, weight, may_replace, \
               created_ms, expires_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    sqlx::query(sql)
        .bind(&token.id)
        .bind(to_hex(&sha256(token.secret.expose())))
        .bind(kind.as_str())
        .bind(name)
        .bind(declared.map_or("", |node| &node.cluster))
        .bind(declared.map_or("", |node| node.role.as_str()))
        .bind(declared.and_then(|node| node.zone.as_deref()))
        .bind(declared.map_or(1, |node| i64::from(node.weight)))
        .bind(declared.map_or(0, |node| i64::from(node.replace)))
        .bind(now.as_millis())
        .bind(token.expires.as_millis())
}

fn parts(subject: &Subject) -> (Role, &str, Option<&Declaration>) {
    match subject {
        Subject::Node(name, declaration) => (Role::Agent, name, Some(declaration)),
        Subject::User(name, role) => (*role, name, None),
    }
}

fn check(subject: &Subject) -> Result<(), RegistryError> {
    let refuse = |field, problem: String| Err(RegistryError::Invalid { field, problem });
    let (role, name, declared) = parts(subject);
    let names = [
        ("name", Some(name)),
        ("cluster", declared.map(|node| node.cluster.as_str())),
        ("zone", declared.and_then(|node| node.zone.as_deref())),
    ];
    for (field, text) in names {
        if let Some(text) = text
            && !is_name(text)
        {
            let short: String = text.chars().take(80).collect();
            return refuse(field, format!("`{short}` is not 1 to 63 of a-z, 0-9 and dash"));
        }
    }
    if declared.is_some_and(|node| node.weight == 0) {
        return refuse("weight", "is 0, expected at least 1".to_owned());
    }
    if declared.is_none() && !matches!(role, Role::Viewer | Role::Operator | Role::Admin) {
        return refuse("role", format!("`{role}` is not viewer, operator or admin"));
    }
    Ok(())
}

/// The life of a token in milliseconds.
fn check_lifetime(lifetime: Option<Duration>) -> Result<i64, RegistryError> {
    let lifetime = lifetime.unwrap_or(LIFETIME_DEFAULT);
    if lifetime < Duration::from_secs(1) || lifetime > LIFETIME_MAX {
        let problem = format!("is {lifetime:?}, expected 1 s to 24 h");
        return Err(RegistryError::Invalid { field: "lifetime", problem });
    }
    Ok(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX))
}
