//! Ids of requests.
//!
//! They are written in blocks, of which each is a reference-counted piece. One by one an id costs an allocation, and another when
//! it is first copied.

use std::cell::{Cell, RefCell};

use bytes::{Bytes, BytesMut};
use http::HeaderValue;

/// Digits of an id, and ids in a block. A stored id keeps its block.
const DIGITS: usize = 16;
const BLOCK: usize = 32;

/// Each byte as two digits.
const HEX: [[u8; 2]; 256] = {
    let (digits, mut hex, mut byte) = (b"0123456789abcdef", [[0; 2]; 256], 0);
    while byte < 256 {
        hex[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    hex
};

/// The source of a worker's request ids.
#[derive(Debug, Default)]
pub struct RequestIds {
    given: Cell<u64>,
    block: RefCell<Bytes>,
}

impl RequestIds {
    /// An id that no other request has: half of it is random, half is counted.
    pub fn next(&self, random: impl Fn() -> u64) -> HeaderValue {
        let mut block = self.block.borrow_mut();
        if block.is_empty() {
            *block = self.write(random);
        }
        let id = block.split_to(DIGITS);
        HeaderValue::from_maybe_shared(id).unwrap_or_else(|_| HeaderValue::from_static("0"))
    }

    fn write(&self, random: impl Fn() -> u64) -> Bytes {
        let mut block = BytesMut::with_capacity(BLOCK * DIGITS);
        for _ in 0..BLOCK {
            self.given.set(self.given.get() + 1);
            let id = random() << 32 | self.given.get() & 0xffff_ffff;
            block.extend_from_slice(id.to_be_bytes().map(|byte| HEX[usize::from(byte)]).as_flattened());
        }
        block.freeze()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_requests_have_the_same_id() {
        let ids = RequestIds::default();
        let given: HashSet<_> = (0..5 * BLOCK).map(|_| ids.next(|| 7)).collect();
        assert_eq!(given.len(), 5 * BLOCK);
        let is_an_id = |id: &HeaderValue| id.len() == DIGITS && id.as_bytes().iter().all(u8::is_ascii_hexdigit);
        assert!(given.iter().all(is_an_id), "{given:?}");
    }
}
