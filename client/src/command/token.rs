//! `quorate token create|list|revoke`: who may join, once, and what may call over HTTP.

use crate::conn::{Connection, NewToken, Subject};
use crate::mark::Marks;
use crate::output::Output;
use crate::quantity::parse_duration;
use crate::table::{Table, left};
use crate::text::Text;
use crate::view::{CreatedToken, TokenList};
use clap::{ArgGroup, ValueEnum};
use quorate_common::model::identity::Role;
use quorate_common::model::node::MemberRole;
use std::time::Duration;

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Make a token: print the one line to run on the machine that is to join, or the token that a program sends
    Create(Create),
    /// List the tokens, without their secrets
    List,
    /// Make a token useless
    Revoke {
        /// The id, as `list` shows it
        token_id: String,
    },
}

/// A token to make.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("subject").required(true).args(["node", "user", "http"]))]
pub struct Create {
    /// For a machine with this name
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// For a person or a tool with this name
    #[arg(long, value_name = "NAME", requires = "role")]
    pub user: Option<String>,
    /// For a program that calls over HTTP, such as grafana: the token itself is printed, to be sent as Bearer
    #[arg(long, value_name = "NAME", requires = "role")]
    pub http: Option<String>,
    /// A node's vote, or a person's or program's rights [default for a node: voter]
    #[arg(long, value_enum)]
    pub role: Option<TokenRole>,
    /// The cluster that the node joins [default: default]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["user", "http"])]
    pub cluster: Option<String>,
    /// The rack, room or region that may be lost as one
    #[arg(long, value_name = "NAME", conflicts_with_all = ["user", "http"])]
    pub zone: Option<String>,
    /// The votes of the node [default: 1]
    #[arg(long, conflicts_with_all = ["user", "http"], value_parser = clap::value_parser!(u32).range(1..))]
    pub weight: Option<u32>,
    /// Let a new key take the name of an enrolled node; the old key is refused from then on
    #[arg(long, conflicts_with_all = ["user", "http"])]
    pub replace: bool,
    /// How long it may be used [default: 15m, for HTTP 90d]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub lifetime: Option<Duration>,
}

/// What a token lets its bearer be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TokenRole {
    /// A node that counts for the quorum.
    Voter,
    /// A node that is only watched.
    Observer,
    /// A person who may look.
    Viewer,
    /// A person who may also acknowledge, silence and set maintenance.
    Operator,
    /// A person who may do everything.
    Admin,
}

/// What to ask for, checked.
#[derive(Debug)]
pub enum Request {
    /// Make a token.
    Create(NewToken),
    /// List them.
    List,
    /// Revoke the one with this id.
    Revoke(String),
}

impl TryFrom<Args> for Request {
    type Error = WrongRole;

    fn try_from(args: Args) -> Result<Request, WrongRole> {
        Ok(match args.action {
            Action::Create(create) => Request::Create(NewToken::try_from(&create)?),
            Action::List => Request::List,
            Action::Revoke { token_id } => Request::Revoke(token_id),
        })
    }
}

/// Does what was asked for.
pub async fn run(request: Request, conn: &Connection, output: &mut Output) -> anyhow::Result<u8> {
    match request {
        Request::Create(new) => {
            let is_http = matches!(new.subject, Subject::Http { .. });
            let token = conn.create_token(new).await?;
            let line =
                |token: &CreatedToken| if is_http { token.token.clone() } else { token.command.clone() };
            output.show(&token, |token, _| vec![Text::plain(line(token))])?;
            if let Some(expires) = token.expires {
                let once = if is_http { "is good" } else { "can be used once," };
                output.message(&format!("token {} {once} until {expires}", token.token_id));
            }
        }
        Request::List => output.show(&conn.tokens().await?, draw)?,
        Request::Revoke(token_id) => {
            conn.revoke_token(&token_id).await?;
            output.message(&format!("token {token_id} is revoked"));
        }
    }
    Ok(0)
}

/// A role that the subject cannot have.
#[derive(Debug, thiserror::Error)]
#[error("--role of a {0} must be {1}")]
pub struct WrongRole(&'static str, &'static str);

impl TryFrom<&Create> for NewToken {
    type Error = WrongRole;

    fn try_from(create: &Create) -> Result<NewToken, WrongRole> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let subject = match (&create.user, &create.http) {
            (Some(name), _) => Subject::User { name: name.clone(), role: person(create.role)? },
            (None, Some(name)) => Subject::Http { name: name.clone(), role: person(create.role)? },
            (None, None) => Subject::Node {
                name: text(&create.node),
                cluster: text(&create.cluster),
                role: member(create.role)?,
                zone: text(&create.zone),
                weight: create.weight.unwrap_or(1),
                replace: create.replace,
            },
        };
        Ok(NewToken { subject, lifetime: create.lifetime })
    }
}

fn member(role: Option<TokenRole>) -> Result<MemberRole, WrongRole> {
    match role {
        None | Some(TokenRole::Voter) => Ok(MemberRole::Voter),
        Some(TokenRole::Observer) => Ok(MemberRole::Observer),
        Some(_) => Err(WrongRole("node", "voter or observer")),
    }
}

fn person(role: Option<TokenRole>) -> Result<Role, WrongRole> {
    match role {
        Some(TokenRole::Viewer) => Ok(Role::Viewer),
        Some(TokenRole::Operator) => Ok(Role::Operator),
        Some(TokenRole::Admin) => Ok(Role::Admin),
        _ => Err(WrongRole("user or program", "viewer, operator or admin")),
    }
}

fn draw(list: &TokenList, marks: Marks) -> Vec<Text> {
    let mut table = Table::new(&[
        left("ID"),
        left("FOR"),
        left("KIND"),
        left("ROLE"),
        left("STATE"),
        left("CREATED").extra(),
        left("EXPIRES"),
    ]);
    for token in &list.tokens {
        let time =
            |stamp: Option<crate::view::Stamp>| stamp.map_or_else(|| "-".to_owned(), |at| at.to_string());
        table.row([
            Text::plain(&token.token_id),
            Text::plain(&token.subject),
            Text::plain(&token.kind),
            Text::plain(&token.role),
            Text::plain(&token.state),
            time(token.created).into(),
            time(token.expires).into(),
        ]);
    }
    table.lines(marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command, Format};
    use crate::command::fake::Fake;
    use crate::output::tests::captured;
    use clap::Parser;

    async fn check(line: &str, results: &str, messages: &str, calls: &[&str]) {
        let Command::Token(args) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("{line} is no token command");
        };
        let fake = Fake::default();
        let (mut output, out, err) = captured(Format::Table);
        let outcome = match Request::try_from(args) {
            Ok(request) => run(request, &fake.serve().await, &mut output).await,
            Err(error) => Err(error.into()),
        };
        let err = outcome.map_or_else(|error| format!("{error:#}"), |_| err.text());
        assert_eq!((out.text().as_str(), err.as_str()), (results, messages), "{line}");
        assert_eq!(fake.calls(), calls, "{line}");
    }

    #[tokio::test]
    async fn create_prints_the_line_to_run() {
        let until = "quorate: token 0123 can be used once, until 2026-11-20T19:06:05.000Z\n";
        let line = "quorate-agent enroll --token q1.secret\n";
        let call = "create node n1 cluster= role=1 zone= weight=1 replace=false lifetime=None";
        check("quorate token create --node n1", line, until, &[call]).await;
        let all = "quorate token create --node n1 --cluster c --role observer --zone z --weight 3 --replace --lifetime 1h";
        let call = "create node n1 cluster=c role=2 zone=z weight=3 replace=true lifetime=Some(3600)";
        check(all, line, until, &[call]).await;
        let call = "create user ann role=3 lifetime=None";
        check("quorate token create --user ann --role operator", line, until, &[call]).await;
        let until = "quorate: token 0123 is good until 2026-11-20T19:06:05.000Z\n";
        let call = "create http grafana role=2 lifetime=None";
        check("quorate token create --http grafana --role viewer", "q1.secret\n", until, &[call]).await;
    }

    #[tokio::test]
    async fn roles_fit_their_subject() {
        let node = "--role of a node must be voter or observer";
        check("quorate token create --node n1 --role admin", "", node, &[]).await;
        let user = "--role of a user or program must be viewer, operator or admin";
        check("quorate token create --user a --role voter", "", user, &[]).await;
    }

    #[tokio::test]
    async fn list_and_revoke() {
        let table = "\
ID    FOR  KIND       ROLE   STATE   CREATED                   EXPIRES
0123  n1   enrolment  agent  unused  2026-11-20T19:06:05.000Z  -
";
        check("quorate token list", table, "", &[]).await;
        check("quorate token revoke 0123", "", "quorate: token 0123 is revoked\n", &["revoke token 0123"])
            .await;
    }
}
