//! Fixture: evidence of a small launch in which everything is as promised, to be spoiled in one place.

use std::time::Duration;

use evidence::shop::{Entry, Outcome};
use evidence::{End, Evidence, Generator, Held, KernelLimit, Micros, Page, RequestRecord, Second, ShownWait, Visit};
use launch_model::persona::Persona;
use launch_model::scenario::Scenario;
use launch_model::span::Span;
use launch_model::token::{Kind, Token};

use crate::check::Check;
use crate::judge;
use crate::launch::Launch;

/// Our time at the start of the run, in milliseconds since 1970.
pub(crate) const START_MS: i64 = 1_800_000_000_000;
/// Life of a pass, in milliseconds.
pub(crate) const SESSION: i64 = 60_000;

/// A room of 10 shoppers a second, 10 at once, and its evidence.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) scenario: Scenario,
    pub(crate) evidence: Evidence,
    /// Set before the first visitor.
    pub(crate) store_ahead_ms: i64,
    /// Set before the first visitor.
    pub(crate) shop_ahead_ms: i64,
}

impl Made {
    pub(crate) fn new() -> Self {
        let text = "name = \"made\"\n[room]\nnew_users_per_minute = 600\n[[arrivals]]\nkind = \"flat\"\nrate = 1.0\nfor = \"1s\"\n";
        let mut scenario: Scenario = toml::from_str(text).unwrap();
        scenario.room.session_duration = Span(Duration::from_millis(SESSION as u64));
        let limits = vec![KernelLimit { name: "conntrack".into(), used: 50, limit: 100 }];
        let generator = Generator { seconds: 10.0, cpu_seconds: 1.0, threads: 2, limits, ..Generator::default() };
        let evidence = Evidence { start_unix_us: START_MS * 1000, generators: vec![generator], ..Evidence::default() };
        Self { scenario, evidence, store_ahead_ms: 0, shop_ahead_ms: 0 }
    }

    /// So many shoppers who arrive faster than the room takes them, and are let in at its rate.
    pub(crate) fn line_of(shoppers: u64) -> Self {
        let mut made = Self::new();
        for n in 0..shoppers.cast_signed() {
            made.shopper(n as u64 + 1, n * 10, n * 100 + 100);
        }
        made
    }

    pub(crate) fn launch(&self) -> Launch<'_> {
        Launch::of(&self.scenario, &self.evidence)
    }

    /// The check of this name.
    pub(crate) fn check(&self, id: &str) -> Check {
        let checks = judge(&self.scenario, &self.evidence);
        checks.iter().find(|check| check.id == id).unwrap_or_else(|| panic!("no check {id}")).clone()
    }

    /// A visitor who arrives now, in milliseconds since the start, and is never let in.
    pub(crate) fn outside(&mut self, number: u64, joined: i64) -> &mut Visit {
        let ticket = self.token(Kind::Ticket, number, joined, joined + 86_400_000);
        let visit = Visit {
            held: vec![Held { at: joined * 1000 + 5_000, target: 0, token: ticket }],
            positions: Some([9, 3]),
            left: 60_000_000,
            requests: 3,
            ..Visit::begun(self.evidence.visits.len() as u64, Persona::Patient, joined * 1000 - 2_000)
        };
        self.second(visit.due).arrived += 1;
        self.evidence.visits.push(visit);
        self.evidence.visits.last_mut().unwrap()
    }

    /// A visitor who joins and is granted a pass at these milliseconds since the start, and buys.
    pub(crate) fn shopper(&mut self, number: u64, joined: i64, granted: i64) -> &mut Visit {
        self.outside(number, joined);
        let pass = self.token(Kind::Pass, number, granted, granted + SESSION);
        for (page, ms) in [(Page::Item, granted), (Page::Order, granted + 50), (Page::Payment, granted + 150)] {
            self.visits_shop(number, page, ms);
        }
        for second in joined.div_euclid(1000)..granted.div_euclid(1000) {
            self.second(second * 1_000_000).waiting += 1;
        }
        let visit = self.evidence.visits.last_mut().unwrap();
        visit.held.push(Held { at: granted * 1000 + 10_000, target: 0, token: pass });
        visit.entered = Some(granted * 1000 + 10_000);
        let had = (granted - joined) as f64 / 1e3;
        visit.first_wait = Some(ShownWait { at: joined * 1000 + 5_000, low: (had - 2.0).max(0.0), high: had + 2.0 });
        (visit.end, visit.left) = (End::Bought, granted * 1000 + 165_000);
        visit
    }

    /// A request of the last visitor, as both sides saw it.
    pub(crate) fn visits_shop(&mut self, number: u64, page: Page, ms: i64) {
        let seq = self.evidence.shop.len() as u64 + 1;
        let asked = RequestRecord {
            id: format!("id-{seq}"),
            page,
            step: None,
            due: ms * 1000 - 5_000,
            answered: ms * 1000 + 10_000,
            status: Some(200),
            attack: false,
            white: false,
        };
        let there = (START_MS + self.shop_ahead_ms + ms) * 1000;
        let entry = Entry {
            seq,
            arrived_us: there + 2_000,
            answered_us: there + 8_000,
            request_id: Some(asked.id.clone()),
            pass_id: Some(format!("0.{number}")),
            room: Some("launch".into()),
            page,
            status: 200,
            outcome: Outcome::Ok,
            order: (page == Page::Payment).then_some(number),
            new: page == Page::Item,
        };
        self.second(asked.due).inside_latency.0.push((15_000, 1));
        self.evidence.shop.push(entry);
        self.evidence.visits.last_mut().unwrap().asked.push(asked);
    }

    fn second(&mut self, at: Micros) -> &mut Second {
        let second = at.max(0) as usize / 1_000_000;
        let timeline = &mut self.evidence.timeline;
        if timeline.len() <= second {
            timeline.resize_with(second + 1, Second::default);
        }
        let second = &mut timeline[second];
        second.lag = evidence::Latencies(vec![(200, 10)]);
        second
    }

    fn token(&self, kind: Kind, number: u64, issued: i64, expires: i64) -> Token {
        let store = |ms: i64| (START_MS + self.store_ahead_ms + ms) as u64;
        Token { kind, number, issued_ms: store(issued), expires_ms: store(expires) }
    }
}
