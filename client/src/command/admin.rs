//! `quorate nodes revoke|forget|maintenance NAME`: who belongs, and whose pages are muted.

use crate::conn::Connection;
use crate::output::Output;

/// A change to one node.
#[derive(Debug, clap::Subcommand)]
pub enum Change {
    /// Refuse a node from now on and end its streams; it stays a declared member and counts as lost
    Revoke {
        /// The node
        name: String,
        /// Why, for the audit log
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Take a node out of its cluster for good
    Forget {
        /// The node
        name: String,
    },
    /// Mute the pages of a node; it counts as measured
    Maintenance {
        /// The node
        name: String,
        /// Unmute them
        #[arg(long)]
        off: bool,
    },
}

/// Makes the change and says so.
pub async fn run(change: &Change, conn: &Connection, output: &mut Output) -> anyhow::Result<u8> {
    let done = match change {
        Change::Revoke { name, reason } => {
            conn.revoke_node(name, reason).await?;
            format!("node {name} is revoked")
        }
        Change::Forget { name } => {
            conn.forget_node(name).await?;
            format!("node {name} is forgotten")
        }
        Change::Maintenance { name, off } => {
            conn.set_maintenance(name, !off).await?;
            format!("maintenance of node {name} is {}", if *off { "off" } else { "on" })
        }
    };
    output.message(&done);
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;
    use crate::command::fake::Fake;
    use crate::output::tests::captured;

    async fn check(change: Change, calls: &[&str], message: &str) {
        let fake = Fake::default();
        let conn = fake.serve().await;
        let (mut output, results, messages) = captured(Format::Table);
        let text = match run(&change, &conn, &mut output).await {
            Ok(code) => {
                assert_eq!((code, results.text().as_str()), (0, ""));
                messages.text()
            }
            Err(error) => format!("{error:#}"),
        };
        assert_eq!(text, message);
        assert_eq!(fake.calls(), calls);
    }

    #[tokio::test]
    async fn changes_are_made_and_told() {
        let name = || "n1".to_owned();
        let revoke = Change::Revoke { name: name(), reason: "stolen".into() };
        check(revoke, &["revoke n1 stolen"], "quorate: node n1 is revoked\n").await;
        check(Change::Forget { name: name() }, &["forget n1"], "quorate: node n1 is forgotten\n").await;
        for (off, word) in [(false, "on"), (true, "off")] {
            let call = format!("maintenance n1 {word}");
            let message = format!("quorate: maintenance of node n1 is {word}\n");
            check(Change::Maintenance { name: name(), off }, &[&call], &message).await;
        }
    }

    #[tokio::test]
    async fn a_refusal_is_told() {
        let message = "failed to forget the node: permission denied: role viewer may not call ForgetNode";
        check(Change::Forget { name: "forbidden".into() }, &[], message).await;
    }
}
