//! The way to the shop, over real sockets: small servers on loopback, well behaved and not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod gates;
mod http2;
mod kept;
mod permits;
mod room_limits;
mod servers;
mod steering;
mod streaming;
mod upstream_http2;
mod upstream_tls;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use gateway::client::body::Body;
use gateway::quota::Client;
use gateway::settings::config::{HealthConfig, ShopServer, UpstreamConfig};
use gateway::upstream::{Caller, Outgoing, Pool, Priority, Upload, Upstream, UpstreamError, health};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use policy::seal::RoomId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio_util::sync::CancellationToken;

type Reply = Response<http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>>;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs a test as a worker runs: one thread, tasks that need not be `Send`.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bounded = async { tokio::time::timeout(Duration::from_secs(20), test).await.unwrap() };
    runtime.block_on(LocalSet::new().run_until(bounded));
}

/// A shop that answers each request by a function.
async fn shop<F>(answer: impl Fn(Request<Incoming>) -> F + Clone + 'static) -> String
where
    F: Future<Output = Reply> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            spawn_local(connection.with_upgrades());
        }
    });
    address
}

/// A shop that does with each connection what it is told.
async fn raw_shop<F>(serve: impl Fn(TcpStream) -> F + 'static) -> String
where
    F: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            spawn_local(serve(stream));
        }
    });
    address
}

/// A pool that is swept, as a worker does.
fn pool() -> Rc<Pool> {
    let pool = Pool::new();
    let swept = Rc::downgrade(&pool);
    tokio::task::spawn_local(async move {
        let (start, mut ticks) = (Instant::now(), tokio::time::interval(ms(25)));
        while let Some(pool) = swept.upgrade() {
            pool.sweep(start.elapsed());
            drop(pool);
            ticks.tick().await;
        }
    });
    pool
}

/// A gateway that does nothing but forward.
async fn front(upstream: &Arc<Upstream>, pool: &Rc<Pool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (upstream, pool) = (upstream.clone(), pool.clone());
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (upstream, pool) = (upstream.clone(), pool.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (upstream, pool) = (upstream.clone(), pool.clone());
                async move {
                    let mut request = Some(request.map(Upload::from));
                    let mut answer = upstream.forward(&pool, &mut request, anybody()).await;
                    if let Ok(Body::Switch(bridge)) = answer.as_mut().map(Response::body_mut) {
                        spawn_local(bridge.take().unwrap());
                    }
                    Ok::<_, Infallible>(answer.unwrap_or_else(|error| {
                        let mut answer = Response::new(Body::from(Bytes::from(error.to_string())));
                        *answer.status_mut() = StatusCode::BAD_GATEWAY;
                        answer
                    }))
                }
            });
            spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
        }
    });
    address
}

fn holder() -> Caller<'static> {
    Caller {
        who: Priority::Pass,
        client: Client::Place(RoomId::of("launch"), 1),
        part: None,
        gate: None,
        deadline: None,
    }
}

fn anybody() -> Caller<'static> {
    Caller { who: Priority::Anonymous, client: Client::Address(1), part: None, gate: None, deadline: None }
}

fn settings(servers: &[&String]) -> UpstreamConfig {
    let servers = servers.iter().map(|server| ShopServer::try_from((*server).clone()).unwrap());
    UpstreamConfig { name: "shop".to_owned(), servers: servers.collect(), ..UpstreamConfig::default() }
}

fn upstream(servers: &[&String], change: impl FnOnce(&mut UpstreamConfig)) -> Arc<Upstream> {
    let mut settings = settings(servers);
    change(&mut settings);
    Arc::new(Upstream::new(settings, None, None))
}

#[expect(clippy::unnecessary_wraps, reason = "as an upstream takes it")]
fn request(method: &str, path: &str) -> Outgoing {
    Some(Request::builder().method(method).uri(path).header("host", "shop.example").body(Upload::default()).unwrap())
}

fn reply(text: impl Into<Bytes>) -> Reply {
    Response::new(Full::new(text.into()).boxed_unsync())
}

async fn text(answer: Response<Body>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// A body fed by the test.
struct Fed(tokio::sync::mpsc::UnboundedReceiver<Frame<Bytes>>);

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut got = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&got).contains(end) {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&got).into_owned()
}

async fn eventually(mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(ms(5)).await;
    }
    panic!("never held");
}

fn count(counter: &std::sync::atomic::AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
