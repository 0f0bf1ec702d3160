//! `kill -9`, a full disk, a restart: no shopper loses their place.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashSet;
use std::process::Command;

use crate::common::{FETCH, JSON, PAGE, Shop, WEIR, Weir, config, until_true};

/// 5 a second enter: a line stands as soon as a few come at once.
const NARROW: &str = r#"
[[room]]
name = "launch"
host = "*"
path = "/launch"
new_users_per_minute = 300
visits_per_minute = 0
burst = 1
"#;

#[test]
fn after_kill_9_everyone_keeps_their_place_and_no_number_is_given_twice() {
    let shop = Shop::open();
    let mut weir = Weir::start(&config(shop.address, NARROW));
    let mut places = Vec::new();
    let mut numbers = HashSet::new();
    for round in 0..3 {
        let joined: Vec<_> = std::thread::scope(|scope| {
            let join = || (0..10).map(|_| weir.get("/launch/item", &[JSON])).collect::<Vec<_>>();
            let tabs: Vec<_> = (0..4).map(|_| scope.spawn(join)).collect();
            tabs.into_iter().flat_map(|tab| tab.join().unwrap()).collect()
        });
        for answer in joined.iter().filter(|answer| !answer.is_shop()) {
            assert!(numbers.insert(answer.ticket()), "number {} was given twice", answer.ticket());
            places.push((answer.ticket(), answer.cookie().unwrap()));
        }
        let serving = weir.room()["serving"].as_u64().unwrap();
        weir = Weir::start_in(weir.kill());
        let room = weir.room();
        assert!(room["serving"].as_u64().unwrap() >= serving, "round {round}: the line went back: {room}");
        for (number, cookie) in places.iter().rev().take(20) {
            let answer = weir.get("/launch/item", &[JSON, ("Cookie", cookie)]);
            assert!(answer.is_shop() || answer.ticket() == *number, "{number} lost their place: {answer:?}");
        }
    }
}

#[test]
fn after_kill_9_a_confirmed_claim_is_the_same_pass_and_costs_nothing_again() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, NARROW));
    let mut inside = Vec::new();
    until_true("five are inside", || {
        let answer = weir.get("/launch/headers", &[JSON]);
        inside.extend(answer.body.contains("weir-pass-id").then(|| (answer.cookie().unwrap(), answer.body.clone())));
        inside.len() >= 5
    });
    // One alone is soon let in: several at once make a line.
    let joined: Vec<_> = std::thread::scope(|scope| {
        let tabs: Vec<_> = (0..12).map(|_| scope.spawn(|| weir.get("/launch/item", &[JSON]))).collect();
        tabs.into_iter().map(|tab| tab.join().unwrap()).collect()
    });
    let ticket = joined.iter().find(|answer| !answer.is_shop()).unwrap().cookie().unwrap();
    let mut claimed = None;
    until_true("the ticket is claimed", || {
        let answer = weir.get("/launch/headers", &[JSON, ("Cookie", &ticket)]);
        claimed = answer.body.contains("weir-pass-id").then(|| answer.body.clone());
        claimed.is_some()
    });
    let before = weir.room();
    let weir = Weir::start_in(weir.kill());
    let again = weir.get("/launch/headers", &[JSON, ("Cookie", &ticket)]);
    let id = |body: &str| body.lines().find(|l| l.to_lowercase().starts_with("weir-pass-id")).map(str::to_owned);
    assert_eq!(id(&again.body), id(&claimed.unwrap()));
    let after = weir.room();
    assert_eq!((&after["admitted"], &after["active_users"]), (&before["admitted"], &before["active_users"]));
    for (pass, _) in &inside {
        assert_eq!(weir.get("/launch/a.css", &[FETCH, ("Cookie", pass)]).status, 200, "a pass was forgotten");
    }
}

#[test]
fn after_a_restart_a_revoked_pass_stays_revoked() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &NARROW.replace("= 300", "= 6000")));
    let mut pass = None;
    until_true("somebody is inside", || {
        let answer = weir.get("/launch/item", &[JSON]);
        pass = answer.is_shop().then(|| answer.cookie().unwrap());
        pass.is_some()
    });
    let pass = pass.unwrap();
    weir.get("/launch/revoke", &[("Cookie", &pass)]);
    until_true("the pass is worth nothing", || weir.get("/launch/a.css", &[FETCH, ("Cookie", &pass)]).status == 429);
    let weir = Weir::start_in(weir.kill());
    until_true("its line is read", || weir.room()["next"].as_u64().unwrap() > 0);
    assert_eq!(weir.get("/launch/a.css", &[FETCH, ("Cookie", &pass)]).status, 429);
}

#[test]
fn two_gateways_do_not_share_one_file() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, NARROW));
    let output = Command::new(WEIR).arg("serve").arg("--config").arg(weir.config_file()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("in use by another process"), "{told}");
}

/// A gateway whose files may not grow past `blocks` of 1,024 bytes: to the store that is a full disk.
fn on_a_small_disk(config: &str, blocks: u32) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("weir.toml"), config).unwrap();
    let mut command = Command::new("bash");
    // With SIGXFSZ ignored a write past the limit fails instead of ending the process.
    let script = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec {WEIR} serve --config \"$0\"");
    command.arg("-c").arg(script).arg(dir.path().join("weir.toml"));
    Weir::spawn(dir, command)
}

/// Lets the files of a running gateway grow again.
fn grow_the_disk(weir: &Weir) {
    let limit = Command::new("prlimit").args(["--fsize=unlimited", "--pid"]).arg(weir.pid().to_string()).status();
    assert!(limit.unwrap().success());
}

#[test]
fn on_a_full_disk_places_are_kept_in_order_of_arrival_and_numbered_when_there_is_room_again() {
    let shop = Shop::open();
    let room = "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = 6\nburst = 1\n";
    let weir = on_a_small_disk(&config(shop.address, room), 4_096);
    let first = weir.get("/launch/item", &[JSON]);
    assert_eq!(first.waiting()["inWaitingRoom"], true);
    let limit = Command::new("prlimit").args(["--fsize=0:unlimited", "--pid"]).arg(weir.pid().to_string()).status();
    assert!(limit.unwrap().success());
    let mut kept = Vec::new();
    until_true("the store has failed", || {
        let answer = weir.get("/launch/item", &[JSON]);
        assert!(answer.is_line(), "never an error for the waiting: {answer:?}");
        kept.push(answer);
        weir.room()["store_away"] == true && kept.iter().filter(|a| a.waiting()["ticket"].is_null()).count() >= 5
    });
    let failed = weir.metric(r#"weir_store_calls_total{result="failed"}"#);
    assert!(failed >= 1.0);
    assert!(weir.get("/launch/item", &[PAGE]).is_line());
    let own = weir.get("/launch/item", &[JSON, ("Cookie", &first.cookie().unwrap())]);
    assert_eq!(own.ticket(), first.ticket(), "a ticket is worth what it was");
    until_true("the log says it", || weir.log().contains("the store does not answer"));

    grow_the_disk(&weir);
    until_true("the store answers", || weir.room()["store_away"] == false);
    let provisional = kept.iter().filter(|answer| answer.waiting()["ticket"].is_null());
    let numbers: Vec<u64> = provisional
        .map(|answer| weir.get("/launch/item", &[JSON, ("Cookie", &answer.cookie().unwrap())]).ticket())
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "not in order of arrival: {numbers:?}");
    let weir = Weir::start_in(weir.kill());
    let last = kept.last().unwrap();
    let again = weir.get("/launch/item", &[JSON, ("Cookie", &last.cookie().unwrap())]);
    assert_eq!(again.ticket(), *numbers.last().unwrap(), "the number outlives the process");
}

#[test]
fn with_fail_mode_open_a_full_disk_lets_everyone_in_and_says_so() {
    let shop = Shop::open();
    let room = format!("{NARROW}fail_mode = \"open\"\n");
    let weir = on_a_small_disk(&config(shop.address, &room), 4_096);
    let limit = Command::new("prlimit").args(["--fsize=0:unlimited", "--pid"]).arg(weir.pid().to_string()).status();
    assert!(limit.unwrap().success());
    until_true("the store has failed", || {
        weir.get("/launch/item", &[JSON]);
        weir.room()["limits_given_up"] == true
    });
    assert!(weir.get("/launch/item", &[PAGE]).is_shop());
    assert!(weir.get("/launch/a.css", &[]).is_shop());
    assert!(weir.metric(r#"weir_fail_open_total{room="launch"}"#) >= 1.0);
}

#[test]
fn with_fail_mode_static_the_line_moves_on_at_its_rate_while_the_disk_is_full() {
    let shop = Shop::open();
    let room = NARROW.replace("burst = 1", "burst = 5") + "fail_mode = \"static\"\n";
    let weir = on_a_small_disk(&config(shop.address, &room), 4_096);
    let arrivals: Vec<_> = std::thread::scope(|scope| {
        let tabs: Vec<_> = (0..20).map(|_| scope.spawn(|| weir.get("/launch/item", &[JSON]))).collect();
        tabs.into_iter().map(|tab| tab.join().unwrap()).collect()
    });
    let waiting: Vec<String> = arrivals.iter().filter(|a| !a.is_shop()).map(|a| a.cookie().unwrap()).collect();
    let limit = Command::new("prlimit").args(["--fsize=0:unlimited", "--pid"]).arg(weir.pid().to_string()).status();
    assert!(limit.unwrap().success());
    until_true("the store has failed", || weir.room()["on_lease"] == true);
    for cookie in &waiting {
        until_true("the shopper is in", || weir.get("/launch/item", &[JSON, ("Cookie", cookie)]).is_shop());
    }
    let lent = weir.metric(r#"weir_lease_grants_total{room="launch"}"#);
    grow_the_disk(&weir);
    until_true("the store answers", || weir.room()["store_away"] == false);
    let all = arrivals.len() as u64;
    until_true("it knows what was given", || weir.room()["admitted"].as_u64() == Some(all));
    assert!(lent >= 1.0 && weir.room()["second_passes"] == 0, "{lent} by the lease");
}
