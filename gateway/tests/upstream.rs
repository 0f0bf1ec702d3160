//! The way to the shop, over real sockets: small servers on loopback, well behaved and not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

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

use bytes::Bytes;
use gateway::body::Body;
use gateway::upstream::{HealthSettings, Patience, Pool, Upload, Upstream, UpstreamError, UpstreamSettings, health};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
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
                    let request = request.map(Upload::from);
                    let answer = upstream.forward(&pool, request, Patience::Anonymous).await;
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

fn settings(servers: &[&String]) -> UpstreamSettings {
    UpstreamSettings::new("shop", servers.iter().map(|server| (*server).clone()).collect())
}

fn upstream(servers: &[&String], change: impl FnOnce(&mut UpstreamSettings)) -> Arc<Upstream> {
    let mut settings = settings(servers);
    change(&mut settings);
    Arc::new(Upstream::new(settings, None))
}

fn request(method: &str, path: &str) -> Request<Upload> {
    Request::builder().method(method).uri(path).header("host", "shop.example").body(Upload::default()).unwrap()
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

#[test]
fn a_connection_is_kept_and_used_again() {
    run(async {
        let shop = shop(|_| async { reply("hello") }).await;
        let (upstream, pool) = (upstream(&[&shop], |_| ()), pool());
        for _ in 0..5 {
            let answer = upstream.forward(&pool, request("GET", "/"), Patience::Pass).await.unwrap();
            assert_eq!(upstream.in_flight(), 1);
            assert_eq!(text(answer).await, "hello");
            assert_eq!(upstream.in_flight(), 0);
        }
        assert_eq!(count(&upstream.counters().connected), 1);
        assert_eq!(count(&upstream.counters().answered), 5);
        assert_eq!(upstream.servers()[0].in_flight(), 0);
    });
}

#[test]
fn a_streamed_answer_arrives_as_it_is_written() {
    run(async {
        let (feed, fed) = tokio::sync::mpsc::unbounded_channel();
        let fed = Rc::new(Cell::new(Some(Fed(fed))));
        let shop = shop(move |_| {
            let body = fed.take().unwrap();
            async { Response::new(body.boxed_unsync()) }
        })
        .await;
        let (upstream, pool) = (upstream(&[&shop], |_| ()), pool());
        let mut answer = upstream.forward(&pool, request("GET", "/"), Patience::Pass).await.unwrap();
        for piece in ["one", "two", "three"] {
            feed.send(Frame::data(Bytes::from(piece))).unwrap();
            let frame = answer.body_mut().frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), piece);
        }
        drop(feed);
        assert!(answer.body_mut().frame().await.is_none());
        assert_eq!(upstream.in_flight(), 0, "the last byte was taken");
    });
}

#[test]
fn a_streamed_request_arrives_as_it_is_written_and_trailers_pass_both_ways() {
    run(async {
        let shop = shop(|request| async move {
            let collected = request.into_body().collect().await.unwrap();
            let sum = collected.trailers().unwrap()["sum"].clone();
            let (feed, fed) = tokio::sync::mpsc::unbounded_channel();
            feed.send(Frame::data(collected.to_bytes())).unwrap();
            feed.send(Frame::trailers(HeaderMap::from_iter([("sum".parse().unwrap(), sum)]))).unwrap();
            let mut answer = Response::new(Fed(fed).boxed_unsync());
            answer.headers_mut().insert(header::TRAILER, "sum".parse().unwrap());
            answer
        })
        .await;
        let (upstream, pool) = (upstream(&[&shop], |_| ()), pool());
        let mut shopper = TcpStream::connect(front(&upstream, &pool).await).await.unwrap();
        let head = "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntrailer: sum\r\ntransfer-encoding: chunked\r\n\r\n";
        shopper.write_all(head.as_bytes()).await.unwrap();
        for piece in ["3\r\nabc\r\n", "2\r\nde\r\n", "0\r\nsum: 42\r\n\r\n"] {
            tokio::time::sleep(ms(5)).await;
            shopper.write_all(piece.as_bytes()).await.unwrap();
        }
        let answer = read_until(&mut shopper, "0\r\nsum: 42\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("abcde"), "{answer}");
    });
}

#[test]
fn a_request_that_expects_100_gets_it_before_it_sends_its_body() {
    run(async {
        let shop = shop(|request| async move { reply(request.into_body().collect().await.unwrap().to_bytes()) }).await;
        let (upstream, pool) = (upstream(&[&shop], |_| ()), pool());
        let mut shopper = TcpStream::connect(front(&upstream, &pool).await).await.unwrap();
        let head = "PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
        shopper.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(read_until(&mut shopper, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        shopper.write_all(b"hello").await.unwrap();
        assert!(read_until(&mut shopper, "hello").await.starts_with("HTTP/1.1 200 OK\r\n"));
    });
}

#[test]
fn an_answer_before_the_end_of_the_request_is_passed_on_and_the_rest_may_still_come() {
    run(async {
        let taken = Rc::new(Cell::new(0));
        let counted = taken.clone();
        let shop = raw_shop(move |mut stream| {
            let taken = counted.clone();
            async move {
                read_until(&mut stream, "\r\n\r\n").await;
                stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig").await.unwrap();
                let mut buffer = vec![0; 65536];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    taken.set(taken.get() + count);
                }
            }
        })
        .await;
        let (upstream, pool) = (upstream(&[&shop], |_| ()), pool());
        let mut shopper = TcpStream::connect(front(&upstream, &pool).await).await.unwrap();
        shopper.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
        assert!(read_until(&mut shopper, "\r\n\r\nbig").await.starts_with("HTTP/1.1 413 "));
        eventually(|| upstream.in_flight() == 0).await;
        shopper.write_all(&vec![b'x'; 1_000_000]).await.unwrap();
        eventually(|| taken.get() == 1_000_000).await;
    });
}

/// A shop that answers once per connection and, when told, writes to the signal and closes it. In a
/// thread of its own, so that it does so while the worker is busy.
async fn closing_shop() -> (String, std::sync::mpsc::Sender<()>, TcpStream) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let signal = TcpStream::connect(address).await.unwrap();
    let (mut signaller, _) = listener.accept().unwrap();
    let (close, closed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(OK).unwrap();
            if closed.recv().is_err() {
                return;
            }
            signaller.write_all(b"!").unwrap();
        }
    });
    (address.to_string(), close, signal)
}

/// Sends on a kept connection that the shop closed while the worker was busy: signal and close are seen
/// in one turn of the event loop, and the request comes before the connection's own task.
async fn on_a_stale_connection(method: &str) -> (Result<Response<Body>, UpstreamError>, Arc<Upstream>) {
    let (shop, close, mut signal) = closing_shop().await;
    let (upstream, pool) = (upstream(&[&shop], |_| ()), pool());
    let answer = upstream.forward(&pool, request("GET", "/"), Patience::Pass).await.unwrap();
    assert_eq!(text(answer).await, "ok");
    close.send(()).unwrap();
    std::thread::sleep(ms(50));
    signal.read_u8().await.unwrap();
    let answer = upstream.forward(&pool, request(method, "/"), Patience::Pass).await;
    (answer, upstream)
}

#[test]
fn a_get_on_a_stale_connection_is_sent_again() {
    run(async {
        let (answer, upstream) = on_a_stale_connection("GET").await;
        assert_eq!(text(answer.unwrap()).await, "ok");
        assert_eq!(count(&upstream.counters().retried), 1);
        assert_eq!(count(&upstream.counters().connected), 2);
    });
}

#[test]
fn a_post_on_a_stale_connection_is_not_sent_again() {
    run(async {
        let (answer, upstream) = on_a_stale_connection("POST").await;
        let error = answer.unwrap_err();
        assert!(matches!(error, UpstreamError::Unsent(_)) && error.is_unsent(), "{error:?}");
        assert_eq!(count(&upstream.counters().retried), 0);
        assert_eq!(upstream.in_flight(), 0);
        assert_eq!(count(&upstream.counters().failed), 0, "says nothing of the server");
    });
}

#[test]
fn a_connection_that_was_seen_closed_is_not_used_whatever_the_method() {
    run(async {
        let shop = raw_shop(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(OK).await.unwrap();
        })
        .await;
        let (upstream, pool) = (upstream(&[&shop], |_| ()), pool());
        for _ in 0..3 {
            let answer = upstream.forward(&pool, request("POST", "/"), Patience::Pass).await.unwrap();
            assert_eq!(text(answer).await, "ok");
            tokio::time::sleep(ms(20)).await;
        }
        assert_eq!(count(&upstream.counters().connected), 3);
    });
}

#[test]
fn a_get_whose_bytes_were_sent_is_not_sent_again() {
    run(async {
        let asked = Rc::new(Cell::new(0));
        let counted = asked.clone();
        let shop = raw_shop(move |mut stream| {
            counted.set(counted.get() + 1);
            async move { drop(read_until(&mut stream, "\r\n\r\n").await) }
        })
        .await;
        let (upstream, pool) = (upstream(&[&shop], |_| ()), pool());
        let error = upstream.forward(&pool, request("GET", "/"), Patience::Pass).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Reset(_)), "{error:?}");
        assert!(!error.is_unsent());
        assert_eq!(asked.get(), 1);
    });
}

#[test]
fn a_shop_that_hangs_is_given_up_in_time() {
    run(async {
        let shop = raw_shop(|mut stream| async move {
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        })
        .await;
        let (upstream, pool) = (upstream(&[&shop], |s| s.response_timeout = ms(200)), pool());
        let start = Instant::now();
        let error = upstream.forward(&pool, request("GET", "/"), Patience::Pass).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Timeout), "{error:?}");
        assert!((ms(200)..ms(600)).contains(&start.elapsed()), "{:?}", start.elapsed());
        assert_eq!(upstream.in_flight(), 0);
    });
}

#[test]
fn an_upload_that_moves_is_not_late_and_one_that_stops_is_the_shoppers_fault() {
    run(async {
        let shop = shop(|request| async move { reply(request.into_body().collect().await.unwrap().to_bytes()) }).await;
        let (upstream, pool) = (upstream(&[&shop], |s| s.response_timeout = ms(200)), pool());
        let address = front(&upstream, &pool).await;
        let mut shopper = TcpStream::connect(address).await.unwrap();
        shopper.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\n").await.unwrap();
        for _ in 0..8 {
            tokio::time::sleep(ms(75)).await;
            shopper.write_all(b"x").await.unwrap();
        }
        assert!(read_until(&mut shopper, "xxxxxxxx").await.starts_with("HTTP/1.1 200 "));
        shopper.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\nxxx").await.unwrap();
        read_until(&mut shopper, "shopper sent nothing of the request in time").await;
        assert_eq!(count(&upstream.counters().failed), 0);
    });
}

#[test]
fn a_reset_is_told_apart_from_garbage() {
    run(async {
        let resetting = raw_shop(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        })
        .await;
        let (reset, pool) = (upstream(&[&resetting], |_| ()), pool());
        let error = reset.forward(&pool, request("GET", "/"), Patience::Pass).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Reset(_)), "{error:?}");
        for garbage in
            ["SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"]
        {
            let talking = raw_shop(move |mut stream| async move {
                read_until(&mut stream, "\r\n\r\n").await;
                stream.write_all(garbage.as_bytes()).await.unwrap();
            })
            .await;
            let upstream = upstream(&[&talking], |_| ());
            let error = upstream.forward(&pool, request("GET", "/"), Patience::Pass).await.unwrap_err();
            assert!(matches!(error, UpstreamError::Garbage(_)), "{garbage:?}: {error:?}");
            assert_eq!(upstream.in_flight(), 0);
        }
    });
}

#[test]
fn an_answer_cut_short_is_an_error_to_the_shopper_and_its_connection_is_not_kept() {
    run(async {
        let shop = raw_shop(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort").await.unwrap();
        })
        .await;
        let (upstream, pool) = (upstream(&[&shop], |_| ()), pool());
        for connected in 1..=2 {
            let answer = upstream.forward(&pool, request("GET", "/"), Patience::Pass).await.unwrap();
            assert!(answer.into_body().collect().await.is_err());
            assert_eq!(upstream.in_flight(), 0);
            assert_eq!(count(&upstream.counters().connected), connected);
        }
    });
}

#[test]
fn a_full_shop_is_busy_after_the_wait_and_a_holder_of_a_pass_waits_longer() {
    run(async {
        let shop = shop(|_| async {
            tokio::time::sleep(ms(300)).await;
            reply("late")
        })
        .await;
        let change = |s: &mut UpstreamSettings| (s.max_in_flight, s.max_wait) = (1, ms(50));
        let (upstream, pool) = (upstream(&[&shop], change), pool());
        let first = async { text(upstream.forward(&pool, request("GET", "/"), Patience::Pass).await.unwrap()).await };
        let anonymous = async {
            let error = upstream.forward(&pool, request("GET", "/"), Patience::Anonymous).await.unwrap_err();
            assert!(matches!(error, UpstreamError::Busy { retry_after } if retry_after >= ms(1000)), "{error:?}");
        };
        let pass = async { text(upstream.forward(&pool, request("GET", "/"), Patience::Pass).await.unwrap()).await };
        let (first, (), pass) = tokio::join!(first, anonymous, pass);
        assert_eq!((first.as_str(), pass.as_str()), ("late", "late"));
        assert_eq!(count(&upstream.counters().busy), 1);
    });
}

#[test]
fn in_flight_never_passes_the_limit() {
    run(async {
        let (now, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (shop_now, shop_most) = (now.clone(), most.clone());
        let shop = shop(move |_| {
            let (now, most) = (shop_now.clone(), shop_most.clone());
            async move {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                tokio::time::sleep(ms(2)).await;
                now.set(now.get() - 1);
                reply("x")
            }
        })
        .await;
        let change = |s: &mut UpstreamSettings| (s.max_in_flight, s.max_wait) = (7, ms(10_000));
        let (upstream, pool) = (upstream(&[&shop], change), pool());
        let mut visits = tokio::task::JoinSet::new();
        for visitor in 0..60 {
            let (upstream, pool) = (upstream.clone(), pool.clone());
            visits.spawn_local(async move {
                let who = if visitor % 3 == 0 { Patience::Pass } else { Patience::Anonymous };
                for _ in 0..10 {
                    let answer = upstream.forward(&pool, request("GET", "/"), who).await.unwrap();
                    assert!(upstream.in_flight() <= 7);
                    assert_eq!(text(answer).await, "x");
                }
            });
        }
        while let Some(visit) = visits.join_next().await {
            visit.unwrap();
        }
        assert_eq!(most.get(), 7);
        assert_eq!(upstream.in_flight(), 0);
        assert_eq!(count(&upstream.counters().connected), 7, "connections are kept");
    });
}

#[test]
fn a_reload_with_another_limit_counts_what_is_in_work() {
    run(async {
        let shop = shop(|_| async {
            tokio::time::sleep(ms(200)).await;
            reply("x")
        })
        .await;
        let (old, pool) = (upstream(&[&shop], |s| s.max_in_flight = 2), pool());
        let both = || old.forward(&pool, request("GET", "/"), Patience::Pass);
        let after = async {
            tokio::time::sleep(ms(50)).await;
            let mut settings = settings(&[&shop]);
            (settings.max_in_flight, settings.max_wait) = (1, ms(20));
            let new = Upstream::new(settings, Some(&old));
            assert_eq!(new.in_flight(), 2);
            let error = new.forward(&pool, request("GET", "/"), Patience::Anonymous).await.unwrap_err();
            assert!(matches!(error, UpstreamError::Busy { .. }));
        };
        let (one, two, ()) = tokio::join!(both(), both(), after);
        drop((one.unwrap(), two.unwrap()));
        assert_eq!(old.in_flight(), 0);
    });
}

#[test]
fn a_permit_is_free_when_the_shopper_goes_away() {
    run(async {
        let closed = Rc::new(Cell::new(0));
        let seen = closed.clone();
        let shop = raw_shop(move |mut stream| {
            let seen = seen.clone();
            async move {
                let head = read_until(&mut stream, "\r\n\r\n").await;
                if head.starts_with("GET /body") {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nfirst").await.unwrap();
                }
                assert_eq!(stream.read(&mut [0; 10]).await.unwrap_or(0), 0);
                seen.set(seen.get() + 1);
            }
        })
        .await;
        let (upstream, pool) = (upstream(&[&shop], |_| ()), pool());
        let address = front(&upstream, &pool).await;
        let mut shopper = TcpStream::connect(address).await.unwrap();
        shopper.write_all(b"GET /body HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        read_until(&mut shopper, "first").await;
        assert_eq!(upstream.in_flight(), 1);
        drop(shopper);
        eventually(|| upstream.in_flight() == 0 && closed.get() == 1).await;
        let mut shopper = TcpStream::connect(address).await.unwrap();
        shopper.write_all(b"GET /head HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        eventually(|| upstream.in_flight() == 1).await;
        drop(shopper);
        eventually(|| upstream.in_flight() == 0 && closed.get() == 2).await;
        assert_eq!(upstream.servers()[0].in_flight(), 0);
    });
}

#[test]
fn a_shopper_who_breaks_off_an_upload_is_not_the_shops_failure() {
    run(async {
        let shop = raw_shop(|mut stream| async move {
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        })
        .await;
        let (upstream, pool) = (upstream(&[&shop], |_| ()), pool());
        let mut shopper = TcpStream::connect(front(&upstream, &pool).await).await.unwrap();
        shopper.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc").await.unwrap();
        eventually(|| upstream.in_flight() == 1).await;
        drop(shopper);
        eventually(|| upstream.in_flight() == 0).await;
        assert_eq!(count(&upstream.counters().failed), 0);
    });
}

/// A shop that answers its number, `slow` ones slowly, and counts.
async fn numbered(number: u8, pause: Duration, asked: Rc<Cell<u32>>) -> String {
    shop(move |_| {
        asked.set(asked.get() + 1);
        async move {
            tokio::time::sleep(pause).await;
            reply(number.to_string())
        }
    })
    .await
}

#[test]
fn the_idle_one_of_two_servers_is_preferred() {
    run(async {
        let (slow, fast) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let one = numbered(1, ms(1000), slow.clone()).await;
        let two = numbered(2, ms(1), fast.clone()).await;
        let (upstream, pool) = (upstream(&[&one, &two], |_| ()), pool());
        let mut visits = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (upstream, pool) = (upstream.clone(), pool.clone());
            visits.spawn_local(async move {
                let answer = upstream.forward(&pool, request("GET", "/"), Patience::Pass).await.unwrap();
                text(answer).await
            });
            tokio::time::sleep(ms(5)).await;
        }
        visits.shutdown().await;
        // One request occupies the slow one; from then on the other one is less loaded.
        assert!(slow.get() <= 3 && fast.get() >= 47, "{} to {}", slow.get(), fast.get());
    });
}

/// An address where nobody listens.
async fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_server_that_refuses_is_passed_over_whatever_the_method_and_ejected() {
    run(async {
        let (dead, asked) = (nobody().await, Rc::new(Cell::new(0)));
        let alive = numbered(1, ms(0), asked.clone()).await;
        let (upstream, pool) = (upstream(&[&dead, &alive], |s| s.eject_after = 2), pool());
        for _ in 0..30 {
            let answer = upstream.forward(&pool, request("POST", "/"), Patience::Pass).await.unwrap();
            assert_eq!(text(answer).await, "1");
        }
        assert_eq!(asked.get(), 30);
        assert_eq!(count(&upstream.counters().failed), 2);
        assert!(!upstream.servers()[0].is_usable() && upstream.servers()[1].is_usable());
    });
}

#[test]
fn when_no_server_accepts_the_last_refusal_is_told_and_none_is_ejected_last() {
    run(async {
        let (one, two) = (nobody().await, nobody().await);
        let (upstream, pool) = (upstream(&[&one, &two], |s| s.eject_after = 1), pool());
        for _ in 0..5 {
            let error = upstream.forward(&pool, request("GET", "/"), Patience::Pass).await.unwrap_err();
            assert!(matches!(error, UpstreamError::Connect { .. }), "{error:?}");
        }
        assert_eq!(upstream.servers().iter().filter(|server| server.is_usable()).count(), 1);
        let error = Upstream::new(settings(&[]), None).forward(&pool, request("GET", "/"), Patience::Pass).await;
        assert!(matches!(error, Err(UpstreamError::NoServer)));
    });
}

#[test]
fn an_ejected_server_returns_after_its_time() {
    run(async {
        let broken = Rc::new(Cell::new(true));
        let state = broken.clone();
        let flaky = raw_shop(move |mut stream| {
            let state = state.clone();
            async move {
                while stream.read(&mut [0; 4096]).await.unwrap_or(0) > 0 && !state.get() {
                    stream.write_all(OK).await.unwrap();
                }
            }
        })
        .await;
        let asked = Rc::new(Cell::new(0));
        let steady = numbered(2, ms(0), asked.clone()).await;
        let change = |s: &mut UpstreamSettings| (s.eject_after, s.eject_for) = (2, ms(200));
        let (upstream, pool) = (upstream(&[&flaky, &steady], change), pool());
        let get = async || match upstream.forward(&pool, request("GET", "/"), Patience::Pass).await {
            Ok(answer) => text(answer).await,
            Err(error) => error.to_string(),
        };
        while upstream.servers()[0].is_usable() {
            get().await;
        }
        for _ in 0..20 {
            assert_eq!(get().await, "2");
        }
        broken.set(false);
        eventually(|| upstream.servers()[0].is_usable()).await;
        let mut answers = Vec::new();
        for _ in 0..40 {
            answers.push(get().await);
        }
        assert!(answers.iter().any(|answer| answer == "ok"), "{answers:?}");
        assert_eq!(count(&upstream.counters().ejected), 1);
    });
}

#[test]
fn active_checks_take_a_server_out_and_bring_it_back() {
    run(async {
        let well = Rc::new(Cell::new(true));
        let state = well.clone();
        let shop = shop(move |request| {
            let well = state.get();
            async move {
                assert_eq!(request.uri(), "/healthz");
                let mut answer = reply("");
                *answer.status_mut() = if well { StatusCode::NO_CONTENT } else { StatusCode::SERVICE_UNAVAILABLE };
                answer
            }
        })
        .await;
        let dead = nobody().await;
        let rules = HealthSettings {
            path: "/healthz".to_owned(),
            interval: ms(10),
            timeout: ms(500),
            unhealthy_after: 3,
            healthy_after: 2,
        };
        let upstream = upstream(&[&shop, &dead], |s| s.health = Some(rules));
        let stop = CancellationToken::new();
        let checks = tokio::spawn(health::run(vec![upstream.clone()], stop.clone()));
        let usable = |index: usize| upstream.servers()[index].is_usable();
        eventually(|| usable(0) && !usable(1)).await;
        well.set(false);
        eventually(|| !usable(0)).await;
        well.set(true);
        eventually(|| usable(0)).await;
        stop.cancel();
        checks.await.unwrap();
    });
}

#[test]
fn an_upgrade_carries_bytes_both_ways_and_holds_its_permit() {
    run(async {
        let shop = raw_shop(|mut stream| async move {
            let head = read_until(&mut stream, "\r\n\r\n").await;
            assert!(head.contains("upgrade: echo"), "{head}");
            let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhi ";
            stream.write_all(answer.as_bytes()).await.unwrap();
            let (mut read, mut write) = stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
        })
        .await;
        let (upstream, pool) = (upstream(&[&shop], |_| ()), pool());
        let mut shopper = TcpStream::connect(front(&upstream, &pool).await).await.unwrap();
        shopper.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n").await.unwrap();
        let head = read_until(&mut shopper, "hi ").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        for word in ["one", "two"] {
            shopper.write_all(word.as_bytes()).await.unwrap();
            assert_eq!(read_until(&mut shopper, word).await, word);
            assert_eq!(upstream.in_flight(), 1);
        }
        drop(shopper);
        eventually(|| upstream.in_flight() == 0).await;
        assert_eq!(upstream.servers()[0].in_flight(), 0);
    });
}

#[test]
fn a_101_that_nobody_asked_for_is_an_error() {
    run(async {
        let shop = raw_shop(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n").await.unwrap();
            let _ = stream.read(&mut [0; 10]).await;
        })
        .await;
        let (upstream, pool) = (upstream(&[&shop], |_| ()), pool());
        let error = upstream.forward(&pool, request("GET", "/"), Patience::Pass).await.unwrap_err();
        assert!(matches!(error, UpstreamError::NotAskedToSwitch), "{error:?}");
        assert_eq!(upstream.in_flight(), 0);
    });
}

#[test]
fn idle_connections_are_bounded_in_number_and_age() {
    run(async {
        let open = Rc::new(Cell::new(0_i32));
        let state = open.clone();
        let shop = raw_shop(move |mut stream| {
            let open = state.clone();
            async move {
                open.set(open.get() + 1);
                while stream.read(&mut [0; 4096]).await.unwrap_or(0) > 0 {
                    stream.write_all(OK).await.unwrap();
                }
                open.set(open.get() - 1);
            }
        })
        .await;
        let change = |s: &mut UpstreamSettings| (s.max_idle, s.idle_timeout) = (2, ms(300));
        let (upstream, pool) = (upstream(&[&shop], change), pool());
        let mut answers = Vec::new();
        for _ in 0..5 {
            answers.push(upstream.forward(&pool, request("GET", "/"), Patience::Pass).await.unwrap());
        }
        assert_eq!(open.get(), 5);
        for answer in answers {
            text(answer).await;
        }
        eventually(|| open.get() == 2).await;
        eventually(|| open.get() == 0).await;
    });
}
