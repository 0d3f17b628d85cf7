//! Figures as people read them and as programs do: a table, and `target/bench/results.json`.

use anyhow::{Context, ensure};
use quorate_common::clock::{Clock, SystemClock};
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::Path;
use std::process::Command;

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What it is called, `stage.what_unit`; the key in the file.
    #[serde(skip)]
    pub name: &'static str,
    /// What was measured.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What is to be reached.
    pub goal: Option<f64>,
    /// Whom it is compared with, and how that was measured.
    pub peer: Option<&'static str>,
    /// The peer's value, in the same unit.
    pub peer_value: Option<f64>,
    /// What prints it again.
    pub command: String,
}

/// Prints the figures.
pub fn print(figures: &[Figure]) {
    println!("\n{:<36} {:>14} {:>14} {:>14}  unit", "figure", "value", "goal", "peer");
    for figure in figures {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
        let (value, goal, peer) =
            (number(Some(figure.value)), number(figure.goal), number(figure.peer_value));
        println!("{:<36} {value:>14} {goal:>14} {peer:>14}  {}", figure.name, figure.unit);
    }
    for figure in figures.iter().filter(|figure| figure.peer.is_some()) {
        println!("peer of {}: {}", figure.name, figure.peer.unwrap_or_default());
    }
}

/// Writes the figures with commit and date, in place of what is there.
pub fn write(path: &Path, figures: &[Figure]) -> anyhow::Result<()> {
    let mut results = Map::new();
    results.insert("commit".to_owned(), commit()?.into());
    results.insert("date".to_owned(), SystemClock.now().wall.to_string().into());
    for figure in figures {
        results.insert(figure.name.to_owned(), serde_json::to_value(figure)?);
    }
    let text = serde_json::to_string_pretty(&Value::Object(results))? + "\n";
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::write(path, text).with_context(|| format!("failed to write `{}`", path.display()))
}

fn commit() -> anyhow::Result<String> {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).output().context("failed to run git")?;
    ensure!(output.status.success(), "git rev-parse failed, run this inside the repository");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn number(value: f64) -> String {
    match value {
        1e6.. => format!("{:.2} M", value / 1e6),
        1e3.. => format!("{:.1} k", value / 1e3),
        _ => format!("{value:.2}"),
    }
}
