//! `loadtest compare`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use verdict::report::compare::{Comparison, Tolerance, Tolerances, differences};

use super::{draw, usage};

#[derive(Args)]
pub(crate) struct Compare {
    /// The old report: report.json, or its directory
    #[arg(value_name = "A")]
    old: PathBuf,
    /// The new one
    #[arg(value_name = "B")]
    new: PathBuf,
    /// How much worse is no matter: `times=0.2`, `shares=0.02`, `counts=0.05`, `faults=0` are the defaults; `0.1` is
    /// for all but faults
    #[arg(long = "tolerance", value_name = "KIND=SHARE")]
    tolerances: Vec<Tolerance>,
    /// Compare reports of different launches too
    #[arg(long)]
    force: bool,
}

impl Compare {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let (old, new) = (draw::load(&self.old)?, draw::load(&self.new)?);
        let differ = differences(&old, &new);
        if !differ.is_empty() && !self.force {
            return Err(usage(format!(
                "these are two different launches ({}); --force compares them",
                differ.join("; ")
            )));
        }
        let tolerances = self.tolerances.into_iter().fold(Tolerances::default(), Tolerances::with);
        let comparison = Comparison::of(&old, &new, &tolerances);
        print!("{comparison}");
        match comparison.worse().count() {
            0 => println!("\nB is no worse than A."),
            1 => println!("\n1 figure got worse (!)."),
            more => println!("\n{more} figures got worse (!)."),
        }
        Ok(ExitCode::from(u8::from(comparison.worse().next().is_some())))
    }
}
