//! Honest people, answer by answer.

use super::*;

fn scenario() -> Arc<Scenario> {
    let text = "name = 'test'\narrivals = []\n[room]\nnew_users_per_minute = 60\n[habits]\nbears = ['9s', '9s']\naway = ['40s', '40s']\n";
    Arc::new(toml::from_str(text).unwrap())
}

fn shopper(persona: Persona) -> Shopper {
    Shopper::new(&scenario(), persona, 3)
}

const NOW: Duration = Duration::from_secs(100);

fn at(now: Duration, answer: &Answer) -> Event<'_> {
    Event { at: now, answer: Some(answer), token: None }
}

fn hears(shopper: &mut Shopper, answer: &Answer) -> Next {
    shopper.hear(at(NOW, answer))
}

fn nothing(shopper: &mut Shopper) -> Next {
    shopper.hear(Event { at: NOW, answer: None, token: None })
}

fn asks(next: Next) -> Ask {
    match next.then {
        Then::Ask(request) => request.ask,
        Then::Leave(end) => panic!("left: {end:?}"),
    }
}

fn line(seconds: u64) -> Answer {
    Answer::line(Duration::from_secs(seconds), None, None)
}

fn page() -> Answer {
    Answer::shop(ShopPage { key: Some("k1".into()), ..ShopPage::default() })
}

fn order(id: u64) -> Answer {
    Answer::shop(ShopPage { order: Some(id), key: Some("k2".into()), ..ShopPage::default() })
}

fn failure() -> Answer {
    Answer::status(503)
}

#[test]
fn without_a_line_a_shopper_orders_pays_and_leaves() {
    let mut shopper = shopper(Persona::Patient);
    assert_eq!(shopper.first().ask, Ask::Item);
    assert_eq!(asks(hears(&mut shopper, &page())), Ask::Order(Some("k1".into())));
    assert_eq!(shopper.place(), Place::Inside);
    assert_eq!(asks(hears(&mut shopper, &order(7))), Ask::Payment(7, Some("k2".into())));
    assert_eq!(hears(&mut shopper, &page()), Next::leave(End::Bought));
}

#[test]
fn somebody_who_looks_around_sees_pages_and_the_cart_before_they_order() {
    let mut scenario = Scenario::clone(&scenario());
    (scenario.habits.browse, scenario.habits.cart) = (2, 1.0);
    let mut shopper = Shopper::new(&Arc::new(scenario), Persona::Patient, 1);
    let seen: Vec<_> = (0..4).map(|_| asks(hears(&mut shopper, &page()))).collect();
    assert_eq!(seen, [Ask::Item, Ask::Item, Ask::Cart, Ask::Order(Some("k1".into()))]);
}

#[test]
fn in_the_line_a_shopper_polls_as_told_until_the_page_comes() {
    for persona in [Persona::Patient, Persona::SlowReader, Persona::ChangesAddress, Persona::SecondTab] {
        let mut shopper = shopper(persona);
        for seconds in [4, 2, 9] {
            let next = hears(&mut shopper, &line(seconds));
            assert_eq!(next.pause, Duration::from_secs(seconds), "{persona:?}");
            assert_eq!(asks(next), Ask::Poll, "{persona:?}");
            assert_eq!(shopper.place(), Place::Line);
        }
        assert_eq!(asks(hears(&mut shopper, &page())), Ask::Order(Some("k1".into())), "{persona:?}");
    }
}

#[test]
fn at_the_door_and_inside_somebody_gives_up_and_in_the_line_nobody_does() {
    let mut visitor = shopper(Persona::Patient);
    assert_eq!(asks(hears(&mut visitor, &failure())), Ask::Item);
    assert_eq!(asks(nothing(&mut visitor)), Ask::Item);
    assert_eq!(nothing(&mut visitor), Next::leave(End::TurnedAway));

    let mut visitor = shopper(Persona::Patient);
    hears(&mut visitor, &line(1));
    assert!((0..50).all(|_| asks(nothing(&mut visitor)) == Ask::Poll), "the page in the line goes on asking");
    hears(&mut visitor, &page());
    assert_eq!(asks(hears(&mut visitor, &failure())), Ask::Order(Some("k1".into())));
    assert_eq!(asks(hears(&mut visitor, &line(1))), Ask::Order(Some("k1".into())), "a line in mid-order is a failure");
    assert_eq!(hears(&mut visitor, &page()), Next::leave(End::OrderFailed), "so is a page without an order");
}

#[test]
fn a_form_that_is_told_to_wait_is_sent_again_as_it_was_however_often() {
    let mut scenario = Scenario::clone(&scenario());
    scenario.habits.resends = true;
    let mut shopper = Shopper::new(&Arc::new(scenario), Persona::Patient, 3);
    hears(&mut shopper, &page());
    for (status, seconds) in [(429, 3), (503, 7), (429, 1), (503, 2), (429, 5)] {
        let next = hears(&mut shopper, &Answer::later(status, Duration::from_secs(seconds)));
        assert_eq!(next, Next::ask(Ask::Order(Some("k1".into())), Duration::from_secs(seconds)));
    }
    hears(&mut shopper, &order(7));
    let next = hears(&mut shopper, &Answer::later(429, Duration::from_secs(4)));
    assert_eq!(next, Next::ask(Ask::Payment(7, Some("k2".into())), Duration::from_secs(4)), "so is a payment");
    assert_eq!(hears(&mut shopper, &page()), Next::leave(End::Bought));
}

#[test]
fn a_page_that_knows_where_asks_for_the_turn_and_sends_the_form_when_it_has_come() {
    let mut scenario = Scenario::clone(&scenario());
    scenario.habits.resends = true;
    let mut shopper = Shopper::new(&Arc::new(scenario), Persona::Patient, 3);
    hears(&mut shopper, &page());
    let told = |turn: Option<&str>| {
        let later = Later { after: Duration::from_secs(2), turn: turn.map(Box::from) };
        Answer { status: 429, shown: Content::Later(later), seen: None }
    };
    let asks_for_turn = Next::ask(Ask::Fetch("/turn".into()), Duration::from_secs(2));
    assert_eq!(hears(&mut shopper, &told(Some("/turn"))), asks_for_turn);
    assert_eq!(hears(&mut shopper, &told(None)), asks_for_turn, "not yet");
    let form = Ask::Order(Some("k1".into()));
    let turn = Answer { status: 200, shown: Content::Turn, seen: None };
    assert_eq!(hears(&mut shopper, &turn), Next::ask(form.clone(), Duration::ZERO));
    hears(&mut shopper, &told(Some("/turn")));
    assert_eq!(asks(nothing(&mut shopper)), form, "a page that cannot ask sends the form");
    assert_eq!(asks(hears(&mut shopper, &order(7))), Ask::Payment(7, Some("k2".into())));
}

#[test]
fn without_that_habit_a_form_that_is_told_to_wait_has_failed() {
    let mut shopper = shopper(Persona::Patient);
    hears(&mut shopper, &page());
    let later = Answer::later(429, Duration::from_secs(40));
    assert!(hears(&mut shopper, &later).asks() && hears(&mut shopper, &later).asks());
    assert_eq!(hears(&mut shopper, &later), Next::leave(End::OrderFailed));
}

#[test]
fn an_order_that_has_ended_is_not_paid_again() {
    let mut shopper = shopper(Persona::Patient);
    hears(&mut shopper, &page());
    hears(&mut shopper, &order(7));
    assert_eq!(hears(&mut shopper, &Answer::status(409)), Next::leave(End::OrderFailed));
}

#[test]
fn a_clear_no_is_taken_for_one() {
    for status in [400, 403, 404, 410] {
        assert_eq!(hears(&mut shopper(Persona::Patient), &Answer::status(status)), Next::leave(End::Refused));
    }
    assert_eq!(asks(hears(&mut shopper(Persona::Patient), &Answer::status(429))), Ask::Item);
}

#[test]
fn sold_out_ends_a_visit_wherever_it_is_read() {
    let sold_out = Answer::shop(ShopPage { sold_out: true, ..ShopPage::default() });
    for pages in [vec![], vec![line(1)], vec![page()], vec![page(), order(1)]] {
        let mut shopper = shopper(Persona::Patient);
        for page in &pages {
            hears(&mut shopper, page);
        }
        assert_eq!(hears(&mut shopper, &sold_out), Next::leave(End::SoldOut), "after {pages:?}");
    }
}

#[test]
fn a_no_show_leaves_at_the_sight_of_a_line_but_buys_where_there_is_none() {
    assert_eq!(hears(&mut shopper(Persona::NoShow), &line(4)), Next::leave(End::NoShow));
    assert_eq!(asks(hears(&mut shopper(Persona::NoShow), &page())), Ask::Order(Some("k1".into())));
}

#[test]
fn an_impatient_shopper_leaves_when_they_have_borne_enough_and_not_at_the_next_poll() {
    let mut shopper = shopper(Persona::Impatient);
    assert_eq!(asks(hears(&mut shopper, &line(6))), Ask::Poll);
    let next = shopper.hear(at(NOW + Duration::from_secs(6), &line(6)));
    assert_eq!(next, Next { pause: Duration::from_secs(3), then: Then::Leave(End::LostPatience) });
}

#[test]
fn a_late_returner_is_away_once() {
    let mut shopper = shopper(Persona::LateReturner);
    assert_eq!(hears(&mut shopper, &line(4)).pause, Duration::from_secs(40));
    assert_eq!(hears(&mut shopper, &line(4)).pause, Duration::from_secs(4));
}

#[test]
fn somebody_who_reloads_asks_for_the_page_and_does_not_wait_as_told() {
    let mut shopper = shopper(Persona::RefreshSpammer);
    for _ in 0..5 {
        let next = hears(&mut shopper, &line(20));
        assert!(next.pause < Duration::from_secs(2));
        assert_eq!(asks(next), Ask::Item);
    }
}

#[test]
fn cookies_are_lost_once_and_the_visit_begins_anew() {
    let mut shopper = shopper(Persona::LosesCookies);
    hears(&mut shopper, &line(1));
    let Then::Ask(request) = hears(&mut shopper, &line(1)).then else { panic!("stays") };
    assert_eq!((request.ask, request.cookies, shopper.place()), (Ask::Item, Cookies::Lost, Place::Door));
    let Then::Ask(request) = hears(&mut shopper, &line(1)).then else { panic!("stays") };
    assert_eq!((request.ask, request.cookies), (Ask::Poll, Cookies::Own));
}

#[test]
fn an_address_changes_once_and_stays_changed() {
    let mut shopper = shopper(Persona::ChangesAddress);
    let mut address = |answer: &Answer| match hears(&mut shopper, answer).then {
        Then::Ask(request) => request.address,
        Then::Leave(_) => panic!("stays"),
    };
    let seen = [address(&line(1)), address(&line(1)), address(&line(1)), address(&page())];
    assert_eq!(seen, [0, 1, 1, 1]);
}

#[test]
fn a_second_tab_asks_at_the_same_moment_in_the_line_alone() {
    let mut shopper = shopper(Persona::SecondTab);
    assert!(!shopper.first().twice);
    let mut twice =
        |answer: &Answer| matches!(hears(&mut shopper, answer).then, Then::Ask(Request { twice: true, .. }));
    assert!(twice(&line(1)) && twice(&line(1)) && !twice(&page()));
}

#[test]
fn the_waiting_page_is_loaded_with_its_assets_once_and_the_poll_is_as_told() {
    let mut shopper = shopper(Persona::Patient);
    let assets = vec!["/a.css".into(), "/b.js".into()];
    let told = QueueInfo { after: Duration::from_secs(4), assets, ..QueueInfo::default() };
    let answer = Answer { status: 200, shown: Content::Line(told), seen: None };
    assert_eq!(hears(&mut shopper, &answer), Next::ask(Ask::Asset("/a.css".into()), Duration::ZERO));
    let later = |ms| NOW + Duration::from_millis(ms);
    let loaded = Answer::shop(ShopPage::default());
    assert_eq!(asks(shopper.hear(at(later(300), &loaded))), Ask::Asset("/b.js".into()));
    let next = shopper.hear(at(later(1_000), &loaded));
    assert_eq!(next, Next::ask(Ask::Poll, Duration::from_secs(3)), "four seconds after the page");
    assert_eq!(hears(&mut shopper, &answer), Next::ask(Ask::Poll, Duration::from_secs(4)));
    assert_eq!(shopper.place(), Place::Line);
}

#[test]
fn the_same_seed_thinks_the_same_time() {
    let pause = |index| hears(&mut Shopper::new(&scenario(), Persona::Patient, index), &page()).pause;
    assert_eq!(pause(3), pause(3));
    assert_ne!(pause(3), pause(4));
}
