//! A shopper's browser, as far as a server can tell: one connection, a cookie jar, honest headers.
//!
//! The connection is made when it is needed, kept over a click, and closed over a long pause, as
//! waiting people's connections are. Every shopper of a local crowd has an address of 127/8.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

use crate::shopper::{Answer, Request};

/// Pauses longer than this close the connection.
const KEPT: Duration = Duration::from_millis(2_500);
/// The longest page that is read.
const LONGEST_PAGE: usize = 512 * 1024;
/// Addresses that a local crowd comes from.
const ADDRESSES: u64 = 1_000;

type Outgoing = http::Request<Full<Bytes>>;

/// Where a crowd goes: a server and the paths of its launch.
#[derive(Debug, Clone)]
pub struct Target {
    address: SocketAddr,
    authority: String,
    item: String,
    order: String,
    payment: String,
}

impl Target {
    /// The launch under `folder` (as `/launch`) of the server at `authority` (as `shop.test:8080`).
    pub fn new(address: SocketAddr, authority: impl Into<String>, folder: &str) -> Self {
        let folder = folder.trim_end_matches('/');
        Self {
            address,
            authority: authority.into(),
            item: format!("{folder}/item"),
            order: format!("{folder}/order"),
            payment: format!("{folder}/payment"),
        }
    }
}

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// No connection.
    Refused,
    /// The connection broke.
    Broken,
    /// Nothing within the shopper's patience.
    Late,
}

/// One browser.
#[derive(Debug)]
pub struct Client {
    target: Target,
    source: Option<Ipv4Addr>,
    patience: Duration,
    cookies: Vec<(String, String)>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// The browser of shopper number `index`, who waits at most `patience` for a page.
    pub fn new(target: Target, index: u64, patience: Duration) -> Self {
        let source = local_address(target.address, index);
        Self { target, source, patience, cookies: Vec::new(), connection: None }
    }

    /// Another tab of the same browser: it has the cookies that this one has now.
    #[must_use]
    pub fn tab(&self) -> Self {
        let (target, cookies) = (self.target.clone(), self.cookies.clone());
        Self { target, source: self.source, patience: self.patience, cookies, connection: None }
    }

    /// Asks at this address from now on, as one that a load balancer sends elsewhere; the cookies stay.
    pub fn turn_to(&mut self, address: SocketAddr) {
        if self.target.address != address {
            self.target.address = address;
            self.connection = None;
        }
    }

    /// The value of a cookie that was set.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(kept, _)| kept == name).map(|(_, value)| value.as_str())
    }

    /// Sends a request and reads its answer.
    pub async fn send(&mut self, request: Request) -> Result<Answer, Lost> {
        let patience = self.patience;
        let answer = tokio::time::timeout(patience, self.exchange(request)).await.unwrap_or(Err(Lost::Late));
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    /// Says that the next request comes after a pause.
    pub fn pause(&mut self, pause: Duration) {
        if pause > KEPT {
            self.connection = None;
        }
    }

    async fn exchange(&mut self, request: Request) -> Result<Answer, Lost> {
        let request = self.write(request).ok_or(Lost::Broken)?;
        let response = self.respond(request).await?;
        let (head, body) = response.into_parts();
        for line in head.headers.get_all(header::SET_COOKIE) {
            self.keep_cookie(line.to_str().unwrap_or_default());
        }
        let body = Limited::new(body, LONGEST_PAGE).collect().await.map_err(|_| Lost::Broken)?.to_bytes();
        let retry_after = head.headers.get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Ok(Answer { status: head.status.as_u16(), retry_after, body })
    }

    /// Sends on the kept connection if it still works, else on a new one.
    async fn respond(&mut self, request: Outgoing) -> Result<http::Response<hyper::body::Incoming>, Lost> {
        let unsent = match self.connection.as_mut() {
            Some(kept) => match kept.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut error) => error.take_message().ok_or(Lost::Broken)?,
            },
            None => request,
        };
        let fresh = self.connection.insert(connect(self.target.address, self.source).await?);
        fresh.send_request(unsent).await.map_err(|_| Lost::Broken)
    }

    fn write(&self, request: Request) -> Option<Outgoing> {
        let target = &self.target;
        let page = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";
        let (method, path, accept, form) = match request {
            Request::Page => (Method::GET, &target.item, page, None),
            Request::Poll => (Method::GET, &target.item, "application/json", None),
            Request::Order => (Method::POST, &target.order, page, Some("item=weir-one&quantity=1".to_owned())),
            Request::Payment(order) => (Method::POST, &target.payment, page, Some(format!("order={order}"))),
        };
        let (mode, dest) = if request == Request::Poll { ("cors", "empty") } else { ("navigate", "document") };
        let mut builder = http::Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &target.authority)
            .header(header::ACCEPT, accept)
            .header(header::ACCEPT_LANGUAGE, "en")
            .header("sec-fetch-mode", mode)
            .header("sec-fetch-dest", dest)
            .header("sec-fetch-site", if request == Request::Page { "none" } else { "same-origin" });
        if !self.cookies.is_empty() {
            let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            builder = builder.header(header::COOKIE, pairs.join("; "));
        }
        if form.is_some() {
            builder = builder
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::ORIGIN, format!("http://{}", target.authority));
        }
        builder.body(Full::from(form.unwrap_or_default())).ok()
    }

    /// Keeps a cookie for the whole site. A lifetime of 0 ends it, others outlive the crowd.
    fn keep_cookie(&mut self, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        self.cookies.retain(|(kept, _)| kept != name);
        if !parts.any(|attribute| attribute.eq_ignore_ascii_case("max-age=0")) {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// Only Linux answers on all of 127/8 without being asked to.
fn local_address(target: SocketAddr, index: u64) -> Option<Ipv4Addr> {
    let local = cfg!(target_os = "linux") && target.is_ipv4() && target.ip().is_loopback();
    let place = index % ADDRESSES;
    local.then(|| Ipv4Addr::new(127, 1, (place / 250) as u8, (1 + place % 250) as u8))
}

async fn connect(to: SocketAddr, from: Option<Ipv4Addr>) -> Result<SendRequest<Full<Bytes>>, Lost> {
    let stream = open(to, from).await.map_err(|_| Lost::Refused)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|_| Lost::Refused)?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn open(to: SocketAddr, from: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let stream = match from {
        None => TcpStream::connect(to).await?,
        Some(from) => {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
            socket.connect(to).await?
        }
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        let target = Target::new(([127, 0, 0, 1], 1).into(), "shop.test", "/launch/");
        Client::new(target, 3, Duration::from_secs(1))
    }

    #[test]
    fn a_jar_keeps_the_latest_value_and_drops_an_ended_cookie() {
        let mut client = client();
        client.keep_cookie("weir_launch=one; Path=/; HttpOnly");
        client.keep_cookie("shop=5");
        client.keep_cookie("weir_launch=two; Path=/");
        client.keep_cookie("nonsense");
        let request = client.write(Request::Page).expect("a request");
        assert_eq!(request.headers()[header::COOKIE], "shop=5; weir_launch=two");
        client.turn_to(([127, 0, 0, 1], 2).into());
        assert_eq!((client.cookie("weir_launch"), client.cookie("weir")), (Some("two"), None));
        assert_eq!(client.tab().cookie("weir_launch"), Some("two"));
        client.keep_cookie("shop=; Max-Age=0");
        let request = client.write(Request::Page).expect("a request");
        assert_eq!(request.headers()[header::COOKIE], "weir_launch=two");
    }

    #[test]
    fn a_visit_is_a_navigation_and_a_poll_is_not() {
        let page = client().write(Request::Page).expect("a request");
        assert_eq!(
            (page.uri().path(), &page.headers()["sec-fetch-mode"]),
            ("/launch/item", &"navigate".parse().unwrap())
        );
        let poll = client().write(Request::Poll).expect("a request");
        assert_eq!(poll.headers()[header::ACCEPT], "application/json");
        assert_eq!(poll.headers()["sec-fetch-mode"], "cors");
    }
}
