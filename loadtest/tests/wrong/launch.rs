//! A launch over real sockets: a crowd, a gateway that may be wrong, a shop, and the verdict over what they saw.

use std::sync::Arc;
use std::time::Duration;

use demo_shop::Shop;
use demo_shop::database::Tuning;
use evidence::shop::Entry;
use evidence::{Evidence, GatewaySample, Micros};
use launch_model::arrivals::{Arrivals, Phase, Spacing};
use launch_model::scenario::Scenario;
use loadtest::crowd::{self, Part, Sending, Watch};
use loadtest::wire::Target;
use policy::room::Rules;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use verdict::{Check, Outcome, judge};

use super::gateway::Gateway;
use super::room::{Fault, Room};

/// Poll interval of the gateway.
const EVERY: Duration = Duration::from_millis(100);

/// The evidence and the checks of a launch.
pub(crate) struct Judged {
    pub(crate) checks: Vec<Check>,
}

impl Judged {
    /// The outcome of the check of this name.
    #[track_caller]
    pub(crate) fn check(&self, id: &str) -> &Check {
        self.checks.iter().find(|check| check.id == id).unwrap_or_else(|| panic!("no check {id}"))
    }

    /// Whether these checks found a fault.
    #[track_caller]
    pub(crate) fn is_found_by<const N: usize>(&self, ids: [&str; N]) {
        for id in ids {
            assert_eq!(self.check(id).outcome, Outcome::Broken, "{:#?}", self.check(id));
        }
    }
}

/// A room of 80 a second. Changed as told.
pub(crate) fn scenario(change: impl FnOnce(&mut Scenario)) -> Scenario {
    let text = r#"
        name = "wrong"
        closing = "6s"
        grace = "4s"
        arrivals = []
        [room]
        new_users_per_minute = 4800
        burst = 8.0
        session_duration = "60s"
        [habits]
        think = ["50ms", "150ms"]
        assets = false
        [objectives]
        overtaking = "5s"
        page_p99 = "8s"
        page_p99_times = 1000.0
    "#;
    let mut scenario: Scenario = toml::from_str(text).unwrap();
    change(&mut scenario);
    scenario
}

/// So many people a second, for so many seconds.
pub(crate) type Coming = (f64, f64);

/// Sends a crowd to a gateway with this fault.
pub(crate) async fn launch(fault: Fault, scenario: Scenario, coming: &[Coming]) -> Judged {
    let tuning = Tuning { slots: 200, service_time: Duration::from_millis(2), ..Tuning::default() };
    let shop = Shop::new(tuning);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&shop).serve(listener, CancellationToken::new()));
    let gateway = Gateway::open(Room::new(&rules(&scenario), fault), address).await;
    let start = Instant::now();
    let (stop, samples) = observe(Arc::clone(&gateway.room), start);
    let scenario = Arc::new(scenario);
    let phases = coming.iter().map(|&(rate, seconds)| Phase::flat(rate, Duration::from_secs_f64(seconds)));
    let sending = Sending {
        scenario: Arc::clone(&scenario),
        arrivals: Arrivals::new(phases, Spacing::Even, scenario.seed),
        targets: vec![Target::plain(gateway.address, "shop.test")],
        part: Part::ALL,
        start,
    };
    let seen = crowd::send(sending, Watch::default(), CancellationToken::new()).await;
    stop.cancel();
    let gateways = samples.await.unwrap();
    let shop_report = Some(shop.report_with_account().await);
    let seen = Evidence { gateways, shop: log(&shop), shop_report, ..seen };
    Judged { checks: judge(&scenario, &seen) }
}

fn rules(scenario: &Scenario) -> Rules {
    let room = &scenario.room;
    Rules {
        rate: room.rate(),
        burst: room.burst(),
        total_active_users: room.total_active_users,
        session: room.session_duration.0.as_millis() as u64,
        ..Rules::per_minute(60)
    }
}

fn observe(room: Arc<Room>, start: Instant) -> (CancellationToken, tokio::task::JoinHandle<Vec<GatewaySample>>) {
    let stop = CancellationToken::new();
    let ended = stop.clone();
    let watching = async move {
        let mut samples = Vec::new();
        while ended.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            samples.push(GatewaySample { at: start.elapsed().as_micros() as Micros, ..room.sample() });
        }
        samples
    };
    (stop, tokio::spawn(watching))
}

/// All of the shop's log.
fn log(shop: &Shop) -> Vec<Entry> {
    let mut entries = Vec::<Entry>::new();
    loop {
        let piece = shop.log().read(entries.last().map_or(0, |entry| entry.seq));
        if piece.is_empty() {
            return entries;
        }
        entries.extend(piece.lines().map(|line| serde_json::from_str::<Entry>(line).unwrap()));
    }
}
