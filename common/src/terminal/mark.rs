//! Marks that say what colour says, for those who cannot see it, and plain ASCII where UTF-8 is not understood.

use super::text::{Style, Text};
use crate::config::Environment;
use crate::model::cluster::QuorumStatus;
use crate::model::node::{Health, Liveness};

/// Which characters may be used, and how many of them on a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Whether the terminal understands UTF-8.
    pub unicode: bool,
    /// The columns of the terminal; none when it is no terminal.
    pub width: Option<usize>,
}

impl Marks {
    /// Those of the locale.
    pub fn of_locale(environment: &Environment) -> Marks {
        let names = ["LC_ALL", "LC_CTYPE", "LANG"];
        let locale = names.iter().find_map(|name| environment.get(name)).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        Marks { unicode: locale.contains("utf-8") || locale.contains("utf8"), width: None }
    }

    /// The mark of a verdict.
    pub fn of(self, style: Style) -> &'static str {
        match (style, self.unicode) {
            (Style::Good, true) => "✔",
            (Style::Good, false) => "+",
            (Style::Warn, true) => "▲",
            (Style::Warn, false) => "!",
            (Style::Bad, true) => "✖",
            (Style::Bad, false) => "x",
            (Style::Unsure, _) => "?",
            (Style::Plain | Style::Bold | Style::Dim, _) => "-",
        }
    }

    /// Between what was and what is.
    pub fn arrow(self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }

    /// Before one of several reasons.
    pub fn bullet(self) -> &'static str {
        if self.unicode { "•" } else { "*" }
    }

    /// A word with its mark, in its colour.
    pub fn word(self, verdict: impl Verdict) -> Text {
        let style = verdict.style();
        Text::new().with(style, format!("{} {}", self.of(style), verdict.word()))
    }
}

/// A status word that has a style.
pub trait Verdict: Copy {
    /// The word.
    fn word(self) -> &'static str;
    /// How it looks.
    fn style(self) -> Style;
}

impl Verdict for Health {
    fn word(self) -> &'static str {
        self.as_str()
    }

    fn style(self) -> Style {
        match self {
            Health::Healthy => Style::Good,
            Health::Degraded => Style::Warn,
            Health::Unhealthy => Style::Bad,
            Health::Unknown => Style::Unsure,
        }
    }
}

impl Verdict for Liveness {
    fn word(self) -> &'static str {
        self.as_str()
    }

    fn style(self) -> Style {
        match self {
            Liveness::Up => Style::Good,
            Liveness::Suspect | Liveness::Isolated | Liveness::Left => Style::Warn,
            Liveness::Down | Liveness::AgentDead => Style::Bad,
            Liveness::Unknown => Style::Unsure,
        }
    }
}

impl Verdict for QuorumStatus {
    fn word(self) -> &'static str {
        self.as_str()
    }

    fn style(self) -> Style {
        match self {
            QuorumStatus::Available => Style::Good,
            QuorumStatus::AtRisk => Style::Warn,
            QuorumStatus::Lost => Style::Bad,
            QuorumStatus::Unknown => Style::Unsure,
            QuorumStatus::NotApplicable => Style::Dim,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_a_mark_of_its_own() {
        for unicode in [true, false] {
            let marks = Marks { unicode, width: None };
            let mut all: Vec<String> =
                Health::ALL.iter().map(|health| marks.word(*health).paint(false)).collect();
            all.iter_mut().for_each(|text| text.truncate(text.find(' ').unwrap()));
            all.sort();
            all.dedup();
            assert_eq!(all.len(), Health::ALL.len());
            assert_eq!(all.iter().all(|mark| mark.is_ascii()), !unicode);
        }
    }

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let check = |pairs: &[(&str, &str)], expect| {
            let environment = pairs.iter().copied().collect();
            assert_eq!(Marks::of_locale(&environment).unicode, expect, "{pairs:?}");
        };
        check(&[("LANG", "C.UTF-8")], true);
        check(&[("LANG", "C.UTF-8"), ("LC_ALL", "C")], false);
        check(&[("LANG", "de_DE.utf8"), ("LC_ALL", "")], true);
        check(&[], false);
    }

    #[test]
    fn a_lost_quorum_is_not_only_red() {
        let word = Marks::default().word(QuorumStatus::Lost);
        assert_eq!(word.paint(false), "x lost");
        assert_eq!(word.paint(true), "\u{1b}[1;31mx lost\u{1b}[0m");
    }
}
