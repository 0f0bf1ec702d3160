//! The sealed text of a ticket or pass.
//!
//! ```text
//! kind 1 | key id 1 | room 8 | incarnation 8 | number 8 | issued 6 | expires 6 | tag 32
//! ```
//!
//! where `incarnation` of a pass is `admitted 6 | mark 2`; big-endian, HMAC-SHA-256 over everything before the tag, base64url without
//! padding: 94 characters. Every kind has a key of its own, derived from the secret, so that a ticket can never be read as a
//! pass. Only the length, the kind and the key id are looked at before the tag, which is compared in constant
//! time. Whether the token has expired is for [`crate::admit`] to say: there is no clock here.

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::ticket::{Kind, Token};

const BODY: usize = 38;
const TAG: usize = 32;
/// Characters of a sealed token.
pub const SEALED_LEN: usize = (BODY + TAG).div_ceil(3) * 4 - 2;
/// Bits of the mark of a pass.
const MARK: u32 = 16;
/// Shortest secret that is accepted, in bytes.
pub const MIN_SECRET: usize = 32;

/// Why a text is not a token of this room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Not the length, the alphabet or the kind of a token.
    #[error("malformed")]
    Malformed,
    /// Sealed with no key that this gateway has, or altered.
    #[error("forged")]
    Forged,
    /// Sealed for another room.
    #[error("foreign")]
    Foreign,
}

/// A secret that is too short to seal with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret needs at least {MIN_SECRET} bytes, this one has {0}")]
pub struct WeakSecret(pub usize);

/// The room of a token: the first bytes of the SHA-256 of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId([u8; 8]);

impl RoomId {
    /// The id of the room of this name.
    pub fn of(name: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, name.as_bytes());
        Self(std::array::from_fn(|i| hash.as_ref()[i]))
    }
}

/// One secret, as keys.
struct Key {
    id: u8,
    by_kind: [hmac::Key; 4],
    upstream: hmac::Key,
    pseudonym: hmac::Key,
    /// Of sessions of operators: 32 bytes.
    console: hmac::Tag,
}

impl Key {
    fn derive(secret: &[u8]) -> Self {
        let master = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = |label: &str| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&master, label.as_bytes()).as_ref());
        Self {
            id: hmac::sign(&master, b"weir/1/key-id").as_ref()[0],
            by_kind: ["ticket", "pass", "provisional", "arrival"].map(|kind| derived(&format!("weir/1/{kind}"))),
            upstream: derived("weir/1/upstream"),
            pseudonym: derived("weir/1/pseudonym"),
            console: hmac::sign(&master, b"weir/1/console"),
        }
    }

    fn of(&self, kind: Kind) -> &hmac::Key {
        &self.by_kind[kind as usize - 1]
    }
}

/// Seals and opens tokens.
pub struct Sealer {
    /// The first seals; all open.
    keys: Vec<Key>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("keys", &self.keys.len()).finish()
    }
}

impl Sealer {
    /// Seals with `secret`.
    ///
    /// # Errors
    /// If the secret is shorter than [`MIN_SECRET`].
    pub fn new(secret: &[u8]) -> Result<Self, WeakSecret> {
        Self::of([secret])
    }

    /// Seals with the first of these secrets, and opens what any of them has sealed.
    ///
    /// # Errors
    /// If one is shorter than [`MIN_SECRET`], or there is none.
    pub fn of<'s>(secrets: impl IntoIterator<Item = &'s [u8]>) -> Result<Self, WeakSecret> {
        let derive = |secret: &[u8]| match secret.len() {
            len if len < MIN_SECRET => Err(WeakSecret(len)),
            _ => Ok(Key::derive(secret)),
        };
        let keys = secrets.into_iter().map(derive).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(WeakSecret(0)) } else { Ok(Self { keys }) }
    }

    /// The text of a token of this room.
    pub fn seal(&self, room: RoomId, token: &Token) -> String {
        let key = &self.keys[0];
        let mut bytes = [0; BODY + TAG];
        bytes[0] = token.kind as u8;
        bytes[1] = key.id;
        bytes[2..10].copy_from_slice(&room.0);
        bytes[10..18].copy_from_slice(&about(token).to_be_bytes());
        bytes[18..26].copy_from_slice(&token.number.to_be_bytes());
        bytes[26..32].copy_from_slice(&token.issued.to_be_bytes()[2..]);
        bytes[32..38].copy_from_slice(&token.expires.to_be_bytes()[2..]);
        let tag = hmac::sign(key.of(token.kind), &bytes[..BODY]);
        bytes[BODY..].copy_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Proves to the upstream that a pass was seen here: HMAC-SHA-256 of `room`, a newline and `pass_id` with the key
    /// HMAC-SHA-256(secret, `weir/1/upstream`), base64url.
    pub fn signature(&self, room: &str, pass_id: &str) -> String {
        let mut context = hmac::Context::with_key(&self.keys[0].upstream);
        for part in [room, "\n", pass_id] {
            context.update(part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(context.sign())
    }

    /// The keys of sessions of operators, 32 bytes each: the first seals, all open.
    pub fn console_keys(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(|key| key.console.as_ref())
    }

    /// Stands for an address in the log: the same for as long as the same key seals, on every gateway that has it, and
    /// worthless without the secret.
    pub fn pseudonym(&self, address: &[u8]) -> String {
        let tag = hmac::sign(&self.keys[0].pseudonym, address);
        let mut start = [0; 8];
        start.copy_from_slice(&tag.as_ref()[..8]);
        format!("{:016x}", u64::from_be_bytes(start))
    }

    /// The token behind a text, if this gateway or one with its secret sealed it for this room.
    ///
    /// # Errors
    /// [`Rejected`] says why not.
    pub fn open(&self, room: RoomId, text: &[u8]) -> Result<Token, Rejected> {
        if text.len() != SEALED_LEN {
            return Err(Rejected::Malformed);
        }
        let mut bytes = [0; BODY + TAG];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(len) if len == bytes.len() => {}
            _ => return Err(Rejected::Malformed),
        }
        let (body, tag) = bytes.split_at(BODY);
        let kind = match body[0] {
            1 => Kind::Ticket,
            2 => Kind::Pass,
            3 => Kind::Provisional,
            4 => Kind::Arrival,
            _ => return Err(Rejected::Malformed),
        };
        let sealed_by = |key: &&Key| key.id == body[1] && hmac::verify(key.of(kind), body, tag).is_ok();
        self.keys.iter().find(sealed_by).ok_or(Rejected::Forged)?;
        if body[2..10] != room.0 {
            return Err(Rejected::Foreign);
        }
        let about = number(&body[10..18]);
        let (admitted, incarnation) =
            if kind == Kind::Pass { (about >> MARK, about & ((1 << MARK) - 1)) } else { (0, about) };
        Ok(Token {
            kind,
            // Tokens from before lines were cut into segments have a longer value here.
            incarnation: incarnation.try_into().map_err(|_| Rejected::Malformed)?,
            admitted,
            number: number(&body[18..26]),
            issued: number(&body[26..32]),
            expires: number(&body[32..38]),
        })
    }
}

/// The value in the field `incarnation`.
fn about(token: &Token) -> u64 {
    let incarnation = u64::from(token.incarnation);
    if token.kind == Kind::Pass { token.admitted << MARK | incarnation & ((1 << MARK) - 1) } else { incarnation }
}

fn number(big_endian: &[u8]) -> u64 {
    big_endian.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealer() -> Sealer {
        Sealer::new(&[7; 32]).expect("long enough")
    }

    fn token(number: u64) -> Token {
        Token {
            kind: Kind::Ticket,
            incarnation: 3,
            number,
            issued: 1_700_000_000_000,
            expires: 1_700_000_060_000,
            admitted: 0,
        }
    }

    #[test]
    fn a_sealed_token_opens_as_it_was() {
        let room = RoomId::of("launch");
        let text = sealer().seal(room, &token(42));
        assert_eq!(text.len(), SEALED_LEN);
        assert_eq!(sealer().open(room, text.as_bytes()), Ok(token(42)));
        let given = Token::new_pass(42, 1_700_000_000_000, 1_700_000_060_000);
        for pass in [given, Token { issued: 1_700_000_040_000, expires: 1_700_000_100_000, ..given.confirmed() }] {
            let text = sealer().seal(room, &pass);
            assert_eq!(sealer().open(room, text.as_bytes()), Ok(pass), "when it was given and the mark are two things");
        }
    }

    #[test]
    fn a_token_of_another_room_or_secret_is_rejected() {
        let text = sealer().seal(RoomId::of("launch"), &token(1));
        assert_eq!(sealer().open(RoomId::of("other"), text.as_bytes()), Err(Rejected::Foreign));
        let stranger = Sealer::new(&[8; 32]).expect("long enough");
        assert_eq!(stranger.open(RoomId::of("launch"), text.as_bytes()), Err(Rejected::Forged));
    }

    #[test]
    fn the_first_secret_seals_and_all_open() {
        let (room, [old, new]) = (RoomId::of("launch"), [[7; 32], [8; 32]]);
        let secrets = |secrets: &[[u8; 32]]| Sealer::of(secrets.iter().map(<[u8; 32]>::as_slice)).expect("long enough");
        let texts = [secrets(&[old]).seal(room, &token(1)), secrets(&[new, old]).seal(room, &token(1))];
        assert_eq!(texts[1], secrets(&[new]).seal(room, &token(1)));
        for both in [secrets(&[old, new]), secrets(&[new, old])] {
            assert!(texts.iter().all(|text| both.open(room, text.as_bytes()) == Ok(token(1))));
        }
        assert_eq!(
            secrets(&[new]).open(room, texts[0].as_bytes()),
            Err(Rejected::Forged),
            "what was removed is worth nothing"
        );
        assert_eq!(Sealer::of([]).err(), Some(WeakSecret(0)));
        assert_eq!(Sealer::of([&new as &[u8], b"short"]).err(), Some(WeakSecret(5)));
    }

    #[test]
    fn a_ticket_cannot_be_relabelled_as_a_pass() {
        let room = RoomId::of("launch");
        let mut bytes = URL_SAFE_NO_PAD.decode(sealer().seal(room, &token(1))).expect("its own text");
        bytes[0] = Kind::Pass as u8;
        assert_eq!(sealer().open(room, URL_SAFE_NO_PAD.encode(bytes).as_bytes()), Err(Rejected::Forged));
    }

    #[test]
    fn the_signature_for_the_upstream_can_be_computed_from_the_secret() {
        let key = |key: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, key);
        let derived = hmac::sign(&key(&[7; 32]), b"weir/1/upstream");
        let expected = hmac::sign(&key(derived.as_ref()), b"launch\n3.42");
        assert_eq!(sealer().signature("launch", "3.42"), URL_SAFE_NO_PAD.encode(expected));
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(Sealer::new(&[0; 31]).err(), Some(WeakSecret(31)));
    }

    proptest! {
        #[test]
        fn no_altered_character_goes_unnoticed(at in 0..SEALED_LEN, by in any::<u8>()) {
            let room = RoomId::of("launch");
            let mut text = sealer().seal(room, &token(9)).into_bytes();
            prop_assume!(text[at] != by);
            text[at] = by;
            prop_assert!(sealer().open(room, &text).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(sealer().open(RoomId::of("launch"), &text).is_err());
        }
    }
}
