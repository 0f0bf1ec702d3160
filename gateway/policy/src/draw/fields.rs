//! What is hashed.

use aws_lc_rs::digest::{Context, SHA256};

use super::hex::{Hash, Hex};

/// A SHA-256 over a label and fields, each behind its length (four bytes, big-endian). So two lists of fields never give the
/// same bytes, and what was hashed for one purpose is worth nothing for another.
pub(super) struct Fields(Context);

impl Fields {
    pub(super) fn of(label: &str) -> Self {
        Self(Context::new(&SHA256)).text(label)
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u32).to_be_bytes());
        self.0.update(bytes);
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Eight bytes, big-endian.
    pub(super) fn number(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(super) fn hash(self) -> Hash {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.0.finish().as_ref());
        Hex(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_field_ends_is_part_of_the_hash() {
        let hash = |first: &str, second: &str| Fields::of("label").text(first).text(second).hash();
        assert_ne!(hash("ab", "c"), hash("a", "bc"));
        assert_ne!(Fields::of("a").text("b").hash(), Fields::of("b").text("a").hash());
    }

    #[test]
    fn the_bytes_are_those_of_the_document() {
        let bytes = b"\0\0\0\x05label\0\0\0\x01x\0\0\0\x08\0\0\0\0\0\0\x01\x02";
        let expected = aws_lc_rs::digest::digest(&SHA256, bytes);
        assert_eq!(Fields::of("label").text("x").number(258).hash().0, expected.as_ref());
    }
}
