//! The demo shop: a real HTTP/1.1 server on an inventory that fails under overload as one in a database does.
//!
//! | page | what it does |
//! |---|---|
//! | `GET /` | the catalogue; no database |
//! | `GET /picture` | a megabyte; no database |
//! | `POST /newsletter` | reads a form; no database |
//! | `GET /live` | a WebSocket on which nothing is said |
//! | `GET /launch/item` | the product, or that it is sold out: reads the stock |
//! | `POST /launch/cart` | puts it into the cart of the shop's session; a step that may be left out |
//! | `POST /launch/order` | takes a piece, once for each key of a form |
//! | `POST /launch/payment` | pays, once; its answer gives the seat back (`Weir-Command: revoke`) |
//! | `GET /shop/stats` | what the shop counted and what its inventory says, as JSON |
//! | `GET /shop/stages` | how full its [stages](Shop::stages) are; by `POST` they are made smaller |
//! | `GET /shop/faults` | other faults on purpose, as JSON; by `PUT` they begin and end |
//! | `GET /shop/log?after=SEQ` | its [`log`], as JSON lines, in pieces |
//! | `GET /healthz` | no database |
//!
//! [`inventory`] keeps stock, orders and payments: a model that collapses like a database, or PostgreSQL. Sold out is a
//! page with status 200 ([`pages::is_sold_out`]); a failure of the database is a 503. A request that
//! was begun is done to its end, logged and counted, also when its client has gone away.
//!
//! ```text
//! inventory --> model --> database --> pool <-- payment <-- purchase
//!       \-> postgres            demo-shop --> evidence: its log and its counts are one of three sides of the truth
//! ```
//!
//! By its [`Terms`] an order has an end, a third party takes payments ([`payment`]), and its answers tell a gateway how full
//! it is, what it can take, and what is left ([`words`]).
//!
//! It reads requests as tolerantly as many shops do, so that what slips past a gateway is seen here: a target that begins
//! with two slashes is an authority and a path ([`pages::read_as_url`]), and a body may name another method
//! (`X-HTTP-Method-Override`).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail"))]

pub mod database;
mod faults;
pub mod inventory;
pub mod log;
pub mod model;
mod pace;
pub mod pages;
pub mod payment;
pub mod pool;
pub mod postgres;
mod purchase;
mod report;
mod sale;
mod served;
mod stages;
mod visitors;
pub mod words;

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use evidence::Page;
use evidence::shop::{Entry, Outcome, Report};
use evidence::stats::{Latency, Quantiles, locked};
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, sleep};
use tokio_util::sync::CancellationToken;

use database::Tuning;
use faults::Faults;
use inventory::Inventory;
use log::Log;
use model::Model;
use pages::Form;
use payment::ThirdParty;
pub use purchase::Terms;
use purchase::{Forms, Name};
use report::{Counted, InFlight};
pub use sale::PLENTY;
use sale::{Failure, Stock};
use served::{Answer, Served, html, text};
use visitors::{Visit, Visitors};

/// The longest form that is read.
const LONGEST_FORM: usize = 16 * 1024;
/// How often orders are looked after that may have ended.
const TIDY: Duration = Duration::from_millis(200);

/// The shop: its inventory, its log, and its counters.
#[derive(Debug)]
pub struct Shop {
    inventory: Inventory,
    log: Log,
    visitors: Visitors,
    counted: Counted,
    latency: Latency,
    last_failure: Mutex<Option<String>>,
    terms: Terms,
    third_party: Option<ThirdParty>,
    /// Requests that the inventory works on at once, if nothing is done to it.
    order_pool: usize,
    forms: Forms,
    faults: faults::InForce,
    /// What was left when the inventory was looked after last.
    stock: Mutex<Option<Stock>>,
}

impl Shop {
    /// A fresh shop on a model of a database, with plenty in stock.
    pub fn new(tuning: Tuning) -> Arc<Self> {
        Self::open(Inventory::Model(Model::new(tuning, PLENTY)), Log::default())
    }

    /// A shop with this inventory that writes this log.
    pub fn open(inventory: Inventory, log: Log) -> Arc<Self> {
        Self::on_terms(Terms::default(), inventory, log)
    }

    /// The same, on these terms.
    pub fn on_terms(terms: Terms, inventory: Inventory, log: Log) -> Arc<Self> {
        Arc::new(Self {
            third_party: terms.payment.map(ThirdParty::new),
            terms,
            order_pool: inventory.stage().pool,
            forms: Forms::default(),
            faults: faults::InForce::default(),
            stock: Mutex::default(),
            inventory,
            log,
            visitors: Visitors::nobody(),
            counted: Counted::default(),
            latency: Latency::default(),
            last_failure: Mutex::default(),
        })
    }

    /// Orders per second that it can take when no request waits; 0 where only a run can tell.
    pub fn capacity(&self) -> f64 {
        let payments = self.terms.payment.map_or(f64::INFINITY, |payment| payment.capacity());
        self.inventory.capacity().min(payments)
    }

    /// Latency of the pages served since this was last called.
    pub fn recent_latency(&self) -> Quantiles {
        self.latency.take_recent()
    }

    /// The log of the launch pages.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The inventory's account.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Its counters so far, without asking the inventory.
    pub fn report(&self) -> Report {
        let (new_shoppers, busiest_second) = self.visitors.new_and_busiest();
        let stages = self.stages();
        Report {
            capacity: self.capacity(),
            new_shoppers,
            busiest_second,
            waiting_for_slot: stages.order.waiting,
            stages,
            charged_twice: self.third_party.as_ref().map_or(0, ThirdParty::charged_twice),
            latency: self.latency.total(),
            log_dropped: self.log.dropped(),
            last_failure: locked(&self.last_failure).clone(),
            ..self.counted.report()
        }
    }

    /// The same, with the inventory's account.
    pub async fn report_with_account(&self) -> Report {
        let account = self.inventory.account().await.inspect_err(|failure| self.remember(failure)).ok();
        Report { account, ..self.report() }
    }

    /// Serves until `cancel`. Connections that are open then are dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, cancel: CancellationToken) {
        let over = cancel.child_token();
        let _over = over.clone().drop_guard();
        if self.terms.needs_tidying() {
            tokio::spawn(Arc::clone(&self).tidy(over));
        }
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = cancel.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => drop(tokio::spawn(Arc::clone(&self).connection(stream, cancel.clone()))),
                // Out of file descriptors: they come back when a connection ends.
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// Gives back what was not paid in time, and keeps in mind what is left.
    async fn tidy(self: Arc<Self>, over: CancellationToken) {
        if let Err(failure) = self.inventory.prepare_to_tidy().await {
            self.remember(&failure);
        }
        let mut tick = tokio::time::interval(TIDY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while over.run_until_cancelled(tick.tick()).await.is_some() {
            match self.inventory.tidy().await {
                Ok(stock) => *locked(&self.stock) = Some(stock),
                Err(failure) => self.remember(&failure),
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, cancel: CancellationToken) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| {
            let shop = Arc::clone(&self);
            async move { Ok::<_, Infallible>(shop.answer(request).await) }
        });
        let http = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        let serving = http.with_upgrades();
        // A client that went away in the middle is its own affair.
        let _ = cancel.run_until_cancelled(serving).await;
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let mut answer = Arc::clone(&self).page(request).await;
        let says = self.faults.now().says;
        if self.terms.words.are_any() || says.is_some() {
            let stock = *locked(&self.stock);
            self.terms.words.tell(says, &self.stages(), stock, answer.headers_mut());
        }
        answer
    }

    async fn page(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        if let Some(page) = page_at(method_of(&request), request.uri()) {
            // A task of its own: it goes on when the client has gone away.
            let done = tokio::spawn(async move { self.launch(page, request).await }).await;
            return done.unwrap_or_else(|_| html(StatusCode::INTERNAL_SERVER_ERROR, pages::sorry("A page broke.")));
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/") => html(StatusCode::OK, pages::catalogue()),
            (&Method::GET, "/picture") => served::picture(),
            (&Method::POST, "/newsletter") => match read_form(request.into_body()).await {
                Some(_) => html(StatusCode::OK, pages::thanks()),
                None => Served::wrong("The form makes no sense.").into_answer(None),
            },
            (&Method::GET, "/live") if request.headers().contains_key(header::UPGRADE) => served::live(request),
            (&Method::GET, "/shop/stats") => {
                let report = self.report_with_account().await;
                text("application/json", serde_json::to_string(&report).unwrap_or_default())
            }
            (_, "/shop/stages") => self.answer_stages(&request),
            (_, "/shop/faults") => {
                let (head, body) = request.into_parts();
                let document = read(body).await;
                self.answer_faults(&Request::from_parts(head, ()), document.as_ref())
            }
            (&Method::GET, "/shop/log") => text("application/x-ndjson", self.log.read(after(request.uri()))),
            (&Method::GET, "/healthz") => html(StatusCode::OK, "ok\n".into()),
            _ => Served::absent().into_answer(None),
        }
    }

    /// One page of the launch: worked for, counted, timed and logged.
    async fn launch(&self, page: Page, request: Request<Incoming>) -> Answer {
        let (arrived_us, started) = (unix_micros(), Instant::now());
        let (head, body) = request.into_parts();
        let visit = Visit::of(&head.headers);
        let new = self.visitors.note(&visit, started);
        self.counted.by_weir.fetch_add(u64::from(visit.pass_id.is_some()), Relaxed);
        let fresh = visit.session.is_none().then(pages::fresh_key);
        let session = visit.session.as_deref().or(fresh.as_deref()).unwrap_or_default();
        let served = self.serve_page(page, session, &visit, body).await;
        let took = started.elapsed();
        self.count(page, &served, took);
        self.log.append(Entry {
            seq: 0,
            arrived_us,
            answered_us: arrived_us + i64::try_from(took.as_micros()).unwrap_or_default(),
            request_id: visit.request_id,
            pass_id: visit.pass_id,
            room: visit.room,
            page,
            status: served.status.as_u16(),
            outcome: served.outcome,
            order: served.order,
            new,
        });
        served.into_answer(fresh.as_deref())
    }

    async fn serve_page(&self, page: Page, session: &str, visit: &Visit, body: Incoming) -> Served {
        let _in_flight = InFlight::one_of(&self.counted);
        let Some(form) = read_form(body).await else { return Served::wrong("The form makes no sense.") };
        let Faults { delay, errors, .. } = self.faults.now();
        if errors {
            return Served::broken();
        }
        let asked = form.order.filter(|_| page == Page::Payment);
        let name = visit.idempotency_key.clone().or_else(|| form.key.clone());
        let served = self.work(page, session, form, name).await.unwrap_or_else(|failure| {
            self.remember(&failure);
            Served::failed(&failure)
        });
        sleep(delay.0).await;
        Served { order: served.order.or(asked), ..served }
    }

    async fn work(&self, page: Page, session: &str, form: Form, name: Name) -> Result<Served, Failure> {
        let key = form.key.or_else(|| name.clone());
        Ok(match (page, form.order) {
            (Page::Item, _) if self.inventory.left_over().await? == 0 => Served::sold_out(),
            (Page::Item, _) => Served::page(pages::item()),
            (Page::Cart, _) => {
                self.inventory.cart(session).await?;
                Served::page(pages::cart())
            }
            (Page::Order, _) => self.order(session, key, &name).await?,
            (Page::Payment, None) => Served::wrong("A payment is for an order."),
            // Or back from paying elsewhere, at `/launch/return`.
            (Page::Payment | Page::Other, Some(order)) => self.pay(order, key, &name).await?,
            (Page::Other, None) => Served::absent(),
        })
    }

    fn count(&self, page: Page, served: &Served, took: Duration) {
        let counted = &self.counted;
        let add = |to: &AtomicU64, one: bool| to.fetch_add(u64::from(one), Relaxed);
        let (ok, broke) = (served.outcome != Outcome::Failed, served.status.is_server_error());
        if ok {
            self.latency.record(took);
        }
        add(&counted.pages_ok, ok);
        add(&counted.pages_failed, broke);
        add(&counted.orders_failed, broke && matches!(page, Page::Order | Page::Payment));
        add(&counted.sold_out, served.outcome == Outcome::SoldOut);
        add(&counted.repeats, served.repeated);
        add(&counted.paid, served.done && !served.repeated);
    }

    fn remember(&self, failure: &Failure) {
        *locked(&self.last_failure) = Some(failure.in_full());
    }
}

/// The method, or the one that a body goes with.
fn method_of(request: &Request<Incoming>) -> &Method {
    let posted = request.headers().get("x-http-method-override").is_some_and(|method| method == "POST");
    if posted && !request.body().is_end_stream() { &Method::POST } else { request.method() }
}

/// The page of the launch that this is; any other request for the launch is logged too.
fn page_at(method: &Method, uri: &Uri) -> Option<Page> {
    match (method, pages::read_as_url(uri.path())) {
        (&Method::GET, "/launch/item") => Some(Page::Item),
        (&Method::POST, "/launch/cart") => Some(Page::Cart),
        (&Method::POST, "/launch/order") => Some(Page::Order),
        (&Method::POST, "/launch/payment") => Some(Page::Payment),
        (_, path) => path.starts_with("/launch/").then_some(Page::Other),
    }
}

/// The `SEQ` of `?after=SEQ`; everything is after 0.
fn after(uri: &Uri) -> u64 {
    let pairs = uri.query().unwrap_or_default().split('&');
    pairs.filter_map(|pair| pair.strip_prefix("after=")).find_map(|seq| seq.parse().ok()).unwrap_or_default()
}

async fn read_form(body: Incoming) -> Option<Form> {
    pages::form(&read(body).await?)
}

async fn read(body: Incoming) -> Option<Bytes> {
    let sent = Limited::new(body, LONGEST_FORM).collect().await.ok()?;
    Some(sent.to_bytes())
}

fn unix_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or_default()
}
