//! The in-flight cap.

use super::*;

#[test]
fn a_full_shop_is_busy_after_the_wait_and_a_holder_of_a_pass_waits_longer() {
    run(async {
        let shop = shop(|_| async {
            tokio::time::sleep(ms(300)).await;
            reply("late")
        })
        .await;
        let change = |s: &mut UpstreamConfig| (s.max_in_flight, s.max_wait) = (1, ms(50));
        let (upstream, pool) = (upstream(&[&shop], change), pool());
        let first = async { text(upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap()).await };
        let anonymous = async {
            let error = upstream.forward(&pool, &mut request("GET", "/"), anybody()).await.unwrap_err();
            assert!(matches!(error, UpstreamError::Busy { retry_after } if retry_after >= ms(1000)), "{error:?}");
        };
        let pass = async { text(upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap()).await };
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
        let change = |s: &mut UpstreamConfig| (s.max_in_flight, s.max_wait) = (7, ms(10_000));
        let (upstream, pool) = (upstream(&[&shop], change), pool());
        let mut visits = tokio::task::JoinSet::new();
        for visitor in 0..60 {
            let (upstream, pool) = (upstream.clone(), pool.clone());
            visits.spawn_local(async move {
                let who = if visitor % 3 == 0 { holder() } else { anybody() };
                for _ in 0..10 {
                    let answer = upstream.forward(&pool, &mut request("GET", "/"), who).await.unwrap();
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
        let both = async || old.forward(&pool, &mut request("GET", "/"), holder()).await;
        let after = async {
            tokio::time::sleep(ms(50)).await;
            let mut settings = settings(&[&shop]);
            (settings.max_in_flight, settings.max_wait) = (1, ms(20));
            let new = Upstream::new(settings, None, Some(&old));
            assert_eq!(new.in_flight(), 2);
            let error = new.forward(&pool, &mut request("GET", "/"), anybody()).await.unwrap_err();
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
fn who_sends_and_leaves_keeps_a_permit_as_long_as_the_shop_usually_takes() {
    run(async {
        let (asked, closed) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (seen, gone) = (asked.clone(), closed.clone());
        let shop = raw_shop(move |mut stream| {
            let (asked, closed) = (seen.clone(), gone.clone());
            async move {
                while stream.read(&mut [0; 4096]).await.unwrap_or(0) > 0 {
                    asked.set(asked.get() + 1);
                    if asked.get() == 1 {
                        tokio::time::sleep(ms(200)).await;
                        stream.write_all(OK).await.unwrap();
                    }
                }
                closed.set(closed.get() + 1);
            }
        })
        .await;
        // Swept by hand: no time passes for its permits.
        let (upstream, pool) = (upstream(&[&shop], |s| (s.max_in_flight, s.max_wait) = (2, ms(50))), Pool::new());
        let address = front(&upstream, &pool).await;
        let first = upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap();
        assert_eq!(text(first).await, "ok");
        assert_eq!(upstream.in_flight(), 0);
        for left in 0..2 {
            let mut shopper = TcpStream::connect(address).await.unwrap();
            shopper.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            eventually(|| asked.get() == 2 + left).await;
            drop(shopper);
            eventually(|| closed.get() == 1 + left).await;
        }
        assert_eq!((upstream.in_flight(), count(&upstream.counters().abandoned)), (2, 2));
        let busy = upstream.forward(&pool, &mut request("GET", "/"), anybody()).await.unwrap_err();
        assert!(matches!(busy, UpstreamError::Busy { .. }), "what was left is no way past the limit: {busy:?}");
        pool.sweep(ms(150));
        assert_eq!(upstream.in_flight(), 2, "the shop takes 200 ms");
        pool.sweep(Duration::from_mins(1));
        assert_eq!(upstream.in_flight(), 0);
    });
}
