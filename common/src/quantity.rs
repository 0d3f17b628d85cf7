//! Durations and sizes as people write them in a configuration: `1h30m`, `40MiB`.
//!
//! What is written must be exact: no fractions, no bare numbers, no unit that means two things.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time, in whole milliseconds: `250ms`, `15s`, `5m`, `1h30m`, `7d`, `2w`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(Duration);

/// A number of bytes: `512B`, `40MiB`, `1GiB` in powers of 1024; `1kB`, `1GB` in powers of 1000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not of the form that was asked for.
    #[error("`{0}` is not a duration such as 250ms, 15s, 5m, 1h30m or 7d")]
    Period(String),
    /// Not of the form that was asked for.
    #[error("`{0}` is not a size such as 512B, 40MiB or 1GiB")]
    Size(String),
    /// More than can be held.
    #[error("`{0}` is too large")]
    Large(String),
}

const PERIOD_UNITS: &[(&str, u64)] =
    &[("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

impl Period {
    /// So many milliseconds.
    pub const fn from_millis(ms: u64) -> Period {
        Period(Duration::from_millis(ms))
    }

    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Period {
        Period(Duration::from_secs(seconds))
    }

    /// As the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// In whole milliseconds, at most `u64::MAX`.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Size {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Size {
        Size(bytes)
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Period {
    type Err = QuantityError;

    /// Numbers with units, the largest unit first, no unit twice.
    fn from_str(text: &str) -> Result<Period, QuantityError> {
        let wrong = || QuantityError::Period(shorten(text));
        let (mut rest, mut units, mut total) = (text, PERIOD_UNITS, 0u64);
        while !rest.is_empty() || total == 0 && units.len() == PERIOD_UNITS.len() {
            let (number, unit, after) = part(rest).ok_or_else(wrong)?;
            let at = units.iter().position(|(name, _)| *name == unit).ok_or_else(wrong)?;
            let ms = number.and_then(|n| n.checked_mul(units[at].1)).and_then(|n| n.checked_add(total));
            total = ms.ok_or_else(|| QuantityError::Large(shorten(text)))?;
            (rest, units) = (after, &units[at + 1..]);
        }
        Ok(Period::from_millis(total))
    }
}

impl FromStr for Size {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Size, QuantityError> {
        let wrong = || QuantityError::Size(shorten(text));
        let (number, unit, rest) = part(text).ok_or_else(wrong)?;
        let (_, bytes) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        if !rest.is_empty() {
            return Err(wrong());
        }
        let total = number.and_then(|n| n.checked_mul(*bytes));
        total.map(Size).ok_or_else(|| QuantityError::Large(shorten(text)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.as_millis();
        if rest == 0 {
            return f.pad("0s");
        }
        let mut text = String::new();
        for (name, ms) in &PERIOD_UNITS[1..] {
            if rest >= *ms {
                text += &format!("{}{name}", rest / ms);
                rest %= ms;
            }
        }
        f.pad(&text)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |unit: &&(&str, u64)| self.0 > 0 && self.0.is_multiple_of(unit.1);
        let (name, bytes) = SIZE_UNITS[..4].iter().find(whole).unwrap_or(&("B", 1));
        f.pad(&format!("{}{name}", self.0 / bytes))
    }
}

/// The leading number, its unit, and what follows. No number when it does not fit.
fn part(text: &str) -> Option<(Option<u64>, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = text.split_at(digits);
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    (!number.is_empty() && !unit.is_empty()).then(|| (number.parse().ok(), unit, rest))
}

fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}
as_text!(Period);
as_text!(Size);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn periods() {
        for (text, ms, prints) in [
            ("0s", 0, "0s"),
            ("250ms", 250, "250ms"),
            ("15s", 15_000, "15s"),
            ("5m", 300_000, "5m"),
            ("90m", 5_400_000, "1h30m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("7d", 604_800_000, "7d"),
            ("2w1ms", 1_209_600_001, "14d1ms"),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!((period.as_millis(), period.to_string().as_str()), (ms, prints), "{text}");
        }
        for bad in ["", "15", "s", "1.5s", "-1s", "1m1h", "1s1s", "1s ", "1y", "1S", "١s", "5µs"] {
            assert_eq!(bad.parse::<Period>(), Err(QuantityError::Period(bad.into())));
        }
        for large in ["99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(large.parse::<Period>(), Err(QuantityError::Large(large.into())));
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes, prints) in [
            ("0B", 0, "0B"),
            ("1023B", 1023, "1023B"),
            ("40MiB", 41_943_040, "40MiB"),
            ("1024MiB", 1 << 30, "1GiB"),
            ("1GB", 1_000_000_000, "1000000000B"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, prints), "{text}");
        }
        for bad in ["", "1", "1G", "1gib", "1.5GiB", "1GiB1MiB", "1 GiB", "-1B"] {
            assert_eq!(bad.parse::<Size>(), Err(QuantityError::Size(bad.into())));
        }
        assert!(matches!("99999999TiB".parse::<Size>(), Err(QuantityError::Large(_))));
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(ms in 0..u64::MAX / 1000, bytes: u64) {
            let (period, size) = (Period::from_millis(ms), Size::from_bytes(bytes));
            prop_assert_eq!(period.to_string().parse::<Period>().unwrap(), period);
            prop_assert_eq!(size.to_string().parse::<Size>().unwrap(), size);
        }
    }
}
