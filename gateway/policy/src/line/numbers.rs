//! A set of numbers, one bit each, kept by segment: ten million take 1.25 MB.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::segment::{SPAN, base_of};

/// A set of numbers of a line.
#[derive(Debug, Clone, Default)]
pub struct Numbers(BTreeMap<u64, Bits>);

/// A part of [`Numbers`] to send: bit `i`, the highest of its byte first, stands for `first + i`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chunk {
    /// The number of the first bit; 8 divides it.
    pub first: u64,
    /// The bits.
    pub bits: Vec<u8>,
}

impl Chunk {
    /// The numbers in it.
    pub fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        let bytes = (0..).zip(&self.bits);
        bytes.flat_map(move |(at, byte)| {
            let set = (0..8).filter(move |i| byte >> (7 - i) & 1 == 1);
            set.map(move |i| self.first + 8 * at + i)
        })
    }
}

impl Numbers {
    /// Whether it has this number.
    pub fn has(&self, number: u64) -> bool {
        self.0.get(&base_of(number)).is_some_and(|bits| bits.get(number % SPAN))
    }

    /// Adds a number; returns whether it is new.
    pub fn add(&mut self, number: u64) -> bool {
        self.0.entry(base_of(number)).or_default().set(number % SPAN)
    }

    /// Takes a number out.
    pub fn remove(&mut self, number: u64) {
        if let Some(bits) = self.0.get_mut(&base_of(number)) {
            bits.clear(number % SPAN);
        }
    }

    /// How many of `from < n <= to` it has; both stand in one segment.
    pub fn count(&self, from: u64, to: u64) -> u64 {
        self.0.get(&base_of(to)).map_or(0, |bits| bits.count(from % SPAN, to % SPAN))
    }

    /// Forgets the segment at `base`.
    pub fn forget(&mut self, base: u64) {
        self.0.remove(&base);
    }

    /// All of it in chunks of at most `bytes` bytes (8 divides it), without empty ones.
    pub fn chunks(&self, bytes: usize) -> impl Iterator<Item = Chunk> + '_ {
        self.0.iter().flat_map(move |(base, Bits(words))| {
            let parts = (0..).zip(words.chunks(bytes / 8)).filter(|(_, words)| words.iter().any(|&word| word != 0));
            parts.map(move |(part, words)| {
                let bits = words.iter().flat_map(|word| word.reverse_bits().to_be_bytes()).collect();
                Chunk { first: base + part * bytes as u64 * 8, bits }
            })
        })
    }
}

/// One bit a number.
#[derive(Debug, Clone, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn get(&self, n: u64) -> bool {
        self.0.get((n / 64) as usize).is_some_and(|word| word >> (n % 64) & 1 == 1)
    }

    fn set(&mut self, n: u64) -> bool {
        let word = (n / 64) as usize;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let before = self.0[word];
        self.0[word] |= 1 << (n % 64);
        self.0[word] != before
    }

    fn clear(&mut self, n: u64) {
        if let Some(word) = self.0.get_mut((n / 64) as usize) {
            *word &= !(1 << (n % 64));
        }
    }

    /// Set bits among `from < n <= to`.
    fn count(&self, from: u64, to: u64) -> u64 {
        let up_to = |n: u64, word: usize| match (n / 64) as usize {
            end if word < end => u64::MAX,
            end if word == end => u64::MAX >> (63 - n % 64),
            _ => 0,
        };
        let words = (from / 64) as usize..((to / 64) as usize + 1).min(self.0.len());
        words.map(|w| u64::from((self.0[w] & up_to(to, w) & !up_to(from, w)).count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_between_two_are_counted_without_looking_at_each() {
        for base in [0, 77 * SPAN] {
            let mut numbers = Numbers::default();
            for n in [1, 63, 64, 65, 127, 128, 300] {
                assert!(numbers.add(base + n) && !numbers.add(base + n));
                numbers.remove(base + n);
                assert!(!numbers.has(base + n) && numbers.add(base + n));
            }
            let slow = |from, to| (from + 1..=to).filter(|&n| numbers.has(n)).count() as u64;
            let pairs = [(0, 0), (0, 63), (63, 64), (1, 65), (0, 1_000), (64, 299), (127, 128), (300, 900), (5, 5)];
            for (from, to) in pairs.map(|(from, to)| (base + from, base + to)) {
                assert_eq!(numbers.count(from, to), slow(from, to), "{from}..={to}");
            }
        }
    }

    #[test]
    fn what_is_sent_in_chunks_arrives_whole() {
        let all = [1, 7, 8, 64, 511, 512, 4_000, 3 * SPAN + 1, 3 * SPAN + 600];
        let mut numbers = Numbers::default();
        for n in all {
            numbers.add(n);
        }
        let chunks: Vec<Chunk> = numbers.chunks(64).collect();
        assert_eq!(chunks.iter().flat_map(Chunk::numbers).collect::<Vec<_>>(), all);
        assert_eq!(chunks.len(), 5, "empty ones are not sent");
        assert_eq!(chunks[0].bits[..2], [0b0100_0001, 0b1000_0000]);
    }
}
