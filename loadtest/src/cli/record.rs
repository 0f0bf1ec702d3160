//! `loadtest record`: a scenario from what a browser did.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use loadtest::record::{self, Recording};

use super::usage;

#[derive(Args)]
pub(crate) struct Record {
    /// What the developer tools of a browser exported
    #[arg(value_name = "HAR")]
    har: PathBuf,
    /// Where the scenario goes; its log-ins go beside it, as NAME-users.csv
    #[arg(long, value_name = "FILE", default_value = "journey.toml")]
    out: PathBuf,
    /// Keep the requests to this host too, as in api.shop.example; repeat it for each
    #[arg(long, value_name = "HOST")]
    also: Vec<String>,
    /// Write over files that are there
    #[arg(long)]
    force: bool,
}

impl Record {
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let recording = record::read(&self.har, &self.also);
        let recording = recording.map_err(|error| usage(format!("{}: {error}", self.har.display())))?;
        let name = name_of(&self.out);
        let users = format!("{name}-users.csv");
        self.write(&self.out, &recording.scenario(&name, &users))?;
        if let Some(text) = recording.users() {
            self.write(&self.out.with_file_name(&users), &text)?;
        }
        print!("{}", said(&recording, &self.out));
        Ok(ExitCode::SUCCESS)
    }

    /// A file with passwords is readable by its owner alone.
    fn write(&self, file: &Path, text: &str) -> anyhow::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        if self.force && file.exists() {
            fs::remove_file(file).with_context(|| file.display().to_string())?;
        }
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        match opened {
            Ok(mut opened) => opened.write_all(text.as_bytes()).with_context(|| file.display().to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(usage(format!("{} is there already: name another one with --out, or add --force", file.display())))
            }
            Err(error) => Err(usage(format!("{} cannot be written: {error}", file.display()))),
        }
    }
}

/// A scenario's name, from that of its file.
fn name_of(file: &Path) -> String {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let name: String = stem.chars().map(plain).take(64).collect();
    if name.is_empty() { "journey".into() } else { name }
}

fn said(recording: &Recording, file: &Path) -> String {
    let Recording { journey, host, beside, left_out } = recording;
    let mut text = format!("{}: {} steps at {host}\n", file.display(), journey.steps.len());
    for (number, step) in (1..).zip(&journey.steps) {
        let takes: Vec<&str> = step.take.keys().map(String::as_str).collect();
        let takes = if takes.is_empty() { String::new() } else { format!(", takes {}", takes.join(", ")) };
        let _ = writeln!(text, "  {number:>2}  {}{takes}{}", step.title(), if step.order { ", an order" } else { "" });
    }
    for host in beside {
        let _ = writeln!(text, "It leads to {host}: a run needs --also with that host's address.");
    }
    for (host, requests) in left_out {
        let _ = writeln!(text, "Left out: {requests} requests to {host}; --also {host} keeps them.");
    }
    text
}
