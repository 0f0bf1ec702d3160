//! `loadtest run`: sends a crowd, gathers the evidence of three sides, and judges it.
//!
//! Out of scope: what shoppers do (`loadtest::crowd`) and the checks (`verdict`).

pub(crate) mod facts;
pub(crate) mod tell;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use evidence::{Evidence, GatewaySample, Progress};
use launch_model::scenario::{Room, Scenario};
use loadtest::live::Live;
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use verdict::report::Report;
use verdict::{Check, Outcome, judge};

use crate::cli::run::Run;
use crate::dispatch::{Crowd, ProgressBoard, Sent};
use crate::generate::Generators;
use crate::observe::http_poller::HttpPoller;
use crate::observe::{self, Observation, Observers};
use crate::testbed::weir::Weir;
use crate::testbed::{Testbed, Wanted};
use crate::worker::Site;
use crate::worker::clock::{instant_of, unix_us};

/// From the order to the start: by then every sender has the order.
const AHEAD: Duration = Duration::from_secs(1);
/// Refresh interval of the live view.
const FRAME: Duration = Duration::from_millis(250);
/// How long a target may take to be reached.
const REACH: Duration = Duration::from_secs(5);

/// Runs a scenario. The exit code is that of the verdict.
pub(crate) async fn run(args: &Run) -> anyhow::Result<ExitCode> {
    args.check()?;
    let (scenario, wanted) = (Arc::new(args.scenario()?), args.testbed()?);
    let mut interrupts = Interrupts::listen()?;
    let Ready { mut testbed, sites, observers, generators } = tokio::select! {
        ready = ready(args, &scenario, wanted.as_ref()) => ready?,
        code = interrupts.next() => return Ok(code),
    };
    let start_unix_us = start(&scenario.room, observers.event_start_ms)?;
    let crowd = Crowd { scenario, sites, start_unix_us };
    let observers = observers.observe(&crowd.scenario, instant_of(crowd.start_unix_us));
    let view = View::open(&crowd.scenario, observers.latest.clone());
    let run = Going { crowd: &crowd, testbed: testbed.as_mut(), interrupts: &mut interrupts, view };
    let (mut seen, faults) = match run.send(generators).await? {
        Ended::Sent(seen, faults) => (*seen, faults),
        Ended::Left(code) => return Ok(code),
    };
    let checks = checks(&crowd.scenario, observers, &mut seen, faults).await;
    if let Some(testbed) = testbed {
        testbed.close().await;
    }
    let facts = facts::facts(&crowd, wanted.as_ref());
    let report = Report::of(&crowd.scenario, &seen, checks, facts);
    tell::tell(&report, args.report.as_ref())?;
    Ok(ExitCode::from(report.verdict.exit_code()))
}

/// When the first visitor is sent: soon, or so long before the event of the room as the scenario says.
fn start(room: &Room, event_start_ms: Option<i64>) -> anyhow::Result<i64> {
    let soon = unix_us() + AHEAD.as_micros() as i64;
    let Some(before) = room.event_start else { return Ok(soon) };
    let Some(event) = event_start_ms else {
        bail!(
            "room {:?} has no event to come, and people are to be sent {before} before one: give it an event, and name \
             its gateway with --admin",
            room.name
        );
    };
    let start = event * 1_000 - before.0.as_micros() as i64;
    if start < soon {
        bail!("the event of room {:?} starts sooner than in {before}: let it start later", room.name);
    }
    Ok(start)
}

/// Everything that a run needs before the first visitor is sent.
struct Ready {
    testbed: Option<Testbed>,
    sites: Vec<Site>,
    observers: observe::Ready,
    generators: Generators,
}

/// Opens a testbed, or reaches the site; then the observers and the senders.
async fn ready(args: &Run, scenario: &Scenario, wanted: Option<&Wanted>) -> anyhow::Result<Ready> {
    let testbed = match wanted {
        Some(wanted) => Some(Testbed::open(scenario, wanted).await?),
        None => None,
    };
    let (sites, observers) = match &testbed {
        Some(testbed) => on_testbed(testbed)?,
        None => elsewhere(args).await?,
    };
    let observers = observers.ask(&scenario.room).await?;
    Ok(Ready { testbed, sites, observers, generators: args.generators().await? })
}

fn on_testbed(testbed: &Testbed) -> anyhow::Result<(Vec<Site>, Observers)> {
    let sites = testbed.gateways.iter().map(|gateway| Site::here(gateway.http)).collect();
    let admins = testbed.gateways.iter().map(|gateway| HttpPoller::at(&gateway.admin.to_string(), None));
    let shop = Some(HttpPoller::at(&testbed.shop.to_string(), None)?);
    let pids = testbed.gateways.iter().map(Weir::pid).collect();
    Ok((sites, Observers { gateways: admins.collect::<Result<_, _>>()?, shop, pids }))
}

async fn elsewhere(args: &Run) -> anyhow::Result<(Vec<Site>, Observers)> {
    let (sites, observers) = (args.sites(), args.observers()?);
    for site in &sites {
        reach(site).await?;
    }
    Ok((sites, observers))
}

/// An error if no server listens there: better now than after the crowd was sent.
async fn reach(site: &Site) -> anyhow::Result<()> {
    let reached = timeout(REACH, TcpStream::connect(site.target()?.address)).await;
    let reached = reached.map_err(anyhow::Error::from).and_then(|reached| Ok(reached?));
    reached.map(drop).with_context(|| format!("nothing answers at {}: start the site, or correct --target", site.url))
}

/// A run while the crowd is sent.
struct Going<'r> {
    crowd: &'r Crowd,
    testbed: Option<&'r mut Testbed>,
    interrupts: &'r mut Interrupts,
    view: View,
}

/// How the sending ended.
enum Ended {
    /// The evidence, and the faults of the senders.
    Sent(Box<Evidence>, Vec<Check>),
    /// The operator interrupted it.
    Left(ExitCode),
}

impl Going<'_> {
    async fn send(mut self, generators: Generators) -> anyhow::Result<Ended> {
        let (shown, stop) = (ProgressBoard::default(), CancellationToken::new());
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
                    self.view.update(shown.all());
                    if let Some(fault) = self.fault().filter(|_| !stop.is_cancelled()) {
                        stop.cancel();
                        faults.push(fault);
                    }
                }
            }
        };
        self.view.live.close();
        faults.extend((!lost.is_empty()).then(|| hole(&lost)));
        Ok(Ended::Sent(Box::new(evidence), faults))
    }

    /// A part of the testbed that ended early.
    fn fault(&mut self) -> Option<Check> {
        let error = self.testbed.as_mut()?.check().err()?;
        Some(fault("testbed", "Every gateway kept running", Outcome::Broken, format!("{error:#}")))
    }
}

/// Waits for the observers' last reports, and judges.
async fn checks(scenario: &Scenario, observers: Observation, seen: &mut Evidence, faults: Vec<Check>) -> Vec<Check> {
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

/// The live view.
struct View {
    live: Live,
    history: Vec<Progress>,
    gateway: watch::Receiver<Option<GatewaySample>>,
}

impl View {
    fn open(scenario: &Scenario, gateway: watch::Receiver<Option<GatewaySample>>) -> Self {
        let live = Live::open(&scenario.name, scenario.closes() + scenario.grace.0, scenario.room.rate());
        Self { live, history: Vec::new(), gateway }
    }

    fn update(&mut self, now: Progress) {
        self.live.update(&now, &self.history, self.gateway.borrow().as_ref());
        if now.elapsed / 1_000_000 >= i64::try_from(self.history.len()).unwrap_or(i64::MAX) {
            self.history.push(now);
        }
    }
}

/// SIGINT (Ctrl-C) and SIGTERM. The first stops the crowd, the second everything.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for one of them; returns the exit code of a program that it ends.
    async fn next(&mut self) -> ExitCode {
        tokio::select! {
            _ = self.interrupt.recv() => ExitCode::from(130),
            _ = self.terminate.recv() => ExitCode::from(143),
        }
    }
}
