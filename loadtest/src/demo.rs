//! `loadtest demo`: the same crowd, first at the shop alone, then at a fresh shop behind Weir.
//!
//! Shop and crowd have a thread each, Weir is a process of its own. Weir and its shop run
//! from the start, so that a person can look at any time; the first act has a shop of its own.

mod counts;
mod result;
mod show;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use demo_shop::Shop;
use demo_shop::database::Tuning;
use evidence::stats::Quantiles;
use launch_model::scenario::Room;
use launch_model::span::Span;
use loadtest::crowd::{self, Sending, Watch};
use loadtest::wire::Target;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use verdict::report::text::grouped;

use crate::cli::demo::{CrowdArgs, Demo};
use crate::cli::{interrupted, usage};
use crate::local::{listen, spawn};
use crate::testbed::child::command;
use crate::testbed::shop;
use crate::testbed::weir::{Settings, Shield, Store, Weir};
use counts::{Counts, Second};
use result::{Act, DemoSettings, Outcome, millis};
use show::{Moment, Show, bold};

/// Burst: new shoppers that Weir lets in at once on a calm day, beyond the rate.
const BURST: u32 = 5;
/// Redraw interval of the live panel.
const FRAME: Duration = Duration::from_millis(200);

/// Runs the demo. The exit code is 0 only if it shows what it should.
pub(crate) async fn run(args: &Demo) -> anyhow::Result<ExitCode> {
    if args.slots == 0 || args.service_time.0.is_zero() || !(0.01..=1.0).contains(&args.share) {
        return Err(usage("--slots and --service-time must be above 0, --share between 0.01 and 1"));
    }
    let cancel = CancellationToken::new();
    let _end_all_threads = cancel.clone().drop_guard();
    let interrupted = interrupted();
    tokio::pin!(interrupted);
    let program = Weir::find(args.weir.as_deref())?;
    let testbed = Testbed::build(args, &cancel)?;
    let room = testbed.room(args);
    let settings = testbed.settings(&room);
    let mut weir = tokio::select! {
        weir = Weir::start(command(&program), &settings) => weir?,
        code = &mut interrupted => return code,
    };
    testbed.welcome(args, weir.console_link());
    let done = tokio::select! {
        done = testbed.play(args, &mut weir, &cancel) => done,
        code = &mut interrupted => code,
    };
    weir.stop().await;
    done
}

/// Both shops, and the addresses of everything.
struct Testbed {
    tuning: Tuning,
    alone: (Arc<Shop>, SocketAddr),
    protected: (Arc<Shop>, SocketAddr),
    http: SocketAddr,
    admin: SocketAddr,
}

impl Testbed {
    fn build(args: &Demo, cancel: &CancellationToken) -> anyhow::Result<Self> {
        let tuning = Tuning { slots: args.slots, service_time: args.service_time.0, ..Tuning::default() };
        Ok(Self {
            alone: shop::open(&tuning, 9000, cancel)?,
            protected: shop::open(&tuning, 9001, cancel)?,
            http: listen(8080)?.local_addr()?,
            admin: listen(9090)?.local_addr()?,
            tuning,
        })
    }

    fn capacity(&self) -> f64 {
        self.alone.0.capacity()
    }

    fn room(&self, args: &Demo) -> Room {
        let per_minute = self.new_users_per_minute(args);
        Room {
            name: "launch".into(),
            path: "/launch/item".into(),
            other: None,
            new_users_per_minute: f64::from(per_minute),
            burst: Some(f64::from(BURST)),
            // A visit takes a few seconds, and a person with a browser may take longer.
            total_active_users: Some(u64::from(per_minute / 4).max(20)),
            session_duration: Span(Duration::from_mins(5)),
            event_start: None,
            random_round: None,
        }
    }

    fn settings<'a>(&self, room: &'a Room) -> Settings<'a> {
        Settings {
            http: self.http,
            admin: self.admin,
            shop: self.protected.1,
            room,
            max_in_flight: self.tuning.slots * 2,
            shield: Shield::default(),
            store: &Store::Own,
            one_address: true,
            event_start_ms: None,
        }
    }

    fn new_users_per_minute(&self, args: &Demo) -> u32 {
        (self.capacity() * 60.0 * args.share).round().max(1.0) as u32
    }

    fn terms(&self, args: &Demo) -> DemoSettings {
        DemoSettings {
            capacity: self.capacity(),
            rate: f64::from(self.new_users_per_minute(args)) / 60.0,
            burst: BURST,
            objective_ms: millis(args.objective.0),
            seed: args.crowd.seed,
            no_shows: args.crowd.no_shows,
        }
    }

    fn welcome(&self, args: &Demo, console: Option<String>) {
        let CrowdArgs { times, no_shows, seed, .. } = &args.crowd;
        let DemoSettings { capacity, rate, .. } = self.terms(args);
        println!(
            "\n  Weir, in about a minute. The shop takes {capacity:.0} orders a second; the launch brings {} shoppers\n  \
             a second, {times:.0} times as many ({:.0}% leave at the sight of a line; seed {seed}). Weir lets in {rate:.0}.\n",
            grouped((capacity * times).round() as u64),
            no_shows * 100.0,
        );
        println!("  ┌─ Join the line yourself, any time until the demo ends:");
        println!("  │");
        println!("  │     {}", bold(&format!("http://{}/launch/item", self.http)));
        println!("  │");
        if let Some(link) = console {
            println!(
                "  │  The operators' console: watch the launch, pause it, slow it down, speak to the line. The link logs in once:"
            );
            println!("  │");
            println!("  │     {}", bold(&link));
            println!("  │");
        }
        println!("  └─ Its shop: {}   the shop alone: {}   admin: {}", self.protected.1, self.alone.1, self.admin);
    }

    /// Both acts, the table, the verdict.
    async fn play(&self, args: &Demo, weir: &mut Weir, cancel: &CancellationToken) -> anyhow::Result<ExitCode> {
        let sending =
            |to: SocketAddr, closing| args.crowd.sending(Target::plain(to, to.to_string()), self.capacity(), closing);
        let title = "  Act 1 of 2: the shop alone";
        let alone = act(title, sending(self.alone.1, None)?, &self.alone.0, weir, cancel).await?;
        let title = "  Act 2 of 2: the same crowd, at a fresh shop behind Weir";
        let behind = act(title, sending(self.http, Some(args.behind.0))?, &self.protected.0, weir, cancel).await?;
        let outcome = Outcome::of(self.terms(args), alone, behind);
        println!("{}", outcome.text());
        if let Some(file) = &args.json {
            save(file, &outcome)?;
        }
        Ok(if outcome.reasons.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn save(file: &Path, outcome: &Outcome) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(outcome)?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Sends the crowd of one act and shows it.
async fn act(
    title: &str,
    sending: Sending,
    shop: &Arc<Shop>,
    weir: &mut Weir,
    cancel: &CancellationToken,
) -> anyhow::Result<Act> {
    let view = Show::open(title, sending.scenario.closing.unwrap_or_default().0);
    let watch = Watch::default();
    let crowd = spawn(crowd::send(sending, watch.clone(), cancel.clone()))?;
    let started = Instant::now();
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut seconds, mut latency, mut last) = (Vec::new(), Quantiles::default(), Counts::default());
    while !crowd.is_finished() {
        frames.tick().await;
        weir.check()?;
        let elapsed = started.elapsed();
        let second_ended = elapsed.as_secs() > seconds.len() as u64;
        let counts = Counts::live(&watch.progress());
        if second_ended {
            seconds.push(Second::between(&last, &counts));
            latency = shop.recent_latency();
            last = counts.clone();
        }
        let moment = Moment { elapsed, crowd: counts, shop: shop.report(), latency, seconds: &seconds };
        view.update(&moment, second_ended);
    }
    view.close();
    let Ok(evidence) = crowd.join() else { bail!("the crowd did not end well") };
    Ok(Act { crowd: Counts::of(&evidence), shop: shop.report(), seconds })
}
