//! Attacks over real sockets, against the shop alone: no gateway stops them.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;
use std::time::Duration;

use demo_shop::Shop;
use demo_shop::database::Tuning;
use evidence::shop::Entry;
use evidence::{Attacked, Page};
use launch_model::attack::{Attack, ID, Kind};
use launch_model::scenario::Scenario;
use launch_model::span::Span;
use loadtest::attack::Siege;
use loadtest::wire::Target;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

const CONNECTIONS: u32 = 4;

/// Every attack at once for two seconds, and the shop's evidence.
async fn besieged() -> (Vec<Attacked>, Vec<Entry>) {
    let shop = Shop::new(Tuning { slots: 200, service_time: Duration::ZERO, ..Tuning::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::plain(listener.local_addr().unwrap(), "shop.test");
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&shop).serve(listener, CancellationToken::new()));
    let attack = |kind| Attack {
        kind,
        connections: CONNECTIONS,
        addresses: 2,
        rate: 100.0,
        from: Span(Duration::ZERO),
        r#for: Span(Duration::from_secs(2)),
    };
    let scenario: Scenario = toml::from_str("name = 't'\narrivals = []\n[room]\nnew_users_per_minute = 60\n").unwrap();
    let siege = Siege {
        attacks: Kind::ALL.map(attack).into(),
        room: scenario.room,
        targets: vec![target],
        start: Instant::now(),
    };
    let done = timeout(Duration::from_mins(1), siege.lay(CancellationToken::new())).await.unwrap();
    let log = shop.log().read(0).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (done, log)
}

#[tokio::test]
async fn every_attack_is_made_and_counted_and_ends_by_itself() {
    let (done, log) = besieged().await;
    let of = |kind| done.iter().find(|attacked| attacked.kind == kind).unwrap();
    for kind in Kind::ALL {
        let attacked = of(kind);
        assert!(attacked.requests > 0 && attacked.opened > 0 && attacked.local_failures == 0, "{attacked:?}");
        assert!(attacked.most <= u64::from(CONNECTIONS), "{attacked:?}");
    }
    for kind in [Kind::SlowBody, Kind::SlowPreflight, Kind::SlowReader] {
        let held = of(kind);
        assert!(
            held.answers.is_empty() && held.opened == u64::from(CONNECTIONS),
            "the shop waits for all of it: {held:?}"
        );
    }
    assert_eq!(of(Kind::UpgradeHoarder).answers, [(101, u64::from(CONNECTIONS))].into());
    assert!(of(Kind::ZeroWindow).cut > 0, "the shop speaks no HTTP/2");
    let came = |page: Page| log.iter().filter(|entry| entry.page == page).count();
    assert!(
        came(Page::Item) > 0 && came(Page::Order) > 0,
        "twisted paths are pages, and preflights with a form orders"
    );
    assert!(log.iter().all(|entry| entry.request_id.as_deref().is_some_and(|id| id.starts_with(ID))));
}

#[tokio::test]
async fn attacks_end_at_once_when_they_are_told_to() {
    let scenario: Scenario = toml::from_str("name = 't'\narrivals = []\n[room]\nnew_users_per_minute = 60\n").unwrap();
    let attack: Attack = toml::from_str("kind = 'idle_hoarder'\nfrom = '0s'\nfor = '1h'").unwrap();
    let nobody = Target::plain(([127, 0, 0, 1], 1).into(), "shop.test");
    let stop = CancellationToken::new();
    stop.cancel();
    let siege = Siege { attacks: vec![attack], room: scenario.room, targets: vec![nobody], start: Instant::now() };
    let done = timeout(Duration::from_secs(30), siege.lay(stop)).await.unwrap();
    assert_eq!((done.len(), done[0].requests), (1, 0));
}
