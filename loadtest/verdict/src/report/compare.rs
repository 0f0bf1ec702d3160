//! Two reports side by side: what changed, and what got worse by more than chance would.
//!
//! ```text
//! times     worse if  new > old x (1 + times)  and by more than a millisecond
//! shares    worse if  new < old - shares       (or above, of shares that should be small)
//! counts    worse if  new < old x (1 - counts)
//! faults    worse if  new > old x (1 + faults)
//! a check   worse if  its outcome is, or if what it measured is
//! ```
//!
//! Out of scope: whether a run was good. A report says that itself; here one is held against another.

mod figures;
mod table;

use std::collections::BTreeMap;
use std::str::FromStr;

use super::data::Report;
use figures::{Figure, Kind};

/// How much worse a figure may be before it counts: two runs of one launch are never the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerances {
    /// Times, as a share of the old one.
    pub times: f64,
    /// Shares, as a difference: 0.02 is from 0.99 to 0.97.
    pub shares: f64,
    /// Counts of what went well, as a share of the old one.
    pub counts: f64,
    /// Counts of faults, as a share of the old one.
    pub faults: f64,
}

impl Default for Tolerances {
    fn default() -> Self {
        Self { times: 0.2, shares: 0.02, counts: 0.05, faults: 0.0 }
    }
}

/// A tolerance as it is written: `times=0.3`, or `0.3` for all but faults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    kind: Option<Kind>,
    share: f64,
}

impl FromStr for Tolerance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, share) = text.split_once('=').map_or((None, text), |(kind, share)| (Some(kind), share));
        let kind = match kind {
            None => None,
            Some("times") => Some(Kind::Time),
            Some("shares") => Some(Kind::Share),
            Some("counts") => Some(Kind::Count),
            Some("faults") => Some(Kind::Fault),
            Some(other) => return Err(format!("`{other}` is none of times, shares, counts, faults")),
        };
        let share = share.parse::<f64>().ok().filter(|share| (0.0..=100.0).contains(share));
        Ok(Self { kind, share: share.ok_or("a tolerance is a share of the old figure: 0.2 is a fifth")? })
    }
}

impl Tolerances {
    /// With one of them written otherwise.
    #[must_use]
    pub fn with(self, written: Tolerance) -> Self {
        let share = written.share;
        match written.kind {
            Some(Kind::Time) => Self { times: share, ..self },
            Some(Kind::Share) => Self { shares: share, ..self },
            Some(Kind::Count) => Self { counts: share, ..self },
            Some(Kind::Fault) => Self { faults: share, ..self },
            None | Some(Kind::Fact) => Self { times: share, shares: share, counts: share, ..self },
        }
    }

    /// Whether this is worse than that was, and by more than is tolerated.
    fn exceeded(&self, old: &Figure, new: &Figure) -> bool {
        let (Some(was), Some(is)) = (old.value, new.value) else {
            return old.value.is_some() && new.kind != Kind::Fact;
        };
        let worse_by = if new.less_is_better { is - was } else { was - is };
        let allowed = match new.kind {
            Kind::Time => (was * self.times).max(1.0),
            Kind::Share => self.shares,
            Kind::Count => was * self.counts,
            Kind::Fault => was * self.faults,
            Kind::Fact => return false,
        };
        worse_by > allowed + 1e-9
    }
}

/// A figure of both reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// As the old report has it, for people.
    pub old: String,
    /// As the new report has it.
    pub new: String,
    /// From old to new as a share of the old, where that says something.
    pub change: Option<f64>,
    /// Whether it got worse beyond its tolerance.
    pub worse: bool,
}

/// Both reports side by side: figures in the order of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison(pub Vec<Row>);

impl Comparison {
    /// Of an old and a new report.
    pub fn of(old: &Report, new: &Report, tolerances: &Tolerances) -> Self {
        let mut news: BTreeMap<String, Figure> =
            figures::of(new).into_iter().map(|new| (new.id.clone(), new)).collect();
        let olds = figures::of(old).into_iter();
        let mut rows: Vec<Row> = olds
            .map(|old| {
                let new = news.remove(&old.id).unwrap_or_else(|| old.missing());
                row(&old, &new, tolerances)
            })
            .collect();
        rows.extend(news.into_values().map(|new| row(&new.missing(), &new, tolerances)));
        Self(rows)
    }

    /// The figures that got worse.
    pub fn worse(&self) -> impl Iterator<Item = &Row> {
        self.0.iter().filter(|row| row.worse)
    }
}

fn row(old: &Figure, new: &Figure, tolerances: &Tolerances) -> Row {
    let change = old.value.zip(new.value).filter(|(was, is)| *was != 0.0 && was != is).map(|(was, is)| is / was - 1.0);
    Row {
        name: new.name.clone(),
        old: old.text(),
        new: new.text(),
        change,
        worse: new.rank > old.rank || tolerances.exceeded(old, new),
    }
}

/// Why two reports are not of the same launch: nothing if they are.
pub fn differences(old: &Report, new: &Report) -> Vec<String> {
    let (was, is) = (&old.run, &new.run);
    let seats = |seats: Option<u64>| seats.map_or_else(|| "no bound".into(), |seats| seats.to_string());
    let facts = [
        ("scenario", was.scenario.clone(), is.scenario.clone()),
        ("rate", was.rate.to_string(), is.rate.to_string()),
        ("burst", was.burst.to_string(), is.burst.to_string()),
        ("total_active_users", seats(was.total_active_users), seats(is.total_active_users)),
    ];
    let differ = facts.into_iter().filter(|(_, was, is)| was != is);
    differ.map(|(name, was, is)| format!("{name} is {was} in one and {is} in the other")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(kind: Kind, less_is_better: bool, value: f64) -> Figure {
        Figure { kind, less_is_better, ..Figure::new("x", "x", Some(value)) }
    }

    fn worse(kind: Kind, less_is_better: bool, [was, is]: [f64; 2]) -> bool {
        Tolerances::default().exceeded(&figure(kind, less_is_better, was), &figure(kind, less_is_better, is))
    }

    #[test]
    fn each_kind_of_figure_has_its_own_tolerance() {
        assert!(!worse(Kind::Time, true, [100.0, 119.0]));
        assert!(worse(Kind::Time, true, [100.0, 121.0]));
        assert!(!worse(Kind::Time, true, [0.2, 0.9]), "less than a millisecond is nothing");
        assert!(!worse(Kind::Time, true, [100.0, 1.0]));
        assert!(worse(Kind::Share, false, [0.99, 0.96]));
        assert!(!worse(Kind::Share, false, [0.99, 0.98]));
        assert!(worse(Kind::Share, true, [0.01, 0.04]));
        assert!(worse(Kind::Count, false, [1000.0, 940.0]));
        assert!(worse(Kind::Fault, true, [0.0, 1.0]), "one fault is one too many");
        assert!(!worse(Kind::Fault, true, [3.0, 3.0]));
        assert!(!worse(Kind::Fact, true, [1.0, 100.0]));
    }

    #[test]
    fn a_figure_that_is_not_measured_any_more_is_worse() {
        let was = figure(Kind::Time, true, 5.0);
        assert!(Tolerances::default().exceeded(&was, &was.missing()));
        assert!(!Tolerances::default().exceeded(&was.missing(), &was));
    }

    #[test]
    fn tolerances_are_written_for_one_kind_or_for_all_but_faults() {
        let with = |text: &str| Tolerances::default().with(text.parse().unwrap());
        assert_eq!(with("times=0.5"), Tolerances { times: 0.5, ..Tolerances::default() });
        assert_eq!(with("faults=1"), Tolerances { faults: 1.0, ..Tolerances::default() });
        assert_eq!(with("0.1"), Tolerances { times: 0.1, shares: 0.1, counts: 0.1, faults: 0.0 });
        for wrong in ["", "times", "speed=1", "times=-1", "times=NaN"] {
            assert!(wrong.parse::<Tolerance>().is_err(), "{wrong}");
        }
    }
}
