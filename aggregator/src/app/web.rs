//! What lies behind the HTTP door: every API, merged into one router. The door asks who calls; nothing here does.

use super::doors::Services;
use crate::limit::Slots;
use crate::serve::diagnostic::Diagnostics;
use crate::serve::http::live::{Feed, Reporter, Updates};
use crate::serve::http::login::Login;
use crate::serve::http::metric::{self, Metrics};
use crate::serve::http::prometheus::Prometheus;
use crate::serve::http::rest::{self, Rest};
use axum::Router;
use quorate_common::shutdown::Shutdown;

/// Everything.
pub fn router(services: &Services, own: &Diagnostics, shutdown: &Shutdown) -> Router {
    let login = Login {
        sessions: services.sessions.clone(),
        limits: services.limits.clone(),
        clock: services.clock.clone(),
    };
    let all = Router::new()
        .merge(login.router())
        .merge(prometheus(services).router())
        .merge(rest(services).router())
        .merge(metrics(services, own).router())
        .merge(updates(services, shutdown).router());
    rest::close(all)
}

fn prometheus(services: &Services) -> Prometheus {
    let queries = &services.queries;
    Prometheus::new(
        (queries.snapshots.clone(), queries.live.clone()),
        queries.store.clone(),
        queries.clock.clone(),
        (services.limits.clone(), services.refusals.clone()),
    )
}

fn rest(services: &Services) -> Rest {
    let queries = &services.queries;
    Rest {
        snapshots: queries.snapshots.clone(),
        live: queries.live.clone(),
        store: queries.store.clone(),
        commits: services.admin.store.commits(),
        agents: queries.agents.clone(),
        clock: queries.clock.clone(),
        started: queries.clock.now().boot,
        slots: Slots::default(),
    }
}

fn metrics(services: &Services, own: &Diagnostics) -> Metrics {
    let queries = &services.queries;
    Metrics {
        snapshots: queries.snapshots.clone(),
        live: queries.live.clone(),
        store: queries.store.clone(),
        append: services.admin.store.clone(),
        agents: queries.agents.clone(),
        own: own.clone(),
        judged: metric::queue(&services.ingest.observations),
        clock: queries.clock.clone(),
        scrapes: Slots::default(),
    }
}

/// Updates, and who reports them.
fn updates(services: &Services, shutdown: &Shutdown) -> Updates {
    let queries = &services.queries;
    let feed = Feed::new(queries.clock.now().wall);
    let reporter = Reporter {
        feed: feed.clone(),
        snapshots: queries.snapshots.clone(),
        commits: services.admin.store.commits(),
        live: queries.live.clone(),
        store: queries.store.clone(),
        clock: queries.clock.clone(),
    };
    shutdown.spawn("live", reporter.run(shutdown.clone()));
    Updates {
        feed,
        limits: services.limits.clone(),
        listeners: Slots::default(),
        refusals: services.refusals.clone(),
        clock: queries.clock.clone(),
        shutdown: shutdown.clone(),
    }
}
