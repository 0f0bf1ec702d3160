//! Bodies pass as they are written, both ways, and so does another protocol.

use super::*;

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
        let mut answer = upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap();
        for piece in ["one", "two", "three"] {
            feed.send(Frame::data(Bytes::from(piece))).unwrap();
            let frame = answer.body_mut().frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap().chunk(), piece.as_bytes());
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
                let begin = read_until(&mut stream, "\r\n\r\n").await;
                taken.set(begin.len() - begin.find("\r\n\r\n").unwrap() - 4);
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
        shopper.write_all(&vec![b'x'; 100_000]).await.unwrap();
        assert!(read_until(&mut shopper, "\r\n\r\nbig").await.starts_with("HTTP/1.1 413 "));
        eventually(|| upstream.in_flight() == 0).await;
        shopper.write_all(&vec![b'x'; 900_000]).await.unwrap();
        eventually(|| taken.get() == 1_000_000).await;
    });
}

#[test]
fn an_upgrade_carries_bytes_both_ways_and_holds_no_permit() {
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
            assert_eq!((upstream.in_flight(), upstream.upgraded()), (0, 1));
        }
        drop(shopper);
        eventually(|| upstream.upgraded() == 0).await;
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
        let error = upstream.forward(&pool, &mut request("GET", "/"), holder()).await.unwrap_err();
        assert!(matches!(error, UpstreamError::NotAskedToSwitch), "{error:?}");
        assert_eq!(upstream.in_flight(), 0);
    });
}
