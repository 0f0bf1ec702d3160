//! The results of a launch, in numbers: use of the rate, waits, overtaking, evenness, honest ranges.

use policy::Millis;

use super::World;
use super::crowd::Habit;

/// The figures of one launch. Times in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Share of the rate that was used while people waited, after the warm-up.
    pub used: f64,
    /// Seconds over which that was measured.
    pub seconds: f64,
    /// Longest time from the first claim to the pass, of shoppers who poll as told...
    pub longest_hold: f64,
    /// ...the time that 99 % stay below...
    pub p99_hold: f64,
    /// ...and the longest from the call to the pass.
    pub longest_call: f64,
    /// Most that a shopper who polls as told was overtaken by, in seconds of called tickets.
    pub overtaken: f64,
    /// Most admissions in 100 ms.
    pub most_per_tick: u64,
    /// Share of shoppers who poll as told that entered inside the first range that they saw.
    pub inside: f64,
    /// Most requests in a second.
    pub requests: u32,
    /// The most grants beyond any window's allowance; not above 0.
    pub overshoot: f64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.4} of the rate used over {:.0} s, ", self.used, self.seconds)?;
        write!(f, "claim to pass {:.2} s (99 %: {:.2}), ", self.longest_hold, self.p99_hold)?;
        write!(f, "call to pass {:.2} s, overtaken {:.2} s, ", self.longest_call, self.overtaken)?;
        write!(f, "{} in 100 ms, {:.2} inside, ", self.most_per_tick, self.inside)?;
        write!(f, "{} requests in a second, overshoot {:.2}", self.requests, self.overshoot.max(0.0))
    }
}

impl Figures {
    /// Of a launch, leaving out the first `warm_up` after the line formed.
    pub fn of(world: &World, warm_up: Millis) -> Self {
        let (from, to) = stood(world);
        let mut figures = Self::default();
        figures.measure_use(world, from + warm_up, to);
        figures.measure_waits(world);
        figures.measure_overtaking(world);
        figures.most_per_tick = evenness(world, from + 2_000, to);
        figures.overshoot = world.watch.overshoot;
        figures.requests = world.watch.polls.iter().map(|&(_, all)| all).max().unwrap_or(0);
        figures
    }

    fn measure_use(&mut self, world: &World, from: Millis, to: Millis) {
        let granted = world.watch.grants.iter().filter(|&&at| from < at && at <= to).count();
        self.seconds = to.saturating_sub(from) as f64 / 1000.0;
        self.used = granted as f64 / (world.room.rules.rate * self.seconds);
    }

    fn measure_waits(&mut self, world: &World) {
        let (mut holds, mut seen_range, mut inside) = (Vec::new(), 0.0, 0.0);
        for seen in told(world) {
            let (Some(claimed), Some(granted)) = (seen.claimed, seen.granted) else { continue };
            let called = world.watch.called(seen.number).unwrap_or(granted).max(seen.joined.unwrap_or(0));
            holds.push(granted - claimed);
            self.longest_call = self.longest_call.max((granted - called.min(granted)) as f64 / 1000.0);
            if let Some((at, range)) = seen.shown {
                let wait = (granted - at) as f64 / 1000.0;
                seen_range += 1.0;
                inside += f64::from(u8::from(range.low as f64 <= wait && wait <= range.high as f64));
            }
        }
        holds.sort_unstable();
        self.longest_hold = holds.last().map_or(0.0, |&ms| ms as f64 / 1000.0);
        self.p99_hold = holds.get(holds.len() * 99 / 100).map_or(0.0, |&ms| ms as f64 / 1000.0);
        self.inside = inside / seen_range;
    }

    /// The highest number let in before a shopper, against that shopper's own, at the line's mean speed.
    fn measure_overtaking(&mut self, world: &World) {
        let mut granted: Vec<(Millis, u64, Habit)> = (world.crowd.iter().zip(&world.watch.people))
            .filter_map(|(person, seen)| Some((seen.granted?, seen.number, person.habit)))
            .collect();
        granted.sort_unstable_by_key(|&(at, number, _)| (at, number));
        let (from, to) = stood(world);
        let called = world.watch.steps.last().map_or(0, |step| step.serving.min(step.next));
        let mean_speed = called as f64 * 1000.0 / (to - from) as f64;
        let mut highest = 0;
        for (_, number, habit) in granted {
            highest = number.max(highest);
            if habit == Habit::Told {
                self.overtaken = self.overtaken.max((highest - number) as f64 / mean_speed);
            }
        }
    }
}

/// Shoppers who poll as told.
fn told(world: &World) -> impl Iterator<Item = &super::watch::Observed> {
    let people = world.crowd.iter().zip(&world.watch.people);
    people.filter(|(person, _)| person.habit == Habit::Told).map(|(_, seen)| seen)
}

/// From when until when people waited who were not called.
pub fn stood(world: &World) -> (Millis, Millis) {
    let steps = || world.watch.steps.iter().filter(|step| step.next > step.serving);
    (steps().next().map_or(0, |step| step.now), steps().next_back().map_or(0, |step| step.now))
}

/// Most admissions in any 100 ms between two instants.
fn evenness(world: &World, from: Millis, to: Millis) -> u64 {
    let grants: Vec<Millis> = world.watch.grants.iter().copied().filter(|&at| from < at && at <= to).collect();
    let mut first = 0;
    let mut most = 0;
    for (last, &at) in grants.iter().enumerate() {
        while grants[first] + 100 <= at {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most as u64
}
