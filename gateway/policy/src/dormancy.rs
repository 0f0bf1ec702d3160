//! How often a line must be polled, so that an idle room costs nothing.
//!
//! A line changes by requests and by time. A gateway with a request announces it, and all gateways poll the line from then
//! on. What remains is time, and its effects end:
//!
//! ```text
//! every 0.1 s   a request or a change in the last second, or people wait or claim
//! every 0.9 s   the bucket fills, seats are counted and taken, an estimate fades, something is in recovery, a lease is held, a cap
//!               on the rate ends, a debt is paid back, a zero of the stock becomes certain
//! every 5 s     passes run out, or tickets may still become no-shows: figures that admit no shopper
//! never         none of it: the line is dormant
//! ```
//!
//! The second step is below the second that counts as elapsed at most between two transitions of a line: no time is lost. To
//! a dormant line an hour at once and an hour in steps are the same; a test in `tests/dormancy.rs` holds that.
//!
//! The leases of a line without waiters serve only called shoppers who are late. So gateways give them back when
//! the claim window of the last line is over: a dormant room has lent nothing, and a gateway that dies takes no share
//! along.
//!
//! Out of scope: who asks, and a shop that cannot be reached for longer than it takes a line to notice.

use crate::Millis;
use crate::room::Rules;
use crate::stock::StockState;
use crate::view::View;

/// Poll interval of an active line.
pub const TICK: Millis = 100;
/// Less than the bound on elapsed time.
const SECOND: Millis = 900;
/// Twice this is below the time after which a line counts a gateway as silent ([`crate::lease`]).
const LENT: Millis = 300;
/// Poll interval while only figures change.
const SLOW: Millis = 5_000;
/// An activity makes another likely for this long.
pub const AWAKE: Millis = 1_000;
/// By then cohorts are over, and a gateway that reaches no shop has stopped the line.
const COHORTS: Millis = 3_000;
/// The flow of freed seats is forgotten.
const FLOW: Millis = 60_000;
/// The rate is whole again after a standstill.
const EASED: Millis = 20_000;
/// By then a line that has lost writes has settled, even at this slow poll.
const SETTLED: Millis = 12 * SECOND;
/// A bucket of visits may take long to fill; no client waits longer than this for one.
const VISITS: Millis = 60_000;

/// What changes only by requests: base and numbers, passes given, the last loss.
type Shown = (u64, u64, u64, Millis);

/// What a gateway knows of how a line changes.
#[derive(Debug, Clone, Default)]
pub struct Dormancy {
    shown: Option<Shown>,
    active: u64,
    rules: Option<Rules>,
    rests: bool,
    /// Store time of the last answer, and of the last change other than by time; 0: none known.
    now: Millis,
    stirred: Millis,
    /// People waited or claimed.
    stood: Option<Millis>,
    /// Time changes the line until this store time.
    settles: Millis,
    stands: bool,
    pace: Option<Millis>,
}

impl Dormancy {
    /// Notes an answer of the line; `asked`: its batch held a request; `rests`: it said that the shop rests.
    pub fn note(&mut self, view: &View, rules: &Rules, asked: bool, rests: bool) {
        let open = &view.segments.open;
        let shown = (open.base, view.segments.given() + view.round.waiting(), view.granted, view.lost);
        let before = self.shown.replace(shown);
        let first = before.is_none();
        let lost = before.is_some_and(|before| before.3 != view.lost);
        let changed = asked || before.is_some_and(|before| before != shown);
        let other = self.rules.as_ref() != Some(rules) || self.rests != rests;
        self.now = view.now;
        self.stands = view.waiting() > 0 || view.claimants > 0;
        if self.stands {
            self.stood = Some(view.now);
        }
        if changed || self.stands {
            self.stirred = view.now;
        }
        if changed || other || self.stands || self.active != view.active {
            self.settles = self.settles.max(view.now + settling(rules));
        }
        if lost {
            self.settles = self.settles.max(view.now + SETTLED);
        }
        if view.owed > 0
            || view.capped_by.is_some()
            || view.stock.is_some_and(|stock| stock.state == StockState::Paused)
        {
            self.settles = self.settles.max(view.now + settling(rules));
        }
        if self.rests != rests && !first {
            self.settles = self.settles.max(view.now + EASED);
        }
        (self.active, self.rests) = (view.active, rests);
        if self.rules.as_ref() != Some(rules) {
            self.rules = Some(rules.clone());
        }
        self.pace = self.pace_of(view, rules);
    }

    /// Delay from the last answer to the next poll; `None`: poll on the next request.
    pub fn next(&self) -> Option<Millis> {
        self.pace
    }

    /// Store time of the last request or change; 0: none since this gateway polls the line.
    pub fn stirred(&self) -> Millis {
        self.stirred
    }

    /// Whether people wait or claim, as last answered.
    pub fn stands(&self) -> bool {
        self.stands
    }

    /// Whether a lease is of any use.
    pub fn lends(&self) -> bool {
        self.is_awake() || self.is_expecting()
    }

    fn pace_of(&self, view: &View, rules: &Rules) -> Option<Millis> {
        let seats = rules.enforced && rules.total_active_users.is_some();
        if self.is_awake() {
            Some(TICK)
        } else if rules.lends && view.gateways > 0 && self.is_expecting() {
            Some(LENT)
        } else if self.now < self.settles
            || view.unsure
            || view.gateways > 0
            || seats && view.active > 0
            || self.rests && self.is_expecting()
        {
            Some(SECOND)
        } else if view.active > 0 || self.is_expecting() {
            Some(SLOW)
        } else {
            None
        }
    }

    fn is_awake(&self) -> bool {
        self.stands || self.stirred > 0 && self.now < self.stirred + AWAKE
    }

    /// Whether tickets that were called in the last line may still claim.
    fn is_expecting(&self) -> bool {
        let window = self.rules.as_ref().map_or(0, |rules| rules.claim_window);
        self.stood.is_some_and(|stood| self.now < stood.saturating_add(window).saturating_add(3 * COHORTS))
    }
}

/// How long time alone changes a line: until buckets and lead are full, cohorts are over, estimates have faded.
fn settling(rules: &Rules) -> Millis {
    let seconds = |seconds: f64| (seconds.clamp(0.0, 1e9) * 1000.0).ceil() as Millis;
    let bucket = if rules.open { seconds(rules.burst / rules.rate) } else { 0 };
    let visits = (rules.burst * rules.visits / rules.rate).max(1.0) / rules.visits;
    let visits = if rules.open && rules.visits > 0.0 { seconds(visits).min(VISITS) } else { 0 };
    let flow = if rules.enforced && rules.total_active_users.is_some() { FLOW } else { 0 };
    bucket.max(visits).max(COHORTS).max(flow) + SECOND
}
