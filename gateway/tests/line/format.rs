//! A store names its format: what another version of Weir has written goes on, or is refused by name and left as it was.
//!
//! Format 1 said nothing of itself. What stands for it here is in `format_1`, made by commit 5ae3052: `weir.redb.gz` is the file of
//! its embedded store after the calls that [`the_line_of_the_file`] tells of; `line.lua.gz` is its script of lines, the six
//! files of `gateway/src/store/redis/line` one behind the other as it sent them; `exchange.lua` is its exchange with other gateways.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::io::Read as _;

use crate::common::redis::RedisServer;
use flate2::read::GzDecoder;
use gateway::line::store::embedded::Embedded;
use gateway::line::store::redis::Redis;
use gateway::line::store::registry::{Heartbeat, InForce, Registry as _};
use gateway::line::store::{FORMAT, Store as _, StoreError, Work};
use policy::line::{Adopt, Adopted, Batch, Grant, Outcome, Revoked};
use policy::room::Rules;
use redb::{Database, ReadableDatabase as _, TableDefinition, TableError};
use redis::aio::MultiplexedConnection;

const FILE: &[u8] = include_bytes!("format_1/weir.redb.gz");
const LINE: &[u8] = include_bytes!("format_1/line.lua.gz");
const EXCHANGE: &str = include_str!("format_1/exchange.lua");

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut unpacked).unwrap();
    unpacked
}

async fn ask(store: &Embedded, batch: Batch) -> Outcome {
    let rules = Rules { open: false, ..Rules::per_minute(60_000) };
    store.commit(vec![Work { room: "launch".into(), rules, batch }]).await.unwrap().remove(0)
}

/// Twenty joined; the first two claimed their passes, which live for a century; the second gave it back. Then the room was
/// closed, three provisional tickets were numbered and fifty thousand more joined, and one version of the rooms was applied.
async fn the_line_of_the_file(store: &Embedded) {
    let batch = Batch { gateway: 2, ..Batch::default() };
    let view = ask(store, batch.clone()).await.view;
    let base = view.segments.open.base;
    assert_eq!((view.segments.given(), view.granted, view.active), (50_023, 2, 1), "{view:?}");
    let adopted = Adopted { adopt: Adopt { incarnation: 7, first: 1, count: 3 }, base: base + 21, seed: None };
    assert_eq!(view.adopted, [adopted]);

    let claims = vec![base + 1, base + 2, base + 50_023];
    let outcome = ask(store, Batch { claims, revocations_seen: 0, ..batch }).await;
    let [(_, first), (_, second), (_, last)] = outcome.grants[..] else { panic!("{:?}", outcome.grants) };
    assert!(matches!(first, Grant::Pass { expires, .. } if expires > 1 << 42), "{first:?}");
    assert_eq!((second, last), (Grant::Spent, Grant::NotYet));
    assert!(matches!(outcome.revoked[..], [Revoked { number, evicted: false, .. }] if number == base + 2));

    let versions = store.versions().await.unwrap();
    assert!(versions.len() == 1 && versions[0].text.contains("new_users_per_minute = 600"), "{versions:?}");
    let news =
        store.exchange(Heartbeat { incarnation: 1, text: "{}".into(), knows: InForce::default() }).await.unwrap();
    assert_eq!(news.in_force, InForce { switch: 1, number: 1 });
}

#[tokio::test]
async fn a_file_of_format_1_is_taken_over_with_its_line_and_that_version_refuses_it_from_then_on() {
    type ItsRow = (u64, u64, u64, u64, u64, u64, u64, f64, f64);
    const ITS_COUNTERS: TableDefinition<&str, ItsRow> = TableDefinition::new("line");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weir.redb");
    std::fs::write(&file, unpacked(FILE)).unwrap();
    for opening in ["the first", "another"] {
        let store = Embedded::open(&file).unwrap_or_else(|error| panic!("{opening}: {error}"));
        the_line_of_the_file(&store).await;
    }
    let joined = ask(&Embedded::open(&file).unwrap(), Batch { joins: 1, ..Batch::default() }).await;
    assert_eq!(joined.view.segments.given(), 50_024, "its numbers go on");

    let database = Database::open(&file).unwrap();
    let write = database.begin_write().unwrap();
    assert!(matches!(write.open_table(ITS_COUNTERS), Err(TableError::TableTypeMismatch { .. })));
}

#[test]
fn a_file_of_a_later_format_is_refused_by_name_and_left_as_it_was() {
    const WHICH_FORMAT: TableDefinition<(), u64> = TableDefinition::new("line");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weir.redb");
    {
        let database = Database::create(&file).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(WHICH_FORMAT).unwrap().insert((), FORMAT + 1).unwrap();
        write.commit().unwrap();
    }

    let error = Embedded::open(&file).err().unwrap();
    assert!(matches!(error, StoreError::Format { found: Some(found), .. } if found == FORMAT + 1), "{error:?}");
    let (told, name) = (error.to_string(), file.display().to_string());
    let (theirs, ours) = (format!("format {}", FORMAT + 1), format!("format {FORMAT}"));
    assert!([&*name, &theirs, &ours, "move the file away"].iter().all(|part| told.contains(part)), "{told}");
    let database = Database::open(&file).unwrap();
    let read = database.begin_read().unwrap();
    assert_eq!(read.list_tables().unwrap().count(), 1, "it has no table that it had not");
}

/// The Redis of a launch, as gateways of format 1 find and leave it.
struct Older {
    redis: MultiplexedConnection,
}

impl Older {
    async fn on(server: &RedisServer) -> Self {
        let client = redis::Client::open(server.url()).unwrap();
        Self { redis: client.get_multiplexed_async_connection().await.unwrap() }
    }

    /// So many join. The arguments are those that its script reads, in their order.
    async fn join(&mut self, joins: u64) -> redis::RedisResult<redis::Value> {
        let names = ["line", "came", "active", "here", "named_by", "gone", "gateways", "settled", "revoked", "adopted"];
        let slots = (0..8).map(|slot| format!("claimed:{slot}"));
        let keys = names.map(str::to_owned).into_iter().chain(slots).map(|name| format!("weir:{{launch}}:{name}"));
        let rules = ["", "", "10", "10", "", "300000", "300000", "1", "1", "0"];
        let (gateway, joins, adopt) = (["1", "0"], [joins, 0], ["", "", ""]);
        let (named, lease) = (["0", "0", "0"], ["", "", "0"]);
        let (seen, restored) = (["", "0", "0", "0", "0", "0", "0"], ["0", "0", "0", "0", "0"]);
        let mut call = redis::cmd("EVAL");
        call.arg(String::from_utf8(unpacked(LINE)).unwrap()).arg(18).arg(keys.collect::<Vec<_>>());
        call.arg(&rules).arg(&gateway).arg(&joins).arg(&adopt).arg(&named).arg(&lease).arg(&seen).arg(&restored);
        call.query_async(&mut self.redis).await
    }

    /// It tells of itself, and hears of the others.
    async fn exchange(&mut self) -> redis::RedisResult<redis::Value> {
        let keys = ["in_force", "texts", "gateways"].map(|name| format!("weir:rooms:{{versions}}:{name}"));
        let mut call = redis::cmd("EVAL");
        call.arg(EXCHANGE).arg(3).arg(&keys).arg("0000002a").arg("{}").arg(0).arg(5_000);
        call.query_async(&mut self.redis).await
    }

    /// Everything that is there.
    async fn all(&mut self) -> BTreeMap<String, Vec<u8>> {
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut self.redis).await.unwrap();
        let mut all = BTreeMap::new();
        for key in keys {
            let value = redis::cmd("DUMP").arg(&key).query_async(&mut self.redis).await.unwrap();
            all.insert(key, value);
        }
        all
    }
}

fn join() -> Vec<Work> {
    let batch = Batch { joins: 1, ..Batch::default() };
    vec![Work { room: "launch".into(), rules: Rules::per_minute(600), batch }]
}

fn beat() -> Heartbeat {
    Heartbeat { incarnation: 1, text: "{}".into(), knows: InForce::default() }
}

/// Both calls are refused because of this format; what the first one is told.
async fn refusal(store: &Redis, format: u64) -> String {
    let errors = [store.exchange(beat()).await.unwrap_err(), store.commit(join()).await.unwrap_err()];
    let is_it = |error: &StoreError| matches!(error, StoreError::Format { found: Some(found), .. } if *found == format);
    assert!(errors.iter().all(is_it), "{errors:?}");
    errors[0].to_string()
}

#[tokio::test]
async fn a_redis_of_format_1_is_refused_by_name_and_left_as_it_was() {
    let server = RedisServer::start();
    let (mut older, store) = (Older::on(&server).await, Redis::at(&server.url()).unwrap());
    older.exchange().await.unwrap();
    older.join(5).await.unwrap();
    let before = older.all().await;
    assert!(before.len() >= 3, "{before:?}");
    let told = refusal(&store, 1).await;
    let (at, key) = (server.address.to_string(), "weir:rooms:{versions}:gateways");
    assert!(["format 1", "format 2", &*at, key, "another Redis"].iter().all(|part| told.contains(part)), "{told}");
    assert_eq!(older.all().await, before);

    // Its fleet has ended, and its keys were deleted.
    assert_eq!(server.command("FLUSHALL"), "+OK");
    store.exchange(beat()).await.unwrap();
    assert_eq!(store.commit(join()).await.unwrap()[0].view.segments.given(), 1);
}

#[tokio::test]
async fn a_gateway_of_format_1_fails_beside_this_version_and_changes_nothing() {
    let server = RedisServer::start();
    let (mut older, store) = (Older::on(&server).await, Redis::at(&server.url()).unwrap());
    store.exchange(beat()).await.unwrap();
    store.commit(join()).await.unwrap();
    let before = older.all().await;
    for refused in [older.exchange().await, older.join(5).await] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("WRONGTYPE"), "{error}");
    }
    assert_eq!(older.all().await, before);
    store.exchange(beat()).await.unwrap();
    assert_eq!(store.commit(join()).await.unwrap()[0].view.segments.given(), 2);
}

#[tokio::test]
async fn a_room_that_a_gateway_of_format_1_has_begun_is_refused_alone() {
    let server = RedisServer::start();
    let (mut older, store) = (Older::on(&server).await, Redis::at(&server.url()).unwrap());
    older.join(5).await.unwrap();
    let refused = store.commit(join()).await.unwrap_err().to_string();
    assert!(refused.contains("format 1") && refused.contains("key weir:{launch}:line"), "{refused}");
    let elsewhere = join().into_iter().map(|work| Work { room: "elsewhere".into(), ..work }).collect();
    assert_eq!(store.commit(elsewhere).await.unwrap()[0].view.segments.given(), 1);
}

#[tokio::test]
async fn a_redis_of_a_later_format_is_refused_by_name_and_left_as_it_was() {
    let server = RedisServer::start();
    let (mut raw, store) = (Older::on(&server).await, Redis::at(&server.url()).unwrap());
    for key in ["weir:rooms:{versions}:gateways", "weir:{launch}:line"] {
        assert_eq!(server.command(&format!("SET {key} 3")), "+OK");
    }
    let before = raw.all().await;
    let told = refusal(&store, 3).await;
    assert!(told.contains("is in format 3"), "{told}");
    assert_eq!(raw.all().await, before);
}
