//! How the aggregator itself does.

use super::Metrics;
use super::family::{Family, yes};
use crate::agents::Known;
use crate::serve::diagnostic::{Diagnostics, VERSION, resident_bytes};
use quorate_common::catalog;
use quorate_common::model::time::WallTime;

/// All of them.
pub fn families(metrics: &Metrics, known: &[Known]) -> Vec<Family> {
    let mut families = process(&metrics.own);
    families.extend(queues(metrics));
    families
        .push(Family::single(&catalog::SESSIONS, known.iter().filter(|known| known.is_there).count() as f64));
    families.extend(doors(&metrics.own));
    families.push(refusals(&metrics.own));
    families.extend(commits(metrics));
    families.extend(history(&metrics.own));
    families
}

fn process(own: &Diagnostics) -> Vec<Family> {
    let labels = [("component", "aggregator"), ("name", &*own.name), ("version", VERSION)];
    let build = Family::of(&catalog::BUILD_INFO).with(&labels, 1.0);
    let memory = resident_bytes().map(|bytes| Family::single(&catalog::RESIDENT_MEMORY, bytes as f64));
    let reload = own.configuration.borrow().last_reload.as_ref().map(|last| last.ok);
    let reload = reload.map(|ok| Family::single(&catalog::RELOAD_SUCCESS, yes(ok)));
    let mut ends = Family::of(&catalog::CERTIFICATE_END);
    for certificate in own.certificates.borrow().iter() {
        ends.push(&[("subject", &certificate.subject)], seconds(certificate.not_after));
    }
    let start = Family::single(&catalog::START_TIME, seconds(own.started));
    [build, start, ends].into_iter().chain(memory).chain(reload).collect()
}

fn seconds(at: WallTime) -> f64 {
    at.0.div_euclid(1_000_000) as f64 / 1000.0
}

fn queues(metrics: &Metrics) -> [Family; 2] {
    let mut length = Family::of(&catalog::QUEUE_LENGTH);
    let mut room = Family::of(&catalog::QUEUE_ROOM);
    for (queue, (waiting, max)) in [("agents", metrics.agents.queue()), ("judge", (metrics.judged)())] {
        length.push(&[("queue", queue)], waiting as f64);
        room.push(&[("queue", queue)], max as f64);
    }
    [length, room]
}

fn doors(own: &Diagnostics) -> [Family; 4] {
    let mut open = Family::of(&catalog::CONNECTIONS);
    let mut accepted = Family::of(&catalog::CONNECTIONS_ACCEPTED);
    let mut handshakes = Family::of(&catalog::HANDSHAKES);
    let mut errors = Family::of(&catalog::ACCEPT_ERRORS);
    for door in &own.doors {
        let labels = [("door", door.name)];
        open.push(&labels, door.connections.count() as f64);
        accepted.push(&labels, door.counters.accepted() as f64);
        handshakes.push(&labels, door.counters.opened() as f64);
        errors.push(&labels, door.counters.accept_errors() as f64);
    }
    [open, accepted, handshakes, errors]
}

/// Those of which there were none too: a series that begins at its first event hides it from `increase`.
fn refusals(own: &Diagnostics) -> Family {
    own.refusals.counts().fold(Family::of(&catalog::REFUSALS), |family, (reason, count)| {
        family.with(&[("reason", reason.as_str())], count as f64)
    })
}

fn commits(metrics: &Metrics) -> [Family; 2] {
    let commits = *metrics.append.commits().borrow();
    let results = Family::of(&catalog::HISTORY_COMMITS)
        .with(&[("result", "done")], commits.done as f64)
        .with(&[("result", "failed")], commits.failed as f64);
    [results, Family::single(&catalog::HISTORY_FAILING, yes(commits.is_failing))]
}

/// Nothing, where no history is on disk.
fn history(own: &Diagnostics) -> Vec<Family> {
    let Some(condition) = own.store.condition() else { return Vec::new() };
    let deletions = own.store.deletions();
    let mut files = Family::of(&catalog::HISTORY_DELETED_FILES);
    let mut bytes = Family::of(&catalog::HISTORY_DELETED_BYTES);
    for (reason, tally) in [("age", deletions.aged), ("size", deletions.crowded)] {
        files.push(&[("reason", reason)], tally.files as f64);
        bytes.push(&[("reason", reason)], tally.bytes as f64);
    }
    vec![
        Family::single(&catalog::HISTORY_BYTES, condition.bytes as f64),
        Family::single(&catalog::HISTORY_FILES, condition.files as f64),
        Family::single(&catalog::HISTORY_DAMAGED, own.store.damaged() as f64),
        files,
        bytes,
    ]
}
