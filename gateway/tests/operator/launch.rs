//! A launch by the API alone, before three gateways and Redis: the script that a reader can run (`deploy/launch-by-api`).
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::Command;

use super::actions::{audit, member, state};
use crate::common::redis::RedisServer;
use crate::common::{PAGE, ROOMY, Shop, Weir, config, request, until_true};

#[test]
fn a_launch_is_run_by_the_api_alone_and_every_step_is_in_force_on_three_gateways() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let text = config(shop.address, ROOMY);
    let gateways = ["a", "b", "c"].map(|name| member(&redis.url(), name, &text));
    until_true("all know each other", || {
        request(gateways[0].admin, "GET", "/api/gateways", &[], "").json().as_array().unwrap().len() == 3
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/launch-by-api");
    let addresses = [gateways[0].admin.to_string(), gateways[0].http.to_string()];
    let ran = Command::new("bash").arg(script).args(addresses).env("SECONDS_TO_START", "8").output().unwrap();
    let told = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{told}{}", String::from_utf8_lossy(&ran.stderr));

    let steps: Vec<&str> = told.split("== ").skip(1).collect();
    let names: Vec<&str> = steps.iter().map(|step| step.lines().next().unwrap()).collect();
    let expected =
        ["a room", "its event", "it starts", "rate", "message", "pause", "resume", "message", "close", "report"];
    assert_eq!(names, expected, "{told}");
    assert!(steps[0].contains("an arriving shopper: 200"), "{told}");
    let before = steps[1];
    assert!(before.contains("\"event_id\"") && before.contains("drop"), "{before}");
    assert!(before.contains("who came before the start: 429") && before.contains("\"position\":1"), "{before}");
    assert!(before.contains("an arriving shopper: 429") && before.contains("\"position\":2"), "{before}");
    assert!(before.contains("\"isEventPrequeueing\":true") && before.contains("timeUntilEventStart"), "{before}");
    assert!(before.contains("the page of another one: 아직 시작되지 않았습니다, 0:0"), "{before}");
    assert!(steps[2].contains("who came before the start: 200"), "{told}");
    for step in &steps[3..9] {
        assert_eq!(step.matches("in force after ").count(), 3, "{step}");
    }
    let paused = steps[5];
    assert!(paused.contains("\"label\":\"Paused\"") && paused.contains("an arriving shopper: 429"), "{paused}");
    assert!(paused.contains("\"queueAll\":true") && paused.contains("5분 후에 다시 시작합니다"), "{paused}");
    assert!(steps[6].contains("\"label\":\"Running\""), "{told}");
    assert!(steps[8].contains("\"label\":\"Closed\"") && steps[8].contains("an arriving shopper: 503"), "{told}");
    assert!(steps[9].contains("closed") && steps[9].contains("the payment provider is down"), "{told}");

    let refuses = |weir: &Weir| state(weir) == "closed" && weir.get("/launch/item", &[PAGE]).status == 503;
    until_true("all are closed", || gateways.iter().all(refuses));
    until_true("all have the audit", || gateways.iter().all(|weir| audit(weir).len() == 8));
    gateways.iter().for_each(Weir::is_well);
}
