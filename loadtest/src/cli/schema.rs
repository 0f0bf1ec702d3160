//! `loadtest schema`: JSON schemas of what this program reads and writes.

use std::process::ExitCode;

use clap::ValueEnum;

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Schema {
    /// A scenario file
    Scenario,
    /// report.json
    Report,
}

impl Schema {
    pub(crate) fn print(self) -> anyhow::Result<ExitCode> {
        let schema = match self {
            Self::Scenario => launch_model::scenario::schema(),
            Self::Report => verdict::report::schema(),
        };
        println!("{}", serde_json::to_string_pretty(&schema)?);
        Ok(ExitCode::SUCCESS)
    }
}
