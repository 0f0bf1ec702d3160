//! The secret that tokens are sealed with: read from its file, made on the first start unless other
//! gateways must have the same.
//!
//! There is no default secret. The file holds 64 hexadecimal digits of the system's randomness and
//! is readable by its owner alone.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use policy::seal::{MIN_SECRET, Sealer};

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read or made.
    #[error("the secret file {path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds too little.
    #[error("the secret file {path} holds {found} bytes; at least {MIN_SECRET} are needed")]
    Short {
        /// Which file.
        path: String,
        /// Bytes found.
        found: usize,
    },
    /// No randomness from the system.
    #[error("the system gives no randomness for a secret")]
    NoRandomness,
}

/// The sealer with the secret in this file; if it is not there, it is made or missed.
pub fn sealer(path: &Path, may_be_made: bool) -> Result<Sealer, SecretError> {
    let name = || path.display().to_string();
    let failed = |source| SecretError::File { path: name(), source };
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && may_be_made => make(path)?,
        Err(error) => return Err(failed(error)),
    };
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = name(), "the secret file is readable by others; chmod 600 it");
    }
    let secret = text.trim_ascii();
    Sealer::new(secret).map_err(|weak| SecretError::Short { path: name(), found: weak.0 })
}

fn make(path: &Path) -> Result<Vec<u8>, SecretError> {
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| SecretError::NoRandomness)?;
    let mut text = String::new();
    for byte in random {
        let _ = write!(text, "{byte:02x}");
    }
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| SecretError::File { path: path.display().to_string(), source })?;
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_makes_a_secret_that_only_its_owner_reads_and_the_second_keeps_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("weir.secret");
        sealer(&path, false).expect_err("nobody has made it");
        sealer(&path, true).expect("made");
        let first = std::fs::read(&path).expect("there");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        sealer(&path, false).expect("read");
        assert_eq!(std::fs::read(&path).expect("there"), first);
    }

    #[test]
    fn a_short_secret_is_refused_with_its_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("weir.secret");
        std::fs::write(&path, "hunter2").expect("written");
        let error = sealer(&path, true).expect_err("too short").to_string();
        assert!(error.contains("weir.secret") && error.contains("7 bytes"), "{error}");
    }
}
