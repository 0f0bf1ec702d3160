//! Pages in gzip, without compression at the time of a request.
//!
//! Each piece of a template between two slots is deflated once, to whole blocks that end on a byte and do not refer back to
//! earlier ones (RFC 1951): so they may stand between any others. The filled-in values stand between them in stored blocks. A
//! shopper then costs as much as without gzip, a copy, and a checksum.
//!
//! A value that differs by shopper is never compressed together with another, so the length of an answer reveals nothing.

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};

/// Deflate, no flags, no time, unknown system (RFC 1952).
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// An empty stored block that is the last.
const LAST: [u8; 5] = [1, 0, 0, 0xff, 0xff];
/// The overhead of a stored block, and its most bytes.
const STORED_HEAD: usize = 5;
const STORED: usize = 65_535;

/// Pieces for [`Writer::piece`]; empty if deflating does not pay.
pub(super) fn deflate<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut compress = Compress::new(Compression::best(), false);
    let deflated = pieces.map(|piece| {
        compress.reset();
        // No room for more: a larger result is not used, and the piece is stored.
        let mut deflated = Vec::with_capacity(piece.len().saturating_sub(STORED_HEAD));
        let done = compress.compress_vec(piece, &mut deflated, FlushCompress::Sync);
        let whole = done.is_ok() && compress.total_in() == piece.len() as u64 && deflated.len() < deflated.capacity();
        if whole { deflated } else { Vec::new() }
    });
    deflated.collect()
}

/// A page being written.
pub(super) struct Writer {
    out: Vec<u8>,
    stored: Vec<u8>,
    sum: Crc,
}

impl Writer {
    /// A page of about `capacity` bytes as sent.
    pub(super) fn new(capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity);
        out.extend_from_slice(&HEAD);
        Self { out, stored: Vec::with_capacity(256), sum: Crc::new() }
    }

    /// A piece of the template, and the same deflated.
    pub(super) fn piece(&mut self, piece: &[u8], deflated: &[u8]) {
        if deflated.is_empty() {
            return self.stored.extend_from_slice(piece);
        }
        self.store();
        self.sum.update(piece);
        self.out.extend_from_slice(deflated);
    }

    /// The buffer for a filled-in value.
    pub(super) fn fill(&mut self) -> &mut Vec<u8> {
        &mut self.stored
    }

    fn store(&mut self) {
        for part in self.stored.chunks(STORED) {
            let length = part.len() as u16;
            self.out.push(0);
            self.out.extend_from_slice(&length.to_le_bytes());
            self.out.extend_from_slice(&(!length).to_le_bytes());
            self.out.extend_from_slice(part);
        }
        self.sum.update(&self.stored);
        self.stored.clear();
    }

    /// The whole page.
    pub(super) fn end(mut self) -> Bytes {
        self.store();
        self.out.extend_from_slice(&LAST);
        self.out.extend_from_slice(&self.sum.sum().to_le_bytes());
        self.out.extend_from_slice(&self.sum.amount().to_le_bytes());
        Bytes::from(self.out)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    fn unpacked(page: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        GzDecoder::new(page).read_to_end(&mut all).expect("whole gzip");
        all
    }

    #[test]
    fn pieces_and_what_stands_between_them_come_out_as_they_were() {
        let long = "what is said often is said briefly, ".repeat(40);
        let random: Vec<u8> = (0..2_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let pieces = [long.as_bytes(), b"", b"x", &random, long.as_bytes()];
        let deflated = deflate(pieces.into_iter());
        assert!(deflated[0].len() * 5 < long.len() && deflated[1].is_empty() && deflated[2].is_empty());
        for filled in [&b""[..], b"12,345", &vec![7; 200_000]] {
            let (mut writer, mut plain) = (Writer::new(0), Vec::new());
            for (piece, deflated) in pieces.iter().zip(&deflated) {
                writer.piece(piece, deflated);
                writer.fill().extend_from_slice(filled);
                plain.extend_from_slice(piece);
                plain.extend_from_slice(filled);
            }
            assert_eq!(unpacked(&writer.end()), plain);
        }
    }
}
