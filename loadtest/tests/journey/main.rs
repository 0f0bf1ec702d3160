//! Journeys over real sockets, through a shop of the test's own.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod shop;

use std::sync::Arc;
use std::time::Duration;

use evidence::{End, Evidence, Stumble, Why};
use launch_model::arrivals::Arrivals;
use launch_model::scenario::Scenario;
use loadtest::crowd::{self, Part, Sending, Watch};
use loadtest::wire::Target;
use tokio_util::sync::CancellationToken;
use verdict::report::{Facts, Report};
use verdict::{Check, Outcome, Verdict, judge};

use shop::{Fault, PAY, Shop};

const LAUNCH: &str = r##"
name = "small"
closing = "20s"
grace = "10s"

[room]
new_users_per_minute = 6000

[[arrivals]]
kind = "flat"
rate = 20
for = "500ms"

[habits]
think = ["1ms", "20ms"]
again = ["1ms", "20ms"]
patience = "5s"

[journey]
users = "users.csv"

[[journey.step]]
url = "/item"
take.csrf = { css = "form [name=csrf]" }
take.seen = { cookie = "seen" }
sold_out = ".sold.out"

[[journey.step]]
name = "log-in"
url = "/login"
form = { csrf = "${csrf}", email = "${user.email}", password = "${user.password}" }
expect.path = "/account/*"

[[journey.step]]
url = "/api/cart"
fetch = true
json = '{ "for": "${user.email}", "quantity": 1 }'
headers = { X-Seen = "${seen}" }
take.token = { json = "/cart/token" }

[[journey.step]]
url = "/order"
form = { csrf = "${csrf}", cart = "${token}" }
expect.path = "/"
take.proof = { css = "[name=proof]" }

[[journey.step]]
url = "/paid"
form = { proof = "${proof}" }
expect = { path = "/thanks", css = "#thanks" }
order = true
"##;

/// The launch with another text in one place, and this password.
fn scenario(from: &str, to: &str, password: &str) -> Scenario {
    assert!(LAUNCH.contains(from));
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..40).flat_map(|n| [format!("kim{n}@example.com, {password}"), "\n".to_owned()]).collect();
    std::fs::write(folder.path().join("users.csv"), format!("email,password\n{rows}")).unwrap();
    Scenario::parse(&LAUNCH.replacen(from, to, 1), folder.path()).unwrap_or_else(|problems| panic!("{problems}"))
}

struct Sent {
    shop: Arc<Shop>,
    scenario: Scenario,
    evidence: Evidence,
}

async fn send(fault: Fault, scenario: Scenario) -> Sent {
    let (shop, address) = Shop::open(fault);
    let target = Target::plain(address, address.to_string());
    let targets = vec![Target::plain(address, PAY).beside(), target];
    let (start, arrivals) = (tokio::time::Instant::now(), Arrivals::of(&scenario));
    let sending = Sending { scenario: Arc::new(scenario.clone()), arrivals, targets, part: Part::ALL, start };
    let evidence = crowd::send(sending, Watch::default(), CancellationToken::new()).await;
    assert!(evidence.visits.len() > 3);
    Sent { shop, scenario, evidence }
}

impl Sent {
    fn check(&self, id: &str) -> Check {
        judge(&self.scenario, &self.evidence).into_iter().find(|check| check.id == id).unwrap()
    }

    fn all_end(&self, end: End) -> bool {
        self.evidence.visits.iter().all(|visit| visit.end == end)
    }

    /// Every visitor failed at this step for this reason; the verdict is "invalid" and says what to mend.
    fn all_fail(&self, step: u16, why: &Why, mend: &str) {
        let visits = &self.evidence.visits;
        assert!(visits.iter().all(|visit| visit.stumbles == [Stumble { step, why: why.clone() }]), "{visits:#?}");
        let check = self.check("anybody-served");
        assert_eq!((check.outcome, check.measured), (Outcome::Invalid, Some(0.0)), "{check:#?}");
        let named = format!("Step {}, ", step + 1);
        assert!(check.detail.contains(&named) && check.detail.contains(mend), "{check:#?}");
        let checks = judge(&self.scenario, &self.evidence);
        assert_eq!(Verdict::of(&checks), Verdict::Invalid);
        let report = Report::of(&self.scenario, &self.evidence, checks, Facts::default());
        let failure = &report.steps[usize::from(step)].failures[0];
        let ended = visits.len() as u64;
        assert_eq!(
            (failure.times, failure.ended, report.steps[usize::from(step)].done),
            (ended, ended, 0),
            "{failure:?}"
        );
    }
}

#[tokio::test]
async fn everybody_logs_in_as_somebody_else_pays_elsewhere_and_has_ordered() {
    let sent = send(Fault::Nothing, scenario("small", "small", "right")).await;
    assert!(sent.all_end(End::Bought), "{:#?}", sent.evidence.visits);
    let mut orders = sent.shop.inventory.lock().unwrap().orders.clone();
    orders.sort();
    orders.dedup();
    assert_eq!(orders.len(), sent.evidence.visits.len(), "each visitor is another one");
    assert_eq!(
        (sent.check("anybody-served").outcome, sent.check("journey-steps").outcome),
        (Outcome::Held, Outcome::Held)
    );
    let report = Report::of(&sent.scenario, &sent.evidence, judge(&sent.scenario, &sent.evidence), Facts::default());
    let names: Vec<_> = report.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["GET /item", "log-in", "POST /api/cart", "POST /order", "POST /paid"]);
    let answers: Vec<_> = report.steps.iter().map(|step| step.latency.count / orders.len() as u64).collect();
    assert_eq!(answers, [1, 3, 1, 2, 2], "redirects are answers of their step");
}

#[tokio::test]
async fn the_line_in_mid_journey_is_waited_in_and_what_was_asked_for_is_asked_again() {
    let sent = send(Fault::Line, scenario("small", "small", "right")).await;
    assert!(sent.all_end(End::Bought), "{:#?}", sent.evidence.visits);
    assert!(sent.evidence.visits.iter().all(|visit| visit.stumbles.is_empty() && visit.sent_back.is_some()));
}

#[tokio::test]
async fn whoever_is_told_when_to_come_back_comes_back_then() {
    let sent = send(Fault::Busy, scenario("small", "small", "right")).await;
    assert!(sent.all_end(End::Bought), "{:#?}", sent.evidence.visits);
    let first = &sent.evidence.visits[0];
    assert_eq!(first.stumbles, [2, 3].map(|step| Stumble { step, why: Why::Status(503) }));
    assert!(first.left - first.due >= 2_000_000, "twice a second later");
}

#[tokio::test]
async fn a_csrf_field_that_is_missing_is_told_by_step_and_makes_the_run_invalid() {
    let sent = send(Fault::NoCsrfField, scenario("small", "small", "right")).await;
    sent.all_fail(0, &Why::Missing("csrf".into()), "correct take.csrf: css form [name=csrf] finds nothing there");
    assert!(sent.all_end(End::OrderFailed));
}

#[tokio::test]
async fn a_wrong_path_a_refused_log_in_and_a_host_that_nobody_named_are_told_by_step() {
    let wrong_path = scenario("\"/api/cart\"", "\"/api/basket\"", "right");
    send(Fault::Nothing, wrong_path).await.all_fail(2, &Why::Status(403), "a form without its CSRF value");
    let no_page = scenario("url = \"/item\"", "url = \"/itm\"", "right");
    send(Fault::Nothing, no_page).await.all_fail(0, &Why::Status(404), "correct url: the shop has no GET /itm");
    let refused = send(Fault::Nothing, scenario("small", "small", "wrong")).await;
    refused.all_fail(1, &Why::Elsewhere("/login".into()), "the log-in was refused: check the rows of journey.users");
    let stranger = scenario("url = \"/paid\"", "url = \"http://else.test/paid\"", "right");
    let stranger = send(Fault::Nothing, stranger).await;
    stranger.all_fail(4, &Why::Stranger("http://else.test".into()), "add --also http://else.test");
    let long = send(Fault::LongPage, scenario("small", "small", "right")).await;
    long.all_fail(0, &Why::TooLong, "2 MiB");
}

#[tokio::test]
async fn who_finds_everything_sold_was_served() {
    let sent = send(Fault::SoldOut, scenario("small", "small", "right")).await;
    assert!(sent.all_end(End::SoldOut));
    assert_eq!(sent.check("anybody-served").outcome, Outcome::Held);
}

#[tokio::test]
async fn a_shop_that_is_gone_serves_nobody() {
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let scenario = scenario("small", "small", "right");
    let (start, arrivals) = (tokio::time::Instant::now(), Arrivals::of(&scenario));
    let targets = vec![Target::plain(nowhere, "shop.test")];
    let sending = Sending { scenario: Arc::new(scenario.clone()), arrivals, targets, part: Part::ALL, start };
    let evidence = crowd::send(sending, Watch::default(), CancellationToken::new()).await;
    let checks = judge(&scenario, &evidence);
    let served = checks.iter().find(|check| check.id == "anybody-served").unwrap();
    assert_eq!(served.outcome, Outcome::Invalid);
    assert!(served.detail.contains("no answer"), "{served:#?}");
    assert!(evidence.took < Duration::from_secs(10).as_micros() as i64);
}
