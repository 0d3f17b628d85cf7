//! One process of the aggregator: its store on its disk, the ledgers of the one node, and what it is to answer.

use super::mutant::Mutant;
use super::shim::Shim;
use super::tap::Tap;
use quorate_aggregator::agents::delivery::Delivery;
use quorate_aggregator::limit::AgentLimits as Limits;
use quorate_aggregator::receive::backfill::{Backfill, Taken};
use quorate_aggregator::receive::session::{NodeHandle, Session};
use quorate_aggregator::store::embedded::{Config, Dice, Embedded, StoreError};
use quorate_aggregator::store::live::Live;
use quorate_aggregator::store::{Append, Commits};
use quorate_common::clock::Clock;
use quorate_common::model::backfill::{self, Known};
use quorate_common::model::node::NodeId;
use quorate_common::model::time::{Now, WallTime};
use quorate_common::quantity::Size;
use quorate_common::rng::{Rng, SeededRng};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// The one node.
pub const NODE: NodeId = NodeId(1);
/// Directories of its disk.
pub const DIRECTORIES: [&str; 2] = ["/store", "/store/quarantine"];

/// See the module.
pub struct Aggregator {
    pub disk: Arc<Shim>,
    pub store: Arc<Embedded>,
    pub delivery: Arc<Delivery>,
    pub session: Option<Session>,
    node: NodeHandle,
    tap: Arc<Tap>,
    commits: watch::Receiver<Commits>,
    /// Failures that were answered by setting back.
    failed: u64,
    /// What was sent of earlier and waits for its batch.
    waiting: Option<(Backfill, Taken)>,
    mutant: Option<Mutant>,
}

impl Aggregator {
    /// Opens the store.
    pub fn start(
        disk: Arc<Shim>,
        clock: Arc<dyn Clock>,
        mutant: Option<Mutant>,
        rng: &mut dyn Rng,
    ) -> Result<Aggregator, StoreError> {
        let dice: Dice = [rng.u64(), rng.u64()].map(|seed| Box::new(SeededRng::new(seed)) as Box<dyn Rng>);
        let directory = Path::new(DIRECTORIES[0]);
        // As much as is shipped would be most of what a run writes.
        let config = Config { reserve: Size::from_bytes(1_000), ..Config::default() };
        let (store, _) = Embedded::open_on(disk.clone(), directory, config, clock, dice)?;
        let store = Arc::new(store);
        let tap = Arc::new(Tap::new(store.clone(), mutant));
        let row = Live::default().row(NODE, &"n1".parse().expect("a name"));
        let delivery = Arc::new(Delivery::new(NODE, tap.clone()));
        let node = NodeHandle { id: NODE, row, delivery: delivery.clone() };
        let commits = store.commits();
        let (session, waiting, failed) = (None, None, 0);
        Ok(Aggregator { disk, store, delivery, session, node, tap, commits, failed, waiting, mutant })
    }

    /// A session begins.
    pub fn connect(&mut self, now: Now) {
        let (node, tap) = (self.node.clone(), self.tap.clone());
        self.session = Some(Session::new(node, tap, "a".into(), Limits::default(), now));
    }

    /// The connections are gone.
    pub fn disconnect(&mut self) {
        (self.session, self.waiting) = (None, None);
    }

    /// Decides what was gathered; whether it failed.
    pub fn commit(&mut self) -> bool {
        let has_failed = self.store.commit().is_err();
        self.follow();
        has_failed
    }

    /// Seals what is over. What fails is tried again.
    pub fn keep_up(&mut self, now: Now) {
        drop(self.store.keep_up(now));
        self.follow();
    }

    /// As the task of the agents does.
    fn follow(&mut self) {
        let failed = self.commits.borrow().failed;
        if failed > std::mem::replace(&mut self.failed, failed) && self.mutant != Some(Mutant::NotSetBack) {
            self.delivery.set_back();
        }
    }

    /// Whether a message of earlier would be taken now.
    pub fn takes(&self) -> bool {
        let is_live = self.session.as_ref().is_some_and(Session::is_live);
        is_live && self.waiting.is_none() && !self.commits.borrow().is_failing
    }

    /// Takes a message of earlier.
    pub fn take(&mut self, message: backfill::Backfill, now: WallTime) {
        let mut backfill = Backfill::new(NODE, self.delivery.clone(), self.tap.clone(), Limits::default());
        let taken = backfill.receive(message, now);
        self.waiting = Some((backfill, taken));
    }

    /// Whether something of earlier waits.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// The answer to what waits, once it is decided.
    pub fn answer(&mut self) -> Option<Known> {
        let commits = *self.commits.borrow();
        let (backfill, taken) = self.waiting.take_if(|(_, taken)| commits.has(taken.ticket))?;
        Some(backfill.known(taken))
    }
}
