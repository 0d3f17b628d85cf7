//! `quorate audit`: who changed what and when, and who was refused, the newest first.

use crate::conn::{AuditQuestion, Connection};
use crate::mark::Marks;
use crate::output::Output;
use crate::quantity::parse_duration;
use crate::table::{Table, left};
use crate::text::{Style, Text};
use crate::view::AuditList;
use std::time::Duration;

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only the last so much time
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub since: Option<Duration>,
    /// Only what is older than this
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub until: Option<Duration>,
    /// Only what this person or node did; `local` is somebody on the aggregator's host
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Only what was done to this node, person, token or method
    #[arg(long, value_name = "NAME")]
    pub subject: Option<String>,
    /// Only this, such as enrol, revoke_node, set_maintenance, refused
    #[arg(long, value_name = "WORD")]
    pub action: Option<String>,
    /// Most lines
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// Reads the lines and shows them.
pub async fn run(args: &Args, conn: &Connection, output: &mut Output) -> anyhow::Result<u8> {
    // Spans are counted by the aggregator's clock, which made the stamps.
    let now = match (args.since, args.until) {
        (None, None) => None,
        _ => conn.health("").await?.timestamp,
    };
    let before = |span: Option<Duration>| Some(now?.before(span?));
    let question = AuditQuestion {
        since: before(args.since),
        until: before(args.until),
        actor: args.actor.clone().unwrap_or_default(),
        subject: args.subject.clone().unwrap_or_default(),
        action: args.action.clone().unwrap_or_default(),
    };
    let list = conn.audit(&question, args.limit).await?;
    output.show(&list, draw)?;
    if list.more {
        output.message("there are older lines: raise -n or narrow the question");
    }
    Ok(0)
}

fn draw(list: &AuditList, marks: Marks) -> Vec<Text> {
    if list.lines.is_empty() {
        return vec![Text::plain("No lines.")];
    }
    let mut table =
        Table::new(&[left("TIME"), left("WHO"), left("ACTION"), left("SUBJECT"), left("DETAIL").extra()]);
    for line in &list.lines {
        let style = if line.action == "refused" { Style::Warn } else { Style::Plain };
        table.row([
            Text::new().with(Style::Dim, line.at.map_or_else(|| "-".to_owned(), |at| at.to_string())),
            Text::new().with(Style::Bold, &line.actor),
            Text::new().with(style, &line.action),
            Text::plain(&line.subject),
            Text::plain(&line.detail),
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

    /// Results, messages, and what the aggregator was asked.
    async fn said(line: &str, format: Format) -> (String, String, Vec<String>) {
        let Command::Audit(args) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("{line} is no audit command");
        };
        let fake = Fake { page: 1, ..Fake::default() };
        let conn = fake.serve().await;
        let (mut output, results, messages) = captured(format);
        run(&args, &conn, &mut output).await.unwrap();
        (results.text(), messages.text(), fake.calls())
    }

    #[tokio::test]
    async fn looks_like_this() {
        let (results, messages, calls) = said("quorate audit", Format::Table).await;
        assert_eq!(
            results,
            "\
TIME                      WHO   ACTION       SUBJECT                           DETAIL
2026-11-20T19:06:05.000Z  ada   revoke_node  n1                                stolen
2026-11-20T19:05:55.000Z  vera  refused      /quorate.v1.AdminService/SetRate  role viewer\\u{1b}
"
        );
        assert_eq!(messages, "");
        let asked = "audit since=None until=None actor= subject= action= size=";
        assert_eq!(calls, [format!("{asked}50 token="), format!("{asked}49 token=1")], "all pages");
    }

    #[tokio::test]
    async fn questions_are_asked_and_what_is_left_out_is_told() {
        let line = "quorate audit --since 1h --until 5s --actor ada --subject n1 --action enrol -n 1";
        let (results, messages, calls) = said(line, Format::Json).await;
        let json: serde_json::Value = serde_json::from_str(&results).unwrap();
        assert_eq!(json["lines"].as_array().unwrap().len(), 1);
        assert_eq!(json["lines"][0]["at"], "2026-11-20T19:06:05.000Z");
        assert_eq!(json["more"], true);
        assert_eq!(messages, "quorate: there are older lines: raise -n or narrow the question\n");
        let asked = "audit since=Some(1795197965) until=Some(1795201560) actor=ada subject=n1 action=enrol size=1 token=";
        assert_eq!(calls, [asked]);
    }

    #[tokio::test]
    async fn tables_for_programs() {
        let (results, _, _) = said("quorate audit", Format::Csv).await;
        assert_eq!(
            results,
            "\
at,actor,action,subject,detail
2026-11-20T19:06:05.000Z,ada,revoke_node,n1,stolen
2026-11-20T19:05:55.000Z,vera,refused,/quorate.v1.AdminService/SetRate,role viewer\\u{1b}
"
        );
        let (results, _, _) = said("quorate audit -n 1", Format::Yaml).await;
        assert_eq!(
            results,
            "\
lines:
  - at: \"2026-11-20T19:06:05.000Z\"
    actor: ada
    action: revoke_node
    subject: n1
    detail: stolen
more: true
"
        );
    }
}
