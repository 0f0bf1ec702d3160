//! What the measuring programs share. How to run them and how to read what they print: README.md.

use policy::drain::PollTable;
use policy::room::{FailMode, QueueingMethod, Room, Rules};

/// A first-come-first-served room with these rules.
pub fn room(rules: Rules) -> Room {
    Room {
        rules,
        queueing_method: QueueingMethod::Fifo,
        suspended: false,
        disable_session_renewal: false,
        json_response_enabled: true,
        fail_mode: FailMode::Closed,
    }
}

/// The same as live rooms take it.
pub fn terms(rules: Rules) -> gateway::rooms::Terms {
    gateway::rooms::Terms { room: room(rules), polls: PollTable::CALM, poll_budget: 2_000.0 }
}

/// Memory of this process that is in use, in bytes; 0 where the kernel does not tell.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}
