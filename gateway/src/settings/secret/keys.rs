//! The list of keys: one a line, each with its period of validity.
//!
//! ```text
//! 9f2c..e1 from=2026-11-26T14:10:00Z
//! 07ab..44 until=2026-11-27T15:10:00Z
//! ```
//!
//! Every key opens its tokens until its time is over; of the keys whose time has come, the first seals. So a new
//! key stands on top and opens at once, and begins to seal when every gateway has had time to get it.
//!
//! Out of scope: clocks and files ([`super`]).

use std::time::Duration;

use policy::seal::MIN_SECRET;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// A problem of a list of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// A key is too short.
    #[error("key {number} has {found} bytes; at least {MIN_SECRET} are needed (openssl rand -hex 32)")]
    Short {
        /// Its number, from 1.
        number: usize,
        /// Its length.
        found: usize,
    },
    /// A time cannot be read.
    #[error("key {number}: {word:?} is no time; write it as from=2026-11-26T14:10:00Z or until=..")]
    Time {
        /// Its number, from 1.
        number: usize,
        /// The invalid text.
        word: String,
    },
    /// There is no key at all.
    #[error("there is no key; make one with: openssl rand -hex 32")]
    None,
    /// Every key is of a later time, or its time is over.
    #[error("no key may seal at this time")]
    NoneSeals,
    /// A rotation is not over.
    #[error("a key has yet to begin to seal, at {0}: one rotation at a time")]
    RotationInProgress(String),
}

/// A key, and its period of validity.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// The secret.
    pub secret: Vec<u8>,
    /// From when on it seals; at once if absent.
    pub from: Option<OffsetDateTime>,
    /// Until when it counts at all; for ever if absent.
    pub until: Option<OffsetDateTime>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("from", &self.from).field("until", &self.until).finish_non_exhaustive()
    }
}

impl Key {
    /// A key that counts at once and for ever.
    pub fn plain(secret: &[u8]) -> Self {
        Self { secret: secret.to_owned(), from: None, until: None }
    }

    fn seals(&self, now: OffsetDateTime) -> bool {
        self.opens(now) && self.from.is_none_or(|from| from <= now)
    }

    fn opens(&self, now: OffsetDateTime) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    fn read(number: usize, line: &str) -> Result<Self, KeysError> {
        let (mut from, mut until) = (None, None);
        let mut rest = line.trim();
        while let Some((before, word)) = rest.rsplit_once([' ', '\t']) {
            let slot = match word.split_once('=') {
                Some(("from", time)) => (&mut from, time),
                Some(("until", time)) => (&mut until, time),
                _ => break,
            };
            let time = OffsetDateTime::parse(slot.1, &Rfc3339);
            *slot.0 = Some(time.map_err(|_| KeysError::Time { number, word: word.to_owned() })?);
            rest = before.trim_end();
        }
        Self { secret: rest.into(), from, until }.long_enough(number)
    }

    fn long_enough(self, number: usize) -> Result<Self, KeysError> {
        let found = self.secret.len();
        if found < MIN_SECRET { Err(KeysError::Short { number, found }) } else { Ok(self) }
    }
}

/// All keys, in their order of precedence for sealing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(pub Vec<Key>);

impl Keys {
    /// Reads a list. Bytes that are no text are one key.
    ///
    /// # Errors
    /// The first problem.
    pub fn read(bytes: &[u8], separators: &[char]) -> Result<Self, KeysError> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Ok(Self(vec![Key::plain(bytes.trim_ascii()).long_enough(1)?]));
        };
        let lines = text.split(separators).filter(|line| !line.trim().is_empty());
        let keys = lines.zip(1..).map(|(line, number)| Key::read(number, line)).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(KeysError::None) } else { Ok(Self(keys)) }
    }

    /// The secrets that count at this time, the sealing one first.
    ///
    /// # Errors
    /// If none may seal.
    pub fn at(&self, now: OffsetDateTime) -> Result<Vec<&[u8]>, KeysError> {
        let first = self.0.iter().position(|key| key.seals(now)).ok_or(KeysError::NoneSeals)?;
        let others = self.0.iter().enumerate().filter(|(at, key)| *at != first && key.opens(now));
        Ok(std::iter::once(&self.0[first]).chain(others.map(|(_, key)| key)).map(|key| &*key.secret).collect())
    }

    /// Puts a new key on top, which begins to seal after `delay`; the others count for `keep` more, and
    /// those whose time is over are removed.
    ///
    /// # Errors
    /// If a key has yet to begin to seal.
    pub fn rotate(
        &mut self,
        secret: &[u8],
        now: OffsetDateTime,
        delay: Duration,
        keep: Duration,
    ) -> Result<(), KeysError> {
        if let Some(from) = self.0.iter().filter_map(|key| key.from).find(|from| *from > now) {
            return Err(KeysError::RotationInProgress(shown(from)));
        }
        self.0.retain(|key| key.opens(now));
        let from = now + delay;
        for key in &mut self.0 {
            key.until = Some(key.until.unwrap_or(from + keep).min(from + keep));
        }
        self.0.insert(0, Key { from: Some(from), ..Key::plain(secret) });
        Ok(())
    }

    /// The list as the text of a file.
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for key in &self.0 {
            text.extend_from_slice(&key.secret);
            for (word, time) in [(" from=", key.from), (" until=", key.until)] {
                text.extend(
                    time.into_iter().flat_map(|time| [word.to_owned(), shown(time)]).flat_map(String::into_bytes),
                );
            }
            text.push(b'\n');
        }
        text
    }
}

/// A time as in the list, to the second.
pub fn shown(time: OffsetDateTime) -> String {
    let whole = time.to_offset(UtcOffset::UTC).replace_nanosecond(0).unwrap_or(time);
    whole.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "an old secret of more than 32 bytes, with blanks";
    const NEW: &str = "0123456789abcdef0123456789abcdef";
    const DELAY: Duration = Duration::from_mins(10);
    const KEEP: Duration = Duration::from_hours(25);

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000 + seconds).expect("a time")
    }

    fn read(text: &str) -> Result<Keys, KeysError> {
        Keys::read(text.as_bytes(), &['\n'])
    }

    #[test]
    fn a_file_of_one_line_is_one_key_as_it_always_was() {
        let bytes: Vec<u8> = (128..168).collect();
        for (file, key) in
            [(format!("{OLD}\n").as_bytes(), OLD.as_bytes()), (NEW.as_bytes(), NEW.as_bytes()), (&bytes, &bytes)]
        {
            assert_eq!(Keys::read(file, &['\n']).expect("good").at(at(0)), Ok(vec![key]));
        }
    }

    #[test]
    fn the_first_seals_and_all_open_in_a_file_and_in_a_variable() {
        let expected = Ok(vec![NEW.as_bytes(), OLD.as_bytes()]);
        assert_eq!(read(&format!("{NEW}\n\n {OLD}\n")).expect("good").at(at(0)), expected);
        let (a, b) = (NEW, "fedcba9876543210fedcba9876543210");
        let list = Keys::read(format!("{a},\n {b}").as_bytes(), &['\n', ',']).expect("good");
        assert_eq!(list.at(at(0)), Ok(vec![a.as_bytes(), b.as_bytes()]));
    }

    #[test]
    fn a_new_key_opens_at_once_seals_later_and_outlives_the_old_one() {
        let mut keys = read(OLD).expect("good");
        keys.rotate(NEW.as_bytes(), at(0), DELAY, KEEP).expect("nothing is under way");
        assert_eq!(Keys::read(&keys.text(), &['\n']).ok().as_ref(), Some(&keys), "it reads back as it was");
        let (old, new, day) = (OLD.as_bytes(), NEW.as_bytes(), 25 * 3_600);
        for (seconds, expected) in [
            (0, vec![old, new]),
            (599, vec![old, new]),
            (600, vec![new, old]),
            (599 + day, vec![new, old]),
            (600 + day, vec![new]),
        ] {
            assert_eq!(keys.at(at(seconds)), Ok(expected), "after {seconds} s");
        }
        let again = keys.clone().rotate(&[7; 32], at(599), DELAY, KEEP).expect_err("not before the first is over");
        assert!(again.to_string().contains("2027-01-15T08:10:00Z"), "{again}");
        keys.rotate(b"fedcba9876543210fedcba9876543210", at(700 + day), DELAY, KEEP).expect("the first is over");
        assert_eq!(keys.0.len(), 2, "the old one is gone from the file");
    }

    #[test]
    fn a_second_rotation_prolongs_no_key() {
        let mut keys = read(OLD).expect("good");
        keys.rotate(NEW.as_bytes(), at(0), DELAY, KEEP).expect("nothing is under way");
        let until = keys.0[1].until;
        keys.rotate(b"fedcba9876543210fedcba9876543210", at(700), DELAY, KEEP).expect("the first seals by now");
        assert_eq!((keys.0.len(), keys.0[2].until), (3, until));
    }

    #[test]
    fn what_is_wrong_is_told_by_the_number_of_the_key_and_never_by_the_key() {
        let wrong = |text: &str| read(text).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(wrong("hunter2").contains("key 1 has 7 bytes"));
        assert!(wrong(&format!("{NEW}\nhunter2 until=2026-11-26T14:10:00Z")).contains("key 2 has 7 bytes"));
        let told = wrong(&format!("{NEW} from=tomorrow"));
        assert!(told.contains("from=tomorrow") && !told.contains(NEW), "{told}");
        assert!(wrong(" \n").contains("there is no key"));
        let later = read(&format!("{NEW} from=2099-01-01T00:00:00Z")).expect("good");
        assert_eq!(later.at(at(0)), Err(KeysError::NoneSeals));
    }
}
