//! HTTP/2 to a server: many requests on one connection, and what each of them gets when it ends.

use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Receiver, channel};

use gateway::upstream::{Http2Failure, HttpVersion};
use hyper::server::conn::http2;

use super::*;
use crate::common::h2::{CANCEL, DATA, END_STREAM, INITIAL_WINDOW_SIZE, Peer, REFUSED_STREAM, RESET, frame, peers};

/// An upstream that is spoken to by HTTP/2 in clear.
fn over_http2(servers: &[&String], change: impl FnOnce(&mut UpstreamConfig)) -> Arc<Upstream> {
    upstream(servers, |settings| {
        (settings.http_version, settings.eject_after) = (HttpVersion::Two, 0);
        change(settings);
    })
}

/// A shop of hyper's, in HTTP/2.
async fn shop_of_http2<F>(answer: impl Fn(Request<Incoming>) -> F + Clone + 'static) -> String
where
    F: Future<Output = Reply> + 'static,
{
    shop_with(|_| (), answer).await
}

/// The same, set up in another way.
async fn shop_with<F>(
    set_up: impl Fn(&mut http2::Builder<Here>) + 'static,
    answer: impl Fn(Request<Incoming>) -> F + Clone + 'static,
) -> String
where
    F: Future<Output = Reply> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let mut server = http2::Builder::new(Here);
            set_up(&mut server);
            spawn_local(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

#[derive(Clone)]
struct Here;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, task: F) {
        spawn_local(task);
    }
}

/// Sends so many requests at once, and waits for all of them: bodies, or what went wrong.
async fn all(
    upstream: &Arc<Upstream>,
    pool: &Rc<Pool>,
    method: &'static str,
    count: usize,
) -> Vec<Result<String, UpstreamError>> {
    let sent: Vec<_> = (0..count)
        .map(|_| {
            let (upstream, pool) = (upstream.clone(), pool.clone());
            spawn_local(async move {
                let answer = upstream.forward(&pool, &mut request(method, "/"), holder()).await?;
                Ok(text(answer).await)
            })
        })
        .collect();
    let mut answers = Vec::new();
    for sent in sent {
        answers.push(sent.await.unwrap());
    }
    answers
}

async fn get(upstream: &Arc<Upstream>, pool: &Rc<Pool>) -> Result<String, UpstreamError> {
    all(upstream, pool, "GET", 1).await.remove(0)
}

#[test]
fn requests_share_a_connection_and_an_idle_one_ends() {
    run(async {
        let shop = shop_of_http2(|request| async move {
            assert_eq!(request.version(), http::Version::HTTP_2);
            assert_eq!(request.uri(), "http://shop.example/");
            assert!(request.headers().get(header::HOST).is_none());
            tokio::time::sleep(ms(20)).await;
            reply("hello")
        })
        .await;
        let (upstream, pool) = (over_http2(&[&shop], |s| s.idle_timeout = ms(200)), pool());
        let answers = all(&upstream, &pool, "GET", 100).await;
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap() == "hello"));
        assert_eq!(count(&upstream.counters().connected), 1, "also while it was being opened");
        assert_eq!((upstream.in_flight(), upstream.servers()[0].in_flight()), (0, 0));
        tokio::time::sleep(ms(600)).await;
        assert_eq!(get(&upstream, &pool).await.unwrap(), "hello");
        assert_eq!(count(&upstream.counters().connected), 2);
    });
}

#[test]
fn a_connection_has_as_many_requests_as_the_server_takes_and_no_more() {
    run(async {
        let pause = |_| async move {
            tokio::time::sleep(ms(50)).await;
            reply("hello")
        };
        // It refuses what is more.
        let shop = shop_with(
            |server| {
                server.max_concurrent_streams(2);
            },
            pause,
        )
        .await;
        let (upstream, pool) = (over_http2(&[&shop], |_| ()), pool());
        for _ in 0..3 {
            assert!(all(&upstream, &pool, "POST", 6).await.iter().all(Result::is_ok));
        }
        assert_eq!(count(&upstream.counters().retried), 0);
        let connections = count(&upstream.counters().connected);
        assert!((2..=3).contains(&connections), "{connections}");
    });
}

#[test]
fn our_own_bound_counts_too() {
    run(async {
        let shop = shop_of_http2(|_| async move {
            tokio::time::sleep(ms(20)).await;
            reply("hello")
        })
        .await;
        let (upstream, pool) = (over_http2(&[&shop], |s| s.max_streams = 10), pool());
        assert!(all(&upstream, &pool, "GET", 40).await.iter().all(Result::is_ok));
        // One that was answered meanwhile makes room.
        assert!((2..=4).contains(&count(&upstream.counters().connected)));
    });
}

#[test]
fn what_comes_after_the_last_stream_of_a_goaway_is_sent_again_and_nothing_before_it() {
    run(async {
        let shop = peers(|stream, number| {
            let mut peer = Peer::agree(stream, &[]).unwrap();
            if number == 0 {
                let first = peer.request().unwrap();
                for _ in 1..20 {
                    peer.request().unwrap();
                }
                peer.go_away(first);
                return;
            }
            while let Some(stream) = peer.request() {
                peer.answer(stream, "again");
            }
        });
        let (upstream, pool) = (over_http2(&[&shop], |_| ()), pool());
        let answers = all(&upstream, &pool, "POST", 20).await;
        let (well, failed): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert!(well.len() == 19 && well.iter().all(|answer| answer.as_ref().unwrap() == "again"));
        assert!(matches!(&failed[..], [Err(UpstreamError::Reset(_))]), "{failed:?}");
        assert_eq!(count(&upstream.counters().retried), 19);
        assert_eq!(count(&upstream.counters().connected), 2, "they wait for one new connection");
    });
}

#[test]
fn a_server_that_sends_connections_away_again_and_again_loses_no_request() {
    run(async {
        // Three requests a connection, as nginx with `keepalive_requests 3`.
        let shop = peers(|stream, _| {
            let mut peer = Peer::agree(stream, &[]).unwrap();
            let mut last = 0;
            for _ in 0..3 {
                let Some(stream) = peer.request() else { return };
                last = stream;
                peer.answer(stream, "ok");
            }
            peer.go_away(last);
            while peer.read().is_some() {}
        });
        let (upstream, pool) = (over_http2(&[&shop], |_| ()), pool());
        for method in ["GET", "POST", "GET", "POST"] {
            for _ in 0..10 {
                let answers = all(&upstream, &pool, method, 1).await;
                assert_eq!(answers[0].as_ref().unwrap(), "ok");
            }
        }
        assert_eq!(count(&upstream.counters().failed), 0);
    });
}

#[test]
fn a_refused_request_is_sent_again_and_one_that_is_always_refused_says_so() {
    run(async {
        let shop = peers(|stream, number| {
            let mut peer = Peer::agree(stream, &[]).unwrap();
            while let Some(stream) = peer.request() {
                match number {
                    0 => peer.reset(stream, REFUSED_STREAM),
                    _ => peer.answer(stream, "taken"),
                }
            }
        });
        let (upstream, pool) = (over_http2(&[&shop], |_| ()), pool());
        assert_eq!(all(&upstream, &pool, "POST", 1).await[0].as_ref().unwrap(), "taken");
        assert_eq!(count(&upstream.counters().retried), 1);

        let shop = peers(|stream, _| {
            let mut peer = Peer::agree(stream, &[]).unwrap();
            while let Some(stream) = peer.request() {
                peer.reset(stream, REFUSED_STREAM);
            }
        });
        let upstream = over_http2(&[&shop], |_| ());
        let error = get(&upstream, &pool).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Http2 { failure: Http2Failure::Refused, .. }), "{error:?}");
    });
}

#[test]
fn a_server_that_refuses_everything_is_not_asked_several_times_for_all() {
    run(async {
        let asked = Arc::new(AtomicU32::new(0));
        let counted = asked.clone();
        let shop = peers(move |stream, _| {
            let mut peer = Peer::agree(stream, &[]).unwrap();
            while let Some(stream) = peer.request() {
                counted.fetch_add(1, Ordering::Relaxed);
                peer.reset(stream, REFUSED_STREAM);
            }
        });
        let (upstream, pool) = (over_http2(&[&shop], |_| ()), pool());
        for _ in 0..200 {
            let error = get(&upstream, &pool).await.unwrap_err();
            assert!(matches!(error, UpstreamError::Http2 { failure: Http2Failure::Refused, .. }), "{error:?}");
        }
        // A fifth of 200, and ten; three times 200 without a budget. Ten more where ten seconds have passed.
        let retried = count(&upstream.counters().retried);
        assert!((10..=70).contains(&retried), "{retried}");
        assert_eq!(u64::from(asked.load(Ordering::Relaxed)), 200 + retried);
        assert!(count(&upstream.counters().not_retried) > 100);
    });
}

#[test]
fn a_request_that_was_sent_is_not_sent_again_when_its_connection_breaks() {
    run(async {
        let shop = peers(|stream, number| {
            let mut peer = Peer::agree(stream, &[]).unwrap();
            let first = peer.request().unwrap();
            if number > 0 {
                peer.answer(first, "ok");
                return while peer.read().is_some() {};
            }
            for _ in 1..10 {
                peer.request().unwrap();
            }
        });
        let (upstream, pool) = (over_http2(&[&shop], |_| ()), pool());
        for answer in all(&upstream, &pool, "GET", 10).await {
            assert!(matches!(answer, Err(UpstreamError::Reset(_))), "{answer:?}");
        }
        assert_eq!((count(&upstream.counters().retried), count(&upstream.counters().failed)), (0, 10));
        assert_eq!(get(&upstream, &pool).await.unwrap(), "ok");
    });
}

#[test]
fn a_post_on_a_connection_that_was_closed_unseen_is_sent_again() {
    run(async {
        let ((close, told), (tell, closed)) = (channel::<()>(), channel());
        let ends = Arc::new(std::sync::Mutex::new((told, tell)));
        let shop = peers(move |stream, _| {
            let mut peer = Peer::agree(stream, &[]).unwrap();
            if let Some(stream) = peer.request() {
                peer.answer(stream, "ok");
                let (told, tell) = &*ends.lock().unwrap();
                let _ = told.recv();
                drop(peer);
                let _ = tell.send(());
            }
        });
        let (upstream, pool) = (over_http2(&[&shop], |_| ()), pool());
        for _ in 0..10 {
            let answer = upstream.forward(&pool, &mut request("POST", "/"), holder()).await.unwrap();
            assert_eq!(text(answer).await, "ok");
            close.send(()).unwrap();
            // The worker is busy and does not learn of it.
            closed.recv().unwrap();
        }
        assert_eq!(count(&upstream.counters().failed), 0);
    });
}

/// A server that says what became of its streams besides, of which it answers those after the first.
fn server_that_tells(first: impl Fn(&mut Peer, u32) + Clone + Send + 'static) -> (String, Receiver<(u32, u32)>) {
    let (tell, told) = channel();
    let shop = peers(move |stream, _| {
        let mut peer = Peer::agree(stream, &[(INITIAL_WINDOW_SIZE, 1_000)]).unwrap();
        let held = peer.request().unwrap();
        first(&mut peer, held);
        while let Some(frame) = peer.read() {
            match frame.kind {
                crate::common::h2::HEADERS => peer.answer(frame.stream, "ok"),
                RESET => {
                    let why = u32::from_be_bytes(frame.payload[..4].try_into().unwrap());
                    let _ = tell.send((frame.stream - held, why));
                }
                _ => {}
            }
        }
    });
    (shop, told)
}

#[test]
fn a_shopper_who_leaves_resets_their_own_stream_before_and_after_the_head_of_the_answer() {
    run(async {
        for begun in [false, true] {
            let (shop, told) = server_that_tells(move |peer, stream| {
                if begun {
                    peer.write(&frame(
                        crate::common::h2::HEADERS,
                        crate::common::h2::END_HEADERS,
                        stream,
                        crate::common::h2::OK_200,
                    ));
                }
            });
            let (upstream, pool) = (over_http2(&[&shop], |_| ()), pool());
            let mut request = request("GET", "/");
            let leaving = upstream.forward(&pool, &mut request, holder());
            if begun {
                drop(leaving.await.unwrap());
            } else {
                assert!(tokio::time::timeout(ms(200), leaving).await.is_err());
            }
            assert_eq!(upstream.in_flight(), 0);
            assert_eq!(get(&upstream, &pool).await.unwrap(), "ok", "on the same connection");
            assert_eq!(count(&upstream.counters().connected), 1);
            let mut reset = None;
            eventually(|| {
                reset = reset.or(told.try_recv().ok());
                reset.is_some()
            })
            .await;
            assert_eq!(reset, Some((0, CANCEL)));
        }
    });
}

#[test]
fn a_server_that_never_takes_a_body_times_out_for_that_one_alone() {
    run(async {
        let (shop, told) = server_that_tells(|_, _| ());
        let (upstream, pool) = (over_http2(&[&shop], |s| s.response_timeout = ms(2_000)), pool());
        let front = front(&upstream, &pool).await;
        let mut stream = TcpStream::connect(front).await.unwrap();
        let head = "POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 200000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let stuck = spawn_local(async move {
            let _ = stream.write_all(&vec![b'x'; 200_000]).await;
            read_until(&mut stream, "no answer in time").await
        });
        tokio::time::sleep(ms(100)).await;
        for _ in 0..5 {
            assert_eq!(get(&upstream, &pool).await.unwrap(), "ok");
        }
        assert!(stuck.await.unwrap().contains("502"));
        assert_eq!(get(&upstream, &pool).await.unwrap(), "ok");
        assert_eq!(count(&upstream.counters().connected), 1, "it answered others: it is not silent");
        eventually(|| told.try_recv() == Ok((0, CANCEL))).await;
    });
}

#[test]
fn who_is_slow_to_take_an_answer_holds_up_nobody_else_on_the_connection() {
    run(async {
        let shop = shop_of_http2(|_| async { reply(vec![b'x'; 150_000]) }).await;
        let (upstream, pool) = (over_http2(&[&shop], |s| s.max_in_flight_per_pass = Some(200)), pool());
        let mut untaken = Vec::new();
        for _ in 0..99 {
            untaken.push(upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap());
        }
        // Until all windows are used up.
        tokio::time::sleep(ms(200)).await;
        for _ in 0..3 {
            assert_eq!(get(&upstream, &pool).await.unwrap().len(), 150_000);
        }
        assert_eq!(count(&upstream.counters().connected), 1);
        for answer in untaken {
            assert_eq!(text(answer).await.len(), 150_000);
        }
    });
}

#[test]
fn a_connection_on_which_nothing_comes_is_not_used_again() {
    run(async {
        let shop = peers(|stream, number| {
            let mut peer = Peer::agree(stream, &[]).unwrap();
            while let Some(stream) = peer.request() {
                if number == 0 {
                    // Not even a PING is answered.
                    return std::thread::park_timeout(Duration::from_secs(20));
                }
                peer.answer(stream, "ok");
            }
        });
        let (upstream, pool) = (over_http2(&[&shop], |s| s.response_timeout = ms(1_000)), pool());
        assert!(matches!(get(&upstream, &pool).await, Err(UpstreamError::Timeout)));
        assert_eq!(get(&upstream, &pool).await.unwrap(), "ok");
        assert_eq!(count(&upstream.counters().connected), 2);
    });
}

#[test]
fn a_ping_that_is_not_answered_ends_the_connection_before_requests_time_out() {
    run(async {
        let shop = peers(|stream, _| {
            let mut peer = Peer::agree(stream, &[]).unwrap();
            peer.request().unwrap();
            // It reads no more.
            std::thread::park_timeout(Duration::from_secs(20));
        });
        let (upstream, pool) = (over_http2(&[&shop], |s| s.response_timeout = ms(4_000)), pool());
        let error = get(&upstream, &pool).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Http2 { failure: Http2Failure::Unanswered, .. }), "{error:?}");
    });
}

#[test]
fn a_body_that_was_gathered_is_sent_again_with_the_request() {
    run(async {
        let shop = peers(|stream, number| {
            let mut peer = Peer::agree(stream, &[]).unwrap();
            let Some(stream) = peer.request() else { return };
            let mut body = Vec::new();
            while let Some(piece) = peer.next(DATA) {
                body.extend(piece.payload);
                if piece.flags & END_STREAM != 0 {
                    break;
                }
            }
            match number {
                0 => peer.go_away(0),
                _ => peer.answer(stream, &format!("{} bytes", body.len())),
            }
            while peer.read().is_some() {}
        });
        let (upstream, pool) = (over_http2(&[&shop], |_| ()), pool());
        let mut stream = TcpStream::connect(front(&upstream, &pool).await).await.unwrap();
        let head = "POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 30000\r\n\r\n";
        stream.write_all(&[head.as_bytes(), &vec![b'x'; 30_000]].concat()).await.unwrap();
        read_until(&mut stream, "30000 bytes").await;
        assert_eq!(count(&upstream.counters().retried), 1);
    });
}
