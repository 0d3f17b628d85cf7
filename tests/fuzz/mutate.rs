//! Mutations of inputs, drawn under a seed: bits, numbers, pieces, words. The same seed gives the same inputs.

use quorate_common::rng::{Rng, SeededRng};

/// Longest input.
const BYTES_MAX: usize = 16 * 1024;
/// Mutations on top of one another.
const STEPS_MAX: u64 = 6;
/// Numbers at which code likes to break.
const INTERESTING: &[u64] = &[
    0,
    1,
    7,
    8,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];
/// The same for numbers that are written out.
const WRITTEN: &[&str] = &[
    "0",
    "-1",
    "1",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999999",
    "-9223372036854775808",
    "0.0000000000000000000000000001",
    "1e308",
    "1e999",
    "-0",
    "nan",
    "inf",
    "0x10",
    "007",
    "",
];

/// Draws inputs from others.
pub struct Mutator {
    rng: SeededRng,
}

impl Mutator {
    pub fn new(seed: u64) -> Mutator {
        Mutator { rng: SeededRng::new(seed) }
    }

    /// One of several; `None` of none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.rng.below(items.len() as u64) as usize)
    }

    /// A new input from one of `pool`, with pieces of another, and words of the format.
    pub fn draw(&mut self, pool: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
        // The shorter of two: they are quicker, and what is wrong in them is easier to see.
        let [one, other] = [self.pick(pool), self.pick(pool)];
        let shorter = [one, other].into_iter().flatten().min_by_key(|input| input.len());
        let mut bytes = shorter.cloned().unwrap_or_default();
        for _ in 0..=self.rng.below(STEPS_MAX) {
            self.step(&mut bytes, pool, words);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn step(&mut self, bytes: &mut Vec<u8>, pool: &[Vec<u8>], words: &[&[u8]]) {
        let at = self.below(bytes.len() + 1);
        match self.rng.below(12) {
            0 => self.flip(bytes),
            1 => self.number(bytes),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..self.end(at, bytes.len()))),
            4 => {
                let piece = bytes[at..self.end(at, bytes.len())].to_vec();
                let times = 1 + self.below(if piece.len() < 64 { 200 } else { 4 });
                self.insert(bytes, &piece.repeat(times));
            }
            5 => {
                let mut noise = vec![0; 1 + self.below(16)];
                self.rng.fill(&mut noise);
                self.insert(bytes, &noise);
            }
            6 | 7 => {
                if let Some(word) = self.pick(words).copied() {
                    self.insert(bytes, word);
                }
            }
            8 => {
                if let Some(other) = self.pick(pool) {
                    let from = self.below(other.len() + 1);
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[from..]);
                }
            }
            9 => self.written(bytes),
            10 => self.swap_lines(bytes),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = self.rng.u64() as u8;
                }
            }
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.rng.below(limit as u64) as usize
    }

    /// The end of a piece that begins at `at`: short ones are more likely.
    fn end(&mut self, at: usize, length: usize) -> usize {
        let most = (length - at).min(1 << self.below(12));
        at + self.below(most + 1)
    }

    fn flip(&mut self, bytes: &mut [u8]) {
        let (at, bit) = (self.below(bytes.len()), self.below(8));
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }

    /// An interesting number, of 1 to 8 bytes, either way round, or as a varint.
    fn number(&mut self, bytes: &mut Vec<u8>) {
        let value = self.pick(INTERESTING).copied().unwrap_or_default();
        let width = 1 << self.below(4);
        let number = match self.below(3) {
            0 => value.to_le_bytes()[..width].to_vec(),
            1 => value.to_be_bytes()[8 - width..].to_vec(),
            _ => varint(value),
        };
        let at = self.below(bytes.len() + 1);
        let end = (at + number.len()).min(bytes.len());
        bytes.splice(at..end, number);
    }

    /// Another number in place of one that is written out.
    fn written(&mut self, bytes: &mut Vec<u8>) {
        let from = self.below(bytes.len() + 1);
        let Some(at) = bytes[from..].iter().position(u8::is_ascii_digit).map(|at| from + at) else { return };
        let length = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = self.pick(WRITTEN).copied().unwrap_or_default();
        bytes.splice(at..at + length, number.bytes());
    }

    fn swap_lines(&mut self, bytes: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let (a, b) = (self.below(lines.len()), self.below(lines.len()));
        lines.swap(a, b);
        *bytes = lines.join(&b'\n');
    }

    fn insert(&mut self, bytes: &mut Vec<u8>, piece: &[u8]) {
        let at = self.below(bytes.len() + 1);
        bytes.splice(at..at, piece.iter().copied());
        bytes.truncate(BYTES_MAX);
    }
}

/// As protocol buffers and our own cells write it.
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
