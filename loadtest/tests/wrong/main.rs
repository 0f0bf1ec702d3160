//! Each check catches its fault: a gateway that is wrong on purpose is found by the check that is meant for it, and one
//! that is not wrong is judged "held". Over real sockets, with the crowd and the shop of every other run.
//!
//! The faults are gross and the rooms small, so that a slow machine changes no verdict. Whether this machine could keep
//! up (`generator-...`) is not asked here: its checks are tested beside their code.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod gateway;
mod launch;
mod room;

use std::collections::BTreeMap;
use std::time::Duration;

use launch_model::persona::Persona;
use launch_model::scenario::Scenario;
use launch_model::span::Span;
use verdict::{Outcome, Verdict};

use launch::{Coming, launch, scenario};
use room::Fault;

/// People for three seconds, who come in one.
const CROWD: [Coming; 1] = [(240.0, 1.0)];

/// The plain launch at a gateway with this fault.
async fn plain(fault: Fault) -> launch::Judged {
    launch(fault, scenario(|_| ()), &CROWD).await
}

/// A quarter of the people are of this kind.
fn among(persona: Persona) -> impl Fn(&mut Scenario) {
    move |scenario| scenario.shoppers = BTreeMap::from([(Persona::Patient, 3.0), (persona, 1.0)])
}

/// A gateway with this fault lets attacks of this kind through, and one without does not.
async fn lets_through(fault: Fault, persona: Persona, change: impl Fn(&mut Scenario)) -> launch::Judged {
    let scenario = scenario(|scenario| {
        among(persona)(scenario);
        change(scenario);
    });
    let crowd = [(120.0, 0.4)];
    let (right, wrong) =
        tokio::join!(launch(Fault::Nothing, scenario.clone(), &crowd), launch(fault, scenario.clone(), &crowd));
    assert_eq!(right.check("attacks-at-shop").outcome, Outcome::Held, "{:#?}", right.check("attacks-at-shop"));
    wrong.is_found_by(["attacks-at-shop"]);
    let named = format!("{persona:?}");
    assert!(wrong.check("attacks-at-shop").detail.contains(&named), "{:#?}", wrong.check("attacks-at-shop"));
    wrong
}

fn span(ms: u64) -> Span {
    Span(Duration::from_millis(ms))
}

#[tokio::test]
async fn a_gateway_without_a_fault_is_judged_held() {
    let scenario = scenario(|scenario| {
        scenario.room.total_active_users = Some(400);
        scenario.room.new_users_per_minute = 1_200.0;
        scenario.closing = Some(span(14_000));
        // A machine that stands still for seconds must not look like a fault.
        (scenario.objectives.use_of_rate, scenario.objectives.inside_first_range) = (0.5, 0.1);
        scenario.objectives.overtaking = span(20_000);
        let kinds = [
            (Persona::Patient, 12.0),
            (Persona::NoShow, 4.0),
            (Persona::SecondTab, 1.0),
            (Persona::ChangesAddress, 1.0),
            (Persona::LosesCookies, 1.0),
            (Persona::RefreshSpammer, 0.5),
            (Persona::Forges, 0.3),
            (Persona::Shares, 0.2),
        ];
        scenario.shoppers = BTreeMap::from(kinds);
    });
    let judged = launch(Fault::Nothing, scenario, &[(300.0, 1.0)]).await;
    let held: Vec<_> = judged.checks.iter().filter(|check| !check.id.starts_with("generator-")).cloned().collect();
    assert_eq!(Verdict::of(&held), Verdict::Held, "{held:#?}");
    let unknown: Vec<_> =
        held.iter().filter(|check| check.outcome == Outcome::Unknown).map(|check| &*check.id).collect();
    assert_eq!(
        unknown,
        ["active-stay-in", "wait-cut", "page-p99-crowd"],
        "visits were short, and a line stood all along"
    );
}

#[tokio::test]
async fn twice_the_limit_is_found_in_cookies_and_counters() {
    plain(Fault::LimitDoubled).await.is_found_by(["limit-1s", "limit-any", "limit-counters"]);
}

#[tokio::test]
async fn a_limit_that_is_gone_is_found_at_the_shop_too() {
    plain(Fault::LimitGone).await.is_found_by(["limit-1s", "limit-any", "limit-counters", "limit-shop-1s"]);
}

#[tokio::test]
async fn seats_that_are_not_counted_are_found() {
    let seats = scenario(|scenario| {
        scenario.room.total_active_users = Some(4);
        scenario.habits.think = [span(400), span(600)];
    });
    launch(Fault::SeatsIgnored, seats, &CROWD).await.is_found_by(["seats", "seats-counters"]);
}

#[tokio::test]
async fn a_rate_of_which_half_is_left_is_found() {
    let long = scenario(|scenario| {
        scenario.room.new_users_per_minute = 1_200.0;
        scenario.closing = Some(span(10_000));
    });
    launch(Fault::HalfUnused, long, &[(160.0, 1.0)]).await.is_found_by(["use-of-rate"]);
}

#[tokio::test]
async fn a_line_that_is_served_from_its_end_is_found() {
    let strict = scenario(|scenario| scenario.objectives.overtaking = span(1_200));
    launch(Fault::LastFirst, strict, &CROWD).await.is_found_by(["order", "overtaking"]);
}

#[tokio::test]
async fn lost_tickets_are_found() {
    plain(Fault::TicketsLost).await.is_found_by(["places-kept"]);
}

#[tokio::test]
async fn a_number_that_is_given_twice_is_found() {
    plain(Fault::NumbersTwice).await.is_found_by(["numbers-twice"]);
}

#[tokio::test]
async fn a_second_pass_for_one_number_is_found() {
    plain(Fault::PassesTwice).await.is_found_by(["second-passes"]);
}

#[tokio::test]
async fn people_who_are_sent_back_to_the_line_are_found() {
    plain(Fault::ThrowsOut).await.is_found_by(["thrown-out"]);
}

#[tokio::test]
async fn active_shoppers_who_lose_their_pass_are_found() {
    let long = scenario(|scenario| {
        scenario.room.session_duration = span(2_000);
        scenario.habits.browse = 40;
    });
    let calm: [Coming; 1] = [(30.0, 1.0)];
    let (right, wrong) =
        tokio::join!(launch(Fault::Nothing, long.clone(), &calm), launch(Fault::NeverRenews, long.clone(), &calm));
    assert_eq!(right.check("active-stay-in").outcome, Outcome::Held, "{:#?}", right.check("active-stay-in"));
    wrong.is_found_by(["active-stay-in"]);
}

#[tokio::test]
async fn a_seal_that_is_not_checked_is_found() {
    lets_through(Fault::SealUnchecked, Persona::Alters, |_| ()).await;
}

#[tokio::test]
async fn passes_that_are_accepted_after_their_end_are_found() {
    let short = |scenario: &mut Scenario| scenario.room.session_duration = span(1_500);
    lets_through(Fault::ExpiredAccepted, Persona::Expired, short).await;
}

#[tokio::test]
async fn passes_that_are_accepted_after_the_receipt_are_found() {
    lets_through(Fault::ReplayAccepted, Persona::Replays, |_| ()).await;
}

#[tokio::test]
async fn passes_of_another_room_that_are_accepted_are_found() {
    let other = |scenario: &mut Scenario| scenario.room.other = Some("/other/item".into());
    lets_through(Fault::OtherRoomAccepted, Persona::OtherRoom, other).await;
}

#[tokio::test]
async fn inner_pages_that_stand_open_are_found() {
    let judged = lets_through(Fault::InnerPagesOpen, Persona::SkipsLine, |_| ()).await;
    judged.is_found_by(["entries-without-pass"]);
}

#[tokio::test]
async fn a_position_that_grows_is_found() {
    let long = scenario(|scenario| scenario.room.new_users_per_minute = 2_400.0);
    launch(Fault::PositionsGrow, long, &CROWD).await.is_found_by(["positions-grown"]);
}

#[tokio::test]
async fn a_wait_that_is_made_up_is_found() {
    plain(Fault::WaitInvented).await.is_found_by(["wait-inside"]);
}

#[tokio::test]
async fn errors_to_people_who_wait_are_found() {
    plain(Fault::ErrorsWhileWaiting).await.is_found_by(["errors-waiting"]);
}

#[tokio::test]
async fn pages_that_are_slow_while_a_crowd_waits_are_found() {
    let ratio = scenario(|scenario| {
        (scenario.room.new_users_per_minute, scenario.room.burst) = (2_400.0, Some(40.0));
        scenario.closing = Some(span(14_000));
        scenario.objectives.page_p99_times = 2.0;
    });
    // No line in the first four seconds, and then one for some seven.
    launch(Fault::SlowWithACrowd, ratio, &[(25.0, 4.0), (340.0, 1.0)]).await.is_found_by(["page-p99-crowd"]);
}
