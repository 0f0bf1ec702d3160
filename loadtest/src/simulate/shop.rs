//! The shop of a simulated launch: every page in its time, however many come. Where a purchase has stages, pages wait for
//! them in order.
//!
//! Out of scope: an overrun database, orders that end, and forms that came before. For that, send a crowd to the real demo shop.

use std::collections::HashSet;

use demo_shop::database::LEAST_TIME;
use demo_shop::model::{ITEM, ORDER, PAYMENT};
use evidence::shop::{Entry, Look, Outcome, Report, Stages};
use evidence::{Micros, Page, micros};
use launch_model::scenario::{Scenario, Stage};
use launch_model::visit::{Answer, Ask, ShopPage};
use policy::line::segment::place_of;
use policy::ticket::Token;

use super::request_job::RequestJob;
use super::stage::Pool;

const SECOND: Micros = 1_000_000;

/// A page that was served.
pub(super) struct Served {
    pub(super) answer: Answer,
    pub(super) took: Micros,
    /// The receipt gives the seat back.
    pub(super) gives_back: bool,
}

pub(super) struct Shop {
    room: String,
    start_unix_us: i64,
    service_time: f64,
    database: Option<Pool>,
    third_party: Option<(Pool, Micros)>,
    stock: u64,
    orders: u64,
    known: HashSet<u64>,
    log: Vec<Entry>,
    report: Report,
}

impl Shop {
    pub(super) fn new(scenario: &Scenario, start_unix_us: i64) -> Self {
        let service_time = scenario.shop.service_time.seconds();
        let capacity = scenario.shop.slots as f64 / service_time.max(LEAST_TIME) / (ITEM + ORDER + PAYMENT);
        let wanted = &scenario.shop;
        let database = wanted.has_stages().then(|| {
            let holds = wanted.service_time.0.mul_f64(ITEM + ORDER + PAYMENT);
            Pool::of(Stage::Order, wanted.slots, holds, &wanted.faults)
        });
        let third_party = wanted.payment.as_ref().map(|payment| {
            let latency = payment.latency.0;
            (Pool::of(Stage::Payment, payment.pool, latency, &wanted.faults), micros(latency))
        });
        Self {
            database,
            third_party,
            room: scenario.room.name.clone(),
            start_unix_us,
            service_time,
            stock: scenario.shop.stock.unwrap_or(u64::MAX),
            orders: 0,
            known: HashSet::new(),
            log: Vec::new(),
            report: Report { capacity, ..Report::default() },
        }
    }

    pub(super) fn serve(&mut self, job: &RequestJob, pass: Option<Token>, now: Micros) -> Served {
        let ask = &job.request.ask;
        let (shop_page, outcome) = self.shop_page(ask);
        let page = ask.page();
        let took = self.takes(page, now);
        let new = pass.is_some_and(|pass| self.known.insert(pass.number));
        let paid = page == Page::Payment && outcome == Outcome::Ok;
        let order = if let Ask::Payment(order, _) = ask { Some(*order) } else { shop_page.order };
        self.report.new_shoppers += u64::from(new);
        self.report.by_weir += u64::from(pass.is_some());
        self.report.pages_ok += 1;
        self.report.orders_ok += u64::from(paid);
        self.log.push(Entry {
            seq: self.log.len() as u64 + 1,
            arrived_us: self.start_unix_us + now,
            answered_us: self.start_unix_us + now + took,
            request_id: Some(job.id()),
            pass_id: pass.map(|pass| pass_id(&pass)),
            room: pass.map(|_| self.room.clone()),
            page,
            status: 200,
            outcome,
            order,
            new,
        });
        Served { answer: Answer::shop(shop_page), took, gives_back: paid && pass.is_some() }
    }

    /// How long a page takes that is asked for now.
    fn takes(&mut self, page: Page, now: Micros) -> Micros {
        let work = (self.service_time * weight(page) * 1e6) as Micros;
        let charged = match &mut self.third_party {
            Some((pool, latency)) if page == Page::Payment => pool.work(now, now, *latency),
            _ => now,
        };
        match &mut self.database {
            Some(pool) => pool.work(now, charged, work) - now,
            None => work,
        }
    }

    /// What its stages say of themselves, second by second until then.
    fn looks(&self, until: Micros) -> Vec<Look> {
        let Some(database) = &self.database else { return Vec::new() };
        let payment = |at| self.third_party.as_ref().map(|(pool, _)| pool.seen(at));
        let look = |at| Look { at, stages: Stages { order: database.seen(at), payment: payment(at) } };
        (0..=until / SECOND).map(|second| look(second * SECOND)).collect()
    }

    /// The content of a page. An order takes a pair out of stock; what is ordered can be paid.
    fn shop_page(&mut self, ask: &Ask) -> (ShopPage, Outcome) {
        let sold_out = self.orders >= self.stock;
        match ask {
            Ask::Payment(..) => (ShopPage::default(), Outcome::Ok),
            _ if sold_out => (ShopPage { sold_out, ..ShopPage::default() }, Outcome::SoldOut),
            Ask::Order(_) => {
                self.orders += 1;
                (ShopPage { order: Some(self.orders), ..ShopPage::default() }, Outcome::Ok)
            }
            _ => (ShopPage::default(), Outcome::Ok),
        }
    }

    /// Its log, its counters, and what its stages said until then.
    pub(super) fn close(self, until: Micros) -> (Vec<Entry>, Report, Vec<Look>) {
        let looks = self.looks(until);
        (self.log, self.report, looks)
    }
}

fn weight(page: Page) -> f64 {
    match page {
        Page::Order => ORDER,
        Page::Payment => PAYMENT,
        _ => ITEM,
    }
}

/// `Weir-Pass-Id`: `segment.number`.
fn pass_id(pass: &Token) -> String {
    let (segment, number) = place_of(pass.number);
    format!("{segment}.{number}")
}
