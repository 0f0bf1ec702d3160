//! The view from outside: what the shop, the operator and the shoppers could see themselves.
//!
//! It keeps books of its own and believes nothing that the line says of itself.

use std::collections::{BTreeSet, HashMap, HashSet};

use policy::Millis;
use policy::line::{Batch, Grant, Outcome, Revoked, View};
use policy::outlook::Wait;
use policy::room::{Room, Rules};

/// The record of one person.
#[derive(Debug, Clone, Copy, Default)]
pub struct Observed {
    pub number: u64,
    pub joined: Option<Millis>,
    /// The first range shown, and when.
    pub shown: Option<(Millis, Wait)>,
    pub claimed: Option<Millis>,
    pub granted: Option<Millis>,
    /// The last answer in the line, and the longest time from one to the next.
    told: Option<Millis>,
    pub longest_silence: Millis,
    /// The last pass, if the seat of one before was lost.
    pub again: Option<Millis>,
    let_through: bool,
}

/// One step of the line, as remembered.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub now: Millis,
    pub next: u64,
    pub serving: u64,
    pub active: u64,
    pub claimants: u64,
    /// Places of those called who have not entered, and as they are told.
    pub entering: u64,
    pub told: u64,
}

/// Checks that no window holds more grants than its share: over all pairs of grants at once.
///
/// With `I` the integral of the rate and `B` the burst, grants `i <= j` need
/// `j - i + 1 <= I(j) - I(i) + B(i)`. So only the least `i - 1 - I(i) + ...` so far matters.
#[derive(Debug, Clone, Copy)]
struct Windows {
    tightest: f64,
}

impl Windows {
    fn new() -> Self {
        Self { tightest: f64::INFINITY }
    }

    /// Grant number `count` (from 1) at integral `rate_so_far`; returns by how much a window is overrun.
    fn grant(&mut self, count: u64, rate_so_far: f64, burst: f64) -> f64 {
        let place = count as f64 - rate_so_far;
        self.tightest = self.tightest.min(place - 1.0 + burst);
        place - self.tightest
    }
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each may hold with any other")]
pub struct Watch {
    rules: Rules,
    clock: Millis,
    rate_so_far: f64,
    any: Windows,
    standing: Windows,
    stands: bool,
    last: View,
    /// Virtual time up to which a loss is repaired; 0: there was none.
    repaired: Millis,
    repairing: bool,
    live: HashMap<u64, Millis>,
    by_expiry: BTreeSet<(Millis, u64)>,
    /// When those passes were given.
    admitted: HashMap<u64, Millis>,
    /// Renewals that `max_session` cut short.
    pub capped: u64,
    /// Tickets that are worth nothing any more, and since when.
    spent: HashMap<u64, Millis>,
    /// Numbers that have lost their seats: when, and the ends of their passes.
    pub evicted: HashMap<u64, (Millis, Millis)>,
    /// Numbers whose passes were given in lost answers.
    unheard: BTreeSet<u64>,
    holders: HashMap<u64, u32>,
    highest_given: u64,
    pub granted: u64,
    /// The most grants beyond any window's allowance.
    pub overshoot: f64,
    pub grants: Vec<Millis>,
    pub people: Vec<Observed>,
    pub steps: Vec<Step>,
    /// Polls answered with `Wait`, and all requests, by second.
    pub polls: Vec<(u32, u32)>,
    pub second_claims: u64,
    /// Passes given under leases, and those of them for tickets that had one already.
    pub lent: u64,
    pub second_passes: u64,
    /// Numbers that got a pass by a lease.
    by_lease: HashSet<u64>,
    /// Those who wait ask any gateway, and come back to another than the one that let them in.
    pub roams: bool,
    /// A gateway was killed, perhaps before it told what it gave under its lease, or what only it had seen.
    pub killed: bool,
}

impl Watch {
    pub fn new(room: &Room, people: usize, clock: Millis) -> Self {
        Self {
            rules: room.rules.clone(),
            clock,
            rate_so_far: 0.0,
            any: Windows::new(),
            standing: Windows::new(),
            stands: false,
            last: View::default(),
            repaired: 0,
            repairing: false,
            live: HashMap::new(),
            by_expiry: BTreeSet::new(),
            admitted: HashMap::new(),
            capped: 0,
            spent: HashMap::new(),
            evicted: HashMap::new(),
            unheard: BTreeSet::new(),
            holders: HashMap::new(),
            highest_given: 0,
            granted: 0,
            overshoot: f64::NEG_INFINITY,
            grants: Vec::new(),
            people: vec![Observed::default(); people],
            steps: Vec::new(),
            polls: Vec::new(),
            second_claims: 0,
            lent: 0,
            by_lease: HashSet::new(),
            second_passes: 0,
            roams: false,
            killed: false,
        }
    }

    /// The store's clock shows this; backwards it does not count.
    pub fn time_passes(&mut self, clock: Millis) {
        if clock > self.clock {
            self.rate_so_far += self.rules.rate * (clock - self.clock) as f64 / 1000.0;
            self.clock = clock;
        }
    }

    /// The store has lost writes; every gateway that knows of them lives, but not of a pass that it gave in a lost
    /// answer. `knows` says of which passes the store knows still, and `took` of which seats that it took them.
    pub fn loss(&mut self, now: Millis, knows: impl Fn(u64) -> bool, took: impl Fn(u64) -> bool) {
        self.repaired = now + 1_000;
        let lost = self.evicted.iter().filter(|&(&number, _)| knows(number) && !took(number));
        let back: Vec<(u64, Millis)> = lost.map(|(&number, &(_, expires))| (number, expires)).collect();
        for (number, expires) in back {
            if expires > self.clock && !self.live.contains_key(&number) {
                self.lives(number, expires);
            }
        }
        for number in self.unheard.extract_if(.., |number| !knows(*number)) {
            self.spent.remove(&number);
            if let Some(expires) = self.live.remove(&number) {
                self.by_expiry.remove(&(expires, number));
            }
        }
    }

    /// The operator changes the room at this instant.
    pub fn change(&mut self, room: &Room, clock: Millis) {
        self.time_passes(clock);
        self.rules = room.rules.clone();
    }

    /// A batch was answered.
    pub fn step(&mut self, batch: &Batch, outcome: &Outcome, room: &Room, clock: Millis, now: Millis) {
        self.time_passes(clock);
        let view = &outcome.view;
        assert!(view.now >= self.last.now && view.now <= self.clock, "the line lives in the store's time");
        assert!(view.utc <= self.clock, "no event starts before its time");
        self.repairing = now < self.repaired;
        self.ends_passes(batch, outcome, now);
        self.checks_numbers(batch, outcome);
        self.checks_grants(outcome, room, now);
        let live = self.live.len() as u64;
        match self.repaired {
            // The line hears later of passes under a lease.
            _ if room.rules.lends => {}
            0 => assert_eq!(live, view.active, "passes that live"),
            repaired => assert!(now < repaired || live <= view.active, "{live} passes live: {view:?}"),
        }
        let stands = view.waiting() > 0 && self.last.waiting() > 0;
        if !(stands && self.stands) {
            self.standing = Windows::new();
        }
        self.stands = stands;
        let (next, serving) = (view.segments.open.next, view.segments.open.serving);
        let moved = self.steps.last().is_none_or(|s| s.serving != serving || now >= s.now + 100);
        if moved {
            let (active, claimants, entering, told) = (view.active, view.claimants, view.entering, view.told);
            self.steps.push(Step { now, next, serving, active, claimants, entering, told });
        }
        self.last = view.clone();
    }

    /// A gateway remembers so many passes, after an answer: those that live, and what it need not have forgotten yet.
    pub fn remembers(&self, passes: usize, now: Millis) {
        let live = self.live.len() + self.evicted.len();
        if passes > live {
            // It forgets once in a second of the line, which may take longer where the store's clock was set back.
            let lately = self.spent.values().filter(|&&ended| ended + 5_000 > now).count();
            assert!(passes <= live + lately, "{passes} passes are remembered, {live} live and {lately} ended lately");
        }
    }

    /// A batch whose answer was lost: what it gave it has given, but how far the line had come is unknown.
    pub fn unanswered(&mut self, batch: &Batch, outcome: &Outcome, room: &Room, clock: Millis, now: Millis) {
        let last = self.last.clone();
        self.step(batch, outcome, room, clock, now);
        let given = outcome.grants.iter().filter(|(_, grant)| matches!(grant, Grant::Pass { .. }));
        self.unheard.extend(given.map(|(number, _)| *number));
        self.last = View { now: self.last.now, ..last };
    }

    fn ends_passes(&mut self, batch: &Batch, outcome: &Outcome, now: Millis) {
        while let Some(&(expires, number)) = self.by_expiry.first().filter(|(expires, _)| *expires <= outcome.view.now)
        {
            self.by_expiry.remove(&(expires, number));
            self.live.remove(&number);
            self.spent.insert(number, now);
        }
        for &Revoked { number, expires, .. } in outcome.revoked.iter().filter(|revoked| revoked.evicted) {
            if self.live.get(&number) == Some(&expires) {
                self.live.remove(&number);
                self.by_expiry.remove(&(expires, number));
                self.evicted.insert(number, (now, expires));
            }
        }
        for &number in &batch.releases {
            if let Some(expires) = self.live.remove(&number) {
                self.by_expiry.remove(&(expires, number));
            }
            self.spent.insert(number, now);
        }
        for &(number, expires) in &outcome.renewed {
            if let Some(expires) = expires.filter(|_| self.may_be_back(number)) {
                self.lives(number, expires);
            }
            assert!(
                self.repairing || self.rules.lends || self.live.contains_key(&number) == expires.is_some(),
                "renewal of {number}"
            );
            if let Some(expires) = expires.filter(|_| self.live.contains_key(&number)) {
                self.lives(number, expires);
                self.is_renewed(number, expires, outcome.view.now);
            }
        }
    }

    /// No segment goes back, but in the second in which a loss is repaired.
    fn checks_segments(&self, view: &View, last: &View) {
        assert!(view.segments.open.base >= last.segments.open.base, "{last:?} went back to {view:?}");
        for before in last.segments.iter().filter(|segment| !segment.is_empty() && !self.repairing && !self.killed) {
            let now = view.segments.of(before.base + 1);
            let further = now.is_some_and(|now| now.next >= before.next && now.serving >= before.serving);
            assert!(further || view.forgotten > before.base, "{last:?} went back to {view:?}");
        }
    }

    /// No renewal goes beyond `max_session` after the pass was given, whatever was lost or killed meanwhile.
    fn is_renewed(&mut self, number: u64, expires: Millis, now: Millis) {
        let latest = self.admitted.get(&number).map_or(Millis::MAX, |&admitted| self.rules.latest_end(admitted));
        assert!(expires <= latest, "{number} is renewed up to {expires}, beyond {latest}");
        self.capped += u64::from(expires < now + self.rules.session);
    }

    fn lives(&mut self, number: u64, expires: Millis) {
        if let Some(before) = self.live.insert(number, expires) {
            self.by_expiry.remove(&(before, number));
        }
        self.by_expiry.insert((expires, number));
    }

    fn checks_numbers(&self, batch: &Batch, outcome: &Outcome) {
        let (view, last) = (&outcome.view, &self.last);
        self.checks_segments(view, last);
        assert!(self.repaired > 0 || view.granted >= last.granted && view.no_shows >= last.no_shows);
        let joined = batch.joins + outcome.joined_if_called;
        let in_round = outcome.round > 0;
        let last_given = if in_round { view.round.gathered } else { view.segments.open.next };
        assert_eq!(outcome.first + joined, last_given + 1, "as many places as were asked for");
        assert!(in_round || outcome.first > self.highest_given, "{} is given twice", outcome.first);
        if self.rules.enforced {
            let lead = |view: &View| view.segments.open.serving.saturating_sub(view.segments.open.next);
            let (ahead, before) = (lead(view), lead(last));
            assert!(ahead as f64 <= self.rules.burst.max(before as f64), "{ahead} ahead");
        }
    }

    fn checks_grants(&mut self, outcome: &Outcome, room: &Room, now: Millis) {
        let mut highest = 0;
        for &(number, grant) in &outcome.grants {
            match grant {
                Grant::Pass { expires, .. } if self.live.contains_key(&number) => {
                    self.unheard.remove(&number);
                    let same = self.live[&number] == expires || room.rules.lends;
                    assert!(same, "a second claim of {number} gets another pass");
                    self.second_claims += 1;
                }
                Grant::Pass { expires, .. } if self.may_be_back(number) && self.evicted[&number].1 >= expires => {
                    self.lives(number, expires);
                }
                Grant::Pass { expires, .. } => {
                    // Of a pass by a lease the line may not have been told, and of one before a loss the gateway that gave it
                    // may be cut off, or killed, before it tells: then the line gives a second one.
                    let untold = self.by_lease.contains(&number)
                        || room.rules.lends && (self.killed || self.roams && self.repaired > 0);
                    assert!(
                        !self.spent.contains_key(&number) || untold,
                        "{number} was spent at {:?} and gets a pass at {now}",
                        self.spent.get(&number)
                    );
                    assert!(outcome.view.segments.is_called(number), "{number} was not called");
                    let utc = outcome.view.utc;
                    assert!(room.rules.at(utc).open, "{number} is let into a closed room, or before the start: {utc}");
                    self.lives(number, expires);
                    self.admitted.insert(number, expires - room.rules.session);
                    self.counts(room, now);
                    highest = highest.max(number);
                }
                Grant::Spent => assert!(self.is_spent(number), "{number} is not spent"),
                Grant::NotYet => {}
            }
        }
        let left = outcome.grants.iter().filter(|(_, grant)| *grant == Grant::NotYet).map(|(number, _)| *number);
        let lowest_left = left.min().unwrap_or(u64::MAX);
        assert!(highest < lowest_left, "{highest} is granted before {lowest_left}");
    }

    /// One more shopper is let in.
    fn counts(&mut self, room: &Room, now: Millis) {
        self.granted += 1;
        self.grants.push(now);
        if !room.rules.enforced {
            // Passes given without a limit are no part of a window that a limit bounds.
            self.any = Windows::new();
            return;
        }
        let over = self.any.grant(self.granted, self.rate_so_far, self.rules.burst.max(1.0));
        let bucket = self.rules.burst.min(1.0 + 0.1 * self.rules.rate).max(1.0);
        let over_standing = self.standing.grant(self.granted, self.rate_so_far, bucket);
        self.overshoot = self.overshoot.max(over);
        assert!(over < 1e-6, "{over} too many in a window that ends at {now}");
        assert!(
            !self.stands || room.rules.lends || over_standing < 1e-6,
            "{over_standing} too many while a line stands, at {now}"
        );
        if let Some(seats) = room.rules.total_active_users {
            assert!(self.live.len() as u64 <= seats, "{} passes live, {seats} may", self.live.len());
        }
    }

    /// A gateway gives a pass under its lease.
    pub fn lends(&mut self, number: u64, expires: Millis, room: &Room, clock: Millis, now: Millis) {
        self.time_passes(clock);
        assert!(room.rules.lends && room.rules.open, "{number} is let in by a lease that nobody gave");
        self.lent += 1;
        self.by_lease.insert(number);
        self.unheard.remove(&number);
        let known = self.live.get(&number).copied();
        self.second_passes += u64::from(known.is_some());
        self.lives(number, expires.max(known.unwrap_or(0)));
        self.admitted.insert(number, expires - room.rules.session);
        self.counts(room, now);
    }

    /// The store may have lost that this number lost its seat, or hear from a gateway that did not know.
    fn may_be_back(&self, number: u64) -> bool {
        self.repaired > 0 && self.evicted.contains_key(&number)
    }

    /// A number was given to a person.
    pub fn given(&mut self, number: u64, person: u32, now: Millis) {
        assert!(self.holders.insert(number, person).is_none(), "{number} is given twice");
        self.highest_given = self.highest_given.max(number);
        let seen = &mut self.people[person as usize];
        assert!(
            seen.number == 0 || self.repaired == 0 || !self.rules.enforced,
            "{person} had {}, lost it and takes {number}",
            seen.number
        );
        seen.number = number;
        seen.joined = seen.joined.or(Some(now));
    }

    pub fn shown(&mut self, person: u32, now: Millis, range: Option<Wait>) {
        let seen = &mut self.people[person as usize];
        seen.shown = seen.shown.or(range.map(|range| (now, range)));
        let silence = seen.told.replace(now).map_or(0, |last| now - last);
        seen.longest_silence = seen.longest_silence.max(silence);
    }

    pub fn claims(&mut self, person: u32, now: Millis) {
        let seen = &mut self.people[person as usize];
        seen.claimed = seen.claimed.or(Some(now));
    }

    pub fn gets_pass(&mut self, person: u32, number: u64, expires: Millis, now: Millis) {
        let lives = self.live.get(&number);
        assert!(lives == Some(&expires) || lives.is_some() && self.rules.lends, "the pass of {number}");
        let evicted = self.evicted.contains_key(&number);
        let seen = &mut self.people[person as usize];
        seen.again = if evicted { Some(now) } else { seen.again };
        seen.granted = seen.granted.or(Some(now));
    }

    /// A shopper entered with the pass of this number, by the clock of a gateway whose copy of the line
    /// is from `seen_at`: it cannot know yet of a clock that jumped since, or of a pass taken back.
    pub fn enters(&self, number: u64, clock: Millis, seen_at: Millis) {
        let lives = self.live.get(&number).is_some_and(|&expires| expires > clock);
        let evicted = self.evicted.get(&number).map(|(at, _)| at);
        let just_ended = self.spent.get(&number).max(evicted).is_some_and(|&ended| ended > seen_at);
        assert!(lives || just_ended || self.may_be_back(number), "{number} enters without a pass that lives");
    }

    pub fn asked(&mut self, now: Millis, waits: bool) {
        let second = (now / 1_000) as usize;
        if second >= self.polls.len() {
            self.polls.resize(second + 1, (0, 0));
        }
        self.polls[second].0 += u32::from(waits);
        self.polls[second].1 += 1;
    }

    /// The room let this person through, or away, without a number.
    pub fn let_through(&mut self, person: u32) {
        self.people[person as usize].let_through = true;
    }

    pub fn holder(&self, number: u64) -> Option<u32> {
        self.holders.get(&number).copied()
    }

    pub fn is_spent(&self, number: u64) -> bool {
        self.spent.contains_key(&number) || self.may_be_back(number)
    }

    /// Whether this person had a pass once.
    pub fn passed(&self, person: u32) -> bool {
        self.people[person as usize].granted.is_some()
    }

    /// Whether the room did with this person what it promises.
    pub fn satisfied(&self, person: u32) -> bool {
        let seen = &self.people[person as usize];
        seen.granted.is_some() || seen.let_through
    }

    /// When this number was called.
    pub fn called(&self, number: u64) -> Option<Millis> {
        let at = self.steps.partition_point(|step| step.serving < number);
        self.steps.get(at).map(|step| step.now)
    }
}
