//! A gateway's copy of a line, which can only be stale.

use serde::Deserialize;

use crate::Millis;
use crate::cap::CapKind;
use crate::outlook::{Outlook, Standstill};
use crate::pacer::{self, FASTEST, PollTable};
use crate::room::Rules;
use crate::segment::{GIVEN, Segments, base_of};
use crate::stock::{Stock, StockState};
use crate::ticket::{Adopted, Kind, Round, Token};

/// The longest interval between polls, in seconds, while the speed of a line is not settled: with a longer one a
/// shopper could be called by a faster line long before the next poll.
const POLL_WHILE_UNKNOWN: f64 = 15.0;

/// Least and longest interval between polls, in seconds, while everything is sold.
const SOLD_OUT: (f64, f64) = (5.0, 60.0);

/// Places stand still, and the page says so, when late returners take this many seconds to enter.
const LATE: f64 = 2.0;

/// A copy of a line.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct View {
    /// Tickets handed out and called, by segment.
    pub segments: Segments,
    /// Segments below this base were forgotten, except those listed.
    pub forgotten: u64,
    /// Store time of the line's beginning, or of the last time a loss of writes was noticed.
    pub lost: Millis,
    /// Earlier places are coming back, or may be: the number of people ahead is unknown.
    pub unsure: bool,
    /// Store time of this copy.
    pub now: Millis,
    /// The clock of the store's server at that moment, which never goes back: by it events begin and end. `now` runs on across a
    /// loss; this is the time of day.
    #[serde(default)]
    pub utc: Millis,
    /// New shoppers per second that the line lets in, 0 while unknown; and the kind of cap that keeps that below the room's rate.
    pub rate: f64,
    /// `None`: nothing does.
    pub capped_by: Option<CapKind>,
    /// What is left to sell; `None`: the shop does not say.
    pub stock: Option<Stock>,
    /// Places that move up per second, a mean over the last seconds.
    pub speed: f64,
    /// Share of called tickets whose holders come.
    pub show_share: f64,
    /// The speed has been known for long enough to be stable.
    pub settled: bool,
    /// The bound of the speed that may be needed soon, in multiples of the rate ([`crate::pacer`]).
    pub bound: f64,
    /// How long a seat is taken, in seconds, a mean over the people who left last; 0 while unknown.
    pub stay: f64,
    /// Claimants without a token.
    pub claimants: u64,
    /// Places of called shoppers who have not entered.
    pub entering: u64,
    /// The part of that in a position: with it none grows when shoppers come back who were called long ago.
    pub told: u64,
    /// Tokens that the line owes for shoppers let in before their time, or to be let in ([`crate::room::LetIn`]).
    #[serde(default)]
    pub owed: u64,
    /// Seats taken: live passes, and those that may live since a loss.
    pub active: u64,
    /// Passes given so far.
    pub granted: u64,
    /// Tickets whose claim window ended without a claim so far.
    pub no_shows: u64,
    /// Passes given beyond the limits, where limits are only reported.
    pub over_limit: u64,
    /// Passes given for tickets that had one already, on the two sides of a cut.
    pub second_passes: u64,
    /// Gateways that hold leases, or may.
    pub gateways: u64,
    /// Provisional tickets with their numbers.
    pub adopted: Vec<Adopted>,
    /// The round that gathers, or the last one.
    #[serde(default)]
    pub round: Round,
    /// Numbers that no shopper has got.
    #[serde(default)]
    pub skipped: u64,
}

impl View {
    /// Places not called, with numbers and without.
    pub fn waiting(&self) -> u64 {
        self.segments.waiting() + self.round.waiting()
    }

    /// Tickets handed out.
    pub fn given(&self) -> u64 {
        (self.segments.given() + self.round.waiting()).saturating_sub(self.skipped)
    }

    /// Whether the line lets shoppers in at all.
    pub fn is_open(&self, rules: &Rules) -> bool {
        rules.open && !(rules.enforced && self.stock.is_some_and(|stock| stock.stands()))
    }

    /// New shoppers per second that the line lets in.
    pub fn rate(&self, rules: &Rules) -> f64 {
        if self.rate > 0.0 { self.rate.min(rules.rate) } else { rules.rate }
    }

    /// Whether no shopper waits and one could enter: visits may try, and the line decides.
    pub fn is_calm(&self, rules: &Rules) -> bool {
        let seat = rules.total_active_users.is_none_or(|seats| self.active < seats);
        self.is_open(rules) && rules.visits > 0.0 && seat && self.waiting() == 0 && self.claimants == 0
    }

    /// People ahead of this number, its holder included; `None` while it could grow: people ahead of it may come back,
    /// a gateway may know that the line had come further, or no gateway here knows that the number was given.
    pub fn position(&self, number: u64) -> Option<u64> {
        match self.segments.ahead_of(number) {
            0 => Some(0),
            ahead => (!self.unsure && self.segments.has(number)).then_some(ahead + self.told),
        }
    }

    /// The common terms of every wait.
    pub fn outlook(&self, rules: &Rules) -> Outlook {
        Outlook {
            entering: self.entering.saturating_add(self.owed),
            speed: self.known_speed(rules),
            rate: self.rate(rules),
        }
    }

    /// Why places do not move up, or slower than the rate allows.
    pub fn standstill(&self, rules: &Rules) -> Option<Standstill> {
        let seats = rules.total_active_users.filter(|_| rules.enforced);
        let late = self.entering.saturating_sub(self.told) as f64;
        match () {
            () if self.waiting() == 0 || !self.is_open(rules) => None,
            () if seats.is_some_and(|seats| self.active + self.claimants >= seats) => Some(Standstill::Full),
            () if rules.enforced && self.capped_by.is_some() => Some(Standstill::Capped),
            () if late > LATE * rules.rate => Some(Standstill::Returning),
            () => None,
        }
    }

    /// Whether a ticket of this number is void, because its segment was forgotten.
    pub fn forgot(&self, number: u64) -> bool {
        let base = base_of(number);
        base < self.segments.open.base
            && base != GIVEN
            && self.segments.of(number).is_none()
            && (base < self.forgotten || !self.segments.has_room())
    }

    /// Whether a token is news to the line: then the store has lost the fact that it proves, or this copy is stale.
    pub fn lacks(&self, token: &Token) -> bool {
        match token.kind {
            Kind::Ticket => !self.segments.has(token.number) && !self.forgot(token.number),
            Kind::Pass => token.issued < self.lost || !self.segments.is_called(token.number),
            Kind::Provisional | Kind::Arrival => false,
        }
    }

    /// The speed that spreads polls, in tickets per second ([`pacer::pace`]).
    pub fn pace(&self, rules: &Rules) -> f64 {
        pacer::pace(self.speed, self.bound, rules.rate)
    }

    /// When waiting shoppers should poll, within a budget of `budget` polls per second. The bound grows where most
    /// tickets have no shopper behind them, and these send no polls: the estimate leaves out as many.
    pub fn poll_table(&self, table: PollTable, budget: f64, rules: &Rules) -> PollTable {
        let spared = self.bound.max(FASTEST) / FASTEST;
        let max = if self.settled { table.max } else { table.max.min(POLL_WHILE_UNKNOWN) };
        // Those near the front still ask in time for a restock: an interval is a share of the time to their call.
        let sold_out = self.stock.is_some_and(|stock| stock.state == StockState::SoldOut);
        let (min, max) = if sold_out { (table.min.max(SOLD_OUT.0), SOLD_OUT.1) } else { (table.min, max) };
        PollTable { min, max, ..table }.within(budget * spared, self.waiting(), self.pace(rules))
    }

    /// The speed for a shown wait, 0 while unknown. Where the line needs more seats than are
    /// free, it comes to move as they are freed: known once the stay of people is known. After a loss,
    /// people come back who stand ahead.
    pub fn known_speed(&self, rules: &Rules) -> f64 {
        if self.unsure { 0.0 } else { self.speed.min(self.speed_by_seats(rules)) }
    }

    /// The speed that the seats allow in the long run, in tickets per second; infinite while there are enough.
    fn speed_by_seats(&self, rules: &Rules) -> f64 {
        let needed = (self.waiting() + self.entering) as f64 * self.show_share;
        match rules.total_active_users {
            Some(seats) if needed > seats.saturating_sub(self.active) as f64 => {
                if self.stay > 0.0 {
                    seats as f64 / self.stay / self.show_share
                } else {
                    0.0
                }
            }
            _ => f64::INFINITY,
        }
    }
}
