//! `quorate demo`: one aggregator and some agents of your own, on loopback, with real data of this host.
//!
//! ```text
//!   directory → aggregator → tokens → agents → healthy and read back ──→ ready
//!       any failure, Ctrl-C ──────────────┐                               │ Ctrl-C, --for, a program died
//!                                         └→ stop agents, aggregator ←────┘
//!                                              └→ remove directory → done
//! ```
//!
//! Nothing is left behind: the programs are stopped in order, they stop by themselves when this one is
//! killed, because it holds their standard input open, and the directory with the throwaway CA goes.

mod directory;
mod launch;
mod process;
mod report;

use crate::cli::Format;
use crate::output::Output;
use crate::quantity::parse_duration;
use anyhow::anyhow;
use directory::Directory;
use launch::{Plan, Running};
use process::Programs;
use quorate_common::shutdown::Shutdown;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many agents to run
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub agents: u32,
    /// Where to keep the throwaway CA and the data; empty or not there, and removed at the end
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Stop after this time instead of at Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub span: Option<Duration>,
    /// Print one JSON line when it is up and one at the end, as with -o json
    #[arg(long)]
    pub json: bool,
    /// The agent's program [default: quorate-agent beside this one, else on the PATH]
    #[arg(long, value_name = "FILE", hide = true)]
    pub agent_program: Option<PathBuf>,
    /// The aggregator's program [default: quorate-aggregator beside this one, else on the PATH]
    #[arg(long, value_name = "FILE", hide = true)]
    pub aggregator_program: Option<PathBuf>,
}

/// Runs the demo to its end; 0 if the cluster came up healthy and quorate, data was read back, every
/// program lived until it was asked to stop, and stopped cleanly.
pub async fn run(args: &Args, output: &mut Output) -> anyhow::Result<u8> {
    let shutdown = Shutdown::new();
    shutdown.ask_on_signal()?;
    ask_on_hangup(&shutdown)?;
    let directory = Directory::create(args.dir.as_deref())?;
    let mut programs = Programs::default();
    let plan = Plan {
        agents: args.agents,
        aggregator: program(args.aggregator_program.as_deref(), "quorate-aggregator"),
        agent: program(args.agent_program.as_deref(), "quorate-agent"),
        dir: directory.path().to_owned(),
    };
    let started = tokio::select! {
        started = launch::start(&plan, &mut programs) => started,
        () = shutdown.asked() => Err(anyhow!("stopped before the cluster was up")),
    };
    let outcome = match started {
        Ok(running) => stay(args, &running, (&mut programs, &shutdown), output).await,
        Err(error) => Err(error),
    };
    let stopped = programs.stop().await;
    let removed = directory.remove();
    let (done, life) = outcome?;
    let json = is_json(args, output);
    report::show(&done, json, output, report::Done::draw)?;
    life.and(stopped).and(removed).map(|()| 0)
}

/// Says that it is up, waits for the end, and reads the last state while there is still somebody to ask.
async fn stay(
    args: &Args,
    running: &Running,
    (programs, shutdown): (&mut Programs, &Shutdown),
    output: &mut Output,
) -> anyhow::Result<(report::Done, anyhow::Result<()>)> {
    report::show(&running.ready(programs), is_json(args, output), output, report::Ready::draw)?;
    let over = async {
        match args.span {
            Some(span) => tokio::time::sleep(span).await,
            None => std::future::pending().await,
        }
    };
    let life = tokio::select! {
        () = shutdown.asked() => Ok(()),
        () = over => Ok(()),
        died = programs.died() => Err(died),
    };
    Ok((running.done().await, life))
}

/// A terminal that is closed must not leave the directory with its key behind.
fn ask_on_hangup(shutdown: &Shutdown) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let shutdown = shutdown.clone();
    drop(tokio::spawn(async move {
        hangup.recv().await;
        shutdown.ask();
    }));
    Ok(())
}

fn is_json(args: &Args, output: &Output) -> bool {
    args.json || output.format() == Format::Json
}

fn program(given: Option<&Path>, name: &str) -> PathBuf {
    let own = std::env::current_exe().ok();
    let sibling = own.as_deref().and_then(Path::parent).map(|dir| dir.join(name));
    let sibling = sibling.filter(|path| std::fs::metadata(path).is_ok_and(|file| file.is_file()));
    given.map(Path::to_owned).or(sibling).unwrap_or_else(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::fake::Fake;
    use crate::output::tests::captured;
    use std::os::unix::fs::PermissionsExt;

    fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    async fn failure(aggregator: &str) -> (String, bool) {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("work");
        let args = Args {
            agents: 1,
            dir: Some(work.clone()),
            span: None,
            json: true,
            agent_program: Some("/bin/false".into()),
            aggregator_program: Some(script(dir.path(), "aggregator", aggregator)),
        };
        let (mut output, results, _) = captured(Format::Table);
        let error = run(&args, &mut output).await.unwrap_err();
        assert_eq!(results.text(), "");
        (format!("{error:#}"), work.try_exists().unwrap())
    }

    #[tokio::test]
    async fn a_failed_start_says_why_and_leaves_nothing() {
        let (error, left) = failure("echo first; echo disk on fire >&2; exit 3").await;
        assert_eq!(error, "aggregator init ended with exit status: 3: first | disk on fire");
        assert!(!left);
        let (error, left) = failure("case $1 in run) echo no port; exit 1;; esac").await;
        assert_eq!(error, "aggregator ended with exit status: 1: no port");
        assert!(!left);
    }

    #[tokio::test]
    async fn a_whole_demo() {
        let dir = tempfile::tempdir().unwrap();
        let credential = dir.path().join("credential");
        let fake = Fake { samples_of: Some(dir.path().to_owned()), ..Fake::default() };
        let address = fake.serve_tls(&credential).await;
        let ready = format!(r#"{{"grpc":"{address}","enrol":"127.0.0.1:2","http":"127.0.0.1:3","pid":1}}"#);
        let aggregator = format!(
            r#"case $1 in
                init) mkdir -p "$3" && cp -rp {} "$3/admin";;
                run) trap 'exit 0' TERM; shift 2; echo '{ready}' > "$9.new"; mv "$9.new" "$9"; read -r end;;
            esac"#,
            credential.display()
        );
        // An agent has samples from when it can be stopped on, so that the test cannot be too fast for it.
        let there = format!("{}/$(basename \"$3\")", dir.path().display());
        let agent = format!("case $1 in run) trap 'exit 0' TERM; : > {there}; read -r end;; esac");
        let args = Args {
            agents: 3,
            dir: None,
            span: Some(Duration::from_millis(10)),
            json: true,
            agent_program: Some(script(dir.path(), "agent", &agent)),
            aggregator_program: Some(script(dir.path(), "aggregator", &aggregator)),
        };
        let (mut output, results, _) = captured(Format::Table);
        assert_eq!(run(&args, &mut output).await.unwrap(), 0);
        let lines: Vec<serde_json::Value> =
            results.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["event"], &lines[1]["event"]), (&"ready".into(), &"done".into()));
        assert_eq!(lines[0]["grpc"]["address"], address.to_string());
        assert_eq!(lines[0]["agents"].as_array().unwrap().len(), 3);
        let key = PathBuf::from(lines[0]["grpc"]["key"].as_str().unwrap());
        assert!(key.ends_with("aggregator/admin/admin.key") && !key.try_exists().unwrap());
        assert_eq!((&lines[1]["status"], &lines[1]["quorum"]), (&"healthy".into(), &"available".into()));
        assert_eq!(lines[1]["samples_stored"], 2700);
    }

    #[tokio::test]
    async fn a_ready_file_that_cannot_be_read_is_named() {
        // Ready files come after `--ready-file`, the eleventh word; the program then waits to be stopped.
        let ready = "case $1 in run) shift 2; echo nonsense > \"$9\"; cat > /dev/null;; esac";
        let (error, left) = failure(ready).await;
        assert!(error.starts_with("failed to read the ready file"), "{error}");
        assert!(!left);
    }
}
