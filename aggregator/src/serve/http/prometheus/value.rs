//! Values and times in JSON: a value is a text that says the number exactly, a time is a number of seconds.

use crate::query::promql::NativeHistogram;
use serde::Serialize;
use serde::ser::{SerializeSeq, SerializeStruct, Serializer};

/// A time in milliseconds.
pub struct Time(pub i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % 1000 {
            0 => serializer.serialize_i64(self.0 / 1000),
            _ => serializer.serialize_f64(self.0 as f64 / 1000.0),
        }
    }
}

/// A number.
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text_of(self.0))
    }
}

/// The shortest text that says the number exactly; with an exponent if it is very large or very small.
pub fn text_of(value: f64) -> String {
    let size = value.abs();
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ if size == 0.0 || (1e-6..1e21).contains(&size) => format!("{value}"),
        _ => {
            let text = format!("{value:e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
            format!("{digits}e{sign}{exponent:0>2}")
        }
    }
}

/// What stands for a sample: its time, and its value or its histogram.
pub struct Point<T>(pub i64, pub T);

impl<T: Serialize> Serialize for Point<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_seq(Some(2))?;
        pair.serialize_element(&Time(self.0))?;
        pair.serialize_element(&self.1)?;
        pair.end()
    }
}

/// A native histogram.
pub struct Histogram<'a>(pub &'a NativeHistogram);

/// Which ends of a bucket belong to it.
#[derive(Clone, Copy)]
enum Ends {
    /// The upper one.
    Upper = 0,
    /// The lower one.
    Lower = 1,
    /// Both.
    Both = 3,
}

impl Serialize for Histogram<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = self.0;
        let below = own.below_zero().map(|span| (Ends::Lower, span));
        let around = own.around_zero().map(|span| (Ends::Both, span));
        let above = own.above_zero().map(|span| (Ends::Upper, span));
        let buckets: Vec<_> = below
            .chain(around)
            .chain(above)
            .map(|(ends, span)| (ends as u8, Number(span.lower), Number(span.upper), Number(span.count)))
            .collect();
        let mut object = serializer.serialize_struct("histogram", 3)?;
        object.serialize_field("count", &Number(own.count))?;
        object.serialize_field("sum", &Number(own.sum))?;
        if !buckets.is_empty() {
            object.serialize_field("buckets", &buckets)?;
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::promql::native::Bucket;
    use serde_json::json;

    #[test]
    fn numbers_are_exact_texts() {
        for (value, text) in [
            (2.0, "2"),
            (-0.0, "-0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-07"),
            (0.000001, "0.000001"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(text_of(value), text);
        }
    }

    #[test]
    fn times_are_numbers_of_seconds() {
        let point = |ms| serde_json::to_string(&Point(ms, Number(1.0))).unwrap();
        assert_eq!(point(4_000), r#"[4,"1"]"#);
        assert_eq!(point(1_435_781_430_781), r#"[1435781430.781,"1"]"#);
        assert_eq!(point(-1), r#"[-0.001,"1"]"#);
    }

    #[test]
    fn histograms_say_which_ends_are_theirs() {
        let histogram = NativeHistogram {
            count: 6.0,
            sum: 2.5,
            zero_threshold: 0.5,
            zero_count: 1.0,
            positive: vec![Bucket { index: 1, count: 2.0 }],
            negative: vec![Bucket { index: 1, count: 3.0 }],
            ..NativeHistogram::default()
        };
        let expect = json!({"count": "6", "sum": "2.5", "buckets": [
            [1, "-2", "-1", "3"], [3, "-0.5", "0.5", "1"], [0, "1", "2", "2"]
        ]});
        assert_eq!(serde_json::to_value(Histogram(&histogram)).unwrap(), expect);
    }
}
