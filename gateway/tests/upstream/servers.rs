//! Several servers: which one is asked, and which one is not.

use super::*;
use crate::common::{JSON, Weir, config, head, of, ok, server, weir};

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
                let answer = upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap();
                text(answer).await
            });
            tokio::time::sleep(ms(5)).await;
        }
        visits.shutdown().await;
        // One request occupies the slow one; from then on the other one is less loaded.
        assert!(slow.get() <= 3 && fast.get() >= 47, "{} to {}", slow.get(), fast.get());
    });
}

#[test]
fn a_server_that_takes_longer_is_used_less_though_none_waits() {
    run(async {
        let (slow, fast) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let one = numbered(1, ms(300), slow.clone()).await;
        let two = numbered(2, ms(1), fast.clone()).await;
        let (upstream, pool) = (upstream(&[&one, &two], |_| ()), pool());
        // One after the other: both have nothing in work each time.
        for _ in 0..60 {
            let answer = upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap();
            text(answer).await;
        }
        assert!((1..=12).contains(&slow.get()), "{} to {}", slow.get(), fast.get());
    });
}

#[test]
fn a_server_that_fails_at_once_does_not_draw_the_requests() {
    run(async {
        let broken = Rc::new(Cell::new(0));
        let count = broken.clone();
        let one = shop(move |_| {
            count.set(count.get() + 1);
            async {
                let mut answer = reply("broken");
                *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                answer
            }
        })
        .await;
        let well = Rc::new(Cell::new(0));
        let two = numbered(2, ms(5), well.clone()).await;
        let (upstream, pool) = (upstream(&[&one, &two], |_| ()), pool());
        for _ in 0..100 {
            let answer = upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap();
            text(answer).await;
        }
        assert!(broken.get() < 40, "{} to {}", broken.get(), well.get());
    });
}

/// An address without a listener.
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
            let answer = upstream.forward(&pool, &mut request("POST", "/"), holder()).await.unwrap();
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
            let error = upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap_err();
            assert!(matches!(error, UpstreamError::Connect { .. }), "{error:?}");
        }
        assert_eq!(upstream.servers().iter().filter(|server| server.is_usable()).count(), 1);
        let error = Upstream::new(settings(&[]), None, None).forward(&pool, &mut request("GET", "/"), holder()).await;
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
        let change = |s: &mut UpstreamConfig| (s.eject_after, s.eject_for) = (2, ms(200));
        let (upstream, pool) = (upstream(&[&flaky, &steady], change), pool());
        let get = async || match upstream.forward(&pool, &mut request("GET", "/"), holder()).await {
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
        let rules = HealthConfig {
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

/// A shop that tells what it was told of the time that is left.
fn told() -> SocketAddr {
    server(|mut stream| {
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = head(&mut reader) {
            if head.starts_with("GET /hang") {
                // Until the gateway gives it up.
                let _ = std::io::Read::read(&mut stream, &mut [0]);
                return;
            }
            let told = of(&head, "x-time-left-ms").unwrap_or("nothing").to_owned();
            std::io::Write::write_all(&mut stream, &ok(&told)).unwrap();
        }
    })
}

#[test]
fn a_server_is_told_how_long_its_answer_is_waited_for() {
    let text = config(told(), "").replace("response_timeout", "timeout_header = \"X-Time-Left-Ms\"\nresponse_timeout");
    let untrusted = Weir::start(&text);
    let trusted = Weir::start(&text.replace("[quota]", "trusted_proxies = [\"127.0.0.1\"]\n[quota]"));
    let told = |weir: &Weir, left: &str| weir.get("/", &[("X-Time-Left-Ms", left)]).body;
    assert_eq!(untrusted.get("/", &[]).body, "2000", "response_timeout");
    assert_eq!(told(&untrusted, "100"), "2000", "a client has no say");
    let left: u32 = told(&trusted, "1500").parse().unwrap();
    assert!((1..=1_500).contains(&left), "{left}");
    for nonsense in ["60000", "-1", "soon", "99999999999999999999", ""] {
        assert_eq!(told(&trusted, nonsense), "2000", "{nonsense}");
    }
    let late = trusted.get("/late", &[JSON, ("X-Time-Left-Ms", "0")]);
    assert_eq!((late.status, &trusted.access_of("/late")["reason"]), (504, &"proxy_impatient".into()), "not sent");
    let hung = trusted.get("/hang", &[JSON, ("X-Time-Left-Ms", "100")]);
    assert_eq!(hung.status, 504);
    assert_eq!(trusted.access_of("/hang")["reason"], "proxy_impatient");
    assert!(trusted.get("/", &[]).body == "2000", "that was no fault of the server's");
    let metric = |result: &str| {
        trusted.metric(&format!("weir_upstream_requests_total{{upstream=\"shop\",result=\"{result}\"}}"))
    };
    assert_eq!((metric("failed"), metric("abandoned")), (0.0, 1.0));
}

#[test]
fn what_is_no_name_of_such_a_header_is_explained() {
    for name in ["Content-Length", "weir-pass-id", "x_time", "two words", "", "cookie"] {
        let text =
            config(told(), "").replace("response_timeout", &format!("timeout_header = \"{name}\"\nresponse_timeout"));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("weir.toml"), text).unwrap();
        let (code, told) = weir(&["check", "weir.toml"], dir.path());
        assert!(
            code != 0 && told.contains("timeout_header") && told.contains("x-request-timeout-ms"),
            "{name}: {told}"
        );
    }
}
