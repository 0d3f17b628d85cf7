//! Maintenance of a node: begun and ended by an operator, or ended by the aggregator when its time is over.
//!
//! ```text
//!   none ──set(Some)──→ in maintenance ──set(Some)──→ in maintenance, with the newer end and reason
//!    ↑                     │ set(None), or its end has come
//!    └─────────────────────┘
//! ```

use super::audit::AGGREGATOR;
use super::node::{check_reason, found};
use super::{Audit, Registry, RegistryError, from_millis};
use quorate_common::model::node::Maintenance;
use quorate_common::model::time::WallTime;
use sqlx::{Row, sqlite::SqliteRow};
use std::fmt::Write;

impl Registry {
    /// Mutes the pages of a node for as long as there is a maintenance; the node counts as measured.
    pub async fn set_maintenance(
        &self,
        (actor, reason): (&str, &str),
        name: &str,
        maintenance: Option<&Maintenance>,
        now: WallTime,
    ) -> Result<(), RegistryError> {
        check_reason(reason)?;
        let mut change = self.pool.begin().await?;
        let sql = "UPDATE nodes SET maintenance = $1, maintenance_until_ms = $2, maintenance_reason = $3 \
                   WHERE name = $4";
        let until = maintenance.and_then(|maintenance| maintenance.until);
        let update = sqlx::query(sql)
            .bind(i64::from(maintenance.is_some()))
            .bind(until.map(WallTime::as_millis))
            .bind(maintenance.map(|maintenance| &*maintenance.reason))
            .bind(name);
        found(update.execute(&mut *change).await?.rows_affected(), "node", name)?;
        let line =
            Audit { actor, action: "set_maintenance", subject: name, detail: told(maintenance, reason) };
        self.commit(change, line, now).await
    }

    /// Ends every maintenance whose end has come. Looks at the roster first, so that it costs nothing to ask.
    pub async fn end_maintenance(&self, now: WallTime) -> Result<(), RegistryError> {
        let is_over = |maintenance: &Maintenance| maintenance.until.is_some_and(|until| until <= now);
        let roster = self.roster.borrow().clone();
        for member in
            roster.members().iter().filter(|member| member.maintenance.as_ref().is_some_and(is_over))
        {
            let mut change = self.pool.begin().await?;
            // Somebody may have prolonged it meanwhile.
            let sql = "UPDATE nodes SET maintenance = 0, maintenance_until_ms = NULL, \
                       maintenance_reason = NULL WHERE id = $1 AND maintenance_until_ms <= $2";
            let update = sqlx::query(sql).bind(member.id.0).bind(now.as_millis());
            if update.execute(&mut *change).await?.rows_affected() == 0 {
                continue;
            }
            let (subject, detail) = (member.name.as_str(), "its time is over".to_owned());
            let line = Audit { actor: AGGREGATOR, action: "end_maintenance", subject, detail };
            self.commit(change, line, now).await?;
        }
        Ok(())
    }
}

/// The maintenance in a row of nodes.
pub(super) fn read(row: &SqliteRow) -> Result<Option<Maintenance>, RegistryError> {
    if row.try_get::<i64, _>("maintenance")? == 0 {
        return Ok(None);
    }
    let until = row.try_get::<Option<i64>, _>("maintenance_until_ms")?.map(from_millis);
    let reason = row.try_get::<Option<String>, _>("maintenance_reason")?.unwrap_or_default().into();
    Ok(Some(Maintenance { until, reason }))
}

fn told(maintenance: Option<&Maintenance>, reason: &str) -> String {
    let mut text = if maintenance.is_some() { "on" } else { "off" }.to_owned();
    // Writing to a String cannot fail.
    if let Some(until) = maintenance.and_then(|maintenance| maintenance.until) {
        write!(text, " until {until}").ok();
    }
    if !reason.is_empty() {
        write!(text, ": {reason}").ok();
    }
    text
}
