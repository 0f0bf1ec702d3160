//! Forged tokens: what cheats show instead of a pass.
//!
//! They have the form of [`crate::token`] or nearly so, and no valid seal. This code has no secret:
//! whatever of this reaches the shop was let through by mistake.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use rand::rngs::SmallRng;

use crate::token::{Field, LENGTH};

/// The kind byte of a pass.
const PASS: u8 = 2;
/// Far in the future, in milliseconds since 1970: the year 2100.
const FAR: u64 = 4_102_444_800_000;

/// Made-up tokens, of the right length and of wrong ones.
pub(crate) fn made_up(random: &mut SmallRng) -> Vec<Box<str>> {
    let mut pass: [u8; LENGTH] = random.random();
    (pass[0], pass[1]) = (PASS, 1);
    put(&mut pass, Field::Expires, FAR);
    let noise: [u8; LENGTH] = random.random();
    let text = URL_SAFE_NO_PAD.encode(pass);
    vec![
        text.as_str().into(),
        URL_SAFE_NO_PAD.encode(noise).into(),
        text[..text.len() - 4].into(),
        format!("{text}AAAA").into(),
        "x".repeat(text.len()).replace('x', "~").into(),
        "A".repeat(4_000).into(),
        "pass".into(),
    ]
}

/// A token that was given, altered in all ways that could be worth something, and in some that cannot. None if it
/// is no token.
pub(crate) fn altered(token: &str, random: &mut SmallRng) -> Vec<Box<str>> {
    let Some(bytes) = decoded(token) else { return Vec::new() };
    let with = |alter: &dyn Fn(&mut [u8; LENGTH])| {
        let mut copy = bytes;
        copy[0] = PASS;
        alter(&mut copy);
        if copy == bytes {
            // It was a pass already: any other bit will do.
            copy[LENGTH - 1] ^= 1;
        }
        Box::from(URL_SAFE_NO_PAD.encode(copy))
    };
    let bit = random.random_range(8..LENGTH * 8);
    let flip = |copy: &mut [u8; LENGTH], bit: usize| copy[bit / 8] ^= 1 << (bit % 8);
    vec![
        with(&|_| {}),
        with(&|copy| put(copy, Field::Number, 1)),
        with(&|copy| put(copy, Field::Expires, FAR)),
        with(&|copy| put(copy, Field::Issued, 1)),
        with(&|copy| copy[1] = copy[1].wrapping_add(1)),
        with(&|copy| flip(copy, LENGTH * 8 - 1)),
        with(&|copy| flip(copy, bit)),
    ]
}

/// A token as a pass of another room.
pub(crate) fn of_another_room(token: &str) -> Option<Box<str>> {
    let mut bytes = decoded(token)?;
    (bytes[0], bytes[2]) = (PASS, !bytes[2]);
    Some(URL_SAFE_NO_PAD.encode(bytes).into())
}

/// A token as a pass whose time is over.
pub(crate) fn expired(token: &str) -> Option<Box<str>> {
    let mut bytes = decoded(token)?;
    bytes[0] = PASS;
    put(&mut bytes, Field::Expires, 1);
    Some(URL_SAFE_NO_PAD.encode(bytes).into())
}

fn decoded(token: &str) -> Option<[u8; LENGTH]> {
    URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()
}

fn put(bytes: &mut [u8; LENGTH], field: Field, value: u64) {
    let range = field.range();
    let length = range.len();
    bytes[range].copy_from_slice(&value.to_be_bytes()[8 - length..]);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use policy::seal::{RoomId, Sealer};
    use policy::ticket::Token;
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn nothing_that_is_made_up_or_altered_has_a_seal() {
        let mut random = SmallRng::seed_from_u64(1);
        let sealer = Sealer::new(&[7; 32]).unwrap();
        let room = RoomId::of("launch");
        let given = [Token::ticket(41, 1_700_000_000_000), Token::pass(41, 1_700_000_000_000, 1_700_000_060_000)];
        let mut fakes = made_up(&mut random);
        for token in given.map(|token| sealer.seal(room, &token)) {
            assert!(sealer.open(room, token.as_bytes()).is_ok());
            let mut altered = altered(&token, &mut random);
            altered.extend(of_another_room(&token));
            altered.extend(expired(&token));
            assert_eq!(altered.len(), 9);
            assert!(altered.iter().all(|fake| **fake != *token));
            assert!(crate::token::Token::read(&altered[0]).is_some_and(|seen| seen.kind == crate::token::Kind::Pass));
            fakes.extend(altered);
        }
        for fake in &fakes {
            assert!(sealer.open(room, fake.as_bytes()).is_err(), "{fake}");
        }
        assert!(fakes.iter().collect::<HashSet<_>>().len() > 15, "they differ");
    }

    #[test]
    fn what_is_no_token_cannot_be_altered() {
        let mut random = SmallRng::seed_from_u64(1);
        assert!(altered("", &mut random).is_empty() && altered("abc", &mut random).is_empty());
        assert_eq!((of_another_room("x"), expired("ü")), (None, None));
    }
}
