//! The command `weir`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gateway::config::{self, Config};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An admission gateway for flash sales.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Stand in front of a shop.
    Serve {
        /// The configuration file.
        #[arg(long, default_value = "weir.toml")]
        config: PathBuf,
    },
    /// Say everything that is wrong with a configuration file.
    Check {
        /// The configuration file.
        file: PathBuf,
    },
    /// Print the JSON schema of the configuration file.
    Schema,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve { config } => serve(&config),
        Command::Check { file } => check(&file),
        Command::Schema => schema(),
    }
}

fn serve(file: &Path) -> ExitCode {
    let Some(config) = load(file) else { return ExitCode::from(2) };
    match gateway::serve(file, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(file: &Path) -> ExitCode {
    let Some(config) = load(file) else { return ExitCode::from(2) };
    println!("{}: fine ({} rooms, {} upstreams)", file.display(), config.rooms.len(), config.upstreams.len());
    ExitCode::SUCCESS
}

fn load(file: &Path) -> Option<Config> {
    let problems = match Config::load(file) {
        Ok(config) => return Some(config),
        Err(problems) => problems,
    };
    for problem in &problems {
        eprintln!("{problem}");
    }
    eprintln!("{}: {} to mend", file.display(), problems.len());
    None
}

fn schema() -> ExitCode {
    match serde_json::to_string_pretty(&config::schema()) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("weir: {error}");
            ExitCode::FAILURE
        }
    }
}
