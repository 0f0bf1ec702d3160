//! The cost of one gateway to its Redis: commands a second for lines and storms of different sizes, and the
//! memory of ten million who wait. Live rooms, the committer and the Redis store, against a real server.
//!
//! Commands are those that the server received. What a script calls inside the server is told apart: Redis
//! counts that too, but it costs no round trip.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use benches::Driven;
use benches::redis::Redis as Server;
use gateway::line::rooms::{self, LiveRoom, Rooms};
use gateway::line::store::redis::Redis;
use gateway::line::store::{Store as _, Work};
use gateway::telemetry::StoreMeters;
use policy::line::Batch;
use policy::room::Rules;
use tokio_util::sync::CancellationToken;

const WAITING: [u64; 3] = [1_000, 10_000, 100_000];
const JOINS: [u64; 4] = [100, 1_000, 5_000, 20_000];
const SECONDS: u64 = 5;
/// Enter in a minute: 100 a second.
const RATE: u32 = 6_000;
/// Commands a second that a gateway may send.
const COMMANDS: f64 = 300.0;

const TICKETS: u64 = 10_000_000;
/// Joins of one call while the line is filled, and the pause after it.
const BATCH: u64 = 10_000;
const PAUSE: Duration = Duration::from_millis(5);
/// May be used for ten million who wait, besides the passes of those inside.
const MEMORY: f64 = 4e6;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let most = commands().await?;
    let memory = memory().await?;
    anyhow::ensure!(most <= COMMANDS, "more than {COMMANDS} commands a second");
    anyhow::ensure!(memory <= MEMORY, "more than {MEMORY} bytes");
    Ok(())
}

/// The curve of commands; answers the most.
async fn commands() -> anyhow::Result<f64> {
    let server = Server::start()?;
    let store = Arc::new(Redis::at(&server.url())?);
    let (rooms, mailbox) = rooms::rooms(1);
    let stop = CancellationToken::new();
    let committer =
        tokio::spawn(rooms::run(rooms.clone(), mailbox, store.clone(), StoreMeters::default(), stop.clone()));
    println!(
        "| waiting | joins/s | commands/s | with those inside scripts | kB/s | Redis CPU | join p50 ms | p99 ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut most: f64 = 0.0;
    for waiting in WAITING {
        for rate in JOINS {
            let room = line(&rooms, &store, waiting, rate).await?;
            most = most.max(step(&server, &room, waiting, rate).await?);
        }
    }
    stop.cancel();
    committer.await?;
    Ok(most)
}

/// A room where so many wait, and no other visitor comes.
async fn line(rooms: &Rooms, store: &Redis, waiting: u64, rate: u64) -> anyhow::Result<Arc<LiveRoom>> {
    let (name, rules) = (format!("launch-{waiting}-{rate}"), Rules::per_minute(RATE));
    let batch = Batch { joins: waiting, ..Batch::default() };
    store.commit(vec![Work { room: name.as_str().into(), rules: rules.clone(), batch }]).await?;
    rooms.apply([(name.clone(), benches::terms(rules))]);
    let room = rooms.all().get(name.as_str()).context("the room was just made")?.clone();
    while room.snapshot().waiting() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(room)
}

/// Some seconds of one step; commands a second.
async fn step(server: &Server, room: &Arc<LiveRoom>, waiting: u64, rate: u64) -> anyhow::Result<f64> {
    let called = tokio::spawn(called(room.clone()));
    let (before, started) = (server.work()?, Instant::now());
    let took = benches::joins(room, rate, SECONDS).await?;
    let (after, seconds) = (server.work()?, started.elapsed().as_secs_f64());
    called.abort();
    let commands = (after.received - before.received) / seconds;
    let executed = (after.executed - before.executed) / seconds;
    let traffic = (after.bytes - before.bytes) / seconds / 1000.0;
    let cpu = (after.cpu - before.cpu) / seconds * 100.0;
    let millis = |quantile: f64| took.value_at_quantile(quantile) as f64 / 1000.0;
    let (p50, p99) = (millis(0.5), millis(0.99));
    let costs = format!("{commands:.0} | {executed:.0} | {traffic:.0} | {cpu:.0} %");
    println!("| {waiting} | {:.0} | {costs} | {p50:.1} | {p99:.1} |", took.len() as f64 / seconds);
    Ok(commands)
}

/// Six in ten of the called shoppers come and claim.
async fn called(room: Arc<LiveRoom>) {
    let mut seen = room.snapshot().view.as_ref().map_or(0, |view| view.segments.open.serving);
    loop {
        let serving = room.snapshot().view.as_ref().map_or(0, |view| view.segments.open.serving);
        for number in (seen + 1..=serving).filter(|number| number % 10 < 6) {
            let room = room.clone();
            tokio::spawn(async move { room.claim(number).await });
        }
        seen = serving.max(seen);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Memory of a line of ten million, of which the first were called and the last gave up; the active set aside.
async fn memory() -> anyhow::Result<f64> {
    let server = Server::start()?;
    let store = Arc::new(Redis::at(&server.url())?);
    let mut line = Driven::new(store.clone());
    line.call(0).await?;
    let start = server.work()?.memory;
    for _ in 0..TICKETS / BATCH {
        line.call(BATCH).await?;
        tokio::time::sleep(PAUSE).await;
    }
    // A bitmap is as long as its highest number.
    let last = line.call(0).await?.view.segments.open.next;
    let batch = Batch { releases: vec![last], ..Batch::default() };
    let rules = Rules::per_minute(120_000);
    let view = store.commit(vec![Work { room: "launch".into(), rules, batch }]).await?.remove(0).view;
    let used = server.work()?.memory - start;
    let (given, called) = (view.segments.given(), view.segments.called());
    println!("\n{} tickets, {} called, {} passes given, {} live\n", given, called, view.granted, view.active);
    println!("| key | bytes |\n|---|---|");
    let mut active = 0.0;
    let keys = server.keys()?;
    for key in keys {
        let bytes: f64 = server.command(&format!("MEMORY USAGE {key} SAMPLES 0"))?.parse()?;
        println!("| `{key}` | {bytes:.0} |");
        active += if key.ends_with(":active") { bytes } else { 0.0 };
    }
    println!("| used_memory, above an empty line | {used:.0} |\n| without the active set | {:.0} |", used - active);
    Ok(used - active)
}
