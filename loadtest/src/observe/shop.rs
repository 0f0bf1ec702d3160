//! The shop's side: its log, read in pieces while it is written, and its counters.

use std::time::Duration;

use anyhow::{Context, bail};
use evidence::shop::{Entry, Report};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::http_poller::HttpPoller;

/// How often the log is read.
const EVERY: Duration = Duration::from_millis(250);
/// How long requests in flight at the end may take.
const LAST: Duration = Duration::from_secs(3);

/// The shop's report.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) log: Vec<Entry>,
    pub(crate) report: Report,
}

/// The shop's counters so far.
pub(crate) async fn stats(shop: &mut HttpPoller) -> anyhow::Result<Report> {
    serde_json::from_slice(&shop.get("/shop/stats").await?)
        .with_context(|| format!("http://{}/shop/stats is not that of a demo shop of this version", shop.name))
}

/// The number of the last entry of its log, so that entries from before this run are left out.
pub(crate) async fn end_of_log(shop: &mut HttpPoller) -> anyhow::Result<u64> {
    let mut last = 0;
    loop {
        let piece = piece(shop, last).await?;
        match piece.last() {
            Some(entry) => last = entry.seq,
            None => return Ok(last),
        }
    }
}

/// Reads the log after this entry until `stop`, and then the rest of it.
pub(crate) async fn follow(mut shop: HttpPoller, after: u64, stop: CancellationToken) -> anyhow::Result<Side> {
    let mut reading = Reading { log: Vec::new(), after };
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        // What cannot be read now is read the next time.
        let _ = reading.on(&mut shop).await;
    }
    let report = at_rest(&mut shop).await?;
    reading.on(&mut shop).await?;
    Ok(Side { log: reading.log, report })
}

/// The shop's counters when nothing is in flight any more: a request is in the log when it is done.
async fn at_rest(shop: &mut HttpPoller) -> anyhow::Result<Report> {
    let end = Instant::now() + LAST;
    loop {
        let report = stats(shop).await?;
        if report.in_flight == 0 || Instant::now() > end {
            return Ok(report);
        }
        sleep(EVERY).await;
    }
}

/// A read cursor on a log.
struct Reading {
    log: Vec<Entry>,
    after: u64,
}

impl Reading {
    async fn on(&mut self, shop: &mut HttpPoller) -> anyhow::Result<()> {
        loop {
            let piece = piece(shop, self.after).await?;
            let Some(last) = piece.last().map(|entry| entry.seq) else { return Ok(()) };
            if last.checked_sub(self.after) != Some(piece.len() as u64) {
                bail!("the shop's log lost entries before they were read");
            }
            self.after = last;
            self.log.extend(piece);
        }
    }
}

async fn piece(shop: &mut HttpPoller, after: u64) -> anyhow::Result<Vec<Entry>> {
    let text = shop.get(&format!("/shop/log?after={after}")).await?;
    let entries = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(serde_json::from_slice);
    entries
        .collect::<Result<_, _>>()
        .with_context(|| format!("http://{}/shop/log is not that of a demo shop", shop.name))
}
