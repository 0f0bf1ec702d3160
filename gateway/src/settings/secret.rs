//! The secret that seals tokens: from the environment or a file, made on the first start
//! unless other gateways must have the same, and replaceable while running.
//!
//! There is no default secret. A file made here holds 64 hexadecimal digits of the system's
//! randomness and is readable by its owner alone.
//!
//! Out of scope: the list of keys as such ([`keys`]).

pub mod keys;

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use policy::audit::hex;
use policy::seal::{Sealer, WeakSecret};
use time::OffsetDateTime;

use keys::{Keys, KeysError};

/// The variable that overrides the file.
pub const VARIABLE: &str = "WEIR_SECRET";

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read or made.
    #[error("the secret file {path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The text is no list of keys.
    #[error("{place}: {source}")]
    Keys {
        /// Its place.
        place: String,
        /// The problem.
        source: KeysError,
    },
    /// No randomness from the system.
    #[error("the system gives no randomness for a secret")]
    NoRandomness,
    /// A key is too short, as the sealer says.
    #[error(transparent)]
    Weak(#[from] WeakSecret),
}

/// The place of the keys.
#[derive(Debug, Clone)]
pub enum Source {
    /// In [`VARIABLE`]: a list by commas or lines. It stays as it is while the process runs.
    Environment(Vec<u8>),
    /// In a file: one key a line.
    File(PathBuf),
}

impl Source {
    /// The variable if it is set, else this file.
    pub fn of(file: &Path) -> Self {
        match std::env::var_os(VARIABLE) {
            Some(list) => Self::Environment(list.into_encoded_bytes()),
            None => Self::File(file.to_owned()),
        }
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read(&self) -> Result<Keys, SecretError> {
        let (bytes, separators, place) = match self {
            Self::Environment(list) => (list.clone(), &[',', '\n'] as &[char], VARIABLE.to_owned()),
            Self::File(path) => {
                let bytes = std::fs::read(path).map_err(|source| failed(path, source))?;
                (bytes, &['\n'] as &[char], format!("the secret file {}", path.display()))
            }
        };
        Keys::read(&bytes, separators).map_err(|source| SecretError::Keys { place, source })
    }
}

fn failed(path: &Path, source: std::io::Error) -> SecretError {
    SecretError::File { path: path.display().to_string(), source }
}

/// The keys in force, which change as time passes and as their file changes.
pub struct Keyring {
    source: Source,
    keys: Keys,
    /// The keys that count, the sealing one first.
    counting: Vec<Vec<u8>>,
    complaint: Option<String>,
}

impl Keyring {
    /// The keys of `source`; a missing file is made, or is an error.
    ///
    /// # Errors
    /// If there is no key that may seal.
    pub fn open(source: Source, may_be_made: bool) -> Result<(Self, Sealer), SecretError> {
        if let Source::File(path) = &source {
            if may_be_made && !path.exists() {
                make(path)?;
            }
            let mode = std::fs::metadata(path).map_err(|source| failed(path, source))?.permissions().mode();
            if mode & 0o077 != 0 {
                tracing::warn!(path = %path.display(), "the secret file is readable by others; chmod 600 it");
            }
        }
        let keys = source.read()?;
        let mut keyring = Self { source, keys, counting: Vec::new(), complaint: None };
        let sealer = keyring.sealer(OffsetDateTime::now_utc())?;
        sealer.map(|sealer| (keyring, sealer)).ok_or(SecretError::Weak(WeakSecret(0)))
    }

    /// The place of the keys.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Takes a reading, if there is one: returns a sealer if other keys count than before, and a problem, reported
    /// once. An invalid list leaves the last one in force, whose times go on.
    pub fn take(&mut self, read: Option<Result<Keys, SecretError>>) -> (Option<Sealer>, Option<SecretError>) {
        let now = OffsetDateTime::now_utc();
        let Some(read) = read else {
            return (self.sealer(now).ok().flatten(), None);
        };
        let read = read.and_then(|keys| {
            keys.at(now).map_err(none_seals)?;
            self.keys = keys;
            Ok(())
        });
        let sealer = self.sealer(now);
        let (sealer, error) = match (sealer, read) {
            (Ok(sealer), read) => (sealer, read.err()),
            (Err(error), read) => (None, Some(read.err().unwrap_or(error))),
        };
        let complaint = error.as_ref().map(ToString::to_string);
        let news = complaint != self.complaint;
        self.complaint = complaint;
        (sealer, error.filter(|_| news))
    }

    /// A sealer, if other keys count at this time than before.
    fn sealer(&mut self, now: OffsetDateTime) -> Result<Option<Sealer>, SecretError> {
        let counting = self.keys.at(now).map_err(none_seals)?;
        if self.counting.iter().map(Vec::as_slice).eq(counting.iter().copied()) {
            return Ok(None);
        }
        let sealer = Sealer::of(counting.iter().copied())?;
        self.counting = counting.into_iter().map(<[u8]>::to_vec).collect();
        Ok(Some(sealer))
    }

    /// Names of the keys that count, the sealing one first.
    pub fn names(&self) -> Vec<String> {
        self.counting.iter().map(|secret| name(secret)).collect()
    }
}

fn none_seals(source: KeysError) -> SecretError {
    SecretError::Keys { place: "the secret".to_owned(), source }
}

/// The public name of a key.
pub fn name(secret: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"weir/1/key-name");
    hex(&tag.as_ref()[..4])
}

/// A new secret.
///
/// # Errors
/// If the system gives no randomness.
pub fn random() -> Result<String, SecretError> {
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| SecretError::NoRandomness)?;
    Ok(hex(&random))
}

/// Makes the file of a new secret, atomically. Of several processes that do so at once, one succeeds and the
/// others find its file.
fn make(path: &Path) -> Result<(), SecretError> {
    let secret = random()?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", &name(secret.as_bytes())));
    let beside = PathBuf::from(beside);
    write_new(&beside, format!("{secret}\n").as_bytes())?;
    // A link, unlike a rename, does not replace an existing file.
    let linked = std::fs::hard_link(&beside, path);
    let _ = std::fs::remove_file(&beside);
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked.map_err(|source| failed(path, source)),
    }
}

fn write_new(path: &Path, text: &[u8]) -> Result<(), SecretError> {
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text)?;
        file.sync_all()
    };
    write().map_err(|source| failed(path, source))
}

/// Replaces the text of the file, atomically, with the same owner and rights.
///
/// # Errors
/// If it cannot be written.
pub fn replace(path: &Path, text: &[u8]) -> Result<(), SecretError> {
    // A symbolic link stays one.
    let path = &path.canonicalize().map_err(|source| failed(path, source))?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(&beside, error)),
        _ => {}
    }
    write_new(&beside, text)?;
    let exchange = || {
        let (old, new) = (std::fs::metadata(path)?, std::fs::metadata(&beside)?);
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            chown(&beside, Some(old.uid()), Some(old.gid()))?;
        }
        std::fs::set_permissions(&beside, old.permissions())?;
        std::fs::rename(&beside, path)
    };
    exchange().map_err(|source| failed(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Keyring {
        fn poll(&mut self) -> (Option<Sealer>, Option<SecretError>) {
            let read = self.source.read();
            self.take(Some(read))
        }
    }

    #[test]
    fn of_many_who_make_the_file_at_once_all_have_the_same_secret() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("weir.secret");
            let start = std::sync::Barrier::new(8);
            let names: Vec<_> = std::thread::scope(|scope| {
                let makers: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            open(&path, true).map(|keyring| keyring.names()).map_err(|error| error.to_string())
                        })
                    })
                    .collect();
                makers.into_iter().map(|maker| maker.join().expect("no panic")).collect()
            });
            assert!(names[0].is_ok() && names.iter().all(|name| *name == names[0]), "{names:?}");
            assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 1, "nothing is left beside it");
        }
    }

    fn open(path: &Path, may_be_made: bool) -> Result<Keyring, SecretError> {
        Keyring::open(Source::File(path.to_owned()), may_be_made).map(|(keyring, _)| keyring)
    }

    #[test]
    fn the_first_start_makes_a_secret_that_only_its_owner_reads_and_the_second_keeps_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("weir.secret");
        assert!(open(&path, false).is_err(), "nobody has made it");
        open(&path, true).expect("made");
        let first = std::fs::read(&path).expect("there");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        open(&path, false).expect("read");
        assert_eq!(std::fs::read(&path).expect("there"), first);
    }

    #[test]
    fn a_short_secret_is_refused_with_its_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("weir.secret");
        std::fs::write(&path, "hunter2").expect("written");
        let error = open(&path, true).err().expect("too short").to_string();
        assert!(error.contains("weir.secret") && error.contains("7 bytes") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_changed_file_is_taken_and_a_bad_one_is_told_once_and_changes_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("weir.secret");
        let mut keyring = open(&path, true).expect("made");
        let first = std::fs::read(&path).expect("there");
        assert!(matches!(keyring.poll(), (None, None)), "nothing has changed");
        replace(&path, b"short\n").expect("written");
        assert!(
            matches!(keyring.poll(), (None, Some(_)))
                && matches!(keyring.poll(), (None, None))
                && keyring.names().len() == 1
        );
        let more = [random().expect("random").as_bytes(), b"\n", &first].concat();
        replace(&path, &more).expect("written");
        assert!(matches!(keyring.poll(), (Some(_), None)));
        assert_eq!(keyring.names()[1], name(first.trim_ascii()));
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(&path).expect("removed");
        assert!(matches!(keyring.poll(), (None, Some(_))) && keyring.names().len() == 2);
    }
}
