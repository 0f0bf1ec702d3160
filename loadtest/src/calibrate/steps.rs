//! The highest rate at which this machine sends in time.

use std::time::Duration;

use anyhow::Context;
use evidence::Evidence;
use evidence::stats::Quantiles;
use loadtest::crowd::Watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::load::Load;
use super::server::{Answer, Server};

/// Requests of a visit.
const REQUESTS: f64 = 3.0;
/// A generator with a higher p99 of lateness measures itself.
const LATE_MS: f64 = 10.0;
/// Closer looks between the last step that held and the first that did not.
const CLOSER: usize = 3;
/// The highest rate that is tried.
const HIGHEST: f64 = 1e6;
/// From this share of its thread's time on, the processor is the bound.
const BUSY: f64 = 0.85;

/// The result of a step.
struct Step {
    offered: f64,
    sent: f64,
    lag_p99_ms: f64,
    failed: u64,
    local_failures: u64,
    cpu: f64,
}

/// Climbs until a step does not hold, looks closer, and prints.
pub(super) async fn climb(from: f64, length: Duration) -> anyhow::Result<()> {
    println!("One process, against a server on this machine that does nothing; {} s a step.\n", length.as_secs());
    println!("   offered/s      sent/s    lag p99   failed    CPU");
    let (mut held, mut rate): (Option<Step>, f64) = (None, from);
    let mut broke = loop {
        let step = step(rate, length).await?;
        if !step.holds() || rate >= HIGHEST {
            break step;
        }
        held = Some(step);
        rate *= 2.0;
    };
    for _ in 0..CLOSER {
        let below = held.as_ref().map_or(0.0, |step| step.offered);
        let step = step(f64::midpoint(below, broke.offered), length).await?;
        if step.holds() {
            held = Some(step);
        } else {
            broke = step;
        }
    }
    match held {
        Some(held) => println!("\nHeld: {:.0} requests a second. Beyond it {}.", held.sent, broke.why()),
        None => println!("\nNot even {:.0} requests a second held: {}.", broke.offered, broke.why()),
    }
    Ok(())
}

async fn step(offered: f64, length: Duration) -> anyhow::Result<Step> {
    let server = Server::open(&Answer::Shop)?;
    let load = Load { server: server.address, rate: offered / REQUESTS, length };
    let crowd = load.send(Watch::default(), CancellationToken::new())?;
    while !crowd.is_finished() {
        sleep(Duration::from_millis(20)).await;
    }
    let seen = crowd.join().ok().context("the crowd broke in the middle")?;
    let step = Step::of(offered, length, &seen);
    println!("{step}");
    Ok(step)
}

impl Step {
    fn of(offered: f64, length: Duration, seen: &Evidence) -> Self {
        let lag = Quantiles::of(seen.timeline.iter().map(|second| &second.lag));
        let generators = || seen.generators.iter();
        let seconds: f64 = generators().map(|generator| generator.seconds * f64::from(generator.threads)).sum();
        Self {
            offered,
            sent: seen.timeline.iter().map(|second| second.requests).sum::<u64>() as f64 / length.as_secs_f64(),
            lag_p99_ms: lag.p99_ms,
            failed: seen.timeline.iter().map(|second| second.failed).sum(),
            local_failures: generators().map(|generator| generator.local_failures).sum(),
            cpu: generators().map(|generator| generator.cpu_seconds).sum::<f64>() / seconds.max(0.001),
        }
    }

    fn holds(&self) -> bool {
        self.lag_p99_ms <= LATE_MS && self.failed + self.local_failures == 0 && self.sent >= 0.95 * self.offered
    }

    /// The bound.
    fn why(&self) -> String {
        match () {
            () if self.local_failures > 0 => "ports or file descriptors run out".into(),
            () if self.cpu >= BUSY => {
                format!("its thread is busy ({:.0} % of a core): --workers 2 uses two", self.cpu * 100.0)
            }
            () if self.failed > 0 => "answers fail".into(),
            () => format!(
                "requests are {:.0} ms late (p99) though its thread has time: something else keeps this machine busy, \
                 perhaps the server",
                self.lag_p99_ms
            ),
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { offered, sent, lag_p99_ms, failed, local_failures, cpu } = self;
        let failed = failed + local_failures;
        write!(f, "{offered:>12.0}{sent:>12.0}{lag_p99_ms:>8.1} ms{failed:>9}{:>5.0} %", cpu * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> Step {
        Step { offered: 1000.0, sent: 998.0, lag_p99_ms: 4.0, failed: 0, local_failures: 0, cpu: 0.5 }
    }

    #[test]
    fn a_step_holds_if_all_was_sent_in_time_and_answered() {
        assert!(step().holds());
        assert!(!Step { lag_p99_ms: 10.5, ..step() }.holds());
        assert!(!Step { failed: 1, ..step() }.holds());
        assert!(!Step { local_failures: 1, ..step() }.holds());
        assert!(!Step { sent: 900.0, ..step() }.holds());
    }

    #[test]
    fn what_binds_is_told() {
        assert!(Step { cpu: 0.97, ..step() }.why().contains("97 % of a core"));
        assert!(Step { local_failures: 3, cpu: 0.97, ..step() }.why().contains("ports"));
        assert!(step().why().contains("something else"));
    }
}
