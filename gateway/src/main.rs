//! The command `weir`.

mod keys;
mod verify_draw;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use gateway::ops::operator::Operator;
use gateway::settings::config::{self, Config, Diagnostic};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An admission gateway for flash sales.
#[derive(Parser)]
#[command(name = "weir", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Stand in front of a shop.
    Serve(File),
    /// Say everything that is wrong with a configuration file, and what it would change for the people in line at the
    /// gateway that runs with it. Secrets need not be here.
    Check(File),
    /// Print the JSON schema of the configuration file.
    Schema,
    /// Show what a file of rooms changes, and put it in force on every gateway.
    Apply {
        /// The file, with `room` tables alone.
        rooms: PathBuf,
        /// The version that the file was made from: refused if another is in force.
        #[arg(long)]
        from: Option<u64>,
        /// Only show.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Put an earlier version of the rooms in force again.
    Rollback {
        /// Its number; 0 for the rooms of each gateway's own file. Default: the one before.
        #[arg(long)]
        to: Option<u64>,
        /// Only show.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// List the versions of the rooms, or print one.
    Versions {
        /// Its number.
        number: Option<u64>,
        #[command(flatten)]
        reach: Reach,
    },
    /// List or rotate the keys that seal tickets and passes.
    Keys {
        #[command(subcommand)]
        command: keys::Command,
    },
    /// Check the published proof of a draw, on any computer and without a network.
    ///
    /// Exit code 0: the order is proved. 3: it was drawn without a public number, which does not bind the operator. 4: no draw took
    /// place. 5: the proof is refused. 6: the draw is not over. 2: the file cannot be read as a proof.
    VerifyDraw(verify_draw::Arguments),
}

/// The configuration file that is meant.
#[derive(Args)]
struct File {
    /// The configuration file.
    #[arg(long, default_value = "weir.toml", conflicts_with = "file")]
    config: PathBuf,
    /// The same, without `--config`.
    file: Option<PathBuf>,
}

impl File {
    fn path(&self) -> &Path {
        self.file.as_ref().unwrap_or(&self.config)
    }
}

/// How a running gateway is reached.
#[derive(Args)]
struct Reach {
    /// The configuration file of the gateway: its admin listener and token.
    #[arg(long, default_value = "weir.toml")]
    config: PathBuf,
    /// Address of an admin listener, instead of the one in the file.
    #[arg(long, value_parser = address)]
    admin: Option<SocketAddr>,
    /// File with the token that it asks for, with --admin.
    #[arg(long, requires = "admin")]
    token_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(file) => return serve(file.path()),
        Command::Check(file) => return check(file.path()),
        Command::Schema => serde_json::to_string_pretty(&config::schema()).map(|text| text + "\n").map_err(Into::into),
        Command::Apply { rooms, from, dry_run, reach } => apply(&rooms, from, dry_run, &reach),
        Command::Rollback { to, dry_run, reach } => reach.ask(async |gateway| gateway.rollback(to, dry_run).await),
        Command::Versions { number: Some(number), reach } => reach.ask(async |gateway| gateway.text(number).await),
        Command::Versions { number: None, reach } => reach.ask(async |gateway| gateway.versions().await),
        Command::Keys { command } => keys::run(&command),
        Command::VerifyDraw(arguments) => return verify_draw::run(&arguments),
    };
    told(done)
}

fn told(done: anyhow::Result<String>) -> ExitCode {
    match done {
        Ok(text) => {
            // Empty output must not wait for a reader either.
            if !text.is_empty() {
                print!("{text}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("weir: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(file: &Path) -> ExitCode {
    let Some(config) = told_of(file, Config::load(file)) else { return ExitCode::from(2) };
    told(gateway::serve(file, config).map(|()| String::new()))
}

fn check(file: &Path) -> ExitCode {
    let Some(config) = told_of(file, Config::review(file)) else { return ExitCode::from(2) };
    let (rooms, upstreams) = (counted(config.rooms.len(), "room"), counted(config.upstreams.len(), "upstream"));
    // A valid file may still exceed the machine.
    if let Some(shortage) = gateway::ops::capacity::shortage(&config) {
        eprintln!("warning: {shortage}");
    }
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
    let compared = compare(file, &config);
    let news = compared.as_ref().map_or(&[] as &[String], Vec::as_slice);
    for warning in news {
        eprintln!("warning: {warning}");
    }
    let said = match config.warnings.len() + news.len() {
        0 => "fine".to_owned(),
        some => format!("can be used, with {}", counted(some, "warning")),
    };
    println!("{}: {said} ({rooms}, {upstreams})", file.display());
    config.rooms.iter().for_each(|room| println!("  {}", room.coverage()));
    config.routes.iter().filter_map(config::RouteConfig::gate).for_each(|gate| println!("  {gate}"));
    if let Err(error) = compared {
        println!("  not compared with what is in force: {error:#}");
    }
    ExitCode::SUCCESS
}

/// The effect of the file on the people in line at the gateway of this file, if one runs.
fn compare(file: &Path, config: &Config) -> anyhow::Result<Vec<String>> {
    let admin = config.listen.admin;
    anyhow::ensure!(admin.port() != 0, "the port of the admin listener is not written");
    let gateway = Operator::at(admin, config.listen.admin_token_file.as_deref())?;
    let folder = file.parent().unwrap_or(Path::new(""));
    block_on(gateway.compare(config, folder))
}

fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// The configuration, or what is wrong with it on standard error.
fn told_of(file: &Path, read: Result<Config, Vec<Diagnostic>>) -> Option<Config> {
    let diagnostics = match read {
        Ok(config) => return Some(config),
        Err(diagnostics) => diagnostics,
    };
    for diagnostic in &diagnostics {
        eprintln!("{diagnostic}");
    }
    eprintln!("{}: {} to mend", file.display(), diagnostics.len());
    None
}

fn apply(rooms: &Path, from: Option<u64>, dry_run: bool, reach: &Reach) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(rooms).with_context(|| rooms.display().to_string())?;
    reach.ask(async |gateway| gateway.apply(text, from, dry_run).await)
}

impl Reach {
    fn ask(&self, ask: impl AsyncFnOnce(&Operator) -> anyhow::Result<String>) -> anyhow::Result<String> {
        let gateway = self.gateway()?;
        block_on(ask(&gateway))
    }

    fn gateway(&self) -> anyhow::Result<Operator> {
        if let Some(admin) = self.admin {
            return Operator::at(admin, self.token_file.as_deref());
        }
        let config = told_of(&self.config, Config::review(&self.config))
            .context("the configuration says where the admin listener is; or use --admin")?;
        Operator::at(config.listen.admin, config.listen.admin_token_file.as_deref())
    }
}

fn block_on<T>(asked: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(asked)
}

/// An address with a port, with or without `http://` before it.
fn address(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    bare.parse().map_err(|_| format!("{text:?} is not an address with a port, such as 127.0.0.1:9090"))
}
