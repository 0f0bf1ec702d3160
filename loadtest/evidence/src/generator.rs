//! The generating side's own figures.

use serde::{Deserialize, Serialize};

use crate::stats::Latencies;

/// The figures of one generating process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Its name: `worker 1 of 2`.
    pub name: String,
    /// Arrivals that it should have sent and did not.
    pub dropped_arrivals: u64,
    /// Connections that failed for want of ports or file descriptors on this side.
    pub local_failures: u64,
    /// CPU time that it used, in seconds.
    pub cpu_seconds: f64,
    /// Length of its run in seconds.
    pub seconds: f64,
    /// Threads that could use CPU.
    pub threads: u32,
    /// Peak of visitors.
    pub most_visitors: u64,
    /// Peak of connections.
    pub most_connections: u64,
    /// Peak of memory in bytes.
    pub most_memory: u64,
    /// Its clock less that of the leading process, in microseconds, and how far that may be wrong.
    pub clock_offset: [i64; 2],
    /// How late its requests were sent: microseconds with their counts.
    #[serde(default)]
    pub lag: Latencies,
    /// The kernel's limits on its machine, each with its high-water mark; empty if the kernel tells none.
    #[serde(default)]
    pub limits: Vec<KernelLimit>,
    /// Packets that its machine dropped for want of room in the connection tracking table.
    #[serde(default)]
    pub dropped_packets: u64,
    /// Connections that found a full listening queue on its machine.
    #[serde(default)]
    pub listen_overflows: u64,
}

/// The use of one of the kernel's limits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelLimit {
    /// Its name: `descriptors`, `conntrack`, `ephemeral_ports`.
    pub name: String,
    /// The high-water mark.
    pub used: u64,
    /// The limit.
    pub limit: u64,
}

impl KernelLimit {
    /// The share that was in use.
    pub fn share(&self) -> f64 {
        self.used as f64 / self.limit.max(1) as f64
    }
}
