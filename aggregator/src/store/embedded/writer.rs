//! The back of the log: batches become durable, or their files are over.
//!
//! ```text
//!   commit:  names ─→ sync ─→ records of each file ─→ sync ─→ ledgers learn what is durable
//!   release: all ledgers into a checkpoint ─→ sync ─→ the log files of what was sealed are deleted
//! ```
//!
//! A file begins with all ledgers, and is written by one process only. The dictionary is written twice, for a
//! damaged byte in it would cost the names of all that was ever stored. One thread at a time uses the writer; it
//! blocks on the disk and knows no clock.

use super::ledgers::Ledgers;
use super::log::{Batch, FileNumber, Part, each, frame};
use super::packed::packed;
use super::record::Record;
use super::window::Span;
use quorate_common::disk::Disk;
use quorate_common::journal::{Journal, JournalError};
use quorate_common::rng::Rng;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Beginnings of the names of files.
pub const LOG: &str = "log";
pub const CHECKPOINT: &str = "ledgers";
pub const NAMES: [&str; 2] = ["series-a", "series-b"];

/// Ledgers as readers share them.
pub type Durable = Arc<Mutex<Ledgers>>;

/// See the module.
pub struct Writer {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    rng: Box<dyn Rng>,
    durable: Durable,
    open: HashMap<FileNumber, Journal>,
    /// How much of each open file is durable.
    synced: HashMap<FileNumber, u64>,
    /// Files that failed, with how much of each is durable.
    torn: Vec<(PathBuf, u64)>,
    /// Every log file that is there, open or not.
    paths: BTreeMap<FileNumber, (Span, PathBuf)>,
    names: Option<[Journal; 2]>,
    /// Names that are not durable.
    unnamed: Vec<u8>,
    /// Files of dictionary and checkpoint that newer ones may replace.
    old_names: Vec<PathBuf>,
    checkpoints: Vec<PathBuf>,
}

/// What a writer finds when it begins.
#[derive(Debug, Default)]
pub struct Left {
    /// Log files of earlier processes, by number.
    pub logs: BTreeMap<FileNumber, (Span, PathBuf)>,
    /// Files of the dictionary.
    pub names: Vec<PathBuf>,
    /// Files of ledgers.
    pub checkpoints: Vec<PathBuf>,
}

/// A batch that is not durable.
#[derive(Debug, thiserror::Error)]
#[error("failed to commit")]
pub struct CommitError {
    /// The files that are over.
    pub files: Vec<FileNumber>,
    /// Why.
    #[source]
    pub source: JournalError,
}

impl Writer {
    /// A writer that goes on behind what is `left`.
    pub fn new(
        disk: Arc<dyn Disk>,
        directory: &Path,
        rng: Box<dyn Rng>,
        durable: Durable,
        left: Left,
    ) -> Writer {
        let Left { logs, names, checkpoints } = left;
        Writer {
            disk,
            directory: directory.to_owned(),
            rng,
            durable,
            open: HashMap::new(),
            synced: HashMap::new(),
            torn: Vec::new(),
            paths: logs,
            names: None,
            unnamed: Vec::new(),
            old_names: names,
            checkpoints,
        }
    }

    /// Makes a batch durable. When that fails, all files that it is for are over.
    pub fn commit(&mut self, mut batch: Batch) -> Result<(), CommitError> {
        self.unnamed.append(&mut batch.names);
        let written = self.mend().and_then(|()| self.write_names()).and_then(|()| self.write_parts(&batch));
        match written {
            Ok(()) => {
                let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
                batch.lesson.iter().for_each(|(_, learned)| durable.learn(*learned));
                Ok(())
            }
            Err(source) => Err(self.over(&batch, source)),
        }
    }

    /// All log files that are there.
    pub fn numbers(&self) -> impl Iterator<Item = FileNumber> {
        self.paths.keys().copied()
    }

    /// Does not make a batch durable, for there is no room. All files that it is for are over.
    pub fn refuse(&mut self, mut batch: Batch) -> CommitError {
        self.unnamed.append(&mut batch.names);
        let (path, source) = (self.directory.clone(), io::ErrorKind::StorageFull.into());
        self.over(&batch, JournalError::Disk { what: "write in", path, source })
    }

    fn over(&mut self, batch: &Batch, source: JournalError) -> CommitError {
        let files: Vec<FileNumber> = batch.parts.keys().copied().collect();
        files.iter().for_each(|number| self.abandon(*number));
        CommitError { files, source }
    }

    /// Every file that is written or was, in the order in which a copy of them is to be read.
    pub fn files(&self) -> Vec<PathBuf> {
        let logs: BTreeMap<FileNumber, &PathBuf> =
            self.paths.iter().map(|(number, (_, path))| (*number, path)).collect();
        self.old_names.iter().chain(&self.checkpoints).chain(logs.into_values()).cloned().collect()
    }

    /// The windows that have log files.
    pub fn spans(&self) -> BTreeSet<Span> {
        self.paths.values().map(|(span, _)| *span).collect()
    }

    /// Bytes of everything that it has on the disk.
    pub fn bytes(&self) -> u64 {
        let logs = self.paths.values().map(|(_, path)| path);
        let paths = logs.chain(&self.old_names).chain(&self.checkpoints);
        paths.map(|path| self.disk.length(path).unwrap_or_default()).sum()
    }

    /// The log files of a window below a number, and their names, as a chunk file says that it covers them.
    ///
    /// # Errors
    /// Something that failed is still on the disk, and would be taken for what the chunks lack.
    pub fn covered(
        &mut self,
        span: Span,
        below: FileNumber,
    ) -> Result<Vec<(FileNumber, String)>, JournalError> {
        self.mend()?;
        let files = self.paths.iter().filter(|(number, (of, _))| *of == span && **number < below);
        let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
        Ok(files.filter_map(|(number, (_, path))| Some((*number, name(path)?))).collect())
    }

    /// Deletes log files whose frames are sealed. What only they knew of ledgers is durable elsewhere before.
    pub fn release(&mut self, numbers: &[FileNumber]) -> Result<(), JournalError> {
        let mut journal = self.begin(CHECKPOINT);
        journal.sync()?;
        let mut old = std::mem::replace(&mut self.checkpoints, begun(&journal).collect());
        for number in numbers {
            self.open.remove(number);
            self.synced.remove(number);
            old.extend(self.paths.remove(number).map(|(_, path)| path));
        }
        // What stays is released once more after the next start: it is covered.
        old.iter().for_each(|path| drop(self.disk.remove(path)));
        Ok(())
    }

    /// Writes the dictionary anew; `records` is all of it, as [`frame`] writes them.
    pub fn rewrite_names(&mut self, records: &[u8]) -> Result<(), JournalError> {
        let mut journals = self.begin_names();
        push_names(&mut journals, records)?;
        let old = std::mem::take(&mut self.old_names);
        self.use_names(journals);
        old.iter().for_each(|path| drop(self.disk.remove(path)));
        Ok(())
    }

    fn write_names(&mut self) -> Result<(), JournalError> {
        if self.unnamed.is_empty() {
            return Ok(());
        }
        let mut journals = match self.names.take() {
            Some(journals) => journals,
            None => self.begin_names(),
        };
        let known = self.old_names.contains(&journals[0].path().to_owned());
        // Journals that failed are dropped here, and what they were to say is said by the next ones.
        push_names(&mut journals, &self.unnamed).inspect_err(|_| {
            if !known {
                journals.iter().for_each(|journal| drop(self.disk.remove(journal.path())));
            }
        })?;
        self.unnamed.clear();
        if known {
            self.names = Some(journals)
        } else {
            self.use_names(journals)
        }
        Ok(())
    }

    fn begin_names(&mut self) -> [Journal; 2] {
        NAMES.map(|stem| Journal::begin(self.disk.clone(), &self.directory, stem, &mut *self.rng))
    }

    fn use_names(&mut self, journals: [Journal; 2]) {
        self.old_names.extend(journals.iter().flat_map(begun));
        self.names = Some(journals);
    }

    fn write_parts(&mut self, batch: &Batch) -> Result<(), JournalError> {
        for (number, part) in &batch.parts {
            self.write_part(*number, part)?;
        }
        // All are with the kernel before the first is waited for.
        for number in batch.parts.keys() {
            self.open.get_mut(number).map_or(Ok(()), Journal::sync)?;
        }
        // Until all are, none is: what one file has of a batch that fails comes again, too.
        for (number, part) in &batch.parts {
            let Some(journal) = self.open.get(number) else { continue };
            self.synced.insert(*number, journal.bytes());
            self.paths.insert(*number, (part.span, journal.path().to_owned()));
        }
        Ok(())
    }

    fn write_part(&mut self, number: FileNumber, part: &Part) -> Result<(), JournalError> {
        let journal = match self.open.remove(&number) {
            Some(journal) => journal,
            None => self.begin(&part.span.stem(LOG)),
        };
        let journal = self.open.entry(number).or_insert(journal);
        each(&part.records).try_for_each(|(kind, payload)| journal.push(kind, payload))?;
        journal.write()
    }

    /// A file that begins with all ledgers.
    fn begin(&mut self, stem: &str) -> Journal {
        let mut journal = Journal::begin(self.disk.clone(), &self.directory, stem, &mut *self.rng);
        let mut payload = Vec::new();
        let durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let ledgers = durable.records(|record| {
            payload.clear();
            record.write(&mut payload);
            journal.push(record.kind(), &payload)
        });
        // A ledger has some sixty ranges: it is never longer than a record may be.
        ledgers.ok();
        journal
    }

    /// A file failed. If nothing in it is durable it is deleted: on a full disk there would be ever more of them.
    fn abandon(&mut self, number: FileNumber) {
        let synced = self.synced.remove(&number).unwrap_or_default();
        self.torn.extend(self.open.remove(&number).map(|journal| (journal.path().to_owned(), synced)));
        // What cannot be done now is done before anything else becomes durable.
        self.mend().ok();
    }

    /// Takes what failed from the disk: it comes again, and a start would find it there, too.
    fn mend(&mut self) -> Result<(), JournalError> {
        while let Some((path, bytes)) = self.torn.last() {
            let done = match *bytes {
                0 => self.disk.remove(path),
                bytes => self.disk.shorten(path, bytes),
            };
            match done {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(JournalError::Disk { what: "shorten", path: path.clone(), source: error });
                }
                _ => drop(self.torn.pop()),
            }
        }
        Ok(())
    }
}

/// Where a journal lies, if it lies anywhere: one without records has no file.
fn begun(journal: &Journal) -> impl Iterator<Item = PathBuf> {
    (journal.bytes() > 0).then(|| journal.path().to_owned()).into_iter()
}

fn push_names(journals: &mut [Journal; 2], records: &[u8]) -> Result<(), JournalError> {
    let failed = |path: &Path, source| JournalError::Disk { what: "pack", path: path.to_owned(), source };
    let records = packed(records).map_err(|error| failed(journals[0].path(), error))?;
    for journal in journals {
        records.iter().try_for_each(|(kind, payload)| journal.push(*kind, payload))?;
        journal.sync()?;
    }
    Ok(())
}

/// Bytes of some records, for [`Writer::rewrite_names`].
pub fn framed<'a>(records: impl Iterator<Item = Record<'a>>) -> Vec<u8> {
    let mut out = Vec::new();
    records.for_each(|record| frame(&mut out, &record));
    out
}

#[cfg(test)]
mod tests;
