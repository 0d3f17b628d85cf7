//! The two texts in which values are told: that of Prometheus, 0.0.4, and OpenMetrics, 1.0.0.

use super::family::{Family, Point};
use crate::query::promql::text_of;
use quorate_common::model::series::MetricKind;
use std::fmt::Write;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text of Prometheus.
    Prometheus,
    /// Text of OpenMetrics.
    OpenMetrics,
}

impl Format {
    /// That which a reader prefers by his `Accept`; the text of Prometheus if he does not care.
    pub fn of(accept: &str) -> Format {
        let best = |format: Format| {
            let weights = accept.split(',').filter(|range| format.is_meant(range)).map(weight);
            weights.fold(0.0_f32, f32::max)
        };
        let open = best(Format::OpenMetrics);
        if open > 0.0 && open >= best(Format::Prometheus) { Format::OpenMetrics } else { Format::Prometheus }
    }

    /// As `Content-Type` has it.
    pub const fn media_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// All families that have values. A value that is not a number of its kind is told as it is.
    pub fn text(self, families: &[Family]) -> String {
        let mut text = String::new();
        for family in families.iter().filter(|family| !family.points.is_empty()) {
            self.head(&mut text, family);
            family.points.iter().for_each(|point| self.point(&mut text, &family.name, point));
        }
        if self == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }

    /// Whether a range of an `Accept` means this text; wildcards mean that of Prometheus.
    fn is_meant(self, range: &str) -> bool {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let version = parts.find_map(|part| part.strip_prefix("version="));
        match self {
            Format::Prometheus => matches!(media.as_str(), "text/plain" | "text/*" | "*/*"),
            Format::OpenMetrics => {
                media == "application/openmetrics-text" && matches!(version, None | Some("1.0.0" | "0.0.1"))
            }
        }
    }

    fn head(self, text: &mut String, family: &Family) {
        let kind = match (family.kind, self) {
            (Some(MetricKind::Counter), Format::OpenMetrics) if !family.name.ends_with("_total") => "unknown",
            (Some(MetricKind::Counter), _) => "counter",
            (Some(MetricKind::Gauge), _) => "gauge",
            (None, Format::Prometheus) => "untyped",
            (None, Format::OpenMetrics) => "unknown",
        };
        let name = match self {
            // There a counter is named without what its samples end in.
            Format::OpenMetrics if kind == "counter" => family.name.trim_end_matches("_total"),
            _ => &*family.name,
        };
        if !family.help.is_empty() {
            writeln!(text, "# HELP {name} {}", family.help).ok();
        }
        writeln!(text, "# TYPE {name} {kind}").ok();
    }

    fn point(self, text: &mut String, name: &str, point: &Point) {
        text.push_str(name);
        for (at, (label, value)) in point.labels.iter().enumerate() {
            text.push(if at == 0 { '{' } else { ',' });
            text.push_str(label);
            text.push_str("=\"");
            escape(text, value);
            text.push('"');
        }
        if !point.labels.is_empty() {
            text.push('}');
        }
        write!(text, " {}", text_of(point.value)).ok();
        if let Some(at) = point.at {
            let ms = at.0.div_euclid(1_000_000);
            match self {
                Format::Prometheus => write!(text, " {ms}").ok(),
                Format::OpenMetrics => write!(text, " {}", seconds(ms)).ok(),
            };
        }
        text.push('\n');
    }
}

/// With three decimals, exactly.
fn seconds(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    format!("{sign}{}.{:03}", ms / 1000, ms % 1000)
}

/// `q` of a range; 1 if there is none, 0 if it is none.
fn weight(range: &str) -> f32 {
    let weight = range.split(';').skip(1).find_map(|part| part.trim().strip_prefix("q="));
    weight.map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0))
}

fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::catalog;
    use quorate_common::model::time::WallTime;

    #[test]
    fn readers_get_what_they_prefer() {
        let check = |accept: &str, expect: Format| assert_eq!(Format::of(accept), expect, "{accept}");
        check("", Format::Prometheus);
        check("*/*", Format::Prometheus);
        check("text/html,*/*;q=0.8", Format::Prometheus);
        check("application/openmetrics-text", Format::OpenMetrics);
        check("application/openmetrics-text; version=1.0.0; q=0.5, text/plain;q=0.7", Format::Prometheus);
        check("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", Format::Prometheus);
        check("application/openmetrics-text;q=0", Format::Prometheus);
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                          application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        check(prometheus, Format::OpenMetrics);
    }

    #[test]
    fn both_texts() {
        let mut family = Family::of(&catalog::REFUSALS).with(&[("reason", "a\"b\\c\nd")], 3.0);
        family.points[0].at = Some(WallTime(1_500_000_000));
        let empty = Family::of(&catalog::SESSIONS);
        let untyped = Family { name: "x".into(), help: "", kind: None, points: Vec::new() };
        let families = [family, empty, untyped.with(&[], f64::NEG_INFINITY)];
        let help = catalog::REFUSALS.help;
        let value = "quorate_refusals_total{reason=\"a\\\"b\\\\c\\nd\"} 3";
        let prometheus = format!(
            "# HELP quorate_refusals_total {help}\n# TYPE quorate_refusals_total counter\n{value} 1500\n\
             # TYPE x untyped\nx -Inf\n"
        );
        assert_eq!(Format::Prometheus.text(&families), prometheus);
        let open = format!(
            "# HELP quorate_refusals {help}\n# TYPE quorate_refusals counter\n{value} 1.500\n\
             # TYPE x unknown\nx -Inf\n# EOF\n"
        );
        assert_eq!(Format::OpenMetrics.text(&families), open);
    }
}
