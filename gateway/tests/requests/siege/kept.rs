//! Connections to the shop that the shop has closed, and none left to open.

use std::io::{Read, Write};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::common::{Kept, Shop, of, ok, server};

#[test]
fn a_post_never_fails_on_a_connection_that_the_shop_closed_before_it() {
    let closed = Arc::new(AtomicUsize::default());
    let counted = closed.clone();
    let shop = server(move |mut stream| {
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        let Some(head) = crate::common::head(&mut reader) else { return };
        let mut body = vec![0; of(&head, "content-length").and_then(|l| l.parse().ok()).unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        stream.write_all(&ok("welcome to the shop")).unwrap();
        drop((reader, stream));
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let weir = gateway(shop, "idle_timeout = \"1m\"");
    let mut client = Kept::open(weir.http);
    for n in 0..200 {
        let before = closed.load(Ordering::SeqCst);
        client.send("POST /order HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\nhello");
        let answer = client.answer().unwrap();
        assert!(answer.is_shop(), "{n}: {answer:?}");
        until_true("it is closed", || closed.load(Ordering::SeqCst) > before);
    }
}

/// The descriptor that it gets next.
fn next_descriptor(weir: &Weir) -> usize {
    let taken = |fd: &usize| std::fs::symlink_metadata(format!("/proc/{}/fd/{fd}", weir.pid())).is_ok();
    (0..1 << 20).find(|fd| !taken(fd)).unwrap()
}

fn allow(weir: &Weir, descriptors: usize) {
    let limit = format!("--nofile={descriptors}:");
    let pid = format!("--pid={}", weir.pid());
    assert!(Command::new("prlimit").args([pid, limit]).status().unwrap().success());
}

#[test]
fn a_server_is_not_blamed_when_the_gateway_has_no_descriptor_left() {
    let (one, two) = (Shop::open(), Shop::open());
    let both = format!("servers = [\"{}\", \"{}\"]\nmax_idle = 0\neject_after = 1", one.address, two.address);
    let text = config(one.address, ROOMY).replace(&format!("servers = [\"{}\"]", one.address), &both);
    let weir = Weir::start(&text);
    let mut client = Kept::open(weir.http);
    assert!(client.get("/", &[]).is_shop());
    let usable = || {
        [&one, &two].map(|shop| {
            weir.metric(&format!(r#"weir_upstream_server_usable{{upstream="shop",server="{}"}}"#, shop.address))
        })
    };
    until_true("both connections are closed", || one.connections() + two.connections() == 0);
    // The gateway closes its ends a moment later than the servers theirs.
    until_true("it has no descriptor left", || {
        allow(&weir, next_descriptor(&weir));
        client.get("/", &[]).status == 503
    });
    for _ in 0..20 {
        assert_eq!(client.get("/", &[]).status, 503);
    }
    allow(&weir, 1_000);
    assert_eq!(usable(), [1.0, 1.0]);
    assert!(client.get("/", &[]).is_shop());
    assert!(counted(&weir, "exhausted") >= 20.0);
    assert_eq!(counted(&weir, "failed"), 0.0);
    let told = weir.log().matches("no descriptor or port left").count();
    assert!((1..20).contains(&told), "told {told} times");
}
