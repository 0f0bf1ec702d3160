//! The table of losses: a line for each launch, printed, and kept in the folder that `WEIR_LOSSES` names.

use std::fmt::Write as _;

use super::account::Account;

/// Adds the row of one launch.
pub(crate) fn row(loss: &str, account: &Account, recovery: Option<f64>) {
    let recovery = recovery.map_or("never".to_owned(), |seconds| format!("{seconds:.1} s"));
    let mut row = format!("| {loss} | {} | {} |", account.shoppers, account.entered);
    let counts = [account.places_lost, account.numbers_twice, account.positions_grown, account.errors];
    for count in counts {
        write!(row, " {count} |").unwrap();
    }
    let (overshoot, pause) = (account.overshoot, account.longest_pause());
    write!(row, " {} | {overshoot:.1} | {pause:.1} s | {recovery} |", account.unanswered).unwrap();
    println!("{row}");
    keep("losses", &row);
}

/// Adds a line to a file of that folder.
pub(crate) fn keep(file: &str, line: &str) {
    let Some(folder) = std::env::var_os("WEIR_LOSSES") else { return };
    let path = std::path::Path::new(&folder).join(file);
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    std::fs::write(path, format!("{before}{line}\n")).unwrap();
}
