//! Gaps: what is said of them, and what the next run needs to go on. No line of the audit log: nobody did it.

use super::{Registry, RegistryError, from_millis, word};
use quorate_common::model::gap::{Gap, GapCause, LastHeard};
use quorate_common::model::node::NodeId;
use quorate_common::model::session::Epoch;
use quorate_common::model::time::WallTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, Transaction};
use std::collections::HashMap;

/// Gaps of a node that the next run may still change: as many as a time line holds, and some that go on.
const OPEN_MAX: i64 = 128;

/// What is said of one part of a node from now on, in place of all that was said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapPart {
    /// Whose.
    pub node: NodeId,
    /// Which.
    pub part: u64,
    /// What is said; nothing if it was none.
    pub gaps: Vec<Gap>,
}

/// What the run before left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GapMemory {
    /// As far as it is known to have run.
    pub ran: Option<WallTime>,
    /// When each node was last heard.
    pub heard: HashMap<NodeId, LastHeard>,
    /// The newest gaps of each node that were not filled, with their parts, oldest first.
    pub open: HashMap<NodeId, Vec<(u64, Gap)>>,
    /// The first number of a part that is free.
    pub next: u64,
}

/// Which gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapFilter {
    /// Of one node; `None` for all.
    pub node: Option<NodeId>,
    /// That end behind this, or go on.
    pub from: WallTime,
    /// That begin before this.
    pub to: WallTime,
}

/// How many gaps are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapKept {
    /// That ended after this.
    pub since: WallTime,
    /// Of one node.
    pub per_node: u32,
}

impl Registry {
    /// What the run before left. Each gap becomes a part of its own, so that numbers stay free of one another.
    pub async fn load_gaps(&self, since: WallTime) -> Result<GapMemory, RegistryError> {
        let mut change = self.pool.begin().await?;
        sqlx::query("UPDATE gaps SET part = id").execute(&mut *change).await?;
        let next: Option<i64> =
            sqlx::query_scalar("SELECT MAX(id) FROM gaps").fetch_one(&mut *change).await?;
        let ran: Option<i64> =
            sqlx::query_scalar("SELECT at_ms FROM ran").fetch_optional(&mut *change).await?;
        let heard = sqlx::query("SELECT * FROM heard").fetch_all(&mut *change).await?;
        let sql = "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY node ORDER BY from_ms DESC) AS place \
                   FROM gaps WHERE filled_ms IS NULL AND (to_ms IS NULL OR to_ms >= $1)) \
                   WHERE place <= $2 ORDER BY from_ms, id";
        let open = sqlx::query(sql).bind(since.as_millis()).bind(OPEN_MAX).fetch_all(&mut *change).await?;
        change.commit().await?;
        let mut memory = GapMemory {
            ran: ran.map(from_millis),
            heard: heard.iter().map(last_heard).collect::<Result<_, _>>()?,
            next: next.unwrap_or(0).max(0).cast_unsigned() + 1,
            ..GapMemory::default()
        };
        for row in &open {
            let (node, gap) = gap(row)?;
            let part: i64 = row.try_get("part")?;
            memory.open.entry(node).or_default().push((part.cast_unsigned(), gap));
        }
        Ok(memory)
    }

    /// Writes what is said, when nodes were last heard, and how far we ran. What is of nodes that are not declared any
    /// more is passed over.
    pub async fn write_gaps(
        &self,
        parts: &[GapPart],
        heard: &[(NodeId, LastHeard)],
        now: WallTime,
    ) -> Result<(), RegistryError> {
        let mut change = self.pool.begin().await?;
        for part in parts {
            write_part(&mut change, part).await?;
        }
        for (node, last) in heard {
            write_heard(&mut change, *node, last).await?;
        }
        let sql = "INSERT INTO ran (id, at_ms) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET at_ms = $1";
        sqlx::query(sql).bind(now.as_millis()).execute(&mut *change).await?;
        change.commit().await?;
        Ok(())
    }

    /// The newest gaps first, `limit` at most, and how many more there are.
    pub async fn list_gaps(
        &self,
        filter: GapFilter,
        limit: u32,
    ) -> Result<(Vec<(NodeId, Gap)>, u64), RegistryError> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT * FROM gaps WHERE");
        filter.push(&mut sql);
        sql.push(" ORDER BY from_ms DESC, id DESC LIMIT ").push_bind(i64::from(limit));
        let rows = sql.build().fetch_all(&self.pool).await?;
        let gaps: Vec<_> = rows.iter().map(gap).collect::<Result<_, _>>()?;
        let all =
            if gaps.len() < limit as usize { gaps.len() as u64 } else { self.count_gaps(filter).await? };
        let left_out = all.saturating_sub(gaps.len() as u64);
        Ok((gaps, left_out))
    }

    /// How many gaps there are.
    pub async fn count_gaps(&self, filter: GapFilter) -> Result<u64, RegistryError> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT COUNT(*) FROM gaps WHERE");
        filter.push(&mut sql);
        let count: i64 = sql.build_query_scalar().fetch_one(&self.pool).await?;
        Ok(count.max(0).cast_unsigned())
    }

    /// Removes what is older, and the oldest of nodes that have too many; how many that were.
    pub async fn trim_gaps(&self, kept: GapKept) -> Result<u64, RegistryError> {
        let sql = "DELETE FROM gaps WHERE to_ms < $1 OR id IN (SELECT id FROM \
                   (SELECT id, ROW_NUMBER() OVER (PARTITION BY node ORDER BY from_ms DESC, id DESC) AS place \
                   FROM gaps) WHERE place > $2)";
        let delete = sqlx::query(sql).bind(kept.since.as_millis()).bind(i64::from(kept.per_node));
        Ok(delete.execute(&self.pool).await?.rows_affected())
    }
}

impl GapFilter {
    fn push(&self, sql: &mut QueryBuilder<Sqlite>) {
        sql.push(" from_ms < ").push_bind(self.to.as_millis());
        sql.push(" AND (to_ms IS NULL OR to_ms > ").push_bind(self.from.as_millis()).push(")");
        if let Some(node) = self.node {
            sql.push(" AND node = ").push_bind(node.0);
        }
    }
}

async fn write_part(change: &mut Transaction<'_, Sqlite>, part: &GapPart) -> Result<(), RegistryError> {
    let delete = sqlx::query("DELETE FROM gaps WHERE node = $1 AND part = $2");
    delete.bind(part.node.0).bind(part.part.cast_signed()).execute(&mut **change).await?;
    let sql = "INSERT INTO gaps (node, part, collector, from_ms, to_ms, cause, samples, filled_ms) \
               SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE EXISTS (SELECT 1 FROM nodes WHERE id = $1)";
    for gap in &part.gaps {
        sqlx::query(sql)
            .bind(part.node.0)
            .bind(part.part.cast_signed())
            .bind(gap.collector.as_deref())
            .bind(gap.from.as_millis())
            .bind(gap.to.map(WallTime::as_millis))
            .bind(gap.cause.as_str())
            .bind(i64::try_from(gap.samples).unwrap_or(i64::MAX))
            .bind(gap.filled.map(WallTime::as_millis))
            .execute(&mut **change)
            .await?;
    }
    Ok(())
}

async fn write_heard(
    change: &mut Transaction<'_, Sqlite>,
    node: NodeId,
    last: &LastHeard,
) -> Result<(), RegistryError> {
    let sql = "INSERT INTO heard (node, at_ms, due_ms, epoch_order, epoch_nonce, boot_id) \
               SELECT $1, $2, $3, $4, $5, $6 WHERE EXISTS (SELECT 1 FROM nodes WHERE id = $1) \
               ON CONFLICT (node) DO UPDATE SET at_ms = $2, due_ms = $3, epoch_order = $4, epoch_nonce = $5, \
               boot_id = $6";
    let boot_id: String = last.boot_id.iter().map(|byte| format!("{byte:02x}")).collect();
    sqlx::query(sql)
        .bind(node.0)
        .bind(last.at.as_millis())
        .bind(i64::from(last.due_ms))
        .bind(last.epoch.order.cast_signed())
        .bind(last.epoch.nonce.cast_signed())
        .bind(boot_id)
        .execute(&mut **change)
        .await?;
    Ok(())
}

fn gap(row: &SqliteRow) -> Result<(NodeId, Gap), RegistryError> {
    let moment = |column| Ok::<_, RegistryError>(row.try_get::<Option<i64>, _>(column)?.map(from_millis));
    let gap = Gap {
        collector: row.try_get::<Option<&str>, _>("collector")?.map(Into::into),
        from: from_millis(row.try_get("from_ms")?),
        to: moment("to_ms")?,
        cause: word::<GapCause>("cause", row.try_get("cause")?)?,
        samples: row.try_get::<i64, _>("samples")?.max(0).cast_unsigned(),
        filled: moment("filled_ms")?,
    };
    Ok((NodeId(row.try_get("node")?), gap))
}

fn last_heard(row: &SqliteRow) -> Result<(NodeId, LastHeard), RegistryError> {
    let number = |column| Ok::<_, RegistryError>(row.try_get::<i64, _>(column)?.cast_unsigned());
    let boot: &str = row.try_get("boot_id")?;
    let boot_id =
        boot_id(boot).ok_or_else(|| RegistryError::Row { what: "boot_id", value: boot.to_owned() })?;
    let last = LastHeard {
        at: from_millis(row.try_get("at_ms")?),
        due_ms: u32::try_from(number("due_ms")?).unwrap_or(u32::MAX),
        epoch: Epoch { order: number("epoch_order")?, nonce: number("epoch_nonce")? },
        boot_id,
    };
    Ok((NodeId(row.try_get("node")?), last))
}

fn boot_id(text: &str) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests;
