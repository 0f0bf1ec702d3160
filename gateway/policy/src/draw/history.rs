//! The records of a draw in order, held against the rules one by one.
//!
//! A gateway that goes on with a draw and a sceptic who checks it read records by the same code.

use super::beacon::Beacon;
use super::freeze;
use super::hex::{Hash, Hex};
use super::record::{Body, Frozen, MAX_GROUPS, MAX_NAME, MAX_REASON, MAX_RECORDS, Method, Opened, Record, Times, Void};
use super::refusal::{Refusal, Why};
use super::secret::commitment;
use crate::Millis;

/// Most numbers of a draw: more than people with a telephone.
const MAX_COUNT: u64 = 1 << 34;

/// A draw as its records tell it.
#[derive(Debug, Clone)]
pub struct History {
    /// The first record.
    pub opened: Opened,
    /// When that was.
    pub opened_at: Millis,
    /// The chain of drand; `None` without a beacon.
    pub beacon: Option<Beacon>,
    /// The times in force.
    pub times: Times,
    /// Whether the freeze was moved forward.
    pub moved_forward: bool,
    /// What was frozen, with its time: first what was there at the freeze, then what was numbered later.
    pub frozen: Vec<(Millis, Frozen)>,
    /// Whether and when the draw was declared void.
    pub void: Option<(Millis, Void)>,
    /// Hash of the last record.
    pub head: Hash,
    /// Time of the last record.
    pub time: Millis,
    /// The longest time without a record before the freeze.
    pub longest_silence: Millis,
    /// How many records.
    pub records: usize,
    next: u64,
}

impl History {
    /// All of these records. `beacons` are the chains that count as public.
    pub fn read(records: &[Record], beacons: &[Beacon]) -> Result<Self, Refusal> {
        let (first, others) = records.split_first().ok_or(Why::NoRecords.of_all())?;
        if records.len() > MAX_RECORDS {
            return Err(Why::TooManyRecords.of_all());
        }
        let mut history = Self::open(first, beacons).map_err(|why| why.of(0))?;
        for (before, record) in others.iter().enumerate() {
            history.take(record).map_err(|why| why.of(before + 1))?;
        }
        Ok(history)
    }

    /// A draw of which this is the first record.
    pub fn open(record: &Record, beacons: &[Beacon]) -> Result<Self, Why> {
        let Body::Opened(opened) = &record.body else { return Err(Why::NotOpened) };
        if record.previous != Hex([0; 32]) {
            return Err(Why::NotOpened);
        }
        if !record.is_signed_by(&opened.public_key) {
            return Err(Why::Signature);
        }
        if [&opened.room, &opened.event].iter().any(|name| name.is_empty() || name.len() > MAX_NAME) {
            return Err(Why::Text);
        }
        if record.time > opened.times.freeze || opened.times.freeze > opened.times.start {
            return Err(Why::Times);
        }
        Ok(Self {
            beacon: beacon(opened.method, beacons)?,
            opened_at: record.time,
            times: opened.times,
            moved_forward: false,
            frozen: Vec::new(),
            void: None,
            head: record.hash(),
            time: record.time,
            longest_silence: 0,
            records: 1,
            next: 0,
            opened: opened.clone(),
        })
    }

    /// Goes on by one record. After a refusal nothing has changed.
    pub fn take(&mut self, record: &Record) -> Result<(), Why> {
        self.continues(record)?;
        let open = self.frozen.is_empty();
        match &record.body {
            Body::Opened(_) => return Err(Why::OpenedTwice),
            Body::Counted { next } => self.next = self.no_fewer(*next)?,
            Body::Moved(times) => self.move_to(*times, record.time)?,
            Body::Frozen(frozen) => self.freeze(frozen, record.time)?,
            Body::Void(void) => self.declare_void(void, record.time)?,
        }
        if open {
            self.longest_silence = self.longest_silence.max(record.time - self.time);
        }
        (self.head, self.time, self.records) = (record.hash(), record.time, self.records + 1);
        Ok(())
    }

    fn continues(&self, record: &Record) -> Result<(), Why> {
        if record.previous != self.head {
            return Err(Why::Previous);
        }
        if !record.is_signed_by(&self.opened.public_key) {
            return Err(Why::Signature);
        }
        match self.time.checked_sub(record.time) {
            Some(behind) if behind > 0 => Err(Why::Time(behind)),
            _ if self.void.is_some() => Err(Why::AfterVoid),
            _ if self.records >= MAX_RECORDS => Err(Why::TooManyRecords),
            _ => Ok(()),
        }
    }

    fn no_fewer(&self, next: u64) -> Result<u64, Why> {
        match next {
            fewer if fewer < self.next => Err(Why::Fewer { told: fewer, before: self.next }),
            many if many > MAX_COUNT => Err(Why::TooMany(many)),
            next => Ok(next),
        }
    }

    fn move_to(&mut self, times: Times, now: Millis) -> Result<(), Why> {
        if !self.frozen.is_empty() {
            return Err(Why::MovedAfterFreeze);
        }
        if times.freeze < now || times.start < times.freeze {
            return Err(Why::Times);
        }
        let forward = times.freeze < self.times.freeze;
        if forward && self.beacon.is_none() {
            return Err(Why::MovedForward);
        }
        self.moved_forward |= forward;
        self.times = times;
        Ok(())
    }

    fn freeze(&mut self, frozen: &Frozen, now: Millis) -> Result<(), Why> {
        let end = self.frozen.last().map_or(0, |(_, last)| last.first + last.count);
        // The first holds all numbers, which may be none.
        let begins = if self.frozen.is_empty() { frozen.first == 0 } else { frozen.first >= end && frozen.count > 0 };
        if !begins {
            return Err(Why::FrozenTwice { told: frozen.first, frozen: end });
        }
        if self.frozen.len() >= MAX_GROUPS {
            return Err(Why::TooManyGroups);
        }
        if let Some(early) = self.times.freeze.checked_sub(now).filter(|&early| early > 0) {
            return Err(Why::TooEarly(early));
        }
        let upto = frozen.first.saturating_add(frozen.count);
        let next = if self.frozen.is_empty() || upto > self.next { self.no_fewer(upto)? } else { self.next };
        if frozen.latest_clock < now {
            return Err(Why::Clock);
        }
        let due = self.beacon.map_or(0, |beacon| freeze::round(&beacon, frozen.latest_clock));
        if frozen.round != due {
            return Err(Why::Round { told: frozen.round, due });
        }
        self.opens(&frozen.k)?;
        self.next = next;
        self.frozen.push((now, frozen.clone()));
        Ok(())
    }

    fn declare_void(&mut self, void: &Void, now: Millis) -> Result<(), Why> {
        if void.reason.len() > MAX_REASON {
            return Err(Why::Text);
        }
        self.opens(&void.k)?;
        self.void = Some((now, void.clone()));
        Ok(())
    }

    fn opens(&self, k: &Hash) -> Result<(), Why> {
        let expected = commitment(&self.opened.room, &self.opened.event, k);
        if expected == self.opened.commitment { Ok(()) } else { Err(Why::Commitment) }
    }
}

fn beacon(method: Method, known: &[Beacon]) -> Result<Option<Beacon>, Why> {
    match method {
        Method::CommitOnly => Ok(None),
        Method::Beacon { chain } => {
            known.iter().find(|beacon| beacon.chain == chain).copied().map(Some).ok_or(Why::Beacon(chain))
        }
    }
}

/// Index of the first record in which two histories differ; `None` if one continues the other.
pub fn split(one: &[Record], other: &[Record]) -> Option<usize> {
    one.iter().zip(other).position(|(one, other)| one.hash() != other.hash())
}
