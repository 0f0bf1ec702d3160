//! `weir keys`: the list of keys in the secret file.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use gateway::settings::config::Config;
use gateway::settings::secret::keys::{Keys, shown};
use gateway::settings::secret::{Source, VARIABLE, name, random, replace};
use time::OffsetDateTime;

/// A ticket lives for a day, and a clock may be wrong by an hour.
const TICKETS: Duration = Duration::from_hours(25);
const MARGIN: Duration = Duration::from_hours(1);

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say which keys there are, by name, and what each is for.
    List {
        /// The configuration file, which names the secret file.
        #[arg(long, default_value = "weir.toml")]
        config: PathBuf,
    },
    /// Put a new key into the secret file: it opens at once and seals later; the old ones go on opening.
    Rotate {
        /// The configuration file, which names the secret file.
        #[arg(long, default_value = "weir.toml")]
        config: PathBuf,
        /// Minutes until the new key seals: by then every gateway must have the file.
        #[arg(long, default_value_t = 10)]
        delay_minutes: u32,
        /// Hours for which the old keys open after that. Default: until the last ticket or pass of theirs has ended.
        #[arg(long)]
        keep_hours: Option<u32>,
    },
}

pub(crate) fn run(command: &Command) -> anyhow::Result<String> {
    match command {
        Command::List { config } => Ok(list(&source(&load(config)?).read()?)),
        Command::Rotate { config, delay_minutes, keep_hours } => {
            let config = load(config)?;
            let keep = keep_hours.map_or_else(|| lives(&config), |hours| Duration::from_hours(hours.into()));
            rotate(&config, Duration::from_mins((*delay_minutes).into()), keep)
        }
    }
}

fn load(file: &std::path::Path) -> anyhow::Result<Config> {
    Config::load(file).map_err(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(told.join("\n"))
    })
}

fn source(config: &Config) -> Source {
    Source::of(&config.store.secret_file)
}

/// How long something that a key has sealed may be shown.
fn lives(config: &Config) -> Duration {
    let passes = config.rooms.iter().map(|room| room.session_duration + MARGIN);
    passes.max().unwrap_or_default().max(TICKETS)
}

fn list(keys: &Keys) -> String {
    let now = OffsetDateTime::now_utc();
    let sealing = keys.at(now).ok().and_then(|secrets| secrets.first().map(|secret| secret.to_vec()));
    let line = |key: &gateway::settings::secret::keys::Key| {
        let until = key.until.map(|until| format!(" until {}", shown(until))).unwrap_or_default();
        let what = match key.from {
            _ if key.until.is_some_and(|until| until <= now) => "is over".to_owned(),
            _ if sealing.as_ref() == Some(&key.secret) => "seals and opens".to_owned(),
            Some(from) if from > now => format!("opens, seals from {}", shown(from)),
            _ => "opens".to_owned(),
        };
        format!("{}  {what}{until}\n", name(&key.secret))
    };
    keys.0.iter().map(line).collect()
}

fn rotate(config: &Config, delay: Duration, keep: Duration) -> anyhow::Result<String> {
    let Source::File(path) = source(config) else {
        bail!(
            "the keys are in {VARIABLE}: add the new one there behind the old, restart all gateways, put it first, restart them again"
        );
    };
    let mut keys = source(config).read()?;
    let now = OffsetDateTime::now_utc();
    keys.rotate(random()?.as_bytes(), now, delay, keep)?;
    replace(&path, &keys.text())?;
    let from = keys.0.first().and_then(|key| key.from).map(shown).context("a new key has its time")?;
    Ok(format!(
        "{}{} has the new key. Every gateway must have this file before {from}: until then the old key seals.\n\
         GET /api/gateways names the keys of each. If the shop checks Weir-Signature, it must know the new key by then.\n",
        list(&keys),
        path.display(),
    ))
}
