//! The parties and their trust (`docs/SECURITY.md`): what each of them cannot do, and the drill for a secret that leaked.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::common::redis::RedisServer;
use crate::common::{
    Answer, CLOSED, FETCH, JSON, ROOMY, Shop, WEIR, Weir, answering, config, request, until, until_true,
};
use gateway::line::store::redis::Redis;
use gateway::line::store::registry::{Change, InForce, Registry as _};
use policy::seal::{RoomId, Sealer};
use policy::ticket::Token;
use serde_json::Value as Json;

const LEAKED: &str = "one secret for all the gateways of a line";

/// A gateway of those that share this Redis, with its own copy of the secret.
fn member(redis: &RedisServer, name: &str, text: &str) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("weir.secret"), LEAKED).unwrap();
    let store = format!("[store]\nkind = \"redis\"\nurl = \"{}\"\n", redis.url());
    let store = store + &format!("secret_file = \"weir.secret\"\n[node]\nname = \"{name}\"\n");
    std::fs::write(dir.path().join("weir.toml"), text.to_owned() + &store).unwrap();
    Weir::start_in(dir)
}

/// A room that every shopper enters, and one where every shopper waits.
fn rooms() -> String {
    format!("{ROOMY}{}", CLOSED.replace("launch", "wait"))
}

fn entered(weir: &Weir) -> Answer {
    until("somebody is in", || Some(weir.get("/launch/item", &[JSON])).filter(Answer::is_shop))
}

fn is_inside(weir: &Weir, cookie: &str) -> bool {
    weir.get("/launch/a.css", &[FETCH, ("Cookie", cookie)]).is_shop()
}

fn members(weir: &Weir) -> Vec<Json> {
    serde_json::from_str(&request(weir.admin, "GET", "/api/gateways", &[], "").body).unwrap()
}

fn is_ready(weir: &Weir) -> bool {
    request(weir.admin, "GET", "/readyz", &[], "").status == 200
}

#[test]
fn the_shop_never_sees_weirs_cookie_and_can_neither_set_one_nor_end_a_pass_that_is_not_its_visitors() {
    let shop = answering(|head| {
        let command = if head.contains("/revoke") { "Weir-Command: revoke\r\n" } else { "" };
        let forged =
            "Set-Cookie: weir_launch=mine\r\nSet-Cookie: __Host-weir_launch=mine; Path=/\r\nSet-Cookie: own=1\r\n";
        let body = format!("welcome to the shop\n{head}");
        format!("HTTP/1.1 200 OK\r\n{command}{forged}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    let weir = Weir::start(&config(shop, ROOMY));
    let [one, other] = [(); 2].map(|()| entered(&weir));
    let kept =
        |answer: &Answer| answer.head.lines().filter(|line| line.to_lowercase().starts_with("set-cookie")).count();
    assert_eq!(kept(&one), 2, "the pass and the shop's own: {}", one.head);
    assert!(!one.head.contains("=mine") && one.head.contains("own=1"), "{}", one.head);
    let [one, other] = [one, other].map(|answer| {
        let mut cookies = answer.head.lines().filter_map(|line| line.split_once(": ")).map(|(_, value)| value);
        cookies.rfind(|value| value.starts_with("weir_launch=")).unwrap().split(';').next().unwrap().to_owned()
    });
    let both = format!("own=1; {one}; __Host-{other}");
    let seen = weir.get("/launch/a.css", &[FETCH, ("Cookie", &both)]).body;
    assert!(seen.contains("own=1") && !seen.contains("weir_launch"), "{seen}");

    weir.get("/launch/revoke", &[FETCH, ("Cookie", &one)]);
    until_true("one pass has ended", || !is_inside(&weir, &one));
    assert!(is_inside(&weir, &other));
}

#[test]
fn a_proxy_names_clients_only_where_it_is_trusted_and_forges_no_pass() {
    let shop = Shop::open();
    let quotas = "joins_per_second = 1\njoin_burst = 2\n";
    let text = config(shop.address, CLOSED).replace("joins_per_second = 100000\njoin_burst = 100000\n", quotas);
    let trusted = Weir::start(&text.replace("[quota]", "trusted_proxies = [\"127.0.0.1\"]\n[quota]"));
    let untrusted = Weir::start(&text);
    // A client over the quota of places of one client is asked to confirm first, and has no number.
    let numbers = |weir: &Weir| {
        let asks = (1..=12).map(|n| weir.get("/launch/item", &[JSON, ("X-Forwarded-For", &format!("203.0.113.{n}"))]));
        asks.filter(|answer| answer.number().is_some()).count()
    };
    assert_eq!(numbers(&trusted), 12);
    assert!(numbers(&untrusted) < 12);
    let stranger = Sealer::new(b"a secret that a proxy could make up for itself").unwrap();
    let forged = stranger.seal(RoomId::of("launch"), &Token::pass(1, 0, u64::MAX >> 16));
    for weir in [&trusted, &untrusted] {
        assert!(!is_inside(weir, &format!("weir_launch={forged}")));
    }
}

#[test]
fn the_store_holds_nothing_that_opens_a_door_and_rooms_from_it_name_no_other_file() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let weir = member(&redis, "a", &config(shop.address, &rooms()));
    let (pass, place) = (entered(&weir), weir.get("/wait/item", &[JSON]));
    let all = everything_in(&redis);
    assert!(all.contains("weir:{launch}:2:line") && all.contains("weir:{wait}:2:line"), "{all}");
    let sealed = [&pass, &place].map(|answer| answer.cookie().unwrap().split_once('=').unwrap().1.to_owned());
    for secret in [LEAKED, &sealed[0], &sealed[1]] {
        assert!(!all.contains(secret), "{secret} is in the store");
    }

    // A writer to the store changes rooms, but is shown no file that is not a page.
    std::fs::write(weir.dir.path().join("own.html"), "<p>own page</p>").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let board = Redis::at(&redis.url()).unwrap();
    let mut in_force = InForce::default();
    let absolute = weir.dir.path().join("own.html").display().to_string();
    for file in ["weir.secret", "weir.toml", "/etc/hostname", "../own.html", &absolute] {
        let room = CLOSED.replace("launch", "wait") + &format!("custom_page_html = \"{file}\"\n");
        let switched = runtime.block_on(board.switch(in_force, Change::Add(format!("format = 2\n{room}").into())));
        in_force.switch += 1;
        in_force.number = in_force.switch;
        assert!(switched.is_ok());
        let refused = || members(&weir)[0]["refused"].clone();
        let why = until("it is refused", || Some(refused()).filter(|why| why["version"] == in_force.number));
        assert!(why["why"][0].as_str().unwrap().contains("custom_page_html"), "{why}");
        assert!(weir.get("/wait/item", &[("Accept", "text/html")]).body.contains("id=\"weir\""));
    }
    let room = CLOSED.replace("launch", "wait") + "custom_page_html = \"own.html\"\n";
    runtime.block_on(board.switch(in_force, Change::Add(format!("format = 2\n{room}").into()))).unwrap();
    until_true("a page is shown", || weir.get("/wait/item", &[("Accept", "text/html")]).body.contains("own page"));
    assert!(!weir.log().contains("panicked"));
}

/// All keys and values in a Redis, as text.
fn everything_in(redis: &RedisServer) -> String {
    let output =
        Command::new("redis-cli").arg("-p").arg(redis.address.port().to_string()).arg("--rdb").arg("-").output();
    let rdb = output.unwrap().stdout;
    assert!(rdb.starts_with(b"REDIS"), "a snapshot of all");
    String::from_utf8_lossy(&rdb).into_owned()
}

/// The lines of the first block of commands below this heading.
fn commands(heading: &str) -> String {
    let document = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/SECURITY.md")).unwrap();
    let below = document.split_once(heading).unwrap().1;
    below.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0.to_owned()
}

/// Programs of these names in a folder of their own.
fn tools() -> tempfile::TempDir {
    let tools = tempfile::tempdir().unwrap();
    symlink(WEIR, tools.path().join("weir")).unwrap();
    // A gateway is a folder here, and its host the name of that.
    let copy = "#!/bin/sh\n[ \"$1\" = -p ] && shift\nhost=${2%%:*}\n[ \"${2#*:}\" = /etc/weir/weir.secret ] && cp -p \"$1\" \"$host/weir.secret\"\n";
    std::fs::write(tools.path().join("scp"), copy).unwrap();
    std::fs::set_permissions(tools.path().join("scp"), std::fs::Permissions::from_mode(0o755)).unwrap();
    tools
}

#[test]
fn the_drill_for_a_leaked_secret_ends_every_place_and_pass_at_every_gateway() {
    let (redis, shop, tools) = (RedisServer::start(), Shop::open(), tools());
    let fleet = ["a", "b", "c"].map(|name| member(&redis, name, &config(shop.address, &rooms())));
    let pass = entered(&fleet[0]).cookie().unwrap();
    let place = fleet[0].get("/wait/item", &[JSON]);
    let leaked = members(&fleet[0])[0]["keys"].clone();
    let thief = Sealer::new(LEAKED.as_bytes()).unwrap();
    let now = fleet[0].room()["store_time_ms"].as_u64().unwrap();
    let forged = thief.seal(RoomId::of("launch"), &Token::pass(900, now, now + 3_600_000));
    let forged = format!("weir_launch={forged}");
    for weir in &fleet {
        assert!(is_inside(weir, &pass) && is_inside(weir, &forged), "that is why the drill is needed");
    }

    let others: Vec<String> = fleet[1..].iter().map(|weir| weir.dir.path().display().to_string()).collect();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let drill = Command::new("sh")
        .args(["-euc", &commands("## The drill for a secret that leaked")])
        .current_dir(fleet[0].dir.path())
        .env("PATH", path)
        .env("GATEWAYS", others.join(" "))
        .env("ADMIN", fleet[0].admin.to_string())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&drill.stdout).into_owned() + &String::from_utf8_lossy(&drill.stderr);
    assert!(drill.status.success(), "{told}");
    assert!(told.contains("seals and opens") && told.contains("is over") && !told.contains(LEAKED), "{told}");
    assert!(told.contains("\"key_state\""), "{told}");

    until_true("one key counts, the same at all", || {
        let keys: Vec<Json> = fleet.iter().flat_map(members).map(|member| member["keys"].clone()).collect();
        let alike = keys.len() == 9 && keys.iter().all(|key| *key == keys[0] && key.as_array().unwrap().len() == 1);
        alike && keys[0] != leaked
    });
    until_true("all are ready", || fleet.iter().all(is_ready));
    let shared = |weir: &Weir| members(weir).iter().all(|member| member["key_state"] == "shared");
    until_true("and all say so", || fleet.iter().all(shared));
    for weir in &fleet {
        assert!(!is_inside(weir, &pass) && !is_inside(weir, &forged), "every pass has ended");
    }
    let shown = ("Cookie", &*place.cookie().unwrap());
    let again = until("the line goes on", || fleet[1].get("/wait/item", &[JSON, shown]).number());
    assert!(again > place.ticket(), "who waited is a newcomer");
    let newcomer = entered(&fleet[2]).cookie().unwrap();
    assert!(fleet.iter().all(|weir| is_inside(weir, &newcomer)), "and the shop is open");
    let secrets: Vec<String> =
        fleet.iter().map(|weir| std::fs::read_to_string(weir.dir.path().join("weir.secret")).unwrap()).collect();
    assert!(secrets.iter().all(|secret| *secret == secrets[0]));
    fleet.iter().for_each(Weir::is_well);
}
