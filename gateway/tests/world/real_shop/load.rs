//! `loadtest run` with the journey that was recorded in this shop (`make record-shop`), at the gateway before it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::testbed::{Arrangement, Testbed};
use crate::common::WEIR;

/// As many as `oscar-users.csv` has beside the one that the shop has already.
const CUSTOMERS: usize = 99;

/// The scenario as it is committed.
fn copy_scenario(folder: &Path) {
    let journeys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../loadtest/journeys");
    for file in ["oscar.toml", "oscar-users.csv"] {
        fs::copy(journeys.join(file), folder.join(file)).unwrap();
    }
}

/// The code that it ended with, what it said, and its report.
fn run(testbed: &Testbed, folder: &Path) -> (Option<i32>, String, Value) {
    let program = PathBuf::from(WEIR).with_file_name("loadtest");
    assert!(program.is_file(), "{} is not there: cargo build --workspace --bin loadtest", program.display());
    let mut command = Command::new(program);
    command.current_dir(folder).args(["run", "oscar.toml", "--report", "told", "--any-certificate"]);
    command.args(["--target", &testbed.address("/"), "--resolve", "shop.test=127.0.0.1"]);
    command.args(["--also", &testbed.address("/").replace("//shop.", "//pay."), "--resolve", "pay.test=127.0.0.1"]);
    let output = command.args(["--admin", &testbed.weir.admin.to_string()]).output().unwrap();
    let said = String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned();
    let report = fs::read(folder.join("told/report.json")).unwrap_or_else(|error| panic!("{error}: {said}"));
    (output.status.code(), said, serde_json::from_slice(&report).unwrap())
}

#[test]
#[ignore = "needs a shop: make real-shop"]
fn a_crowd_waits_logs_in_and_buys_and_everything_that_was_promised_held() {
    let testbed = Testbed::new(Arrangement::Tls, "burst = 1\nsession_duration = \"5m\"\n");
    open_for_30_a_minute(&testbed);
    testbed.shop.customers(CUSTOMERS);
    let folder = tempfile::tempdir().unwrap();
    copy_scenario(folder.path());
    let (code, said, report) = run(&testbed, folder.path());
    println!("{said}");
    if let Some(place) = std::env::var_os("WEIR_REPORT") {
        fs::create_dir_all(&place).unwrap();
        for file in ["report.html", "report.json"] {
            fs::copy(folder.path().join("told").join(file), Path::new(&place).join(file)).unwrap();
        }
    }
    assert_eq!(code, Some(0), "{said}");
    let checks = report["checks"].as_array().unwrap();
    let inside = checks.iter().find(|check| check["id"] == "wait-inside").unwrap();
    assert!(inside["outcome"] == "held" && inside["measured"].as_f64() >= Some(0.8), "{inside}");
    let orders: u64 = testbed.shop.orders().parse().unwrap();
    assert!(orders > 0 && report["ends"]["bought"] == orders, "{orders}, {}", report["ends"]);
    assert!(report["run"]["most_waiting"].as_u64() > Some(5), "{}", report["run"]);
}

#[test]
#[ignore = "needs a shop: make real-shop"]
fn whoever_is_refused_by_the_shop_makes_the_run_invalid_with_the_step_and_what_to_mend() {
    let testbed = Testbed::new(Arrangement::Tls, "burst = 1\nsession_duration = \"5m\"\n");
    open_for_30_a_minute(&testbed);
    let folder = tempfile::tempdir().unwrap();
    copy_scenario(folder.path());
    // But for the first, no row of the file is a customer.
    let users = folder.path().join("oscar-users.csv");
    let rows = fs::read_to_string(&users).unwrap().replace("kim@example.com,waiting-1\n", "");
    fs::write(users, rows).unwrap();
    let file = folder.path().join("oscar.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, shortened(&text)).unwrap();
    let (code, said, report) = run(&testbed, folder.path());
    assert_eq!((code, &report["verdict"]), (Some(2), &"invalid".into()), "{said}");
    assert!(said.contains("the log-in was refused: check the rows of journey.users"), "{said}");
    assert_eq!(testbed.shop.orders(), "0");
}

/// The scenario's promises. A seat that is not given back is taken for five minutes, so there is no bound.
fn open_for_30_a_minute(testbed: &Testbed) {
    testbed.rewrite("= 600", "= 30");
    testbed.rewrite("total_active_users = 100\n", "");
}

/// For twenty seconds.
fn shortened(text: &str) -> String {
    let (before, arrivals) = text.split_once("[[arrivals]]").unwrap();
    let (_, after) = arrivals.split_once("[journey]").unwrap();
    let before = before.lines().filter(|line| !line.starts_with("closing")).collect::<Vec<_>>().join("\n");
    format!("{before}\n[[arrivals]]\nkind = \"flat\"\nrate = 0.5\nfor = \"20s\"\n\n[journey]{after}")
}
