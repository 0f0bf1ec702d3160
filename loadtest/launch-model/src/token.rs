//! The clear text of a shopper's cookie. Weir's tokens are sealed, not secret: any client may read whose
//! place they are, and only the seal makes them worth something.
//!
//! ```text
//! kind 1 | key id 1 | room 8 | run 8 | number 8 | issued 6 | expires 6 | tag 32
//! ```
//!
//! big-endian, base64url without padding; `run` of a pass is `admitted 6 | mark 2`. A pass tells to the millisecond when the store granted it: its
//! end less `session_duration`.
//!
//! Out of scope: the seal. It is the gateway's to check, and an adversary's to fake.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy::ticket;
use serde::{Deserialize, Serialize};

/// Bytes of a token.
pub const LENGTH: usize = 70;

/// Where a number stands in a token.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field {
    Number,
    Issued,
    Expires,
}

impl Field {
    /// Its bytes.
    pub(crate) fn range(self) -> Range<usize> {
        match self {
            Self::Number => 18..26,
            Self::Issued => 26..32,
            Self::Expires => 32..38,
        }
    }
}

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A numbered place in a line.
    Ticket,
    /// The right to reach the upstream.
    Pass,
    /// No number yet: the store is away, or the newcomer was asked to confirm.
    Provisional,
}

/// A token as any client can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its kind.
    pub kind: Kind,
    /// Place in the line.
    pub number: u64,
    /// Store time at which it was sealed, in milliseconds since 1970.
    pub issued_ms: u64,
    /// Store time from which it is worth nothing, in milliseconds since 1970.
    pub expires_ms: u64,
}

impl Token {
    /// Reads the value of a cookie; `None` if it is no token of Weir.
    pub fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == LENGTH)?;
        let kind = match bytes[0] {
            1 => Kind::Ticket,
            2 => Kind::Pass,
            3 | 4 => Kind::Provisional,
            _ => return None,
        };
        let number = |field: Field| bytes[field.range()].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        let [number, issued_ms, expires_ms] = [Field::Number, Field::Issued, Field::Expires].map(number);
        Some(Self { kind, number, issued_ms, expires_ms })
    }
}

/// The clear text of a token of the policy.
impl From<&ticket::Token> for Token {
    fn from(token: &ticket::Token) -> Self {
        let kind = match token.kind {
            ticket::Kind::Ticket => Kind::Ticket,
            ticket::Kind::Pass => Kind::Pass,
            ticket::Kind::Provisional | ticket::Kind::Arrival => Kind::Provisional,
        };
        Self { kind, number: token.number, issued_ms: token.issued, expires_ms: token.expires }
    }
}

#[cfg(test)]
mod tests {
    use policy::seal::{RoomId, Sealer};

    use super::*;

    #[test]
    fn a_token_of_weir_is_read_without_its_secret() {
        let sealer = Sealer::new(&[7; 32]).unwrap();
        let pass = ticket::Token::pass(41, 1_700_000_000_000, 1_700_000_060_000);
        let seen = Token::read(&sealer.seal(RoomId::of("launch"), &pass)).unwrap();
        assert_eq!(
            seen,
            Token { kind: Kind::Pass, number: 41, issued_ms: 1_700_000_000_000, expires_ms: 1_700_000_060_000 }
        );
        for other in ["", "abc", &"A".repeat(94), "ü"] {
            assert_eq!(Token::read(other), None, "{other}");
        }
    }
}
