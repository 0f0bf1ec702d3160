//! `weir audit`: the lines of what operators did, and whether a file of them is whole.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use policy::audit::{Fork, Head, verify};

use crate::Reach;

/// What is asked of the audit.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print the last lines that a gateway saw, as they are kept: a copy to be checked elsewhere.
    Show {
        #[command(flatten)]
        reach: Reach,
    },
    /// Check that no line of a file was changed, taken out or put in, and that its end was not cut.
    Verify {
        /// The file: of a gateway (`store.audit_file`), or printed by `weir audit show`.
        file: PathBuf,
        /// The hash of a line that was seen elsewhere, as in the log or in the status: it must be there.
        #[arg(long)]
        head: Option<String>,
    },
}

pub(crate) fn run(command: Command) -> anyhow::Result<String> {
    match command {
        Command::Show { reach } => reach.ask(async |gateway| gateway.audit().await),
        Command::Verify { file, head } => {
            let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let told = match verify(text.lines(), head.as_deref()) {
                Ok(told) => told,
                Err(broken) => bail!("{}: {broken}", file.display()),
            };
            let mut out = String::new();
            for Fork { line, after, lost } in &told.forks {
                let Head { number, hash } = lost;
                let _ = writeln!(
                    out,
                    "line {line}: a fork: the store lost what came after number {after}, up to number {number} ({hash})"
                );
            }
            let before = if told.first > 1 {
                format!(", from number {} on: older lines are elsewhere", told.first)
            } else {
                String::new()
            };
            Ok(format!("{out}{}: whole, {} lines{before}; it ends with {}\n", file.display(), told.lines, told.head))
        }
    }
}
