//! Runs a target on inputs: the committed ones, then drawn ones, and says what was wrong with one.
//!
//! ```text
//!   seeds, corpus ─→ pool ─→ draw ─→ run ─→ fine ── got somewhere new ─→ into the pool
//!                                     └─→ panic, too long, too much memory ─→ made small ─→ written, told
//! ```
//!
//! There is no coverage to steer by: a target tells by a number how far it got, and an input that got somewhere
//! new is drawn from as well.

use crate::mutate::Mutator;
use crate::target::Target;
use quorate_common::clock::{Clock, SystemClock};
use rustix::time::{ClockId, clock_gettime};
use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Processor time that one input may take, without optimisation.
const CPU_MAX: Duration = Duration::from_secs(1);
/// Real time after which an input is said to hang. It cannot be stopped, so the program ends.
const HANG: Duration = Duration::from_secs(60);
/// Memory that one input may take for a moment.
const MEMORY_MAX_KIB: u64 = 192 * 1024;
/// The stack of a target: half of what a thread has, so that what nests without end shows before it hurts.
const STACK_BYTES: usize = 1 << 20;
/// Inputs between two looks at the memory.
const LOOK_EVERY: usize = 64;
/// Inputs that are drawn from.
const POOL_MAX: usize = 2_000;

/// How long to go on: so many drawn inputs, but not longer than this.
#[derive(Clone, Copy)]
pub struct Until {
    pub runs: u64,
    pub time: Duration,
    /// Whether each input is written down before it is run.
    pub is_traced: bool,
}

/// What became of a target.
pub struct Report {
    pub runs: u64,
    pub elapsed: Duration,
    /// Ways in which inputs ended.
    pub ways: usize,
}

/// An input that must not be as it is.
pub struct Failure {
    pub target: &'static str,
    pub problem: String,
    pub input: Vec<u8>,
    /// Of the drawn inputs; `None` for one that is committed.
    pub seed: Option<u64>,
}

/// What every target is handed before drawn inputs: real ones, and those that were trouble once.
pub fn pool(target: &Target) -> Vec<Vec<u8>> {
    let mut pool = (target.seeds)();
    let directory = corpus(target.name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    files.sort();
    pool.extend(files.iter().map(|file| std::fs::read(file).unwrap()));
    pool.push(Vec::new());
    pool
}

/// Where the committed inputs of a target lie.
pub fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)
}

/// Runs what is committed, then what is drawn under `seed`.
pub fn drive(target: &Target, seed: u64, until: Until) -> Result<Report, Box<Failure>> {
    on_small_stack(|| drive_here(target, seed, until))
}

/// Whoever overflows it ends the program; then only `--trace` tells by which input.
fn on_small_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    std::thread::scope(|scope| thread.spawn_scoped(scope, run).unwrap().join()).unwrap()
}

fn drive_here(target: &Target, seed: u64, until: Until) -> Result<Report, Box<Failure>> {
    let watch = Watch::begin(target.name, seed);
    let mut pool = pool(target);
    let (mut ways, mut batch) = (HashSet::new(), Vec::new());
    for input in &pool {
        ways.insert(once(target, &watch, input).map_err(|problem| failure(target, problem, input, None))?);
    }
    look(target, &pool).map_err(|(problem, input)| failure(target, problem, &input, None))?;
    let (clock, mut mutator, mut runs) = (SystemClock, Mutator::new(seed), 0);
    let begin = clock.now().boot;
    while clock.now().boot.since(begin) < until.time && runs < until.runs {
        for _ in 0..LOOK_EVERY {
            let input = mutator.draw(&pool, target.words);
            if until.is_traced {
                std::fs::write(trace(target.name), &input).unwrap();
            }
            let way = once(target, &watch, &input)
                .map_err(|problem| failure(target, problem, &input, Some(seed)))?;
            if ways.insert(way) && pool.len() < POOL_MAX {
                pool.push(input.clone());
            }
            batch.push(input);
            runs += 1;
        }
        look(target, &batch).map_err(|(problem, input)| failure(target, problem, &input, Some(seed)))?;
        batch.clear();
    }
    Ok(Report { runs, elapsed: clock.now().boot.since(begin), ways: ways.len() })
}

/// Runs one input, for somebody who looks at it.
pub fn replay(target: &Target, input: &[u8]) -> Result<u64, String> {
    on_small_stack(|| once(target, &Watch::begin(target.name, 0), input))
}

/// Where `--trace` leaves the input that is running.
pub fn trace(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz").join(format!("{name}-last"))
}

fn once(target: &Target, watch: &Watch, input: &[u8]) -> Result<u64, String> {
    watch.running(Some(input));
    let begin = clock_gettime(ClockId::ThreadCPUTime);
    let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let end = clock_gettime(ClockId::ThreadCPUTime);
    watch.running(None);
    let taken = Duration::from_millis(
        u64::try_from((end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1_000_000)
            .unwrap_or(0),
    );
    match ended {
        Err(panic) => Err(format!("panics: {}", text(&*panic))),
        Ok(_) if taken > CPU_MAX => Err(format!("takes {taken:?}")),
        Ok(way) => Ok(way),
    }
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// Looks at the most memory that was taken since the last look; finds out which of the inputs took it.
fn look(target: &Target, batch: &[Vec<u8>]) -> Result<(), (String, Vec<u8>)> {
    let taken = |peak: u64, resident: u64| peak.saturating_sub(resident);
    let (peak, resident) = memory();
    if taken(peak, resident) < MEMORY_MAX_KIB {
        return Ok(());
    }
    for input in batch {
        forget_peak();
        let (_, before) = memory();
        (target.run)(input);
        let peak = taken(memory().0, before);
        if peak >= MEMORY_MAX_KIB {
            return Err((format!("takes {} MiB", peak / 1024), input.clone()));
        }
    }
    forget_peak();
    Ok(())
}

/// The most memory of this process since it was forgotten, and that of now, in KiB.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    (field("VmHWM:"), field("VmRSS:"))
}

/// Not allowed in every sandbox; then the peak is that of the whole life, and a look says less.
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").ok();
}

fn failure(target: &Target, problem: String, input: &[u8], seed: Option<u64>) -> Box<Failure> {
    let still = |input: &[u8]| catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err();
    let input = if problem.starts_with("panics") { smaller(input, still) } else { input.to_vec() };
    Box::new(Failure { target: target.name, problem, input, seed })
}

/// Leaves out pieces as long as it fails without them, first large ones.
fn smaller(input: &[u8], still_fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut input = input.to_vec();
    let mut piece = input.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < input.len() {
            let end = (at + piece).min(input.len());
            let without = [&input[..at], &input[end..]].concat();
            if still_fails(&without) {
                input = without;
            } else {
                at = end;
            }
        }
        piece /= 2;
    }
    input
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { runs, elapsed, ways } = self;
        write!(f, "{runs:>10} executions {:>9.0}/s {ways:>6} ways", *runs as f64 / elapsed.as_secs_f64())
    }
}

impl Failure {
    /// Writes the input where it can be looked at, and says all that is known.
    pub fn tell(&self) -> String {
        let mut hash = DefaultHasher::new();
        self.input.hash(&mut hash);
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz");
        let file = directory.join(format!("{}-{:016x}", self.target, hash.finish()));
        let written = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(&file, &self.input));
        let place = written.map_or_else(|error| error.to_string(), |()| file.display().to_string());
        let Failure { target, problem, input, seed } = self;
        let seed = seed.map_or_else(|| "committed".to_owned(), |seed| format!("seed {seed}"));
        format!(
            "{target} ({seed}): {problem}\n  input of {} bytes: {place}\n  mend it, and keep it as {}",
            input.len(),
            corpus(target).join("a-name-for-it").display()
        )
    }
}

/// Ends the program when an input takes for ever: nothing else can stop it.
struct Watch {
    now: Arc<Mutex<Option<Vec<u8>>>>,
    _end: SyncSender<()>,
}

impl Watch {
    fn begin(target: &'static str, seed: u64) -> Watch {
        let now = Arc::new(Mutex::new(None));
        let (end, ended) = sync_channel(0);
        let watched: Arc<Mutex<Option<Vec<u8>>>> = now.clone();
        std::thread::spawn(move || {
            let mut before = None;
            while ended.recv_timeout(HANG) == Err(RecvTimeoutError::Timeout) {
                let input = watched.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // Two looks at the same input; equal ones in a row would be drawn once in years.
                if let Some(input) = input.filter(|input| before.as_ref() == Some(input)) {
                    let problem = format!("hangs for {HANG:?}");
                    let failure = Failure { target, problem, input, seed: Some(seed) };
                    eprintln!("{}", failure.tell());
                    std::process::exit(1);
                }
                before = watched.lock().unwrap_or_else(PoisonError::into_inner).clone();
            }
        });
        Watch { now, _end: end }
    }

    fn running(&self, input: Option<&[u8]>) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = input.map(<[u8]>::to_vec);
    }
}
