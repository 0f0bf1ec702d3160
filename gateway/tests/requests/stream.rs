//! Bodies in both directions: passed on as they come, never gathered, and given up with their request.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::float_cmp, reason = "metrics are counts")]

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use crate::common::{CLOSED, JSON, Kept, ROOMY, Weir, answering, chunk, config, head, of, ok, server, until_true};

const IN_FLIGHT: &str = r#"weir_upstream_in_flight{upstream="shop"}"#;

/// A configuration whose upstream takes one request at a time.
fn one_at_a_time(shop: SocketAddr) -> String {
    config(shop, CLOSED).replace("response_timeout", "max_in_flight = 1\nresponse_timeout")
}

/// A shop that writes a chunk of `/stream` for each word sent to it, until the sender is dropped.
fn dripping() -> (SocketAddr, Sender<&'static str>) {
    let (word, words) = channel();
    let words: Arc<Mutex<Receiver<&str>>> = Arc::new(Mutex::new(words));
    let address = server(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = head(&mut reader) {
            if !head.contains("/stream") {
                stream.write_all(&ok("welcome to the shop")).unwrap();
                continue;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
            while let Ok(word) = words.lock().unwrap().recv() {
                if stream.write_all(format!("{:x}\r\n{word}\r\n", word.len()).as_bytes()).is_err() {
                    return;
                }
            }
            let _ = stream.write_all(b"0\r\n\r\n");
        }
    });
    (address, word)
}

#[test]
fn each_chunk_of_an_answer_arrives_before_the_next_is_written() {
    let (shop, word) = dripping();
    let weir = Weir::start(&config(shop, CLOSED));
    let mut client = Kept::open(weir.http);
    client.send("GET /stream HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert!(head(&mut client.0).unwrap().starts_with("HTTP/1.1 200"), "the head comes before any byte of the body");
    for text in ["one", "data: two\n\n", "x", "four"] {
        word.send(text).unwrap();
        assert_eq!(chunk(&mut client.0).unwrap(), text.as_bytes());
    }
    drop(word);
    assert_eq!(chunk(&mut client.0).unwrap(), b"");
    assert!(client.get("/", &[]).is_shop(), "the connection goes on");
    weir.is_well();
}

#[test]
fn each_chunk_of_a_request_arrives_before_the_next_is_written() {
    let (got, chunks) = channel();
    let shop = server(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while head(&mut reader).is_some() {
            while let Some(chunk) = chunk(&mut reader).filter(|chunk| !chunk.is_empty()) {
                got.send(String::from_utf8(chunk).unwrap()).unwrap();
            }
            stream.write_all(&ok("got it")).unwrap();
        }
    });
    let weir = Weir::start(&config(shop, CLOSED));
    let mut client = Kept::open(weir.http);
    client.send("POST /upload HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n");
    for text in ["one", "two", "three"] {
        client.send(format!("{:x}\r\n{text}\r\n", text.len()));
        assert_eq!(chunks.recv().unwrap(), text);
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.answer().unwrap().body, "got it");
}

#[test]
fn a_big_body_passes_both_ways_at_once_in_constant_memory() {
    // WEIR_BODY_MIB=1024 for the whole measure.
    let size = std::env::var("WEIR_BODY_MIB").map_or(256, |mib| mib.parse().unwrap()) << 20;
    let shop = server(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = head(&mut reader) {
            let length = of(&head, "content-length").and_then(|l| l.parse().ok()).unwrap_or(0_u64);
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes()).unwrap();
            std::io::copy(&mut reader.by_ref().take(length), &mut stream).unwrap();
        }
    });
    let weir = Weir::start(&config(shop, CLOSED));
    assert_eq!(weir.send("POST", "/warm", &[], "up").body, "up");
    let before = weir.resident();
    let mut client = Kept::open(weir.http);
    client.send(format!("POST /echo HTTP/1.1\r\nHost: shop.example\r\nContent-Length: {size}\r\n\r\n"));
    let mut writer = client.0.get_ref().try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let block: Vec<u8> = (0..1_u32 << 16).map(|n| (n % 251) as u8).collect();
        (0..size / block.len()).for_each(|_| writer.write_all(&block).unwrap());
    });
    assert!(head(&mut client.0).unwrap().starts_with("HTTP/1.1 200"));
    let (mut block, mut read) = (vec![0; 1 << 16], 0);
    while read < size {
        client.0.read_exact(&mut block).unwrap();
        assert!(block.iter().enumerate().all(|(n, &byte)| usize::from(byte) == n % 251), "other bytes at {read}");
        read += block.len();
    }
    sender.join().unwrap();
    let grown = weir.peak() - before;
    assert!(grown < 16 << 10, "{} MiB through the gateway made it grow by {grown} KiB", size >> 20);
    assert!(client.get("/", &[]).body.is_empty(), "the connection goes on");
    weir.is_well();
}

#[test]
fn a_sender_and_a_reader_that_are_too_fast_are_held_back_not_buffered() {
    let shop = answering(|_| ok(&"x".repeat(64 << 20)));
    let weir = Weir::start(&config(shop, CLOSED));
    weir.is_well();
    let before = weir.resident();
    let mut client = Kept::open(weir.http);
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert!(head(&mut client.0).is_some());
    until_true("the answer is under way", || weir.metric(IN_FLIGHT) == 1.0);
    let grown = weir.peak() - before;
    assert!(grown < 16 << 10, "nobody reads, and the gateway took {grown} KiB");
    let mut rest = vec![0; 64 << 20];
    client.0.read_exact(&mut rest).unwrap();
    until_true("the permit is back", || weir.metric(IN_FLIGHT) == 0.0);
    let grown = weir.peak() - before;
    assert!(grown < 16 << 10, "grew by {grown} KiB");
}

#[test]
fn trailers_pass_both_ways() {
    let (told, trailers) = channel();
    let shop = server(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(head_) = head(&mut reader) {
            let mut rest = String::new();
            if of(&head_, "transfer-encoding").is_some() {
                while !rest.ends_with("\r\n\r\n") {
                    std::io::BufRead::read_line(&mut reader, &mut rest).unwrap();
                }
            }
            told.send(rest).unwrap();
            let head = "HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(format!("{head}2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n").as_bytes()).unwrap();
        }
    });
    let weir = Weir::start(&config(shop, CLOSED));
    let mut client = Kept::open(weir.http);
    client.send("POST / HTTP/1.1\r\nHost: shop.example\r\nConnection: close, TE\r\nTE: trailers\r\nTrailer: x-check\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("2\r\nhi\r\n0\r\nX-Check: 7\r\n\r\n");
    let mut answer = String::new();
    client.0.read_to_string(&mut answer).unwrap();
    assert!(answer.to_lowercase().ends_with("0\r\nx-sum: 42\r\n\r\n"), "{answer}");
    let seen = trailers.recv().unwrap().to_lowercase();
    assert!(seen.ends_with("0\r\nx-check: 7\r\n\r\n"), "{seen}");
    // HTTP/2 has trailers of its own.
    let shown = curl(&["--http2-prior-knowledge", "-v", &format!("http://{}/", weir.http)]).1.to_lowercase();
    assert!(shown.contains("x-sum: 42"), "{shown}");
    weir.is_well();
}

#[test]
fn who_expects_to_be_asked_for_the_body_is_asked_only_if_it_is_wanted() {
    let shop = answering(|head| ok(if head.contains("/order") { "ordered" } else { "welcome to the shop" }));
    let weir = Weir::start(&config(shop, CLOSED));
    let mut client = Kept::open(weir.http);
    client.send("POST /order HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert!(head(&mut client.0).unwrap().starts_with("HTTP/1.1 100"));
    client.send("hello");
    assert_eq!(client.answer().unwrap().body, "ordered");
    // In the line it is not called for.
    let mut client = Kept::open(weir.http);
    client
        .send("POST /launch/order HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.answer().unwrap().status, 429);
    weir.is_well();
}

#[test]
fn an_upload_refused_early_is_told_so_while_it_is_still_sent() {
    let shop = server(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = head(&mut reader) {
            if !head.contains("/upload") {
                stream.write_all(&ok("welcome to the shop")).unwrap();
                continue;
            }
            stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            // Closing with unread bytes would reset the connection: read them, as servers do.
            stream.shutdown(Shutdown::Write).unwrap();
            let _ = std::io::copy(&mut reader, &mut std::io::sink());
            return;
        }
    });
    let weir = Weir::start(&one_at_a_time(shop));
    let mut client = Kept::open(weir.http);
    client.send("POST /upload HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 1000000000\r\n\r\n");
    client.send(vec![b'x'; 70_000]);
    assert_eq!(client.answer().unwrap().status, 413);
    until_true("the permit is back", || weir.metric(IN_FLIGHT) == 0.0);
    assert!(weir.get("/", &[]).is_shop());
    weir.is_well();
}

#[test]
fn who_goes_away_frees_the_permit_and_the_shop_learns_of_it() {
    let (shop, word) = dripping();
    let weir = Weir::start(&one_at_a_time(shop));
    // Before the head of the answer.
    let silent = server(|stream| while head(&mut BufReader::new(stream.try_clone().unwrap())).is_some() {});
    let quiet = Weir::start(&one_at_a_time(silent).replace("\"2s\"", "\"60s\""));
    let mut client = Kept::open(quiet.http);
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    until_true("it is in work", || quiet.metric(IN_FLIGHT) == 1.0);
    drop(client);
    until_true("the permit is back", || quiet.metric(IN_FLIGHT) == 0.0);

    // In the middle of the body, which stands still.
    let mut client = Kept::open(weir.http);
    client.send("GET /stream HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert!(head(&mut client.0).is_some());
    word.send("one").unwrap();
    assert_eq!(chunk(&mut client.0).unwrap(), b"one");
    assert_eq!(weir.metric(IN_FLIGHT), 1.0);
    drop(client);
    until_true("the permit is back", || weir.metric(IN_FLIGHT) == 0.0);

    // In the middle of an upload.
    let mut client = Kept::open(quiet.http);
    client.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 1000000\r\n\r\n");
    client.send(vec![b'x'; 70_000]);
    until_true("it is in work", || quiet.metric(IN_FLIGHT) == 1.0);
    drop(client);
    until_true("the permit is back", || quiet.metric(IN_FLIGHT) == 0.0);
    weir.is_well();
    quiet.is_well();
}

#[test]
fn an_upgrade_with_a_pass_carries_bytes_both_ways_and_without_one_is_refused() {
    let shop = server(|mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = head(&mut reader) {
            if of(&head, "upgrade") != Some("websocket") {
                stream.write_all(&ok("welcome to the shop")).unwrap();
                continue;
            }
            let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            let _ = std::io::copy(&mut reader, &mut stream);
            return;
        }
    });
    let weir = Weir::start(&config(shop, ROOMY));
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 100);
    let asking = |path: &str, cookie: &str| {
        let mut client = Kept::open(weir.http);
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{cookie}\r\n"
        ));
        let head = head(&mut client.0).unwrap();
        (client, head)
    };
    let (_client, refused) = asking("/launch/live", "");
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");

    let pass = weir.get("/launch/item", &[JSON]).cookie().unwrap();
    let (mut client, head) = asking("/launch/live", &format!("Cookie: {pass}\r\n"));
    assert!(head.starts_with("HTTP/1.1 101") && of(&head, "upgrade") == Some("websocket"), "{head}");
    for word in ["one", "\0\x01\x02", "three"] {
        client.send(word);
        let mut back = vec![0; word.len()];
        client.0.read_exact(&mut back).unwrap();
        assert_eq!(back, word.as_bytes());
    }
    let upgraded = || weir.metric(r#"weir_upstream_upgraded_connections{upstream="shop"}"#);
    assert_eq!((upgraded(), weir.metric(IN_FLIGHT)), (1.0, 0.0), "it counts as long as it is open");
    client.0.get_mut().shutdown(Shutdown::Write).unwrap();
    assert!(client.ended());
    until_true("its place is free", || upgraded() == 0.0);
    weir.is_well();
}

#[test]
fn an_upgrade_may_be_silent_for_longer_than_an_idle_connection() {
    let shop = server(|mut stream: TcpStream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        if head(&mut reader).is_some() {
            let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            let _ = std::io::copy(&mut reader, &mut stream);
        }
    });
    let text = config(shop, CLOSED)
        .replace("workers = 2", "workers = 1\nidle_timeout = \"1s\"\nwaiting_idle_timeout = \"1s\"");
    let weir = Weir::start(&text);
    let mut client = Kept::open(weir.http);
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    assert!(head(&mut client.0).unwrap().starts_with("HTTP/1.1 101"));
    // Another connection that idles is closed meanwhile.
    let mut idle = Kept::open(weir.http);
    assert!(idle.get("/launch/item", &[JSON]).is_line());
    assert!(idle.ended());
    client.send("still here");
    let mut back = [0; 10];
    client.0.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"still here");
}

fn curl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("curl").args(["--silent", "--max-time", "30"]).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

#[test]
fn http_2_in_clear_is_served_as_well() {
    let shop = answering(|head| ok(&format!("{} as {}", head.split(' ').nth(1).unwrap(), of(head, "host").unwrap())));
    let weir = Weir::start(&config(shop, CLOSED));
    let url = |path: &str| format!("http://{}{path}", weir.http);
    let told = curl(&["--http2-prior-knowledge", "-H", "Host: shop.example", "-w", " by %{http_version}", &url("/a")]);
    assert_eq!(told, (true, "/a as shop.example by 2".to_owned()));
    let (_, waiting) = curl(&["--http2-prior-knowledge", "-H", "Accept: application/json", &url("/launch/item")]);
    assert!(waiting.contains("\"inWaitingRoom\":true"), "{waiting}");
    weir.is_well();
}

#[test]
fn an_upload_over_http_2_that_is_not_read_is_answered_all_the_same() {
    let shop = answering(|_| ok("never asked"));
    let weir = Weir::start(&config(shop, CLOSED));
    let url = format!("http://{}/launch/order", weir.http);
    let upload = "x".repeat(20_000);
    // To lose the answer was a race, about once in twelve.
    for _ in 0..40 {
        let (_, posted) = curl(&["--http2-prior-knowledge", "-w", " %{http_code}", "--data", &upload, &url]);
        assert!(posted.ends_with(" 429"), "{posted}");
    }
    weir.is_well();
}
