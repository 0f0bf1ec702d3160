//! One visitor on their way: persona, cookies, and what is recorded of them.
//!
//! There may be a hundred thousand at once, so this is small.

use evidence::{Held, Micros, RequestRecord};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use launch_model::jar::Jar;
use launch_model::scenario::{Room, Scenario};
use launch_model::token::Token;
use launch_model::visit::{Answer, Ask, Content, Cookies, Lost, Page, Place, RawAnswer, Request};

use crate::population::{self, Holder};
use crate::reading;
use crate::wire::{Exchange, Kept, Reply};

/// A gateway's word for what happened.
const WEIR_STATUS: HeaderName = HeaderName::from_static("weir-status");

/// A visitor's browser.
#[derive(Debug, Default)]
pub(super) struct Browser {
    pub(super) jar: Jar,
    /// Their connection, kept over a short pause.
    pub(super) kept: Option<Box<Kept>>,
}

impl Holder for Browser {
    fn token(&self) -> Option<&str> {
        self.jar.token()
    }

    fn lose(&mut self) {
        self.jar.clear();
    }
}

/// One visitor.
pub(super) type Person = population::Person<Browser>;

/// A request that was sent, and its result.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) request: Request,
    /// `X-Request-Id`.
    pub(super) id: String,
    /// When it was due.
    pub(super) due: Micros,
    /// When its answer was there, or was given up.
    pub(super) answered: Micros,
    /// Whether it was sent from the other tab.
    pub(super) other_tab: bool,
    /// Its host; empty for the run's own.
    pub(super) host: Box<str>,
    pub(super) exchange: Exchange,
}

/// The kind of one answer.
pub(super) struct Reading {
    pub(super) answer: Option<Answer>,
    /// This machine was at fault.
    pub(super) local: bool,
}

impl Person {
    /// Records the result of a request, and reads it.
    pub(super) fn note(&mut self, sent: Sent, scenario: &Scenario) -> Reading {
        let Sent { request, id, due, answered, other_tab, host, exchange } = sent;
        let inside = self.visitor.place() == Place::Inside;
        let waits = inside && scenario.habits.resends && !self.visit.persona.is_adversary();
        let asks_for_turn = waits && matches!(request.ask, Ask::Fetch(_));
        let path = waits.then(|| path_of(&scenario.room, request.ask.page()));
        let step = request.ask.step();
        let white = exchange.result.as_ref().map_or(true, is_white);
        let (answer, local) = match exchange.result {
            Ok(reply) => (Some(self.open(reply, &request, answered, exchange.target, (&host, path.as_deref()))), false),
            Err(lost @ (Lost::Stranger | Lost::TooLong)) if step.is_some() => (Some(Answer::lost(lost)), false),
            Err(lost) => (None, lost == Lost::Local),
        };
        if let Some(Answer { shown: Content::Line(told), .. }) = &answer
            && !(request.attack || other_tab)
        {
            self.visit.see(answered, told.position, told.wait);
        }
        let status = answer.as_ref().map(|answer| answer.status).filter(|status| *status > 0);
        if !inside && !request.attack && !local {
            self.visit.errors_outside += u32::from(status.is_some_and(|status| status >= 500));
            self.visit.unanswered_outside += u32::from(status.is_none());
        }
        let shop = answer.as_ref().is_some_and(Answer::is_shop);
        let line = answer.as_ref().is_some_and(|answer| matches!(answer.shown, Content::Line(_)));
        if inside && line && request.cookies == Cookies::Own {
            self.visit.sent_back(answered, scenario.room.session_duration.0);
        }
        if (inside || shop || request.attack) && !local && !asks_for_turn && !matches!(request.ask, Ask::Asset(_)) {
            let (page, attack) = (request.ask.page(), request.attack);
            self.visit.asked.push(RequestRecord { id, page, step, due, answered, status, attack, white });
        }
        Reading { answer, local }
    }

    /// Keeps the cookies of an answer of this host, and reads it. A path is that of a page or form that may be told to wait.
    fn open(
        &mut self,
        reply: Reply,
        request: &Request,
        at: Micros,
        target: usize,
        (host, waits): (&str, Option<&str>),
    ) -> Answer {
        let headers = &reply.head.headers;
        for line in headers.get_all(http::header::SET_COOKIE).iter().filter_map(|line| line.to_str().ok()) {
            self.holder.jar.keep_of(host, line);
        }
        if request.ask != Ask::Other {
            self.hold(at, target);
        }
        if matches!(request.ask, Ask::Call(_)) {
            let seen =
                RawAnswer { headers: reply.head.headers, body: reply.body, jar: self.holder.jar.clone(), lost: None };
            return reading::read_on_the_way(reply.head.status.as_u16(), seen);
        }
        let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let (status, retry_after) = (reply.head.status.as_u16(), header(RETRY_AFTER));
        match waits {
            Some(_) if matches!(request.ask, Ask::Fetch(_)) => reading::read_turn(status, &reply.body),
            Some(path) => reading::read_inside(status, retry_after, header(WEIR_STATUS), path, &reply.body),
            None => reading::read(status, retry_after, &reply.body),
        }
    }

    fn hold(&mut self, at: Micros, target: usize) {
        if let Some(token) = self.holder.jar.token().and_then(Token::read) {
            self.visit.hold(Held { at, target: target as u16, token });
        }
    }
}

/// Where a page of the launch is.
fn path_of(room: &Room, page: Page) -> String {
    let folder = room.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    match page {
        Page::Cart => format!("{folder}/cart"),
        Page::Order => format!("{folder}/order"),
        Page::Payment => format!("{folder}/payment"),
        Page::Item | Page::Other => room.path.clone(),
    }
}

/// Whether a page leads nowhere: a 5xx, a 429 that is bare text, or nothing on it. A redirect needs no page.
fn is_white(reply: &Reply) -> bool {
    let kind = reply.head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_page = ["text/html", "application/json"].iter().any(|page| kind.starts_with(page));
    match reply.head.status.as_u16() {
        status if status >= 500 => true,
        429 if !is_page => true,
        204 | 300..400 => false,
        _ => reply.body.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use evidence::ShownWait as FirstWait;
    use launch_model::persona::Persona;
    use launch_model::token::Kind;
    use launch_model::visitor::Visitor;

    use super::*;

    fn scenario() -> Arc<Scenario> {
        let text = "name = 't'\narrivals = []\n[room]\nnew_users_per_minute = 60\nsession_duration = '10s'\n";
        Arc::new(toml::from_str(text).unwrap())
    }

    fn person() -> Person {
        let visitor = Visitor::new(&scenario(), Persona::Patient, 0);
        Person::new(visitor, Persona::Patient, 0, 0)
    }

    /// The reading of this request at this time.
    fn hears(person: &mut Person, at: Micros, request: impl Into<Request>, result: Result<Reply, Lost>) -> Reading {
        let exchange = Exchange { result, target: 2, kept: None };
        let sent = Sent {
            request: request.into(),
            id: format!("r{at}"),
            due: at,
            answered: at,
            other_tab: false,
            host: "".into(),
            exchange,
        };
        let reading = person.note(sent, &scenario());
        person.hear(at, reading.answer.as_ref(), None);
        reading
    }

    #[expect(clippy::unnecessary_wraps, reason = "as an exchange has it")]
    fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Result<Reply, Lost> {
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let (head, ()) = response.body(()).unwrap().into_parts();
        Ok(Reply { head, body: Bytes::copy_from_slice(body.as_bytes()) })
    }

    fn told(position: u64, low: u64) -> Result<Reply, Lost> {
        let body = format!(
            r#"{{"cfWaitingRoom":{{"position":{position},"waitLowSeconds":{low},"waitHighSeconds":9,"pollAfterSeconds":1}}}}"#
        );
        reply(200, &[("retry-after", "1")], &body)
    }

    fn token(kind: u8) -> String {
        use base64::Engine as _;
        let mut bytes = [9; launch_model::token::LENGTH];
        bytes[0] = kind;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    }

    const SECOND: Micros = 1_000_000;

    #[test]
    fn the_first_wait_and_every_position_that_grew_are_written_down() {
        let mut person = person();
        for (at, position) in [(1, 40), (2, 30), (3, 31), (4, 5)] {
            hears(&mut person, at, Ask::Poll, told(position, 10 - position / 10));
        }
        let visit = &person.visit;
        assert_eq!((visit.positions, visit.positions_grown), (Some([40, 5]), 1));
        assert_eq!(visit.first_wait, Some(FirstWait { at: 1, low: 6.0, high: 9.0 }));
        person.lose_cookies();
        hears(&mut person, 5, Ask::Poll, told(90, 1));
        assert_eq!(person.visit.positions_grown, 1, "a new place is another one");
    }

    #[test]
    fn tokens_and_entrance_are_written_down_once_each() {
        let mut person = person();
        let cookie = |kind| format!("weir_launch={}; Path=/", token(kind));
        let waits = |kind| reply(200, &[("retry-after", "1"), ("set-cookie", &cookie(kind))], "");
        for at in 1..4 {
            hears(&mut person, at, Ask::Poll, waits(1));
        }
        hears(&mut person, 7, Ask::Poll, reply(200, &[("set-cookie", &cookie(2))], "shoes"));
        hears(&mut person, 8, Ask::Order(None), reply(503, &[], ""));
        let held: Vec<_> = person.visit.held.iter().map(|held| (held.at, held.target, held.token.kind)).collect();
        assert_eq!(held, [(1, 2, Kind::Ticket), (7, 2, Kind::Pass)]);
        assert_eq!((person.visit.entered, person.visit.errors_outside), (Some(7), 0));
        let asked: Vec<_> = person.visit.asked.iter().map(|asked| (asked.id.as_str(), asked.status)).collect();
        assert_eq!(asked, [("r7", Some(200)), ("r8", Some(503))]);
    }

    #[test]
    fn errors_and_silence_outside_are_counted_but_not_what_this_machine_lacked() {
        let mut person = person();
        hears(&mut person, 1, Ask::Poll, told(1, 1));
        hears(&mut person, 2, Ask::Poll, reply(502, &[], ""));
        hears(&mut person, 3, Ask::Poll, Err(Lost::Broken));
        assert!(hears(&mut person, 4, Ask::Poll, Err(Lost::Local)).local);
        assert_eq!((person.visit.errors_outside, person.visit.unanswered_outside), (1, 1));
    }

    #[test]
    fn a_page_that_leads_nowhere_is_white_and_one_that_waits_is_not() {
        let html = ("content-type", "text/html; charset=utf-8");
        let mut person = person();
        hears(&mut person, 0, Ask::Item, reply(200, &[html], "shoes"));
        for (white, result) in [
            (false, reply(200, &[html], "shoes")),
            (false, reply(429, &[html, ("retry-after", "3")], "<html>your order waits")),
            (false, reply(303, &[], "")),
            (false, reply(409, &[html], "it has ended")),
            (true, reply(429, &[("content-type", "text/plain"), ("retry-after", "3")], "too many requests")),
            (true, reply(429, &[], "too many requests")),
            (true, reply(503, &[html], "sorry")),
            (true, reply(200, &[html], "")),
            (true, Err(Lost::Refused)),
            (true, Err(Lost::Broken)),
        ] {
            let seen = format!("{result:?}");
            hears(&mut person, 1, Ask::Payment(1, None), result);
            assert_eq!(person.visit.asked.last().map(|asked| asked.white), Some(white), "{seen}");
        }
    }

    #[test]
    fn where_forms_wait_as_told_a_pass_holder_who_is_told_to_was_not_thrown_out() {
        let mut scenario = Scenario::clone(&scenario());
        scenario.habits.resends = true;
        let scenario = Arc::new(scenario);
        for (says, thrown_out) in [("busy", false), ("held", false), ("expired", true)] {
            let mut person = Person::new(Visitor::new(&scenario, Persona::Patient, 0), Persona::Patient, 0, 0);
            let mut hears = |ask, result| {
                let exchange = Exchange { result, target: 0, kept: None };
                let sent = Sent {
                    request: Request::from(ask),
                    id: String::new(),
                    due: 0,
                    answered: SECOND,
                    other_tab: false,
                    host: "".into(),
                    exchange,
                };
                let reading = person.note(sent, &scenario);
                person.hear(SECOND, reading.answer.as_ref(), None)
            };
            let cookie = format!("weir_launch={}", token(2));
            hears(Ask::Item, reply(200, &[("set-cookie", &cookie)], "shoes"));
            let next = hears(Ask::Order(None), reply(429, &[("retry-after", "5"), ("weir-status", says)], "<html>"));
            assert_eq!(next.pause == std::time::Duration::from_secs(5), !thrown_out, "{says}");
            assert_eq!(person.visit.thrown_out, thrown_out, "{says}");
        }
    }

    #[test]
    fn who_is_sent_back_to_the_line_with_a_pass_that_lives_was_thrown_out() {
        let enters = |person: &mut Person| {
            let cookie = format!("weir_launch={}", token(2));
            hears(person, 0, Ask::Item, reply(200, &[("set-cookie", &cookie)], "shoes"));
        };
        let back = || reply(429, &[("retry-after", "5")], "");
        let mut thrown = person();
        enters(&mut thrown);
        hears(&mut thrown, 9 * SECOND, Ask::Order(None), back());
        assert!(thrown.visit.thrown_out);
        let mut late = person();
        enters(&mut late);
        hears(&mut late, 11 * SECOND, Ask::Order(None), back());
        assert!(!late.visit.thrown_out, "its time was over");
        let mut bare = person();
        enters(&mut bare);
        let without = Request { cookies: Cookies::Hidden, ..Ask::Order(None).into() };
        hears(&mut bare, SECOND, without, back());
        assert!(!bare.visit.thrown_out, "they showed no pass");
    }
}
