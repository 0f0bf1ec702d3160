//! `loadtest check`: what a scenario means, before it is run; `loadtest scenarios`: the ones that ship.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use launch_model::arrivals::Arrivals;
use launch_model::file::shipped;
use launch_model::forecast::{Forecast, Moment};
use launch_model::persona::Persona;
use launch_model::scenario::{Phase, Scenario};

use super::usage;

/// Most rows of the picture.
const ROWS: f64 = 36.0;
/// Row lengths in seconds: the first one that gives few enough rows is taken.
const STEPS: [f64; 14] = [0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
/// Width of the longest bar, in characters.
const WIDTH: f64 = 40.0;

#[derive(Args)]
pub(crate) struct Check {
    /// The name of a scenario that ships, or a file
    #[arg(required_unless_present = "all")]
    scenario: Vec<String>,
    /// All scenarios that ship
    #[arg(long)]
    all: bool,
}

impl Check {
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let shipped = shipped::ALL.iter().filter(|_| self.all).map(|(name, _)| *name);
        let names = shipped.chain(self.scenario.iter().map(String::as_str));
        let mut all_sound = true;
        for name in names {
            match Scenario::find(name) {
                Ok(scenario) => print!("{}", show(&scenario)),
                Err(diagnostics) => {
                    all_sound = false;
                    eprintln!("{diagnostics}");
                }
            }
        }
        if all_sound { Ok(ExitCode::SUCCESS) } else { Err(usage("a scenario makes no sense")) }
    }
}

/// Reads a scenario for a command; its author is told everything that is wrong.
pub(crate) fn read(name: &str) -> anyhow::Result<Scenario> {
    Scenario::find(name).map_err(|diagnostics| usage(diagnostics.to_string()))
}

/// One line for each scenario that ships.
pub(crate) fn list() -> anyhow::Result<ExitCode> {
    for (name, _) in shipped::ALL {
        let scenario = read(name)?;
        let (visitors, length) = (whole(Arrivals::of(&scenario).expected()), clock(scenario.closes().as_secs_f64()));
        println!("{name:15} {visitors:>9} visitors in {length:>5}   {}", scenario.about);
    }
    Ok(ExitCode::SUCCESS)
}

/// A scenario for people to read.
fn show(scenario: &Scenario) -> String {
    let forecast = Forecast::of(scenario);
    let blocks = [
        head(scenario),
        phases(scenario),
        attacks(scenario),
        faults(scenario),
        picture(&forecast),
        people(scenario),
        journey(scenario),
        outcome(scenario, &forecast),
    ];
    blocks.into_iter().filter(|block| !block.is_empty()).collect::<Vec<_>>().join("\n") + "\n"
}

fn head(scenario: &Scenario) -> String {
    let room = &scenario.room;
    let seats =
        room.total_active_users.map_or_else(String::new, |seats| format!(", at most {} inside", whole(seats as f64)));
    format!(
        "{}: {}\nroom {} at {}: {} new shoppers a second, {} at once on top{seats}, passes of {}\n",
        scenario.name,
        scenario.about,
        room.name,
        room.path,
        rate(room.rate()),
        whole(room.burst()),
        room.session_duration,
    )
}

fn phases(scenario: &Scenario) -> String {
    let mut text = String::from("    from      to    visitors   a second\n");
    let arrivals = Arrivals::of(scenario);
    let mut start = 0.0;
    for phase in &scenario.arrivals {
        let (length, rates) = described(phase);
        let end = start + length;
        let visitors = whole(arrivals.expected_by(end) - arrivals.expected_by(start));
        let _ = writeln!(text, "{:>8}{:>8}{visitors:>12}   {rates}", clock(start), clock(end));
        start = end;
    }
    text
}

/// The attacks on the site meanwhile; empty if there are none.
fn attacks(scenario: &Scenario) -> String {
    let mut text = String::new();
    for attack in &scenario.attacks {
        let (from, until) = (clock(attack.from.seconds()), clock(attack.until().as_secs_f64()));
        let _ = writeln!(
            text,
            "{from:>8}{until:>8}   {}: {} connections of {} addresses, {} a second",
            attack.kind.name(),
            whole(f64::from(attack.connections)),
            whole(f64::from(attack.addresses)),
            rate(attack.rate),
        );
    }
    text
}

/// What is done to the shop meanwhile; empty if it is nothing.
fn faults(scenario: &Scenario) -> String {
    let mut text = String::new();
    for fault in &scenario.shop.faults {
        let (from, until) = (clock(fault.from.seconds()), clock(fault.until().as_secs_f64()));
        let (stage, share) = (fault.stage.name(), fault.share * 100.0);
        let _ = writeln!(text, "{from:>8}{until:>8}   the {stage} stage of the shop has {share:.0} % of its pool");
    }
    text
}

/// Length of a phase in seconds, and its rates in words.
fn described(phase: &Phase) -> (f64, String) {
    match phase {
        Phase::Flat { rate: all, r#for } => (r#for.seconds(), rate(*all)),
        Phase::Ramp { from, to, r#for } => (r#for.seconds(), format!("{} to {}", rate(*from), rate(*to))),
        Phase::Step { from, to, steps, r#for } => {
            (r#for.seconds(), format!("{} to {} in {steps} steps", rate(*from), rate(*to)))
        }
        Phase::Burst { rate: usual, times, r#for } => {
            (r#for.seconds(), format!("{}: {times} times {}", rate(usual * times), rate(*usual)))
        }
        Phase::Replay { counts, interval, file, .. } => {
            let of = file.as_ref().map_or_else(String::new, |file| format!(" of {}", file.display()));
            (interval.seconds() * counts.len() as f64, format!("{} counts{of}, one each {interval}", counts.len()))
        }
    }
}

/// Arrivals and the line over time.
fn picture(forecast: &Forecast) -> String {
    let step = STEPS.into_iter().find(|step| forecast.seconds / step <= ROWS).unwrap_or(forecast.seconds / ROWS);
    let rows = (forecast.seconds / step).ceil() as u32;
    let moments: Vec<Moment> = (0..=rows).filter_map(|row| forecast.at(f64::from(row) * step)).collect();
    let rates: Vec<f64> = moments.windows(2).map(|pair| (pair[1].arrived - pair[0].arrived) / step).collect();
    let most = rates.iter().copied().fold(0.0, f64::max);
    let mut text = format!("    until     waiting    wait    arrivals a second, {} a row\n", clock(step));
    for (moment, &arrivals) in moments.iter().skip(1).zip(&rates) {
        let (waiting, wait) = match moment.waiting {
            waiting if waiting < 1.0 => ("-".into(), "-".into()),
            waiting => (whole(waiting), clock(moment.wait.round())),
        };
        let bar = format!("{} {}", bar(arrivals / most), rate(arrivals));
        let _ = writeln!(text, "{:>9}{waiting:>12}{wait:>8}    {}", clock(moment.at), bar.trim_start());
    }
    text
}

/// A bar of up to [`WIDTH`] characters, to an eighth of one.
fn bar(share: f64) -> String {
    let eighths = if share.is_finite() { (share * WIDTH * 8.0).round() as usize } else { 0 };
    let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + rest
}

fn people(scenario: &Scenario) -> String {
    let visitors = Arrivals::of(scenario).expected();
    let share = |persona: Persona| (persona, scenario.share(persona));
    let here = Persona::ALL.into_iter().map(share).filter(|(_, share)| *share > 0.0);
    let (cheats, honest): (Vec<_>, Vec<_>) = here.partition(|(persona, _)| persona.is_adversary());
    let mut text = String::from("    who                visitors\n");
    for (title, group) in [("", honest), ("    of whom nobody may get what is not theirs\n", cheats)] {
        text += if group.is_empty() { "" } else { title };
        for (persona, share) in group {
            let (name, visitors) = (persona.name(), whole(share * visitors));
            let _ = writeln!(text, "    {name:16}{visitors:>11}{:>8.2} %", share * 100.0);
        }
    }
    text
}

/// What people do in a shop other than the demo shop.
fn journey(scenario: &Scenario) -> String {
    let Some(journey) = &scenario.journey else { return String::new() };
    let mut text = String::from("    the journey\n");
    for (number, step) in (1..).zip(&journey.steps) {
        let _ = writeln!(text, "    {number:>3}  {}{}", step.title(), if step.order { ", an order" } else { "" });
    }
    if !journey.has_order() {
        text += "         no step says order = true, so that nobody is said to have bought anything\n";
    }
    text
}

fn outcome(scenario: &Scenario, forecast: &Forecast) -> String {
    let mut text = String::from("    if everybody does as told, and nothing is slow\n");
    let mut line = |what: &str, value: String| {
        let _ = writeln!(text, "    {what:24}{value}");
    };
    line(
        "visitors",
        format!("{} by {}", whole(forecast.visitors), clock(Arrivals::of(scenario).length().as_secs_f64())),
    );
    match forecast.worst() {
        Some(worst) if worst.waiting >= 1.0 => {
            line("most waiting", format!("{} at {}", whole(worst.waiting), clock(worst.at.round())));
            line("longest wait", format!("{}, for whoever comes then", clock(worst.wait.round())));
        }
        _ => line("most waiting", "nobody waits".into()),
    }
    for (begin, end) in &forecast.stands {
        let end = end
            .map_or_else(|| format!("still stands at closing, {}", clock(forecast.seconds)), |end| clock(end.round()));
        line("a line stands", format!("{} to {end}", clock(begin.round())).replace("to still", "and still"));
    }
    line(
        "let in by closing",
        format!("{} by {}, then {} to finish", whole(forecast.let_in), clock(forecast.seconds), scenario.grace),
    );
    line("inside at once", whole(forecast.inside));
    line("requests a second", format!("{} at most", whole(forecast.requests)));
    let enough = if forecast.has_ports() { "" } else { ": more than there are; raise wire.addresses" };
    line(
        "ports of each address",
        format!("about {} of {} addresses{enough}", whole(forecast.ports.ceil()), scenario.wire.addresses),
    );
    text
}

/// Seconds as `1:05`, or `0:00.5`.
fn clock(seconds: f64) -> String {
    let tenths = (seconds * 10.0).round() as u64;
    let (minutes, tenths) = (tenths / 600, tenths % 600);
    match tenths % 10 {
        0 => format!("{minutes}:{:02}", tenths / 10),
        rest => format!("{minutes}:{:02}.{rest}", tenths / 10),
    }
}

/// A whole number with its thousands apart.
fn whole(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate to three digits.
fn rate(rate: f64) -> String {
    match rate {
        rate if rate >= 100.0 || rate.fract() == 0.0 => whole(rate),
        rate => format!("{rate:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_is_shown_as_a_timeline() {
        insta::assert_snapshot!(show(&read("nike-launch").unwrap()));
    }

    #[test]
    fn a_fault_of_the_shop_stands_in_the_timeline() {
        let shown = show(&read("payment-stall").unwrap());
        assert!(shown.contains("    1:50    2:50   the payment stage of the shop has 10 % of its pool"), "{shown}");
    }

    #[test]
    fn on_a_calm_day_nobody_waits() {
        let shown = show(&read("calm-day").unwrap());
        assert!(shown.contains("nobody waits"), "{shown}");
        assert!(!shown.contains("a line stands"), "{shown}");
    }

    #[test]
    fn both_spots_on_television_bring_a_line_that_is_gone_again() {
        let forecast = Forecast::of(&read("tv-spot").unwrap());
        assert_eq!(forecast.stands.len(), 2, "{:?}", forecast.stands);
        assert!(forecast.stands.iter().all(|(_, end)| end.is_some()), "{:?}", forecast.stands);
    }

    #[test]
    fn every_scenario_that_ships_has_ports_enough() {
        for (name, _) in shipped::ALL {
            let forecast = Forecast::of(&read(name).unwrap());
            assert!(forecast.has_ports(), "{name}: {}", forecast.ports);
        }
    }

    #[test]
    fn the_launch_of_the_bench_makes_sense_and_a_line_stands_to_its_end() {
        let launch = read(concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/shield.d/launch.toml")).unwrap();
        let forecast = Forecast::of(&launch);
        assert!(forecast.has_ports() && forecast.stands.iter().all(|(_, end)| end.is_none()), "{:?}", forecast.stands);
    }

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!([0.4, 999.0, 1_000.0, 1_234_567.0].map(whole), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 65.0, 0.5, 600.0].map(clock), ["0:00", "1:05", "0:00.5", "10:00"]);
        assert_eq!([0.05, 0.5, 1.0].map(bar), ["██", &"█".repeat(20), &"█".repeat(40)]);
    }
}
