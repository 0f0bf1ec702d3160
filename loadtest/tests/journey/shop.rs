//! A shop that is not the demo shop: forms with CSRF, a log-in, JSON, and a payment page on another host. It refuses bad
//! requests as usual shops do.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

pub(crate) const PAY: &str = "pay.test";

/// Its faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// The product page has no CSRF field any more.
    NoCsrfField,
    /// Each shopper meets the line once more before the cart, and before the order.
    Line,
    /// It is too busy for the first request of each shopper for the cart.
    Busy,
    SoldOut,
    /// Its product page is endless.
    LongPage,
}

#[derive(Debug, Default)]
struct Session {
    csrf: String,
    user: Option<String>,
    in_cart: bool,
    /// Answers of each path that were something else.
    put_off: HashMap<String, u32>,
}

#[derive(Debug, Default)]
pub(crate) struct Shelf {
    sessions: HashMap<String, Session>,
    /// The buyers.
    pub(crate) orders: Vec<String>,
}

pub(crate) struct Shop {
    fault: Fault,
    pub(crate) inventory: Mutex<Shelf>,
}

type Answer = Response<Full<Bytes>>;

impl Shop {
    pub(crate) fn open(fault: Fault) -> (Arc<Self>, SocketAddr) {
        let shop = Arc::new(Self { fault, inventory: Mutex::default() });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (serving, listener) = (Arc::clone(&shop), TcpListener::from_std(listener).unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shop = Arc::clone(&serving);
                let service = service_fn(move |request: Request<Incoming>| {
                    let shop = Arc::clone(&shop);
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                        Ok::<_, Infallible>(shop.answer(&head, &String::from_utf8_lossy(&body)))
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        (shop, address)
    }

    fn answer(&self, head: &Parts, body: &str) -> Answer {
        if text(head, "host") == PAY {
            return pay(head);
        }
        let mut inventory = self.inventory.lock().unwrap();
        let inventory = &mut *inventory;
        let (id, is_new) = match cookie(head, "session") {
            Some(id) => (id, false),
            None => (format!("s{}", inventory.sessions.len()), true),
        };
        let session = inventory
            .sessions
            .entry(id.clone())
            .or_insert_with(|| Session { csrf: format!("t&\"{id}\""), ..Session::default() });
        let mut answer = self.page(head, body, session, &mut inventory.orders);
        // A shop whose session is not touched sends none.
        if is_new && head.uri.path() != "/paid" {
            let cookie = format!("session={id}; Path=/; SameSite=Lax");
            answer.headers_mut().append(header::SET_COOKIE, cookie.parse().unwrap());
            answer.headers_mut().append(header::SET_COOKIE, format!("seen=c-{id}; Path=/").parse().unwrap());
        }
        answer
    }

    fn page(&self, head: &Parts, body: &str, session: &mut Session, orders: &mut Vec<String>) -> Answer {
        if let Some(answer) = self.puts_off(head, session) {
            return answer;
        }
        let fields: HashMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let is_ours = fields.get("csrf") == Some(&session.csrf);
        let csrf = format!(
            "<input type=hidden name=csrf value='{}'>",
            session.csrf.replace('&', "&amp;").replace('"', "&quot;")
        );
        match (head.method.as_str(), head.uri.path()) {
            ("GET", "/item") => match self.fault {
                Fault::NoCsrfField => page(200, "<form><input type=hidden name=other value=1></form>"),
                Fault::SoldOut => page(200, "<p class='sold out'>all gone</p>"),
                Fault::LongPage => page(200, &"x".repeat(3 << 20)),
                _ => page(200, &format!("<form>{csrf}</form>")),
            },
            ("POST", _) if !is_ours && head.uri.path() != "/api/cart" && head.uri.path() != "/paid" => {
                page(403, "CSRF")
            }
            ("POST", "/login") if fields.get("password").is_some_and(|password| password == "right") => {
                session.user = fields.get("email").cloned();
                sent_to("/account")
            }
            ("POST", "/login") => page(200, "no such user or password"),
            ("GET", "/account") => sent_to("/account/home"),
            ("GET", "/account/home") if session.user.is_some() => page(200, "welcome"),
            ("POST", "/api/cart") => {
                let asked: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
                let is_known = session.user.as_deref() == asked["for"].as_str();
                let has_cookie = cookie(head, "seen").is_some_and(|seen| seen == text(head, "x-seen"));
                if !is_known || !has_cookie || text(head, "sec-fetch-dest") != "empty" {
                    return page(400, "what is this");
                }
                session.in_cart = true;
                json(200, &format!(r#"{{"cart":{{"token":"k-{}"}}}}"#, session.user.as_deref().unwrap_or_default()))
            }
            ("POST", "/order") => {
                let token = format!("k-{}", session.user.as_deref().unwrap_or_default());
                if !session.in_cart || fields.get("cart") != Some(&token) {
                    return page(409, "what cart");
                }
                sent_to(&format!("http://{PAY}/?back=/paid&sum=5"))
            }
            // The session's cookie does not come from another site; it does when the browser asks again.
            ("POST", "/paid") if cookie(head, "session").is_some() || text(head, "sec-fetch-site") != "cross-site" => {
                page(400, "not from there")
            }
            ("POST", "/paid") if text(head, "origin") != format!("http://{PAY}") => page(400, "origin"),
            ("POST", "/paid") => sent_to(&format!("/thanks?proof={}", fields.get("proof").map_or("", String::as_str))),
            ("GET", "/thanks") if session.in_cart && head.uri.query() == Some("proof=5") => {
                orders.push(session.user.clone().unwrap_or_default());
                page(200, "<h1 id=thanks>thank you</h1>")
            }
            _ => page(404, "no such page"),
        }
    }

    /// A detour comes first, once for each shopper and path.
    fn puts_off(&self, head: &Parts, session: &mut Session) -> Option<Answer> {
        let path = head.uri.path().to_owned();
        if !["/api/cart", "/order"].contains(&path.as_str()) {
            return None;
        }
        let times = session.put_off.entry(path.clone()).or_default();
        *times += 1;
        let status = |word: &str, answer: Answer| {
            let (mut head, body) = answer.into_parts();
            head.headers.insert("weir-status", word.parse().unwrap());
            head.headers.insert(header::RETRY_AFTER, "1".parse().unwrap());
            Response::from_parts(head, body)
        };
        match (self.fault, *times) {
            (Fault::Line, 1) => {
                assert_eq!(head.method, Method::POST);
                Some(status("expired", json(429, r#"{"error":"needs_pass","status":"expired"}"#)))
            }
            (Fault::Line, 2) => {
                assert_eq!(head.method, Method::GET, "the place is asked for");
                let line = r#"{"cfWaitingRoom":{"inWaitingRoom":true,"position":1,"pollAfterSeconds":0.1}}"#;
                Some(status("waiting", json(429, line)))
            }
            (Fault::Busy, 1) => {
                Some(Response::builder().status(503).header(header::RETRY_AFTER, "1").body(Full::default()).unwrap())
            }
            _ => None,
        }
    }
}

/// The payment page of another site.
fn pay(head: &Parts) -> Answer {
    assert!(cookie(head, "session").is_none(), "no cookie of the shop comes here");
    page(200, "<form action=/paid><input type=hidden name=proof value=5></form>")
}

fn text<'h>(head: &'h Parts, name: &str) -> &'h str {
    head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn cookie(head: &Parts, name: &str) -> Option<String> {
    let pairs = text(head, "cookie").split("; ").filter_map(|pair| pair.split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next()
}

fn page(status: u16, body: &str) -> Answer {
    Response::builder().status(status).header("content-type", "text/html").body(Full::from(body.to_owned())).unwrap()
}

fn json(status: u16, body: &str) -> Answer {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

fn sent_to(path: &str) -> Answer {
    Response::builder().status(302).header(header::LOCATION, path).body(Full::default()).unwrap()
}
