//! The sockets around the room: what comes in, what goes on to the shop, what goes back.
//!
//! It has no limits, no time-outs and no TLS: it stands between a test's own crowd and a test's own shop.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use policy::line::segment::place_of;
use policy::ticket::Token;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::room::{Answer, Intent, POLL, Room};

const COOKIE: &str = "weir_launch";
/// A called visitor stands at the door for so long, and is checked so often.
const AT_THE_DOOR: Duration = Duration::from_millis(800);
const LOOK: Duration = Duration::from_millis(50);
/// How much longer a pass holder waits where the crowd slows the shop down.
const SLOWER: Duration = Duration::from_secs(2);

/// The gateway in front of a shop. It ends with this value.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) room: Arc<Room>,
    _tasks: JoinSet<()>,
}

impl Gateway {
    pub(crate) async fn open(room: Room, shop: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let room = Arc::new(room);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Door { room: Arc::clone(&room), shop }));
        tasks.spawn(tick(Arc::clone(&room)));
        Self { address, room, _tasks: tasks }
    }
}

async fn tick(room: Arc<Room>) {
    loop {
        sleep(Duration::from_millis(50)).await;
        room.tick();
    }
}

#[derive(Clone)]
struct Door {
    room: Arc<Room>,
    shop: SocketAddr,
}

type Page = Response<Full<Bytes>>;

async fn accept(listener: TcpListener, door: Door) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let door = door.clone();
        let service = service_fn(move |request| {
            let door = door.clone();
            async move { Ok::<_, Infallible>(door.answer(request).await) }
        });
        let http = hyper::server::conn::http1::Builder::new();
        connections.spawn(async move { drop(http.serve_connection(TokioIo::new(stream), service).await) });
        while connections.try_join_next().is_some() {}
    }
}

impl Door {
    async fn answer(&self, request: Request<Incoming>) -> Page {
        let path = request.uri().path();
        if path == "/other/item" {
            return with_cookie(page(StatusCode::OK, "another room"), "weir_other", &self.room.pass_of_another_room());
        }
        if !path.starts_with("/launch/") {
            return page(StatusCode::NOT_FOUND, "no such page");
        }
        let json = accepts(&request, "application/json");
        let navigates = request.method() == Method::GET && (json || accepts(&request, "text/html"));
        let intent = if navigates { Intent::Page } else { Intent::Other };
        match self.admit(cookie_of(request.headers(), COOKIE).as_deref(), intent).await {
            Answer::Enter { pass, cookie, crowd } => {
                if crowd && request.uri().path() != "/launch/item" {
                    sleep(SLOWER).await;
                }
                self.forward(request, pass, cookie).await
            }
            Answer::Wait { cookie, position, wait, .. } => waiting(cookie, json.then_some((position, wait))),
            Answer::Refuse => told_to_wait(page(StatusCode::TOO_MANY_REQUESTS, "not without a pass")),
            Answer::Fail => page(StatusCode::SERVICE_UNAVAILABLE, "sorry"),
        }
    }

    async fn admit(&self, cookie: Option<&str>, intent: Intent) -> Answer {
        let end = Instant::now() + AT_THE_DOOR;
        loop {
            match self.room.admit(cookie, intent) {
                Answer::Wait { called: true, .. } if Instant::now() < end => sleep(LOOK).await,
                answer => return answer,
            }
        }
    }

    async fn forward(&self, request: Request<Incoming>, pass: Option<Token>, cookie: Option<String>) -> Page {
        let answer = self.exchange(request, pass).await.unwrap_or_else(|| page(StatusCode::BAD_GATEWAY, "no shop"));
        let revoked = answer.headers().contains_key("weir-command");
        match (pass, cookie) {
            (Some(pass), _) if revoked => {
                self.room.release(pass.number);
                with_cookie(answer, COOKIE, "; Max-Age=0")
            }
            (_, Some(cookie)) => with_cookie(answer, COOKIE, &cookie),
            _ => answer,
        }
    }

    async fn exchange(&self, request: Request<Incoming>, pass: Option<Token>) -> Option<Page> {
        let (mut head, body) = request.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        hide_cookie(&mut head.headers);
        for name in ["weir-room", "weir-pass-id"] {
            head.headers.remove(name);
        }
        if let Some(pass) = pass {
            let (segment, number) = place_of(pass.number);
            head.headers.insert("weir-room", HeaderValue::from_static("launch"));
            head.headers.insert("weir-pass-id", HeaderValue::try_from(format!("{segment}.{number}")).ok()?);
        }
        let stream = TcpStream::connect(self.shop).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        let mut driver = JoinSet::new();
        driver.spawn(async move { drop(connection.await) });
        let answer = sender.send_request(Request::from_parts(head, Full::new(body))).await.ok()?;
        let (mut head, body) = answer.into_parts();
        head.headers.remove(header::TRANSFER_ENCODING);
        Some(Response::from_parts(head, Full::new(body.collect().await.ok()?.to_bytes())))
    }
}

fn accepts(request: &Request<Incoming>, kind: &str) -> bool {
    request
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains(kind))
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split("; ")).filter_map(|pair| pair.split_once('='))
}

fn cookie_of(headers: &HeaderMap, name: &str) -> Option<String> {
    cookies(headers).find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

/// The shop never sees a token.
fn hide_cookie(headers: &mut HeaderMap) {
    let left: Vec<String> = cookies(headers)
        .filter(|(name, _)| !name.starts_with("weir"))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    headers.remove(header::COOKIE);
    if let Ok(line) = HeaderValue::try_from(left.join("; ")) {
        headers.insert(header::COOKIE, line);
    }
}

fn waiting(cookie: Option<String>, told: Option<(u64, Option<[u64; 2]>)>) -> Page {
    let answer = match told {
        Some((position, wait)) => {
            let [low, high] = [0, 1].map(|end| wait.map_or("null".to_owned(), |wait| wait[end].to_string()));
            page(
                StatusCode::OK,
                format!(
                    "{{\"cfWaitingRoom\":{{\"inWaitingRoom\":true,\"position\":{position},\"waitLowSeconds\":{low},\
                 \"waitHighSeconds\":{high},\"pollAfterSeconds\":{POLL}.0}}}}"
                ),
            )
        }
        None => page(StatusCode::OK, "<html>please wait</html>"),
    };
    let answer = told_to_wait(answer);
    match cookie {
        Some(cookie) => with_cookie(answer, COOKIE, &cookie),
        None => answer,
    }
}

fn page(status: StatusCode, text: impl Into<Bytes>) -> Page {
    let mut page = Response::new(Full::new(text.into()));
    *page.status_mut() = status;
    page
}

fn told_to_wait(page: Page) -> Page {
    with(page, header::RETRY_AFTER, &POLL.to_string())
}

fn with_cookie(page: Page, name: &str, value: &str) -> Page {
    with(page, header::SET_COOKIE, &format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax"))
}

fn with(mut page: Page, name: HeaderName, value: &str) -> Page {
    page.headers_mut().append(name, HeaderValue::try_from(value).unwrap());
    page
}
