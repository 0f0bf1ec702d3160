//! An honest shopper: what a person does next, given the last answer.
//!
//! ```text
//! Door --shop--> Browsing --> (Cart) --> Ordering --order--> Paying --receipt--> Bought
//!   \--line--> Line --shop--^                 any failure: again, a few times, then leaves
//! ```
//!
//! People of all habits walk the same way; they differ in what they do in the line (`Shopper::wait`). A
//! page in the line keeps asking whatever happens, as the waiting page does; a person at the door, or inside,
//! tries a few times.
//!
//! With a journey ([`crate::journey`]) they walk its steps instead of Browsing to Paying, and may meet the line again on the way: then
//! they wait as told, and go on where they were.
//!
//! What is absent: sockets and clocks.

mod way;

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::evidence::{End, Stumble};
use crate::journey::Walk;
use crate::persona::Persona;
use crate::scenario::Scenario;
use crate::span::Span;
use crate::visitor::{Answer, Ask, Cookies, Detour, Heard, Next, Place, Request, Shown, Sight, Then, Told};

/// Somebody who reloads the page does so after so long: the shortest and the longest time.
const RELOADS: [Span; 2] = [Span(Duration::from_millis(500)), Span(Duration::from_millis(1_500))];
/// At which answer from the line somebody loses their cookies, or changes their address.
const MISHAP: u32 = 2;

/// One honest person.
#[derive(Debug)]
pub struct Shopper {
    scenario: Arc<Scenario>,
    persona: Persona,
    random: SmallRng,
    uses_cart: bool,
    stage: Stage,
    /// Failures in a row.
    failures: u32,
    /// Answers from the line.
    told: u32,
    /// When they lose their patience.
    leaves: Option<Duration>,
    /// Which of their addresses they are at.
    address: u8,
    /// Loading what the waiting page is made of.
    detour: Option<Box<Detour>>,
    /// Where they are on a journey.
    walk: Option<Box<Walk>>,
    /// Whether they were inside before they met the line.
    waits_again: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Door,
    Line,
    /// Pages left to look at.
    Browsing(u32),
    Cart,
    Ordering(Key),
    Paying(u64, Key),
    /// On a journey, which knows where.
    Inside,
}

type Key = Option<Box<str>>;

/// The random numbers of visitor `index` of a crowd: the same in every run.
pub(crate) fn luck(seed: u64, index: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A time between the shortest and the longest one.
pub(crate) fn between(random: &mut SmallRng, range: [Span; 2]) -> Duration {
    let [shortest, longest] = range.map(Span::seconds);
    Duration::from_secs_f64(random.random_range(shortest..=longest.max(shortest)))
}

impl Shopper {
    /// Person number `index` of the crowd of this scenario: the same person in every run.
    pub fn new(scenario: &Arc<Scenario>, persona: Persona, index: u64) -> Self {
        let mut random = luck(scenario.seed, index);
        let uses_cart = random.random_bool(scenario.habits.cart.clamp(0.0, 1.0));
        Self {
            scenario: Arc::clone(scenario),
            persona,
            random,
            uses_cart,
            stage: Stage::Door,
            failures: 0,
            told: 0,
            leaves: None,
            address: 0,
            detour: None,
            walk: scenario.journey.as_ref().map(|journey| Box::new(Walk::new(journey, index))),
            waits_again: false,
        }
    }

    /// Where they are.
    pub fn place(&self) -> Place {
        match self.stage {
            Stage::Door => Place::Door,
            Stage::Line => Place::Line,
            _ => Place::Inside,
        }
    }

    /// The first request of a visit.
    pub fn first(&mut self) -> Request {
        self.request()
    }

    /// How many steps of their journey are done, and what went wrong with one since this was asked last.
    pub(crate) fn progress(&mut self) -> Option<(u16, Option<Stumble>)> {
        self.walk.as_mut().map(|walk| (walk.done(), walk.take_stumble()))
    }

    /// Takes what came of the last request.
    pub fn hear(&mut self, heard: Heard<'_>) -> Next {
        if let Some(detour) = &mut self.detour {
            let next = detour.next(heard.at);
            if detour.is_over() {
                self.detour = None;
            }
            return next;
        }
        if let Some(walk) = self.walk.take() {
            let scenario = Arc::clone(&self.scenario);
            return match &scenario.journey {
                Some(journey) => self.hear_on_the_way(heard, walk, journey),
                None => Next::leave(End::Looked),
            };
        }
        match (self.place(), heard.answer) {
            (Place::Inside, Some(Answer { shown: Shown::Shop(sight), .. })) => self.walk_on(sight),
            (Place::Door | Place::Line, Some(Answer { shown: Shown::Shop(sight), .. })) => self.enter(sight),
            (Place::Door | Place::Line, Some(Answer { shown: Shown::Line(told), .. })) => self.wait(heard.at, told),
            (Place::Door | Place::Line, Some(answer)) if is_final(answer) => Next::leave(End::Refused),
            _ => self.fail(),
        }
    }

    /// There is a line: what each kind of person does about it.
    fn wait(&mut self, now: Duration, told: &Told) -> Next {
        self.stage = Stage::Line;
        self.failures = 0;
        self.told += 1;
        let mut pause = told.after;
        match self.persona {
            Persona::NoShow => return Next::leave(End::NoShow),
            Persona::Impatient => {
                let left = self.patience_left(now);
                if left <= pause {
                    return Next { pause: left, then: Then::Leave(End::LostPatience) };
                }
            }
            Persona::LateReturner if self.told == 1 => {
                pause = pause.max(between(&mut self.random, self.scenario.habits.away));
            }
            Persona::RefreshSpammer => pause = between(&mut self.random, RELOADS),
            Persona::LosesCookies if self.told == MISHAP => {
                self.stage = Stage::Door;
                return Next::ask(Request { cookies: Cookies::Lost, ..self.request() }, pause);
            }
            Persona::ChangesAddress if self.told == MISHAP => self.address = 1,
            _ => {}
        }
        self.after_assets(now, &told.assets, pause)
    }

    /// A page is loaded with all that it is made of, once: a browser keeps it.
    fn after_assets(&mut self, now: Duration, assets: &[Box<str>], pause: Duration) -> Next {
        let next = Next::ask(self.request(), pause);
        if self.told != 1 || assets.is_empty() || !self.scenario.habits.assets {
            return next;
        }
        let requests = assets.iter().map(|path| Ask::Asset(path.clone()).into());
        let detour = self.detour.insert(Box::new(Detour::new(requests, Duration::ZERO, next, now)));
        detour.next(now)
    }

    fn patience_left(&mut self, now: Duration) -> Duration {
        let bears = self.scenario.habits.bears;
        let leaves = *self.leaves.get_or_insert_with(|| now + between(&mut self.random, bears));
        leaves.saturating_sub(now)
    }

    fn enter(&mut self, sight: &Sight) -> Next {
        self.stage = Stage::Browsing(self.scenario.habits.browse);
        self.walk_on(sight)
    }

    /// A page of the shop: on to the next one.
    fn walk_on(&mut self, sight: &Sight) -> Next {
        if sight.sold_out {
            return Next::leave(End::SoldOut);
        }
        let key = || sight.key.clone();
        let next = match (&self.stage, sight.order) {
            (Stage::Browsing(0), _) if self.uses_cart => Stage::Cart,
            (Stage::Browsing(0) | Stage::Cart, _) => Stage::Ordering(key()),
            (Stage::Browsing(left), _) => Stage::Browsing(left - 1),
            (Stage::Ordering(_), Some(order)) => Stage::Paying(order, key()),
            (Stage::Paying(..), _) => return Next::leave(End::Bought),
            _ => return self.fail(),
        };
        self.stage = next;
        self.failures = 0;
        Next::ask(self.request(), between(&mut self.random, self.scenario.habits.think))
    }

    /// The request that somebody at this stage sends.
    fn request(&mut self) -> Request {
        let polls = self.stage == Stage::Line && (self.persona != Persona::RefreshSpammer || self.waits_again);
        let twice = self.persona == Persona::SecondTab && polls;
        if let (Some(walk), Some(journey)) = (&mut self.walk, &self.scenario.journey)
            && let Some(call) = if polls { walk.poll(journey) } else { walk.call(journey) }
        {
            return Request { address: self.address, twice, ..Ask::Call(Box::new(call)).into() };
        }
        let ask = match &self.stage {
            Stage::Line if polls => Ask::Poll,
            Stage::Door | Stage::Line | Stage::Browsing(..) | Stage::Inside => Ask::Item,
            Stage::Cart => Ask::Cart,
            Stage::Ordering(key) => Ask::Order(key.clone()),
            Stage::Paying(order, key) => Ask::Payment(*order, key.clone()),
        };
        Request { address: self.address, twice, ..ask.into() }
    }

    fn fail(&mut self) -> Next {
        self.failures += 1;
        if self.failures <= self.scenario.habits.retries || self.place() == Place::Line {
            return Next::ask(self.request(), between(&mut self.random, self.scenario.habits.again));
        }
        Next::leave(if self.place() == Place::Inside { End::OrderFailed } else { End::TurnedAway })
    }
}

/// Whether it makes no sense to ask again.
fn is_final(answer: &Answer) -> bool {
    (400..500).contains(&answer.status) && answer.status != 429
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Arc<Scenario> {
        let text = "name = 'test'\narrivals = []\n[room]\nnew_users_per_minute = 60\n[habits]\nbears = ['9s', '9s']\naway = ['40s', '40s']\n";
        Arc::new(toml::from_str(text).unwrap())
    }

    fn shopper(persona: Persona) -> Shopper {
        Shopper::new(&scenario(), persona, 3)
    }

    const NOW: Duration = Duration::from_secs(100);

    fn at(now: Duration, answer: &Answer) -> Heard<'_> {
        Heard { at: now, answer: Some(answer), token: None }
    }

    fn hears(shopper: &mut Shopper, answer: &Answer) -> Next {
        shopper.hear(at(NOW, answer))
    }

    fn nothing(shopper: &mut Shopper) -> Next {
        shopper.hear(Heard { at: NOW, answer: None, token: None })
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
        Answer::shop(Sight { key: Some("k1".into()), ..Sight::default() })
    }

    fn order(id: u64) -> Answer {
        Answer::shop(Sight { order: Some(id), key: Some("k2".into()), ..Sight::default() })
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
        assert_eq!(
            asks(hears(&mut visitor, &line(1))),
            Ask::Order(Some("k1".into())),
            "a line in mid-order is a failure"
        );
        assert_eq!(hears(&mut visitor, &page()), Next::leave(End::OrderFailed), "so is a page without an order");
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
        let sold_out = Answer::shop(Sight { sold_out: true, ..Sight::default() });
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
        let told = Told { after: Duration::from_secs(4), assets, ..Told::default() };
        let answer = Answer { status: 200, shown: Shown::Line(told), seen: None };
        assert_eq!(hears(&mut shopper, &answer), Next::ask(Ask::Asset("/a.css".into()), Duration::ZERO));
        let later = |ms| NOW + Duration::from_millis(ms);
        let loaded = Answer::shop(Sight::default());
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
}
