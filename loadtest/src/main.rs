//! The command line of the load test.

mod calibrate;
mod cli;
mod demo;
mod dispatch;
mod generate;
mod hex;
mod local;
mod observe;
mod run;
mod testbed;
mod worker;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about = "The crowd, the demo shop and the verdict")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What a scenario means: its timeline, and everything that is wrong with it
    Check(cli::check::Check),
    /// The scenarios that ship
    Scenarios,
    /// JSON schemas of scenario files and reports
    Schema {
        /// Of what
        #[arg(value_enum)]
        of: cli::schema::Schema,
    },
    /// The demo shop: a web shop that collapses when it is overrun
    Shop(cli::shop::ShopArgs),
    /// A scenario from what a browser did in a shop (HAR)
    Record(cli::record::Record),
    /// A launch: sent to a site, or to a testbed of its own, and judged
    Run(cli::run::Run),
    /// The same without sockets: the policy driven directly, in virtual time
    Simulate(cli::simulate::Simulate),
    /// Sends a part of a crowd for a `loadtest run` elsewhere
    Worker(cli::worker::Worker),
    /// What this machine can generate
    Calibrate(cli::calibrate::Calibrate),
    /// Two reports of one launch side by side: exit code 1 if the second is worse
    Compare(cli::compare::Compare),
    /// Draws report.html again from report.json
    Draw(cli::draw::Draw),
    /// What Weir is for, in a minute: the shop alone, then behind Weir, under the same crowd
    Demo(cli::demo::Demo),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(wrong) => return explained(&wrong),
    };
    raise_file_limit();
    done(cli.command).unwrap_or_else(|error| cli::failed(&error))
}

fn done(command: Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    match command {
        Command::Check(check) => check.run(),
        Command::Scenarios => cli::check::list(),
        Command::Schema { of } => of.print(),
        Command::Shop(args) => runtime.block_on(cli::shop::run(&args)),
        Command::Record(record) => record.run(),
        Command::Run(args) => runtime.block_on(run::run(&args)),
        Command::Simulate(simulate) => simulate.run(),
        Command::Worker(worker) => runtime.block_on(worker.run()),
        Command::Calibrate(args) => runtime.block_on(calibrate::run(&args)),
        Command::Compare(compare) => compare.run(),
        Command::Draw(draw) => draw.run(),
        Command::Demo(demo) => runtime.block_on(demo::run(&demo)),
    }
}

/// Help and version are no mistake.
fn explained(wrong: &clap::Error) -> ExitCode {
    let _ = wrong.print();
    if wrong.use_stderr() { ExitCode::from(cli::USAGE) } else { ExitCode::SUCCESS }
}

/// A crowd needs a socket per shopper: take as many as the system allows without asking.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
