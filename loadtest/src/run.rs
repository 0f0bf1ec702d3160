//! `loadtest run`: a crowd is sent, three sides tell what they saw, and it is judged.
//!
//! What is absent: what shoppers do (`loadtest::crowd`) and what is held against them (`loadtest::verdict`).

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use loadtest::evidence::{Evidence, Progress};
use loadtest::scenario::Scenario;
use loadtest::verdict::{Check, Outcome, Verdict, judge};
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::cli::run::Run;
use crate::generate::{Crowd, Generators, Sent, Shown};
use crate::observe::ask::Asked;
use crate::observe::{Observers, Witnesses};
use crate::stage::Stage;
use crate::worker::Site;
use crate::worker::clock::{instant_of, unix_us};

/// From the order to the start: everybody has heard of it by then.
const AHEAD: Duration = Duration::from_secs(1);
/// How often somebody who watches is shown how far it is.
const FRAME: Duration = Duration::from_secs(1);
/// How long a target may take to be reached.
const REACH: Duration = Duration::from_secs(5);

/// Runs a scenario. The exit code is that of the verdict.
pub(crate) async fn run(args: &Run) -> anyhow::Result<ExitCode> {
    args.check()?;
    let scenario = Arc::new(args.scenario()?);
    let mut interrupts = Interrupts::listen()?;
    let (mut stage, sites, witnesses) = tokio::select! {
        place = place(args, &scenario) => place?,
        code = interrupts.next() => return Ok(code),
    };
    let generators = args.generators().await?;
    let crowd = Crowd { scenario, sites, start_unix_us: unix_us() + AHEAD.as_micros() as i64 };
    let observers = witnesses.observe(&crowd.scenario.room, instant_of(crowd.start_unix_us)).await?;
    let run = Going { crowd: &crowd, stage: stage.as_mut(), interrupts: &mut interrupts };
    let (mut seen, faults) = match run.send(generators).await? {
        Ended::Sent(seen, faults) => (seen, faults),
        Ended::Left(code) => return Ok(code),
    };
    let checks = checks(&crowd.scenario, observers, &mut seen, faults).await;
    if let Some(stage) = stage {
        stage.close().await;
    }
    let verdict = Verdict::of(&checks);
    for check in &checks {
        println!("{:?}  {}  {}", check.outcome, check.title, check.detail);
    }
    println!("{verdict:?}");
    Ok(ExitCode::from(verdict.exit_code()))
}

/// The site: one that runs elsewhere, or a stage of its own.
async fn place(args: &Run, scenario: &Scenario) -> anyhow::Result<(Option<Stage>, Vec<Site>, Witnesses)> {
    let sites = args.sites();
    if sites.is_empty() {
        let stage = Stage::open(scenario, &args.stage()?).await?;
        let sites = stage.gateways.iter().map(|gateway| Site::here(gateway.http)).collect();
        let admins = stage.gateways.iter().map(|gateway| Asked::at(&gateway.admin.to_string(), None));
        let gateways = admins.collect::<Result<_, _>>()?;
        let witnesses = Witnesses { gateways, shop: Some(Asked::at(&stage.shop.to_string(), None)?) };
        return Ok((Some(stage), sites, witnesses));
    }
    for site in &sites {
        let reached = timeout(REACH, TcpStream::connect(site.target()?.address)).await;
        reached
            .map_err(anyhow::Error::from)
            .and_then(|reached| Ok(reached?))
            .with_context(|| format!("nothing answers at {}: start the site, or correct --target", site.url))?;
    }
    Ok((None, sites, args.witnesses()?))
}

/// A run while the crowd is sent.
struct Going<'r> {
    crowd: &'r Crowd,
    stage: Option<&'r mut Stage>,
    interrupts: &'r mut Interrupts,
}

/// How the sending ended.
enum Ended {
    /// This was seen, and this went wrong.
    Sent(Evidence, Vec<Check>),
    /// Somebody could not wait.
    Left(ExitCode),
}

impl Going<'_> {
    async fn send(mut self, generators: Generators) -> anyhow::Result<Ended> {
        let (shown, stop) = (Shown::default(), CancellationToken::new());
        let mut faults = Vec::new();
        let sending = generators.send(self.crowd, &shown, stop.clone());
        tokio::pin!(sending);
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let Sent { evidence, lost } = loop {
            tokio::select! {
                sent = &mut sending => break sent?,
                code = self.interrupts.next() => {
                    if stop.is_cancelled() {
                        return Ok(Ended::Left(code));
                    }
                    stop.cancel();
                    faults.push(cut_short(shown.all()));
                }
                _ = frames.tick() => {
                    show(shown.all());
                    if let Some(fault) = self.fault().filter(|_| !stop.is_cancelled()) {
                        stop.cancel();
                        faults.push(fault);
                    }
                }
            }
        };
        faults.extend((!lost.is_empty()).then(|| hole(&lost)));
        Ok(Ended::Sent(evidence, faults))
    }

    /// A part of the stage that ended by itself.
    fn fault(&mut self) -> Option<Check> {
        let error = self.stage.as_mut()?.check().err()?;
        Some(fault("stage", "Every gateway kept running", Outcome::Broken, format!("{error:#}")))
    }
}

/// Hears the witnesses out, and judges.
async fn checks(scenario: &Scenario, observers: Observers, seen: &mut Evidence, faults: Vec<Check>) -> Vec<Check> {
    let settings = observers.settings.clone();
    let unheard = observers.finish(seen).await;
    let mut checks = faults;
    checks.push(settings);
    if let Some(why) = unheard {
        checks.push(fault("shop-side", "The shop's log was read to its end", Outcome::Unknown, why));
    }
    checks.extend(judge(scenario, seen));
    checks
}

fn cut_short(progress: Progress) -> Check {
    let after = progress.elapsed as f64 / 1e6;
    let detail = format!("It was stopped after {after:.0} s. What it found is so; what it did not find means nothing.");
    fault("whole", "The run went to its end", Outcome::Invalid, detail)
}

fn hole(lost: &[String]) -> Check {
    let detail = format!("{}. The others were stopped, and what they saw is a crowd with a hole.", lost.join("; "));
    fault("workers", "Every worker sent its part", Outcome::Invalid, detail)
}

fn fault(id: &str, title: &str, outcome: Outcome, detail: String) -> Check {
    Check {
        id: id.into(),
        promise: None,
        title: title.into(),
        outcome,
        measured: None,
        allowed: None,
        unit: String::new(),
        detail,
    }
}

fn show(now: Progress) {
    eprintln!(
        "{:>4} s  arrived {}  waiting {}  inside {}  entered {}  bought {}  failed {}  p99 {} ms  lag {} ms",
        now.elapsed / 1_000_000,
        now.arrived,
        now.waiting,
        now.inside,
        now.entered,
        now.bought,
        now.failed,
        now.inside_p99 / 1_000,
        now.lag_p99 / 1_000,
    );
}

/// Ctrl-C, and the polite request to end. The first stops the crowd, the second everything.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The exit code of a program that ended at once.
    async fn next(&mut self) -> ExitCode {
        tokio::select! {
            _ = self.interrupt.recv() => ExitCode::from(130),
            _ = self.terminate.recv() => ExitCode::from(143),
        }
    }
}
