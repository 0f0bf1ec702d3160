//! Alerts, board, runbook and unit, as they are shipped.

use std::collections::BTreeSet;
use std::process::Command;

use gateway::telemetry::catalogue::{ALL, Kind};
use serde_json::Value as Json;

use super::{path, run, text};
use crate::common::WEIR;

const RULES: &str = "deploy/prometheus/weir.rules.yaml";
const TESTS: &str = "deploy/prometheus/weir.rules.test.yaml";

fn alerts() -> Vec<String> {
    let rules = text(RULES);
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect()
}

#[test]
fn promtool_takes_rules_and_configuration_and_each_alert_fires_where_it_should_and_nowhere_else() {
    for arguments in
        [["check", "rules", RULES], ["test", "rules", TESTS], ["check", "config", "deploy/prometheus/prometheus.yaml"]]
    {
        let (fine, said) = run(Command::new("promtool").args(arguments).current_dir(path("")), "");
        assert!(fine && !said.contains("FAILED"), "{arguments:?}: {said}");
    }
    let (alerts, tests) = (alerts(), text(TESTS));
    assert!(alerts.len() > 20);
    for alert in alerts {
        for case in [format!("name: {alert} fires\n"), format!("name: {alert} is silent\n")] {
            assert!(tests.contains(&case), "{case}");
        }
    }
}

#[test]
fn each_alert_has_its_paragraph_and_each_paragraph_its_alert() {
    let runbook = text("docs/runbook.md");
    let paragraphs: Vec<(&str, &str)> =
        runbook.split("\n## ").skip(1).map(|paragraph| paragraph.split_once('\n').unwrap()).collect();
    let named: Vec<&str> = paragraphs.iter().map(|(alert, _)| *alert).collect();
    let alerts = alerts();
    assert_eq!(named, alerts);
    for (alert, paragraph) in paragraphs {
        assert!(paragraph.trim().len() > 150, "{alert} is not explained");
    }
    let rules = text(RULES);
    for alert in &alerts {
        assert!(rules.contains(&format!("runbook: docs/runbook.md#{}\n", alert.to_lowercase())), "{alert}");
    }
}

/// Names of metrics in a text of `PromQL`, with the labels that are asked of each.
fn metrics(text: &str) -> Vec<(String, Vec<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(is_name) {
        rest = &rest[at..];
        let name = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        rest = &rest[name.len()..];
        if name.starts_with("weir_") || name.starts_with("process_") {
            let braces = rest.strip_prefix('{').and_then(|inside| inside.split_once('}'));
            let label = |matcher: &str| matcher.split(['=', '!', '~']).next().unwrap_or_default().trim().to_owned();
            let labels = braces.map(|(inside, _)| inside.split(',').map(label).collect());
            found.push((name.to_owned(), labels.unwrap_or_default()));
        }
    }
    found
}

/// Each metric is one of the catalogue and has these labels. How many there are.
fn are_known(text: &str) -> usize {
    let found: BTreeSet<_> = metrics(text).into_iter().collect();
    for (name, labels) in &found {
        let bare = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let known =
            ALL.iter().find(|metric| metric.name == *name || metric.kind == Kind::Histogram && metric.name == bare);
        let known = known.unwrap_or_else(|| panic!("no metric is called {name}"));
        for label in labels {
            let given = known.labels.contains(&label.as_str()) || ["job", "instance", "le"].contains(&label.as_str());
            assert!(given, "{name} has no label {label}");
        }
    }
    found.len()
}

#[test]
fn alerts_and_board_ask_for_metrics_that_there_are() {
    let rules = text(RULES);
    let expressions: Vec<&str> = rules.lines().filter(|line| !line.contains("record:")).collect();
    assert!(are_known(&expressions.join("\n")) > 30);
    are_known(&text(TESTS));

    let board: Json = serde_json::from_str(&text("deploy/grafana/weir.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let (mut ids, mut asked) = (BTreeSet::new(), 0);
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            let metrics = are_known(expression);
            assert!(metrics > 0, "{expression}");
            asked += metrics;
        }
    }
    assert!(asked > 50, "{asked}");
    for variable in board["templating"]["list"].as_array().unwrap() {
        are_known(variable["definition"].as_str().unwrap_or_default());
    }
}

#[test]
fn the_expressions_of_the_board_are_promql() {
    let board: Json = serde_json::from_str(&text("deploy/grafana/weir.json")).unwrap();
    let targets =
        board["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let rule = |(number, expression): (usize, String)| {
        format!("      - record: board:panel:{number}\n        expr: {}\n", Json::from(expression))
    };
    let rules: String = expressions.enumerate().map(rule).collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("board.yaml");
    std::fs::write(&file, format!("groups:\n  - name: board\n    rules:\n{rules}")).unwrap();
    let (fine, said) = run(Command::new("promtool").args(["check", "rules"]).arg(&file), "");
    assert!(fine, "{said}");
}

#[test]
fn systemd_takes_the_unit_and_finds_it_shut_in() {
    let unit = text("deploy/weir.service");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weir.service");
    assert!(unit.contains("ExecStart=/usr/local/bin/weir serve") && unit.contains("LimitNOFILE="));
    std::fs::write(&file, unit.replace("/usr/local/bin/weir", WEIR)).unwrap();
    for arguments in [&["verify"] as &[&str], &["security", "--offline=true", "--threshold=20"]] {
        let (fine, said) = run(Command::new("systemd-analyze").args(arguments).arg(&file), "");
        assert!(fine, "{said}");
        assert!(!said.contains("Unknown key"), "{said}");
    }
}

#[test]
fn the_unit_leaves_more_descriptors_than_the_example_may_need() {
    let unit = text("deploy/weir.service");
    let descriptors = unit.lines().find_map(|line| line.strip_prefix("LimitNOFILE=")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let example = dir.path().join("weir.toml");
    std::fs::copy(path("deploy/weir.example.toml"), &example).unwrap();
    // With few descriptors the check says how many there may be use for.
    let line = format!("ulimit -n 1000; exec {WEIR} check {}", example.display());
    let (_, said) = run(Command::new("sh").arg("-c").arg(line), "");
    let needed = said.split_once("allowed, and ").and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok());
    let needed = needed.unwrap_or_else(|| panic!("{said}"));
    assert!(needed > 1_000 && needed < descriptors.parse().unwrap(), "{needed}");
}
