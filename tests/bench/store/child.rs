//! This program in two other parts: a process that keeps what it hears on its standard input, and one that opens
//! what the other left when it was killed. Their memory and their start are the store's and hardly anything else's.
//!
//! ```text
//!   parent ── (node u32, length u32, message) … ──→ load ── "loaded" ──→ parent ── kill -9
//!   parent ─────────────────────────────────────→ open ── "answered" ──→ parent
//! ```

use super::keeper::{self, Keeper, Standing};
use super::words::Word;
use anyhow::{Context, ensure};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::time::WallTime;
use quorate_proto::convert::{RegisterLimits, SessionReader, SessionWriter};
use quorate_tests::usage;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The words by which this program is told to be one of them.
pub const LOAD: &str = "store-load";
pub const OPEN: &str = "store-open";
/// More than any registration here has.
const LIMITS: RegisterLimits = RegisterLimits { series_max: 1 << 20 };

/// What the first process says when everything is durable.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Loaded {
    /// Samples that it kept.
    pub samples: u64,
    /// Its memory before the first of them.
    pub empty_bytes: u64,
    /// Its memory after the last.
    pub full_bytes: u64,
}

/// What the second process says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answered {
    /// The samples of the series that it was asked for, as milliseconds and value.
    pub samples: Vec<(i64, f64)>,
    /// How long opening took, and how much processor time.
    pub open_ms: f64,
    pub open_cpu_ms: f64,
    /// Frames in the logs.
    pub frames: u64,
}

/// Runs the part that the arguments ask for, if they do.
pub fn run(arguments: &[String]) -> Option<anyhow::Result<()>> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [LOAD, directory, wall] => Some(load(Path::new(directory), wall)),
        [OPEN, directory, wall, node, slot] => Some(answer(Path::new(directory), wall, node, slot)),
        _ => None,
    }
}

fn load(directory: &Path, wall: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let me = std::process::id();
    let mut keeper = Keeper::begin(directory, WallTime(wall.parse()?))?;
    let mut input = BufReader::with_capacity(1 << 16, io::stdin().lock());
    let mut readers: Vec<SessionReader> = Vec::new();
    let empty_bytes = usage::resident_bytes(me)?;
    runtime.block_on(async {
        while let Some((node, bytes)) = next(&mut input)? {
            readers.resize_with(readers.len().max(node + 1), || SessionReader::new(LIMITS));
            let reader = readers.get_mut(node).context("no such node")?;
            for message in reader.all(&bytes)? {
                keeper.take(&(node, message)).await?;
            }
        }
        keeper.durable().await
    })?;
    say(&Loaded { samples: keeper.samples(), empty_bytes, full_bytes: usage::resident_bytes(me)? })?;
    // It is killed; if it is not, its parent is gone.
    input.read_to_end(&mut Vec::new())?;
    keeper.stop();
    Ok(())
}

/// The next message and its node; `None` behind the last.
fn next(input: &mut impl Read) -> anyhow::Result<Option<(usize, Vec<u8>)>> {
    let mut head = [[0; 4]; 2];
    input.read_exact(head.as_flattened_mut())?;
    let [node, length] = head.map(u32::from_le_bytes);
    let mut bytes = vec![0; length as usize];
    input.read_exact(&mut bytes)?;
    Ok((length > 0).then_some((node as usize, bytes)))
}

fn answer(directory: &Path, wall: &str, node: &str, slot: &str) -> anyhow::Result<()> {
    let begin = SystemClock.now().boot;
    let (store, report) = keeper::open(directory, Arc::new(Standing::at(WallTime(wall.parse()?))))?;
    let open_ms = SystemClock.now().boot.since(begin).as_secs_f64() * 1e3;
    let open_cpu_ms = keeper::cpu().as_secs_f64() * 1e3;
    let all = (WallTime(0), WallTime(i64::MAX));
    let samples = keeper::read(&store, node.parse()?, &|spec| spec.labels.get("slot") == Some(slot), all);
    let samples = samples.iter().map(|one| (one.at.0 / 1_000_000, one.value)).collect();
    say(&Answered { samples, open_ms, open_cpu_ms, frames: report.frames })
}

fn say(what: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// The first process, which has kept everything and waits. It dies with this value.
pub struct Loader {
    child: Child,
    /// What it says.
    pub loaded: Loaded,
}

impl Loader {
    /// Has it keep what nodes say.
    pub fn run(
        directory: &Path,
        wall: WallTime,
        words: impl Iterator<Item = anyhow::Result<Word>>,
    ) -> anyhow::Result<Loader> {
        let program = std::env::current_exe()?;
        let arguments = [LOAD.as_ref(), directory.as_os_str()];
        let mut command = Command::new(program);
        command.args(arguments).arg(wall.0.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let stdout = BufReader::new(child.stdout.take().context("it has no output")?);
        let loaded = tell(&mut child, words).and_then(|()| hear(stdout));
        match loaded {
            Ok(loaded) => Ok(Loader { child, loaded }),
            Err(error) => {
                child.kill()?;
                Err(error).context(format!("the loading process ended with {:?}", child.wait()?))
            }
        }
    }

    /// Kills it.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn tell(child: &mut Child, words: impl Iterator<Item = anyhow::Result<Word>>) -> anyhow::Result<()> {
    let stdin = child.stdin.as_mut().context("it has no input")?;
    let mut out = BufWriter::with_capacity(1 << 16, stdin);
    let mut writers: Vec<SessionWriter> = Vec::new();
    for word in words {
        let (node, message) = word?;
        writers.resize_with(writers.len().max(node + 1), SessionWriter::default);
        let bytes = writers.get_mut(node).context("no such node")?.bytes(message);
        out.write_all([(node as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes()].as_flattened())?;
        out.write_all(&bytes)?;
    }
    out.write_all(&[0; 8])?;
    Ok(out.flush()?)
}

fn hear<T: serde::de::DeserializeOwned>(mut from: impl BufRead) -> anyhow::Result<T> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    serde_json::from_str(&line).with_context(|| format!("it said `{line}`"))
}

/// Has the second process open a directory and answer; gives that, and how long it took from its start.
pub fn restart(
    directory: &Path,
    wall: WallTime,
    node: usize,
    slot: usize,
) -> anyhow::Result<(Answered, Duration)> {
    let begin = SystemClock.now().boot;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(OPEN).arg(directory).args([wall.0.to_string(), node.to_string(), slot.to_string()]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let answered = hear(BufReader::new(child.stdout.take().context("it has no output")?))?;
    let took = SystemClock.now().boot.since(begin);
    let status = child.wait()?;
    ensure!(status.success(), "opening ended with {status}");
    Ok((answered, took))
}
