//! Commands as documents write them: whether target, program, subcommand, options and files are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::markdown::root;
use crate::common::WEIR;

/// The commands that were checked, and their faults.
#[derive(Default)]
pub(crate) struct Checked {
    pub(crate) seen: usize,
    pub(crate) faults: Vec<String>,
    help: BTreeMap<String, BTreeSet<String>>,
}

pub(crate) fn loadtest() -> Command {
    let program = PathBuf::from(WEIR).with_file_name("loadtest");
    assert!(program.is_file(), "{} is not there: cargo build -p loadtest", program.display());
    Command::new(program)
}

fn printed(mut command: Command, words: &[&str]) -> Option<String> {
    let output = command.args(words).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// A line without its comment, in single commands.
fn commands_of(line: &str) -> Vec<&str> {
    let code = line.split(" #").next().unwrap_or(line).trim();
    let code = if code.starts_with('#') { "" } else { code };
    code.split(['|', ';', '&']).map(str::trim).filter(|command| !command.is_empty()).collect()
}

fn is_plain(word: &str) -> bool {
    word.chars().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '-') && !word.starts_with('-')
}

fn options<'a>(words: &'a [&str]) -> impl Iterator<Item = &'a str> {
    words.iter().filter(|word| word.starts_with("--") && word.len() > 2).map(|word| word.split('=').next().unwrap())
}

/// The word after this option.
fn after<'a>(words: &[&'a str], option: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| *word == option)?;
    words.get(at + 1).copied()
}

/// Files below a folder for which this holds.
fn files(folder: &Path, wanted: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) {
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if file.is_dir() && !name.starts_with('.') && !name.starts_with("target") {
            files(&file, wanted, found);
        } else if wanted(&file) {
            found.push(file);
        }
    }
}

fn any_file(wanted: impl Fn(&Path) -> bool) -> bool {
    let mut found = Vec::new();
    files(&root(), &wanted, &mut found);
    !found.is_empty()
}

/// Whether a manifest has a package, a program or a test of this name.
fn is_in_manifest(name: &str) -> bool {
    let line = format!("name = \"{name}\"");
    any_file(|file| file.ends_with("Cargo.toml") && std::fs::read_to_string(file).unwrap().lines().any(|l| l == line))
}

impl Checked {
    pub(crate) fn script(&mut self, document: &str, text: &str) {
        let whole = text.replace("\\\n", " ");
        for line in whole.lines() {
            for command in commands_of(line) {
                let words: Vec<&str> = command.split_whitespace().collect();
                let first = words.iter().position(|word| !word.contains('=') && *word != "export" && *word != "sudo");
                let words = &words[first.unwrap_or(words.len())..];
                if let Err(fault) = self.command(words) {
                    self.faults.push(format!("{document}: `{command}`: {fault}"));
                }
            }
        }
    }

    fn command(&mut self, words: &[&str]) -> Result<(), String> {
        let Some((&program, rest)) = words.split_first().filter(|(_, rest)| !rest.is_empty()) else { return Ok(()) };
        let result = match program {
            "make" => makes(rest),
            "weir" | "target/release/weir" => self.own("weir", rest),
            "loadtest" | "target/release/loadtest" => self.own("loadtest", rest),
            "cargo" => cargo(rest),
            _ if program.starts_with("benches/") || program.starts_with("deploy/") => script(program, rest),
            _ => return Ok(()),
        };
        self.seen += 1;
        result
    }

    /// A command of `weir` or `loadtest`: its subcommands and options are in their help, and a launch ships.
    fn own(&mut self, program: &str, words: &[&str]) -> Result<(), String> {
        let depth = if ["keys", "operators", "audit"].contains(&words[0]) { 2 } else { 1 };
        let subcommand: Vec<&str> = words.iter().copied().take(depth).take_while(|word| is_plain(word)).collect();
        let key = format!("{program} {}", subcommand.join(" "));
        if !self.help.contains_key(&key) {
            let command = if program == "weir" { Command::new(WEIR) } else { loadtest() };
            let arguments = [&subcommand[..], &["--help"]].concat();
            let Some(text) = printed(command, &arguments) else { return Err(format!("no command {key:?}")) };
            let words = text.split([' ', '\n', ',', '[', ']', '`', '<', '=']);
            self.help.insert(key.clone(), words.map(str::to_owned).collect());
        }
        let help = &self.help[&key];
        if let Some(unknown) = options(words).find(|option| !help.contains(*option)) {
            return Err(format!("no option {unknown}"));
        }
        let launch = words.get(1).filter(|word| program == "loadtest" && is_plain(word));
        let takes_one = ["run", "check", "simulate"].contains(&words[0]);
        match launch {
            Some(name) if takes_one && !shipped().contains(*name) => Err(format!("no launch {name:?} ships")),
            _ => Ok(()),
        }
    }
}

fn shipped() -> BTreeSet<String> {
    let listed = printed(loadtest(), &["scenarios"]).unwrap();
    listed.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn makes(words: &[&str]) -> Result<(), String> {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let is_target = |word: &str| makefile.lines().any(|line| line.starts_with(&format!("{word}:")));
    let targets = words.iter().filter(|word| is_plain(word));
    match targets.into_iter().find(|word| !is_target(word)) {
        Some(missing) => Err(format!("no target {missing}")),
        None => Ok(()),
    }
}

fn cargo(words: &[&str]) -> Result<(), String> {
    if let Some(package) = after(words, "-p").filter(|package| !is_in_manifest(package)) {
        return Err(format!("no package {package}"));
    }
    let is_source = |name: &str, folder: &str| {
        any_file(|file| {
            file.ends_with(format!("{folder}/{name}.rs")) || file.ends_with(format!("{folder}/{name}/main.rs"))
        })
    };
    for (option, folder) in [("--bin", "src/bin"), ("--test", "tests")] {
        if let Some(name) = after(words, option).filter(|name| !is_source(name, folder) && !is_in_manifest(name)) {
            return Err(format!("nothing for {option} {name}"));
        }
    }
    let line = words.join(" ");
    let Some((_, filter)) = line.split_once("test(") else { return Ok(()) };
    let name = filter.split(')').next().unwrap();
    let is_one = |line: &str| line.split_once("fn ").is_some_and(|(_, function)| function.contains(name));
    let has = |file: &Path| std::fs::read_to_string(file).unwrap().lines().any(is_one);
    if any_file(|file| file.extension().is_some_and(|kind| kind == "rs") && has(file)) {
        return Ok(());
    }
    Err(format!("no test {name}"))
}

/// A script of the repository: it is there, and its options stand in its folder.
fn script(program: &str, words: &[&str]) -> Result<(), String> {
    let file = root().join(program);
    if !file.is_file() {
        return Err("no such script".to_owned());
    }
    let beside = std::fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let texts: String =
        beside.filter(|file| file.is_file()).filter_map(|file| std::fs::read_to_string(file).ok()).collect();
    match options(words).find(|option| !texts.contains(*option)) {
        Some(unknown) => Err(format!("no option {unknown}")),
        None => Ok(()),
    }
}
