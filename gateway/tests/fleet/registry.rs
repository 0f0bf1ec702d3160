//! The registry: one contract, and both stores keep it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use crate::common::redis::RedisServer;
use gateway::line::store::StoreError;
use gateway::line::store::embedded::Embedded;
use gateway::line::store::redis::Redis;
use gateway::line::store::registry::{
    Change, Heartbeat, HeartbeatReply, InForce, KEPT, Link, Registry, Switched, Version,
};
use policy::audit::{Entry, Head};

fn heartbeat(incarnation: u32, knows: InForce) -> Heartbeat {
    Heartbeat { incarnation, text: format!("{{\"run\": {incarnation}}}"), knows }
}

fn add(text: &str) -> Change {
    Change::Add(text.into())
}

/// The change is made.
async fn now(registry: &dyn Registry, from: InForce, change: Change) -> InForce {
    match registry.switch(from, change).await.unwrap() {
        Switched::Now(in_force) => in_force,
        other => panic!("{from:?}: {other:?}"),
    }
}

fn numbers(versions: &[Version]) -> Vec<u64> {
    versions.iter().map(|version| version.number).collect()
}

/// A change and its line are one write, and a line stands only behind the one that it names.
async fn audit(registry: &dyn Registry, from: InForce) {
    let line = |behind: &Head, who: &str| {
        let entry = Entry { who: who.to_owned(), ..Entry::default() };
        Link { behind: behind.clone(), line: entry.behind(behind) }
    };
    let (nothing, none) = (Head::default(), InForce::default());
    let known = registry.exchange(heartbeat(1, from)).await.unwrap();
    assert!(known.audit == nothing && known.now > 1_700_000_000_000, "{known:?}");
    let first = line(&nothing, "kim");
    assert_eq!(registry.record(none, Change::Nothing, Some(first.clone())).await.unwrap(), Switched::Now(from));
    let late = line(&nothing, "lee");
    let behind = Switched::Behind(first.line.head.clone());
    assert_eq!(registry.record(from, Change::To(1), Some(late)).await.unwrap(), behind);
    let second = line(&first.line.head, "lee");
    assert_eq!(registry.record(none, Change::To(1), Some(second.clone())).await.unwrap(), Switched::Other(from));
    assert_eq!(registry.record(from, Change::To(9), Some(second.clone())).await.unwrap(), Switched::Unknown);
    assert_eq!(registry.audit(0).await.unwrap(), std::slice::from_ref(&first.line.text), "no change, no line");
    let Switched::Now(to) = registry.record(from, Change::To(1), Some(second.clone())).await.unwrap() else { panic!() };
    assert_eq!((to.number, registry.exchange(heartbeat(1, to)).await.unwrap().audit), (1, second.line.head.clone()));
    assert_eq!(registry.audit(2).await.unwrap(), [second.line.text]);
    assert_eq!(registry.audit(3).await.unwrap(), Vec::<String>::new());
    assert_eq!(now(registry, to, Change::Restore(from, None)).await, from);
}

/// Everything that a registry promises, on one that is empty.
async fn contract(registry: &dyn Registry) {
    let nothing = InForce::default();
    let news = registry.exchange(heartbeat(1, nothing)).await.unwrap();
    assert_eq!((news.in_force, news.version), (nothing, None), "the rooms of the file");
    assert!(news.gateways.contains(&"{\"run\": 1}".to_owned()));
    assert_eq!(registry.versions().await.unwrap(), []);

    // A version is written beside the others, and in force.
    let first = now(registry, nothing, add("first\nof 방\n")).await;
    assert_eq!(first, InForce { switch: 1, number: 1 });
    let news = registry.exchange(heartbeat(1, nothing)).await.unwrap();
    assert_eq!(news.in_force, first);
    assert_eq!(&*news.version.as_ref().unwrap().text, "first\nof 방\n");
    assert!(news.version.unwrap().made > 1_700_000_000_000, "in milliseconds since 1970");
    let news = registry.exchange(heartbeat(1, first)).await.unwrap();
    assert_eq!((news.in_force, news.version), (first, None), "who knows it is not sent it again");

    // Of two changes made from the same version, one is made.
    let second = now(registry, first, add("second")).await;
    assert_eq!(registry.switch(first, add("lost")).await.unwrap(), Switched::Other(second));
    assert_eq!(registry.switch(first, Change::To(1)).await.unwrap(), Switched::Other(second));
    assert_eq!(numbers(&registry.versions().await.unwrap()), [1, 2]);

    // Back and forth: the texts stay as they were, and no number is given twice.
    let back = now(registry, second, Change::To(1)).await;
    assert_eq!(back, InForce { switch: 3, number: 1 });
    assert_eq!(&*registry.exchange(heartbeat(1, second)).await.unwrap().version.unwrap().text, "first\nof 방\n");
    assert_eq!(registry.switch(back, Change::To(9)).await.unwrap(), Switched::Unknown);
    let none = now(registry, back, Change::To(0)).await;
    let news = registry.exchange(heartbeat(1, back)).await.unwrap();
    assert_eq!((news.in_force, news.version), (InForce { switch: 4, number: 0 }, None));
    let fifth = now(registry, none, add("fifth")).await;
    assert_eq!((fifth.number, numbers(&registry.versions().await.unwrap())), (5, vec![1, 2, 5]));

    // Lost values are given back; a switch is never taken back by that.
    let ahead = InForce { switch: 40, number: 33 };
    let version = Version { number: 33, made: 7, text: "from memory".into() };
    assert_eq!(now(registry, fifth, Change::Restore(ahead, Some(version.clone()))).await, ahead);
    assert_eq!(registry.switch(fifth, Change::Restore(fifth, None)).await.unwrap(), Switched::Other(ahead));
    assert_eq!(registry.exchange(heartbeat(1, nothing)).await.unwrap().version, Some(version));

    audit(registry, ahead).await;

    // The newest are kept, and the one in force and the one before it, however old they are.
    let mut last = now(registry, ahead, Change::To(1)).await;
    let old = last;
    for n in 0..KEPT + 5 {
        last = now(registry, last, add(&format!("text {n}"))).await;
        last = now(registry, last, Change::To(1)).await;
    }
    let kept = registry.versions().await.unwrap();
    assert_eq!((last.number, kept.len(), kept[0].number), (1, KEPT, 1));
    assert!(numbers(&kept).is_sorted() && kept[1].number > old.switch, "{:?}", numbers(&kept));
}

#[tokio::test]
async fn the_embedded_store_keeps_the_contract_and_keeps_it_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weir.redb");
    let store = Embedded::open(&file).unwrap();
    contract(&store).await;
    let (before, kept) =
        (store.exchange(heartbeat(1, InForce::default())).await.unwrap(), store.versions().await.unwrap());
    drop(store);
    let store = Embedded::open(&file).unwrap();
    let after = store.exchange(heartbeat(1, InForce::default())).await.unwrap();
    assert!(after.now >= before.now);
    assert_eq!(HeartbeatReply { now: before.now, ..after }, before);
    assert_eq!(store.versions().await.unwrap(), kept);
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    let server = RedisServer::start();
    contract(&Redis::at(&server.url()).unwrap()).await;
}

#[tokio::test]
async fn gateways_hear_of_one_another_and_of_nobody_who_has_gone() {
    let mut server = RedisServer::durable();
    let (a, b) = (Redis::at(&server.url()).unwrap(), Redis::at(&server.url()).unwrap());
    a.exchange(heartbeat(1, InForce::default())).await.unwrap();
    let mut heard = b.exchange(heartbeat(2, InForce::default())).await.unwrap().gateways;
    heard.sort();
    assert_eq!(heard, ["{\"run\": 1}", "{\"run\": 2}"]);
    // A hundred years ago, or to come: a clock that was set back must not keep the dead alive.
    for time in [1, 5_000_000_000_000_u64] {
        let told = format!("{time} {{}}");
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        let key = "weir:rooms:{versions}:gateways";
        let command =
            format!("*4\r\n$4\r\nHSET\r\n${}\r\n{key}\r\n$1\r\n9\r\n${}\r\n{told}\r\n", key.len(), told.len());
        std::io::Write::write_all(&mut stream, command.as_bytes()).unwrap();
        std::io::Read::read(&mut stream, &mut [0; 8]).unwrap();
        assert_eq!(a.exchange(heartbeat(1, InForce::default())).await.unwrap().gateways.len(), 2);
    }
    server.kill();
    assert!(matches!(a.exchange(heartbeat(1, InForce::default())).await, Err(StoreError::Redis { .. })));
    server.restart();
    a.exchange(heartbeat(1, InForce::default())).await.unwrap();
}

#[tokio::test]
async fn an_operators_first_call_after_a_restart_of_redis_is_made() {
    let mut server = RedisServer::durable();
    let registry = Redis::at(&server.url()).unwrap();
    let heard = registry.exchange(heartbeat(1, InForce::default())).await.unwrap();
    let first = now(&registry, heard.in_force, add("first")).await;
    server.kill();
    server.restart();
    let second = now(&registry, first, add("second")).await;
    server.kill();
    server.restart();
    assert_eq!(numbers(&registry.versions().await.unwrap()), [first.number, second.number]);
}

#[tokio::test]
async fn of_many_who_change_at_once_exactly_one_does() {
    let server = RedisServer::start();
    let boards: Vec<_> = (0..8).map(|_| Arc::new(Redis::at(&server.url()).unwrap())).collect();
    let mut from = InForce::default();
    for round in 0..20 {
        let changes: Vec<_> = boards
            .iter()
            .map(|registry| {
                let registry = registry.clone();
                tokio::spawn(async move { registry.switch(from, add(&format!("round {round}"))).await.unwrap() })
            })
            .collect();
        let mut made = Vec::new();
        for change in changes {
            made.extend(match change.await.unwrap() {
                Switched::Now(in_force) => Some(in_force),
                _ => None,
            });
        }
        assert_eq!(made.len(), 1, "{made:?}");
        from = made[0];
    }
}
