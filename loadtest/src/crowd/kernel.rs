//! The kernel's limits on this machine while a crowd is sent, each with its high-water mark.
//!
//! They are read on a thread of their own, which may block: reading must not delay the crowd.
//!
//! Out of scope: what a full one means for a run ([`verdict`]).

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use evidence::{Generator, KernelLimit};
use machine::{ListenLosses, Usage};

/// How often they are read...
const EVERY: Duration = Duration::from_secs(1);
/// ...and the slower ones, in rounds.
const RARELY: u32 = 5;

/// The limits, being read.
#[derive(Debug)]
pub(super) struct Kernel {
    seen: Arc<Mutex<Reading>>,
    /// Dropping it ends the thread.
    _stop: Sender<()>,
}

#[derive(Debug, Default)]
struct Reading {
    limits: Vec<KernelLimit>,
    before: Losses,
    now: Losses,
}

/// Counts since the machine started.
#[derive(Debug, Clone, Copy, Default)]
struct Losses {
    packets: u64,
    overflows: u64,
}

impl Losses {
    fn read() -> Self {
        let ListenLosses { overflows, .. } = machine::listen_losses().unwrap_or_default();
        Self { packets: machine::conntrack_drops().unwrap_or(0), overflows }
    }
}

impl Kernel {
    /// Reads them from now on.
    pub(super) fn watch() -> Self {
        let before = Losses::read();
        let seen = Arc::new(Mutex::new(Reading { before, now: before, limits: Vec::new() }));
        let (stop, stopped) = channel();
        let shared = seen.clone();
        let spawned = std::thread::Builder::new().name("kernel".into()).spawn(move || read(&shared, &stopped));
        // Without a thread the limits are not reported, and not judged.
        drop(spawned);
        Self { seen, _stop: stop }
    }

    /// Adds the readings to the report of a generator.
    pub(super) fn report(&self, generator: Generator) -> Generator {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Generator {
            limits: seen.limits.clone(),
            dropped_packets: seen.now.packets.saturating_sub(seen.before.packets),
            listen_overflows: seen.now.overflows.saturating_sub(seen.before.overflows),
            ..generator
        }
    }
}

fn read(seen: &Mutex<Reading>, stopped: &Receiver<()>) {
    for round in 0_u32.. {
        let ports = || machine::busiest_destination().map(|destination| destination.ports);
        let ports = if round.is_multiple_of(RARELY) { ports() } else { None };
        let usages =
            [("descriptors", machine::descriptors()), ("conntrack", machine::conntrack()), ("ephemeral_ports", ports)];
        let losses = Losses::read();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.now = losses;
        for (name, usage) in usages {
            seen.note(name, usage);
        }
        drop(seen);
        if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

impl Reading {
    fn note(&mut self, name: &str, usage: Option<Usage>) {
        let Some(Usage { used, limit }) = usage else { return };
        let now = KernelLimit { name: name.to_owned(), used, limit };
        match self.limits.iter_mut().find(|known| known.name == name) {
            Some(known) if now.share() > known.share() => *known = now,
            Some(_) => {}
            None => self.limits.push(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_moment_of_each_limit_is_kept() {
        let mut seen = Reading::default();
        for used in [10, 90, 20] {
            seen.note("conntrack", Some(Usage { used, limit: 100 }));
            seen.note("descriptors", None);
        }
        assert_eq!(seen.limits, [KernelLimit { name: "conntrack".into(), used: 90, limit: 100 }]);
    }
}
