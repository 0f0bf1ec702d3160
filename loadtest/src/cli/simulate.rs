//! `loadtest simulate`: a launch without sockets, judged and reported as any other.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use evidence::{Micros, micros};
use launch_model::arrivals::Arrivals;
use launch_model::file::MOST_ARRIVALS;
use launch_model::scenario::Scenario;
use launch_model::span::Span;
use loadtest::crowd::Watch;
use loadtest::simulate::{Setup, simulate};
use policy::room::Rules;
use rustix::time::{ClockId, clock_gettime};
use verdict::judge;
use verdict::report::Report;

use super::{check, usage};
use crate::run::{facts, tell};

#[derive(Args)]
pub(crate) struct Simulate {
    /// The name of a scenario that ships with this program, or a file
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// So many visitors; room, seats and stock grow or shrink with them
    #[arg(long, value_name = "N")]
    visitors: Option<u64>,
    /// Another seed than the scenario's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Sets the gateway to so many times the rate that the room promises, to see what the verdict says
    #[arg(long, value_name = "TIMES", default_value_t = 1.0)]
    rate: f64,
    /// Sets it to so many new shoppers per minute after so long, as an operator might: `40s=60`
    #[arg(long, value_name = "AFTER=PER_MINUTE", value_parser = change)]
    change: Vec<(Micros, f64)>,
    /// Where the report goes
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

impl Simulate {
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let scenario = self.scenario()?;
        if !(0.01..=100.0).contains(&self.rate) {
            return Err(usage("--rate: 0.01 to 100"));
        }
        let mut setup = Setup::of(&scenario, now_us());
        setup.rules.rate *= self.rate;
        let changed =
            |&(then, per_minute): &(Micros, f64)| (then, Rules { rate: per_minute / 60.0, ..setup.rules.clone() });
        setup.changes = self.change.iter().map(changed).collect();
        setup.changes.sort_by_key(|(then, _)| *then);
        let (started, before) = (Instant::now(), cpu_seconds());
        let evidence = simulate(&scenario, &setup, &Watch::default());
        let (took, cpu) = (started.elapsed(), cpu_seconds() - before);
        let checks = judge(&scenario, &evidence);
        let report = Report::of(&scenario, &evidence, checks, facts::simulated(&scenario));
        tell::tell(&report, self.report.as_ref())?;
        println!("{}", speed(&report, took, cpu));
        Ok(ExitCode::from(report.verdict.exit_code()))
    }

    fn scenario(&self) -> anyhow::Result<Scenario> {
        let mut scenario = check::read(&self.scenario)?;
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        if scenario.journey.is_some() {
            return Err(usage("a journey needs a shop: `loadtest run` it, or leave [journey] out"));
        }
        let Some(visitors) = self.visitors else { return Ok(scenario) };
        if !(1.0..=MOST_ARRIVALS).contains(&(visitors as f64)) {
            return Err(usage(format!("--visitors: 1 to {MOST_ARRIVALS:.0}")));
        }
        let times = visitors as f64 / Arrivals::of(&scenario).expected();
        Ok(scenario.sized(times))
    }
}

/// `40s=60`.
fn change(text: &str) -> Result<(Micros, f64), String> {
    let (after, per_minute) = text.split_once('=').ok_or("write it as 40s=60")?;
    let after: Span = after.parse().map_err(|error| format!("{error}"))?;
    let per_minute: f64 = per_minute.parse().map_err(|_| format!("{per_minute:?} is no number"))?;
    if !(1.0..=60_000_000.0).contains(&per_minute) {
        return Err("1 to 60000000 new shoppers per minute".into());
    }
    Ok((micros(after.0), per_minute))
}

fn now_us() -> i64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(unix.as_micros()).unwrap_or(0)
}

/// CPU time of this process.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// How fast the launch passed, in seconds and in CPU time.
fn speed(report: &Report, took: Duration, cpu: f64) -> String {
    let (run, took) = (&report.run, took.as_secs_f64());
    let each = cpu / run.requests.max(1) as f64 * 1e6;
    let memory = report.generators.iter().map(|generator| generator.most_memory).max().unwrap_or(0) >> 20;
    format!(
        "{:.0} s of {} visitors, {} of them waiting at once, passed in {took:.1} s, {cpu:.1} s of CPU: {} requests, {each:.1} us each, in {memory} MiB.",
        run.seconds, run.visitors, run.most_waiting, run.requests
    )
}
