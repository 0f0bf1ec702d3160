//! Seats: how many connections are open, in all and per client.
//!
//! A client is an IPv4 address or an IPv6 network of 64 bits; a network of 48 bits has 16 times as many seats. The counts are
//! shared by all workers; each worker closes connections of its own.
//!
//! Out of scope: sockets, and which connection is closed for another ([`crate::request::listener`]); the connections of a trusted
//! proxy's clients: they belong to no single client.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dashmap::DashMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::settings::config::ListenConfig;

/// Seats of an IPv6 network of 48 bits, in those of a client.
const SITE: usize = 16;
/// A client with more than one in this many of all seats loses connections before others do.
const DOMINANT: usize = 16;

/// The class of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Has sent no request yet.
    Silent,
    /// Has sent one, and showed no pass.
    Waiting,
    /// A pass holder's, or a trusted proxy's.
    Holder,
}

impl Class {
    /// All of them, as in metrics.
    pub(crate) const ALL: [(Self, &'static str); 3] =
        [(Self::Silent, "silent"), (Self::Waiting, "waiting"), (Self::Holder, "holder")];
}

/// The seats of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    open: AtomicUsize,
    clients: DashMap<IpNet, Arc<Share>>,
    classes: [AtomicUsize; Class::ALL.len()],
    wanted: AtomicBool,
    untaken: AtomicUsize,
}

/// The seats of one client.
#[derive(Debug)]
struct Share {
    network: IpNet,
    open: AtomicUsize,
}

impl Seats {
    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections of each class, as of the last second.
    pub(crate) fn by_class(&self) -> [(&'static str, usize); Class::ALL.len()] {
        Class::ALL.map(|(class, name)| (name, self.classes[class as usize].load(Ordering::Relaxed)))
    }

    /// Replaces a worker's counts of each class, `before` by `now`.
    pub(crate) fn recount(&self, before: [usize; 3], now: [usize; 3]) {
        for ((class, before), now) in self.classes.iter().zip(before).zip(now) {
            class.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
        }
    }

    /// Untaken bytes of answers, as of the last second.
    pub(crate) fn untaken(&self) -> usize {
        self.untaken.load(Ordering::Relaxed)
    }

    /// Replaces a worker's count of them, `before` by `now`.
    pub(crate) fn recount_untaken(&self, before: usize, now: usize) {
        self.untaken.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Whether there are connections without a pass.
    pub(crate) fn has_others(&self) -> bool {
        self.open() > self.classes[Class::Holder as usize].load(Ordering::Relaxed) + 1
    }

    /// Asks the other workers to close a connection without a pass.
    pub(crate) fn want_one(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Whether another worker needs a seat. Only one gets the answer.
    pub(crate) fn is_one_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) && self.wanted.swap(false, Ordering::Relaxed)
    }

    fn share(&self, network: IpNet) -> Arc<Share> {
        let share =
            self.clients.entry(network).or_insert_with(|| Arc::new(Share { network, open: AtomicUsize::new(0) }));
        // Counted under the lock of the map, so that it is not forgotten meanwhile.
        share.open.fetch_add(1, Ordering::Relaxed);
        share.clone()
    }

    fn leave(&self, share: &Share) {
        if share.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.clients.remove_if(&share.network, |_, share| share.open.load(Ordering::Relaxed) == 0);
        }
    }
}

/// A place among the open connections; free again when this is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    seats: Arc<Seats>,
    /// Shares of the client, and of its network. A trusted proxy has none.
    shares: [Option<Arc<Share>>; 2],
}

/// The bound that was passed.
#[derive(Debug)]
pub(crate) enum Lack {
    /// The bound on all.
    All,
    /// The bound on one client.
    Client(IpNet),
}

impl Lack {
    /// As in metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::All => "max_connections",
            Self::Client(_) => "max_connections_per_client",
        }
    }
}

impl ConnectionPermit {
    /// Takes one, for a connection from this address; `None` is a trusted proxy. [`Self::lacks`] says whether it
    /// may be kept.
    pub(crate) fn take(seats: &Arc<Seats>, client: Option<IpAddr>) -> Self {
        seats.open.fetch_add(1, Ordering::Relaxed);
        let networks = client.map_or([None; 2], networks);
        Self { seats: seats.clone(), shares: networks.map(|network| network.map(|n| seats.share(n))) }
    }

    /// The bound that this seat is over.
    pub(crate) fn lacks(&self, listen: &ListenConfig) -> Option<Lack> {
        let most = listen.max_connections_per_client;
        let bounds = [most, most.saturating_mul(SITE)];
        let mut shares = self.shares.iter().flatten().zip(bounds);
        if let Some((share, _)) = shares.find(|(share, most)| share.open.load(Ordering::Relaxed) > *most) {
            return Some(Lack::Client(share.network));
        }
        (self.seats.open() > listen.max_connections).then_some(Lack::All)
    }

    /// Whether it counts for this client or network.
    pub(crate) fn is_of(&self, network: &IpNet) -> bool {
        self.shares.iter().flatten().any(|share| share.network == *network)
    }

    /// Whether the client has more than its part of all seats.
    pub(crate) fn is_dominant(&self, max_connections: usize) -> bool {
        self.shares[0].as_ref().is_some_and(|share| share.open.load(Ordering::Relaxed) * DOMINANT > max_connections)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.seats.open.fetch_sub(1, Ordering::Relaxed);
        self.shares.iter().flatten().for_each(|share| self.seats.leave(share));
    }
}

fn networks(address: IpAddr) -> [Option<IpNet>; 2] {
    match address.to_canonical() {
        IpAddr::V4(v4) => [Some(Ipv4Net::from(v4).into()), None],
        IpAddr::V6(v6) => [64, 48].map(|bits| Ipv6Net::new(v6, bits).ok().map(|net| net.trunc().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_of_64_bits_is_a_client_and_one_of_48_bits_is_bounded_too() {
        let of = |text: &str| networks(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        let (one, other) = (of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_ne!(one[0], other[0]);
        assert_eq!(one[1], other[1]);
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_eq!(of("10.0.0.1")[1], None);
    }

    #[test]
    fn a_client_is_forgotten_with_its_last_connection() {
        let seats = Seats::default();
        let network = networks([10, 0, 0, 1].into())[0].expect("a client");
        let shares = [seats.share(network), seats.share(network)];
        assert_eq!(seats.clients.len(), 1);
        for share in &shares {
            seats.leave(share);
        }
        assert!(seats.clients.is_empty());
    }
}
