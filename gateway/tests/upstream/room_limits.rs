//! A room's own `max_in_flight`: the launch is slow and full, and the rest of the shop does not notice.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::float_cmp, reason = "metrics are counts; tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{Answer, JSON, ROOMY, Weir, answering, config, ok, until_true, weir};

/// A shop whose pages under `/launch` take as long as it is told to; it knows how many it worked on at once.
#[derive(Clone, Default)]
struct SlowShop {
    open: Arc<AtomicBool>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl SlowShop {
    fn open(&self) -> SocketAddr {
        let shop = self.clone();
        answering(move |head| {
            if head.starts_with("GET /launch/slow") {
                shop.most.fetch_max(shop.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                while !shop.open.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                shop.now.fetch_sub(1, Ordering::SeqCst);
            }
            ok("welcome to the shop")
        })
    }
}

fn launch(limits: &str) -> (SlowShop, Weir) {
    let shop = SlowShop::default();
    let room = format!("{ROOMY}bypass = \"/launch/logo\"\n{limits}\n");
    let weir = Weir::start(&config(shop.open(), &room).replace("\"2s\"", "\"60s\""));
    (shop, weir)
}

/// Cookies of so many who are inside.
fn passes(weir: &Weir, count: usize) -> Vec<String> {
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= count as u64);
    let pass = |_| {
        let answer = weir.get("/launch/item", &[JSON]);
        assert!(answer.is_shop(), "{answer:?}");
        answer.cookie().unwrap()
    };
    (0..count).map(pass).collect()
}

fn slow(to: SocketAddr, pass: &str) -> Answer {
    crate::common::request(to, "GET", "/launch/slow", &[JSON, ("Cookie", pass)], "")
}

#[test]
fn a_full_room_before_a_slow_shop_costs_the_rest_of_the_shop_nothing() {
    let (shop, weir) = launch("max_in_flight = 8\nmax_wait = \"30s\"");
    let to = weir.http;
    let crowd: Vec<_> = passes(&weir, 40).into_iter().map(|pass| std::thread::spawn(move || slow(to, &pass))).collect();
    until_true("the room holds all that it may, and the others wait", || {
        weir.metric("weir_room_in_flight{room=\"launch\"}") == 8.0
            && weir.metric("weir_room_waiting_requests{room=\"launch\"}") == 32.0
    });
    let pages: Vec<_> = (0..8)
        .map(|part| {
            std::thread::spawn(move || {
                let page = |n: usize| {
                    crate::common::request(to, "GET", if n.is_multiple_of(3) { "/launch/logo" } else { "/" }, &[], "")
                        .status
                };
                (0..443).skip(part).step_by(8).map(page).collect::<Vec<u16>>()
            })
        })
        .collect();
    let statuses: Vec<u16> = pages.into_iter().flat_map(|pages| pages.join().unwrap()).collect();
    assert_eq!(statuses, [200; 443]);
    assert_eq!(shop.now.load(Ordering::SeqCst), 8, "the room was full all the while");
    assert_eq!(weir.metric("weir_upstream_in_flight{upstream=\"shop\"}"), 8.0);
    shop.open.store(true, Ordering::SeqCst);
    assert!(crowd.into_iter().all(|one| one.join().unwrap().is_shop()), "each in its turn");
    assert_eq!(shop.most.load(Ordering::SeqCst), 8);
    until_true("all is given back", || weir.metric("weir_room_in_flight{room=\"launch\"}") == 0.0);
    assert_eq!(weir.metric("weir_room_busy_total{room=\"launch\"}"), 0.0);
    weir.is_well();
}

#[test]
fn whose_turn_in_the_room_does_not_come_in_time_is_told_so_and_a_higher_limit_counts_at_once() {
    let (shop, weir) = launch("max_in_flight = 2\nmax_wait = \"100ms\"");
    let to = weir.http;
    let passes = passes(&weir, 4);
    let hold = |pass: &String| {
        let pass = pass.clone();
        std::thread::spawn(move || slow(to, &pass))
    };
    let mut held: Vec<_> = passes[..2].iter().map(hold).collect();
    until_true("the room is full", || weir.metric("weir_room_in_flight{room=\"launch\"}") == 2.0);
    let refused = slow(to, &passes[2]);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
    until_true("the log says why", || weir.log().contains("\"reason\":\"room_busy\""));
    assert_eq!(weir.metric("weir_room_busy_total{room=\"launch\"}"), 1.0);
    assert_eq!(weir.metric("weir_upstream_requests_total{upstream=\"shop\",result=\"busy\"}"), 0.0);

    let text = std::fs::read_to_string(weir.config_file()).unwrap();
    std::fs::write(weir.config_file(), text.replace("max_in_flight = 2", "max_in_flight = 3")).unwrap();
    weir.signal("HUP");
    until_true("it is in force", || weir.metric("weir_reloads_total{what=\"configuration\",result=\"ok\"}") >= 1.0);
    held.push(hold(&passes[2]));
    until_true("what was held before counts", || weir.metric("weir_room_in_flight{room=\"launch\"}") == 3.0);
    assert_eq!(slow(to, &passes[3]).status, 503);
    shop.open.store(true, Ordering::SeqCst);
    assert!(held.into_iter().all(|one| one.join().unwrap().is_shop()));
    weir.is_well();
}

#[test]
fn a_wait_without_a_limit_is_refused_and_a_limit_that_is_never_reached_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let check = |room: &str| {
        let text = config("127.0.0.1:9".parse().unwrap(), &format!("{ROOMY}upstream = \"shop\"\n{room}\n"));
        std::fs::write(dir.path().join("weir.toml"), text).unwrap();
        weir(&["check", "weir.toml"], dir.path())
    };
    let (code, said) = check("max_wait = \"1s\"");
    assert!(code != 0 && said.contains("add max_in_flight, or write max_wait at the upstream"), "{said}");
    let (code, said) = check("max_in_flight = 200");
    assert!(code == 0 && said.contains("never comes to its own limit"), "{said}");
    let (code, said) = check("max_in_flight = 8\nmax_wait = \"1s\"");
    assert!(code == 0 && !said.contains("max_in_flight"), "{said}");
}
