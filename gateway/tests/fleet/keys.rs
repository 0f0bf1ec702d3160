//! Keys that rotate: no place or pass ends, whichever gateway has the new key.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::common::redis::RedisServer;
use crate::common::{
    CLOSED, FETCH, JSON, Kept, ROOMY, Shop, WEIR, Weir, config, nobody, request, until, until_true, weir,
};
use gateway::settings::secret::keys::shown;
use serde_json::Value as Json;
use time::OffsetDateTime;

const OLD: &str = "one secret for all the gateways of a line";

/// A room that every shopper enters, and one where every shopper waits.
fn rooms() -> String {
    format!("{ROOMY}{}", CLOSED.replace("launch", "wait"))
}

fn redis_store(redis: &str) -> String {
    format!("[store]\nkind = \"redis\"\nurl = \"{redis}\"\n")
}

/// A gateway with its own copy of the secret.
fn gateway(redis: &RedisServer, shop: &Shop, keys: &str) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("shared.secret"), keys).unwrap();
    let store = redis_store(&redis.url()) + "secret_file = \"shared.secret\"\n";
    std::fs::write(dir.path().join("weir.toml"), config(shop.address, &rooms()) + &store).unwrap();
    Weir::start_in(dir)
}

fn secret(weir: &Weir) -> PathBuf {
    weir.dir.path().join("shared.secret")
}

/// Names of the keys that count at this gateway, the one that seals first.
fn keys(weir: &Weir) -> Vec<String> {
    let members: Vec<Json> = serde_json::from_str(&request(weir.admin, "GET", "/api/gateways", &[], "").body).unwrap();
    let admin = weir.admin.to_string();
    let own = members.iter().find(|member| member["admin"] == *admin).unwrap();
    own["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}

/// Puts a list of keys into the file of a gateway, and waits until it counts.
fn give(weir: &Weir, list: &str, count: usize) -> Vec<String> {
    let before = keys(weir);
    std::fs::write(secret(weir), list).unwrap();
    until("the keys count", || Some(keys(weir)).filter(|now| now.len() == count && *now != before))
}

/// A shopper with a pass and a place.
struct Shopper {
    pass: String,
    ticket: String,
    number: u64,
}

impl Shopper {
    fn at(weir: &Weir) -> Self {
        let pass = until("somebody is in", || {
            let answer = weir.get("/launch/item", &[JSON]);
            answer.is_shop().then(|| answer.cookie()).flatten()
        });
        let waiting = weir.get("/wait/item", &[JSON]);
        Self { pass, ticket: waiting.cookie().unwrap(), number: waiting.ticket() }
    }

    /// Whether pass and place are worth here what they were.
    fn is_known(&self, weir: &Weir) -> bool {
        let inside = weir.get("/launch/a.css", &[FETCH, ("Cookie", &self.pass)]).is_shop();
        let place = weir.get("/wait/item", &[JSON, ("Cookie", &self.ticket)]).ticket();
        assert_eq!(inside, place == self.number, "both or none");
        inside
    }
}

#[test]
fn a_rotation_ends_no_session_at_any_gateway_before_during_and_after_it() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let (a, b, untold) = (gateway(&redis, &shop, OLD), gateway(&redis, &shop, OLD), gateway(&redis, &shop, OLD));
    let old = Shopper::at(&a);
    let mut kept = Kept::open(b.http);
    assert!(kept.get("/launch/a.css", &[FETCH, ("Cookie", &old.pass)]).is_shop());

    // One gateway has the new key: the old one goes on sealing, and all open all.
    let (code, told) = weir(&["keys", "rotate"], a.dir.path());
    assert!(code == 0 && told.contains("opens, seals from") && !told.contains(OLD), "{told}");
    let [sealing, new] = until("it counts", || <[String; 2]>::try_from(keys(&a)).ok());
    assert_eq!((keys(&b), keys(&untold)), (vec![sealing.clone()], vec![sealing.clone()]));
    let during = [Shopper::at(&a), Shopper::at(&b)];
    for weir in [&a, &b, &untold] {
        assert!(old.is_known(weir) && during.iter().all(|shopper| shopper.is_known(weir)));
    }
    let (code, told) = weir(&["keys", "rotate"], a.dir.path());
    assert!(code == 1 && told.contains("one rotation at a time"), "{told}");

    // The others get the file, then its time comes at one after the other: new tokens open at both.
    let list = std::fs::read_to_string(secret(&a)).unwrap();
    assert_eq!(give(&b, &list, 2), [&*sealing, &*new]);
    let (line, rest) = list.split_once('\n').unwrap();
    let come = format!("{} from=2026-01-01T00:00:00Z\n{rest}", line.split_once(" from=").unwrap().0);
    assert_eq!(give(&a, &come, 2), [&*new, &*sealing]);
    let after = [Shopper::at(&a), Shopper::at(&b)];
    assert!(!after[0].is_known(&untold), "it was sealed with the new key, which is why all must know it first");
    give(&b, &come, 2);
    for weir in [&a, &b] {
        assert!(old.is_known(weir) && during.iter().chain(&after).all(|shopper| shopper.is_known(weir)));
    }
    assert!(kept.get("/launch/a.css", &[FETCH, ("Cookie", &old.pass)]).is_shop(), "the connection notices nothing");

    // The time of the old key is over.
    let over = come.lines().next().unwrap().to_owned() + "\n";
    give(&a, &over, 1);
    give(&b, &over, 1);
    assert!(!old.is_known(&a) && !old.is_known(&b) && after[0].is_known(&b));
    assert_eq!(kept.get("/launch/a.css", &[FETCH, ("Cookie", &old.pass)]).status, 429, "nor is it remembered");
    [&a, &b, &untold].into_iter().for_each(Weir::is_well);
}

#[test]
fn a_key_begins_to_seal_and_ceases_to_open_when_its_time_comes() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let weir = gateway(&redis, &shop, OLD);
    let (shopper, before) = (Shopper::at(&weir), keys(&weir));
    let in_seconds = |seconds| shown(OffsetDateTime::now_utc() + Duration::from_secs(seconds));
    let new = "0123456789abcdef0123456789abcdef";
    give(&weir, &format!("{new} from={}\n{OLD}\n", in_seconds(3)), 2);
    std::fs::remove_file(secret(&weir)).unwrap();
    until_true("the new one seals, whatever became of the file", || keys(&weir)[1] == before[0]);
    let later = Shopper::at(&weir);
    assert!(shopper.is_known(&weir));
    std::fs::write(secret(&weir), format!("{new}\n{OLD} until={}\n", in_seconds(2))).unwrap();
    until_true("the old one is gone", || keys(&weir).len() == 1);
    assert!(!shopper.is_known(&weir) && later.is_known(&weir));
}

#[test]
fn keys_that_cannot_be_read_change_nothing() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let weir = gateway(&redis, &shop, OLD);
    let (shopper, before) = (Shopper::at(&weir), keys(&weir));
    let refused = r#"weir_reloads_total{what="keys",result="refused"}"#;
    for (round, list) in (1..).zip(["short\n", "", "0123456789abcdef0123456789abcdef from=2099-01-01T00:00:00Z\n"]) {
        std::fs::write(secret(&weir), list).unwrap();
        until_true("it is refused", || weir.metric(refused) >= f64::from(round));
        assert!(keys(&weir) == before && shopper.is_known(&weir));
    }
    std::fs::remove_file(secret(&weir)).unwrap();
    until_true("a missing one is", || weir.metric(refused) >= 4.0);
    assert!(shopper.is_known(&weir));
    std::fs::write(secret(&weir), OLD).unwrap();
    give(&weir, &format!("0123456789abcdef0123456789abcdef\n{OLD}\n"), 2);
    assert!(shopper.is_known(&weir) && Shopper::at(&weir).is_known(&weir));
}

/// A gateway whose keys are in its environment.
fn from_environment(redis: &RedisServer, shop: &Shop, keys: &str) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    let text = config(shop.address, &rooms()) + &redis_store(&redis.url());
    std::fs::write(dir.path().join("weir.toml"), text).unwrap();
    let mut command = Command::new(WEIR);
    command.arg("serve").arg("--config").arg(dir.path().join("weir.toml")).env("WEIR_SECRET", keys);
    Weir::spawn(dir, command)
}

#[test]
fn the_environment_may_hold_the_keys_and_they_are_exchanged_gateway_by_gateway() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let new = "0123456789abcdef0123456789abcdef";
    let before = from_environment(&redis, &shop, OLD);
    let old = Shopper::at(&before);
    let opens = from_environment(&redis, &shop, &format!("{OLD}, {new}"));
    assert!(old.is_known(&opens) && Shopper::at(&opens).is_known(&before), "the old one still seals");
    let seals = from_environment(&redis, &shop, &format!("{new}\n{OLD}"));
    let shopper = Shopper::at(&seals);
    assert!(old.is_known(&seals) && shopper.is_known(&opens) && !shopper.is_known(&before));
    assert!(!seals.dir.path().join("weir.secret").exists(), "no file is made");
}

#[test]
fn several_gateways_do_not_start_without_a_secret_and_the_message_says_how_to_make_one() {
    let dir = tempfile::tempdir().unwrap();
    let text = config(nobody(), &rooms()) + &redis_store("redis://127.0.0.1:1");
    std::fs::write(dir.path().join("weir.toml"), &text).unwrap();
    // A check of the file alone does not need the key, and says so, too.
    for (arguments, expected) in [(&["serve"] as &[&str], 2), (&["check", "weir.toml"], 0)] {
        let (code, told) = weir(arguments, dir.path());
        let helps = ["secret_file", "openssl rand -hex 32", "WEIR_SECRET"];
        assert!(code == expected && helps.iter().all(|word| told.contains(word)), "{told}");
    }
    std::fs::write(dir.path().join("weir.toml"), text + "secret_file = \"shared.secret\"\n").unwrap();
    std::fs::write(dir.path().join("shared.secret"), "hunter2").unwrap();
    let (code, told) = weir(&["serve"], dir.path());
    assert!(
        code == 1 && told.contains("shared.secret") && told.contains("7 bytes") && !told.contains("hunter2"),
        "{told}"
    );
    let output =
        Command::new(WEIR).arg("serve").current_dir(dir.path()).env("WEIR_SECRET", "hunter2").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && told.contains("WEIR_SECRET: key 1 has 7 bytes") && !told.contains("hunter2"),
        "{told}"
    );
}

#[test]
fn the_command_names_keys_and_never_shows_one() {
    let dir = tempfile::tempdir().unwrap();
    let text = config(nobody(), &rooms()) + "[store]\nsecret_file = \"shared.secret\"\n";
    std::fs::write(dir.path().join("weir.toml"), text).unwrap();
    let file = dir.path().join("shared.secret");
    let (code, told) = weir(&["keys", "list"], dir.path());
    assert!(code == 1 && told.contains("shared.secret"), "{told}");
    std::fs::write(&file, OLD).unwrap();
    let (_, told) = weir(&["keys", "list"], dir.path());
    assert!(told.ends_with("  seals and opens\n") && !told.contains(OLD), "{told}");
    let (code, told) = weir(&["keys", "rotate", "--delay-minutes", "0", "--keep-hours", "0"], dir.path());
    assert_eq!(code, 0, "{told}");
    let (_, told) = weir(&["keys", "list"], dir.path());
    assert!(told.lines().next().unwrap().ends_with("seals and opens") && told.contains("is over"), "{told}");
    let (_, told) = weir(&["keys", "rotate"], dir.path());
    let list = std::fs::read_to_string(&file).unwrap();
    assert!(list.lines().count() == 2 && !list.contains(OLD), "{told}");
    assert!(list.lines().all(|line| !told.contains(line.split(' ').next().unwrap())), "{told}");
}
