//! Facts of a run that are no evidence: where it went, on what machine, by which command.

use std::path::Path;
use std::process::Command;

use launch_model::scenario::Scenario;
use verdict::report::Facts;

use crate::dispatch::Crowd;
use crate::testbed::Wanted;

/// The facts of this run; `testbed` if it had one of its own.
pub(super) fn facts(crowd: &Crowd, testbed: Option<&Wanted>) -> Facts {
    Facts {
        targets: crowd.sites.iter().map(|site| site.url.clone()).collect(),
        gateway: testbed.map_or_else(|| "of a site elsewhere".into(), gateway),
        machine: machine(),
        command: command(&crowd.scenario),
    }
}

/// The facts of a run without sockets.
pub(crate) fn simulated(scenario: &Scenario) -> Facts {
    Facts {
        targets: vec!["policy".into()],
        gateway: "the policy itself, in virtual time".into(),
        machine: machine(),
        command: command(scenario),
    }
}

fn gateway(testbed: &Wanted) -> String {
    let version = Command::new(&testbed.weir).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&version).trim().to_owned();
    let count = if testbed.gateways == 1 { "one gateway".into() } else { format!("{} gateways", testbed.gateways) };
    let store = if testbed.in_redis() { "Redis" } else { "its own store" };
    format!("{version}: {count} on {store}")
}

/// Processor, cores and kernel.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let named = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let processor = named.map_or(std::env::consts::ARCH, |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{processor}, {cores} cores, {} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim())
}

/// The command as it was given, with the seed that it had: the same people come again.
fn command(scenario: &Scenario) -> String {
    let mut words: Vec<_> = std::env::args().skip(1).collect();
    if !words.iter().any(|word| word == "--seed" || word.starts_with("--seed=")) {
        words.extend(["--seed".into(), scenario.seed.to_string()]);
    }
    let program = std::env::args().next().unwrap_or_default();
    let program = Path::new(&program).file_name().map_or("loadtest".into(), |name| name.to_string_lossy().into_owned());
    format!("{program} {}", words.join(" "))
}
