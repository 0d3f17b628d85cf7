//! Wiring of the services: who is given what. Nothing is opened here, and nothing can fail.

use super::Settings;
use super::doors::{Doors, Services};
use crate::agents::Agents;
use crate::identity::init::StatePaths;
use crate::identity::registry::Registry;
use crate::judge;
use crate::limit::{Current, Refusals, Slots};
use crate::receive::service::Ingest;
use crate::serve::admin::Admin;
use crate::serve::backup::Backups;
use crate::serve::cluster::Clusters;
use crate::serve::http::session::Sessions;
use crate::serve::query::Queries;
use crate::serve::range::Ranges;
use crate::store::embedded::Embedded;
use crate::store::live::Live;
use quorate_common::clock::Clock;
use quorate_common::model::cluster::Snapshot;
use quorate_common::notify::Pulse;
use quorate_common::shutdown::Shutdown;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// What services are made of.
pub struct Parts {
    /// Where the state lies.
    pub paths: StatePaths,
    /// Who belongs.
    pub registry: Registry,
    /// Sessions and questions.
    pub agents: Agents,
    /// History.
    pub store: Arc<Embedded>,
    /// By which everything is stamped and judged.
    pub own: Arc<dyn Clock>,
    /// By which certificates and tokens end.
    pub wall: Arc<dyn Clock>,
}

/// What the judge is run with.
pub type Judge = (judge::Inputs, watch::Sender<Arc<Snapshot>>);

impl Parts {
    /// The services, and what the judge hears and tells.
    pub fn wire(self, doors: &Doors, settings: &Settings, shutdown: &Shutdown) -> (Services, Judge) {
        let Parts { paths, registry, agents, store, own, wall } = self;
        let live = Arc::new(Live::default());
        let (observations, inbox) = mpsc::channel(judge::OBSERVATIONS_MAX);
        let (publish, snapshots) = watch::channel(Arc::new(Snapshot::empty()));
        let inputs = judge::Inputs {
            config: settings.evaluate.subscribe(),
            observations: inbox,
            roster: registry.roster(),
            live: live.clone(),
            clock: own.clone(),
            pulse: Pulse::default(),
        };
        let (limits, refusals) = (settings.limits.subscribe(), Refusals::new(own.clone()));
        let ingest = Ingest {
            name: doors.name(),
            limits: limits.clone(),
            refusals: refusals.clone(),
            live: live.clone(),
            store: store.clone(),
            agents: agents.clone(),
            observations,
            clock: own.clone(),
            shutdown: shutdown.clone(),
        };
        let clusters = Clusters {
            snapshots: snapshots.clone(),
            registry: registry.clone(),
            live: live.clone(),
            store: store.clone(),
            agents: agents.clone(),
            clock: own.clone(),
            limits: limits.clone(),
            watchers: Slots::default(),
            refusals: refusals.clone(),
            shutdown: shutdown.clone(),
        };
        let queries = Queries {
            snapshots,
            live: live.clone(),
            store: store.clone(),
            agents: agents.clone(),
            clock: own,
            ranges: Ranges::new(limits.clone(), shutdown.clone(), registry.clone()),
        };
        let admin = Admin {
            registry: registry.clone(),
            enrolment_addresses: doors.advertised.enrol(),
            authority: doors.authority(),
            agents,
            live,
            store: store.clone(),
            backups: backups(paths, (doors, store), &limits, shutdown),
            limits: limits.clone(),
            clock: wall.clone(),
        };
        let sessions = Sessions::default();
        let configuration = settings.shown.subscribe();
        let services = Services {
            ingest,
            clusters,
            queries,
            admin,
            limits,
            refusals,
            configuration,
            sessions,
            registry,
            clock: wall,
        };
        (services, (inputs, publish))
    }
}

fn backups(
    paths: StatePaths,
    (doors, store): (&Doors, Arc<Embedded>),
    limits: &Current,
    shutdown: &Shutdown,
) -> Backups {
    let (name, limits, shutdown) = (doors.name(), limits.clone(), shutdown.clone());
    Backups { paths, name, store, limits, slots: Slots::default(), shutdown }
}
