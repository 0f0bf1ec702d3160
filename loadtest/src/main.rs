//! The command line of the crowd and the demo shop.

mod demo;
mod keeper;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use loadtest::arrivals::{Arrivals, Phase, Spacing};
use loadtest::crowd::{Part, Sending};
use loadtest::scenario::Scenario;
use loadtest::span::Span;
use loadtest::wire::Target;

#[derive(Parser)]
#[command(version, about = "The crowd, the demo shop and the verdict")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The demo shop: a web shop that collapses when it is overrun
    Shop(keeper::ShopArgs),
    /// What Weir is for, in a minute: the shop alone, then behind Weir, under the same crowd
    Demo(DemoArgs),
}

#[derive(Args, Clone)]
struct CrowdArgs {
    /// The launch brings this many times what the shop can take
    #[arg(long, default_value_t = 50.0)]
    times: f64,
    /// Time before the launch, at half of what the shop can take
    #[arg(long, value_parser = duration, default_value = "5s")]
    calm: Duration,
    /// Length of the launch
    #[arg(long, value_parser = duration, default_value = "6s")]
    launch: Duration,
    /// Time after it, at three times what the shop can take
    #[arg(long, value_parser = duration, default_value = "7s")]
    after: Duration,
    /// Share of people who see a line and never come back, 0 to 1
    #[arg(long, default_value_t = 0.2)]
    no_shows: f64,
    /// The same seed sends the same people at the same instants
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

impl CrowdArgs {
    /// A crowd for a shop of this capacity. The line is left alone `closing` after the start, or when
    /// nobody arrives any more.
    fn sending(&self, target: Target, capacity: f64, closing: Option<Duration>) -> anyhow::Result<Sending> {
        let sane = capacity > 0.0 && (0.0..=1e6).contains(&(capacity * self.times));
        if !sane || !(0.0..=1.0).contains(&self.no_shows) {
            bail!("a crowd of {} times {capacity} with {} no-shows makes no sense", self.times, self.no_shows);
        }
        let phases = [
            Phase::flat(capacity / 2.0, self.calm),
            Phase::flat(capacity * self.times, self.launch),
            Phase::flat(capacity * 3.0, self.after),
        ];
        let arrivals = Arrivals::new(phases, Spacing::Poisson, self.seed);
        let scenario = self.scenario(closing.unwrap_or(arrivals.length()))?;
        Ok(Sending {
            scenario: Arc::new(scenario),
            arrivals,
            targets: vec![target],
            part: Part::ALL,
            start: tokio::time::Instant::now(),
        })
    }

    fn scenario(&self, closing: Duration) -> anyhow::Result<Scenario> {
        let Self { seed, no_shows, .. } = self;
        let text = format!(
            "name = 'demo'\nseed = {seed}\narrivals = []\ngrace = '6s'\n\
             shoppers = {{ patient = {}, no_show = {no_shows} }}\n[room]\nnew_users_per_minute = 60",
            1.0 - no_shows
        );
        Ok(Scenario { closing: Some(Span(closing)), ..toml::from_str(&text)? })
    }
}

#[derive(Args)]
struct DemoArgs {
    /// The weir program; otherwise the one beside this program
    #[arg(long)]
    weir: Option<PathBuf>,
    /// Write all figures to this file too
    #[arg(long)]
    json: Option<PathBuf>,
    /// Share of the shop's capacity that Weir lets in
    #[arg(long, default_value_t = 0.75)]
    share: f64,
    /// Pages for those inside should come within this time (p99)
    #[arg(long, value_parser = duration, default_value = "500ms")]
    objective: Duration,
    /// Length of the act behind Weir
    #[arg(long, value_parser = duration, default_value = "35s")]
    behind: Duration,
    /// Database queries of the shop that run at the same time
    #[arg(long, default_value_t = 20)]
    slots: usize,
    /// Database time of the product page when nobody waits
    #[arg(long, value_parser = duration, default_value = "100ms")]
    service_time: Duration,
    #[command(flatten)]
    crowd: CrowdArgs,
}

/// A duration as `250ms`, `2s` or `1m`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err("a duration has a unit: 250ms, 2s, 1m".into()),
    };
    let seconds = number.parse::<f64>().map_err(|_| "not a number")? * scale;
    Duration::try_from_secs_f64(seconds).map_err(|_| "out of range".into())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    raise_file_limit();
    let done =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime").and_then(|runtime| {
            match cli.command {
                Command::Shop(args) => runtime.block_on(keeper::run(&args)),
                Command::Demo(args) => runtime.block_on(demo::run(&args)),
            }
        });
    done.unwrap_or_else(|error| {
        eprintln!("loadtest: {error:#}");
        ExitCode::FAILURE
    })
}

/// A crowd needs a socket per shopper: take as many as the system allows without asking.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        for wrong in ["5", "ms", "-1s", "1h", "1e400s", ""] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
