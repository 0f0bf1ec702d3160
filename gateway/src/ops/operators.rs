//! Operators by name: what each may do, and the file with the hashes of their tokens.
//!
//! ```text
//! kim operator $argon2id$v=19$m=19456,t=2,p=1$...
//! ```
//!
//! A token names its operator (`kim.` and 256 random bits), so that one hash is computed for it and not one for each line. It is
//! computed once: a token that was good is known by its SHA-256 as long as the file stays what it was. How often hashes are
//! computed is bounded: each costs some milliseconds and 19 MiB.
//!
//! Out of scope: which call takes which role (`admin`), and log-in by a browser.

use std::collections::HashMap;
use std::fmt;
use std::io::{ErrorKind, Write as _};
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Context as _, bail, ensure};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::task::spawn_blocking;

/// Hashes that may be computed in a second, and at once.
const HASHES: (u32, u32) = (2, 10);
/// Tokens that are known.
const KNOWN: usize = 256;
/// Bytes of a name.
const LONGEST_NAME: usize = 32;
/// Bytes of a token.
const LONGEST_TOKEN: usize = 200;
/// Names that the audit has for others.
const TAKEN: [&str; 3] = ["admin", "local", "weir"];

/// What an operator may do, and everything that the ones before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Viewer,
    /// Act on a room.
    Operator,
    /// Change the rooms.
    Admin,
}

impl Role {
    const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let role = Self::ALL.into_iter().find(|role| role.name() == name);
        role.ok_or_else(|| format!("{name:?} is no role; write viewer, operator or admin"))
    }
}

/// An operator, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    name: String,
    role: Role,
    hash: String,
}

fn read(text: &str) -> Result<Vec<Written>, String> {
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let written = |(at, line): (usize, &str)| {
        let wrong = |what: &str| {
            format!("line {}: {what}: write a name, a role and a hash, as weir operators add does", at + 1)
        };
        let mut parts = line.split_ascii_whitespace();
        let (Some(name), Some(role), Some(hash), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong("there are not three words"));
        };
        let role = role.parse().map_err(|error: String| wrong(&error))?;
        PasswordHash::new(hash).map_err(|_| wrong("the third word is no hash"))?;
        Ok(Written { name: name.to_owned(), role, hash: hash.to_owned() })
    };
    lines.map(written).collect()
}

/// Adds an operator to the file and returns the token, which is written nowhere.
///
/// # Errors
/// If the name cannot be used or is there, or the file cannot be read or written.
pub fn add(file: &Path, name: &str, role: Role) -> anyhow::Result<String> {
    let good = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    ensure!(good, "{name:?} is no name: write 1 to {LONGEST_NAME} of a-z, 0-9 and \"-\"");
    ensure!(!TAKEN.contains(&name), "{name:?} stands for another in the audit: take another name");
    let text = contents(file)?;
    let known = read(&text).map_err(|wrong| anyhow::anyhow!("{}: {wrong}", file.display()))?;
    ensure!(known.iter().all(|known| known.name != name), "{name:?} is there: weir operators remove {name}");
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    let token = format!("{name}.{}", URL_SAFE_NO_PAD.encode(random));
    let hash =
        Argon2::default().hash_password(token.as_bytes()).map_err(|error| anyhow::anyhow!("no hash: {error}"))?;
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    replace(file, &format!("{text}{end}{name} {role} {hash}\n"))?;
    Ok(token)
}

/// Takes an operator out of the file: the token ends with that, at every gateway that reads it.
///
/// # Errors
/// If nobody has that name, or the file cannot be read or written.
pub fn remove(file: &Path, name: &str) -> anyhow::Result<()> {
    let text = contents(file)?;
    let is = |line: &&str| line.split_ascii_whitespace().next() == Some(name);
    if !text.lines().any(|line| is(&line)) {
        bail!("{}: no operator is called {name:?}", file.display());
    }
    replace(file, &text.lines().filter(|line| !is(line)).flat_map(|line| [line, "\n"]).collect::<String>())
}

fn contents(file: &Path) -> anyhow::Result<String> {
    match std::fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        read => read.with_context(|| file.display().to_string()),
    }
}

/// Writes a file of hashes as a whole, for its owner alone.
fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let mut next = file.as_os_str().to_owned();
    next.push(".new");
    let write = || {
        let mut open = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        open.write_all(text.as_bytes())?;
        open.sync_all()?;
        std::fs::rename(&next, file)
    };
    write().with_context(|| file.display().to_string())
}

/// What a file looked like.
type Stamp = Option<(SystemTime, u64)>;

/// Operators by the SHA-256 of their tokens, as long as the file looks like this.
#[derive(Default)]
struct Known {
    stamp: Stamp,
    by_token: HashMap<[u8; 32], (String, Role)>,
}

/// The operators of a gateway.
pub(crate) struct Operators {
    file: PathBuf,
    known: Mutex<Known>,
    hashes: DefaultDirectRateLimiter,
}

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Of this operator; `new`: for the first time.
    Of { name: String, role: Role, new: bool },
    /// Of nobody. Named is who it claims to be, if that is a name.
    Wrong(Option<String>),
    /// Too many wrong or new ones came lately.
    TooMany,
}

impl Operators {
    /// The operators in this file.
    pub(crate) fn of(file: &Path) -> Self {
        let [per_second, burst] = [HASHES.0, HASHES.1].map(|number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN));
        let hashes = RateLimiter::direct(Quota::per_second(per_second).allow_burst(burst));
        Self { file: file.to_owned(), known: Mutex::default(), hashes }
    }

    /// Whose token this is.
    pub(crate) async fn show(&self, token: &[u8]) -> Shown {
        let claimed = claimed_name(token);
        let Some(name) = claimed.clone() else { return Shown::Wrong(None) };
        let file = self.file.clone();
        let stamp = spawn_blocking(move || stamp_of(&file)).await.ok().flatten();
        let key = key_of(token);
        if let Some((name, role)) = self.known(stamp, &key) {
            return Shown::Of { name, role, new: false };
        }
        if self.hashes.check().is_err() {
            return Shown::TooMany;
        }
        let (file, token) = (self.file.clone(), token.to_owned());
        let found = spawn_blocking(move || found(&file, &name, &token)).await.ok().flatten();
        let Some((name, role)) = found else { return Shown::Wrong(claimed) };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.by_token.len() >= KNOWN {
            known.by_token.clear();
        }
        // The file may be another by now: who was found in the old one is not known then.
        if known.stamp == stamp {
            known.by_token.insert(key, (name.clone(), role));
        }
        Shown::Of { name, role, new: true }
    }

    /// The operator of a token that was good before, if the file is the same.
    fn known(&self, stamp: Stamp, key: &[u8; 32]) -> Option<(String, Role)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.stamp != stamp {
            *known = Known { stamp, ..Known::default() };
        }
        known.by_token.get(key).cloned()
    }
}

fn claimed_name(token: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(token).ok().filter(|text| text.len() <= LONGEST_TOKEN)?;
    let (name, _) = text.split_once('.')?;
    (1..=LONGEST_NAME).contains(&name.len()).then(|| name.to_owned())
}

fn key_of(token: &[u8]) -> [u8; 32] {
    let hash = digest(&SHA256, token);
    std::array::from_fn(|at| hash.as_ref().get(at).copied().unwrap_or_default())
}

fn stamp_of(file: &Path) -> Stamp {
    let about = std::fs::metadata(file).ok()?;
    Some((about.modified().ok()?, about.len()))
}

/// Holds a token against the line of the operator that it names.
fn found(file: &Path, name: &str, token: &[u8]) -> Option<(String, Role)> {
    let text = std::fs::read_to_string(file).inspect_err(|error| {
        tracing::error!(file = %file.display(), %error, "the operators cannot be read");
    });
    let operators = read(&text.ok()?).inspect_err(|wrong| {
        tracing::error!(file = %file.display(), wrong, "the operators cannot be read");
    });
    let operator = operators.ok()?.into_iter().find(|operator| operator.name == name)?;
    let hash = PasswordHash::new(&operator.hash).ok()?;
    Argon2::default().verify_password(token, &hash).ok()?;
    Some((operator.name, operator.role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_is_shown_once_and_kept_as_a_hash_and_ends_when_its_operator_is_taken_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("operators");
        let (kim, lee) = (add(&file, "kim", Role::Operator).unwrap(), add(&file, "lee", Role::Viewer).unwrap());
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("kim operator $argon2id$v=19$") && !text.contains(&kim), "{text}");
        let operators = Operators::of(&file);
        let of = |name: &str, role, new| Shown::Of { name: name.to_owned(), role, new };
        assert_eq!(operators.show(kim.as_bytes()).await, of("kim", Role::Operator, true));
        assert_eq!(operators.show(kim.as_bytes()).await, of("kim", Role::Operator, false));
        let forged = format!("kim{}", lee.strip_prefix("lee").unwrap());
        assert_eq!(operators.show(forged.as_bytes()).await, Shown::Wrong(Some("kim".to_owned())));
        remove(&file, "kim").unwrap();
        assert_eq!(operators.show(kim.as_bytes()).await, Shown::Wrong(Some("kim".to_owned())));
        assert_eq!(operators.show(lee.as_bytes()).await, of("lee", Role::Viewer, true));
        assert!(remove(&file, "kim").unwrap_err().to_string().contains("no operator is called"));
    }

    #[tokio::test]
    async fn hashes_are_computed_at_a_bounded_rate_and_what_names_nobody_costs_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("operators");
        add(&file, "kim", Role::Admin).unwrap();
        let operators = Operators::of(&file);
        for nobody in [&b""[..], b"x", b".x", &[0xff; 8], &[b'a'; 300]] {
            assert_eq!(operators.show(nobody).await, Shown::Wrong(None));
        }
        let mut answers = Vec::new();
        for _ in 0..30 {
            answers.push(operators.show(b"nobody.x").await);
        }
        assert!(answers.contains(&Shown::TooMany) && answers[0] == Shown::Wrong(Some("nobody".to_owned())));
    }

    #[test]
    fn names_that_cannot_be_used_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("operators");
        for name in ["", "Kim", "a b", "a.b", "admin", "weir", &"a".repeat(33)] {
            assert!(add(&file, name, Role::Viewer).is_err(), "{name:?}");
        }
        add(&file, "kim", Role::Viewer).unwrap();
        assert!(add(&file, "kim", Role::Admin).unwrap_err().to_string().contains("is there"));
        std::fs::write(&file, "kim boss $argon2id$x\n").unwrap();
        assert!(add(&file, "lee", Role::Admin).unwrap_err().to_string().contains("line 1"));
    }
}
