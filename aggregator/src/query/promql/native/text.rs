//! A histogram in words, as Prometheus writes it.

use super::NativeHistogram;
use super::bound::Span;
use std::fmt;

impl fmt::Display for NativeHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", short(self.count), short(self.sum))?;
        let write = |f: &mut fmt::Formatter<'_>, span: Span, open, close| {
            let Span { lower, upper, count } = span;
            write!(f, ", {open}{},{}{close}:{}", short(lower), short(upper), written(count, 21))
        };
        self.below_zero().try_for_each(|span| write(f, span, '[', ')'))?;
        self.around_zero().into_iter().try_for_each(|span| write(f, span, '[', ']'))?;
        self.above_zero().try_for_each(|span| write(f, span, '(', ']'))?;
        f.write_str("}")
    }
}

/// A number with an exponent if it is large or small.
fn short(value: f64) -> String {
    written(value, 6)
}

/// A number with an exponent if that is less than -4 or not less than a limit.
fn written(value: f64, limit: i32) -> String {
    let text = super::super::number::text_of(value);
    let exponential = format!("{value:e}");
    let Some((digits, exponent)) = exponential.split_once('e').filter(|_| value.is_finite()) else {
        return text;
    };
    let places = exponent.parse::<i32>().unwrap_or(0);
    if (-4..limit).contains(&places) {
        return text;
    }
    let sign = if places < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", places.abs())
}

#[cfg(test)]
mod tests {
    use super::super::tests::own;
    use super::*;

    #[test]
    fn says_all_buckets() {
        let text = own(&[0.5], &[1.0, 2.0]).to_string();
        assert_eq!(text, "{count:3, sum:0, (-Inf,0.5]:1, (0.5,+Inf]:2}");
    }

    #[test]
    fn large_and_small_numbers_have_an_exponent() {
        for (value, text) in [
            (0.001, "0.001"),
            (1e-5, "1e-05"),
            (100_000.0, "100000"),
            (1e6, "1e+06"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
