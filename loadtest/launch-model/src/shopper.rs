//! An honest shopper: the next act, given the last answer.
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
//! A shopper whose form is told to wait does as told (`habits.resends`): the page asks for the turn where it is said to, and the
//! same form is sent again when that has come, or without such a place after so long. However often, that is no failure.
//!
//! With a journey ([`crate::journey`]) they walk its steps instead of Browsing to Paying, and may meet the line again on the
//! way: then they wait as told, and go on where they were.
//!
//! Out of scope: sockets and clocks.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;

use crate::journey::{self, Walk};
use crate::persona::Persona;
use crate::random::{between, rng_for};
use crate::scenario::{Journey, Scenario};
use crate::span::Span;
use crate::visit::{
    Answer, Ask, Content, Cookies, Detour, End, Event, Later, Next, Place, QueueInfo, Request, ShopPage, Stumble, Then,
};

/// Pause of an impatient reloader: the shortest and the longest time.
const RELOADS: [Span; 2] = [Span(Duration::from_millis(500)), Span(Duration::from_millis(1_500))];
/// The status of a page that says that an order was not paid in its time: it cannot be any more.
const ENDED: u16 = 409;
/// The answer from the line at which a visitor loses their cookies, or changes their address.
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
    /// Loads the assets of the waiting page.
    detour: Option<Box<Detour>>,
    /// Where they are on a journey.
    walk: Option<Box<Walk>>,
    /// Whether they were inside before they met the line.
    waits_again: bool,
    /// Where a page asks for the turn of a form that waits.
    turn: Option<Box<str>>,
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

impl Shopper {
    /// Person number `index` of the crowd of this scenario: the same person in every run.
    pub fn new(scenario: &Arc<Scenario>, persona: Persona, index: u64) -> Self {
        let mut random = rng_for(scenario.seed, index);
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
            turn: None,
        }
    }

    /// Their place.
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

    /// Takes the result of the last request.
    pub fn hear(&mut self, event: Event<'_>) -> Next {
        if let Some(detour) = &mut self.detour {
            let next = detour.next(event.at);
            if detour.is_over() {
                self.detour = None;
            }
            return next;
        }
        if let Some(walk) = self.walk.take() {
            let scenario = Arc::clone(&self.scenario);
            return match &scenario.journey {
                Some(journey) => self.hear_on_the_way(event, walk, journey),
                None => Next::leave(End::Looked),
            };
        }
        match (self.place(), event.answer) {
            (Place::Inside, Some(Answer { shown: Content::Shop(shop_page), .. })) => self.walk_on(shop_page),
            (Place::Inside, Some(Answer { shown: Content::Later(told), .. })) if self.scenario.habits.resends => {
                self.wait_inside(told)
            }
            (Place::Inside, answer) if self.turn.is_some() => self.hear_of_the_turn(answer),
            (Place::Inside, Some(Answer { status: ENDED, .. })) => Next::leave(End::OrderFailed),
            (Place::Door | Place::Line, Some(Answer { shown: Content::Shop(shop_page), .. })) => self.enter(shop_page),
            (Place::Door | Place::Line, Some(Answer { shown: Content::Line(told), .. })) => self.wait(event.at, told),
            (Place::Door | Place::Line, Some(answer)) if is_final(answer) => Next::leave(End::Refused),
            _ => self.fail(),
        }
    }

    /// There is a line: what each kind of person does about it.
    fn wait(&mut self, now: Duration, told: &QueueInfo) -> Next {
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

    /// A form has to wait, or still has to.
    fn wait_inside(&mut self, told: &Later) -> Next {
        if told.turn.is_some() {
            self.turn.clone_from(&told.turn);
        }
        match &self.turn {
            Some(turn) => Next::ask(Ask::Fetch(turn.clone()), told.after),
            None => Next::ask(self.request(), told.after),
        }
    }

    /// The turn has come, or the page could not ask for it: either way the form is sent.
    fn hear_of_the_turn(&mut self, answer: Option<&Answer>) -> Next {
        self.turn = None;
        let came = answer.is_some_and(|answer| answer.shown == Content::Turn);
        let pause = if came { Duration::ZERO } else { between(&mut self.random, self.scenario.habits.again) };
        Next::ask(self.request(), pause)
    }

    /// A page is loaded with its assets, once: a browser caches them.
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

    fn enter(&mut self, shop_page: &ShopPage) -> Next {
        self.stage = Stage::Browsing(self.scenario.habits.browse);
        self.walk_on(shop_page)
    }

    /// A page of the shop: on to the next one.
    fn walk_on(&mut self, shop_page: &ShopPage) -> Next {
        if shop_page.sold_out {
            return Next::leave(End::SoldOut);
        }
        let key = || shop_page.key.clone();
        let next = match (&self.stage, shop_page.order) {
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

    /// The request of a shopper at this stage.
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

/// On a journey: the line, wherever it is met, and the result of each step.
impl Shopper {
    /// On a journey: an answer from the line, or one of the shop.
    fn hear_on_the_way(&mut self, event: Event<'_>, mut walk: Box<Walk>, journey: &Journey) -> Next {
        if let Some(Answer { shown: Content::Line(told), .. }) = event.answer {
            let was_inside = self.stage == Stage::Inside || self.waits_again;
            self.walk = Some(walk);
            return if was_inside { self.wait_again(told) } else { self.wait(event.at, told) };
        }
        let came = event.answer.is_some_and(Answer::is_from_shop);
        let called = self.stage == Stage::Line && came;
        if came {
            self.stage = if walk.is_inside(journey) { Stage::Inside } else { Stage::Door };
        }
        if called && !walk.poll_answers() {
            // Their turn has come: what was kept back meanwhile is sent now.
            self.walk = Some(walk);
            return Next::ask(self.request(), Duration::ZERO);
        }
        if self.stage == Stage::Line {
            self.walk = Some(walk);
            let told = event.answer.and_then(|answer| answer.seen.as_ref()?.retry_after());
            return self.stumble(true, told);
        }
        let what = walk.hear(event.answer, journey);
        let think = walk.step(journey).and_then(|step| step.think).unwrap_or(self.scenario.habits.think);
        let has_ordered = walk.has_ordered();
        self.walk = Some(walk);
        match what {
            journey::StepOutcome::Follow => Next::ask(self.request(), Duration::ZERO),
            journey::StepOutcome::Done => {
                self.failures = 0;
                Next::ask(self.request(), between(&mut self.random, think))
            }
            journey::StepOutcome::End { ordered: true } => Next::leave(End::Bought),
            journey::StepOutcome::End { ordered: false } => Next::leave(End::Looked),
            journey::StepOutcome::SoldOut => Next::leave(End::SoldOut),
            journey::StepOutcome::Stumbled { again, after } => match self.stumble(again, after) {
                Next { then: Then::Leave(_), .. } if has_ordered => Next::leave(End::Bought),
                next => next,
            },
        }
    }

    /// A step failed: it is tried again where that may help, and after the time that was told.
    fn stumble(&mut self, again: bool, after: Option<Duration>) -> Next {
        if again {
            let next = self.fail();
            return Next { pause: next.pause.max(after.filter(|_| next.asks()).unwrap_or_default()), ..next };
        }
        Next::leave(if self.place() == Place::Inside { End::OrderFailed } else { End::Refused })
    }

    /// The pass has ended on the way: a shopper who was inside wants to go on, of whatever kind they are.
    fn wait_again(&mut self, told: &QueueInfo) -> Next {
        self.stage = Stage::Line;
        self.failures = 0;
        self.waits_again = true;
        Next::ask(self.request(), told.after)
    }
}

/// Whether it makes no sense to ask again.
fn is_final(answer: &Answer) -> bool {
    (400..500).contains(&answer.status) && answer.status != 429
}

#[cfg(test)]
mod tests;
