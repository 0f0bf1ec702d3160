//! What the kernel of this machine allows, and how much of it is in use.
//!
//! The limits that end a launch while every log is silent: file descriptors, the connection tracking table, ephemeral
//! ports to one address, the queue of a listening socket. Each is read where Linux tells it; what this machine does not
//! tell is absent (`None`), never zero. Reading may block and takes up to some milliseconds: it belongs on a thread of
//! its own.
//!
//! Out of scope: what to do about a limit. The gateway says it in its log and metrics, the load test in its verdict.

mod sockets;

use std::fs;

use std::time::Duration;

use rustix::param::page_size;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

pub use sockets::{Destination, busiest_destination};

/// So much of a limit in use is near its end...
const NEAR: f64 = 0.8;
/// ...and so much is its end: what comes next fails.
const REACHED: f64 = 0.98;

/// How much of a limit is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// In use.
    pub used: u64,
    /// As many as there may be.
    pub limit: u64,
}

/// How far a limit is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// There is room.
    #[default]
    Calm,
    /// Four fifths are in use.
    Near,
    /// Nothing is left.
    Reached,
}

impl Usage {
    /// How far it is from its end.
    pub fn level(self) -> Level {
        let share = self.used as f64 / self.limit.max(1) as f64;
        match share {
            _ if share >= REACHED => Level::Reached,
            _ if share >= NEAR => Level::Near,
            _ => Level::Calm,
        }
    }
}

/// For how long this thread has had a processor.
pub fn thread_time() -> Duration {
    // Never negative; should it be, it is no time.
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// For how long this process has had a processor, on all its threads.
pub fn process_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}

/// Bytes of this process that are resident.
pub fn resident_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * page_size() as u64)
}

/// Raises the soft limit of file descriptors to the hard limit. The answer is what this process may have open now; no
/// limit at all is [`u64::MAX`].
pub fn raise_descriptors() -> u64 {
    let limits = getrlimit(Resource::Nofile);
    if limits.current != limits.maximum {
        // Without permission the old limit stays, and is the answer.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, maximum: limits.maximum });
    }
    descriptor_limit()
}

/// File descriptors that this process may have open.
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// File descriptors that this process would be allowed by raising its limit itself.
pub fn descriptor_hard_limit() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// File descriptors of this process.
pub fn descriptors() -> Option<Usage> {
    Some(Usage { used: open_descriptors()?, limit: descriptor_limit() })
}

fn open_descriptors() -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    // Linux 6.2 and later tell their number as the size of the folder.
    match fs::metadata(FOLDER).ok()?.len() {
        0 => Some(fs::read_dir(FOLDER).ok()?.count() as u64),
        told => Some(told),
    }
}

/// Entries of the connection tracking table. At its end packets of new connections are dropped, and no error tells.
pub fn conntrack() -> Option<Usage> {
    let used = number("/proc/sys/net/netfilter/nf_conntrack_count")?;
    Some(Usage { used, limit: number("/proc/sys/net/netfilter/nf_conntrack_max")? })
}

/// Packets that were dropped because of the connection tracking table since the machine started.
pub fn conntrack_drops() -> Option<u64> {
    sum_of_column(&fs::read_to_string("/proc/net/stat/nf_conntrack").ok()?, "drop")
}

/// The longest queue that a listening socket may have.
pub fn listen_backlog() -> Option<u64> {
    number("/proc/sys/net/core/somaxconn")
}

/// Ports that connections from one address to another may begin at.
pub fn ephemeral_ports() -> Option<(u16, u16)> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ends = text.split_whitespace().map(str::parse);
    Some((ends.next()?.ok()?, ends.next()?.ok()?))
}

/// Connections that a full listening queue has cost since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListenLosses {
    /// Connections that were complete and found the queue full.
    pub overflows: u64,
    /// Those, and others that were dropped on their way into it.
    pub drops: u64,
}

/// What full listening queues have cost, over all sockets of this network namespace.
pub fn listen_losses() -> Option<ListenLosses> {
    let text = fs::read_to_string("/proc/net/netstat").ok()?;
    let of = |name| field(&text, "TcpExt:", name);
    Some(ListenLosses { overflows: of("ListenOverflows")?, drops: of("ListenDrops")? })
}

fn number(file: &str) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// A field of two lines with one prefix, the first with names and the second with their values.
fn field(text: &str, prefix: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|word| word == name)?;
    values.split_whitespace().nth(at)?.parse().ok()
}

/// A column of a table of hexadecimal numbers, over all its rows.
fn sum_of_column(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    let at = lines.next()?.split_whitespace().position(|word| word == name)?;
    let value = |line: &str| line.split_whitespace().nth(at).and_then(|word| u64::from_str_radix(word, 16).ok());
    Some(lines.filter_map(value).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_near_its_end_before_it_is_there() {
        let level = |used| Usage { used, limit: 1000 }.level();
        assert_eq!([0, 799, 800, 979, 980, 2000].map(level).map(|level| level as u8), [0, 0, 1, 1, 2, 2]);
        assert_eq!(Usage { used: 5, limit: 0 }.level(), Level::Reached);
    }

    #[test]
    fn fields_are_found_by_their_names_wherever_they_stand() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 22 33\nIpExt: InOctets\nIpExt: 7\n";
        assert_eq!(field(text, "TcpExt:", "ListenDrops"), Some(33));
        assert_eq!(field(text, "TcpExt:", "TCPFastOpen"), None);
        assert_eq!(field("TcpExt: ListenDrops\n", "TcpExt:", "ListenDrops"), None);
        let table = "entries  clashres found drop early_drop\n000a 0 0 0f 0\n000a 0 0 01 0\n";
        assert_eq!(sum_of_column(table, "drop"), Some(16));
        assert_eq!(sum_of_column("", "drop"), None);
    }

    #[test]
    fn this_process_has_descriptors_and_a_limit_that_can_be_raised() {
        let files: Vec<_> = (0..20).map(|_| fs::File::open("/dev/null")).collect();
        let open = descriptors();
        assert!(open.is_some_and(|usage| usage.used >= 20 && usage.limit >= usage.used), "{open:?}");
        assert_eq!(raise_descriptors(), descriptor_hard_limit());
        drop(files);
    }
}
