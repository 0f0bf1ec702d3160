//! Sessions of operators: who is logged in, sealed into a cookie. No gateway keeps one.
//!
//! ```text
//! version 1 | ends 8 | proof 16 | id 16 | name         AES-256-GCM, base64url
//! ```
//!
//! The key follows from the secret of the gateways, so a session outlives a restart and counts at each of them. The *proof* stands for
//! what it was given for: the operator's line (name, role, hash of the token), or the one token. A gateway that finds another one there
//! does not take it, so an operator who was taken out, or has another role, is logged out at once.
//!
//! Out of scope: which session was ended by a log-out (`fleet::log_outs`), and cookies.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy::Millis;
use policy::audit::hex;
use policy::seal::Sealer;

/// How long a session lasts.
pub(crate) const LIFE: Millis = 12 * 3_600_000;
/// Bytes of an id, and of a proof.
const LENGTH: usize = 16;
/// Characters of a text that may be one.
const LONGEST: usize = 200;
const VERSION: u8 = 1;
/// What the seal is for.
const PURPOSE: &[u8] = b"weir/console/1";

/// What a session was given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Proof([u8; LENGTH]);

impl Proof {
    /// Of the text that says who it is.
    pub(crate) fn of(text: &str) -> Self {
        let hash = digest(&SHA256, text.as_bytes());
        Self(std::array::from_fn(|at| hash.as_ref().get(at).copied().unwrap_or_default()))
    }
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// 128 random bits, in hex.
    pub id: String,
    /// Who is logged in.
    pub name: String,
    /// What it was given for.
    pub proof: Proof,
    /// When it ends, in milliseconds since 1970.
    pub ends: Millis,
}

impl Session {
    /// A new one, from this time on; `None`: the system gives no random bytes.
    pub(crate) fn begin(name: &str, proof: Proof, now: Millis) -> Option<Self> {
        let mut id = [0; LENGTH];
        aws_lc_rs::rand::fill(&mut id).ok()?;
        Some(Self { id: hex(&id), name: name.to_owned(), proof, ends: now + LIFE })
    }

    /// When it was begun, in milliseconds since 1970.
    pub(crate) fn begun(&self) -> Millis {
        self.ends.saturating_sub(LIFE)
    }

    /// The text of the cookie; `None`: the system gives no random bytes.
    pub(crate) fn seal(&self, sealer: &Sealer) -> Option<String> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, sealer.console_keys().next()?).ok()?;
        let id = (0..LENGTH).map(|at| u8::from_str_radix(self.id.get(2 * at..2 * at + 2)?, 16).ok());
        let mut bytes = vec![VERSION];
        bytes.extend(self.ends.to_be_bytes());
        bytes.extend(self.proof.0);
        bytes.extend(id.collect::<Option<Vec<u8>>>()?);
        bytes.extend(self.name.as_bytes());
        let nonce = key.seal_in_place_append_tag(Aad::from(PURPOSE), &mut bytes).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&nonce.as_ref()[..], &bytes].concat()))
    }

    /// The session in a text that a gateway with this secret has sealed, if it lasts at this time.
    pub(crate) fn open(text: &str, sealer: &Sealer, now: Millis) -> Option<Self> {
        let bytes = Some(text).filter(|text| text.len() <= LONGEST)?;
        let bytes = URL_SAFE_NO_PAD.decode(bytes).ok()?;
        sealer.console_keys().find_map(|key| Self::read(&opened(key, &bytes)?)).filter(|session| now < session.ends)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (ends, rest) = rest.split_first_chunk()?;
        let (proof, rest) = rest.split_first_chunk()?;
        let (id, name) = rest.split_first_chunk::<LENGTH>()?;
        let name = std::str::from_utf8(name).ok().filter(|_| *version == VERSION)?.to_owned();
        Some(Self { id: hex(id), name, proof: Proof(*proof), ends: Millis::from_be_bytes(*ends) })
    }
}

fn opened(key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).ok()?;
    let mut bytes = sealed.to_vec();
    let length = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(PURPOSE), &mut bytes).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &[u8] = b"an old secret that is long enough for it";
    const NEW: &[u8] = b"a new secret that is long enough for it.";

    fn sealer(secrets: &[&[u8]]) -> Sealer {
        Sealer::of(secrets.iter().copied()).expect("they are long enough")
    }

    fn session() -> Session {
        Session::begin("kim", Proof::of("kim operator $argon2id$..."), 1_000).expect("there is randomness")
    }

    #[test]
    fn a_session_is_read_by_each_gateway_with_the_secret_until_it_ends() {
        let (session, old) = (session(), sealer(&[OLD]));
        let text = session.seal(&old).expect("sealed");
        assert_eq!(
            Session::open(&text, &sealer(&[NEW, OLD]), 2_000).as_ref(),
            Some(&session),
            "while keys are exchanged"
        );
        assert_eq!(Session::open(&text, &old, 999 + LIFE).as_ref(), Some(&session));
        assert_eq!(Session::open(&text, &old, 1_000 + LIFE), None);
        assert_eq!(Session::open(&text, &sealer(&[NEW]), 2_000), None, "another secret");
        assert_ne!(session.seal(&old), Some(text), "no two seals are alike");
    }

    #[test]
    fn what_was_changed_or_never_sealed_is_no_session() {
        let sealer = sealer(&[OLD]);
        let text = session().seal(&sealer).expect("sealed");
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            // The last character has bits that stand for nothing: those must be zero.
            assert_eq!(Session::open(&String::from_utf8_lossy(&other), &sealer, 2_000), None, "{at}");
        }
        for text in ["", "x", "====", &"A".repeat(100), &"A".repeat(100_000), &text[..20]] {
            assert_eq!(Session::open(text, &sealer, 2_000), None, "{} characters", text.len());
        }
    }

    #[test]
    fn the_cookie_of_the_longest_name_is_short_enough_to_be_read() {
        let sealer = sealer(&[OLD]);
        let session = Session::begin(&"n".repeat(32), Proof::default(), 0).expect("there is randomness");
        let text = session.seal(&sealer).expect("sealed");
        assert!(text.len() <= LONGEST && Session::open(&text, &sealer, 1) == Some(session), "{}", text.len());
    }
}
