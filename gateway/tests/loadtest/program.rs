//! The load test as a program: its testbed in front of the real gateway, its exit codes, and what it leaves behind.
//!
//! It needs the program `loadtest` beside `weir`: a build of the workspace has both.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::common::{WEIR, Weir, config, until, until_true};
use serde_json::Value;

/// A launch of a few seconds. Objectives that a busy machine could miss are wide.
const TINY: &str = r#"
name = "tiny"
seed = 3
closing = "4s"
grace = "3s"

[room]
new_users_per_minute = 300
total_active_users = 200
session_duration = "30s"

[[arrivals]]
kind = "flat"
rate = 15
for = "2s"

[shoppers]
patient = 6
no_show = 2
forges = 1
skips_line = 1

[habits]
think = ["100ms", "300ms"]

[objectives]
use_of_rate = 0.1
inside_first_range = 0.1
overtaking = "1m"
page_p99 = "30s"
page_p99_times = 1000
orders = 0.1
"#;

/// A folder with this scenario in `launch.toml`.
fn folder(scenario: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("launch.toml"), scenario).unwrap();
    folder
}

fn loadtest(folder: &Path, words: &[&str]) -> Command {
    let program = PathBuf::from(WEIR).with_file_name("loadtest");
    assert!(program.is_file(), "{} is not there: cargo build -p loadtest", program.display());
    let mut command = Command::new(program);
    command.current_dir(folder).args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A run of `launch.toml` that goes to its end.
fn run(folder: &Path, words: &[&str]) -> Output {
    loadtest(folder, &[&["run", "launch.toml", "--report", "told"], words].concat()).output().unwrap()
}

fn report(folder: &Path) -> Value {
    assert!(std::fs::read_to_string(folder.join("told/report.html")).unwrap().contains("<svg"));
    serde_json::from_slice(&std::fs::read(folder.join("told/report.json")).unwrap()).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

fn check<'r>(report: &'r Value, id: &str) -> &'r Value {
    let mut checks = report["checks"].as_array().unwrap().iter();
    checks.find(|check| check["id"] == id).unwrap_or_else(|| panic!("no check {id} in {report:#}"))
}

/// The launch is whole, nothing was broken, and the exit code says the verdict. That this machine sent too late is
/// no fault of the launch; then the verdict has to say so.
fn held(output: &Output, report: &Value) {
    let outcomes: Vec<_> = report["checks"].as_array().unwrap().iter().map(|check| &check["outcome"]).collect();
    assert!(!outcomes.iter().any(|outcome| *outcome == "broken"), "{}", said(output));
    let code = if outcomes.iter().any(|outcome| *outcome == "invalid") { 2 } else { 0 };
    assert_eq!(output.status.code(), Some(code), "{}", said(output));
    assert_eq!(report["verdict"], if code == 0 { "held" } else { "invalid" });
}

#[test]
fn a_launch_holds_at_one_gateway_and_two_workers_send_the_same_people() {
    let folder = folder(TINY);
    let output = run(folder.path(), &["--weir", WEIR]);
    let alone = report(folder.path());
    held(&output, &alone);
    assert_eq!(check(&alone, "settings")["outcome"], "held");
    assert!(alone["run"]["visitors"].as_u64() > Some(15) && alone["orders"].as_u64() > Some(0), "{}", alone["run"]);
    assert!(alone["run"]["command"].as_str().unwrap().ends_with("--seed 3"));

    let output = run(folder.path(), &["--weir", WEIR, "--workers", "2"]);
    let by_two = report(folder.path());
    held(&output, &by_two);
    assert_eq!(by_two["personas"], alone["personas"]);
    assert_eq!(by_two["generators"].as_array().unwrap().len(), 2);
}

/// The purchase in the demo shop as a journey; the pass ends before the second look.
const JOURNEY: &str = r#"
name = "journey"
seed = 3
closing = "20s"
grace = "5s"

[room]
new_users_per_minute = 240
burst = 1
session_duration = "5s"

[[arrivals]]
kind = "flat"
rate = 12
for = "1s"

[habits]
think = ["50ms", "100ms"]

[objectives]
use_of_rate = 0.1
inside_first_range = 0.1
overtaking = "1m"
page_p99 = "30s"
page_p99_times = 1000

[journey]

[[journey.step]]
url = "/launch/item"

[[journey.step]]
name = "look again"
url = "/launch/item"
think = ["6s", "6s"]
take.key = { css = "[name=key]" }

[[journey.step]]
url = "/launch/order"
form = { item = "weir-one", quantity = "1", key = "${key}" }
take.order = { css = "[name=order]" }
take.key = { css = "[name=key]" }

[[journey.step]]
url = "/launch/payment"
form = { order = "${order}", key = "${key}" }
expect.text = "is paid and on its way"
order = true
"#;

#[test]
fn a_journey_goes_on_where_it_was_when_its_pass_has_ended() {
    let folder = folder(JOURNEY);
    let output = run(folder.path(), &["--weir", WEIR]);
    let report = report(folder.path());
    held(&output, &report);
    let visitors = &report["run"]["visitors"];
    assert_eq!((&report["ends"]["bought"], &report["orders"]), (visitors, visitors), "{}", said(&output));
    assert_eq!((report["steps"][1]["name"].as_str(), &report["steps"][1]["done"]), (Some("look again"), visitors));
    let twice = visitors.as_u64().map(|visitors| 2 * visitors);
    assert_eq!(report["run"]["admitted"].as_u64(), twice, "everybody was let in twice: {}", said(&output));
}

#[test]
fn a_launch_in_which_nobody_gets_what_they_came_for_is_never_held() {
    let wrong = [
        (
            "a path",
            JOURNEY.replacen("\"/launch/item\"", "\"/launch/itm\"", 1),
            "correct url: the shop has no GET /launch/itm",
        ),
        (
            "a field",
            JOURNEY.replacen("[name=key]", "[name=csrf]", 1),
            "correct take.key: css [name=csrf] finds nothing there",
        ),
        ("the demo shop's path", TINY.replace("[room]", "[room]\npath = \"/launch/itm\""), "see room.path"),
    ];
    std::thread::scope(|scope| {
        for (what, scenario, mend) in wrong {
            scope.spawn(move || {
                let folder = folder(&scenario);
                let output = run(folder.path(), &["--weir", WEIR]);
                let report = report(folder.path());
                assert_eq!(
                    (output.status.code(), &report["verdict"]),
                    (Some(2), &"invalid".into()),
                    "{what}: {}",
                    said(&output)
                );
                let served = check(&report, "anybody-served");
                assert!(served["detail"].as_str().unwrap().contains(mend), "{what}: {served}");
            });
        }
    });
}

/// A shop that answers at once, shoppers who look around for two lives of a pass, and an attack.
const FAST: &str = r#"
name = "fast"
seed = 3
closing = "19s"
grace = "10s"

[room]
new_users_per_minute = 600
session_duration = "6s"

[[arrivals]]
kind = "flat"
rate = 3
for = "3s"

[habits]
think = ["200ms", "400ms"]
browse = 40

[shop]
service_time = "0ms"

[[attack]]
kind = "KIND"
connections = 4
addresses = 4
rate = 100
from = "5s"
for = "2s"
"#;

/// A run with one attack of this kind, of which at least so many requests are sent.
fn besieged(kind: &str, least: u64) {
    let folder = folder(&FAST.replace("KIND", kind));
    let output = run(folder.path(), &["--weir", WEIR]);
    let report = report(folder.path());
    for id in ["active-stay-in", "attack-sent", "attack-past"] {
        assert_eq!(check(&report, id)["outcome"], "held", "{kind}: {}", said(&output));
    }
    let attack = &report["attacks"][0];
    assert!(attack["kind"] == kind && attack["requests"].as_u64() >= Some(least), "{attack}");
    assert!(attack["memory"][1].as_u64() > Some(1 << 20), "the testbed's gateway is looked at: {attack}");
}

#[test]
fn active_shoppers_stay_in_at_a_fast_shop_and_attacks_find_no_way_past_the_room() {
    // Each needs its own calm before and after, so they are laid to gateways of their own, all at the same time.
    std::thread::scope(|scope| {
        for (kind, least) in [("twisted_path", 10), ("preflight", 10), ("slow_body", 4)] {
            scope.spawn(move || besieged(kind, least));
        }
    });
}

#[test]
fn a_launch_holds_at_three_gateways_on_redis() {
    let folder = folder(TINY);
    let output = run(folder.path(), &["--weir", WEIR, "--gateways", "3"]);
    let report = report(folder.path());
    held(&output, &report);
    assert_eq!(report["run"]["targets"].as_array().unwrap().len(), 3);
    assert_eq!(check(&report, "settings")["detail"], "3 of 3 asked.");
}

#[test]
fn nobody_enters_a_launch_with_an_event_before_it_starts() {
    let event = TINY.replace("[[arrivals]]", "event_start = \"3s\"\n\n[[arrivals]]").replace("\"4s\"", "\"8s\"");
    let folder = folder(&event);
    let output = run(folder.path(), &["--weir", WEIR]);
    let told = report(folder.path());
    held(&output, &told);
    for id in ["event-early", "event-order", "settings"] {
        assert_eq!(check(&told, id)["outcome"], "held", "{id}: {}", said(&output));
    }
    assert!(check(&told, "event-early")["detail"].as_str().unwrap().contains("had taken a place before it"));
    assert!(told["orders"].as_u64() > Some(0), "and then people enter: {}", told["run"]);
}

#[test]
fn nobody_is_overtaken_but_within_a_round_of_an_event_whose_order_is_drawn() {
    let event = "event_start = \"6s\"\nrandom_round = \"5s\"\n\n[[arrivals]]";
    let folder = folder(&TINY.replace("[[arrivals]]", event).replace("\"4s\"", "\"12s\""));
    let output = run(folder.path(), &["--weir", WEIR]);
    let told = report(folder.path());
    held(&output, &told);
    for id in ["event-early", "round-overtaking", "settings"] {
        assert_eq!(check(&told, id)["outcome"], "held", "{id}: {}", said(&output));
    }
    assert!(told["orders"].as_u64() > Some(0), "and then people enter: {}", told["run"]);
}

#[test]
fn a_gateway_that_is_set_otherwise_breaks_the_verdict() {
    let rooms = "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = 600\n";
    let weir = Weir::start(&config(crate::common::nobody(), rooms));
    let folder = folder(TINY);
    let (target, admin) = (format!("http://{}", weir.http), weir.admin.to_string());
    let output = run(folder.path(), &["--target", &target, "--admin", &admin]);
    let report = report(folder.path());
    let settings = check(&report, "settings");
    assert_eq!((&settings["outcome"], settings["measured"].as_f64()), (&"broken".into(), Some(4.0)), "{settings}");
    assert!(settings["detail"].as_str().unwrap().contains("new_users_per_minute is 600, not 300"), "{settings}");
    assert!(matches!(output.status.code(), Some(1 | 2)), "{}", said(&output));
}

#[test]
fn who_asks_in_a_wrong_way_is_told_so_with_exit_code_3() {
    let folder = folder(TINY);
    let wrong: [(&[&str], &str); 8] = [
        (&["run"], "SCENARIO"),
        (&["run", "nike-lunch"], "nike-launch"),
        (&["run", "launch.toml", "--target", "shop.example"], "--target"),
        (&["run", "launch.toml", "--target", "http://127.0.0.1:1", "--gateways", "3"], "--gateways"),
        (&["run", "launch.toml", "--admin", "127.0.0.1:1"], "--target"),
        (&["run", "launch.toml", "--gateways", "0"], "--gateways"),
        (&["run", "launch.toml", "--worker", "127.0.0.1:1"], "LOADTEST_SECRET"),
        (&["worker", "--listen", "127.0.0.1:0"], "LOADTEST_SECRET"),
    ];
    for (words, hint) in wrong {
        let output = loadtest(folder.path(), words).env_remove("LOADTEST_SECRET").output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{words:?}: {}", said(&output));
        assert!(said(&output).contains(hint), "{words:?}: {}", said(&output));
    }
    assert_eq!(loadtest(folder.path(), &["--help"]).output().unwrap().status.code(), Some(0));
}

#[test]
fn a_launch_with_an_event_is_not_sent_to_a_room_without_one() {
    let event = TINY.replace("[[arrivals]]", "event_start = \"3s\"\n\n[[arrivals]]");
    let folder = folder(&event);
    let room = "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = 300\n";
    let weir = Weir::start(&config(crate::common::nobody(), room));
    let (target, admin) = (format!("http://{}", weir.http), weir.admin.to_string());
    let output = run(folder.path(), &["--target", &target, "--admin", &admin]);
    assert!(said(&output).contains("has no event to come"), "{}", said(&output));
    assert_ne!(output.status.code(), Some(0));
}

#[test]
fn a_target_that_is_not_there_is_told_before_anybody_is_sent() {
    let folder = folder(TINY);
    let target = format!("http://{}", crate::common::nobody());
    let output = run(folder.path(), &["--target", &target]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains(&format!("nothing answers at {target}")), "{}", said(&output));
    assert!(!folder.path().join("told").exists());
}

/// A run whose people wait for a minute.
struct Waiting {
    process: Child,
    folder: tempfile::TempDir,
}

impl Waiting {
    /// As soon as the crowd is on its way.
    fn start(words: &[&str]) -> Self {
        let folder = folder(&TINY.replace("\"4s\"", "\"60s\"").replace("= 300", "= 6"));
        let words = [&["run", "launch.toml", "--report", "told", "--weir", WEIR], words].concat();
        let said = File::create(folder.path().join("said")).unwrap();
        let mut command = loadtest(folder.path(), &words);
        let process = command.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap();
        let mut run = Self { process, folder };
        until("the crowd is on its way", || {
            assert_eq!(run.process.try_wait().unwrap(), None, "{}", run.said());
            run.said().contains("arrived").then_some(())
        });
        run
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("said")).unwrap()
    }

    fn code(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }

    /// Processes that it started and whose command line holds this word, as soon as there are `count`.
    fn children(&self, word: &str, count: usize) -> Vec<u32> {
        until("its children are there", || {
            let found: Vec<_> = children(self.process.id()).into_iter().filter(|&pid| is_called(pid, word)).collect();
            (found.len() == count).then_some(found)
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn children(of: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten().flatten();
    let texts = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    texts.flat_map(|text| text.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect()
}

fn is_called(pid: u32, word: &str) -> bool {
    // Until the program has its own name it is called by that of `setpriv`.
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = words.split(|&byte| byte == 0);
    words.next().is_some_and(|first| !first.ends_with(b"setpriv")) && words.any(|known| known == word.as_bytes())
}

fn is_gone(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.is_empty() || status.contains(") Z ")
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap().success());
}

#[test]
fn a_worker_that_is_killed_makes_the_run_worth_nothing_and_nothing_hangs() {
    let mut run = Waiting::start(&["--workers", "2"]);
    let workers = run.children("worker", 2);
    signal(workers[1], "KILL");
    assert_eq!(run.code(), Some(2), "{}", run.said());
    let report = report(run.folder.path());
    let lost = check(&report, "workers");
    assert!(lost["outcome"] == "invalid" && lost["detail"].as_str().unwrap().contains("was lost"), "{lost}");
    until_true("nothing is left behind", || workers.iter().all(|&pid| is_gone(pid)));
}

#[test]
fn ctrl_c_stops_the_crowd_and_still_tells_what_was_seen() {
    let mut run = Waiting::start(&[]);
    let gateways = run.children("serve", 1);
    signal(run.process.id(), "INT");
    assert_eq!(run.code(), Some(2), "{}", run.said());
    assert_eq!(check(&report(run.folder.path()), "whole")["outcome"], "invalid");
    until_true("nothing is left behind", || is_gone(gateways[0]));
}

#[test]
fn a_run_that_is_killed_outright_leaves_no_process_behind() {
    let mut run = Waiting::start(&["--gateways", "2", "--workers", "1"]);
    run.children("serve", 2);
    run.children("worker", 1);
    let left = children(run.process.id());
    assert_eq!(left.len(), 4, "two gateways, a Redis, a worker");
    signal(run.process.id(), "KILL");
    assert_eq!(run.code(), None);
    until_true("nothing is left behind", || left.iter().all(|&pid| is_gone(pid)));
}
