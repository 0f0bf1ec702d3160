//! Bytes in hexadecimal.

use std::fmt::Write as _;

/// So many random bytes in hexadecimal.
pub(crate) fn random_hex<const BYTES: usize>() -> String {
    hex(&rand::random::<[u8; BYTES]>())
}

/// Two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
