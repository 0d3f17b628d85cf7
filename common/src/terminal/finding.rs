//! What a doctor found: one line for each check, with what to do, and the exit code for scripts.
//!
//! Holds and draws findings. What is checked, and what counts as a failure, the programs decide.

use super::mark::Marks;
use super::text::{Style, Text};
use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, and somebody should look.
    Warning,
    /// Does not work.
    Failed,
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked, as in `clock` or `127.0.0.1:7443 tls`.
    pub check: String,
    /// How bad it is.
    pub level: Level,
    /// What was found, in one line.
    pub text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(check: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding { check: check.into(), level: Level::Ok, text: text.into(), advice: None }
    }

    /// Works, and somebody should look.
    pub fn warning(check: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding { level: Level::Warning, ..Finding::ok(check, text) }
    }

    /// Does not work.
    pub fn failed(check: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding { level: Level::Failed, ..Finding::ok(check, text) }
    }

    /// The same finding with what to do.
    pub fn advise(self, advice: impl Into<String>) -> Finding {
        Finding { advice: Some(advice.into()), ..self }
    }

    fn lines(&self, marks: Marks) -> Vec<Text> {
        let style = match self.level {
            Level::Ok => Style::Good,
            Level::Warning => Style::Warn,
            Level::Failed => Style::Bad,
        };
        let line = Text::new().with(style, format!("{} {}", marks.of(style), self.check));
        let advice = self.advice.iter().map(|advice| {
            Text::plain("  ").with(Style::Dim, marks.arrow()).with(Style::Plain, format!(" {advice}"))
        });
        std::iter::once(line.with(Style::Plain, format!(": {}", self.text))).chain(advice).collect()
    }
}

/// All findings of one visit, in the order of the checks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The worst level; [`Level::Ok`] when nothing was checked.
    pub fn level(&self) -> Level {
        self.findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }

    /// The exit code: 0 when all is well, 1 with warnings, 2 with failures.
    pub fn exit_code(&self) -> u8 {
        match self.level() {
            Level::Ok => 0,
            Level::Warning => 1,
            Level::Failed => 2,
        }
    }

    /// The lines to show: each finding, what to do below it, and the sum at the end.
    pub fn lines(&self, marks: Marks) -> Vec<Text> {
        let count = |level| self.findings.iter().filter(|finding| finding.level == level).count();
        let [ok, warnings, failed] = [Level::Ok, Level::Warning, Level::Failed].map(count);
        let sum = format!("{ok} ok, {warnings} warnings, {failed} failed");
        let lines = self.findings.iter().flat_map(|finding| finding.lines(marks));
        lines.chain([Text::new().with(Style::Bold, sum)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(findings: Vec<Finding>, code: u8, sum: &str) {
        let report = Report { findings };
        assert_eq!(report.exit_code(), code);
        let lines = report.lines(Marks { unicode: false, width: None });
        assert_eq!(lines.last().unwrap().paint(false), sum);
    }

    #[test]
    fn the_worst_finding_decides() {
        let (ok, warning) = (Finding::ok("a", "fine"), Finding::warning("b", "so so"));
        let failed = Finding::failed("c", "broken");
        check(vec![], 0, "0 ok, 0 warnings, 0 failed");
        check(vec![ok.clone()], 0, "1 ok, 0 warnings, 0 failed");
        check(vec![warning.clone(), ok.clone()], 1, "1 ok, 1 warnings, 0 failed");
        check(vec![failed, warning, ok], 2, "1 ok, 1 warnings, 1 failed");
    }

    #[test]
    fn marks_say_what_colour_says_and_hostile_text_steers_nothing() {
        let finding = Finding::failed("tcp", "refused\u{1b}[2J").advise("start it");
        let shown = |unicode: bool, color: bool| -> Vec<String> {
            finding.lines(Marks { unicode, width: None }).iter().map(|line| line.paint(color)).collect()
        };
        assert_eq!(shown(true, false), ["✖ tcp: refused\\u{1b}[2J", "  → start it"]);
        assert_eq!(shown(false, false), ["x tcp: refused\\u{1b}[2J", "  -> start it"]);
        assert!(shown(true, true)[0].starts_with("\u{1b}[1;31m✖ tcp\u{1b}[0m: "));
    }

    #[test]
    fn json_names_the_level() {
        let json = serde_json::to_value(Finding::warning("clock", "3 s off")).unwrap();
        assert_eq!(json, serde_json::json!({"check": "clock", "level": "warning", "text": "3 s off"}));
    }
}
