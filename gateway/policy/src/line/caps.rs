//! Caps on the rate of a line, from what stands behind it.
//!
//! ```text
//! cap of a source  =  its rate,  and after its end  rate + a tenth of the ceiling x seconds since
//! rate             =  min(ceiling, max(floor, lowest cap))
//! ```
//!
//! The ceiling is the operator's rate. So a source that lies can only slow the line, down to the floor; and when a cap ends, its
//! effect is gone ten seconds later, in steps that a database notices before it is full.
//!
//! A cap is a function of time alone: nothing has to be moved on while no gateway asks.
//!
//! Out of scope: how a source knows its rate ([`crate::origin`]: the shop says it).

use std::collections::BTreeMap;

use super::{Change, Line};
use crate::Millis;
use crate::cap::{Cap, CapKind, CapSource};
use crate::room::Rules;

/// Sources in memory. Beyond, the highest cap is forgotten: it binds last.
const MOST: usize = 64;
/// The share of the ceiling by which an ended cap rises in a second.
const RISE: f64 = 0.1;
/// A cap in memory.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Held {
    rate: f64,
    until: Millis,
}

impl Held {
    fn at(self, ceiling: f64, now: Millis) -> f64 {
        self.rate + RISE * ceiling * now.saturating_sub(self.until) as f64 / 1000.0
    }
}

/// The caps of a line.
#[derive(Debug, Clone, Default)]
pub(super) struct Caps {
    of: BTreeMap<CapSource, Held>,
    /// The kind that binds, and the rate in force, as of the last transition.
    binding: Option<CapKind>,
    rate: f64,
}

impl Caps {
    pub(super) fn set(&mut self, source: u64, rate: f64, until: Millis) {
        self.of.insert(CapSource::of(source), Held { rate, until });
    }

    pub(super) fn remove(&mut self, source: u64) {
        self.of.remove(&CapSource::of(source));
    }

    /// New shoppers per second that the line lets in, and the kind of source that keeps it below the ceiling.
    pub(super) fn in_force(&self) -> (f64, Option<CapKind>) {
        (self.rate, self.binding)
    }
}

impl Line {
    /// Takes in caps, and returns the rules at the rate that they allow at this moment. Burst and visits follow it.
    pub(super) fn capped(&mut self, rules: &Rules, caps: &[Cap], now: Millis) -> Rules {
        for cap in caps {
            self.hear_cap(cap, now);
        }
        let ceiling = rules.rate;
        self.end_caps(ceiling, now);
        let mut lowest = (f64::INFINITY, None);
        for (source, held) in &self.caps.of {
            let rate = held.at(ceiling, now);
            if rate < lowest.0 {
                lowest = (rate, source.kind());
            }
        }
        let rate = lowest.0.max(rules.floor).min(ceiling);
        (self.caps.rate, self.caps.binding) = (rate, lowest.1.filter(|_| rate < ceiling));
        let share = rate / ceiling;
        Rules { rate, visits: rules.visits * share, burst: (rules.burst * share).max(1.0), ..rules.clone() }
    }

    fn hear_cap(&mut self, &Cap { source, rate, ttl }: &Cap, now: Millis) {
        let known = self.caps.of.get(&source).copied();
        let held = match known {
            Some(held) if ttl == 0 => Held { until: held.until.min(now), ..held },
            None if ttl == 0 => return,
            _ => Held { rate, until: now.saturating_add(ttl) },
        };
        self.caps.of.insert(source, held);
        self.changes.push(Change::Cap(source.number(), Some((held.rate, held.until))));
        if self.caps.of.len() > MOST {
            // The highest, and of equal ones the last.
            let highest = self.caps.of.iter().max_by(|a, b| a.1.rate.total_cmp(&b.1.rate)).map(|(&source, _)| source);
            self.forget_caps(highest);
        }
    }

    /// Forgets caps that have risen to the ceiling.
    fn end_caps(&mut self, ceiling: f64, now: Millis) {
        let over = |held: &Held| held.until <= now && held.at(ceiling, now) >= ceiling;
        let over: Vec<_> = self.caps.of.iter().filter(|(_, held)| over(held)).map(|(&source, _)| source).collect();
        self.forget_caps(over);
    }

    fn forget_caps(&mut self, sources: impl IntoIterator<Item = CapSource>) {
        for source in sources {
            self.caps.of.remove(&source);
            self.changes.push(Change::Cap(source.number(), None));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Batch;

    /// 600 a minute.
    fn rules() -> Rules {
        Rules { floor: 0.5, ..Rules::per_minute(600) }
    }

    fn shop(server: u32, rate: f64, ttl: Millis) -> Cap {
        Cap { source: CapSource::new(CapKind::Shop, server), rate, ttl }
    }

    fn hears(line: &mut Line, caps: &[Cap], now: Millis) -> (f64, Option<CapKind>) {
        let view = line.apply(&rules(), &Batch { caps: caps.to_vec(), ..Batch::default() }, now).view;
        line.check_invariants(&rules());
        (view.rate, view.capped_by)
    }

    #[test]
    fn the_lowest_cap_that_holds_binds() {
        let mut line = Line::new(1_000);
        assert_eq!(hears(&mut line, &[], 1_000), (10.0, None));
        assert_eq!(hears(&mut line, &[shop(1, 8.0, 30_000)], 1_100), (8.0, Some(CapKind::Shop)));
        assert_eq!(hears(&mut line, &[shop(2, 4.0, 5_000)], 1_200).0, 4.0);
        assert_eq!(hears(&mut line, &[shop(1, 9.0, 30_000)], 1_300).0, 4.0);
        assert_eq!(hears(&mut line, &[shop(2, 6.0, 5_000)], 1_400).0, 6.0, "the same source has changed its mind");
    }

    #[test]
    fn no_source_raises_the_rate_and_none_goes_below_the_floor() {
        let mut line = Line::new(0);
        assert_eq!(hears(&mut line, &[shop(1, 1e9, 30_000)], 100), (10.0, None));
        assert_eq!(hears(&mut line, &[shop(1, 0.0, 30_000)], 200), (0.5, Some(CapKind::Shop)));
    }

    #[test]
    fn after_its_end_a_cap_rises_by_a_tenth_of_the_ceiling_a_second() {
        let mut line = Line::new(0);
        hears(&mut line, &[shop(1, 2.0, 5_000)], 0);
        assert_eq!(hears(&mut line, &[], 5_000).0, 2.0);
        assert_eq!(hears(&mut line, &[], 6_000).0, 3.0);
        assert_eq!(hears(&mut line, &[], 12_000).0, 9.0);
        assert_eq!(hears(&mut line, &[], 13_000), (10.0, None));
        assert!(line.caps.of.is_empty());
    }

    #[test]
    fn a_cap_can_be_taken_back() {
        let mut line = Line::new(0);
        let api = CapSource::new(CapKind::Api, 0);
        hears(&mut line, &[Cap { source: api, rate: 1.0, ttl: 86_400_000 }], 0);
        assert_eq!(hears(&mut line, &[Cap { source: api, rate: 0.0, ttl: 0 }], 1_000), (1.0, Some(CapKind::Api)));
        assert_eq!(hears(&mut line, &[], 3_000).0, 3.0);
        hears(&mut line, &[shop(7, 0.0, 0)], 3_100);
        assert_eq!(line.caps.of.len(), 1, "what was never said is not taken back");
    }

    #[test]
    fn a_gap_without_a_poll_changes_nothing() {
        let (mut polled, mut left_alone) = (Line::new(0), Line::new(0));
        for line in [&mut polled, &mut left_alone] {
            hears(line, &[shop(1, 1.0, 2_000)], 0);
        }
        for tick in 1..50 {
            hears(&mut polled, &[], tick * 100);
        }
        assert_eq!(hears(&mut polled, &[], 5_000), hears(&mut left_alone, &[], 5_000));
    }

    #[test]
    fn sources_are_bounded_and_the_one_that_binds_stays() {
        let mut line = Line::new(0);
        hears(&mut line, &[shop(0, 1.0, 600_000)], 0);
        for server in 1..1_000 {
            hears(&mut line, &[shop(server, 2.0 + f64::from(server % 7), 600_000)], u64::from(server));
        }
        assert_eq!((line.caps.of.len(), hears(&mut line, &[], 1_000).0), (MOST, 1.0));
    }

    #[test]
    fn a_restored_line_knows_its_caps() {
        let mut line = Line::new(0);
        hears(&mut line, &[shop(1, 2.0, 60_000), shop(2, 3.0, 60_000)], 0);
        hears(&mut line, &[shop(1, 0.0, 0)], 100);
        let (counters, changes) = (line.counters(), line.take_changes());
        let mut restored = Line::restored(counters, 9_000, changes);
        assert_eq!(hears(&mut restored, &[], 9_000).0, 3.0);
    }
}
