//! The subcommands, a file each: arguments, and what is done with them.
//!
//! Exit codes are the same everywhere: 0 it held, 1 it was broken, 2 it tells nothing (it could not be run, or the
//! generator was at fault), 3 it was asked for in a wrong way ([`usage`]).

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

/// What is wrong with a command line, and how it is put right.
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

/// Tells an error, and answers its exit code.
pub(crate) fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("loadtest: {error:#}");
    ExitCode::from(if error.is::<Usage>() { USAGE } else { INVALID })
}

/// Ends when somebody wants this program to end, with the exit code that says so.
pub(crate) async fn interrupted() -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped.map(|()| ExitCode::from(130)).map_err(Into::into),
        _ = terminate.recv() => Ok(ExitCode::from(143)),
    }
}
