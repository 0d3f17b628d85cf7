//! The audit log: read, and kept within its bounds. Each change writes its own line where it is made.
//!
//! Nothing removes a line but its age in lines: not a call, and not the clock, which somebody could set. What
//! anybody with a credential can cause as often as he likes is counted apart, so that it never pushes out what
//! was changed.

use super::{Audit, Registry, RegistryError, from_millis};
use quorate_common::model::time::WallTime;
use sqlx::{QueryBuilder, Sqlite, Transaction};

/// One thing that was done, or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// Its number; later lines have higher ones.
    pub id: i64,
    /// When.
    pub at: WallTime,
    /// Who: a name of a certificate, `local` or `aggregator`.
    pub actor: String,
    /// What, in one word such as `revoke_node`.
    pub action: String,
    /// To whom or what.
    pub subject: String,
    /// What else there is to say.
    pub detail: String,
}

/// Which lines; what is not set lets all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// At or after this moment.
    pub since: Option<WallTime>,
    /// Before this moment.
    pub until: Option<WallTime>,
    /// Of this actor.
    pub actor: Option<String>,
    /// About this subject.
    pub subject: Option<String>,
    /// With this action.
    pub action: Option<String>,
    /// Written before the line of this number.
    pub before: Option<i64>,
}

/// How many lines are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditKept {
    /// Of changes.
    pub changes: u32,
    /// Of what leaves no trace elsewhere and can be repeated without end: [`PASSING`].
    pub passing: u32,
}

impl Default for AuditKept {
    /// A million in all.
    fn default() -> AuditKept {
        AuditKept { changes: 900_000, passing: 100_000 }
    }
}

/// The action of a call that was refused.
pub const REFUSED: &str = "refused";
/// The actor of what the aggregator does by itself.
pub const AGGREGATOR: &str = "aggregator";
/// Actions that have a bound of their own.
pub const PASSING: [&str; 2] = [REFUSED, "set_rate"];

type Columns = (i64, i64, String, String, String, String);

impl Registry {
    /// The newest lines first, `limit` at most.
    pub async fn list_audit(
        &self,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<AuditLine>, RegistryError> {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "SELECT id, at_ms, actor, action, subject, detail FROM audit WHERE 1 = 1",
        );
        let numbers = [
            (" AND at_ms >= ", filter.since.map(WallTime::as_millis)),
            (" AND at_ms < ", filter.until.map(WallTime::as_millis)),
            (" AND id < ", filter.before),
        ];
        for (condition, value) in numbers {
            if let Some(value) = value {
                sql.push(condition).push_bind(value);
            }
        }
        let texts = [
            (" AND actor = ", &filter.actor),
            (" AND subject = ", &filter.subject),
            (" AND action = ", &filter.action),
        ];
        for (condition, value) in texts {
            if let Some(value) = value {
                sql.push(condition).push_bind(value.as_str());
            }
        }
        sql.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(limit));
        let rows: Vec<Columns> = sql.build_query_as().fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(line).collect())
    }

    /// Writes that a call was refused, or how often.
    pub async fn note_refusal(
        &self,
        actor: &str,
        subject: &str,
        detail: String,
        now: WallTime,
    ) -> Result<(), RegistryError> {
        let change = self.pool.begin().await?;
        self.commit(change, Audit { actor, action: REFUSED, subject, detail }, now).await
    }

    /// Removes the oldest lines beyond what is kept, and says in a line how many; the answer too.
    pub async fn trim_audit(&self, kept: AuditKept, now: WallTime) -> Result<u64, RegistryError> {
        let mut change = self.pool.begin().await?;
        let changes = trim(&mut change, " NOT IN ", kept.changes).await?;
        let passing = trim(&mut change, " IN ", kept.passing).await?;
        if changes + passing == 0 {
            return Ok(0);
        }
        let detail = format!("removed the {changes} oldest lines of changes, {passing} of calls");
        let line = Audit { actor: AGGREGATOR, action: "trim_audit", subject: "audit", detail };
        self.commit(change, line, now).await?;
        Ok(changes + passing)
    }
}

async fn trim(
    change: &mut Transaction<'_, Sqlite>,
    which: &'static str,
    kept: u32,
) -> Result<u64, RegistryError> {
    let class = |sql: &mut QueryBuilder<Sqlite>| {
        sql.push(" action").push(which).push("('").push(PASSING.join("', '")).push("')");
    };
    let mut sql = QueryBuilder::<Sqlite>::new("DELETE FROM audit WHERE");
    class(&mut sql);
    sql.push(" AND id <= (SELECT id FROM audit WHERE");
    class(&mut sql);
    sql.push(" ORDER BY id DESC LIMIT 1 OFFSET ").push_bind(i64::from(kept)).push(")");
    Ok(sql.build().execute(&mut **change).await?.rows_affected())
}

fn line((id, at, actor, action, subject, detail): Columns) -> AuditLine {
    AuditLine { id, at: from_millis(at), actor, action, subject, detail }
}
