//! `quorate gaps [NODE]`: when nodes have no samples though they should have, and why.

use crate::conn::{Connection, GapQuestion};
use crate::mark::Marks;
use crate::moment::{Moment, parse_moment};
use crate::output::Output;
use crate::quantity::{age, span};
use crate::table::{Table, left, right};
use crate::text::{Style, Text};
use crate::view::{Gap, GapList, Stamp};

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node [default: all]
    pub node: Option<String>,
    /// Gaps that end later: 2026-11-20T19:06:00Z, seconds since 1970, or so long ago as -1h
    #[arg(long, value_name = "MOMENT", default_value = "-1d", value_parser = parse_moment, allow_hyphen_values = true)]
    pub start: Moment,
    /// Gaps that begin earlier
    #[arg(long, value_name = "MOMENT", default_value = "now", value_parser = parse_moment, allow_hyphen_values = true)]
    pub end: Moment,
    /// Most gaps
    #[arg(short = 'n', long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// Reads the gaps and shows them.
pub async fn run(args: &Args, conn: &Connection, output: &mut Output) -> anyhow::Result<u8> {
    let now = conn.health("").await?.timestamp;
    let question = GapQuestion {
        node: args.node.clone().unwrap_or_default(),
        start: now.map(|now| args.start.stamp(now)),
        end: now.map(|now| args.end.stamp(now)),
        limit: args.limit,
    };
    let list = conn.gaps(&question).await?;
    output.show(&list, |list, marks| draw(list, now, marks))?;
    if list.left_out > 0 {
        output.message(&format!("there are {} older gaps: raise -n or narrow the question", list.left_out));
    }
    Ok(0)
}

fn draw(list: &GapList, now: Option<Stamp>, marks: Marks) -> Vec<Text> {
    if list.gaps.is_empty() {
        return vec![Text::plain("No gaps.")];
    }
    let mut table = Table::new(&[
        left("NODE"),
        left("FROM"),
        left("TO"),
        right("LASTED"),
        left("CAUSE"),
        left("COLLECTOR"),
    ]);
    for gap in &list.gaps {
        let shown = |at: Option<Stamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| at.to_string());
        let style = if gap.filled.is_some() { Style::Plain } else { Style::Warn };
        table.row([
            Text::new().with(Style::Bold, &gap.node),
            Text::plain(shown(gap.from, "-")),
            Text::plain(shown(gap.to, "goes on")),
            Text::plain(lasted(gap, now)),
            Text::new().with(style, gap.why()),
            Text::plain(gap.collector.as_deref().unwrap_or("-")),
        ]);
    }
    table.lines(marks)
}

fn lasted(gap: &Gap, now: Option<Stamp>) -> String {
    let ends = gap.from.zip(gap.to.or(now));
    ends.map_or_else(|| "-".to_owned(), |(from, to)| span(age(to, from)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command, Format};
    use crate::command::fake::Fake;
    use crate::output::tests::captured;
    use clap::Parser;

    #[tokio::test]
    async fn looks_like_this() {
        let Command::Gaps(args) =
            Cli::try_parse_from(["quorate", "gaps", "n1", "--start", "-2h"]).unwrap().command
        else {
            panic!("is no command of gaps");
        };
        let fake = Fake::default();
        let conn = fake.serve().await;
        let (mut output, results, messages) = captured(Format::Table);
        run(&args, &conn, &mut output).await.unwrap();
        assert_eq!(
            results.text(),
            "\
NODE  FROM                      TO                        LASTED  CAUSE                   COLLECTOR
n1    2026-11-20T19:06:00.000Z  goes on                      5 s  collector timeout       cpu
n1    2026-11-20T19:04:50.000Z  2026-11-20T19:05:30.000Z    40 s  agent stopped           -
n1    2026-11-20T19:02:45.000Z  2026-11-20T19:04:25.000Z  1 min 40 s  link down, back-filled  -
"
            .replace("  LASTED", "      LASTED")
            .replace("     5 s", "         5 s")
            .replace("    40 s", "        40 s")
        );
        assert_eq!(messages.text(), "quorate: there are 2 older gaps: raise -n or narrow the question\n");
        assert_eq!(fake.calls(), ["gaps n1 Some(1795194365)..Some(1795201565) limit=1000"]);
    }
}
