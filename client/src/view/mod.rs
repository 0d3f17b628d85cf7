//! What the API says, as scripts read it: one plain value per message, fields named as in the protocol.
//!
//! Status words are those of the model. What is absent stays absent and is never shown as 0 or empty.

mod aggregator;
mod audit;
mod backup;
mod cluster;
mod gap;
mod node;
mod range;
mod series;
mod token;

pub use aggregator::{
    Aggregator, Certificate, Configuration, Door, Limit, Reload, SpoiltFile, StoredHistory,
};
pub use audit::{AuditLine, AuditList};
pub use backup::{BackupBegin, BackupFile, BackupPart};
pub use cluster::{
    Changes, ClusterHealth, FullState, HealthReport, Quorum, Transition, WatchEvent, ZoneRisk,
};
pub use gap::{Gap, GapList};
pub use node::{
    ComponentHealth, Delivery, Node, NodeDetail, NodeIdentity, NodeList, Process, ProcessList, ResourceUsage,
};
pub use range::{RangeAnswer, RangeSeries};
pub use series::{LatestList, LatestSeries, Number, RecentList, RecentSeries, Sample, series_name};
pub use token::{CreatedToken, Token, TokenList};

use quorate_common::model::time::WallTime;
use serde::{Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// A moment, written as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub WallTime);

impl Stamp {
    /// A whole second since the Unix epoch.
    #[cfg(test)]
    pub fn from_secs(seconds: i64) -> Stamp {
        Stamp(WallTime(seconds.saturating_mul(1_000_000_000)))
    }

    /// So much earlier.
    pub fn before(self, span: Duration) -> Stamp {
        let nanoseconds = i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        Stamp(WallTime(self.0.0.saturating_sub(nanoseconds)))
    }

    /// The time of day, `hh:mm:ss.mmm` in UTC.
    pub fn time_of_day(self) -> String {
        let text = self.to_string();
        text.split_once('T').map(|(_, time)| time.trim_end_matches('Z').to_owned()).unwrap_or(text)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
