//! Sockets by where they go: how many of the ports for one destination are taken.
//!
//! A connection holds a local port for as long as it is open and for a minute after that (`TIME_WAIT`), and ports are
//! taken for each pair of a local address and a destination. So the busiest destination tells how near the end is.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Usage, ephemeral_ports};

/// The states of `/proc/net/tcp` in which a socket holds no port for a connection: closed, and listening.
const NO_CONNECTION: [&str; 2] = ["07", "0A"];

/// Where connections go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// To whom.
    pub to: SocketAddr,
    /// Ephemeral ports taken by connections to it from one address, of those that there are.
    pub ports: Usage,
}

/// The destination that takes the most ephemeral ports of one local address, over all processes of this network namespace.
pub fn busiest_destination() -> Option<Destination> {
    let (first, last) = ephemeral_ports()?;
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| fs::read_to_string(file).unwrap_or_default());
    busiest(tables.iter().flat_map(|table| table.lines().skip(1)), first, last)
}

fn busiest<'l>(lines: impl Iterator<Item = &'l str>, first: u16, last: u16) -> Option<Destination> {
    let mut ports: HashMap<(&str, &str), u64> = HashMap::new();
    for (local, remote, port) in lines.filter_map(connection) {
        if (first..=last).contains(&port) {
            *ports.entry((local, remote)).or_default() += 1;
        }
    }
    let ((_, remote), used) = ports.into_iter().max_by_key(|(_, used)| *used)?;
    let limit = u64::from(last.saturating_sub(first)) + 1;
    Some(Destination { to: address(remote)?, ports: Usage { used, limit } })
}

/// Local address, destination with its port, and local port of a line.
fn connection(line: &str) -> Option<(&str, &str, u16)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
    if NO_CONNECTION.contains(&state) {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    Some((address, remote, u16::from_str_radix(port, 16).ok()?))
}

/// An address as the kernel writes it: words of 32 bits in the machine's own order, in hexadecimal.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn open_and_closed_connections_to_one_destination_are_counted_together() {
        let lines = [
            "0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000",
            "1: 0100007F:8001 0100007F:1F90 01 00000000:00000000 00:00000000",
            "2: 0100007F:8002 0100007F:1F90 06 00000000:00000000 00:00000000",
            "3: 0200007F:8003 0100007F:1F90 01 00000000:00000000 00:00000000",
            "4: 0100007F:1F90 0100007F:8001 01 00000000:00000000 00:00000000",
            "5: 0100007F:8004",
            "6: x y z",
        ];
        let found = busiest(lines.into_iter(), 32768, 60999);
        let usage = Usage { used: 2, limit: 28232 };
        if cfg!(target_endian = "little") {
            assert_eq!(found, Some(Destination { to: SocketAddr::from(([127, 0, 0, 1], 8080)), ports: usage }));
        }
        assert_eq!(busiest(std::iter::empty(), 1, 2), None);
    }

    #[test]
    fn connections_of_this_machine_are_found() -> std::io::Result<()> {
        let listener = TcpListener::bind("127.0.0.99:0")?;
        let to = listener.local_addr()?;
        let open: Vec<_> = (0..50).map(|_| TcpStream::connect(to)).collect();
        let busiest = busiest_destination();
        assert!(busiest.is_some_and(|found| found.ports.used >= 50), "{busiest:?}");
        drop(open);
        Ok(())
    }
}
