//! File systems: the mounts of `/proc/1/mounts`, each asked by `statvfs`.
//!
//! `statvfs` can hang on a sick disk, so this collector may block. Network mounts hang far more often: each of
//! them is asked by a worker of its own, and one that does not answer costs its own numbers only. It is then
//! said to be in error, as node_exporter says it.

mod mount;
mod worker;

use self::mount::{Mount, parse};
use self::worker::{Cells, Statvfs, Workers};
use super::error::SampleError;
use super::keyed::Keyed;
use super::reader::File;
use super::text::{Lines, cell};
use super::{Sampler, Sink, Slot};
use quorate_common::catalog::{self, MetricDef};
use quorate_common::model::label::Labels;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const DEFS: [&MetricDef; worker::CELLS] = [
    &catalog::FILESYSTEM_SIZE,
    &catalog::FILESYSTEM_FREE,
    &catalog::FILESYSTEM_AVAIL,
    &catalog::FILESYSTEM_FILES,
    &catalog::FILESYSTEM_FILES_FREE,
    &catalog::FILESYSTEM_READONLY,
];
/// The last of them, which the list of mounts tells.
const READ_ONLY: usize = worker::CELLS - 1;

/// Asks every mount that holds data.
pub(super) struct Filesystem {
    root: PathBuf,
    /// Mounts of the host; a sandboxed agent may see only its own.
    files: [File; 2],
    interval_ms: u32,
    patience: Duration,
    kernel: Arc<dyn Statvfs>,
    workers: Workers,
    mounts: Keyed<Series>,
}

/// The series of one mount. In error it has no numbers.
struct Series {
    labels: Labels,
    error: Slot,
    numbers: Option<[Slot; DEFS.len()]>,
}

/// Asks by the system call.
struct Kernel;

impl Filesystem {
    /// Reads below `root`, every `interval_ms`. Network mounts have `patience`, all of them together.
    pub fn new(root: &Path, interval_ms: u32, patience: Duration) -> Filesystem {
        Filesystem::with(Arc::new(Kernel), root, (interval_ms, patience))
    }

    fn with(kernel: Arc<dyn Statvfs>, root: &Path, (interval_ms, patience): (u32, Duration)) -> Filesystem {
        let files = ["proc/1/mounts", "proc/self/mounts"].map(|path| File::new(root, path));
        let workers = Workers::new(Arc::clone(&kernel));
        let (root, mounts) = (root.to_owned(), Keyed::default());
        Filesystem { root, files, interval_ms, patience, kernel, workers, mounts }
    }

    fn list(&mut self) -> Result<Vec<Mount>, SampleError> {
        let [host, own] = &mut self.files;
        let (path, bytes) = host.read().or_else(|_| own.read())?;
        parse(Lines::new(path, bytes))
    }

    /// The answer of each mount; local ones are asked while the network ones think.
    fn ask(&mut self, mounts: &[Mount]) -> Vec<Option<Cells>> {
        let place = |mount: &Mount| {
            let below = mount.point.strip_prefix(b"/").unwrap_or(&mount.point);
            self.root.join(OsStr::from_bytes(below))
        };
        let remote = |mount: &&Mount| mount.is_remote();
        mounts.iter().filter(remote).for_each(|mount| self.workers.call(mount.key(), &place(mount)));
        let local = |mount: &Mount| if mount.is_remote() { None } else { self.kernel.ask(&place(mount)) };
        let mut answers: Vec<Option<Cells>> = mounts.iter().map(local).collect();
        let mut patience = self.patience;
        for (mount, answer) in mounts.iter().zip(&mut answers).filter(|(mount, _)| mount.is_remote()) {
            *answer = self.workers.wait(&mount.key(), &mut patience);
        }
        self.workers.finish();
        answers
    }
}

impl Sampler for Filesystem {
    fn name(&self) -> &'static str {
        "filesystem"
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn class(&self) -> SeriesClass {
        SeriesClass::System
    }

    fn may_block(&self) -> bool {
        true
    }

    fn sample(&mut self, _now: Now, out: &mut Sink) -> Result<(), SampleError> {
        let mounts = self.list()?;
        let answers = self.ask(&mounts);
        for (mount, answer) in mounts.iter().zip(answers) {
            let answer = answer.map(|mut cells| {
                cells[READ_ONLY] = i64::from(mount.is_read_only);
                cells
            });
            self.mounts.entry(&mount.key(), || Series::begin(mount, out))?.say(answer, out);
        }
        self.mounts.finish(|mut series| {
            series.end_numbers(out);
            out.retire(series.error);
        });
        Ok(())
    }
}

impl Series {
    fn begin(mount: &Mount, out: &mut Sink) -> Result<Series, SampleError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let labels = Labels::new([
            ("device", text(&mount.device)),
            ("mountpoint", text(&mount.point)),
            ("fstype", text(&mount.kind)),
        ])?;
        let error = out.slot(&catalog::FILESYSTEM_DEVICE_ERROR, labels.clone());
        Ok(Series { labels, error, numbers: None })
    }

    fn say(&mut self, answer: Option<Cells>, out: &mut Sink) {
        out.set(self.error, i64::from(answer.is_none()));
        let Some(cells) = answer else { return self.end_numbers(out) };
        let begin = || DEFS.map(|def| out.slot(def, self.labels.clone()));
        let slots = *self.numbers.get_or_insert_with(begin);
        slots.iter().zip(cells).for_each(|(slot, cell)| out.set(*slot, cell));
    }

    fn end_numbers(&mut self, out: &mut Sink) {
        self.numbers.take().into_iter().flatten().for_each(|slot| out.retire(slot));
    }
}

impl Statvfs for Kernel {
    /// Not whether it is read-only: that answer would be of our own view, in which a sandbox has made everything so.
    fn ask(&self, place: &Path) -> Option<Cells> {
        let state = rustix::fs::statvfs(place).ok()?;
        let bytes = |blocks: u64| cell(blocks.saturating_mul(state.f_frsize));
        Some([
            bytes(state.f_blocks),
            bytes(state.f_bfree),
            bytes(state.f_bavail),
            cell(state.f_files),
            cell(state.f_ffree),
            0,
        ])
    }
}

#[cfg(test)]
mod tests;
