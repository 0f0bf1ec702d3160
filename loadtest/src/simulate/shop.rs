//! The shop of a simulated launch: every page in its time, however many come.
//!
//! Out of scope: an overrun database. For that, send a crowd to the real demo shop.

use std::collections::HashSet;

use demo_shop::database::LEAST_TIME;
use demo_shop::model::{ITEM, ORDER, PAYMENT};
use evidence::shop::{Entry, Outcome, Report};
use evidence::{Micros, Page};
use launch_model::scenario::Scenario;
use launch_model::visit::{Answer, Ask, ShopPage};
use policy::line::segment::place_of;
use policy::ticket::Token;

use super::request_job::RequestJob;

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
        Self {
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
        let took = (self.service_time * weight(page) * 1e6) as Micros;
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

    /// Its log, and its counters.
    pub(super) fn close(self) -> (Vec<Entry>, Report) {
        (self.log, self.report)
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
