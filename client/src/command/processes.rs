//! `quorate ps NODE`: the process table of a node, asked of its agent now.

use crate::conn::Connection;
use crate::mark::Marks;
use crate::output::Output;
use crate::quantity::bytes;
use crate::table::{Table, left, right};
use crate::text::Text;
use crate::view::ProcessList;

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node
    pub node: String,
    /// Most rows, those with the most CPU first; 0 for all
    #[arg(long, default_value_t = 0)]
    pub limit: u32,
}

/// Reads the table and shows it.
pub async fn run(args: &Args, conn: &Connection, output: &mut Output) -> anyhow::Result<u8> {
    let list = conn.processes(&args.node, args.limit).await?;
    output.show(&list, draw)?;
    if list.left_out > 0 {
        output.message(&format!("{} more processes", list.left_out));
    }
    Ok(0)
}

fn draw(list: &ProcessList, marks: Marks) -> Vec<Text> {
    let mut table = Table::new(&[
        right("PID"),
        right("PPID").extra(),
        left("USER"),
        left("S"),
        right("CPU%"),
        right("MEM%"),
        right("MEMORY"),
        right("THREADS").extra(),
        right("READ").extra(),
        right("WRITTEN").extra(),
        left("GROUP").extra(),
        left("NAME"),
    ]);
    let known = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), bytes);
    for process in &list.processes {
        table.row([
            process.pid.to_string().into(),
            process.parent_pid.to_string().into(),
            Text::plain(&process.user),
            Text::plain(&process.state),
            format!("{:.1}", process.cpu_percent).into(),
            format!("{:.1}", process.memory_percent).into(),
            bytes(process.memory_bytes).into(),
            process.threads.to_string().into(),
            known(process.read_bytes).into(),
            known(process.written_bytes).into(),
            Text::plain(&process.group),
            Text::plain(&process.name),
        ]);
    }
    table.lines(marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;
    use crate::command::fake::Fake;
    use crate::output::tests::captured;

    #[tokio::test]
    async fn looks_like_this() {
        let conn = Fake::default().serve().await;
        let (mut output, results, messages) = captured(Format::Table);
        run(&Args { node: "n1".into(), limit: 2 }, &conn, &mut output).await.unwrap();
        assert_eq!(
            results.text(),
            " PID  PPID  USER  S   CPU%  MEM%   MEMORY  THREADS     READ  WRITTEN  GROUP     NAME
4242     1  root  R  150.0   3.1  1.0 GiB       12  1.5 KiB      0 B  postgres  bad\\u{9b}name
   7     1  www   S    0.0   0.1  1.0 MiB        1        -        -  nginx     nginx
"
        );
        assert_eq!(messages.text(), "quorate: 40 more processes\n");
    }

    #[tokio::test]
    async fn an_agent_that_does_not_answer_is_an_error() {
        let conn = Fake::default().serve().await;
        let (mut output, _, _) = captured(Format::Table);
        let error = run(&Args { node: "n3".into(), limit: 0 }, &conn, &mut output).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "failed to list processes: unavailable: n3 has no session");
    }
}
