//! `quorate backup`: everything that another host needs to go on as the aggregator, in one file, while it runs.
//!
//! The file has its name only once it is whole and on the disk: a backup that broke off leaves none.

use crate::conn::{Backup, Connection};
use crate::mark::Marks;
use crate::output::Output;
use crate::quantity::{bytes, count};
use crate::text::{Style, Text};
use crate::view::{BackupBegin, BackupFile, BackupPart, Stamp};
use anyhow::Context;
use quorate_common::archive::{self, About, FORMAT, Summary, Writer};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::node::is_name;
use quorate_common::model::time::{BootTime, WallTime};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::{NamedTempFile, TempPath};

/// Written at once.
const BUFFER_BYTES: usize = 1 << 20;
/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to make, or a directory to make one in; never overwritten
    #[arg(value_name = "PATH")]
    pub to: PathBuf,
    /// Leave out every private key; who restores it has to bring them
    #[arg(long)]
    pub without_keys: bool,
    /// Take none, but read the one at PATH and say whether it is whole
    #[arg(long, conflicts_with = "without_keys")]
    pub verify: bool,
}

/// Takes a backup and says where it lies.
pub async fn run(args: &Args, conn: &Connection, output: &mut Output) -> anyhow::Result<u8> {
    if !args.to.is_dir() {
        refuse(&args.to)?;
    }
    let taken = take(args, conn.backup(args.without_keys).await?, output);
    let file = tokio::select! {
        taken = taken => taken?,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted, there is no backup"),
    };
    output.show(&file, draw)?;
    Ok(0)
}

/// Reads a backup from end to end.
pub fn verify(args: &Args, output: &mut Output) -> anyhow::Result<u8> {
    let path = &args.to;
    let named = || format!("`{}`", path.display());
    let input = File::open(path).with_context(|| format!("failed to open {}", named()))?;
    let summary =
        archive::read(BufReader::with_capacity(BUFFER_BYTES, input), &mut ()).with_context(named)?;
    output.show(&described(path.clone(), summary), draw)?;
    Ok(0)
}

async fn take(args: &Args, mut backup: Backup, output: &mut Output) -> anyhow::Result<BackupFile> {
    let BackupPart::Begin(begin) = backup.next().await? else { anyhow::bail!("the backup has no beginning") };
    let path = if args.to.is_dir() { args.to.join(name(&begin)) } else { args.to.clone() };
    refuse(&path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::Builder::new().prefix(".quorate-backup-").tempfile_in(directory);
    let file = file.with_context(|| format!("failed to make a file in `{}`", directory.display()))?;
    let (writer, place) = writing(file, &begin)?;
    let received = receive(backup, writer, Progress::new(&begin), output).await;
    output.progress("");
    let (file, summary) = received?;
    keep(file, place, &path).with_context(|| format!("failed to write `{}`", path.display()))?;
    Ok(described(path, summary))
}

type Out = BufWriter<File>;

fn writing(file: NamedTempFile, begin: &BackupBegin) -> anyhow::Result<(Writer<Out>, TempPath)> {
    let created = begin.created.map_or(0, |created| created.0.as_millis().div_euclid(1_000));
    let about = About {
        format: FORMAT,
        aggregator: begin.aggregator.clone(),
        version: begin.version.clone(),
        created_s: created,
        has_keys: begin.has_keys,
    };
    let (file, place) = file.into_parts();
    Ok((Writer::begin(BufWriter::with_capacity(BUFFER_BYTES, file), about)?, place))
}

async fn receive(
    mut backup: Backup,
    mut writer: Writer<Out>,
    mut progress: Progress,
    output: &mut Output,
) -> anyhow::Result<(Out, Summary)> {
    loop {
        match backup.next().await? {
            BackupPart::Begin(_) => anyhow::bail!("the backup begins twice"),
            BackupPart::File { name, bytes } => {
                progress.files += 1;
                writer.file(&name, bytes)?;
            }
            BackupPart::Data(data) => {
                progress.bytes += data.len() as u64;
                writer.data(&data)?;
                progress.show(output);
            }
            BackupPart::End { files, bytes } => {
                let (out, summary) = writer.finish()?;
                if (files, bytes) != (summary.files, summary.bytes) {
                    anyhow::bail!("{files} files were sent and {} arrived", summary.files);
                }
                return Ok((out, summary));
            }
        }
    }
}

/// Gives the file its name, once it would survive a power cut.
fn keep(out: Out, place: TempPath, path: &Path) -> std::io::Result<()> {
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    place.persist_noclobber(path).map_err(|error| error.error)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn refuse(path: &Path) -> anyhow::Result<()> {
    if path.symlink_metadata().is_ok() {
        anyhow::bail!("`{}` is there already: it is never overwritten", path.display());
    }
    Ok(())
}

/// `quorate-agg-20261120T190605Z.tar`
fn name(begin: &BackupBegin) -> String {
    let aggregator = Some(&*begin.aggregator).filter(|name| is_name(name)).unwrap_or("aggregator");
    let created = begin.created.map(|created| created.to_string()).unwrap_or_default();
    let created: String =
        created.split('.').next().unwrap_or_default().chars().filter(|c| c.is_alphanumeric()).collect();
    format!("quorate-{aggregator}-{created}Z.tar")
}

fn described(file: PathBuf, Summary { about, files, bytes }: Summary) -> BackupFile {
    let created = Stamp(WallTime(about.created_s.saturating_mul(1_000_000_000)));
    let About { aggregator, version, has_keys, .. } = about;
    BackupFile { file, aggregator, version, created, has_keys, files, bytes }
}

fn draw(file: &BackupFile, marks: Marks) -> Vec<Text> {
    let BackupFile { file, aggregator, version, created, has_keys, files, bytes: size } = file;
    let what = format!("{}, {}, of {aggregator} {version} at {created}", count(*files, "file"), bytes(*size));
    let line =
        Text::new().with(Style::Bold, file.display().to_string()).with(Style::Plain, format!("  {what}"));
    let (style, keys) = if *has_keys {
        (Style::Warn, "the keys of the authority are in it: whoever has it can be any node, keep it sealed")
    } else {
        (Style::Plain, "no private key is in it: who restores it has to bring them")
    };
    let mark = if *has_keys { format!("{} ", marks.of(style)) } else { String::new() };
    vec![line, Text::new().with(style, format!("  {mark}{keys}"))]
}

/// How far it is.
struct Progress {
    files: u64,
    bytes: u64,
    files_all: u64,
    bytes_all: u64,
    begun: BootTime,
    shown: Option<BootTime>,
}

impl Progress {
    fn new(begin: &BackupBegin) -> Progress {
        let (files_all, bytes_all) = (begin.files, begin.bytes);
        Progress { files: 0, bytes: 0, files_all, bytes_all, begun: SystemClock.now().boot, shown: None }
    }

    fn show(&mut self, output: &mut Output) {
        let now = SystemClock.now().boot;
        if self.shown.is_some_and(|shown| now.since(shown) < SHOW_EVERY) {
            return;
        }
        self.shown = Some(now);
        output.progress(&self.line(now.since(self.begun)));
    }

    fn line(&self, passed: Duration) -> String {
        let Progress { files, bytes: sent, files_all, bytes_all, .. } = self;
        let rate = (*sent as f64 / passed.as_secs_f64().max(0.001)) as u64;
        // What is announced may change until its turn comes.
        let all = (*bytes_all).max(*sent);
        format!("{files} of {files_all} files, {} of {}, {}/s", bytes(*sent), bytes(all), bytes(rate))
    }
}

#[cfg(test)]
mod tests;
