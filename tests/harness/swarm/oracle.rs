//! The oracle: recomputes what virtual agents sent, and asks the aggregator's public API for it.
//!
//! Ticks are found by their time: they are a whole number of intervals after the member's first one, so a stamp that
//! the aggregator aligned is off by less than half an interval, or the oracle says so.

use super::Member;
use super::script::Profile;
use anyhow::{Context, ensure};
use quorate_common::model::time::WallTime;
use quorate_proto::v1;
use quorate_proto::v1::cluster_service_client::ClusterServiceClient;
use quorate_proto::v1::query_service_client::QueryServiceClient;
use std::ops::RangeInclusive;
use tonic::transport::Channel;

/// A window of history is asked for whole.
const SECONDS: u32 = 900;
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Asks and compares.
#[derive(Clone, Debug)]
pub struct Oracle {
    profile: Profile,
    channel: Channel,
}

/// What was found of one member, all of it right.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Ticks that can be read back, without a hole.
    pub ticks: RangeInclusive<u64>,
    /// Values that were compared.
    pub values: u64,
    /// What became of its samples: it adds up.
    pub delivery: v1::Delivery,
}

impl Oracle {
    /// For nodes of one profile; `channel` is a viewer's at least.
    pub fn new(profile: Profile, channel: Channel) -> Oracle {
        Oracle { profile, channel }
    }

    /// Compares all that is kept of some series of a member: every value, once for each tick, without a hole.
    ///
    /// # Errors
    /// The first thing that is not as it was sent.
    pub async fn check(&self, member: &Member, slots: &[usize]) -> anyhow::Result<Found> {
        let delivery = self.delivery(&member.name).await?;
        let (mut ticks, mut values) = (None, 0);
        for &slot in slots {
            let kept = self.history(member, slot).await?;
            values += kept.len() as u64;
            let found =
                self.compare(member, slot, &kept).with_context(|| format!("{} slot {slot}", member.name))?;
            let same = ticks.get_or_insert(found.clone());
            ensure!(*same == found, "{}: ticks {same:?} of one series, {found:?} of another", member.name);
        }
        let ticks = ticks.with_context(|| format!("{}: nothing was compared", member.name))?;
        Ok(Found { ticks, values, delivery })
    }

    /// What became of the samples of a node.
    ///
    /// # Errors
    /// It was never heard, or collected is not stored and dropped.
    pub async fn delivery(&self, name: &str) -> anyhow::Result<v1::Delivery> {
        let request = v1::GetNodeRequest { name: name.to_owned() };
        let answer = ClusterServiceClient::new(self.channel.clone()).get_node(request).await?.into_inner();
        let delivery = answer.delivery.with_context(|| format!("`{name}` was never heard"))?;
        let dropped: u64 = delivery.dropped_by_cause.values().sum();
        ensure!(delivery.collected == delivery.stored + dropped, "`{name}` does not add up: {delivery:?}");
        Ok(delivery)
    }

    fn compare(
        &self,
        member: &Member,
        slot: usize,
        kept: &[(WallTime, f64)],
    ) -> anyhow::Result<RangeInclusive<u64>> {
        let source = self.profile.source(member.node);
        let mut ticks: Option<(u64, u64)> = None;
        for (at, value) in kept {
            let tick = self.tick(member, *at)?;
            let (first, last) = ticks.unwrap_or((tick, tick - 1));
            let sent = source.value(slot, tick);
            ensure!(tick == last + 1, "tick {tick} ({value} at {at}, sent {sent}) follows tick {last}");
            ensure!(*value == sent, "tick {tick} is {value}, sent {sent}");
            ticks = Some((first, tick));
        }
        let (first, last) = ticks.context("nothing is kept")?;
        Ok(first..=last)
    }

    /// Which tick a stamp belongs to.
    fn tick(&self, member: &Member, at: WallTime) -> anyhow::Result<u64> {
        let interval = i64::from(self.profile.interval_ms) * 1_000_000;
        let after = at.0 - member.first.wall.0 + interval / 2;
        ensure!(after >= 0, "{at} is before the first tick");
        Ok((after / interval).cast_unsigned() + 1)
    }

    /// What is kept of a series since the member began: others of its name may have been there before.
    async fn history(&self, member: &Member, slot: usize) -> anyhow::Result<Vec<(WallTime, f64)>> {
        let name = &member.name;
        let specs = self.profile.layout.specs()?;
        let metric = &specs.get(slot).context("there is no such slot")?.metric.name;
        let selector = format!("{metric}{{node=\"{name}\",slot=\"{slot}\"}}");
        let begin = member.first.wall.0 - i64::from(self.profile.interval_ms) * 500_000;
        let request = v1::QueryRecentRequest { selector, seconds: SECONDS, limit: 2 };
        let mut client =
            QueryServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        let series = client.query_recent(request).await?.into_inner().series;
        ensure!(series.len() == 1, "{} series match slot {slot} of `{name}`", series.len());
        let samples = series.into_iter().flat_map(|series| series.samples);
        samples
            .map(|sample| {
                let at = sample.timestamp.context("a sample has no time")?;
                Ok((WallTime(at.seconds * 1_000_000_000 + i64::from(at.nanos)), sample.value))
            })
            .filter(|sample| sample.as_ref().map_or(true, |(at, _)| at.0 >= begin))
            .collect()
    }
}
