//! A cache of the last token on a connection.
//!
//! To open a token is a hash, and to sign its pass for the upstream is another. Both depend only on
//! the text of the token and its room, and a browser sends the same text with every request. So each
//! connection keeps the last valid text and the results, as long as the keys stay;
//! and the last host.
//!
//! Out of scope: whether the token still counts. `policy::admit` asks that of every request.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderValue;
use policy::seal::{Rejected, RoomId, SEALED_LEN, Sealer};
use policy::ticket::Token;

use crate::client::headers::{PassHeaders, pass_expires, pass_id};
use crate::client::visitor::{BadHost, Head, Host, sent_host};

/// The last credentials of one connection.
#[derive(Debug, Default)]
pub struct ConnectionCache {
    token: RefCell<Option<Box<Remembered>>>,
    host: RefCell<Option<Rc<Host>>>,
}

#[derive(Debug)]
struct Remembered {
    sealer: Arc<Sealer>,
    text: [u8; SEALED_LEN],
    room: RoomId,
    token: Token,
    /// The room may be renamed later: the name is compared.
    pass: Option<Rc<PassHeaders>>,
}

fn pass_headers(sealer: &Sealer, room: &HeaderValue, pass: &Token) -> PassHeaders {
    let pass_id = pass_id(pass);
    let texts = room.to_str().ok().zip(pass_id.to_str().ok());
    let signature = texts.and_then(|(room, id)| HeaderValue::try_from(sealer.signature(room, id)).ok());
    PassHeaders { room: room.clone(), pass_id, expires: pass_expires(pass), signature }
}

impl ConnectionCache {
    /// The host that a request is for.
    ///
    /// # Errors
    /// If it names none, several or no possible one.
    pub fn host(&self, head: &Head<'_>) -> Result<Rc<Host>, BadHost> {
        let sent = sent_host(head)?;
        if let Some(known) = self.host.borrow().as_ref().filter(|known| known.sent.as_bytes() == sent) {
            return Ok(known.clone());
        }
        let host = Rc::new(Host::of(sent)?);
        *self.host.borrow_mut() = Some(host.clone());
        Ok(host)
    }

    /// As [`Sealer::open`], but a text that was valid before is only compared.
    pub fn open(&self, sealer: &Arc<Sealer>, room: RoomId, text: &[u8]) -> Result<Token, Rejected> {
        let same = |known: &Remembered| {
            let same_seal = known.room == room && Arc::ptr_eq(&known.sealer, sealer);
            same_seal && verify_slices_are_equal(&known.text, text).is_ok()
        };
        if let Some(known) = self.token.borrow().as_deref().filter(|known| same(known)) {
            return Ok(known.token);
        }
        let token = sealer.open(room, text)?;
        if let Ok(text) = text.try_into() {
            let sealer = sealer.clone();
            *self.token.borrow_mut() = Some(Box::new(Remembered { sealer, text, room, token, pass: None }));
        }
        Ok(token)
    }

    /// The headers that show this pass to the upstream.
    pub fn pass_headers(
        &self,
        sealer: &Arc<Sealer>,
        room: RoomId,
        name: &HeaderValue,
        pass: &Token,
    ) -> Rc<PassHeaders> {
        let new = || Rc::new(pass_headers(sealer, name, pass));
        match self.token.borrow_mut().as_deref_mut() {
            Some(known) if known.room == room && known.token == *pass && Arc::ptr_eq(&known.sealer, sealer) => {
                match &known.pass {
                    Some(headers) if headers.room == name => headers.clone(),
                    _ => known.pass.insert(new()).clone(),
                }
            }
            _ => new(),
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn sealer() -> Arc<Sealer> {
        Arc::new(Sealer::new(&[7; 32]).expect("long enough"))
    }

    fn pass(number: u64) -> Token {
        Token::pass(number, 0, 1_000)
    }

    #[test]
    fn what_is_remembered_opens_no_other_text_and_no_other_room() {
        let (known, room, other) = (ConnectionCache::default(), RoomId::of("launch"), RoomId::of("other"));
        let sealer = sealer();
        let text = sealer.seal(room, &pass(1));
        for _ in 0..2 {
            assert_eq!(known.open(&sealer, room, text.as_bytes()), Ok(pass(1)));
            assert_eq!(known.open(&sealer, other, text.as_bytes()), Err(Rejected::Foreign));
            for at in 0..SEALED_LEN {
                let mut forged = text.clone().into_bytes();
                forged[at] ^= 1;
                assert!(known.open(&sealer, room, &forged).is_err());
            }
            assert!(known.open(&sealer, room, &text.as_bytes()[1..]).is_err());
        }
    }

    #[test]
    fn shoppers_who_share_a_connection_are_told_apart() {
        let (known, room, name) =
            (ConnectionCache::default(), RoomId::of("launch"), HeaderValue::from_static("launch"));
        let sealer = sealer();
        for number in [1, 2, 2, 1] {
            let text = sealer.seal(room, &pass(number));
            assert_eq!(known.open(&sealer, room, text.as_bytes()), Ok(pass(number)));
            for shown in [number, 3] {
                let headers = known.pass_headers(&sealer, room, &name, &pass(shown));
                assert_eq!(*headers, pass_headers(&sealer, &name, &pass(shown)));
            }
            let renamed = HeaderValue::from_static("drop");
            let headers = known.pass_headers(&sealer, room, &renamed, &pass(number));
            assert_eq!(*headers, pass_headers(&sealer, &renamed, &pass(number)), "the name of now is signed");
        }
    }

    #[test]
    fn what_was_remembered_under_other_keys_is_opened_again() {
        let (known, room, old) = (ConnectionCache::default(), RoomId::of("launch"), sealer());
        let text = old.seal(room, &pass(1));
        assert_eq!(known.open(&old, room, text.as_bytes()), Ok(pass(1)));
        let secrets: [&[u8]; 2] = [&[8; 32], &[7; 32]];
        let both = Arc::new(Sealer::of(secrets).expect("long enough"));
        assert_eq!(known.open(&both, room, text.as_bytes()), Ok(pass(1)));
        let name = HeaderValue::from_static("launch");
        assert_eq!(*known.pass_headers(&both, room, &name, &pass(1)), pass_headers(&both, &name, &pass(1)));
        let without = Arc::new(Sealer::new(&[8; 32]).expect("long enough"));
        assert_eq!(known.open(&without, room, text.as_bytes()), Err(Rejected::Forged));
    }
}
