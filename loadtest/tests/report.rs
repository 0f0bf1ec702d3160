//! Reports of a launch that looks like one: what they hold, how they are drawn, and how two of them compare.

#[path = "report/sample.rs"]
mod sample;

use std::path::Path;

use loadtest::report::{Facts, Report};
use loadtest::verdict::{Check, Outcome};

fn check(id: &str, promise: Option<u8>, title: &str) -> Check {
    Check {
        id: id.into(),
        promise,
        title: title.into(),
        outcome: Outcome::Held,
        measured: None,
        allowed: None,
        unit: String::new(),
        detail: String::new(),
    }
}

/// Lines as the verdict has them.
fn checks() -> Vec<Check> {
    let figures = |check: Check, measured: f64, allowed: f64, unit: &str, detail: &str| Check {
        measured: Some(measured),
        allowed: Some(allowed),
        unit: unit.into(),
        detail: detail.into(),
        ..check
    };
    vec![
        figures(
            check("limit-1s", Some(1), "New shoppers in any second"),
            40.0,
            40.0,
            "shoppers",
            "Exact, on the instants at which the store granted passes; the busiest window begins at 0:20.",
        ),
        figures(check("use", Some(2), "Use of the rate while people wait"), 0.988, 0.97, "share", "Over 118 s."),
        figures(check("overtaking", Some(3), "Longest overtaking"), 1_800.0, 5_000.0, "ms", "Place 612 before 577."),
        figures(check("lost", Some(4), "Places lost"), 0.0, 0.0, "shoppers", "Every visitor ended in one way."),
        figures(check("slipped-in", Some(5), "Requests of cheats at the shop"), 0.0, 0.0, "requests", "263 tried."),
        figures(check("wait-inside", Some(6), "Entered inside the first range"), 0.927, 0.8, "share", "1,512 waits."),
        figures(check("page-p99", Some(7), "Pages for those inside, p99"), 731.0, 1_000.0, "ms", "From due to read."),
        Check {
            outcome: Outcome::Unknown,
            detail: "No gateway lost its store in this run.".into(),
            ..check("fail-mode", Some(8), "What happens without a store")
        },
        figures(check("lag", None, "How late requests were sent, p99"), 0.4, 10.0, "ms", "Of 61,042 requests."),
    ]
}

fn facts() -> Facts {
    Facts {
        targets: vec!["http://127.0.0.1:8080".into()],
        gateway: "weir 0.1.0".into(),
        machine: "2 cores, Linux 6.1".into(),
        command: "loadtest run nike-launch --gateways 1 --workers 2 --report report".into(),
    }
}

fn report() -> Report {
    Report::of(&sample::scenario(), &sample::evidence(), checks(), facts())
}

#[test]
fn a_report_is_written_where_it_is_asked_for_and_read_back_the_same() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    let report = report();
    report.save(&directory).unwrap();
    let again = Report::load(&directory.join("report.json")).unwrap();
    assert_eq!(again, report);
}
