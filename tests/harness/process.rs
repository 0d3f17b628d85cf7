//! A child process: held by its standard input, heard by files, ended with its owner.

use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};

/// A process that should end has this long.
pub const END_MAX: Duration = Duration::from_secs(20);
/// The variables of people must not steer the programs under test.
const VARIABLES: [&str; 9] = [
    "QUORATE_CONFIG",
    "QUORATE_ADDRESS",
    "QUORATE_CA",
    "QUORATE_CERT",
    "QUORATE_KEY",
    "QUORATE_TIMEOUT",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
];

/// A process that runs. It is killed, also while stopped by a signal, when this is dropped.
#[derive(Debug)]
pub struct Process {
    /// What it is called in messages, and the stem of its files.
    pub name: String,
    /// Its number.
    pub pid: u32,
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

/// What a process that has ended left.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Process {
    /// Starts `program`; what it says goes to `<name>.out` and `<name>.log` below `dir`, after what is there.
    pub fn start(dir: &Path, name: &str, program: &Path, args: &[&OsStr]) -> Process {
        Process::start_with(dir, name, program, (args, &[]))
    }

    /// The same with some variables in its environment.
    pub fn start_with(
        dir: &Path,
        name: &str,
        program: &Path,
        (args, variables): (&[&OsStr], &[(&str, &str)]),
    ) -> Process {
        let (out, log) = (dir.join(format!("{name}.out")), dir.join(format!("{name}.log")));
        let open = |path: &Path| File::options().append(true).create(true).open(path).unwrap();
        let mut command = Command::new(program);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        let child = command
            .args(args)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(open(&out))
            .stderr(open(&log))
            .kill_on_drop(true)
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{name}: {}: {error}", program.display()));
        let (pid, stdin) = (child.id().unwrap(), child.stdin.take());
        Process { name: name.to_owned(), pid, child, stdin, log }
    }

    /// Runs `program` to its end.
    pub async fn run(dir: &Path, name: &str, program: &Path, args: &[&OsStr]) -> Ended {
        let mut process = Process::start(dir, name, program, args);
        let code = process.ended().await.code();
        let read = |path: PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        let files = (dir.join(format!("{name}.out")), dir.join(format!("{name}.log")));
        let ended = Ended { code, stdout: read(files.0.clone()), stderr: read(files.1.clone()) };
        // The next process of this name begins with empty files.
        std::fs::remove_file(files.0).unwrap();
        std::fs::remove_file(files.1).unwrap();
        ended
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(END_MAX, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("{} did not end within {END_MAX:?}", self.name)).unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid).unwrap()).unwrap();
        kill_process(pid, signal).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// SIGKILL: it has no chance to say anything.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// SIGSTOP: it stands still; its sockets stay open.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM, and waits for its end, which must be a success.
    pub async fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "{} ended with {status}", self.name);
    }

    /// Lets go of its standard input and waits for its end, which must be a success.
    pub async fn release(mut self) {
        drop(self.stdin.take());
        let status = self.ended().await;
        assert!(status.success(), "{} ended with {status}", self.name);
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    #[allow(clippy::print_stdout, reason = "a failed test shows what its processes said")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            println!("── {} said:", self.name);
            for line in &lines[lines.len().saturating_sub(60)..] {
                println!("{line}");
            }
        }
    }
}
