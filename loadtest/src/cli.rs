//! The subcommands, one file each: arguments, and what they start.
//!
//! Exit codes are the same everywhere: 0 held, 1 broken, 2 tells nothing (it could not be run, or the
//! generator was at fault), 3 wrong usage ([`usage`]).

pub(crate) mod calibrate;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod demo;
pub(crate) mod draw;
pub(crate) mod record;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod shop;
pub(crate) mod simulate;
pub(crate) mod worker;

use std::fmt;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

/// The run tells nothing.
pub(crate) const INVALID: u8 = 2;
/// The command line, or a file that it names, makes no sense.
pub(crate) const USAGE: u8 = 3;

/// A mistake on a command line, and how to correct it.
#[derive(Debug)]
struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An error that ends with exit code 3.
pub(crate) fn usage(what: impl Into<String>) -> anyhow::Error {
    Usage(what.into()).into()
}

/// Prints an error, and returns its exit code.
pub(crate) fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("loadtest: {error:#}");
    ExitCode::from(if error.is::<Usage>() { USAGE } else { INVALID })
}

/// Ends when this program is asked to stop, with the exit code that says so.
pub(crate) async fn interrupted() -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped.map(|()| ExitCode::from(130)).map_err(Into::into),
        _ = terminate.recv() => Ok(ExitCode::from(143)),
    }
}
