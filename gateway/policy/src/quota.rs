//! What one client may ask: a rate per key, so that one client cannot be a crowd.
//!
//! The arithmetic is governor's (GCRA). Three of its traps are closed here: a quota that admits
//! nothing cannot be built, the map of keys is bounded, and its clock is the caller's.
//!
//! What is absent: who the client is; that is for the request path to say, as a [`Client`].

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

use crate::seal::RoomId;

/// Clients beyond the bound share this many quotas.
const SHARED: u64 = 4_096;
/// The clients are counted every so many charges: counting walks the map's shards.
const RECOUNT: u64 = 256;

/// Whose quota a request is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Client {
    /// Someone without a token: the IPv4 address, or the first 64 bits of an IPv6 address.
    Address(u64),
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
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64 | 1 << 63,
        })
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

/// A clock that shows what it was last set to.
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

/// Seeded, so that addresses cannot be chosen to collide, and a quarter of the cost of the default.
type Hasher = foldhash::quality::RandomState;
type Limiter = RateLimiter<Client, DashMapStateStore<Client, Hasher>, Set, NoOpMiddleware<Moment>>;

/// The quotas of all clients.
pub struct Quotas {
    limiter: Limiter,
    clock: Set,
    bound: usize,
    charges: AtomicU64,
    full: AtomicBool,
}

impl std::fmt::Debug for Quotas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quotas").field("clients", &self.limiter.len()).finish_non_exhaustive()
    }
}

impl Quotas {
    /// The same quota for each client, remembering at most `bound` of them on their own.
    pub fn new(quota: Quota, bound: usize) -> Self {
        let clock = Set::default();
        let quota = governor::Quota::per_second(quota.per_second).allow_burst(quota.burst);
        let limiter = RateLimiter::dashmap_with_clock_and_hasher(quota, clock.clone(), Hasher::default());
        Self { limiter, clock, bound, charges: AtomicU64::new(0), full: AtomicBool::new(false) }
    }

    /// Sets the clock, to time since an origin of the caller's.
    pub fn set_time(&self, since_origin: Duration) {
        self.clock.0.store(since_origin.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Charges one request at the time last set; to a shared quota once the map of clients is full.
    ///
    /// # Errors
    /// The time until the client may ask again.
    pub fn charge(&self, client: Client) -> Result<(), Duration> {
        if self.charges.fetch_add(1, Ordering::Relaxed).is_multiple_of(RECOUNT) {
            self.recount();
        }
        let client = if self.is_full() { client.shared() } else { client };
        self.limiter.check_key(&client).map_err(|refusal| refusal.wait_time_from(self.clock.now()))
    }

    /// Whether new clients share their quotas.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    fn recount(&self) {
        self.full.store(self.limiter.len() >= self.bound, Ordering::Relaxed);
    }

    /// Forgets the clients whose quota has filled up again; for a slow tick.
    pub fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        self.recount();
    }

    /// Clients that are remembered.
    pub fn clients(&self) -> usize {
        self.limiter.len()
    }
}

/// One quota that everybody shares.
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
    /// All of it unused.
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
