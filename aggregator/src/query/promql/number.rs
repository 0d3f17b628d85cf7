//! Functions of one number: maths, trigonometry, dates.

use super::cell;
use super::matrix::Matrix;

/// A function of one number by its name in PromQL.
pub fn function(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "sqrt" => f64::sqrt,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "asinh" => f64::asinh,
        "acosh" => f64::acosh,
        "atanh" => f64::atanh,
        "rad" => |value| value * std::f64::consts::PI / 180.0,
        "deg" => |value| value * 180.0 / std::f64::consts::PI,
        "sgn" => sign,
        _ => return date(name),
    })
}

fn sign(value: f64) -> f64 {
    match value {
        _ if value < 0.0 => -1.0,
        _ if value > 0.0 => 1.0,
        _ => value,
    }
}

/// A part of a date by its name in PromQL, of seconds since the epoch, in UTC.
pub fn date(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "minute" => |time| (seconds(time).rem_euclid(3_600) / 60) as f64,
        "hour" => |time| (seconds(time).rem_euclid(86_400) / 3_600) as f64,
        "day_of_week" => |time| (days(time) + 4).rem_euclid(7) as f64,
        "day_of_month" => |time| civil(days(time)).2 as f64,
        "day_of_year" => |time| {
            let (year, ..) = civil(days(time));
            (days(time) - day_number(year, 1, 1) + 1) as f64
        },
        "days_in_month" => |time| {
            let (year, month, _) = civil(days(time));
            let next = if month == 12 { day_number(year + 1, 1, 1) } else { day_number(year, month + 1, 1) };
            (next - day_number(year, month, 1)) as f64
        },
        "month" => |time| civil(days(time)).1 as f64,
        "year" => |time| civil(days(time)).0 as f64,
        _ => return None,
    })
}

/// Whole seconds, within the years that can be computed with.
fn seconds(time: f64) -> i64 {
    const LIMIT: i64 = 1 << 55;
    (time as i64).clamp(-LIMIT, LIMIT)
}

fn days(time: f64) -> i64 {
    seconds(time).div_euclid(86_400)
}

/// Year, month and day of a day since the epoch. Years start in March here, so that the leap day is the last.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, of_month)
}

/// The days since the epoch of a date.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Applies a function to all numbers of a vector, whose names then go.
pub fn map(mut matrix: Matrix, function: impl Fn(usize, f64) -> f64) -> Matrix {
    for series in &mut matrix {
        series.drops_name = true;
        for (step, value) in series.values.iter_mut().enumerate() {
            *value = cell::map(*value, |value| function(step, value));
        }
    }
    matrix
}

/// Rounds to the next multiple, halves up.
pub fn round(value: f64, to_nearest: f64) -> f64 {
    // By the inverse, which is whole where the multiple itself has no exact form.
    let inverse = 1.0 / to_nearest;
    (value * inverse + 0.5).floor() / inverse
}

/// A number as Prometheus writes it in labels and messages.
pub fn text_of(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        _ if value.is_infinite() => if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        _ => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_leap_years() {
        let at = |name: &str, time: f64| date(name).unwrap()(time);
        for (time, year, month, day, of_year, of_month) in [
            (0.0, 1970.0, 1.0, 1.0, 1.0, 31.0),
            (951_782_400.0, 2000.0, 2.0, 29.0, 60.0, 29.0),
            (1_230_768_000.0, 2009.0, 1.0, 1.0, 1.0, 31.0),
            (-86_400.0, 1969.0, 12.0, 31.0, 365.0, 31.0),
        ] {
            assert_eq!(at("year", time), year);
            assert_eq!(at("month", time), month);
            assert_eq!(at("day_of_month", time), day);
            assert_eq!(at("day_of_year", time), of_year);
            assert_eq!(at("days_in_month", time), of_month);
        }
        assert!(at("year", f64::INFINITY) > 1e8);
    }
}
