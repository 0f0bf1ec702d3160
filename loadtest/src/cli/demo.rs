//! Arguments of `loadtest demo`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use launch_model::arrivals::{Arrivals, Phase, Spacing};
use launch_model::scenario::Scenario;
use launch_model::span::Span;
use loadtest::crowd::{Part, Sending};
use loadtest::wire::Target;

use super::usage;

#[derive(Args)]
pub(crate) struct Demo {
    /// The weir program; otherwise the one beside this program
    #[arg(long)]
    pub(crate) weir: Option<PathBuf>,
    /// Write all figures to this file too
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Share of the shop's capacity that Weir lets in
    #[arg(long, default_value_t = 0.75)]
    pub(crate) share: f64,
    /// Pages for those inside should come within this time (p99)
    #[arg(long, default_value = "500ms")]
    pub(crate) objective: Span,
    /// Length of the act behind Weir
    #[arg(long, default_value = "35s")]
    pub(crate) behind: Span,
    /// Database queries of the shop that run at the same time
    #[arg(long, default_value_t = 20)]
    pub(crate) slots: usize,
    /// Database time of the product page when no query waits
    #[arg(long, default_value = "100ms")]
    pub(crate) service_time: Span,
    #[command(flatten)]
    pub(crate) crowd: CrowdArgs,
}

#[derive(Args, Clone)]
pub(crate) struct CrowdArgs {
    /// The launch brings this many times what the shop can take
    #[arg(long, default_value_t = 50.0)]
    pub(crate) times: f64,
    /// Time before the launch, at half of what the shop can take
    #[arg(long, default_value = "5s")]
    pub(crate) calm: Span,
    /// Length of the launch
    #[arg(long, default_value = "6s")]
    pub(crate) launch: Span,
    /// Time after it, at three times what the shop can take
    #[arg(long, default_value = "7s")]
    pub(crate) after: Span,
    /// Share of people who see a line and never come back, 0 to 1
    #[arg(long, default_value_t = 0.2)]
    pub(crate) no_shows: f64,
    /// The same seed sends the same people at the same instants
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
}

impl CrowdArgs {
    /// A crowd for a shop of this capacity. Visitors outside stop asking `closing` after the start, or when
    /// no visitor arrives any more.
    pub(crate) fn sending(&self, target: Target, capacity: f64, closing: Option<Duration>) -> anyhow::Result<Sending> {
        let sane = capacity > 0.0 && (0.0..=1e6).contains(&(capacity * self.times));
        if !sane || !(0.0..=1.0).contains(&self.no_shows) {
            let Self { times, no_shows, .. } = self;
            return Err(usage(format!("a crowd of {times} times {capacity} with {no_shows} no-shows makes no sense")));
        }
        let phases = [
            Phase::flat(capacity / 2.0, self.calm.0),
            Phase::flat(capacity * self.times, self.launch.0),
            Phase::flat(capacity * 3.0, self.after.0),
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
