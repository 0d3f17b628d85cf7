//! A stretch of time that is logged and sealed together: five minutes, an hour or two of one window class.

use quorate_common::model::series::Window;
use quorate_common::model::time::WallTime;

const SECOND: i64 = 1_000_000_000;

/// A window of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Where it begins, in seconds since the Unix epoch.
    start_s: i64,
    /// Its class.
    pub window: Window,
}

impl Span {
    #[cfg(test)]
    pub const FIRST: Span = Span { start_s: 0, window: Window::Short };

    /// The one that a time lies in.
    pub fn of(window: Window, at: WallTime) -> Span {
        let length = length_s(window);
        Span { start_s: at.0.div_euclid(SECOND).div_euclid(length) * length, window }
    }

    /// Its first moment.
    pub fn start(self) -> WallTime {
        WallTime(self.start_s.saturating_mul(SECOND))
    }

    /// The first moment after it.
    pub fn end(self) -> WallTime {
        WallTime(self.start_s.saturating_add(length_s(self.window)).saturating_mul(SECOND))
    }

    /// As it stands in names of files.
    pub fn stem(self, what: &str) -> String {
        format!("{what}-{}-{}", self.window, self.start_s)
    }

    /// What [`Span::stem`] wrote, and what stands behind it.
    pub fn parse<'a>(stem: &'a str, what: &str) -> Option<(Span, &'a str)> {
        let rest = stem.strip_prefix(what)?.strip_prefix('-')?;
        let (window, rest) = rest.split_once('-')?;
        let negative = rest.starts_with('-');
        let digits = rest.trim_start_matches('-');
        let end = digits.find('-').unwrap_or(digits.len());
        let start_s: i64 = digits.get(..end)?.parse().ok()?;
        let span = Span { start_s: if negative { -start_s } else { start_s }, window: window.parse().ok()? };
        Some((span, digits.get(end..)?.trim_start_matches('-')))
    }
}

const fn length_s(window: Window) -> i64 {
    match window {
        Window::Short => 300,
        Window::Medium => 3_600,
        Window::Long => 7_200,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for (window, at, stem) in [
            (Window::Short, 1_000_000_299, "log-short-1000000200"),
            (Window::Medium, 7_199, "log-medium-3600"),
            (Window::Long, -1, "log-long--7200"),
        ] {
            let span = Span::of(window, WallTime(at * SECOND));
            assert_eq!(span.stem("log"), stem);
            assert_eq!(Span::parse(stem, "log"), Some((span, "")));
            assert_eq!(Span::parse(&format!("{stem}-7-x"), "log"), Some((span, "7-x")));
            let at = WallTime(at * SECOND);
            assert!(span.start() <= at && at < span.end());
        }
        for stem in ["log", "log-short", "log-tiny-300", "log-short-x", "seg-short-300"] {
            assert_eq!(Span::parse(stem, "log"), None, "{stem}");
        }
    }
}
