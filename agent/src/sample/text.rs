//! Walks over the text files of the kernel: lines, words, numbers, without a copy.
//!
//! Every failure names file and line. A number that does not fit is a failure too, never a wrapped value.

use super::error::SampleError;
use std::path::Path;

/// The lines of a file; empty ones are left out.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    path: &'a Path,
    rest: &'a [u8],
    number: usize,
}

/// What is left of one line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    path: &'a Path,
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    /// The lines of `bytes`, which came from `path`.
    pub fn new(path: &'a Path, bytes: &'a [u8]) -> Lines<'a> {
        Lines { path, rest: bytes, number: 0 }
    }

    /// A failure of the file as a whole, such as a line that is not there.
    pub fn error(&self, what: impl Into<String>) -> SampleError {
        SampleError::Parse { path: self.path.to_owned(), line: self.number.max(1), what: what.into() }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        while !self.rest.is_empty() {
            let end = self.rest.iter().position(|b| *b == b'\n').unwrap_or(self.rest.len());
            let line = &self.rest[..end];
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            self.number += 1;
            if !line.is_empty() {
                return Some(Line { path: self.path, rest: line, number: self.number });
            }
        }
        None
    }
}

impl<'a> Line<'a> {
    /// The whole of `bytes` as one line.
    pub fn whole(path: &'a Path, bytes: &'a [u8]) -> Line<'a> {
        Line { path, rest: bytes, number: 1 }
    }

    /// The next word, up to white space.
    pub fn word(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.trim_ascii_start();
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    /// What stands before the next `mark`, without white space around it; the line goes on after the mark.
    pub fn until(&mut self, mark: u8) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|b| *b == mark)?;
        let found = self.rest[..end].trim_ascii();
        self.rest = &self.rest[end + 1..];
        Some(found)
    }

    /// Leaves out words.
    pub fn skip(&mut self, words: usize) {
        for _ in 0..words {
            self.word();
        }
    }

    /// The next word, which must be there and be a whole number.
    pub fn number(&mut self, field: &str) -> Result<u64, SampleError> {
        self.number_if_any(field)?.ok_or_else(|| self.error(format!("`{field}` is missing")))
    }

    /// The next word as a whole number; `None` at the end of the line.
    pub fn number_if_any(&mut self, field: &str) -> Result<Option<u64>, SampleError> {
        let Some(word) = self.word() else { return Ok(None) };
        match digits(word) {
            Some(number) => Ok(Some(number)),
            None => Err(self.unlike(field, "a whole number", word)),
        }
    }

    /// The next word, which must be there and be a hexadecimal number.
    pub fn hexadecimal(&mut self, field: &str) -> Result<u64, SampleError> {
        self.hexadecimal_if_any(field)?.ok_or_else(|| self.error(format!("`{field}` is missing")))
    }

    /// The next word as a hexadecimal number; `None` at the end of the line.
    pub fn hexadecimal_if_any(&mut self, field: &str) -> Result<Option<u64>, SampleError> {
        let Some(word) = self.word() else { return Ok(None) };
        let unsigned = Some(word).filter(|word| word[0].is_ascii_hexdigit());
        let number = unsigned.and_then(|word| u64::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
        number.map(Some).ok_or_else(|| self.unlike(field, "a hexadecimal number", word))
    }

    /// The next word, which must be a decimal number, as hundredths; further digits are cut off.
    pub fn hundredths(&mut self, field: &str) -> Result<i64, SampleError> {
        let word = self.word().ok_or_else(|| self.error(format!("`{field}` is missing")))?;
        hundredths(word).ok_or_else(|| self.unlike(field, "a decimal number", word))
    }

    /// A failure at this line.
    pub fn error(&self, what: impl Into<String>) -> SampleError {
        SampleError::Parse { path: self.path.to_owned(), line: self.number, what: what.into() }
    }

    fn unlike(&self, field: &str, expected: &str, word: &[u8]) -> SampleError {
        let found: String = String::from_utf8_lossy(word).chars().take(40).collect();
        self.error(format!("`{field}` is `{found}`, expected {expected}"))
    }
}

/// A whole number; `None` if it is none or does not fit.
pub(super) fn digits(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0u64, |number, b| {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}

/// A counter of the kernel as a cell. Beyond 2^63 it stands still; it takes centuries to get there.
pub(super) fn cell(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn hundredths(word: &[u8]) -> Option<i64> {
    let mut parts = word.splitn(2, |b| *b == b'.');
    let whole = digits(parts.next()?)?;
    let part = match parts.next() {
        None => 0,
        Some([tens]) => digits(&[*tens])? * 10,
        Some(fraction) => digits(fraction).and(digits(fraction.get(..2)?))?,
    };
    i64::try_from(whole.checked_mul(100)?.checked_add(part)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (word, expect) in [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("-1", None),
            ("1a", None),
        ] {
            assert_eq!(digits(word.as_bytes()), expect, "{word}");
        }
        for (word, expect) in [
            ("0.55", Some(55)),
            ("12", Some(1200)),
            ("3.5", Some(350)),
            ("1.239", Some(123)),
            ("1.", None),
            (".5", None),
            ("1.2x", None),
            ("nan", None),
            ("99999999999999999999.0", None),
        ] {
            assert_eq!(hundredths(word.as_bytes()), expect, "{word}");
        }
    }

    #[test]
    fn failures_name_file_and_line() {
        let path = Path::new("/proc/x");
        let mut lines = Lines::new(path, b"a 1\n\nb -7\n");
        assert_eq!(
            lines
                .next()
                .map(|mut line| {
                    line.skip(1);
                    line.number("a")
                })
                .unwrap()
                .unwrap(),
            1
        );
        let mut line = lines.next().unwrap();
        line.skip(1);
        let error = line.number("b").unwrap_err().to_string();
        assert_eq!(error, "failed to parse `/proc/x` line 3: `b` is `-7`, expected a whole number");
        let error = line.number("c").unwrap_err().to_string();
        assert_eq!(error, "failed to parse `/proc/x` line 3: `c` is missing");
        assert!(lines.next().is_none());
    }
}
