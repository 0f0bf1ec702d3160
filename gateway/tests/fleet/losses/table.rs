//! The table of losses: a line for each loss, printed, and kept in the folder that `WEIR_LOSSES` names.
//!
//! A loss is met by one launch, or by as many as `WEIR_LOSSES_SEEDS` says, each with another crowd. Its line shows the
//! worst of them.

use std::fmt::Write as _;
use std::io::Write as _;

use super::account::Account;
use super::stand::Launch;

/// The seeds of the launches that meet a loss.
pub(crate) fn seeds() -> impl Iterator<Item = u64> {
    let seeds = std::env::var("WEIR_LOSSES_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    3..3 + seeds.unwrap_or(1)
}

/// Adds the row of a loss: sums of people, and of everything else the worst.
pub(crate) fn row(loss: &str, launches: &[Launch]) {
    let sum = |count: fn(&Account) -> usize| launches.iter().map(|launch| count(&launch.account)).sum::<usize>();
    let worst = |count: fn(&Account) -> usize| launches.iter().map(|launch| count(&launch.account)).max().unwrap_or(0);
    let longest = |seconds: fn(&Launch) -> f64| launches.iter().map(seconds).fold(0.0, f64::max);
    let mut row = format!("| {loss} | {} | {} | {} |", launches.len(), sum(|a| a.shoppers), sum(|a| a.entered));
    let counts: [fn(&Account) -> usize; 6] = [
        |account| account.places_lost,
        |account| account.numbers_twice,
        |account| account.second_passes,
        |account| account.positions_grown,
        |account| account.errors,
        |account| account.unanswered,
    ];
    for count in counts {
        write!(row, " {} |", worst(count)).unwrap();
    }
    let (overshoot, pause) =
        (longest(|launch| launch.account.overshoot), longest(|launch| launch.account.longest_pause()));
    let recovery = longest(|launch| launch.recovery.unwrap_or(f64::INFINITY));
    let recovery = if recovery.is_finite() { format!("{recovery:.1} s") } else { "never".to_owned() };
    let by_lease = launches.iter().map(|launch| launch.by_lease).fold(f64::INFINITY, f64::min);
    write!(row, " {overshoot:.1} | {pause:.1} s | {recovery} | {by_lease} |").unwrap();
    println!("{row}");
    keep("losses", &row);
}

/// Adds what an event promises besides: nobody early, and the order.
pub(crate) fn event(loss: &str, launches: &[Launch]) {
    let worst = |count: fn(&Account) -> u64| launches.iter().map(|launch| count(&launch.account)).max().unwrap_or(0);
    let row = format!(
        "| {loss} | {} | {} | {} | {:.1} s |",
        launches.len(),
        worst(|account| account.too_early as u64),
        worst(|account| account.overtaken as u64),
        worst(|account| account.longest_overtaking) as f64 / 1e3,
    );
    println!("{row}");
    keep("events", &row);
}

/// Adds the row of a launch that this machine does not allow.
pub(crate) fn skipped(test: &str, why: &str) {
    println!("SKIPPED {test}: {why}");
    keep("skipped", &format!("- `{test}` was skipped: {why}"));
}

/// Adds a line to a file of that folder.
fn keep(file: &str, line: &str) {
    let Some(folder) = std::env::var_os("WEIR_LOSSES") else { return };
    // Several tests write at once: a line is one write.
    let path = std::path::Path::new(&folder).join(file);
    let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Adds the most passes in a window to the table of limits.
pub(crate) fn window(gateways: usize, milliseconds: u64, most: usize, limit: f64) {
    let row = format!("| {gateways} | {milliseconds} ms | {most} | {limit:.0} |");
    println!("{row}");
    keep("windows", &row);
}

/// Adds the share of the rate that was used.
pub(crate) fn used(gateways: usize, share: f64) {
    let line = format!("{gateways} gateways used {:.1} % of the rate.", share * 100.0);
    println!("{line}");
    keep("used", &line);
}
