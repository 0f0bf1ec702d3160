//! Faults, and whose they are.

use super::*;

#[test]
fn a_shop_that_hangs_is_given_up_in_time() {
    run(async {
        let shop = raw_shop(|mut stream| async move {
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        })
        .await;
        let (upstream, pool) = (upstream(&[&shop], |s| s.response_timeout = ms(200)), pool());
        let start = Instant::now();
        let error = upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Timeout), "{error:?}");
        assert!((ms(200)..ms(600)).contains(&start.elapsed()), "{:?}", start.elapsed());
        assert_eq!(upstream.in_flight(), 0);
    });
}

#[test]
fn an_upload_that_moves_is_not_late_and_one_that_stops_is_the_shoppers_fault() {
    run(async {
        let shop = shop(|request| async move { reply(request.into_body().collect().await.unwrap().to_bytes()) }).await;
        let change = |s: &mut UpstreamConfig| (s.response_timeout, s.pace_grace) = (ms(200), ms(1_000));
        let (upstream, pool) = (upstream(&[&shop], change), pool());
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
        let error = reset.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap_err();
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
            let error = upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap_err();
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
            let answer = upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap();
            assert!(answer.into_body().collect().await.is_err());
            assert_eq!(upstream.in_flight(), 0);
            assert_eq!(count(&upstream.counters().connected), connected);
        }
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
        shopper.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n").await.unwrap();
        shopper.write_all(&vec![b'x'; 70_000]).await.unwrap();
        eventually(|| upstream.in_flight() == 1).await;
        drop(shopper);
        eventually(|| upstream.in_flight() == 0).await;
        assert_eq!(count(&upstream.counters().failed), 0);
    });
}
