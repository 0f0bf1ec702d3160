//! Store calls per second under a storm of joins, without sockets: live rooms, the committer and the
//! embedded store on a real file. `benches/storm` does the same over loopback, as far as that goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use gateway::line::rooms;
use gateway::line::store::embedded::Embedded;
use gateway::line::store::{Commit, Store, Work};
use gateway::telemetry::StoreMeters;
use policy::room::Rules;
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RATES: [u64; 4] = [100, 1_000, 10_000, 50_000];
const SECONDS: u64 = 5;

/// A store that counts its calls.
struct Counted {
    store: Embedded,
    calls: AtomicU64,
}

impl Store for Counted {
    fn commit(&self, works: Vec<Work>) -> Commit<'_> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.store.commit(works)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let store = Embedded::open(&dir.path().join("weir.redb"))?;
    let store = Arc::new(Counted { store, calls: AtomicU64::new(0) });
    let (rooms, mailbox) = rooms::rooms(1);
    rooms.apply([("launch".to_owned(), benches::terms(Rules::per_minute(600)))]);
    let stop = CancellationToken::new();
    let committer = rooms::run(rooms.clone(), mailbox, store.clone(), StoreMeters::default(), stop.clone());
    let committer = tokio::spawn(committer);
    let room = rooms.all().get("launch").context("the room was just made")?.clone();
    // A join in a calm line is held for its turn: the ones below stand behind a hundred others.
    benches::joins(&room, 200, 1).await?;

    println!("| joins/s | store calls/s | joins per call | join p50 ms | p99 ms |\n|---|---|---|---|---|");
    for rate in RATES {
        let before = store.calls.load(Ordering::Relaxed);
        let started = Instant::now();
        let took = benches::joins(&room, rate, SECONDS).await?;
        let seconds = started.elapsed().as_secs_f64();
        let calls = (store.calls.load(Ordering::Relaxed) - before) as f64;
        let millis = |quantile: f64| took.value_at_quantile(quantile) as f64 / 1000.0;
        let (done, p50, p99) = (took.len() as f64, millis(0.5), millis(0.99));
        println!("| {:.0} | {:.0} | {:.0} | {p50:.1} | {p99:.1} |", done / seconds, calls / seconds, done / calls);
    }
    stop.cancel();
    Ok(committer.await?)
}
