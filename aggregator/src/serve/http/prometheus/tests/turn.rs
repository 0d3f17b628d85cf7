//! Queries that take long, and those that must not wait for them.

use super::world::{Client, NOW_S, api, store};
use crate::limit::{Limits, QueryLimits};
use crate::store::embedded::Embedded;
use crate::store::{Bucket, Resolution, Sample, Select, SeriesId};
use quorate_common::model::node::NodeId;
use quorate_common::model::series::SeriesSpec;
use quorate_common::model::time::WallTime;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use tokio::sync::mpsc as asynchronous;

/// Arrivals that are remembered.
const ARRIVALS_MAX: usize = 8;

/// A store that gives no sample of before the last hour until it is let go.
struct Slow {
    inner: Embedded,
    /// Says that somebody has come to read.
    arrived: asynchronous::Sender<()>,
    /// One read goes on for each.
    released: Mutex<mpsc::Receiver<()>>,
}

impl Select for Slow {
    fn find(&self, node: NodeId, matches: &dyn Fn(&SeriesSpec) -> bool) -> Vec<(SeriesId, SeriesSpec)> {
        self.inner.find(node, matches)
    }

    fn samples(&self, node: NodeId, series: &[SeriesId], from: WallTime, to: WallTime) -> Vec<Vec<Sample>> {
        if from.0 < (NOW_S - 3_600) * 1_000_000_000 {
            // Only the first arrivals are asked for.
            self.arrived.try_send(()).ok();
            self.released.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
        }
        self.inner.samples(node, series, from, to)
    }

    fn rolled(
        &self,
        node: NodeId,
        series: &[SeriesId],
        resolution: Resolution,
        from: WallTime,
        to: WallTime,
    ) -> Vec<Vec<Bucket>> {
        self.inner.rolled(node, series, resolution, from, to)
    }
}

struct Stage {
    client: Arc<Client>,
    arrivals: asynchronous::Receiver<()>,
    release: mpsc::SyncSender<()>,
}

fn stage(query: QueryLimits) -> Stage {
    let (arrived, arrivals) = asynchronous::channel(ARRIVALS_MAX);
    let (release, released) = mpsc::sync_channel(1);
    let slow = Slow { inner: store(), arrived, released: Mutex::new(released) };
    let limits = Limits { query, ..Limits::default() };
    Stage { client: Arc::new(Client(api(Arc::new(slow), limits).router())), arrivals, release }
}

const HEAVY: &str = "/api/v1/query?query=count_over_time(node_load1%5B30d%5D)";
const LIGHT: &str = "/api/v1/query?query=count(node_load1)";

#[tokio::test]
async fn light_queries_do_not_wait_for_heavy_ones() {
    let limits = QueryLimits { heavy_at_once_max: 2, light_at_once_max: 1, ..QueryLimits::default() };
    let Stage { client, mut arrivals, release } = stage(limits);
    let ask = || {
        let client = client.clone();
        tokio::spawn(async move { client.get(HEAVY).await })
    };
    let heavy = [ask(), ask(), ask()];
    for _ in 0..2 {
        arrivals.recv().await.unwrap();
    }
    for _ in 0..100 {
        assert_eq!(client.data(LIGHT).await["result"][0]["value"][1], "2");
    }
    assert!(arrivals.try_recv().is_err(), "the third waits for its turn");
    drop(release);
    for heavy in heavy {
        let (status, answer) = heavy.await.unwrap();
        assert_eq!(status.as_u16(), 200, "{answer}");
    }
}

#[tokio::test]
async fn whoever_waits_too_long_is_told() {
    let limits = QueryLimits { heavy_at_once_max: 1, wait_ms_max: 1, ..QueryLimits::default() };
    let Stage { client, mut arrivals, release } = stage(limits);
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.get(HEAVY).await }
    });
    arrivals.recv().await.unwrap();
    let late = client.refusal(HEAVY).await;
    assert_eq!(late, (503, "timeout".into(), "query timed out in query queue".into()));
    drop(release);
    assert_eq!(first.await.unwrap().0.as_u16(), 200);
}

#[tokio::test]
async fn a_query_ends_with_its_time() {
    let Stage { client, mut arrivals, release } = stage(QueryLimits::default());
    let late = client.refusal(&format!("{HEAVY}&timeout=20ms")).await;
    assert_eq!(late, (503, "timeout".into(), "query timed out in expression evaluation".into()));
    arrivals.recv().await.unwrap();
    release.send(()).unwrap();
    // Its thread has noticed: of the second node nothing is read. The channel ends with the store.
    drop(client);
    assert_eq!(arrivals.recv().await, None);
}

#[tokio::test]
async fn work_ends_with_whoever_asked() {
    let Stage { client, mut arrivals, release } = stage(QueryLimits::default());
    let asking = tokio::spawn(async move { client.get(HEAVY).await });
    arrivals.recv().await.unwrap();
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    release.send(()).unwrap();
    assert_eq!(arrivals.recv().await, None, "nothing more is read");
}
