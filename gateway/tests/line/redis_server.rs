//! The Redis store against real servers that stall, start again and fail over.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::common::redis::RedisServer;
use gateway::line::store::redis::Redis;
use gateway::line::store::{Store as _, StoreError, Work};
use policy::line::{Batch, Memory, Outcome};
use policy::room::Rules;

fn work(room: &str, batch: Batch) -> Work {
    Work { room: room.into(), rules: Rules::per_minute(600), batch }
}

#[tokio::test]
async fn the_clock_is_the_servers_and_rooms_are_apart() {
    let server = RedisServer::start();
    let store = Redis::at(&server.url()).unwrap();
    let works = vec![work("a", Batch { joins: 3, ..Batch::default() }), work("b", Batch::default())];
    let outcomes = store.commit(works).await.unwrap();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    assert!(wall.abs_diff(outcomes[0].view.now) < 2_000, "{} {wall}", outcomes[0].view.now);
    let given = |outcome: &Outcome| outcome.view.segments.given();
    assert_eq!((given(&outcomes[0]), given(&outcomes[1])), (3, 0));
    let again = store.commit(vec![work("a", Batch::default())]).await.unwrap();
    assert_eq!(again[0].view.segments.open.next, outcomes[0].view.segments.open.next);
}

#[tokio::test]
async fn a_server_that_forgot_the_script_is_told_again() {
    let server = RedisServer::start();
    let store = Redis::at(&server.url()).unwrap();
    let join = || work("a", Batch { joins: 1, ..Batch::default() });
    store.commit(vec![join()]).await.unwrap();
    assert_eq!(server.command("SCRIPT FLUSH"), "+OK");
    assert_eq!(store.commit(vec![join(), work("b", Batch::default())]).await.unwrap()[0].view.segments.given(), 2);
}

#[tokio::test]
async fn a_store_that_is_away_or_stalls_fails_within_a_second_and_comes_back_by_itself() {
    let mut server = RedisServer::durable();
    let store = Redis::at(&server.url()).unwrap();
    let join = || vec![work("a", Batch { joins: 1, ..Batch::default() })];
    store.commit(join()).await.unwrap();
    server.kill();
    for _ in 0..2 {
        assert!(matches!(store.commit(join()).await, Err(StoreError::Redis { .. })));
    }
    server.restart();
    assert_eq!(store.commit(join()).await.unwrap()[0].view.segments.given(), 2, "it is the line that it was");

    server.signal("STOP");
    let started = Instant::now();
    let stalled = store.commit(vec![work("a", Batch::default())]).await;
    assert!(stalled.is_err() && started.elapsed().as_millis() < 1_500, "{stalled:?}");
    server.signal("CONT");
    assert_eq!(store.commit(vec![work("a", Batch::default())]).await.unwrap()[0].view.segments.given(), 2);
}

#[tokio::test]
async fn ten_million_waiting_cost_what_ten_cost() {
    let server = RedisServer::start();
    let store = Redis::at(&server.url()).unwrap();
    let joined = store.commit(vec![work("a", Batch { joins: 10_000_000, ..Batch::default() })]).await.unwrap();
    let used = |info: &str| -> u64 {
        let line = info.lines().find(|line| line.starts_with("used_memory_dataset:")).unwrap();
        line.rsplit(':').next().unwrap().trim().parse().unwrap()
    };
    let before = used(&server.command("INFO memory"));
    let last = joined[0].view.segments.open.next;
    // The last one gives up: the bitmap of claims is as long as it can get.
    store.commit(vec![work("a", Batch { releases: vec![last], ..Batch::default() })]).await.unwrap();
    let grown = used(&server.command("INFO memory")) - before;
    assert!(grown < 3_000_000, "{grown} bytes");
}

#[tokio::test]
async fn a_server_that_was_started_again_is_another_one_and_numbers_go_on_in_a_new_segment() {
    let mut server = RedisServer::durable();
    let store = Redis::at(&server.url()).unwrap();
    let join = || vec![work("a", Batch { joins: 1, ..Batch::default() })];
    let first = store.commit(join()).await.unwrap().remove(0);
    let second = store.commit(join()).await.unwrap().remove(0);
    assert_eq!(second.first, first.first + 1, "the same server, the same segment");
    server.kill();
    server.restart();
    let _ = store.commit(join()).await;
    let third = store.commit(join()).await.unwrap().remove(0);
    assert_eq!(third.view.segments.before, vec![second.view.segments.open]);
    assert!(third.first > second.first && third.view.lost > second.view.lost);
}

/// Waits until the replica has what its master has.
async fn in_step(master: &RedisServer, replica: &RedisServer) {
    let offset = |server: &RedisServer, name: &str| {
        let info = server.command("INFO replication");
        info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    for _ in 0..500 {
        let written = offset(master, "master_repl_offset:");
        if written.is_some() && offset(replica, "slave_repl_offset:") >= written {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the replica does not follow");
}

#[tokio::test]
async fn a_failover_and_back_gives_no_number_twice_though_each_replica_lacks_the_last_writes() {
    let (a, b) = (RedisServer::start(), RedisServer::start());
    let follow = |server: &RedisServer, master: &RedisServer| {
        let address = master.address;
        assert_eq!(server.command(&format!("REPLICAOF {} {}", address.ip(), address.port())), "+OK");
    };
    let stores = [Redis::at(&a.url()).unwrap(), Redis::at(&b.url()).unwrap()];
    let mut memory = Memory::default();
    let mut given = BTreeSet::new();
    let servers = [&a, &b];
    for round in 0..4 {
        let (master, replica) = (servers[round % 2], servers[(round + 1) % 2]);
        assert_eq!(master.command("REPLICAOF NO ONE"), "+OK");
        let store = &stores[round % 2];
        for join in 0..4 {
            if join == 1 {
                follow(replica, master);
                in_step(master, replica).await;
                // From here on the replica gets nothing: what follows is lost with the master.
                assert_eq!(replica.command("REPLICAOF NO ONE"), "+OK");
            }
            let (seen, restore) = memory.recall();
            let batch = Batch { joins: 5, seen, restore, ..Batch::default() };
            let outcome = store.commit(vec![work("a", batch)]).await.unwrap().remove(0);
            memory.note(&[], &outcome);
            for number in outcome.first..outcome.first + 5 {
                assert!(given.insert(number), "{number} is given twice in round {round}");
            }
            assert_eq!(outcome.view.segments.given(), given.len() as u64, "and nobody is lost");
        }
    }
    assert!(given.len() == 80 && memory.recall().0.segments.len() == 4, "{memory:?}");
}
