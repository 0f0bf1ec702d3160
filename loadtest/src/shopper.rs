//! A shopper: what a person does next, given the last answer.
//!
//! ```text
//! Door --page--> Inside --order form--> Paying --receipt--> Bought
//!   \--waiting page--> Line --page--^         any failure: again, a few times, then leaves
//! ```
//!
//! What is absent: sockets and time. [`Shopper::first`] and [`Shopper::hear`] say which request to
//! send and how long to wait before it; somebody else sends it ([`crate::client`]).

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Deserialize;

use crate::shop::pages;

/// What people are like.
#[derive(Debug, Clone)]
pub struct Habits {
    /// Share of people who see the line and never come back, 0 to 1.
    pub no_shows: f64,
    /// How often somebody tries a page again before giving up.
    pub retries: u32,
    /// Seconds before trying again.
    pub retry_after: Range<f64>,
    /// Seconds spent on a page before the next click.
    pub think: Range<f64>,
}

impl Default for Habits {
    fn default() -> Self {
        Self { no_shows: 0.2, retries: 2, retry_after: 1.0..3.0, think: 0.8..2.2 }
    }
}

/// A request that a shopper wants to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// The product page, by navigation.
    Page,
    /// The same in JSON mode: how a page in the line asks for its turn.
    Poll,
    /// The order form.
    Order,
    /// The payment form of this order.
    Payment(u64),
}

/// An answer, as far as a shopper cares.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// The page or document.
    pub body: Bytes,
}

/// Where a shopper is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Has not seen any page yet.
    Door,
    /// Has seen that there is a line.
    Line,
    /// Has the product page.
    Inside,
    /// Has an order to pay.
    Paying(u64),
}

/// How a visit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a paid order.
    Bought,
    /// Let in, but order or payment failed until they gave up.
    OrderFailed,
    /// The first page failed until they gave up.
    TurnedAway,
    /// Saw the line and left.
    NoShow,
}

/// What a shopper does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Sends a request after a pause.
    Ask(Request, Duration),
    /// Goes away.
    Leave(End),
}

/// One person.
#[derive(Debug)]
pub struct Shopper {
    habits: Habits,
    random: StdRng,
    is_no_show: bool,
    place: Place,
    failures: u32,
}

impl Shopper {
    /// Person number `index` of the crowd of this seed: the same person in every run.
    pub fn new(habits: Habits, seed: u64, index: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let is_no_show = random.random_bool(habits.no_shows.clamp(0.0, 1.0));
        Self { habits, random, is_no_show, place: Place::Door, failures: 0 }
    }

    /// Where they are.
    pub fn place(&self) -> Place {
        self.place
    }

    /// `true` once the product page has come.
    pub fn is_inside(&self) -> bool {
        matches!(self.place, Place::Inside | Place::Paying(_))
    }

    /// The first request of a visit.
    pub fn first(&self) -> Request {
        Request::Page
    }

    /// Takes the answer to the last request; `None` if there was none (refused, reset, too late).
    pub fn hear(&mut self, answer: Option<&Answer>) -> Next {
        let told = answer.and_then(told_to_wait);
        match (self.place, answer) {
            (Place::Door | Place::Line, Some(_)) if told.is_some() => self.wait(told.unwrap_or_default()),
            (Place::Door | Place::Line, Some(answer)) if is_page(answer) => self.go_on(Place::Inside),
            (Place::Inside, Some(answer)) if is_page(answer) => match pages::order_in(&answer.body) {
                Some(order) => self.go_on(Place::Paying(order)),
                None => self.fail(),
            },
            (Place::Paying(_), Some(answer)) if is_page(answer) => Next::Leave(End::Bought),
            _ => self.fail(),
        }
    }

    /// The request that somebody at this place sends.
    fn request(&self) -> Request {
        match self.place {
            Place::Door => Request::Page,
            Place::Line => Request::Poll,
            Place::Inside => Request::Order,
            Place::Paying(order) => Request::Payment(order),
        }
    }

    fn wait(&mut self, told: Duration) -> Next {
        self.place = Place::Line;
        self.failures = 0;
        if self.is_no_show { Next::Leave(End::NoShow) } else { Next::Ask(self.request(), told) }
    }

    fn go_on(&mut self, to: Place) -> Next {
        self.place = to;
        self.failures = 0;
        let think = self.random.random_range(self.habits.think.clone());
        Next::Ask(self.request(), Duration::from_secs_f64(think))
    }

    fn fail(&mut self) -> Next {
        self.failures += 1;
        if self.failures <= self.habits.retries {
            let pause = self.random.random_range(self.habits.retry_after.clone());
            return Next::Ask(self.request(), Duration::from_secs_f64(pause));
        }
        Next::Leave(if self.is_inside() { End::OrderFailed } else { End::TurnedAway })
    }
}

/// `true` if this is the page that was asked for.
pub fn is_page(answer: &Answer) -> bool {
    (200..300).contains(&answer.status) && told_to_wait(answer).is_none()
}

/// How long this answer says to wait, if it is one of a waiting room: it carries `Retry-After` and
/// is not an error. In JSON the pause is told more finely.
pub fn told_to_wait(answer: &Answer) -> Option<Duration> {
    let seconds = answer.retry_after.filter(|_| matches!(answer.status, 200 | 202 | 429))?;
    let told = poll_after(&answer.body).unwrap_or(seconds as f64);
    Some(Duration::try_from_secs_f64(told.clamp(0.1, 600.0)).unwrap_or(Duration::from_secs(seconds)))
}

fn poll_after(body: &[u8]) -> Option<f64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Document {
        cf_waiting_room: Room,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Room {
        poll_after_seconds: f64,
    }
    if body.first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice::<Document>(body).ok().map(|document| document.cf_waiting_room.poll_after_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient() -> Shopper {
        Shopper::new(Habits { no_shows: 0.0, ..Habits::default() }, 1, 0)
    }

    fn page(body: impl Into<Bytes>) -> Answer {
        Answer { status: 200, retry_after: None, body: body.into() }
    }

    fn line(seconds: u64) -> Answer {
        Answer { status: 200, retry_after: Some(seconds), body: "<html>".into() }
    }

    fn failure() -> Answer {
        Answer { status: 503, retry_after: Some(5), ..Answer::default() }
    }

    fn asks(next: Next) -> Request {
        match next {
            Next::Ask(request, _) => request,
            Next::Leave(end) => panic!("left: {end:?}"),
        }
    }

    #[test]
    fn without_a_line_a_shopper_orders_pays_and_leaves() {
        let mut shopper = patient();
        assert_eq!(shopper.first(), Request::Page);
        assert_eq!(asks(shopper.hear(Some(&page(pages::item())))), Request::Order);
        assert!(shopper.is_inside());
        assert_eq!(asks(shopper.hear(Some(&page(pages::order(7))))), Request::Payment(7));
        assert_eq!(shopper.hear(Some(&page(pages::receipt(7)))), Next::Leave(End::Bought));
    }

    #[test]
    fn in_the_line_a_shopper_polls_as_told_until_the_page_comes() {
        let mut shopper = patient();
        assert_eq!(shopper.hear(Some(&line(4))), Next::Ask(Request::Poll, Duration::from_secs(4)));
        let told = r#"{"cfWaitingRoom":{"inWaitingRoom":true,"pollAfterSeconds":2.5}}"#;
        let json = Answer { status: 200, retry_after: Some(3), body: told.into() };
        assert_eq!(shopper.hear(Some(&json)), Next::Ask(Request::Poll, Duration::from_millis(2500)));
        let busy = Answer { status: 429, retry_after: Some(1), ..Answer::default() };
        assert_eq!(shopper.hear(Some(&busy)), Next::Ask(Request::Poll, Duration::from_secs(1)));
        assert_eq!(shopper.place(), Place::Line);
        assert_eq!(asks(shopper.hear(Some(&page(pages::item())))), Request::Order);
    }

    #[test]
    fn a_shopper_gives_up_after_trying_again_twice() {
        let mut shopper = patient();
        assert_eq!(asks(shopper.hear(Some(&failure()))), Request::Page);
        assert_eq!(asks(shopper.hear(None)), Request::Page);
        assert_eq!(shopper.hear(None), Next::Leave(End::TurnedAway));
    }

    #[test]
    fn a_shopper_who_was_let_in_and_cannot_order_is_a_failed_order() {
        let mut shopper = patient();
        shopper.hear(None);
        shopper.hear(Some(&page(pages::item())));
        assert_eq!(asks(shopper.hear(Some(&failure()))), Request::Order);
        assert_eq!(asks(shopper.hear(Some(&line(1)))), Request::Order, "a line in mid-order is a failure");
        assert_eq!(shopper.hear(Some(&failure())), Next::Leave(End::OrderFailed));
    }

    #[test]
    fn a_no_show_leaves_at_the_sight_of_a_line_but_buys_where_there_is_none() {
        let nobody = Habits { no_shows: 1.0, ..Habits::default() };
        let mut shopper = Shopper::new(nobody.clone(), 1, 0);
        assert_eq!(shopper.hear(Some(&line(4))), Next::Leave(End::NoShow));
        let mut shopper = Shopper::new(nobody, 1, 0);
        assert_eq!(asks(shopper.hear(Some(&page(pages::item())))), Request::Order);
    }

    #[test]
    fn the_share_of_no_shows_is_as_asked_and_the_same_people_in_every_run() {
        let count = || (0..10_000).filter(|&i| Shopper::new(Habits::default(), 7, i).is_no_show).count();
        assert!((1_850..2_150).contains(&count()), "{}", count());
        assert_eq!(count(), count());
    }

    #[test]
    fn a_page_that_asks_for_an_absurd_pause_is_held_to_ten_minutes() {
        for told in ["1e300", "-4", "1e999"] {
            let body = format!(r#"{{"cfWaitingRoom":{{"pollAfterSeconds":{told}}}}}"#);
            let answer = Answer { status: 200, retry_after: Some(1), body: body.into() };
            let told = told_to_wait(&answer).expect("a waiting answer");
            assert!(told >= Duration::from_millis(100) && told <= Duration::from_mins(10), "{told:?}");
        }
    }
}
