use std::path::Path;

use evidence::{End, Visit};
use launch_model::persona::Persona;
use policy::room::Rules;
use verdict::{Check, Outcome as Held, Verdict, judge};

use super::*;

/// 2026-07-31, on a whole second.
const START: i64 = 1_785_492_000_000_000;

/// Five thousand people of all kinds, for a room of 50 a second.
fn launch(room: &str) -> Scenario {
    let weight = |persona: Persona| match persona {
        Persona::Patient => 40.0,
        Persona::NoShow => 25.0,
        persona if persona.is_adversary() => 1.25,
        _ => 3.5,
    };
    let shoppers: Vec<_> = Persona::ALL.map(|kind| format!("{} = {:?}\n", kind.name(), weight(kind))).into();
    let text = format!(
        "closing = '150s'\ngrace = '15s'\n\
         [room]\nnew_users_per_minute = 3000\nsession_duration = '40s'\n{room}\n\
         [[arrivals]]\nkind = 'flat'\nrate = 20\nfor = '10s'\n\
         [[arrivals]]\nkind = 'burst'\nrate = 20\ntimes = 25\nfor = '9s'\n\
         [[arrivals]]\nkind = 'flat'\nrate = 15\nfor = '20s'\n[shoppers]\n{}",
        shoppers.concat()
    );
    written(&text)
}

fn run(scenario: &Scenario, setup: &Setup) -> (Evidence, Vec<Check>) {
    let evidence = simulate(scenario, setup, &Watch::default());
    let checks = judge(scenario, &evidence);
    (evidence, checks)
}

/// The faults of this launch, if the gateway is set to something else than the room promises.
fn found(scenario: &Scenario, wrong: impl FnOnce(&mut Rules)) -> Vec<String> {
    let mut setup = Setup::of(scenario, START);
    wrong(&mut setup.rules);
    let (_, checks) = run(scenario, &setup);
    checks.into_iter().filter(|check| check.outcome == Held::Broken).map(|check| check.id).collect()
}

fn is_found(found: &[String], ids: &[&str]) -> bool {
    ids.iter().all(|id| found.iter().any(|found| found == id))
}

#[test]
fn a_launch_of_some_thousands_holds_every_promise() {
    let scenario = launch("total_active_users = 600");
    let (evidence, checks) = run(&scenario, &Setup::of(&scenario, START));
    let not_held: Vec<_> = checks.iter().filter(|check| check.outcome != Held::Held).map(|check| &*check.id).collect();
    assert_eq!(
        not_held,
        ["active-stay-in", "wait-cut", "inventory"],
        "visits are short, nobody cuts the rate, and a simulated shop keeps no inventory: {checks:#?}"
    );
    assert_eq!(Verdict::of(&checks), Verdict::Held);
    let ended = |end| evidence.visits.iter().filter(|visit| visit.end == end).count();
    assert!(ended(End::Bought) > 2_500 && ended(End::NoShow) > 1_000 && ended(End::Outside) == 0);
    assert!(evidence.visits.iter().flat_map(|visit| &visit.asked).filter(|asked| asked.attack).count() > 5_000);
    let most = evidence.timeline.iter().map(|second| second.waiting).max();
    assert!(most > Some(2_000), "the line was long: {most:?}");
}

/// A launch of this text.
fn written(text: &str) -> Scenario {
    Scenario::parse(&format!("name = 't'\n{text}"), Path::new("")).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// The rate is 10 a second. Nineteen of twenty take a ticket that they will not claim, whether they are never seen again or
/// poll as told until their turn comes near: the line learns it within half a minute.
#[test]
fn a_line_of_which_19_of_20_are_stuffing_uses_nine_tenths_of_the_rate_after_half_a_minute() {
    for stuffers in ["no_show = 95", "stuffs_line = 95", "no_show = 48\nstuffs_line = 47"] {
        let scenario = written(&format!(
            "closing = '120s'\ngrace = '15s'\n[room]\nnew_users_per_minute = 600\n\
             [[arrivals]]\nkind = 'flat'\nrate = 2000\nfor = '12s'\n[shoppers]\npatient = 5\n{stuffers}\n"
        ));
        let (evidence, _) = run(&scenario, &Setup::of(&scenario, START));
        let mut entered: Vec<_> = evidence.visits.iter().filter_map(|visit| visit.entered).collect();
        entered.sort_unstable();
        let from = entered[0] + 30_000_000;
        let shopper = |visit: &&Visit| visit.persona == Persona::Patient;
        let within = |visit: &&Visit| visit.entered.is_some_and(|at| (from..from + 60_000_000).contains(&at));
        let shoppers = evidence.visits.iter().filter(shopper).filter(within).count();
        assert!((540..=601).contains(&shoppers), "{stuffers}: {shoppers} of 600 that the rate allows");
        assert_eq!(evidence.visits.iter().filter(within).count(), shoppers, "{stuffers}: who stuffs claims nothing");
        let polls = evidence.visits.iter().filter(|visit| visit.persona == Persona::StuffsLine && visit.requests > 3);
        assert_eq!(polls.count() > 8_000, stuffers.contains("stuffs"), "{stuffers}: they polled");
    }
}

/// 900 seats, 20 shoppers a second who need about 80 of them, and as many clients a second who keep no cookies: these take a
/// seat for five minutes each, and would have all of them after three quarters of a minute.
#[test]
fn beside_who_hoards_seats_honest_people_enter_and_keep_theirs() {
    let scenario = written(
        "closing = '150s'\ngrace = '20s'\n[room]\nnew_users_per_minute = 3000\ntotal_active_users = 900\n\
         session_duration = '5m'\n[[arrivals]]\nkind = 'flat'\nrate = 40\nfor = '2m'\n\
         [shoppers]\npatient = 1\nhoards_seats = 1\n",
    );
    let (evidence, checks) = run(&scenario, &Setup::of(&scenario, START));
    let (hoarders, honest): (Vec<_>, Vec<_>) =
        evidence.visits.iter().partition(|visit| visit.persona == Persona::HoardsSeats);
    let seats: usize = hoarders.iter().filter(|visit| visit.entered.is_some()).count();
    assert!(seats > 1_500, "more seats than there are were taken: {seats}");
    assert!(honest.len() > 2_000 && honest.iter().all(|visit| visit.end == End::Bought && !visit.thrown_out));
    let most = honest.iter().filter_map(|visit| Some(visit.entered? - visit.due)).max();
    assert!(most < Some(3_000_000), "whoever came was inside within {most:?} us");
    assert_eq!(Verdict::of(&checks), Verdict::Held, "{checks:#?}");
}

#[test]
fn the_same_scenario_is_the_same_launch_and_another_seed_another() {
    let text = |seed| {
        let scenario = Scenario { seed, ..launch("") };
        serde_json::to_string(&simulate(&scenario, &Setup::of(&scenario, START), &Watch::default()).visits).unwrap()
    };
    let (one, again, other) = (text(1), text(1), text(2));
    assert!(one == again && one != other);
}

#[test]
fn a_gateway_that_lets_in_twice_as_many_is_found() {
    let found = found(&launch(""), |rules| rules.rate *= 2.0);
    assert!(is_found(&found, &["limit-1s", "limit-10s", "limit-shop-10s"]), "{found:?}");
}

#[test]
fn a_launch_with_an_event_and_an_order_that_is_drawn_holds_every_promise() {
    let scenario = Scenario::find("event-drawn").unwrap();
    let (_, checks) = run(&scenario, &Setup::of(&scenario, START));
    for id in ["event-early", "event-order", "round-overtaking", "round-drawn"] {
        let check = checks.iter().find(|check| check.id == id).unwrap();
        assert_eq!(check.outcome, Held::Held, "{check:?}");
    }
    assert_eq!(Verdict::of(&checks), Verdict::Held, "{checks:#?}");
}

#[test]
fn a_gateway_that_draws_no_order_or_gathers_for_longer_is_found() {
    let scenario = Scenario::find("event-drawn").unwrap();
    let none = found(&scenario, |rules| rules.round = None);
    assert!(is_found(&none, &["round-drawn"]), "{none:?}");
    let longer = found(&scenario, |rules| rules.round = Some(35_000));
    assert!(is_found(&longer, &["round-overtaking"]), "{longer:?}");
}

#[test]
fn a_gateway_that_lets_in_too_many_at_once_is_found() {
    let found = found(&launch("burst = 5"), |rules| rules.burst = 100.0);
    assert!(is_found(&found, &["limit-100ms"]), "{found:?}");
}

#[test]
fn a_gateway_that_counts_no_seats_is_found() {
    let found = found(&launch("total_active_users = 120"), |rules| rules.total_active_users = None);
    assert!(is_found(&found, &["seats", "seats-counters"]), "{found:?}");
}

#[test]
fn a_gateway_that_lets_in_too_few_is_found() {
    let found = found(&launch(""), |rules| rules.rate *= 0.8);
    assert!(is_found(&found, &["use-of-rate"]), "{found:?}");
}

/// The share that entered inside the first range.
fn inside(checks: &[Check]) -> f64 {
    checks.iter().find(|check| check.id == "wait-inside").and_then(|check| check.measured).unwrap_or(0.0)
}

#[test]
fn in_lines_that_form_slowly_the_wait_is_as_it_was_told_whether_or_not_the_seats_bind() {
    for name in ["slow-line", "full-house"] {
        let scenario = Scenario::find(name).unwrap();
        let (_, checks) = run(&scenario, &Setup::of(&scenario, START));
        assert_eq!(Verdict::of(&checks), Verdict::Held, "{name}: {checks:#?}");
        assert!(inside(&checks) >= 0.9, "{name}: {}", inside(&checks));
    }
}

#[test]
fn a_range_that_was_told_before_the_rate_was_cut_is_listed_apart() {
    let scenario = Scenario::find("slow-line").unwrap();
    let setup = Setup::of(&scenario, START);
    let cut = Rules { rate: 1.0, burst: 1.0, ..setup.rules.clone() };
    let (_, checks) = run(&scenario, &Setup { changes: vec![(20_000_000, cut)], ..setup });
    let apart = checks.iter().find(|check| check.id == "wait-cut").unwrap();
    assert_eq!(apart.outcome, Held::Broken, "{apart:?}");
    assert!(apart.measured > Some(20.0) && inside(&checks) < 0.9, "{apart:?}, {}", inside(&checks));
    let held = |id: &str| checks.iter().any(|check| check.id == id && check.outcome == Held::Held);
    assert!(held("positions-grown") && held("use-of-rate"), "{checks:#?}");
}

#[test]
fn on_a_calm_day_nobody_sees_the_waiting_page() {
    let scenario = Scenario::find("calm-day").unwrap();
    let (evidence, checks) = run(&scenario, &Setup::of(&scenario, START));
    assert!(evidence.timeline.iter().all(|second| second.waiting == 0));
    assert!(evidence.visits.len() > 1_000);
    assert_eq!(Verdict::of(&checks), Verdict::Held, "{checks:#?}");
}

/// Ten a second at a shop that takes 17 payments a second; the payment stage is at a tenth from 30 s to 60 s.
fn stalled(more: &str) -> Scenario {
    written(&format!(
        "closing = '110s'\ngrace = '40s'\n[room]\nnew_users_per_minute = 600\n\
         [[arrivals]]\nkind = 'flat'\nrate = 60\nfor = '40s'\n[habits]\nresends = true\n\
         [shop]\npayment = {{ pool = 10, latency = '600ms' }}\n\
         [[shop.fault]]\nstage = 'payment'\nshare = 0.1\nfrom = '30s'\nfor = '30s'\n\
         [objectives]\npage_p99 = '20s'\npage_p99_times = 1000\n{more}"
    ))
}

#[test]
fn while_payments_stall_forms_wait_at_the_gate_and_everybody_who_was_let_in_buys() {
    for seed in 0..20 {
        let scenario = Scenario { seed, ..stalled("") };
        let (evidence, checks) = run(&scenario, &Setup::of(&scenario, START));
        assert_eq!(Verdict::of(&checks), Verdict::Held, "seed {seed}: {checks:#?}");
        let held = |id: &str| checks.iter().any(|check| check.id == id && check.outcome == Held::Held);
        assert!(["faults-made", "white-pages", "goodput", "charged-twice"].iter().all(|id| held(id)), "seed {seed}");
        let let_in = evidence.visits.iter().filter(|visit| visit.entered.is_some());
        assert!(let_in.clone().all(|visit| visit.end == End::Bought) && let_in.count() > 1_000, "seed {seed}");
        let bought = |seconds: std::ops::Range<usize>| evidence.timeline[seconds].iter().map(|s| s.bought).sum::<u64>();
        assert!((30..=80).contains(&bought(32..60)), "a tenth of 17 a second: {}", bought(32..60));
        assert!(bought(62..82) > 200, "and then more than come in meanwhile: {}", bought(62..82));
        let again = evidence.visits.iter().flat_map(|visit| &visit.asked).filter(|asked| asked.status == Some(429));
        assert!(again.count() > 300, "forms were sent again");
    }
}

#[test]
fn a_hundred_thousand_wait_while_payments_stall_and_nobody_inside_is_lost() {
    let scenario = Scenario::find("payment-stall").unwrap();
    let (evidence, checks) = run(&scenario, &Setup::of(&scenario, START));
    assert_eq!(Verdict::of(&checks), Verdict::Held, "{checks:#?}");
    let waiting = |second: usize| evidence.timeline[second].waiting;
    assert!((110..170).map(waiting).min() > Some(100_000));
    let let_in = evidence.visits.iter().filter(|visit| visit.entered.is_some());
    assert!(let_in.clone().count() > 4_500 && let_in.clone().all(|visit| visit.end == End::Bought));
}

#[test]
fn people_who_take_a_form_that_waits_for_a_failure_are_lost_in_a_stall() {
    let mut scenario = stalled("");
    scenario.habits.resends = false;
    let (_, checks) = run(&scenario, &Setup::of(&scenario, START));
    let orders = checks.iter().find(|check| check.id == "orders").unwrap();
    assert_eq!(orders.outcome, Held::Broken, "{orders:?}");
}

#[test]
fn with_half_of_its_database_a_shop_sells_what_half_can_take() {
    let scenario = Scenario::find("capacity-halves").unwrap();
    let (evidence, checks) = run(&scenario, &Setup::of(&scenario, START));
    let bought = |seconds: std::ops::Range<usize>| evidence.timeline[seconds].iter().map(|s| s.bought).sum::<u64>();
    assert!((230..=270).contains(&bought(30..40)), "the rate of the room: {}", bought(30..40));
    assert!((130..=180).contains(&bought(80..90)), "half of 33 a second: {}", bought(80..90));
    let goodput = checks.iter().find(|check| check.id == "goodput").unwrap();
    assert_eq!(goodput.outcome, Held::Held, "{goodput:?}");
}

#[test]
fn when_everything_is_sold_the_others_are_told_so_and_nothing_is_sold_twice() {
    let scenario =
        Scenario { shop: launch_model::scenario::Shop { stock: Some(300), ..Default::default() }, ..launch("") };
    let (evidence, checks) = run(&scenario, &Setup::of(&scenario, START));
    assert_eq!(evidence.shop_report.as_ref().map(|report| report.orders_ok), Some(300));
    assert!(evidence.visits.iter().filter(|visit| visit.end == End::SoldOut).count() > 1_000);
    assert_eq!(Verdict::of(&checks), Verdict::Held, "{checks:#?}");
}

/// The same launch in a room that lends, whose store does not answer from 20 s to 40 s.
fn outage(rate: Option<f64>) -> (Evidence, Vec<Check>) {
    let scenario = launch("");
    let mut setup = Setup::of(&scenario, START);
    (setup.rules.lends, setup.outages) = (true, vec![(20_000_000, 40_000_000)]);
    let slower = rate.map(|rate| (19_000_000, Rules { rate, burst: rate, ..setup.rules.clone() }));
    setup.changes.extend(slower);
    run(&scenario, &setup)
}

fn entered(evidence: &Evidence, between: std::ops::Range<Micros>) -> usize {
    let entered = evidence.visits.iter().filter_map(|visit| visit.entered);
    entered.filter(|at| between.contains(at)).count()
}

#[test]
fn while_the_store_is_away_the_line_moves_on_by_the_lease_and_every_place_is_kept() {
    let (evidence, checks) = outage(None);
    // 50 a second, from a second after the last answer on, less what the pointer does not know of absent shoppers.
    let by_lease = entered(&evidence, 22_000_000..40_000_000);
    assert!((700..=910).contains(&by_lease), "{by_lease} of 900");
    let broken: Vec<_> = checks.iter().filter(|check| check.outcome == Held::Broken).map(|check| &*check.id).collect();
    // A second of the rate is lost, and a pass that is given back meanwhile is worth something until the line hears of it.
    assert_eq!(broken, ["use-of-rate", "attacks-at-shop"], "{checks:#?}");
    assert!(evidence.gateways.iter().filter(|sample| sample.store_away).count() >= 195, "as its gateway says");
    let late = |visit: &&Visit| (21_000_000..39_000_000).contains(&visit.due) && visit.persona == Persona::Patient;
    assert!(evidence.visits.iter().filter(late).count() > 100);
    assert!(
        evidence.visits.iter().filter(late).all(|visit| visit.end == End::Bought),
        "places kept meanwhile get numbers"
    );
    let granted = evidence.gateways.last().map(|sample| sample.admitted);
    let passes = evidence.visits.iter().filter(|visit| visit.entered.is_some()).count() as u64;
    assert!(granted >= Some(passes), "{granted:?} by its counter, {passes} entered");
}

#[test]
fn a_room_that_does_not_lend_stands_while_its_store_is_away() {
    let scenario = launch("");
    let setup = Setup { outages: vec![(20_000_000, 40_000_000)], ..Setup::of(&scenario, START) };
    let (evidence, _) = run(&scenario, &setup);
    assert_eq!(entered(&evidence, 20_500_000..40_000_000), 0);
    assert!(entered(&evidence, 41_000_000..50_000_000) > 400, "and goes on");
}

#[test]
fn on_a_lease_those_in_front_enter_first_however_many_are_called() {
    // The pointer goes on as fast as before, the lease gives less.
    let (_, checks) = outage(Some(10.0));
    for id in ["order", "overtaking"] {
        let check = checks.iter().find(|check| check.id == id).unwrap();
        assert_eq!(check.outcome, Held::Held, "{check:?}");
    }
}

#[test]
fn a_gateway_forgets_the_passes_that_have_ended() {
    let scenario = launch("");
    let mut world = World::new(&scenario, &Setup::of(&scenario, START), Watch::default());
    world.run();
    let last = world.gateway.samples.last().unwrap();
    assert!(last.admitted > 2_500);
    let remembered = world.gateway.remembered() as u64;
    assert!(remembered <= last.active_users + 60, "{remembered} are remembered, {} live", last.active_users);
}
