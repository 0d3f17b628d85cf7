use super::*;
use crate::identity::init::{Options, init};
use crate::limit::{CallLimits, Limits};
use crate::store::embedded::{Config, Dice};
use crate::store::{Append, Lane, Origin};
use quorate_common::clock::SystemClock;
use quorate_common::durable;
use quorate_common::ledger::Totals;
use quorate_common::model::node::NodeId;
use quorate_common::model::session::Epoch;
use quorate_common::rng::{Rng, SeededRng};
use std::collections::BTreeMap;
use std::path::Path;
use tokio::sync::watch;

const NOW: WallTime = WallTime(1_795_000_000_000_000_000);
const NODE: NodeId = NodeId(1);

fn open(directory: &Path, seed: u64) -> Embedded {
    let dice: Dice = [seed, seed + 1].map(|seed| Box::new(SeededRng::new(seed)) as Box<dyn Rng>);
    Embedded::open(directory, Config::default(), Arc::new(SystemClock), dice).unwrap().0
}

async fn backups(dir: &Path) -> Backups {
    let options = Options {
        dir: dir.join("state"),
        name: "agg".into(),
        hosts: vec!["localhost".into()],
        trust_domain: "quorate".into(),
    };
    let paths = init(&options, NOW).await.unwrap().paths;
    let store = Arc::new(open(&dir.join("state/history"), 1));
    let call = CallLimits { watch_stall_ms: 50, ..CallLimits::default() };
    let (_, limits) = watch::channel(Arc::new(Limits { call, ..Limits::default() }));
    let (slots, shutdown) = (Slots::default(), Shutdown::new());
    Backups { paths, name: "agg".into(), store, limits, slots, shutdown }
}

/// One heartbeat of an epoch, which its ledger then knows of.
fn beat(store: &Embedded, seq: u64) {
    store.begin(NODE, Lane::Live);
    let origin = Origin { epoch: Epoch::default(), totals: Totals::default(), admitted: 0 };
    assert!(store.beat(NODE, seq, origin));
}

/// What arrives, by name, and the counts that the end says.
async fn taken(mut outbox: Outbox) -> (v1::BackupBegin, BTreeMap<String, Vec<u8>>, v1::BackupEnd) {
    let (mut begin, mut files, mut name) = (None, BTreeMap::new(), String::new());
    while let Some(message) = outbox.recv().await {
        match message.unwrap().part.unwrap() {
            Part::Begin(found) => begin = Some(found),
            Part::File(file) => {
                name = file.name;
                files.insert(name.clone(), Vec::new());
            }
            Part::Data(data) => {
                assert!(data.len() <= PART_BYTES);
                files.get_mut(&name).unwrap().extend_from_slice(&data);
            }
            Part::End(end) => return (begin.unwrap(), files, end),
        }
    }
    panic!("no end");
}

#[tokio::test]
async fn what_is_sent_is_a_state_directory() {
    let dir = tempfile::tempdir().unwrap();
    let backups = backups(dir.path()).await;
    beat(&backups.store, 1);
    let slot = backups.enter().unwrap();
    let (begin, files, end) = taken(backups.start(Keys::With, slot, NOW)).await;
    let bytes: usize = files.values().map(Vec::len).sum();
    assert_eq!((end.files, end.bytes), (files.len() as u64, bytes as u64));
    assert_eq!((begin.files, begin.bytes, begin.has_keys), (end.files, end.bytes, true));
    let other = dir.path().join("other");
    for (name, content) in files {
        let path = other.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        durable::create(&path, &content, durable::PRIVATE).unwrap();
    }
    // What was gathered and not yet committed is in it.
    let ledger = open(&other.join("history"), 9).durable(NODE, Epoch::default());
    assert_eq!(ledger.watermark(), 1);
    let paths = StatePaths::below(&other);
    let authority = crate::identity::ca::Authority::load(&paths.authority).unwrap();
    assert_eq!(authority.trust_domain(), "quorate");
}

#[tokio::test]
async fn a_reader_that_hangs_holds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let backups = backups(dir.path()).await;
    let outboxes = [(); 2].map(|()| backups.start(Keys::Without, backups.enter().unwrap(), NOW));
    let status = backups.enter().unwrap_err();
    assert_eq!(status.message(), "2 backups are being taken, try again later");
    // There are more parts than may wait: both senders are stuck, and give up.
    for outbox in &outboxes {
        while !outbox.is_closed() {
            tokio::task::yield_now().await;
        }
    }
    drop([(); 2].map(|()| backups.enter().unwrap()));
    for mut outbox in outboxes {
        let mut last = None;
        while let Some(message) = outbox.recv().await {
            last = message.unwrap().part;
        }
        assert!(!matches!(last, None | Some(Part::End(_))), "it has no end: {last:?}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let backups = backups(dir.path()).await;
    std::fs::remove_file(&backups.paths.server_chain).unwrap();
    std::fs::create_dir(&backups.paths.server_chain).unwrap();
    let mut outbox = backups.start(Keys::With, backups.enter().unwrap(), NOW);
    let status = outbox.recv().await.unwrap().unwrap_err();
    assert!(status.message().contains("server.crt"), "{status}");
    assert!(outbox.recv().await.is_none());
}
