//! `weir operators`: who may do what at the admin listener.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use gateway::ops::operators::{Role, add, remove};
use gateway::settings::config::Config;

/// What is done with operators.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Add one, and print the token: it is shown this once.
    Add {
        /// The name, as it stands in the audit.
        name: String,
        /// What they may: viewer looks, operator acts on rooms, admin changes them.
        #[arg(long)]
        role: Role,
        #[command(flatten)]
        place: Place,
    },
    /// Take one out: the token ends at once.
    Remove {
        /// The name.
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

/// The file of operators.
#[derive(Args)]
pub(crate) struct Place {
    /// The configuration file, which names it (`listen.admin_operators_file`).
    #[arg(long, default_value = "weir.toml")]
    config: PathBuf,
    /// The file itself.
    #[arg(long)]
    file: Option<PathBuf>,
}

impl Place {
    fn file(self) -> anyhow::Result<PathBuf> {
        if let Some(file) = self.file {
            return Ok(file);
        }
        let config = crate::told_of(&self.config, Config::review(&self.config))
            .context("the configuration says where the operators are; or use --file")?;
        config
            .listen
            .admin_operators_file
            .context("the configuration has no listen.admin_operators_file; or use --file")
    }
}

pub(crate) fn run(command: Command) -> anyhow::Result<String> {
    match command {
        Command::Add { name, role, place } => Ok(format!("{}\n", add(&place.file()?, &name, role)?)),
        Command::Remove { name, place } => {
            remove(&place.file()?, &name)?;
            Ok(format!("{name} is no operator any more\n"))
        }
    }
}
