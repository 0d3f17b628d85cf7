//! Times and durations as Prometheus reads them.

use promql_parser::util::parse_duration;

/// What clients send for the beginning and the end of all time.
const ENDS: [(&str, i64); 2] = [
    ("-292273086-05-16T16:47:06Z", i64::MIN / 1_000_000),
    ("292277025-08-18T07:12:54.999999999Z", i64::MAX / 1_000_000),
];

/// Seconds since the epoch with a fraction, or RFC 3339; in milliseconds. What lies beyond what a nanosecond clock
/// can say is taken for its end.
pub fn parse_time(text: &str) -> Result<i64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
    let ms = seconds.map(|seconds| (seconds * 1000.0).round() as i64);
    let end = || ENDS.iter().find(|(end, _)| *end == text).map(|(_, ms)| *ms);
    let ms = ms.or_else(|| rfc3339(text)).or_else(end);
    let ms = ms.ok_or_else(|| format!("cannot parse {text:?} to a valid timestamp"))?;
    Ok(ms.clamp(i64::MIN / 1_000_000, i64::MAX / 1_000_000))
}

/// Seconds with a fraction, or `1h30m`; in milliseconds.
pub fn parse_duration_ms(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        if seconds.is_nan() {
            return Err(format!("cannot parse {text:?} to a valid duration"));
        }
        if (seconds * 1e9).abs() > i64::MAX as f64 {
            return Err(format!("cannot parse {text:?} to a valid duration. It overflows int64"));
        }
        return Ok((seconds * 1000.0) as i64);
    }
    let duration = parse_duration(text).ok().and_then(|duration| i64::try_from(duration.as_millis()).ok());
    duration.ok_or_else(|| format!("cannot parse {text:?} to a valid duration"))
}

/// `2015-07-01T20:10:51.781+02:00`.
fn rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let at = rest.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = rest.split_at(at);
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let is_date = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = day_number(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some((seconds - zone_s(zone)?) * 1000 + milliseconds(fraction)?)
}

/// How far a zone is ahead.
fn zone_s(zone: &str) -> Option<i64> {
    let sign = match zone {
        "Z" | "z" => return Some(0),
        _ if zone.starts_with('-') => -1,
        _ => 1,
    };
    let [hours, minutes] = numbers(zone.get(1..)?, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn milliseconds(fraction: &str) -> Option<i64> {
    let is_number = !fraction.is_empty() && fraction.bytes().all(|digit| digit.is_ascii_digit());
    let digits = is_number.then(|| fraction.chars().chain("000".chars()).take(3).collect::<String>())?;
    digits.parse().ok()
}

/// Numbers of so many digits each.
fn numbers<const COUNT: usize>(text: &str, between: char, digits: [usize; COUNT]) -> Option<[i64; COUNT]> {
    let mut parts = text.split(between);
    let mut numbers = [0; COUNT];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits)?;
        *number = part.bytes().all(|digit| digit.is_ascii_digit()).then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(numbers)
}

fn days_of(year: i64, month: i64) -> i64 {
    let next = if month == 12 { day_number(year + 1, 1, 1) } else { day_number(year, month + 1, 1) };
    next - day_number(year, month, 1)
}

/// The days since the epoch of a date. Years begin in March here, so that the leap day is the last of one.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + in_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_or_dates() {
        for (text, ms) in [
            ("4", 4_000),
            ("1435781430.781", 1_435_781_430_781),
            ("-1.5", -1_500),
            ("1e3", 1_000_000),
            ("2015-07-01T20:10:30.781Z", 1_435_781_430_781),
            ("2015-07-01T22:10:30.7815+02:00", 1_435_781_430_781),
            ("2000-02-29T00:00:00-00:30", 951_784_200_000),
            ("-292273086-05-16T16:47:06Z", i64::MIN / 1_000_000),
            ("1e300", i64::MAX / 1_000_000),
        ] {
            assert_eq!(parse_time(text), Ok(ms), "{text}");
        }
        for text in [
            "",
            "NaN",
            "inf",
            "now",
            "2015-07-01",
            "2015-02-29T00:00:00Z",
            "2015-07-01T20:10:30",
            "2015-07-01T20:10:30+25:00",
            "2015-07-01T20:10:30+1:00",
            "2015-07-01T20:10:30.Z",
            "2015-07-01T20:10:3€Z",
        ] {
            let error = parse_time(text).unwrap_err();
            assert_eq!(error, format!("cannot parse {text:?} to a valid timestamp"));
        }
    }

    #[test]
    fn durations_are_seconds_or_have_units() {
        for (text, ms) in [("15", 15_000), ("0.5", 500), ("1h30m", 5_400_000), ("5ms", 5), ("-1", -1_000)] {
            assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
        }
        for text in ["", "x", "NaN", "1e10000", "1h 30m"] {
            assert!(parse_duration_ms(text).is_err(), "{text}");
        }
        let error = parse_duration_ms("1e20").unwrap_err();
        assert_eq!(error, "cannot parse \"1e20\" to a valid duration. It overflows int64");
    }
}
