//! The command `weir`.

mod audit;
mod event;
mod keys;
mod operators;
mod verify_draw;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use gateway::ops::operator::{self, Address, Change, Operator};
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
        /// Why, for those who read the audit.
        #[arg(long)]
        why: Option<String>,
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
        /// Even if it ends a Pause, Close, Last call or Stop that an operator has set.
        #[arg(long)]
        undo: bool,
        /// Why, for those who read the audit.
        #[arg(long)]
        why: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Let the line of a room stand; newcomers join it.
    Pause(On),
    /// Let it move again.
    Resume(On),
    /// Set how many new shoppers may enter a room in a minute.
    Rate {
        #[command(flatten)]
        on: On,
        /// A number, or a step such as +10% or -10%.
        #[arg(allow_hyphen_values = true)]
        to: String,
    },
    /// Set how many shoppers may be inside a room at once.
    Seats {
        #[command(flatten)]
        on: On,
        /// A number, or a step such as +10% or -10%.
        #[arg(allow_hyphen_values = true)]
        to: String,
    },
    /// Tell those who wait something; without a text, nothing any more.
    Message {
        #[command(flatten)]
        on: On,
        /// A text in a language of the page, such as en="We restock at 20:00".
        #[arg(value_parser = text_in_a_language)]
        texts: Vec<(String, String)>,
    },
    /// Close a room: newcomers get 503 and a page, the line stands, places and passes are kept.
    Close(On),
    /// Open a room again after close, last-call or stop.
    Reopen(On),
    /// Take no new places in a room, and serve those that it has given.
    LastCall(On),
    /// Stop a room: 503 for all but `return_paths`, and all passes end.
    Stop(On),
    /// Let everybody into a room for some minutes.
    Open {
        #[command(flatten)]
        on: On,
        /// For how long, at most 60; 0 ends it.
        #[arg(long)]
        minutes: u64,
    },
    /// Let some who wait in a room in now: the line stands until the rate has paid for them.
    LetIn {
        #[command(flatten)]
        on: On,
        /// How many: at most a minute of the rate.
        shoppers: u64,
    },
    /// Start an event of a room now. It cannot be undone.
    StartEvent {
        #[command(flatten)]
        on: On,
        /// The event; default: the one in its pre-queue.
        event: Option<String>,
    },
    /// End the pass of one shopper, or give up the place.
    Revoke {
        #[command(flatten)]
        on: On,
        /// Its id, as in `Weir-Pass-Id`, such as 5.42.
        pass: String,
    },
    /// Give one shopper a place at the front of a room: prints the path of a page to send them.
    GivePlace(On),
    /// Show or check what operators did.
    Audit {
        #[command(subcommand)]
        command: audit::Command,
    },
    /// List the versions of the rooms, or print one.
    Versions {
        /// Its number.
        number: Option<u64>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Look at the events of a file.
    Event {
        #[command(subcommand)]
        command: event::Command,
    },
    /// Say who may do what at the admin listener.
    Operators {
        #[command(subcommand)]
        command: operators::Command,
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

/// The room of an action, and why.
#[derive(Args)]
struct On {
    /// The name of the room.
    room: String,
    /// Why, for those who read the audit.
    #[arg(long)]
    why: String,
    /// The version that must be in force.
    #[arg(long)]
    from: Option<u64>,
    #[command(flatten)]
    reach: Reach,
}

impl On {
    /// Does this action, with what else it takes.
    fn act(self, action: &'static str, more: operator::Command) -> anyhow::Result<String> {
        let Self { room, why, from, reach } = self;
        let command = operator::Command { action, room, why, from, ..more };
        reach.ask(async |gateway| gateway.act(command).await)
    }

    fn just(self, action: &'static str) -> anyhow::Result<String> {
        self.act(action, operator::Command::default())
    }
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
    /// Address of an admin listener, instead of the one in the file: `127.0.0.1:9090` or `https://weir.internal:9090`.
    #[arg(long)]
    admin: Option<Address>,
    /// File with the token that it asks for, with --admin.
    #[arg(long, requires = "admin")]
    token_file: Option<PathBuf>,
    /// File with the authorities of its certificate, with --admin https://...; those of the system unless given.
    #[arg(long, requires = "admin")]
    ca_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(file) => return serve(file.path()),
        Command::Check(file) => return check(file.path()),
        Command::Schema => serde_json::to_string_pretty(&config::schema()).map(|text| text + "\n").map_err(Into::into),
        Command::Apply { rooms, from, dry_run, why, reach } => {
            apply(&rooms, &Change { from, dry_run, why, undo: false }, &reach)
        }
        Command::Rollback { to, dry_run, undo, why, reach } => {
            let change = Change { from: None, dry_run, undo, why };
            reach.ask(async |gateway| gateway.rollback(to, &change).await)
        }
        Command::Pause(on) => on.just("pause"),
        Command::Resume(on) => on.just("resume"),
        Command::Close(on) => on.just("close"),
        Command::Reopen(on) => on.just("reopen"),
        Command::LastCall(on) => on.just("last-call"),
        Command::Stop(on) => on.just("stop"),
        Command::Rate { on, to } => on.act("rate", with_amount(to)),
        Command::Seats { on, to } => on.act("seats", with_amount(to)),
        Command::Message { on, texts } => {
            on.act("message", operator::Command { message: Some(texts), ..operator::Command::default() })
        }
        Command::Open { on, minutes } => {
            on.act("open", operator::Command { minutes: Some(minutes), ..operator::Command::default() })
        }
        Command::LetIn { on, shoppers } => {
            on.act("let-in", operator::Command { shoppers: Some(shoppers), ..operator::Command::default() })
        }
        Command::StartEvent { on, event } => {
            on.act("start-event", operator::Command { event, ..operator::Command::default() })
        }
        Command::Revoke { on, pass } => {
            on.act("revoke", operator::Command { pass: Some(pass), ..operator::Command::default() })
        }
        Command::GivePlace(on) => on.just("give-place"),
        Command::Audit { command } => audit::run(command),
        Command::Operators { command } => operators::run(command),
        Command::Versions { number: Some(number), reach } => reach.ask(async |gateway| gateway.text(number).await),
        Command::Versions { number: None, reach } => reach.ask(async |gateway| gateway.versions().await),
        Command::Event { command } => event::run(&command),
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
    let gateway = Operator::of(config)?;
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

fn with_amount(to: String) -> operator::Command {
    operator::Command { to: Some(to), ..operator::Command::default() }
}

/// `en="a text"`.
fn text_in_a_language(written: &str) -> Result<(String, String), String> {
    let parts = written.split_once('=').map(|(language, text)| (language.to_owned(), text.to_owned()));
    parts.ok_or_else(|| "write the language before it, such as en=\"We restock at 20:00\"".to_owned())
}

fn apply(rooms: &Path, change: &Change, reach: &Reach) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(rooms).with_context(|| rooms.display().to_string())?;
    reach.ask(async |gateway| gateway.apply(text, change).await)
}

impl Reach {
    fn ask(&self, ask: impl AsyncFnOnce(&Operator) -> anyhow::Result<String>) -> anyhow::Result<String> {
        let gateway = self.gateway()?;
        block_on(ask(&gateway))
    }

    fn gateway(&self) -> anyhow::Result<Operator> {
        if let Some(admin) = &self.admin {
            return Operator::at(admin.clone(), self.token_file.as_deref(), self.ca_file.as_deref());
        }
        let config = told_of(&self.config, Config::review(&self.config))
            .context("the configuration says where the admin listener is; or use --admin")?;
        Operator::of(&config)
    }
}

fn block_on<T>(asked: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(asked)
}
