//! `quorate nodes revoke|forget|maintenance NAME`: who belongs, and whose pages are muted.

use crate::confirm::Consent;
use crate::conn::Connection;
use crate::output::Output;
use crate::quantity::{parse_duration, span};
use std::time::Duration;

/// A change to one node.
#[derive(Debug, clap::Subcommand)]
pub enum Change {
    /// Refuse a node from now on and end its streams; it stays a declared member and counts as lost
    Revoke {
        /// The node
        name: String,
        /// Why, for the audit log
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
        reason: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Take a node out of its cluster for good
    Forget {
        /// The node
        name: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Mute the pages of a node; it counts as measured
    Maintenance {
        /// The node
        name: String,
        /// Begin or end it
        state: Switch,
        /// Why, for whoever looks at the node and for the audit log
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
        reason: String,
        /// End it after this long by itself; without it, somebody has to
        #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
        lasts: Option<Duration>,
    },
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    /// From now on.
    On,
    /// Not any more.
    Off,
}

impl Change {
    /// Whether the command line says that nobody is to be asked.
    pub fn is_confirmed(&self) -> bool {
        matches!(self, Change::Revoke { yes: true, .. } | Change::Forget { yes: true, .. })
    }

    /// What is asked before it is done; `None` if it can be taken back easily.
    fn question(&self) -> Option<String> {
        match self {
            Change::Revoke { name, .. } => Some(format!(
                "revoke node {name} (it counts as lost, and comes back only by a token made with --replace)"
            )),
            Change::Forget { name, .. } => {
                Some(format!("forget node {name} (it is no member any more; its samples are dropped)"))
            }
            Change::Maintenance { .. } => None,
        }
    }
}

/// Asks where that is needed, makes the change, and says so.
pub async fn run(
    change: &Change,
    consent: Consent,
    conn: &Connection,
    output: &mut Output,
) -> anyhow::Result<u8> {
    if let Some(question) = change.question() {
        consent.confirm(&question, output)?;
    }
    let done = match change {
        Change::Revoke { name, reason, .. } => {
            conn.revoke_node(name, reason).await?;
            format!("node {name} is revoked")
        }
        Change::Forget { name, .. } => {
            conn.forget_node(name).await?;
            format!("node {name} is forgotten")
        }
        Change::Maintenance { name, state: Switch::On, reason, lasts } => {
            conn.begin_maintenance(name, reason, *lasts).await?;
            let lasts = lasts.map(|lasts| format!(" for {}", span(lasts))).unwrap_or_default();
            format!("maintenance of node {name} is on{lasts}")
        }
        Change::Maintenance { name, state: Switch::Off, reason, .. } => {
            conn.end_maintenance(name, reason).await?;
            format!("maintenance of node {name} is off")
        }
    };
    output.message(&done);
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command, Format};
    use crate::command::fake::Fake;
    use crate::output::tests::captured;
    use clap::Parser;

    /// `answer` is what somebody at a terminal says; nobody sits there if there is none.
    async fn check(line: &str, answer: Option<&'static str>, calls: &[&str], message: &str) {
        let Command::Nodes(args) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("{line} is no nodes command");
        };
        let change = args.change.unwrap();
        let consent = match answer {
            _ if change.is_confirmed() => Consent::Given,
            Some(answer) => Consent::Ask(Box::new(answer.as_bytes())),
            None => Consent::Nobody,
        };
        let fake = Fake::default();
        let conn = fake.serve().await;
        let (mut output, results, messages) = captured(Format::Table);
        let text = match run(&change, consent, &conn, &mut output).await {
            Ok(code) => {
                assert_eq!((code, results.text().as_str()), (0, ""));
                messages.text()
            }
            Err(error) => format!("{}{error:#}", messages.text()),
        };
        assert_eq!(text, message, "{line}");
        assert_eq!(fake.calls(), calls, "{line}");
    }

    #[tokio::test]
    async fn changes_are_made_and_told() {
        let revoked = "quorate: node n1 is revoked\n";
        check("quorate nodes revoke n1 --yes --reason stolen", None, &["revoke n1 stolen"], revoked).await;
        check("quorate nodes forget -y n1", None, &["forget n1"], "quorate: node n1 is forgotten\n").await;
        let call = "maintenance n1 on reason= lasts=None";
        let on = "quorate: maintenance of node n1 is on\n";
        check("quorate nodes maintenance n1 on", None, &[call], on).await;
        let call = "maintenance n1 on reason=disk lasts=Some(7200)";
        let on = "quorate: maintenance of node n1 is on for 2 h\n";
        check("quorate nodes maintenance n1 on --reason disk --for 2h", None, &[call], on).await;
        let call = "maintenance n1 off reason=done lasts=None";
        let off = "quorate: maintenance of node n1 is off\n";
        check("quorate nodes maintenance n1 off --reason done", None, &[call], off).await;
    }

    #[tokio::test]
    async fn what_cannot_be_undone_is_asked() {
        let revoke = "revoke node n1 (it counts as lost, and comes back only by a token made with --replace)";
        let done = format!("quorate: {revoke}? [y/N]\nquorate: node n1 is revoked\n");
        check("quorate nodes revoke n1", Some("y\n"), &["revoke n1 "], &done).await;
        let forget = "forget node n1 (it is no member any more; its samples are dropped)";
        let declined = format!("quorate: {forget}? [y/N]\nnothing was changed");
        check("quorate nodes forget n1", Some("\n"), &[], &declined).await;
        let nobody = format!("{forget}: say --yes where nobody can be asked");
        check("quorate nodes forget n1", None, &[], &nobody).await;
    }

    #[tokio::test]
    async fn a_refusal_is_told() {
        let message = "failed to forget the node: permission denied: role viewer may not call ForgetNode";
        check("quorate nodes forget forbidden --yes", None, &[], message).await;
    }
}
