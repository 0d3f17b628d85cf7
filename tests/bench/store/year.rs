//! How long a year of hours takes: the buckets of all series of a node that were sampled once an hour, sealed and
//! rolled up as a year would have it, on a clock that is moved by hand.

use super::keeper::{Standing, open};
use super::node::Node;
use super::query::{Times, times};
use super::words::{Fleet, SECOND};
use anyhow::ensure;
use quorate_aggregator::store::embedded::Embedded;
use quorate_aggregator::store::live::Live;
use quorate_aggregator::store::{Bucket, Resolution, Select, SeriesId};
use quorate_common::error::chain;
use quorate_common::model::series::Window;
use quorate_common::model::session::{AgentMessage, Register};
use quorate_common::model::time::{BootTime, Now, WallTime};
use quorate_tests::swarm::script::Script;
use std::path::Path;
use std::sync::Arc;

const HOUR: i64 = 3_600 * SECOND;
const HOURS: i64 = 365 * 24;
/// A period of minutes.
const PERIOD: i64 = 6;
/// The store is looked after so often behind each period: it seals, waits, rolls up minutes and then hours.
const LOOKS: i64 = 3;
/// More than it waits before it rolls up.
const PAUSE: i64 = 400 * SECOND;

/// A year behind `fleet.from`, of its first node.
pub fn year(fleet: Fleet, directory: &Path) -> anyhow::Result<Times> {
    let clock = Arc::new(Standing::at(fleet.from));
    let (store, _) = open(directory, clock.clone())?;
    let mut node = Node::begin(0, &Live::default(), &store)?;
    let profile = fleet.profile();
    let mut script = Script::new(&profile, 0, 1);
    node.take(&AgentMessage::Register(hourly(script.register()?)), &store)?;
    for hour in 1..=HOURS {
        let now = moment(fleet, hour * HOUR);
        clock.put(now.wall);
        let mut frame = script.frame(hour.cast_unsigned(), now)?;
        frame.window = Some(Window::Long);
        node.take(&AgentMessage::Frame(frame), &store)?;
        if hour % PERIOD == 0 {
            store.commit()?;
            look_after(&store, fleet, hour * HOUR)?;
        }
    }
    let ids: Vec<SeriesId> = store.find(node.id, &|_| true).into_iter().map(|(id, _)| id).collect();
    ensure!(ids.len() == fleet.series, "{} series are there", ids.len());
    let (from, to) = (fleet.from, moment(fleet, HOURS * HOUR).wall);
    let source = profile.source(0);
    times(|turn| {
        let found = store.rolled(node.id, &ids, Resolution::Hour, from, to);
        let slot = turn % ids.len();
        let expect = (1..=HOURS).map(|hour| (hour * HOUR, source.value(slot, hour.cast_unsigned())));
        let told = |bucket: &Bucket| (bucket.at.0 - from.0, bucket.last);
        let is_right = found.get(slot).is_some_and(|found| found.iter().map(told).eq(expect));
        let hours = found.get(slot).map_or(0, Vec::len);
        ensure!(is_right, "series {slot} of the year is wrong, it has {hours} hours");
        Ok(())
    })
}

/// The same series, sampled once an hour.
fn hourly(mut register: Register) -> Register {
    register.groups.iter_mut().for_each(|group| group.interval_ms = 3_600_000);
    register
}

fn moment(fleet: Fleet, behind: i64) -> Now {
    Now { boot: BootTime(behind.cast_unsigned()), wall: WallTime(fleet.from.0 + behind) }
}

fn look_after(store: &Embedded, fleet: Fleet, behind: i64) -> anyhow::Result<()> {
    for look in 1..=LOOKS {
        let errors = store.keep_up(moment(fleet, behind + look * PAUSE));
        ensure!(errors.is_empty(), "{:?}", errors.iter().map(|error| chain(error)).collect::<Vec<_>>());
    }
    Ok(())
}
