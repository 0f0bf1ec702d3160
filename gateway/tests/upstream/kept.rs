//! Connections that are kept, and what happens when the shop closed one.

use super::*;

#[test]
fn a_connection_is_kept_and_used_again() {
    run(async {
        let shop = shop(|_| async { reply("hello") }).await;
        let (upstream, pool) = (upstream(&[&shop], |_| ()), pool());
        for _ in 0..5 {
            let answer = upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap();
            assert_eq!(upstream.in_flight(), 0, "it is here as a whole, taken or not");
            assert_eq!(text(answer).await, "hello");
        }
        assert_eq!(count(&upstream.counters().connected), 1);
        assert_eq!(count(&upstream.counters().answered), 5);
        assert_eq!(upstream.servers()[0].in_flight(), 0);
    });
}

#[test]
fn nothing_is_kept_by_any_worker_of_a_server_whose_upstream_is_gone() {
    run(async {
        let shop = shop(|_| async { reply("hello") }).await;
        let (upstream, workers) = (upstream(&[&shop], |_| ()), [pool(), pool()]);
        for pool in &workers {
            let answer = upstream.forward(pool, &mut request("GET", "/"), holder()).await.unwrap();
            assert_eq!(text(answer).await, "hello");
        }
        let server = Arc::downgrade(&upstream.servers()[0]);
        let swept = |seconds| workers.iter().for_each(|pool| pool.sweep(Duration::from_secs(seconds)));
        swept(1);
        assert_eq!(server.strong_count(), 3, "the upstream and each worker have it");
        drop(upstream);
        swept(2);
        assert_eq!(server.strong_count(), 0);
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
    let answer = upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap();
    assert_eq!(text(answer).await, "ok");
    close.send(()).unwrap();
    std::thread::sleep(ms(50));
    signal.read_u8().await.unwrap();
    let answer = upstream.forward(&pool, &mut request(method, "/"), holder()).await;
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
fn a_post_on_a_stale_connection_is_sent_again_since_nothing_was_sent() {
    run(async {
        let (answer, upstream) = on_a_stale_connection("POST").await;
        assert_eq!(text(answer.unwrap()).await, "ok");
        assert_eq!(count(&upstream.counters().retried), 1);
        assert_eq!(count(&upstream.counters().connected), 2);
        assert_eq!(count(&upstream.counters().failed), 0, "says nothing of the server");
    });
}

#[test]
fn a_connection_that_was_closed_unseen_is_looked_at_before_a_post() {
    run(async {
        let (shop, close, _signal) = closing_shop().await;
        let (upstream, pool) = (upstream(&[&shop], |_| ()), pool());
        for _ in 0..20 {
            let answer = upstream.forward(&pool, &mut request("POST", "/"), holder()).await.unwrap();
            assert_eq!(text(answer).await, "ok");
            close.send(()).unwrap();
            // The worker is busy and does not learn of it.
            std::thread::sleep(ms(20));
        }
        assert_eq!(count(&upstream.counters().retried), 19);
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
            let answer = upstream.forward(&pool, &mut request("POST", "/"), holder()).await.unwrap();
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
        let error = upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Reset(_)), "{error:?}");
        assert_eq!(asked.get(), 1);
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
        let change = |s: &mut UpstreamConfig| (s.max_idle, s.idle_timeout) = (2, ms(300));
        let (upstream, pool) = (upstream(&[&shop], change), pool());
        let five = (0..5).map(|_| async { upstream.forward(&pool, &mut request("GET", "/"), holder()).await });
        for answer in futures_util::future::join_all(five).await {
            text(answer.unwrap()).await;
        }
        assert_eq!(count(&upstream.counters().connected), 5);
        eventually(|| open.get() == 2).await;
        eventually(|| open.get() == 0).await;
    });
}
