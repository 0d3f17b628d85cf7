//! A backup, sent as it is read: first all that is small or would be deleted meanwhile, then the sealed history.
//!
//! ```text
//!   state files + snapshot of the store ─→ begin ─→ file, data, data, … ─→ file, … ─→ end
//!                                             └─ nobody takes a part for 30 s: over, without an end
//! ```
//!
//! At most one megabyte waits for the reader. One that hangs keeps some open files for half a minute, and nothing of
//! the store: neither a lock nor a thread.

use crate::identity::backup::{BackupError, Content, Keys, StateFile, files};
use crate::identity::init::StatePaths;
use crate::limit::{Current, Slot, Slots, millis};
use crate::store::embedded::{Embedded, Snapshot, SnapshotFile};
use bytes::Bytes;
use quorate_common::error::{Kind, chain};
use quorate_common::model::time::WallTime;
use quorate_common::shutdown::Shutdown;
use quorate_proto::convert::timestamp;
use quorate_proto::v1::backup_response::Part;
use quorate_proto::{status, v1};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tonic::Status;

/// Backups at once.
const AT_ONCE_MAX: u32 = 2;
/// Bytes of one part.
const PART_BYTES: usize = 256 << 10;
/// Parts that wait for the reader.
const PARTS_MAX: usize = 4;
/// Where history lies below the state directory.
const HISTORY: &str = "history";

/// What is backed up.
#[derive(Clone)]
pub struct Backups {
    /// Of the state directory.
    pub paths: StatePaths,
    /// The name of this aggregator.
    pub name: Arc<str>,
    /// History.
    pub store: Arc<Embedded>,
    /// How slowly somebody may read.
    pub limits: Current,
    /// Who takes a backup.
    pub slots: Slots,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// What a caller reads from.
pub type Outbox = mpsc::Receiver<Result<v1::BackupResponse, Status>>;

impl Backups {
    /// A place for another one, if there is one.
    pub fn enter(&self) -> Result<Slot, Status> {
        let text =
            || Status::resource_exhausted(format!("{AT_ONCE_MAX} backups are being taken, try again later"));
        self.slots.take(AT_ONCE_MAX).ok_or_else(text)
    }

    /// Begins one.
    pub fn start(&self, keys: Keys, slot: Slot, now: WallTime) -> Outbox {
        let (queue, outbox) = mpsc::channel(PARTS_MAX);
        let stall = millis(self.limits.borrow().call.watch_stall_ms);
        let sending = Sending { queue, stall, files: 0, bytes: 0 };
        let (backups, shutdown) = (self.clone(), self.shutdown.clone());
        self.shutdown.spawn("backup", async move {
            let _slot = slot;
            tokio::select! { () = backups.run(keys, now, sending) => {}, () = shutdown.asked() => {} }
        });
        outbox
    }

    async fn run(&self, keys: Keys, now: WallTime, mut sending: Sending) {
        match self.send(keys, now, &mut sending).await {
            Ok(()) => {
                tracing::info!(
                    class = "success",
                    files = sending.files,
                    bytes = sending.bytes,
                    "backup sent"
                );
            }
            Err(Broken::Reader(why)) => tracing::warn!(files = sending.files, why, "backup broken off"),
            Err(Broken::Own(status)) => {
                tracing::error!(class = "failure", error = status.message(), "backup failed");
                // The reader may be gone, too.
                sending.put(Err(status)).await.ok();
            }
        }
    }

    async fn send(&self, keys: Keys, now: WallTime, sending: &mut Sending) -> Result<(), Broken> {
        let state = files(&self.paths, keys).await?;
        let store = self.store.clone();
        let snapshot = blocking(move || store.snapshot()).await?;
        let snapshot = snapshot.map_err(|error| Broken::own(&error))?;
        let items = items(state, snapshot);
        sending
            .part(Part::Begin(v1::BackupBegin {
                aggregator: self.name.to_string(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                created: Some(timestamp(now)),
                has_keys: keys == Keys::With,
                files: items.len() as u64,
                bytes: items.iter().map(Item::bytes).sum(),
            }))
            .await?;
        for item in items {
            sending.file(item).await?;
        }
        let (files, bytes) = (sending.files, sending.bytes);
        sending.part(Part::End(v1::BackupEnd { files, bytes })).await
    }
}

/// Why a backup has no end.
enum Broken {
    /// Something of ours failed.
    Own(Status),
    /// Nobody reads it any more.
    Reader(&'static str),
}

impl Broken {
    fn own(error: &dyn std::error::Error) -> Broken {
        Broken::Own(status::of(Kind::Internal, error))
    }

    fn file(name: &str, error: &io::Error) -> Broken {
        Broken::Own(Status::data_loss(format!("failed to read `{name}`: {}", chain(error))))
    }
}

impl From<BackupError> for Broken {
    fn from(error: BackupError) -> Broken {
        let kind = if matches!(error, BackupError::Changing) { Kind::Unavailable } else { Kind::Internal };
        Broken::Own(status::of(kind, &error))
    }
}

/// A file to send.
enum Item {
    State(StateFile),
    History(String, SnapshotFile),
}

fn items(state: Vec<StateFile>, snapshot: Snapshot) -> Vec<Item> {
    let history =
        snapshot.files.into_iter().map(|file| Item::History(format!("{HISTORY}/{}", file.name), file));
    state.into_iter().map(Item::State).chain(history).collect()
}

impl Item {
    fn name(&self) -> &str {
        match self {
            Item::State(file) => &file.name,
            Item::History(name, _) => name,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Item::State(StateFile { content: Content::Whole(content), .. }) => content.len() as u64,
            Item::State(StateFile { content: Content::Copy(_, bytes), .. }) => *bytes,
            Item::History(_, file) => file.bytes,
        }
    }

    /// Makes ready to read it; false if it is gone.
    fn begin(&mut self) -> io::Result<bool> {
        match self {
            Item::State(_) => Ok(true),
            Item::History(_, file) => file.begin(),
        }
    }

    /// The part at `at`. Blocks.
    fn read(&self, at: u64) -> io::Result<Bytes> {
        let left = self.bytes().saturating_sub(at);
        let bytes = PART_BYTES.min(usize::try_from(left).unwrap_or(PART_BYTES));
        match self {
            Item::State(StateFile { content: Content::Whole(content), .. }) => {
                let part = usize::try_from(at).ok().and_then(|at| content.get(at..)?.get(..bytes));
                Ok(Bytes::copy_from_slice(part.unwrap_or_default()))
            }
            Item::State(StateFile { content: Content::Copy(file, _), .. }) => {
                let mut part = vec![0; bytes];
                file.read_exact_at(&mut part, at)?;
                Ok(part.into())
            }
            Item::History(_, file) => Ok(file.read(at, bytes)?.into()),
        }
    }
}

/// The end that parts are put into.
struct Sending {
    queue: mpsc::Sender<Result<v1::BackupResponse, Status>>,
    /// How long a part may wait.
    stall: Duration,
    files: u64,
    bytes: u64,
}

impl Sending {
    async fn file(&mut self, mut item: Item) -> Result<(), Broken> {
        let (begun, mut item) = blocking(move || (item.begin(), item)).await?;
        if !begun.map_err(|error| Broken::file(item.name(), &error))? {
            return Ok(());
        }
        let (name, bytes) = (item.name().to_owned(), item.bytes());
        self.part(Part::File(v1::BackupFile { name, bytes })).await?;
        let mut at = 0;
        while at < bytes {
            let part;
            (part, item) = blocking(move || (item.read(at), item)).await?;
            let part = part.map_err(|error| Broken::file(item.name(), &error))?;
            at += part.len() as u64;
            self.part(Part::Data(part)).await?;
        }
        self.files += 1;
        self.bytes += bytes;
        Ok(())
    }

    async fn part(&self, part: Part) -> Result<(), Broken> {
        self.put(Ok(v1::BackupResponse { part: Some(part) })).await
    }

    async fn put(&self, message: Result<v1::BackupResponse, Status>) -> Result<(), Broken> {
        match tokio::time::timeout(self.stall, self.queue.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Broken::Reader("the reader hung up")),
            Err(_) => Err(Broken::Reader("the reader took nothing")),
        }
    }
}

/// Off the runtime: it waits for a disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Broken> {
    spawn_blocking(work).await.map_err(|error| Broken::own(&error))
}

#[cfg(test)]
mod tests;
