//! The ways to Redis: with a password, over TLS, through sentinels, to a Cluster; each as it is written in
//! a configuration, against real servers.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::common::line::{self, gateway_with, pass_id, shared_store, tickets};
use crate::common::redis::RedisServer;
use crate::common::redis::cluster::Cluster;
use crate::common::redis::encryption::Authority;
use crate::common::redis::sentinel::Watched;
use crate::common::{JSON, Shop, free_address, nobody, request, until_true};
use gateway::line::store::redis::Redis;
use gateway::line::store::{Store as _, StoreError, Work};
use gateway::settings::config::Config;
use policy::line::Batch;
use policy::room::Rules;

/// The store of a gateway whose `[store]` has these lines.
fn store(lines: &str) -> Redis {
    opened(lines).unwrap()
}

fn opened(lines: &str) -> Result<Redis, StoreError> {
    let dir = tempfile::tempdir().unwrap();
    let text = crate::common::config(nobody(), crate::common::CLOSED) + &shared_store(dir.path(), lines);
    let config = Config::read(&text, &dir.path().join("weir.toml")).unwrap_or_else(|all| panic!("{all:?}"));
    Redis::open(&config.store)
}

const ANSWERED: &str = "weir_store_calls_total{result=\"ok\"}";
const LOGIN: &str = "[store.login]\npassword_file = \"redis.password\"\n";

fn join(rooms: &[&str]) -> Vec<Work> {
    let batch = Batch { joins: 1, ..Batch::default() };
    rooms.iter().map(|&room| Work { room: room.into(), rules: Rules::per_minute(600), batch: batch.clone() }).collect()
}

async fn next(store: &Redis) -> u64 {
    store.commit(join(&["launch"])).await.unwrap()[0].view.segments.given()
}

/// Why nothing can be committed.
async fn refusal(lines: &str) -> String {
    store(lines).commit(join(&["launch"])).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_server_that_asks_for_a_login_gets_it_from_a_file_and_never_from_an_address_in_a_log() {
    let users = "requirepass open-sesame\nuser weir on >for-weir ~weir:* +@all\n";
    let server = RedisServer::with(|| users.to_owned());
    let url = format!("url = \"{}\"\n", server.url());
    assert_eq!(next(&store(&format!("{url}{LOGIN}"))).await, 1);
    let in_url = url.replace("redis://", "redis://weir:for-weir@");
    assert_eq!(next(&store(&in_url)).await, 2);
    let refused = refusal(&in_url.replace("for-weir", "hunter2")).await;
    assert!(refused.contains("authentication failed") && !refused.contains("hunter2"), "{refused}");
    let refused = refusal(&url).await;
    assert!(refused.contains("unauthenticated"), "{refused}");
}

/// Lines for one that speaks TLS on a port of its own.
fn encrypted(authority: &Authority) -> impl Fn() -> String {
    || authority.options(free_address().port())
}

#[tokio::test]
async fn over_tls_both_sides_show_a_certificate() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = RedisServer::with(encrypted(&authority));
    let url = format!("url = \"rediss://{}\"\n", server.spoken_to());
    assert_eq!(next(&store(&format!("{url}{}", authority.trusted()))).await, 1);

    let refused = refusal(&format!("{url}{}", stranger.trusted())).await;
    assert!(refused.to_lowercase().contains("certificate"), "{refused}");
    let ca_file = format!("[store.tls]\nca_file = \"{}\"\n", authority.file("ca.pem").display());
    refusal(&format!("{url}{ca_file}")).await;
    refusal(&url).await;

    let no_certificate = authority.trusted().replace("ca.pem", "client.key");
    let error = opened(&format!("{url}{no_certificate}")).err().unwrap().to_string();
    assert!(error.contains("no certificate in") && error.contains("client.key"), "{error}");
}

#[tokio::test]
async fn sentinels_are_asked_for_the_master_again_when_it_is_another() {
    let mut watched = Watched::start(String::new);
    let store = store(&watched.asked());
    assert_eq!(next(&store).await, 1);
    let first = watched.master().address;
    watched.fail_over();
    println!("after a failover that was asked for: {:?}", commits_elsewhere(&mut watched, &store, first).await);
    let second = watched.master().address;
    watched.master().kill();
    println!("after the death of the master: {:?}", commits_elsewhere(&mut watched, &store, second).await);
}

/// Commits until that works and the master is another, with the committer's pauses; how long that took.
async fn commits_elsewhere(watched: &mut Watched, store: &Redis, before: SocketAddr) -> Duration {
    let started = Instant::now();
    loop {
        let other = watched.master().address != before;
        let committed = store.commit(join(&["launch"])).await;
        if other && committed.is_ok() {
            return started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{committed:?}");
        tokio::time::sleep(Duration::from_millis(if committed.is_ok() { 20 } else { 400 })).await;
    }
}

#[tokio::test]
async fn a_sentinel_that_does_not_know_the_name_or_the_password_says_so() {
    let watched = Watched::start(String::new);
    let lines = watched.asked();
    let unknown = refusal(&lines.replace("master = \"launch\"", "master = \"lunch\"")).await;
    assert!(unknown.contains("knows no master \"lunch\""), "{unknown}");
    let shut_out = refusal(&lines.replace("sentinel.password", "redis.password")).await;
    assert!(shut_out.contains("authentication failed"), "{shut_out}");
}

#[tokio::test]
async fn sentinels_and_their_master_are_spoken_to_over_tls() {
    let authority = Authority::new();
    let watched = Watched::start(encrypted(&authority));
    assert_eq!(next(&store(&(watched.asked() + &authority.trusted()))).await, 1);
}

#[tokio::test]
async fn a_master_that_lost_its_replicas_takes_nothing_if_it_was_told_so() {
    let server = RedisServer::with(|| "min-replicas-to-write 1\n".to_owned());
    let refused = refusal(&format!("url = \"{}\"\n", server.url())).await;
    assert!(refused.contains("NOREPLICAS"), "{refused}");
    assert_eq!(server.command("DBSIZE"), ":0");
}

#[test]
fn gateways_follow_the_master_and_their_line_goes_on() {
    let (mut watched, shop) = (Watched::start(String::new), Shop::open());
    let (store, room) = (watched.asked(), line::room(600));
    let (a, b) = (gateway_with(&store, shop.address, &room), gateway_with(&store, shop.address, &room));
    let mut waiting = tickets(&[&a, &b], 8);
    let first = watched.master().address;
    watched.fail_over();
    until_true("the sentinel has chosen another", || watched.master().address != first);
    for weir in [&a, &b] {
        let answered = weir.metric(ANSWERED);
        until_true("calls are answered again", || weir.metric(ANSWERED) > answered + 2.0);
        let cookie = weir.get("/launch/item", &[JSON]).cookie().unwrap();
        waiting.push((line::number(weir, &cookie), cookie));
    }
    let numbers: BTreeSet<u64> = waiting.iter().map(|(number, _)| *number).collect();
    let ids: BTreeSet<String> = waiting.iter().map(|(_, cookie)| pass_id(&b, cookie)).collect();
    assert_eq!((numbers.len(), ids.len()), (10, 10), "everybody came in by a number of their own: {waiting:?}");
    a.is_well();
    b.is_well();
}

/// Rooms that are on all three servers of a Cluster.
const ROOMS: [&str; 8] = ["launch", "a", "b", "c", "d", "e", "f", "g"];

fn seed(cluster: &Cluster) -> String {
    format!("cluster = \"{}\"\n", cluster.servers[1].spoken_to())
}

/// Two commits for all rooms, each one call.
async fn every_room_is_served(cluster: &Cluster, store: &Redis) {
    let homes: BTreeSet<usize> = ROOMS.iter().map(|room| cluster.home(room).1).collect();
    assert_eq!(homes.len(), 3, "the rooms are on all servers");
    for expected in 1..3 {
        let outcomes = store.commit(join(&ROOMS)).await.unwrap();
        assert!(outcomes.iter().all(|outcome| outcome.view.segments.given() == expected), "{outcomes:?}");
    }
}

#[tokio::test]
async fn in_a_cluster_rooms_of_all_servers_commit_in_one_call_and_are_followed_where_they_move() {
    let cluster = Cluster::start(String::new);
    let store = store(&seed(&cluster));
    every_room_is_served(&cluster, &store).await;

    let (slot, home) = cluster.home("moved");
    cluster.give(slot, (home + 1) % 3);
    let outcomes = store.commit(join(&["launch", "moved"])).await.unwrap();
    assert_eq!((outcomes[0].view.segments.given(), outcomes[1].view.segments.given()), (3, 1));
    assert_eq!(cluster.servers[(home + 1) % 3].command("EXISTS weir:{moved}:2:line"), ":1");
}

#[test]
fn gateways_on_a_cluster_share_their_line_and_know_each_other() {
    let (cluster, shop) = (Cluster::start(String::new), Shop::open());
    let (store, room) = (seed(&cluster), line::room(600));
    let (a, b) = (gateway_with(&store, shop.address, &room), gateway_with(&store, shop.address, &room));
    let waiting = tickets(&[&a, &b], 8);
    let ids: BTreeSet<String> = waiting.iter().map(|(_, cookie)| pass_id(&b, cookie)).collect();
    assert_eq!(ids.len(), 8);
    let known = || request(a.admin, "GET", "/api/gateways", &[], "").json().as_array().map_or(0, Vec::len);
    until_true("both are known", || known() == 2);
}

#[tokio::test]
async fn a_cluster_is_spoken_to_over_tls() {
    let authority = Authority::new();
    let cluster = Cluster::start(encrypted(&authority));
    every_room_is_served(&cluster, &store(&(seed(&cluster) + &authority.trusted()))).await;
}
