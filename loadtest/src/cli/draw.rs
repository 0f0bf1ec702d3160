//! `loadtest draw`, and the loader of reports for all commands.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use verdict::report::{Report, html};

use super::usage;

#[derive(Args)]
pub(crate) struct Draw {
    /// report.json, or its directory
    report: PathBuf,
    /// Where the page goes; without it beside the report
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

impl Draw {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let page = html::page(&load(&self.report)?)?;
        let to = self.to.unwrap_or_else(|| file(&self.report).with_extension("html"));
        std::fs::write(&to, page).with_context(|| format!("{} cannot be written", to.display()))?;
        println!("{}", to.display());
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads a report that the command line names.
pub(super) fn load(path: &Path) -> anyhow::Result<Report> {
    let file = file(path);
    Report::load(&file).map_err(|error| usage(format!("{} {error}", file.display())))
}

fn file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("report.json") } else { path.to_owned() }
}
