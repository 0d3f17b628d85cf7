//! One file per command: its flags, its calls, its drawing.
//!
//! A command gives the exit code of the program or an error; it writes through [`Output`] only.

pub mod admin;
pub mod aggregator;
pub mod audit;
pub mod backup;
pub mod check_config;
pub mod completions;
pub mod demo;
pub mod doctor;
pub mod enroll;
pub mod gaps;
pub mod node;
pub mod nodes;
pub mod processes;
pub mod query;
pub mod range;
pub mod status;
pub mod token;
pub mod watch;

#[cfg(test)]
pub mod fake;

use crate::cli::{Cli, Command, Global};
use crate::config::{self, Target};
use crate::confirm::Consent;
use crate::conn::Connection;
use crate::output::Output;

/// Does what the command line says.
pub async fn run(cli: Cli, output: &mut Output) -> anyhow::Result<u8> {
    let connect = || connect(&cli.global);
    match cli.command {
        Command::Status(args) => status::run(&args, &connect().await?, output).await,
        Command::Nodes(nodes::Args { change: Some(change), .. }) => {
            let consent = Consent::new(change.is_confirmed());
            admin::run(&change, consent, &connect().await?, output).await
        }
        Command::Nodes(args) => nodes::run(&args, &connect().await?, output).await,
        Command::Node(args) => node::run(&args, &connect().await?, output).await,
        Command::Watch(args) => {
            let target = target(&cli.global)?;
            watch::run(&args, &async || Ok(Connection::open(&target).await?), output).await
        }
        Command::Query(args) => query::run(&args, &connect().await?, output).await,
        Command::Gaps(args) => gaps::run(&args, &connect().await?, output).await,
        Command::Ps(args) => processes::run(&args, &connect().await?, output).await,
        Command::Token(args) => {
            // Wrong usage is told before anybody is asked.
            let request = token::Request::try_from(args)?;
            token::run(request, &connect().await?, output).await
        }
        Command::Audit(args) => audit::run(&args, &connect().await?, output).await,
        Command::Backup(args) if args.verify => backup::verify(&args, output),
        Command::Backup(args) => backup::run(&args, &connect().await?, output).await,
        Command::Aggregator(args) => aggregator::run(&args, &connect().await?, output).await,
        Command::Demo(args) => demo::run(&args, output).await,
        Command::Doctor => doctor::run(target(&cli.global), output).await,
        Command::Enroll(args) => enroll::run(&args, output).await,
        Command::CheckConfig(args) => check_config::run(&args, output),
        Command::Completions { shell } => completions::run(shell, output),
    }
}

async fn connect(global: &Global) -> anyhow::Result<Connection> {
    Ok(Connection::open(&target(global)?).await?)
}

fn target(global: &Global) -> anyhow::Result<Target> {
    let file = global.config.as_deref();
    Ok(Target::resolve(global.target(), file, config::directory().as_deref())?)
}
