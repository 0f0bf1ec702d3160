//! What the servers of the shop report of their load.

use std::net::SocketAddr;

use super::{allowed, ask, has_problem, inside, is, is_free, room, signal, slowed_by, while_busy};
use crate::common::line::{gateway, last_tickets};
use crate::common::redis::RedisServer;
use crate::common::speaker::Speaker;
use crate::common::{JSON, PAGE, Weir, config, until_true};

fn two_servers(one: SocketAddr, other: SocketAddr, room: &str) -> String {
    config(one, room).replace(&format!("[\"{one}\"]"), &format!("[\"{one}\", \"{other}\"]"))
}

#[test]
fn the_fullest_server_counts_and_the_room_says_so_until_it_falls_silent() {
    let (calm, full) = (Speaker::default(), Speaker::default());
    let room = room("kind = \"orca\"\nfull_at = 0.8");
    let weir = Weir::start(&two_servers(calm.open(), full.open(), &room));
    let holder = inside(&weir);
    assert!(is(&weir, "absent") && signal(&weir)["full"].is_null(), "{}", weir.room());
    calm.says("Endpoint-Load-Metrics: TEXT application_utilization=0.2, cpu_utilization=7");
    full.says(r#"endpoint-load-metrics: JSON {"applicationUtilization": 0.9}"#);
    while_busy(&weir, &holder, || {
        slowed_by(&weir, "orca");
        let told = signal(&weir);
        assert_eq!((&told["kind"], &told["name"], &told["full"]), (&"orca".into(), &"orca".into(), &1.125.into()));
        assert_eq!(weir.metric(r#"weir_room_capped{room="launch",by="orca"}"#), 1.0);
        assert_eq!(weir.metric(r#"weir_room_signal_full{room="launch",signal="orca"}"#), 1.125);
        assert_eq!(weir.metric(r#"weir_room_signal_fresh{room="launch",signal="orca"}"#), 1.0);
        let (_, waiting) = last_tickets(&[&weir], 1).swap_remove(0);
        until_true("the document names the reason", || {
            weir.get("/.weir/status/launch", &[]).json()["reason"] == "capped"
        });
        let page = weir.get("/launch/item", &[PAGE, ("Accept-Language", "en"), ("Cookie", &waiting)]);
        assert!(page.body.contains("takes fewer people") || page.is_shop(), "{page:?}");

        // The shop stays as full however few come in.
        until_true("more cuts are not made", || is(&weir, "not_caused_by_load"));
        until_true("the log tells", || weir.log().contains("load is not the cause"));
        until_true("the rate is near what it was before the cuts", || allowed(&weir) > 300.0);

        full.says("");
        until_true("what it said does not count any more", || signal(&weir)["full"] == 0.25);
    });
    calm.says("");
    until_true("nothing is known any more", || is(&weir, "old"));
    is_free(&weir);
    assert_eq!(weir.metric(r#"weir_room_signal_fresh{room="launch",signal="orca"}"#), 0.0);
    weir.is_well();
}

#[test]
fn a_load_that_lies_changes_nothing_and_the_log_says_it_once() {
    let shop = Speaker::default();
    let weir =
        Weir::start(&config(shop.open(), &room("kind = \"orca\"\nfull_at = 0.8\nmetric = \"named_metrics.pool\"")));
    let holder = inside(&weir);
    let lies = [
        ("TEXT named_metrics.pool=NaN", "no number"),
        ("TEXT named_metrics.pool=-1", "below 0"),
        ("JSON {\"named_metrics\": {\"pool\": 1e9}}", "1,000 times"),
        ("TEXT named_metrics.pool=inf", "no number"),
        ("TEXT named_metrics.pool", "TEXT"),
        ("JSON {\"named_metrics\"", "JSON"),
        ("TEXT cpu_utilization=9", "does not have"),
        ("BIN CgA=", "binary"),
    ];
    for (lie, why) in lies {
        shop.says(&format!("endpoint-load-metrics: {lie}"));
        (0..3).for_each(|_| drop(ask(&weir, &holder)));
        has_problem(&weir, why);
        assert!(is(&weir, "absent") && allowed(&weir) == 600.0, "{}", weir.room());
    }
    shop.says("endpoint-load-metrics-bin: CgA=");
    ask(&weir, &holder);
    until_true("they are counted", || {
        weir.metric(r#"weir_shop_words_total{room="launch",word="load",result="invalid"}"#) == 25.0
    });
    until_true("the log tells it", || weir.log().contains("a signal tells nothing"));
    assert_eq!(weir.log().matches("a signal tells nothing").count(), 1, "{}", weir.log());

    shop.says("endpoint-load-metrics: TEXT named_metrics.pool=0.9");
    while_busy(&weir, &holder, || {
        slowed_by(&weir, "orca");
        assert!(signal(&weir)["problem"].is_null());
        shop.says("endpoint-load-metrics: TEXT named_metrics.pool=NaN");
        until_true("the last good value ends", || is(&weir, "old") && allowed(&weir) == 600.0);
        assert!(signal(&weir)["problem"].as_str().unwrap().contains("no number"), "{}", weir.room());
    });
    let headers = [("endpoint-load-metrics", "TEXT named_metrics.pool=99"), JSON, ("Cookie", &holder)];
    shop.says("");
    assert!(weir.get("/launch/item", &headers).is_shop());
    assert!(is(&weir, "old"), "a shopper says nothing of the shop: {}", weir.room());
    weir.is_well();
}

#[test]
fn one_gateway_sees_it_and_all_obey_until_it_is_gone() {
    let (redis, shop) = (RedisServer::start(), Speaker::default());
    let (address, room) = (shop.open(), room("kind = \"orca\"\nfull_at = 0.5"));
    let mut fleet: Vec<Weir> = (0..2).map(|_| gateway(redis.address, address, &room)).collect();
    let holder = inside(&fleet[0]);
    shop.says("endpoint-load-metrics: TEXT application_utilization=0.6");
    while_busy(&fleet[0], &holder, || {
        for weir in &fleet {
            slowed_by(weir, "orca");
        }
        assert!(is(&fleet[1], "absent"), "{}", fleet[1].room());
    });
    drop(fleet.remove(0));
    is_free(&fleet[0]);
    fleet[0].is_well();
}

#[test]
fn a_reload_changes_what_counts_as_full() {
    let shop = Speaker::default();
    let text = config(shop.open(), &room("kind = \"orca\"\nfull_at = 0.5"));
    let weir = Weir::start(&text);
    let holder = inside(&weir);
    shop.says("endpoint-load-metrics: TEXT application_utilization=0.6");
    while_busy(&weir, &holder, || {
        slowed_by(&weir, "orca");
        std::fs::write(weir.config_file(), text.replace("full_at = 0.5", "full_at = 2")).unwrap();
        until_true("it has room", || is(&weir, "fresh") && signal(&weir)["full"] == 0.3);
        is_free(&weir);
        std::fs::write(weir.config_file(), text.replace("[[room.signal]]\nkind = \"orca\"\nfull_at = 0.5", ""))
            .unwrap();
        until_true("it has no signal", || weir.room()["signals"].as_array().unwrap().is_empty());
    });
    weir.is_well();
}
