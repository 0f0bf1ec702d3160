//! A crowd's cost to the machine that sends it.

use std::time::{SystemTime, UNIX_EPOCH};

use evidence::Generator;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

use super::kernel::Kernel;
use crate::board::micros_since;

/// This machine's use, since the measurement began.
#[derive(Debug)]
pub(super) struct Machine {
    since: Instant,
    cpu: f64,
    kernel: Kernel,
    /// Unix time of the start of the run, in microseconds.
    pub(super) start_unix_us: i64,
}

impl Machine {
    /// Measures from now on. The run starts, or started, at `start`.
    pub(super) fn read(start: Instant) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start_unix_us = unix.as_micros() as i64 - micros_since(start);
        Self { since: Instant::now(), cpu: cpu(), kernel: Kernel::watch(), start_unix_us }
    }

    /// The use since then. Memory is the peak of the whole process.
    pub(super) fn report(&self) -> Generator {
        self.kernel.report(Generator {
            cpu_seconds: cpu() - self.cpu,
            seconds: self.since.elapsed().as_secs_f64(),
            threads: Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers() as u32),
            most_memory: most_memory().unwrap_or(0),
            ..Generator::default()
        })
    }
}

/// CPU time in seconds: of this thread if the crowd has one to itself, so that a shop beside it does not count.
fn cpu() -> f64 {
    let alone = Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread);
    let time = clock_gettime(if alone { ClockId::ThreadCPUTime } else { ClockId::ProcessCPUTime });
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Peak memory of this process in bytes, as Linux tells it.
pub(crate) fn most_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_time_and_memory() {
        let machine = Machine::read(Instant::now());
        let mut sum = 0_u64;
        while cpu() - machine.cpu < 0.02 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let report = machine.report();
        assert!(report.cpu_seconds >= 0.02 && report.seconds > 0.0, "{report:?}");
        assert!(!cfg!(target_os = "linux") || report.most_memory > 100_000, "{report:?}");
    }
}
