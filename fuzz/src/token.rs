//! Tickets and passes: what opens was sealed here, and what was sealed opens as it was.

use policy::seal::{Rejected, RoomId, SEALED_LEN, Sealer};
use policy::ticket::{Kind, Token};

/// The first seals, both open. The corpus holds texts of both.
const SECRETS: [[u8; 32]; 2] = [[7; 32], [8; 32]];
const ROOMS: [&str; 2] = ["launch", "other"];

/// The bytes as the text of a cookie, and as the fields of a token.
pub fn token(bytes: &[u8]) {
    let alone = SECRETS.map(|secret| Sealer::new(&secret).expect("long enough"));
    let both = Sealer::of(SECRETS.iter().map(<[u8; 32]>::as_slice)).expect("long enough");
    only_what_was_sealed_opens(&both, &alone, bytes);
    if let Some((token, rest)) = fields(bytes) {
        what_was_sealed_opens(&both, &alone, &token, rest);
    }
}

fn only_what_was_sealed_opens(both: &Sealer, alone: &[Sealer; 2], text: &[u8]) {
    for room in ROOMS.map(RoomId::of) {
        let Ok(token) = both.open(room, text) else { continue };
        let sealed_again = |sealer: &Sealer| sealer.seal(room, &token).into_bytes() == text;
        assert!(alone.iter().any(sealed_again), "a text that was not sealed: {token:?}");
    }
}

fn what_was_sealed_opens(both: &Sealer, alone: &[Sealer; 2], token: &Token, rest: &[u8]) {
    let [room, other] = ROOMS.map(RoomId::of);
    let mut text = both.seal(room, token).into_bytes();
    assert_eq!(text.len(), SEALED_LEN);
    assert_eq!(both.open(room, &text), Ok(*token));
    assert_eq!(both.open(other, &text), Err(Rejected::Foreign));
    assert_eq!(alone[1].open(room, &text), Err(Rejected::Forged));
    assert_eq!(both.open(room, &text[1..]), Err(Rejected::Malformed));
    if let [at, by, ..] = *rest {
        let at = usize::from(at) % text.len();
        if text[at] != by {
            text[at] = by;
            assert!(both.open(room, &text).is_err(), "character {at} altered to {by}");
        }
    }
}

/// `kind 1 | incarnation 4 | number 8 | issued 6 | expires 6`, and what is left. A pass has a mark of 16 bits for its incarnation, and was
/// given at whatever time.
fn fields(bytes: &[u8]) -> Option<(Token, &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let kind = [Kind::Ticket, Kind::Pass, Kind::Provisional, Kind::Arrival][usize::from(kind % 4)];
    let (incarnation, rest) = number(rest, 4)?;
    let (place, rest) = number(rest, 8)?;
    let (issued, rest) = number(rest, 6)?;
    let (expires, rest) = number(rest, 6)?;
    let is_pass = kind == Kind::Pass;
    let incarnation = u32::try_from(if is_pass { incarnation & 0xffff } else { incarnation }).ok()?;
    let admitted = if is_pass { place & 0xffff_ffff_ffff } else { 0 };
    Some((Token { kind, incarnation, number: place, issued, expires, admitted }, rest))
}

fn number(bytes: &[u8], len: usize) -> Option<(u64, &[u8])> {
    let (field, rest) = bytes.split_at_checked(len)?;
    Some((field.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)), rest))
}
