//! An order that a seed decides: a keyed Feistel permutation with cycle walking.
//!
//! Nothing is sorted or stored, and one place costs as much as another. A Feistel network permutes `2^bits` numbers; one that comes out
//! at or above `count` goes through it again until below. Two things differ from the network of the textbooks, both because the order of a
//! few must be uniform too:
//!
//! - rounds add instead of using XOR, with which only every other order of `2^bits` numbers can be reached;
//! - a crowd of fewer than 256 is drawn among 256 numbers: with halves of one or two bits a network mixes too slowly.
//!
//! Out of scope: where a seed comes from.

use aws_lc_rs::digest::{SHA256, digest};

/// Rounds of the network.
const ROUNDS: u8 = 12;
/// Fewest bits of the numbers that are permuted.
const MIN_BITS: u32 = 8;

/// A permutation of the numbers below `count`.
#[derive(Debug, Clone, Copy)]
pub struct Permutation {
    seed: [u8; 32],
    count: u64,
    /// Bits of the right half.
    right: u32,
    /// Bits of the left half: as many, or one more.
    left: u32,
}

impl Permutation {
    /// That of this seed.
    pub fn new(seed: [u8; 32], count: u64) -> Self {
        let bits = (u64::BITS - count.saturating_sub(1).leading_zeros()).max(MIN_BITS);
        Self { seed, count, right: bits / 2, left: bits.div_ceil(2) }
    }

    /// The place of a number, from 0; `None` for a number that is not below the count.
    ///
    /// ```
    /// use policy::permutation::Permutation;
    /// let draw = Permutation::new([7; 32], 3);
    /// let mut places: Vec<_> = (0..3).filter_map(|number| draw.place(number)).collect();
    /// places.sort();
    /// assert_eq!((places, draw.place(3)), (vec![0, 1, 2], None));
    /// ```
    pub fn place(&self, number: u64) -> Option<u64> {
        if number >= self.count {
            return None;
        }
        let mut at = self.step(number);
        // Ends: a permutation leads back to where it began, which is below the count.
        while at >= self.count {
            at = self.step(at);
        }
        Some(at)
    }

    /// Whether every place is given, and none twice: goes through them all, with a bit for each.
    pub fn is_complete(&self) -> bool {
        let mut taken = vec![0_u64; self.count.div_ceil(64) as usize];
        let mut take = |place: u64| {
            let word = taken.get_mut((place / 64) as usize)?;
            let bit = 1 << (place % 64);
            (*word & bit == 0).then(|| *word |= bit)
        };
        (0..self.count).all(|number| self.place(number).and_then(&mut take).is_some())
    }

    fn step(&self, number: u64) -> u64 {
        let (left_mask, right_mask) = ((1 << self.left) - 1, (1 << self.right) - 1);
        let (mut left, mut right) = (number >> self.right, number & right_mask);
        for round in 0..ROUNDS {
            if round % 2 == 0 {
                left = left.wrapping_add(self.word(round, right)) & left_mask;
            } else {
                right = right.wrapping_add(self.word(round, left)) & right_mask;
            }
        }
        left << self.right | right
    }

    /// Eight bytes of SHA-256(seed, round, half): one block.
    fn word(&self, round: u8, half: u64) -> u64 {
        let mut block = [0; 41];
        block[..32].copy_from_slice(&self.seed);
        block[32] = round;
        block[33..].copy_from_slice(&half.to_be_bytes());
        let mut word = [0; 8];
        word.copy_from_slice(&digest(&SHA256, &block).as_ref()[..8]);
        u64::from_be_bytes(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_given_once() {
        for count in (0..300).chain([1_023, 1_024, 1_025, 40_113]) {
            let draw = Permutation::new([count as u8; 32], count);
            assert!(draw.is_complete(), "{count}");
            assert_eq!(draw.place(count), None);
        }
    }

    #[test]
    fn no_count_is_too_large_for_one_place() {
        for count in [1 << 32, (1 << 63) + 1, u64::MAX] {
            let draw = Permutation::new([1; 32], count);
            let places: Vec<_> = [0, 1, count - 1].into_iter().map(|number| draw.place(number).unwrap()).collect();
            assert!(places.iter().all(|&place| place < count) && places[0] != places[1], "{count}: {places:?}");
        }
    }

    #[test]
    fn a_list_with_a_place_twice_is_not_complete() {
        // A count that does not belong to the bits: the left half of numbers is cut off.
        let broken = Permutation { count: 1 << 10, ..Permutation::new([3; 32], 1 << 8) };
        assert!(!broken.is_complete());
    }
}
