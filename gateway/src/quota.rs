//! The quota of one client: a rate per key, so that one client cannot be a crowd.
//!
//! The arithmetic is governor's (GCRA). Three of its traps are closed here: a quota that admits
//! nothing cannot be built, the map of keys is bounded, and its clock is the caller's.
//!
//! One IPv6 network of 64 bits is one client, and a customer with a /48 has 65,536 of them: an IPv6 address is charged
//! to its /48 as well, which has [`WIDE`] times the quota.
//!
//! Out of scope: which client it is; the request path says that, as a [`Client`].

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use policy::seal::RoomId;

/// The quota of an IPv6 network of 48 bits, in quotas of one client.
pub const WIDE: u32 = 16;
/// Clients beyond the bound share this many quotas.
const SHARED: u64 = 4_096;
/// The clients are counted every this many charges: counting walks the map's shards.
const RECOUNT: u64 = 256;

/// Marks an IPv6 address. Those of the internet begin with 001, so no two of them collide.
const V6: u64 = 1 << 63;

/// The client to which a request is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Client {
    /// A client without a token: the IPv4 address, or the first 64 bits of an IPv6 address.
    Address(u64),
    /// The first 48 bits of an IPv6 address.
    Wide(u64),
    /// The holder of a place in the line of a room.
    Place(RoomId, u64),
    /// One of the quotas that clients share once too many are known.
    Shared(u64),
}

impl Client {
    /// A client by address; one IPv6 network of 64 bits is one client.
    pub fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64 | V6,
        })
    }

    /// The network of 48 bits that an IPv6 address belongs to; `None` of an IPv4 address.
    ///
    /// ```
    /// use gateway::quota::Client;
    /// let wide = |text: &str| Client::wide(text.parse().unwrap());
    /// assert_eq!(wide("2001:db8::1"), wide("2001:db8:0:ffff::1"));
    /// assert_ne!(wide("2001:db8::1"), wide("2001:db8:1::1"));
    /// assert_eq!(wide("192.0.2.1"), None);
    /// ```
    pub fn wide(address: IpAddr) -> Option<Self> {
        Self::at(address).network()
    }

    /// The wider network of a client by address, if it has one.
    fn network(self) -> Option<Self> {
        match self {
            Self::Address(bits) if bits & V6 != 0 => Some(Self::Wide(bits >> 16)),
            _ => None,
        }
    }

    fn shared(self) -> Self {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        Self::Shared(hasher.finish() % SHARED)
    }
}

/// Nanoseconds since an origin of the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(u64);

impl std::ops::Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, other: Nanos) -> Self {
        Self(self.0.saturating_add(other.as_u64()))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        Nanos::new(self.0.saturating_sub(earlier.0))
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.saturating_sub(duration.as_u64()))
    }
}

/// A clock that shows the time it was last set to.
#[derive(Debug, Clone, Default)]
struct Set(Arc<AtomicU64>);

impl Clock for Set {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::Relaxed))
    }
}

/// Requests per second and at once of each client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Sustained requests per second.
    pub per_second: NonZeroU32,
    /// Requests at once.
    pub burst: NonZeroU32,
}

/// Hashes of clients: seeded, so that addresses cannot be chosen to collide, and at a quarter of the cost of the default.
type HashState = foldhash::quality::RandomState;
type Limiter = RateLimiter<Client, DashMapStateStore<Client, HashState>, Set, NoOpMiddleware<Moment>>;

/// The quotas of all clients.
pub struct Quotas {
    clients: Bounded,
    /// Of IPv6 networks of 48 bits.
    networks: Bounded,
    clock: Set,
}

/// The same quota for each key, and how many keys have one of their own.
struct Bounded {
    limiter: Limiter,
    bound: usize,
    charges: AtomicU64,
    full: AtomicBool,
}

impl std::fmt::Debug for Quotas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quotas").field("clients", &self.clients()).finish_non_exhaustive()
    }
}

impl Bounded {
    fn new(quota: Quota, bound: usize, clock: &Set) -> Self {
        let quota = governor::Quota::per_second(quota.per_second).allow_burst(quota.burst);
        let limiter = RateLimiter::dashmap_with_clock_and_hasher(quota, clock.clone(), HashState::default());
        Self { limiter, bound, charges: AtomicU64::new(0), full: AtomicBool::new(false) }
    }

    fn charge(&self, client: Client, clock: &Set) -> Result<(), Duration> {
        if self.charges.fetch_add(1, Ordering::Relaxed).is_multiple_of(RECOUNT) {
            self.recount();
        }
        let client = if self.full.load(Ordering::Relaxed) { client.shared() } else { client };
        self.limiter.check_key(&client).map_err(|refusal| refusal.wait_time_from(clock.now()))
    }

    fn recount(&self) {
        self.full.store(self.limiter.len() >= self.bound, Ordering::Relaxed);
    }

    fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        self.recount();
    }
}

impl Quotas {
    /// The same quota for each client, remembering at most `bound` of them on their own.
    pub fn new(quota: Quota, bound: usize) -> Self {
        let clock = Set::default();
        let times = |n: NonZeroU32| n.saturating_mul(NonZeroU32::MIN.saturating_add(WIDE - 1));
        let wide = Quota { per_second: times(quota.per_second), burst: times(quota.burst) };
        let (clients, networks) = (Bounded::new(quota, bound, &clock), Bounded::new(wide, bound, &clock));
        Self { clients, networks, clock }
    }

    /// Sets the clock, to time since an origin of the caller's.
    pub fn set_time(&self, since_origin: Duration) {
        self.clock.0.store(since_origin.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Charges one request at the time last set, to the client and to its wider network; to a shared quota once the map
    /// of clients is full.
    ///
    /// # Errors
    /// The time until the client may ask again.
    pub fn charge(&self, client: Client) -> Result<(), Duration> {
        self.clients.charge(client, &self.clock)?;
        client.network().map_or(Ok(()), |network| self.networks.charge(network, &self.clock))
    }

    /// Whether new clients share their quotas.
    pub fn is_full(&self) -> bool {
        self.clients.full.load(Ordering::Relaxed)
    }

    /// Forgets the clients whose quota has filled up again; for a slow tick.
    pub fn forget_idle(&self) {
        self.clients.forget_idle();
        self.networks.forget_idle();
    }

    /// Clients in memory.
    pub fn clients(&self) -> usize {
        self.clients.limiter.len() + self.networks.limiter.len()
    }
}

/// One quota shared by all clients.
pub struct Rate {
    limiter: RateLimiter<NotKeyed, InMemoryState, Set, NoOpMiddleware<Moment>>,
    clock: Set,
}

impl std::fmt::Debug for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rate").finish_non_exhaustive()
    }
}

impl Rate {
    /// A quota, all of it unused.
    pub fn new(quota: Quota) -> Self {
        let clock = Set::default();
        let quota = governor::Quota::per_second(quota.per_second).allow_burst(quota.burst);
        Self { limiter: RateLimiter::direct_with_clock(quota, clock.clone()), clock }
    }

    /// Charges one request at a time since an origin of the caller's.
    ///
    /// # Errors
    /// The time until the next one may be charged.
    pub fn charge(&self, since_origin: Duration) -> Result<(), Duration> {
        self.clock.0.store(since_origin.as_nanos() as u64, Ordering::Relaxed);
        self.limiter.check().map_err(|refusal| refusal.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(per_second: u32, burst: u32, bound: usize) -> Quotas {
        let some = |n| NonZeroU32::new(n).expect("not zero");
        Quotas::new(Quota { per_second: some(per_second), burst: some(burst) }, bound)
    }

    #[test]
    fn a_client_over_its_quota_is_told_when_to_come_back() {
        let quotas = quotas(10, 2, 100);
        let client = Client::Address(1);
        assert_eq!((quotas.charge(client), quotas.charge(client)), (Ok(()), Ok(())));
        let wait = quotas.charge(client).expect_err("the burst is used");
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(quotas.charge(Client::Address(2)), Ok(()));
        quotas.set_time(wait);
        assert_eq!(quotas.charge(client), Ok(()));
    }

    #[test]
    fn a_shared_quota_is_one_for_all() {
        let some = |n| NonZeroU32::new(n).expect("not zero");
        let rate = Rate::new(Quota { per_second: some(10), burst: some(2) });
        let at = Duration::from_millis;
        assert_eq!([0, 0, 0, 100, 100].map(|ms| rate.charge(at(ms)).is_ok()), [true, true, false, true, false]);
        assert_eq!(rate.charge(at(150)), Err(at(50)));
    }

    #[test]
    fn one_ipv6_network_is_one_client() {
        let at = |text: &str| Client::at(text.parse().expect("an address"));
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
        assert_ne!(at("10.0.0.1"), at("10.0.0.2"));
    }

    #[test]
    fn an_ipv6_network_of_48_bits_may_ask_16_times_as_much_as_one_of_64() {
        let quotas = quotas(1, 10, 100_000);
        let granted = |network: &str| {
            let at = |n: u32| Client::at(format!("{network}:{n:x}::1").parse().expect("an address"));
            (0..1_000).filter(|&n| quotas.charge(at(n)).is_ok()).count()
        };
        assert_eq!(granted("2001:db8:0"), 160);
        assert_eq!(granted("2001:db8:1"), 160, "another network has its own");
        let one = Client::at("2001:db8:2::1".parse().expect("an address"));
        assert_eq!((0..1_000).filter(|_| quotas.charge(one).is_ok()).count(), 10);
        let v4 = |n: u32| Client::at(std::net::Ipv4Addr::from_bits(n).into());
        assert!((0..1_000).all(|n| quotas.charge(v4(n)).is_ok()), "IPv4 has no wider network");
    }

    #[test]
    fn a_million_addresses_cannot_fill_the_memory() {
        let quotas = quotas(10, 10, 1_000);
        for address in 0..50_000 {
            let _ = quotas.charge(Client::Address(address));
        }
        assert!(quotas.clients() < 1_000 + RECOUNT as usize + SHARED as usize, "{}", quotas.clients());
        quotas.set_time(Duration::from_mins(1));
        quotas.forget_idle();
        assert_eq!(quotas.clients(), 0);
    }
}
