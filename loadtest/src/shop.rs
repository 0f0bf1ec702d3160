//! The demo shop: a real HTTP/1.1 server on a database that collapses when it is overrun.
//!
//! | page | weight for the database |
//! |---|---|
//! | `GET /` | none |
//! | `GET /launch/item` | 1 |
//! | `POST /launch/order` | 2 |
//! | `POST /launch/payment` | 3; its answer gives the seat back (`Weir-Command: revoke`) |
//! | `GET /shop/stats` | none: what the shop counted, as JSON |
//! | `GET /healthz` | none |
//!
//! A new shopper is a `Weir-Pass-Id` that the shop has not seen, or, without Weir in front, a
//! request without the shop's own cookie. Orders are kept in memory.

pub mod database;
pub mod log;
pub mod pages;

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::stats::{Busiest, Latency, Quantiles, locked};
use database::{Database, Refusal, Tuning};

/// Weights of the three pages that a shopper sees on the way to a shoe.
pub const WEIGHTS: [f64; 3] = [1.0, 2.0, 3.0];
/// The longest form that is read.
const LONGEST_FORM: usize = 16 * 1024;
/// New shoppers per second are counted in sliding windows of this length.
const WINDOW: Duration = Duration::from_secs(1);

/// The shop: its database, its orders, and what it counted.
#[derive(Debug)]
pub struct Shop {
    database: Database,
    capacity: f64,
    orders: AtomicU64,
    sessions: AtomicU64,
    paid: Mutex<HashSet<u64>>,
    visitors: Mutex<Visitors>,
    counted: Counted,
    latency: Latency,
}

#[derive(Debug, Default)]
struct Counted {
    pages_ok: AtomicU64,
    pages_failed: AtomicU64,
    orders_failed: AtomicU64,
    by_weir: AtomicU64,
    in_flight: AtomicUsize,
    peak_in_flight: AtomicUsize,
}

/// Who came, and when somebody new did.
#[derive(Debug)]
struct Visitors {
    passes: HashSet<Vec<u8>>,
    new: u64,
    busiest: Busiest,
}

/// What the shop counted, for `/shop/stats`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Orders per second that the shop can take when nobody waits.
    pub capacity: f64,
    /// Orders that were paid.
    pub orders_ok: u64,
    /// Order and payment requests that failed.
    pub orders_failed: u64,
    /// Launch pages that were served.
    pub pages_ok: u64,
    /// Launch pages that failed.
    pub pages_failed: u64,
    /// Requests that came with Weir's headers.
    pub by_weir: u64,
    /// Shoppers who came for the first time.
    pub new_shoppers: u64,
    /// The most of them in any second.
    pub busiest_second: usize,
    /// Launch pages in work now.
    pub in_flight: usize,
    /// The most that were in work at once.
    pub peak_in_flight: usize,
    /// Requests that wait for a database slot now.
    pub waiting_for_slot: usize,
    /// Time from a launch request to its page, of those that were served. A refusal is quick and
    /// tells nothing.
    pub latency: Quantiles,
}

impl Shop {
    /// A fresh shop.
    pub fn new(tuning: Tuning) -> Arc<Self> {
        let visitors = Visitors { passes: HashSet::new(), new: 0, busiest: Busiest::within(WINDOW) };
        Arc::new(Self {
            capacity: tuning.capacity() / WEIGHTS.iter().sum::<f64>(),
            database: Database::new(tuning),
            orders: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            paid: Mutex::default(),
            visitors: Mutex::new(visitors),
            counted: Counted::default(),
            latency: Latency::default(),
        })
    }

    /// Orders per second that it can take when nobody waits.
    pub fn capacity(&self) -> f64 {
        self.capacity
    }

    /// Latency of the pages served since this was last called.
    pub fn recent_latency(&self) -> Quantiles {
        self.latency.take_recent()
    }

    /// What it counted so far.
    pub fn report(&self) -> Report {
        let visitors = locked(&self.visitors);
        let counted = &self.counted;
        Report {
            capacity: self.capacity,
            orders_ok: locked(&self.paid).len() as u64,
            orders_failed: counted.orders_failed.load(Relaxed),
            pages_ok: counted.pages_ok.load(Relaxed),
            pages_failed: counted.pages_failed.load(Relaxed),
            by_weir: counted.by_weir.load(Relaxed),
            new_shoppers: visitors.new,
            busiest_second: visitors.busiest.most(),
            in_flight: counted.in_flight.load(Relaxed),
            peak_in_flight: counted.peak_in_flight.load(Relaxed),
            waiting_for_slot: self.database.waiting(),
            latency: self.latency.total(),
        }
    }

    /// Serves until `cancel`. Connections that are open then are dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, cancel: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = cancel.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => drop(tokio::spawn(Arc::clone(&self).connection(stream, cancel.clone()))),
                // Out of file descriptors: they come back when a connection ends.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, cancel: CancellationToken) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| {
            let shop = Arc::clone(&self);
            async move { Ok::<_, Infallible>(shop.answer(request).await) }
        });
        let serving = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        // A client that went away in the middle is its own affair.
        let _ = cancel.run_until_cancelled(serving).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        match (&head.method, head.uri.path()) {
            (&Method::GET, "/launch/item") => self.launch(&head.headers, WEIGHTS[0], Launch::Item).await,
            (&Method::POST, "/launch/order") => self.launch(&head.headers, WEIGHTS[1], Launch::Order).await,
            (&Method::POST, "/launch/payment") => match order_sent(body).await {
                Some(order) if order > 0 && order <= self.orders.load(Relaxed) => {
                    self.launch(&head.headers, WEIGHTS[2], Launch::Payment(order)).await
                }
                _ => html(StatusCode::BAD_REQUEST, pages::sorry("There is no such order.")),
            },
            (&Method::GET, "/") => html(StatusCode::OK, pages::catalogue()),
            (&Method::GET, "/shop/stats") => self.stats(),
            (&Method::GET, "/healthz") => html(StatusCode::OK, "ok\n".into()),
            _ => html(StatusCode::NOT_FOUND, pages::sorry("There is no such page.")),
        }
    }

    fn stats(&self) -> Response<Full<Bytes>> {
        let mut response = html(StatusCode::OK, serde_json::to_string(&self.report()).unwrap_or_default());
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        response
    }

    /// One page of the launch: counted, timed, and worked for by the database.
    async fn launch(&self, headers: &HeaderMap, weight: f64, page: Launch) -> Response<Full<Bytes>> {
        let started = Instant::now();
        let known = self.visit(headers, started);
        let work = {
            let _in_flight = InFlight::one_of(&self.counted);
            self.database.run(weight).await
        };
        let mut response = match work {
            Ok(()) => {
                self.latency.record(started.elapsed());
                self.done(page)
            }
            Err(refusal) => self.failed(page, refusal),
        };
        if !known {
            let id = self.sessions.fetch_add(1, Relaxed);
            if let Ok(cookie) = header::HeaderValue::try_from(format!("shop={id}; Path=/; HttpOnly; SameSite=Lax")) {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
        }
        response
    }

    /// Takes note of who is here; `true` if the shop's cookie says that it knows them.
    fn visit(&self, headers: &HeaderMap, now: Instant) -> bool {
        let pass = headers.get("weir-pass-id");
        let mut cookies = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let known = cookies.any(|line| line.split("; ").any(|cookie| cookie.starts_with("shop=")));
        let mut visitors = locked(&self.visitors);
        let new = pass.map_or(!known, |pass| visitors.passes.insert(pass.as_bytes().to_vec()));
        if new {
            visitors.new += 1;
            visitors.busiest.record(now);
        }
        self.counted.by_weir.fetch_add(u64::from(pass.is_some()), Relaxed);
        known
    }

    fn done(&self, page: Launch) -> Response<Full<Bytes>> {
        self.counted.pages_ok.fetch_add(1, Relaxed);
        match page {
            Launch::Item => html(StatusCode::OK, pages::item()),
            Launch::Order => html(StatusCode::OK, pages::order(self.orders.fetch_add(1, Relaxed) + 1)),
            Launch::Payment(order) => {
                // Paying twice is paying once.
                locked(&self.paid).insert(order);
                let mut response = html(StatusCode::OK, pages::receipt(order));
                response.headers_mut().insert("weir-command", header::HeaderValue::from_static("revoke"));
                response
            }
        }
    }

    fn failed(&self, page: Launch, refusal: Refusal) -> Response<Full<Bytes>> {
        self.counted.pages_failed.fetch_add(1, Relaxed);
        self.counted.orders_failed.fetch_add(u64::from(page != Launch::Item), Relaxed);
        match refusal {
            Refusal::Full => html(StatusCode::SERVICE_UNAVAILABLE, pages::sorry("Too many requests for the database.")),
            Refusal::NoSlot => html(StatusCode::SERVICE_UNAVAILABLE, pages::sorry("No database connection in time.")),
            Refusal::Cancelled => html(StatusCode::INTERNAL_SERVER_ERROR, pages::sorry("A query was cancelled.")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Launch {
    Item,
    Order,
    Payment(u64),
}

async fn order_sent(body: Incoming) -> Option<u64> {
    let form = Limited::new(body, LONGEST_FORM).collect().await.ok()?;
    pages::order_of(&form.to_bytes())
}

fn html(status: StatusCode, page: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(page)));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

/// Counts one request for as long as it lives, also when its client goes away.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn one_of(counted: &'a Counted) -> Self {
        let now = counted.in_flight.fetch_add(1, Relaxed) + 1;
        counted.peak_in_flight.fetch_max(now, Relaxed);
        Self(&counted.in_flight)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
