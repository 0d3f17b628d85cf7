//! Moments as people write them: `2026-11-20T19:06:00Z`, seconds since the Unix epoch, `-1h`, `now`.
//!
//! What is relative is so to the aggregator's clock, which stamps everything that is asked for.

use crate::quantity::parse_duration;
use crate::view::Stamp;
use quorate_common::model::time::WallTime;
use std::time::Duration;

const SECOND: i64 = 1_000_000_000;

/// A moment, before anybody knows what time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So long ago.
    Ago(Duration),
    /// Then.
    At(Stamp),
}

impl Moment {
    /// As a stamp, given what time it is.
    pub fn stamp(self, now: Stamp) -> Stamp {
        match self {
            Moment::Ago(span) => now.before(span),
            Moment::At(stamp) => stamp,
        }
    }
}

/// Reads a moment.
pub fn parse_moment(text: &str) -> Result<Moment, String> {
    if text == "now" {
        return Ok(Moment::Ago(Duration::ZERO));
    }
    if let Some(span) = text.strip_prefix('-') {
        return parse_duration(span).map(Moment::Ago);
    }
    let stamp = if text.contains('T') { rfc3339(text) } else { unix(text) };
    let wrong = || format!("`{text}` is not a moment such as 2026-11-20T19:06:00Z, 1795201565, -1h or now");
    stamp.map(|at| Moment::At(Stamp(at))).ok_or_else(wrong)
}

/// Seconds since the epoch, with up to nine digits behind the point.
fn unix(text: &str) -> Option<WallTime> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let whole = digits(seconds)?.checked_mul(SECOND)?;
    whole.checked_add(nanos(fraction)?).map(WallTime)
}

/// `2026-11-20T19:06:00.5+01:00`.
fn rfc3339(text: &str) -> Option<WallTime> {
    let (date, rest) = text.split_once('T')?;
    let (time, offset) = match rest.strip_suffix('Z') {
        Some(time) => (time, 0),
        None => {
            let at = rest.rfind(['+', '-'])?;
            let (time, offset) = rest.split_at_checked(at)?;
            let [hours, minutes] = fields(offset.get(1..)?, ':', [2, 2])?;
            let minutes = if hours < 24 && minutes < 60 { hours * 60 + minutes } else { return None };
            (time, if offset.starts_with('-') { -minutes } else { minutes })
        }
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = fields(time, ':', [2, 2, 2])?;
    let is_time = hour < 24 && minute < 60 && second < 60;
    let is_date = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    let seconds = (days(year, month, day) * 24 + hour) * 3600 + (minute - offset) * 60 + second;
    (is_time && is_date).then_some(())?;
    seconds.checked_mul(SECOND)?.checked_add(nanos(fraction)?).map(WallTime)
}

/// Numbers of so many digits each.
fn fields<const N: usize>(text: &str, between: char, lengths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, length) in numbers.iter_mut().zip(lengths) {
        *number = digits(parts.next().filter(|part| part.len() == length)?)?;
    }
    parts.next().is_none().then_some(numbers)
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn nanos(fraction: &str) -> Option<i64> {
    if fraction.len() > 9 {
        return None;
    }
    digits(&format!("{fraction:0<9}"))
}

fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, in years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let era_day = year.rem_euclid(400) * 365 + year.rem_euclid(400) / 4 - year.rem_euclid(400) / 100;
    year.div_euclid(400) * 146_097 + era_day + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_it_is_written() {
        for text in [
            "1970-01-01T00:00:00.000Z",
            "2000-02-29T12:34:56.789Z",
            "2026-11-20T19:06:05.000Z",
            "2100-02-28T23:59:59.000Z",
            "2100-03-01T00:00:00.000Z",
            "1969-12-31T23:59:59.000Z",
        ] {
            let Ok(Moment::At(stamp)) = parse_moment(text) else { panic!("{text}") };
            assert_eq!(stamp.to_string(), text);
        }
        let now = Stamp::from_secs(10_000);
        for (text, expect) in [
            ("1795201565", Stamp::from_secs(1_795_201_565)),
            ("5.25", Stamp(WallTime(5_250_000_000))),
            ("1970-01-01T01:00:00+01:00", Stamp::from_secs(0)),
            ("1969-12-31T23:30:00-00:30", Stamp::from_secs(0)),
            ("-1h", Stamp::from_secs(6400)),
            ("now", now),
        ] {
            assert_eq!(parse_moment(text).unwrap().stamp(now), expect, "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "-",
            "yesterday",
            "1h",
            "-5",
            "1e3",
            "+5",
            "99999999999999",
            "1.0000000000",
            "T",
            "2026-11-20",
            "2026-11-20T19:06:05",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-20T24:00:00Z",
            "2026-1-20T19:06:05Z",
            "2026-11-20T19:06:05+1:00",
            "9999-99-99T99:99:99Z",
            "2026-11-20T19:06:05ä",
            "9999-12-31T00:00:00Z",
        ] {
            assert!(parse_moment(text).is_err(), "{text}");
        }
    }
}
