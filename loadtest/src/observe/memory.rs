//! Memory of the gateways that run on this machine, from the kernel.

use std::fs;
use std::time::Duration;

use evidence::{Memory, micros};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

/// Sample interval.
const EVERY: Duration = Duration::from_millis(250);

/// Samples these processes until `stop`. Where the kernel does not tell, there are no samples.
pub(crate) async fn watch(pids: Vec<u32>, start: Instant, stop: CancellationToken) -> Vec<Memory> {
    let mut looks = Vec::new();
    let mut tick = interval_at(start, EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !pids.is_empty() && stop.run_until_cancelled(tick.tick()).await.is_some() {
        let at = micros(start.elapsed());
        let look = |(gateway, &pid)| Some(Memory { at, gateway, bytes: resident(pid)? });
        looks.extend((0..).zip(&pids).filter_map(look));
    }
    looks
}

/// Resident memory of a process, in bytes.
fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_of_this_machine_has_memory() {
        let stop = CancellationToken::new();
        let watching = tokio::spawn(watch(vec![std::process::id()], Instant::now(), stop.clone()));
        tokio::time::sleep(EVERY / 2).await;
        stop.cancel();
        let looks = watching.await.unwrap();
        assert!(!cfg!(target_os = "linux") || looks.first().is_some_and(|look| look.bytes > 100_000), "{looks:?}");
        assert_eq!(resident(u32::MAX), None);
    }
}
