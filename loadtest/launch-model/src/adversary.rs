//! People who try to cheat. Each walks like a patient shopper and strikes on the way:
//!
//! | persona | strikes | with |
//! |---|---|---|
//! | forges | at the first answers from the line, or inside | made-up passes |
//! | alters | the same | their own ticket or pass, altered |
//! | other room | the same | a pass or ticket of [`Room::other`](crate::scenario::Room::other), or a made-up one |
//! | skips line | before anything else | order, payment and other spellings, without any cookie |
//! | expired | inside, when the pass has ended; at once if that is after the run | the old pass, or a forged one |
//! | replays | after the receipt that took the pass away | the pass that was taken away |
//! | shares | inside | not an attack: accomplices at other addresses use the pass |
//! | ignores hints | never | polls ten times a second |
//! | stuffs line | never | takes a place, polls as told, and goes before a poll would claim |
//! | hoards seats | never | takes a pass, and is not seen again |
//!
//! An attack ([`Request::attack`]) is a request that only a valid pass lets through: a form, or a script's fetch. A form that
//! comes soon after the end of its pass goes through by right, and is judged apart (`verdict::late`).
//! A page that is opened by navigation is none, for a client that shows a bad token is a newcomer and may be let
//! in as one.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;

use crate::forging;
use crate::persona::Persona;
use crate::random::rng_for;
use crate::scenario::Scenario;
use crate::shopper::Shopper;
use crate::token::{Kind, Token};
use crate::visit::{Answer, Ask, Content, Cookies, Detour, End, Event, Next, Place, Request, Then};

/// Pause between two attacks.
const PACE: Duration = Duration::from_millis(100);
/// Pause of an adversary who ignores hints.
const PESTERS: Duration = Duration::from_millis(100);
/// An adversary with a shorter poll interval may be called by then, and that poll would claim. Polls are told so that
/// no call comes before the next one.
const SOON: Duration = Duration::from_secs(2);
/// Strikes of an adversary who can repeat them, each at an answer.
const STRIKES: u32 = 3;
/// A pass that was given back, or has ended, is known to all gateways within this time, clocks included.
const SETTLED: Duration = Duration::from_secs(3);
/// Accomplices who get a shared pass.
const ACCOMPLICES: u8 = 8;
/// Requests in another room before an adversary takes what they have.
const TRIES_ELSEWHERE: u32 = 5;
/// The longest pause between those.
const ELSEWHERE: Duration = Duration::from_secs(5);
/// Salt that keeps an adversary's random choices apart from those of the shopper they pose as.
const SALT: u64 = 0x5eed_bad0;

/// One adversary.
#[derive(Debug)]
pub struct Adversary {
    scenario: Arc<Scenario>,
    persona: Persona,
    random: SmallRng,
    /// The shopper they pose as.
    guise: Shopper,
    detour: Option<Detour>,
    strikes: u32,
    /// The last pass that they held.
    pass: Option<Box<str>>,
    /// The token of another room.
    foreign: Option<Box<str>>,
    /// Requests left to make there.
    elsewhere: u32,
}

impl Adversary {
    /// Adversary number `index` of the crowd of this scenario: the same in every run.
    pub fn new(scenario: &Arc<Scenario>, persona: Persona, index: u64) -> Self {
        let goes_elsewhere = persona == Persona::OtherRoom && scenario.room.other.is_some();
        Self {
            scenario: Arc::clone(scenario),
            persona,
            random: rng_for(scenario.seed ^ SALT, index),
            guise: Shopper::new(scenario, Persona::Patient, index),
            detour: None,
            strikes: 0,
            pass: None,
            foreign: None,
            elsewhere: if goes_elsewhere { TRIES_ELSEWHERE } else { 0 },
        }
    }

    /// Their place, as the shopper they pose as.
    pub fn place(&self) -> Place {
        self.guise.place()
    }

    /// The first request of a visit.
    pub fn first(&mut self) -> Request {
        let first = self.guise.first();
        match self.persona {
            Persona::OtherRoom if self.elsewhere > 0 => Ask::Other.into(),
            Persona::SkipsLine => {
                let back = Next::ask(first.clone(), PACE);
                let next = self.strike(self.past_the_line(&Cookies::Hidden), back, Duration::ZERO);
                if let Then::Ask(request) = next.then { request } else { first }
            }
            _ => first,
        }
    }

    /// Takes the result of the last request.
    pub fn hear(&mut self, event: Event<'_>) -> Next {
        if let Some(detour) = &mut self.detour {
            let next = detour.next(event.at);
            if detour.is_over() {
                self.detour = None;
            }
            return next;
        }
        if self.elsewhere > 0 {
            return self.hear_elsewhere(event);
        }
        if event.token.and_then(Token::read).is_some_and(|token| token.kind == Kind::Pass) {
            self.pass = event.token.map(Box::from);
        }
        let was_outside = self.place() != Place::Inside;
        let next = self.guise.hear(event);
        if self.persona == Persona::Replays {
            return self.replay(next, event);
        }
        match self.place() {
            Place::Inside if was_outside => self.enter(event),
            Place::Inside => next,
            _ => self.outside(next, event),
        }
    }

    /// The other room is asked for a pass; whatever it gives is good enough to try.
    fn hear_elsewhere(&mut self, event: Event<'_>) -> Next {
        self.foreign = event.token.map(Box::from);
        let has_pass = event.token.and_then(Token::read).is_some_and(|token| token.kind == Kind::Pass);
        self.elsewhere = if has_pass { 0 } else { self.elsewhere - 1 };
        if self.elsewhere == 0 {
            return Next::ask(self.guise.first(), PACE);
        }
        let told = match event.answer {
            Some(Answer { shown: Content::Line(told), .. }) => told.after,
            _ => PACE,
        };
        Next::ask(Ask::Other, told.min(ELSEWHERE))
    }

    fn outside(&mut self, next: Next, event: Event<'_>) -> Next {
        match self.persona {
            Persona::IgnoresHints => return pester(next),
            Persona::StuffsLine => return stuff(next),
            Persona::HoardsSeats if self.place() == Place::Line => return Next::leave(End::NoShow),
            _ => {}
        }
        if self.strikes >= STRIKES {
            return next;
        }
        let attacks = match self.persona {
            Persona::SkipsLine => self.past_the_line(&Cookies::Own),
            _ => self.fakes(event.token),
        };
        self.strike(attacks, next, event.at)
    }

    fn enter(&mut self, event: Event<'_>) -> Next {
        match self.persona {
            Persona::Expired => self.outlive(event.at),
            Persona::Shares => self.share(event.at),
            _ => {
                let attacks = self.fakes(event.token);
                self.strike(attacks, Next::leave(End::Looked), event.at)
            }
        }
    }

    /// The cookie that they show here.
    fn fakes(&mut self, token: Option<&str>) -> Vec<Request> {
        let token = token.unwrap_or_default();
        let fakes = match self.persona {
            Persona::Forges => forging::made_up(&mut self.random),
            Persona::Alters => forging::altered(token, &mut self.random),
            Persona::OtherRoom => {
                self.foreign.clone().or_else(|| forging::of_another_room(token)).into_iter().collect()
            }
            _ => Vec::new(),
        };
        fakes.iter().flat_map(|fake| self.uses(fake)).collect()
    }

    /// Shows this for a pass.
    fn uses(&self, token: &str) -> [Request; 2] {
        let attack = |ask| Request { cookies: Cookies::Token(token.into()), attack: true, ..Request::from(ask) };
        [Ask::Order(None), Ask::Fetch(self.scenario.room.path.as_str().into())].map(attack)
    }

    /// Inner pages, and paths that a careless gateway and a tolerant shop read differently.
    fn past_the_line(&self, cookies: &Cookies) -> Vec<Request> {
        let item = self.scenario.room.path.as_str();
        let folder = item.rsplit_once('/').map_or("", |(folder, _)| folder);
        let posts = [
            "/./order",
            "//order",
            "/%6frder",
            "/x/../order",
            "/%2e/order",
            "/order/",
            "/order;a=b",
            "/order?a=/other",
        ];
        let mut asks = vec![Ask::Order(None), Ask::Payment(1, None), Ask::Cart, Ask::Fetch(item.into())];
        asks.extend(posts.map(|path| Ask::Post(format!("{folder}{path}").into())));
        asks.push(Ask::Post(format!("/x/..{folder}/order").into()));
        let attack = |ask| Request { cookies: cookies.clone(), attack: true, ..Request::from(ask) };
        asks.into_iter().map(attack).collect()
    }

    /// Goes on with these requests, and then with `back`.
    fn strike(&mut self, attacks: Vec<Request>, back: Next, now: Duration) -> Next {
        self.strikes += 1;
        let mut detour = Detour::new(attacks, PACE, back, now);
        let next = detour.next(now);
        if !detour.is_over() {
            self.detour = Some(detour);
        }
        next
    }

    /// Uses the pass after the shop took it away. A shop that takes none away is not attacked so.
    fn replay(&mut self, next: Next, event: Event<'_>) -> Next {
        let bought = next.then == Then::Leave(End::Bought);
        let Some(pass) = self.pass.clone().filter(|_| bought && event.token.is_none()) else { return next };
        Next { pause: SETTLED, ..self.strike(self.uses(&pass).into(), next, event.at) }
    }

    /// Keeps the pass until it has ended and uses it then. Where the run is over before that, shows one that looks as
    /// if it had.
    fn outlive(&mut self, now: Duration) -> Next {
        let Some(pass) = self.pass.clone() else { return Next::leave(End::Looked) };
        let end = self.scenario.closing.map(|closing| closing.0 + self.scenario.grace.0);
        let life = self.scenario.room.session_duration.0 + SETTLED;
        let lives_to_see_it = end.is_some_and(|end| now + life < end);
        let shown = if lives_to_see_it { Some(pass) } else { forging::expired(&pass) };
        let attacks = shown.map(|shown| self.uses(&shown).into()).unwrap_or_default();
        let next = self.strike(attacks, Next::leave(End::Looked), now);
        Next { pause: if lives_to_see_it { life } else { next.pause }, ..next }
    }

    fn share(&mut self, now: Duration) -> Next {
        let others = (1..=ACCOMPLICES).map(|address| Request { address, ..Ask::Item.into() });
        self.strike(others.collect(), Next::leave(End::Looked), now)
    }
}

fn pester(next: Next) -> Next {
    let pause = if matches!(next.then, Then::Ask(_)) { PESTERS } else { next.pause };
    Next { pause, ..next }
}

fn stuff(next: Next) -> Next {
    let is_near = matches!(&next.then, Then::Ask(request) if request.ask == Ask::Poll) && next.pause < SOON;
    if is_near { Next::leave(End::NoShow) } else { next }
}

#[cfg(test)]
mod tests {
    use policy::seal::{RoomId, Sealer};
    use policy::ticket;

    use super::*;
    use crate::visit::ShopPage;

    const NOW: Duration = Duration::from_secs(10);

    fn scenario(more: &str) -> Arc<Scenario> {
        let text = format!("name = 't'\narrivals = []\nclosing = '60s'\n[room]\nnew_users_per_minute = 60\n{more}");
        Arc::new(toml::from_str(&text).unwrap())
    }

    fn adversary(persona: Persona) -> Adversary {
        Adversary::new(&scenario(""), persona, 5)
    }

    fn sealed(token: &ticket::Token) -> String {
        Sealer::new(&[7; 32]).unwrap().seal(RoomId::of("launch"), token)
    }

    fn line() -> Answer {
        Answer::line(Duration::from_secs(8), None, None)
    }

    fn page() -> Answer {
        Answer::shop(ShopPage { order: Some(3), ..ShopPage::default() })
    }

    /// Everything that is asked until an honest request or the end comes, each request being refused.
    fn attacks(adversary: &mut Adversary, mut next: Next) -> (Vec<Request>, Next) {
        let refused = Answer::status(429);
        let mut asked = Vec::new();
        loop {
            match next.then {
                Then::Ask(request) if request.attack => {
                    asked.push(request);
                    next = adversary.hear(Event { at: NOW, answer: Some(&refused), token: Some("x") });
                }
                _ => return (asked, next),
            }
        }
    }

    fn hears(adversary: &mut Adversary, answer: &Answer, token: Option<&str>) -> (Vec<Request>, Next) {
        let next = adversary.hear(Event { at: NOW, answer: Some(answer), token });
        attacks(adversary, next)
    }

    fn no_navigation(asked: &[Request]) {
        let navigates = |request: &Request| matches!(request.ask, Ask::Item | Ask::Poll | Ask::Other);
        assert!(!asked.iter().any(navigates), "whoever opens a page with a bad token is a newcomer: {asked:?}");
    }

    #[test]
    fn who_forges_alters_or_comes_from_another_room_strikes_in_the_line_and_inside_and_never_buys() {
        let ticket = sealed(&ticket::Token::ticket(41, 1));
        let pass = sealed(&ticket::Token::pass(41, 1, 60_000));
        for (persona, fakes) in [(Persona::Forges, 7), (Persona::Alters, 7), (Persona::OtherRoom, 1)] {
            let mut cheat = adversary(persona);
            assert_eq!(cheat.first(), Ask::Item.into());
            for strike in 0..4 {
                let (asked, next) = hears(&mut cheat, &line(), Some(&ticket));
                assert_eq!(asked.len(), if strike < 3 { 2 * fakes } else { 0 }, "{persona:?}");
                assert_eq!(next, Next::ask(Ask::Poll, Duration::from_secs(8)), "{persona:?} polls as told besides");
                no_navigation(&asked);
                let own = |request: &Request| matches!(&request.cookies, Cookies::Token(shown) if **shown != *ticket);
                assert!(asked.iter().all(own), "{persona:?}: {asked:?}");
            }
            let (asked, next) = hears(&mut cheat, &page(), Some(&pass));
            assert_eq!((asked.len(), next), (2 * fakes, Next::leave(End::Looked)), "{persona:?}");
            assert!(asked.iter().all(|request| request.cookies != Cookies::Token(pass.as_str().into())));
        }
    }

    #[test]
    fn a_pass_of_another_room_is_fetched_there_and_shown_here() {
        let scenario = scenario("other = '/other/item'");
        let mut cheat = Adversary::new(&scenario, Persona::OtherRoom, 5);
        let foreign = sealed(&ticket::Token::pass(1, 1, 60_000));
        assert_eq!(cheat.first(), Ask::Other.into());
        assert_eq!(hears(&mut cheat, &line(), None).1, Next::ask(Ask::Other, ELSEWHERE));
        assert_eq!(hears(&mut cheat, &page(), Some(&foreign)).1, Next::ask(Ask::Item, PACE));
        let (asked, _) = hears(&mut cheat, &line(), Some("ticket"));
        assert_eq!(asked.len(), 2);
        assert!(asked.iter().all(|request| request.cookies == Cookies::Token(foreign.as_str().into())));
    }

    #[test]
    fn who_gets_nothing_elsewhere_gives_up_asking_there() {
        let mut cheat = Adversary::new(&scenario("other = '/other/item'"), Persona::OtherRoom, 5);
        let asked: Vec<_> = (0..5).map(|_| hears(&mut cheat, &line(), None).1.then).collect();
        assert_eq!(asked[3], Then::Ask(Ask::Other.into()));
        assert_eq!(asked[4], Then::Ask(Ask::Item.into()));
    }

    #[test]
    fn who_skips_the_line_comes_without_a_cookie_and_then_with_a_ticket_but_never_with_a_pass() {
        let mut cheat = adversary(Persona::SkipsLine);
        let first = cheat.first();
        assert!(first.attack);
        let (asked, next) = attacks(&mut cheat, Next::ask(first, PACE));
        assert_eq!(next.then, Then::Ask(Ask::Item.into()), "then like everybody");
        assert!(asked.len() > 10 && asked.iter().all(|request| request.cookies == Cookies::Hidden));
        let path = |path: &str| asked.iter().any(|request| request.ask == Ask::Post(path.into()));
        assert!(path("/launch/%6frder") && path("/x/../launch/order"));
        no_navigation(&asked);
        let (asked, _) = hears(&mut cheat, &line(), Some("ticket"));
        assert!(asked.len() > 10 && asked.iter().all(|request| request.cookies == Cookies::Own));
        assert_eq!(hears(&mut cheat, &page(), Some("pass")), (vec![], Next::leave(End::Looked)));
    }

    #[test]
    fn a_pass_is_replayed_when_the_receipt_has_taken_it_away() {
        let pass = sealed(&ticket::Token::pass(41, 1, 60_000));
        let bought = |after: Option<&str>| {
            let mut cheat = adversary(Persona::Replays);
            for _ in 0..2 {
                assert!(hears(&mut cheat, &page(), Some(&pass)).0.is_empty(), "buys honestly");
            }
            cheat.hear(Event { at: NOW, answer: Some(&page()), token: after })
        };
        let next = bought(None);
        assert_eq!(next.pause, SETTLED);
        let Then::Ask(request) = next.then else { panic!("strikes") };
        assert!(request.attack && request.cookies == Cookies::Token(pass.as_str().into()));
        assert_eq!(bought(Some(&pass)), Next::leave(End::Bought), "a pass that was not taken away may be used");
    }

    #[test]
    fn a_pass_is_used_after_its_end_where_the_run_is_long_enough() {
        let pass = sealed(&ticket::Token::pass(41, 1, 60_000));
        let enters = |session: &str| {
            let mut cheat = Adversary::new(&scenario(&format!("session_duration = '{session}'")), Persona::Expired, 5);
            cheat.hear(Event { at: NOW, answer: Some(&page()), token: Some(&pass) })
        };
        let shown = |next: &Next| match &next.then {
            Then::Ask(Request { attack: true, cookies: Cookies::Token(shown), .. }) => shown.clone(),
            other => panic!("no attack: {other:?}"),
        };
        let real = enters("20s");
        assert_eq!((real.pause, &*shown(&real)), (Duration::from_secs(23), &*pass));
        let forged = enters("5m");
        assert_eq!(forged.pause, PACE);
        let read = Token::read(&shown(&forged)).unwrap();
        assert_eq!((read.kind, read.expires_ms, read.number), (Kind::Pass, 1, 41));
    }

    #[test]
    fn a_shared_pass_is_used_at_other_addresses_and_is_no_attack() {
        let mut cheat = adversary(Persona::Shares);
        let mut next = cheat.hear(Event { at: NOW, answer: Some(&page()), token: Some("pass") });
        let mut addresses = Vec::new();
        while let Then::Ask(request) = next.then {
            assert!(!request.attack && request.cookies == Cookies::Own && request.ask == Ask::Item);
            addresses.push(request.address);
            next = cheat.hear(Event { at: NOW, answer: Some(&page()), token: Some("pass") });
        }
        assert_eq!((addresses, next), ((1..=8).collect(), Next::leave(End::Looked)));
    }

    #[test]
    fn who_ignores_hints_polls_ten_times_a_second_and_gives_up_like_everybody() {
        let mut cheat = adversary(Persona::IgnoresHints);
        for _ in 0..9 {
            assert_eq!(hears(&mut cheat, &line(), None).1, Next::ask(Ask::Poll, PESTERS));
        }
        assert_eq!(hears(&mut cheat, &page(), None).1, Next::leave(End::Looked));
        assert_eq!(
            hears(&mut adversary(Persona::IgnoresHints), &Answer::status(404), None).1,
            Next::leave(End::Refused)
        );
    }

    #[test]
    fn who_stuffs_the_line_polls_as_told_until_a_poll_would_claim_and_who_hoards_seats_is_seen_once() {
        let told = |millis| Answer::line(Duration::from_millis(millis), Some(90), None);
        let mut stuffer = adversary(Persona::StuffsLine);
        for seconds in [8, 8, 2] {
            let next = hears(&mut stuffer, &told(seconds * 1_000), Some("ticket")).1;
            assert_eq!(next, Next::ask(Ask::Poll, Duration::from_secs(seconds)));
        }
        assert_eq!(hears(&mut stuffer, &told(1_900), Some("ticket")).1, Next::leave(End::NoShow));
        let mut hoarder = adversary(Persona::HoardsSeats);
        assert_eq!(hears(&mut hoarder, &page(), Some("pass")), (vec![], Next::leave(End::Looked)));
        assert_eq!(hears(&mut adversary(Persona::HoardsSeats), &line(), None).1, Next::leave(End::NoShow));
    }
}
