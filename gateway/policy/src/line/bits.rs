//! Which tickets were claimed: one bit a number, so ten million take 1.25 MB.

/// One bit a number.
#[derive(Debug, Clone, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn get(&self, n: u64) -> bool {
        self.0.get((n / 64) as usize).is_some_and(|word| word >> (n % 64) & 1 == 1)
    }

    pub(super) fn set(&mut self, n: u64) {
        let word = (n / 64) as usize;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (n % 64);
    }

    /// Set bits among `from < n <= to`.
    pub(super) fn count(&self, from: u64, to: u64) -> u64 {
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
    fn the_bits_between_two_numbers_are_counted_without_looking_at_each() {
        let mut bits = Bits::default();
        for n in [1, 63, 64, 65, 127, 128, 300] {
            bits.set(n);
        }
        let slow = |from, to| (from + 1..=to).filter(|&n| bits.get(n)).count() as u64;
        for (from, to) in [(0, 0), (0, 63), (63, 64), (1, 65), (0, 1_000), (64, 299), (127, 128), (300, 900), (5, 5)] {
            assert_eq!(bits.count(from, to), slow(from, to), "{from}..={to}");
        }
    }
}
