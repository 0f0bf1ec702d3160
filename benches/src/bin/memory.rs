//! Memory after ten million tickets of one room: the embedded store on a real file, driven as the
//! committer drives it. A quarter of the called claim; the others are no-shows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::Driven;
use gateway::line::store::embedded::Embedded;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TICKETS: u64 = 10_000_000;
/// Joins of one call.
const BATCH: u64 = 2_000;
/// Pause between calls: about 100,000 joins a second, and time for the line to move.
const PAUSE: Duration = Duration::from_millis(15);
/// May be used on top of what was used at the start.
const LIMIT: u64 = 64 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("weir.redb");
    let mut line = open(&file)?;
    line.call(0).await?;
    let start = benches::resident_bytes();
    println!("| tickets | called | passes given | live | memory MB | above the start |\n|---|---|---|---|---|---|");
    let mut peak = start;
    let started = Instant::now();
    loop {
        let view = line.call(BATCH).await?.view;
        let [next, called] = [view.segments.given(), view.segments.called()];
        let now = benches::resident_bytes();
        peak = peak.max(now);
        if next.is_multiple_of(TICKETS / 10) {
            let (now, above) = (megabytes(now), megabytes(now.saturating_sub(start)));
            let [granted, live] = [view.granted, view.active];
            println!("| {next} | {called} | {granted} | {live} | {now:.1} | {above:.1} |");
        }
        if next >= TICKETS {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let above = peak.saturating_sub(start);
    println!("\npeak {:.1} MB above the start, in {:.0} s", megabytes(above), started.elapsed().as_secs_f64());
    drop(line);
    let mut line = open(&file)?;
    let view = line.call(0).await?.view;
    anyhow::ensure!(view.segments.given() == TICKETS, "tickets were lost: {:?}", view.segments);
    println!("read again from {:.1} MB on the disk", megabytes(std::fs::metadata(&file)?.len()));
    anyhow::ensure!(above <= LIMIT, "more than {:.0} MB above the start", megabytes(LIMIT));
    Ok(())
}

fn open(file: &std::path::Path) -> anyhow::Result<Driven> {
    Ok(Driven::new(Arc::new(Embedded::open(file)?)))
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
