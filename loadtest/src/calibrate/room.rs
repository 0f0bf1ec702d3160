//! How many shoppers fit into this machine at once: by memory, ports and file descriptors.

use std::fmt;
use std::time::Duration;

use anyhow::bail;
use loadtest::crowd::Watch;
use rustix::process::{Resource, getrlimit};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::load::Load;
use super::server::{Answer, Server};

/// Shoppers who wait at once, to measure the cost of one.
const SOME: u64 = 5_000;
/// Their arrival rate, per second.
const RATE: f64 = 1_000.0;
/// All of them must have arrived by then.
const LONGEST: Duration = Duration::from_mins(1);
/// File descriptors for anything but shoppers' sockets.
const OWN_FILES: u64 = 64;
/// Source addresses of a scenario by default.
const ADDRESSES: u64 = 1_000;

/// What the machine has, and what one shopper takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Available memory in bytes.
    free_memory: u64,
    /// Bytes of memory per waiting shopper, without a connection.
    of_one: u64,
    /// Ports of one source address.
    ports: u64,
    /// File descriptors per process.
    files: u64,
}

/// Lets some thousands wait.
pub(super) async fn measure() -> anyhow::Result<Room> {
    let server = Server::open(&Answer::Line)?;
    let length = Duration::from_secs_f64(SOME as f64 / RATE) + LONGEST;
    let (watch, stop) = (Watch::default(), CancellationToken::new());
    let _end = stop.clone().drop_guard();
    let before = resident();
    let crowd = Load { server: server.address, rate: RATE, length }.send(watch.clone(), stop)?;
    let late = Instant::now() + LONGEST;
    while watch.progress().waiting < SOME {
        if crowd.is_finished() || Instant::now() > late {
            bail!("{SOME} shoppers could not be made to wait within {} s: this machine is too busy", LONGEST.as_secs());
        }
        sleep(Duration::from_millis(20)).await;
    }
    let waiting = watch.progress().waiting;
    Ok(Room {
        free_memory: kilobytes("/proc/meminfo", "MemAvailable:") * 1024,
        of_one: (resident().saturating_sub(before) / waiting).max(1),
        ports: ports(),
        files: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
    })
}

/// Bytes of memory that this process holds.
fn resident() -> u64 {
    kilobytes("/proc/self/status", "VmRSS:") * 1024
}

fn kilobytes(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse().ok());
    value.unwrap_or(0)
}

fn ports() -> u64 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let ends: Vec<u64> = range.split_whitespace().filter_map(|end| end.parse().ok()).collect();
    match ends[..] {
        [low, high] if high >= low => high - low + 1,
        _ => 28_232,
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { free_memory, of_one, ports, files } = *self;
        let (waiting, sockets) = (free_memory / of_one, files.saturating_sub(OWN_FILES));
        let binds = |there: u64| if sockets <= there { "file descriptors" } else { "ports" };
        let (here, elsewhere) = (ports.saturating_mul(ADDRESSES), ports);
        writeln!(f, "Shoppers at once, in one process:")?;
        writeln!(
            f,
            "  {waiting:>12}  who wait without a connection; memory binds ({of_one} bytes each, {} MiB are free)",
            free_memory >> 20
        )?;
        writeln!(
            f,
            "  {:>12}  who are connected to a target on this machine; {} bind ({files} file descriptors, {ports} ports \
             for each of {ADDRESSES} source addresses)",
            sockets.min(here),
            binds(here)
        )?;
        write!(
            f,
            "  {:>12}  who are connected to a target elsewhere; {} bind ({ports} ports of one address)",
            sockets.min(elsewhere),
            binds(elsewhere)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_binds_is_told_for_those_who_wait_and_those_who_are_connected() {
        let room = Room { free_memory: 1 << 30, of_one: 1024, ports: 28_232, files: 1_000_064 };
        let text = room.to_string();
        assert!(text.contains("     1048576  who wait"), "{text}");
        assert!(
            text.contains("     1000000  who are connected to a target on this machine; file descriptors"),
            "{text}"
        );
        assert!(text.contains("       28232  who are connected to a target elsewhere; ports"), "{text}");
        let few = Room { files: 1_024, ..room };
        assert!(few.to_string().contains("         960  who are connected to a target elsewhere; file"), "{few}");
    }
}
