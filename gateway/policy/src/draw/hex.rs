//! Bytes in text.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// Bytes that are written as hexadecimal digits: two small ones for each, so that there is one way to write them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Hex<const N: usize>(pub [u8; N]);

/// A SHA-256.
pub type Hash = Hex<32>;

/// A text that is not so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} hexadecimal digits (0-9, a-f) are expected", 2 * .0)]
pub struct NotHex(usize);

impl<const N: usize> std::str::FromStr for Hex<N> {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        let mut bytes = [0; N];
        if text.len() != 2 * N {
            return Err(NotHex(N));
        }
        HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).map_err(|_| NotHex(N))?;
        Ok(Self(bytes))
    }
}

impl<const N: usize> TryFrom<String> for Hex<N> {
    type Error = NotHex;

    fn try_from(text: String) -> Result<Self, NotHex> {
        text.parse()
    }
}

impl<const N: usize> From<Hex<N>> for String {
    fn from(bytes: Hex<N>) -> Self {
        bytes.to_string()
    }
}

impl<const N: usize> std::fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl<const N: usize> std::fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_way_to_write_bytes() {
        let bytes: Hex<2> = "0aff".parse().unwrap();
        assert_eq!((bytes, bytes.to_string().as_str()), (Hex([0x0a, 0xff]), "0aff"));
        for other in ["0AFF", "0af", "0aff0", "0afg", " 0af", "", "ああ", "é00"] {
            assert_eq!(other.parse::<Hex<2>>(), Err(NotHex(2)), "{other:?}");
        }
        assert_eq!(NotHex(2).to_string(), "4 hexadecimal digits (0-9, a-f) are expected");
    }
}
