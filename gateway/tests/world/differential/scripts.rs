//! What Node and Python read, asked in one process each, against what the policy reads.

use std::io::Write as _;
use std::process::{Command, Stdio};

use policy::scope::{NormalPath, Pattern, Table};

use super::spellings::{Dice, how_many, seed};

const NODE: &str = include_str!("oracle.js");
const PYTHON: &str = include_str!("oracle.py");

/// What the oracle reads in each of these targets.
fn ask(program: &str, option: &str, script: &str, targets: &[String]) -> Vec<Vec<String>> {
    let mut command = Command::new(program);
    let mut oracle = command.args([option, script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines: String = targets.iter().map(|target| serde_json::json!(target).to_string() + "\n").collect();
    let mut input = oracle.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = oracle.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Inside a room over `/launch`, as a server without regard to case has it.
fn is_inside(path: &str) -> bool {
    let path = path.to_lowercase();
    path.strip_prefix("/launch").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn everything_inside_is_held(program: &str, option: &str, script: &str) {
    let mut dice = Dice::new(seed());
    // A fragment is not forwarded, and a target that does not begin with a slash is refused.
    let mut target = || dice.target().split('#').next().unwrap_or_default().to_owned();
    let targets = std::iter::repeat_with(&mut target).filter(|target| target.starts_with('/'));
    let targets: Vec<String> = targets.take(how_many(4_000)).collect();
    let answers = ask(program, option, script, &targets);
    assert_eq!(answers.len(), targets.len());
    let room = Table::new(vec![(Pattern::parse("*", "/launch").unwrap(), ())]);
    let (mut inside, mut missed) = (0, Vec::new());
    for (target, readings) in targets.iter().zip(answers) {
        let Some(reading) = readings.into_iter().find(|path| is_inside(path)) else { continue };
        inside += 1;
        let path = NormalPath::of(target.split('?').next().unwrap_or_default());
        if room.find("shop.example", &path).is_none() {
            missed.push(format!("{target:?} is {reading:?}"));
        }
    }
    assert!(missed.is_empty(), "{} of {inside}:\n{}", missed.len(), missed[..missed.len().min(20)].join("\n"));
    assert!(inside > targets.len() / 10, "too few to tell: {inside} of {}", targets.len());
}

#[test]
fn what_node_reads_as_inside_a_room_is_held() {
    everything_inside_is_held("node", "-e", NODE);
}

#[test]
fn what_python_reads_as_inside_a_room_is_held() {
    everything_inside_is_held("python3", "-c", PYTHON);
}
