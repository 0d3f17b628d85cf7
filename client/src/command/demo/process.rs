//! The programs of a demo: started, watched, stopped in order.
//!
//! Each is in a process group of its own, so that Ctrl-C reaches only the demo, which then stops them
//! agents first. Each is told to stop when its standard input ends, which the kernel sees to if the demo
//! is killed.

use anyhow::{Context, anyhow, bail};
use futures_util::future::{join_all, select_all};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};

/// After this time a program that was asked to stop is killed.
const STOP_MAX: Duration = Duration::from_secs(10);
/// A program that should end by itself has this long.
const ONCE_MAX: Duration = Duration::from_secs(20);
const LOG_LINES: usize = 10;
const LOG_BYTES: i64 = 8192;
/// The variables of this program must not steer the others.
const OWN_VARIABLES: [&str; 6] =
    ["QUORATE_CONFIG", "QUORATE_ADDRESS", "QUORATE_CA", "QUORATE_CERT", "QUORATE_KEY", "QUORATE_TIMEOUT"];

/// A program that runs.
#[derive(Debug)]
pub struct Program {
    name: String,
    pid: u32,
    child: Child,
    // Held outside of `child`, whose wait() would close it.
    _stdin: Option<ChildStdin>,
    log: PathBuf,
}

impl Program {
    /// Starts a program with its output going to `log`.
    pub fn start(name: &str, program: &Path, args: &[&OsStr], log: &Path) -> anyhow::Result<Program> {
        let out = File::create(log).with_context(|| format!("failed to make `{}`", log.display()))?;
        let mut command = Command::new(program);
        for variable in OWN_VARIABLES {
            command.env_remove(variable);
        }
        let mut child = command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start `{}`", program.display()))?;
        let pid = child.id().context("program has no process number")?;
        let stdin = child.stdin.take();
        Ok(Program { name: name.to_owned(), pid, child, _stdin: stdin, log: log.to_owned() })
    }

    /// Runs a program to its end, which must be a success.
    pub async fn once(name: &str, program: &Path, args: &[&OsStr], log: &Path) -> anyhow::Result<()> {
        let mut running = Program::start(name, program, args, log)?;
        let Ok(ended) = tokio::time::timeout(ONCE_MAX, running.child.wait()).await else {
            bail!("{name} did not end within {} s{}", ONCE_MAX.as_secs(), running.last_words());
        };
        let status = ended?;
        if status.success() { Ok(()) } else { Err(running.ended(status)) }
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it ends, which is a failure whenever it was not asked to.
    pub async fn died(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => self.ended(status),
            Err(error) => anyhow::Error::new(error).context(format!("failed to wait for {}", self.name)),
        }
    }

    /// Asks it to stop, and kills it if it does not.
    async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            return Err(self.ended(status));
        }
        let pid =
            i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("process number out of range")?;
        kill_process(pid, Signal::TERM).with_context(|| format!("failed to stop {}", self.name))?;
        let Ok(ended) = tokio::time::timeout(STOP_MAX, self.child.wait()).await else {
            self.child.kill().await?;
            bail!("{} did not stop within {} s and was killed", self.name, STOP_MAX.as_secs());
        };
        let status = ended?;
        if status.success() { Ok(()) } else { Err(self.ended(status)) }
    }

    fn ended(&self, status: ExitStatus) -> anyhow::Error {
        anyhow!("{} ended with {status}{}", self.name, self.last_words())
    }

    /// The last lines of its log.
    fn last_words(&self) -> String {
        match tail(&self.log) {
            Ok(text) if !text.is_empty() => format!(": {text}"),
            _ => String::new(),
        }
    }
}

fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
    file.seek(SeekFrom::End(-length.min(LOG_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(LOG_LINES)..].join(" | "))
}

/// All programs of a demo.
#[derive(Debug, Default)]
pub struct Programs {
    /// At most one; started first, stopped last.
    pub aggregator: Option<Program>,
    /// Stopped first, all at once.
    pub agents: Vec<Program>,
}

impl Programs {
    /// Waits until any of them ends. Never returns while there are none.
    pub async fn died(&mut self) -> anyhow::Error {
        let all: Vec<_> =
            self.aggregator.iter_mut().chain(&mut self.agents).map(|it| Box::pin(it.died())).collect();
        if all.is_empty() {
            return std::future::pending().await;
        }
        select_all(all).await.0
    }

    /// Stops all, agents first; the first failure is told.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let agents: anyhow::Result<()> =
            join_all(self.agents.iter_mut().map(Program::stop)).await.into_iter().collect();
        let aggregator = match &mut self.aggregator {
            Some(aggregator) => aggregator.stop().await,
            None => Ok(()),
        };
        agents.and(aggregator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(dir: &Path, name: &str, script: &str) -> Program {
        let args = [OsStr::new("-c"), OsStr::new(script)];
        Program::start(name, Path::new("/bin/sh"), &args, &dir.join(name)).unwrap()
    }

    /// A program that says it is up, waits, and notes in `order` when it is asked to stop.
    fn polite(dir: &Path, name: &str) -> Program {
        let script =
            format!("trap 'echo {name} >> order; exit 0' TERM; cd {}; echo up; read -r end", dir.display());
        shell(dir, name, &script)
    }

    async fn until_up(program: &Program) {
        let mut interval = tokio::time::interval(Duration::from_millis(10));
        while tail(&program.log).unwrap() != "up" {
            interval.tick().await;
        }
    }

    #[tokio::test]
    async fn agents_stop_before_the_aggregator() {
        let dir = tempfile::tempdir().unwrap();
        let aggregator = polite(dir.path(), "aggregator");
        let agents: Vec<_> = ["n1", "n2"].iter().map(|name| polite(dir.path(), name)).collect();
        for program in agents.iter().chain([&aggregator]) {
            until_up(program).await;
        }
        let mut programs = Programs { aggregator: Some(aggregator), agents };
        programs.stop().await.unwrap();
        let order = std::fs::read_to_string(dir.path().join("order")).unwrap();
        assert_eq!(order.lines().last(), Some("aggregator"));
        assert_eq!(order.lines().count(), 3);
    }

    #[tokio::test]
    async fn a_program_ends_when_nobody_holds_its_input() {
        let dir = tempfile::tempdir().unwrap();
        let mut program = shell(dir.path(), "a", "read -r end; exit 0");
        program._stdin = None;
        let status =
            tokio::time::timeout(Duration::from_secs(10), program.child.wait()).await.unwrap().unwrap();
        assert!(status.success());
    }

    #[tokio::test]
    async fn a_death_is_told_with_the_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let alive = polite(dir.path(), "n1");
        let dying =
            shell(dir.path(), "n2", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; done; exit 7");
        let mut programs = Programs { aggregator: None, agents: vec![alive, dying] };
        let error = programs.died().await.to_string();
        assert!(error.starts_with("n2 ended with exit status: 7: line 3 | line 4 |"), "{error}");
        assert!(error.ends_with("| line 12"), "{error}");
        assert!(programs.stop().await.is_err());
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Program::start("a", Path::new("/no/such"), &[], &dir.path().join("log")).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "failed to start `/no/such`: No such file or directory (os error 2)"
        );
    }
}
