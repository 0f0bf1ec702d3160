//! Reports of a launch that looks like one: what they hold, and how they are drawn.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::cast_possible_wrap, reason = "minutes in microseconds are far below 2^63")]

#[path = "report/sample.rs"]
mod sample;

use std::path::Path;
use std::process::Command;

use evidence::Evidence;
use verdict::report::{Facts, Moment, Report, html};
use verdict::{Check, Outcome, Verdict};

use sample::{of_id, report, with_few_checks};

/// A report of nothing at all.
fn empty() -> Report {
    Report::of(&sample::scenario(), &Evidence::default(), Vec::new(), Facts::default())
}

/// Cuts what lies between two marks out of a text, wherever they come.
fn without(text: &str, from: &str, to: &str) -> String {
    let mut parts = text.split(from);
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once(to).map_or(part, |(_, rest)| rest));
    rest.fold(first, |text, rest| text + from + to + rest)
}

#[test]
fn a_report_is_written_where_it_is_asked_for_and_read_back_the_same() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    let report = report();
    report.save(&directory).unwrap();
    assert_eq!(Report::load(&directory.join("report.json")).unwrap(), report);
    assert_eq!(std::fs::read_to_string(directory.join("report.html")).unwrap(), html::page(&report).unwrap());
}

#[test]
fn a_report_of_another_format_is_refused_by_its_number() {
    let refused = |text: &str| Report::from_json(text).unwrap_err().to_string();
    assert_eq!(
        refused(r#"{"format": 7, "what": "nobody knows yet"}"#),
        "is a report of format 7; this program reads format 1"
    );
    assert!(refused("{}").starts_with("is no report of a load test: missing field `format`"));
    assert!(refused(r#"{"format": 1}"#).starts_with("is no report of a load test: missing field `run`"));
}

#[test]
fn the_names_in_report_json_are_known_and_stay() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&verdict::report::schema()).unwrap());
}

#[test]
fn what_was_seen_adds_up_in_the_report() {
    let report = report();
    let sum = |of: fn(&Moment) -> u64| report.timeline.iter().map(of).sum::<u64>();
    assert_eq!(sum(|moment| moment.arrived), report.run.visitors);
    assert_eq!(sum(|moment| moment.admitted), report.run.admitted);
    assert_eq!(sum(|moment| moment.at_shop.unwrap()), report.run.admitted, "each came to the shop once");
    assert_eq!(report.ends.values().sum::<u64>(), report.run.visitors);
    assert_eq!(report.personas.values().sum::<u64>(), report.run.visitors);
    assert_eq!(report.timeline.iter().map(|moment| moment.inside_latency.count).sum::<u64>(), report.page.count);
    assert!(report.timeline[25..140].iter().all(|moment| moment.admitted.abs_diff(20) <= 4), "the rate is 20 a second");
    assert!(report.entries.is_sorted_by_key(|entry| entry.place));
    assert!(report.entries.iter().all(|entry| entry.joined <= entry.at));
}

#[test]
fn the_page_says_everything_in_words_and_in_order() {
    let page = html::page(&with_few_checks()).unwrap();
    let words = without(&without(&page, "<style>", "</style>"), "<path", "/>");
    let words = without(&words, "role=\"img\"", "</svg>");
    insta::assert_snapshot!(words);
}

#[test]
fn the_page_needs_nothing_from_anywhere() {
    let page = html::page(&report()).unwrap();
    for outside in ["<script", "<link", "<img", "<iframe", "src=", "url(", "@import", "href=\"http", "=\"#0"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"), "and the browser sees to it");
}

#[test]
fn each_picture_has_words_and_each_head_of_a_table_says_what_it_heads() {
    let page = html::page(&report()).unwrap();
    let pictures: Vec<&str> = page.split("<svg class=\"chart").skip(1).collect();
    assert_eq!(pictures.len(), 12, "six pictures, each for a wide and a narrow screen");
    for picture in pictures {
        let (tag, _) = picture.split_once('>').unwrap();
        assert!(
            tag.contains("role=\"img\"") && !tag.contains("aria-label=\"\"") && tag.contains("aria-label=\""),
            "{tag}"
        );
    }
    for head in page.split("<th").skip(1).filter(|head| !head.starts_with("ead")) {
        assert!(head.split_once('>').unwrap().0.contains("scope="), "{head}");
    }
}

#[test]
fn what_comes_from_files_is_text_and_never_markup() {
    let mut report = report();
    let evil = "<script>alert(1)</script>\"'&";
    report.run.scenario = evil.into();
    report.run.about = evil.into();
    report.run.gateway = evil.into();
    report.run.targets = vec![evil.into()];
    report.checks[0].id = evil.into();
    report.checks[0].title = evil.into();
    report.checks[0].detail = evil.into();
    report.checks[0].unit = evil.into();
    report.generators[0].name = evil.into();
    let page = html::page(&report).unwrap();
    assert!(!page.contains("<script") && page.matches("&lt;script&gt;").count() >= 9);
}

#[test]
fn a_run_in_which_nothing_happened_is_told_too() {
    let report = empty();
    let page = html::page(&report).unwrap();
    assert_eq!(page.matches("Nothing to draw").count(), 6);
    assert_eq!(Report::from_json(&report.to_json().unwrap()).unwrap(), report);
}

#[test]
fn a_broken_run_names_what_broke_first() {
    let mut report = report();
    let all = report.checks.len();
    *of_id(&mut report, "overtaking") =
        Check { outcome: Outcome::Broken, measured: Some(9.3), ..of_id(&mut report, "overtaking").clone() };
    report.verdict = Verdict::of(&report.checks);
    let page = html::page(&report).unwrap();
    let (top, _) = page.split_once("<dl").unwrap();
    assert!(top.contains(&format!("1 of {all} checks did not come out as promised.")), "{top}");
    assert!(top.contains("#check-overtaking") && top.contains("9.30 s, allowed 5 s"), "{top}");
}

#[test]
fn a_day_long_run_is_a_page_that_opens() {
    let mut report = report();
    let moments = report.timeline.iter().cycle().take(86_400).cloned();
    report.timeline = (1..).zip(moments).map(|(at, moment)| Moment { at: f64::from(at), ..moment }).collect();
    let page = html::page(&report).unwrap();
    assert!(page.len() < 600_000, "{} bytes", page.len());
}

#[test]
fn no_part_of_the_page_is_wider_than_a_phone() {
    let directory = tempfile::tempdir().unwrap();
    let page = html::page(&report()).unwrap().replace("default-src 'none'", "script-src 'unsafe-inline'");
    let probe =
        "<script>document.title = document.documentElement.scrollWidth <= innerWidth ? 'fits' : 'too wide'</script>";
    std::fs::write(directory.path().join("page.html"), page.replace("</body>", &format!("{probe}</body>"))).unwrap();
    let seen = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--window-size=390,900",
        ])
        .arg(format!("--user-data-dir={}", directory.path().join("profile").display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", directory.path().join("page.html").display()))
        .output()
        .expect("chromium is installed (deploy/tools test installs it)");
    let title = String::from_utf8_lossy(&seen.stdout);
    let title = title.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).map(|(title, _)| title);
    assert_eq!(title, Some("fits"), "{}", String::from_utf8_lossy(&seen.stderr));
}
