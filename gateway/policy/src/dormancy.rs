//! How long a line may be left alone, so that a room in which nothing happens costs nothing.
//!
//! A line changes by what is asked of it and by time. A gateway that asks says so to the others, and all of them look at the
//! line from then on. What is left is time, and time ends to matter:
//!
//! ```text
//! every 0.1 s   something was asked or has changed in the last second, or people wait or claim
//! every 0.9 s   the bucket fills, seats are counted and taken, an estimate fades, something is in recovery, a lease is held
//! every 5 s     passes run out, or tickets may still become no-shows: figures, by which nobody is let in
//! never         none of it: the line is dormant
//! ```
//!
//! The second step is below the second that counts as elapsed at most between two transitions of a line: none of it is lost. To a
//! dormant line it is all the same whether an hour passes at once or in steps; a test in `tests/dormancy.rs` holds that.
//!
//! What is lent by a line in which nobody waits is of use to those alone who were called and are late. So a lease is given
//! back when the claim window of the last line is over: a dormant room has lent nothing, and no gateway that dies
//! takes a share of it along.
//!
//! Out of scope: who asks, and a shop that cannot be reached for longer than it takes a line to notice.

use crate::Millis;
use crate::room::Rules;
use crate::view::View;

/// A line in which something happens is looked at this often.
pub const TICK: Millis = 100;
/// Less than what counts as elapsed at most.
const SECOND: Millis = 900;
/// Twice this is below the time after which a line counts a gateway as silent ([`crate::lease`]).
const LENT: Millis = 300;
/// Figures alone change.
const SLOW: Millis = 5_000;
/// After something has happened, more is likely to.
pub const AWAKE: Millis = 1_000;
/// Cohorts are over, and a gateway that reaches no shop has let a line stand.
const COHORTS: Millis = 3_000;
/// The flow of freed seats is forgotten.
const FLOW: Millis = 60_000;
/// The rate is whole again after a standstill.
const EASED: Millis = 20_000;
/// A line that has lost writes has settled, though it was looked at this seldom.
const SETTLED: Millis = 12 * SECOND;
/// A bucket of visits may take long to fill; nobody has more than this to wait for one.
const VISITS: Millis = 60_000;

/// What of a line changes only by what is asked: base and numbers, passes given, the last loss.
type Shown = (u64, u64, u64, Millis);

/// What a gateway knows of how a line changes.
#[derive(Debug, Clone, Default)]
pub struct Dormancy {
    shown: Option<Shown>,
    active: u64,
    rules: Option<Rules>,
    rests: bool,
    /// Store time of the last answer, and when the line last changed otherwise than by time; 0: not that it is known.
    now: Millis,
    stirred: Millis,
    /// People waited or claimed.
    stood: Option<Millis>,
    /// Time changes the line until then.
    settles: Millis,
    stands: bool,
    pace: Option<Millis>,
}

impl Dormancy {
    /// Notes an answer of the line, to a batch in which something was `asked` or not, and which said whether the shop rests.
    pub fn note(&mut self, view: &View, rules: &Rules, asked: bool, rests: bool) {
        let open = &view.segments.open;
        let shown = (open.base, view.segments.given(), view.granted, view.lost);
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
        if self.rests != rests && !first {
            self.settles = self.settles.max(view.now + EASED);
        }
        (self.active, self.rests) = (view.active, rests);
        if self.rules.as_ref() != Some(rules) {
            self.rules = Some(rules.clone());
        }
        self.pace = self.pace_of(view, rules);
    }

    /// When the line is to be looked at again, from the last answer on; `None`: when something is asked.
    pub fn next(&self) -> Option<Millis> {
        self.pace
    }

    /// Store time at which something was last asked or had changed; 0: not since this gateway looks at the line.
    pub fn stirred(&self) -> Millis {
        self.stirred
    }

    /// Whether people wait or claim, as last answered.
    pub fn stands(&self) -> bool {
        self.stands
    }

    /// Whether it is of any use to hold a lease.
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

    /// Whether tickets that were called in the last line may be expected.
    fn is_expecting(&self) -> bool {
        let window = self.rules.as_ref().map_or(0, |rules| rules.claim_window);
        self.stood.is_some_and(|stood| self.now < stood.saturating_add(window).saturating_add(3 * COHORTS))
    }
}

/// How long time changes a line after nothing else does: buckets and lead are full, cohorts are over, estimates have faded.
fn settling(rules: &Rules) -> Millis {
    let seconds = |seconds: f64| (seconds.clamp(0.0, 1e9) * 1000.0).ceil() as Millis;
    let bucket = if rules.open { seconds(rules.burst / rules.rate) } else { 0 };
    let visits = (rules.burst * rules.visits / rules.rate).max(1.0) / rules.visits;
    let visits = if rules.open && rules.visits > 0.0 { seconds(visits).min(VISITS) } else { 0 };
    let flow = if rules.enforced && rules.total_active_users.is_some() { FLOW } else { 0 };
    bucket.max(visits).max(COHORTS).max(flow) + SECOND
}
