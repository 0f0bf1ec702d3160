//! The table of losses: a line for each launch, printed, and kept in the folder that `WEIR_LOSSES` names.

use std::fmt::Write as _;

use super::account::Account;

/// Adds the row of one launch.
pub(crate) fn row(loss: &str, account: &Account, recovery: Option<f64>) {
    let recovery = recovery.map_or("never".to_owned(), |seconds| format!("{seconds:.1} s"));
    let mut row = format!("| {loss} | {} | {} |", account.shoppers, account.entered);
    let Account { places_lost, numbers_twice, second_passes, positions_grown, errors, unanswered, .. } = account;
    for count in [places_lost, numbers_twice, second_passes, positions_grown, errors, unanswered] {
        write!(row, " {count} |").unwrap();
    }
    let (overshoot, pause) = (account.overshoot, account.longest_pause());
    write!(row, " {overshoot:.1} | {pause:.1} s | {recovery} |").unwrap();
    println!("{row}");
    keep("losses", &row);
}

/// Adds the row of a launch that this machine does not allow.
pub(crate) fn skipped(test: &str, why: &str) {
    println!("SKIPPED {test}: {why}");
    keep("skipped", &format!("- `{test}` was skipped: {why}"));
}

/// Adds a line to a file of that folder.
fn keep(file: &str, line: &str) {
    let Some(folder) = std::env::var_os("WEIR_LOSSES") else { return };
    let path = std::path::Path::new(&folder).join(file);
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    std::fs::write(path, format!("{before}{line}\n")).unwrap();
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
