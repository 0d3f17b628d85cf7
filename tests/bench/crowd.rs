//! The other processes of a busy host: idle ones in number, and one that burns a second of processor time.
//!
//! All of them hang on a pipe whose other end this process holds, so that they end with it however it ends.

use anyhow::{Context, ensure};
use quorate_tests::usage;
use std::io::{PipeWriter, pipe};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// The word by which this program is told to be a burner.
pub const BURN: &str = "burn";
/// What it says when it has burnt.
pub const BURNT: u8 = b'.';
/// On a machine that has better to do, a second of processor time takes longer than a second.
pub const BURN_MAX: Duration = Duration::from_secs(60);

/// Processes that do nothing. They end with this value.
pub struct Crowd {
    children: Vec<Child>,
    _hold: PipeWriter,
}

impl Crowd {
    /// Starts so many.
    pub fn start(count: usize) -> anyhow::Result<Crowd> {
        let (wait, hold) = pipe()?;
        let one = || {
            let mut command = Command::new("cat");
            command.stdin(wait.try_clone()?).stdout(Stdio::null()).kill_on_drop(true).spawn()
        };
        let children = std::iter::repeat_with(one).take(count).collect::<Result<_, _>>();
        Ok(Crowd { children: children.context("failed to start `cat`")?, _hold: hold })
    }

    /// Fails unless all are still there.
    pub fn check(&mut self) -> anyhow::Result<()> {
        for child in &mut self.children {
            ensure!(child.try_wait()?.is_none(), "an idle process has ended");
        }
        Ok(())
    }
}

/// A process that has burnt a second, and is still there.
pub struct Burnt {
    /// Its number.
    pub pid: u32,
    /// What it has used, as the kernel says.
    pub cpu: Duration,
    child: Child,
}

impl Burnt {
    /// Has `program`, which is this one, burn a second, and waits until it has.
    pub async fn watch(program: &Path) -> anyhow::Result<Burnt> {
        let (stdin, stdout) = (Stdio::piped(), Stdio::piped());
        let mut child =
            Command::new(program).arg(BURN).stdin(stdin).stdout(stdout).kill_on_drop(true).spawn()?;
        let pid = child.id().context("the burner has ended")?;
        let mut said = [0];
        let mut stdout = child.stdout.take().context("the burner has no voice")?;
        tokio::time::timeout(BURN_MAX, stdout.read_exact(&mut said))
            .await
            .context("the burner takes long")??;
        ensure!(said == [BURNT], "the burner says {said:?}");
        Ok(Burnt { pid, cpu: usage::cpu(pid)?, child })
    }

    /// Lets it end.
    pub async fn end(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait().await?;
        ensure!(status.success(), "the burner ended with {status}");
        Ok(())
    }
}
