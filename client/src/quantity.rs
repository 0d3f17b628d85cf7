//! Numbers as people read and write them: durations, sizes, samples.

use crate::view::Stamp;
use quorate_common::quantity::{Period, QuantityError};
use std::time::Duration;

/// A span of time with its one or two leading units: `850 ms`, `4 s`, `3 min 20 s`, `2 d 5 h`.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let pair = |big: u64, big_unit, small: u64, small_unit| match small {
        0 => format!("{big} {big_unit}"),
        small => format!("{big} {big_unit} {small} {small_unit}"),
    };
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3600 => pair(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => pair(seconds / 3600, "h", seconds / 60 % 60, "min"),
        _ => pair(seconds / 86_400, "d", seconds / 3600 % 24, "h"),
    }
}

/// How long before `now` something was; nothing if it lies in the future, as another clock may have it.
pub fn age(now: Stamp, then: Stamp) -> Duration {
    let nanoseconds = now.0.0.saturating_sub(then.0.0).max(0);
    Duration::from_nanos(nanoseconds.cast_unsigned())
}

/// A size in binary units with three or four digits: `512 B`, `1.5 KiB`, `15.6 GiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// A number in four digits or so, with a letter for thousands, millions and so on: `0.25`, `12.5`, `1.024 k`.
pub fn figure(value: f64) -> String {
    const LETTERS: [&str; 5] = ["", " k", " M", " G", " T"];
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e15).contains(&size) {
        return format!("{value:.3e}");
    }
    let thousands = LETTERS.iter().zip([1.0, 1e3, 1e6, 1e9, 1e12]);
    let (letter, unit) = thousands.rev().find(|(_, unit)| size >= *unit).unwrap_or((&"", 1.0));
    let scaled = value / unit;
    let places = if scaled.abs() >= 100.0 {
        1
    } else if scaled.abs() >= 10.0 {
        2
    } else {
        3
    };
    let text = format!("{scaled:.places$}");
    format!("{}{letter}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A count with its noun: `1 agent`, `3 agents`.
pub fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Reads `15m`, `1h30m`, `20s`, `500ms`, `7d`, as configurations have them, but not nothing.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let period: Period = text.parse().map_err(|error: QuantityError| error.to_string())?;
    if period.duration().is_zero() {
        return Err(format!("`{text}` is no time at all"));
    }
    Ok(period.duration())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_well() {
        for (ms, text) in [
            (850, "850 ms"),
            (4_999, "4 s"),
            (200_000, "3 min 20 s"),
            (120_000, "2 min"),
            (3_600_000 * 53, "2 d 5 h"),
            (3_660_000, "1 h 1 min"),
        ] {
            assert_eq!(span(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn sizes_read_well() {
        for (count, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (16 << 30, "16.0 GiB"), (u64::MAX, "16.0 EiB")]
        {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn figures_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (-12.345, "-12.35"),
            (100.0, "100"),
            (1024.0, "1.024 k"),
            (16e9, "16 G"),
            (1e-9, "1.000e-9"),
            (f64::MAX, "1.798e308"),
        ] {
            assert_eq!(figure(value), text);
        }
    }

    #[test]
    fn durations_are_read_strictly() {
        for (text, ms) in [("20s", 20_000), ("1h30m", 5_400_000), ("7d", 604_800_000), ("500ms", 500)] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(ms));
        }
        for bad in ["", "5", "s", "1x", "-5s", "1.5h", "0s", "5 s", "99999999999999999d", "10sm", "１s"] {
            assert!(parse_duration(bad).unwrap_err().contains(&format!("`{bad}` is ")), "{bad}");
        }
    }

    #[test]
    fn the_future_has_no_age() {
        assert_eq!(age(Stamp::from_secs(5), Stamp::from_secs(9)), Duration::ZERO);
        assert_eq!(age(Stamp::from_secs(9), Stamp::from_secs(5)), Duration::from_secs(4));
    }
}
