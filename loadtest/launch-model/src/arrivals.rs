//! When shoppers arrive: an open-loop model, planned before the first one is sent.
//!
//! A plan is a list of [`Phase`]s, each with a rate that runs in a straight line from one value to
//! another. Let `A(t)` be the area under the rates up to `t`: the number of arrivals expected by
//! then. Arrival `i` comes at `A^-1(x_i)`, where `x` grows by exactly 1 ([`Spacing::Even`]) or by a
//! random step of mean 1 with exponential distribution ([`Spacing::Poisson`]: independent people).
//!
//! Steps, bursts and replayed counts are flat phases, one after another ([`Arrivals::of`]).
//!
//! Out of scope: the answers. No visitor arrives later because the shop is slow.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stretch of time in which the rate of arrivals goes in a straight line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Phase {
    /// Arrivals per second at its start.
    pub from: f64,
    /// Arrivals per second at its end.
    pub to: f64,
    /// Its length in seconds.
    pub seconds: f64,
}

impl Phase {
    /// The same rate all along.
    pub fn flat(rate: f64, length: Duration) -> Self {
        Self { from: rate, to: rate, seconds: length.as_secs_f64() }
    }

    /// Arrivals expected in it.
    pub fn area(&self) -> f64 {
        f64::midpoint(self.from, self.to) * self.seconds
    }

    /// Seconds after its start by which `area` arrivals are expected.
    fn time_of(&self, area: f64) -> f64 {
        let slope = (self.to - self.from) / self.seconds;
        let root = (self.from * self.from + 2.0 * slope * area).max(0.0).sqrt();
        (2.0 * area / (self.from + root)).clamp(0.0, self.seconds)
    }
}

/// How arrivals lie around their expected instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// Independent people: now none, now three at once.
    #[default]
    Poisson,
    /// As even as possible: the crowd has no luck in it.
    Even,
}

/// The instants of all arrivals, in order, counted from the start. The same seed gives the same.
#[derive(Debug, Clone)]
pub struct Arrivals {
    phases: Vec<Phase>,
    spacing: Spacing,
    random: StdRng,
    /// Arrivals expected by the next one.
    area: f64,
    /// The phase of the last one: how many lie before it, when it begins, and the arrivals expected by then.
    phase: usize,
    start: f64,
    before: f64,
}

impl Arrivals {
    /// A plan. Phases without arrivals are a pause.
    pub fn new(phases: impl IntoIterator<Item = Phase>, spacing: Spacing, seed: u64) -> Self {
        Self {
            phases: phases.into_iter().collect(),
            spacing,
            random: StdRng::seed_from_u64(seed),
            area: 0.0,
            phase: 0,
            start: 0.0,
            before: 0.0,
        }
    }

    /// The straight segments, in order.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// Arrivals expected in all.
    pub fn expected(&self) -> f64 {
        self.phases.iter().map(Phase::area).sum()
    }

    /// Arrivals expected by so many seconds after the start.
    pub fn expected_by(&self, seconds: f64) -> f64 {
        let mut start = 0.0;
        let area = |phase: &Phase| {
            let part = (seconds - start).clamp(0.0, phase.seconds);
            start += phase.seconds;
            let slope = if phase.seconds > 0.0 { (phase.to - phase.from) / phase.seconds } else { 0.0 };
            part * (phase.from + slope * part / 2.0)
        };
        self.phases.iter().map(area).sum()
    }

    /// The highest rate, per second.
    pub fn fastest(&self) -> f64 {
        self.phases.iter().map(|phase| phase.from.max(phase.to)).fold(0.0, f64::max)
    }

    /// From the first phase to the end of the last.
    pub fn length(&self) -> Duration {
        Duration::from_secs_f64(self.phases.iter().map(|p| p.seconds).sum())
    }

    fn step(&mut self) -> f64 {
        match self.spacing {
            Spacing::Even => 1.0,
            // 1 - u lies in (0, 1], so the logarithm is finite.
            Spacing::Poisson => -(1.0 - self.random.random::<f64>()).ln(),
        }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.area += self.step();
        while let Some(phase) = self.phases.get(self.phase) {
            let area = self.area - self.before;
            if area <= phase.area() {
                return Some(Duration::from_secs_f64(self.start + phase.time_of(area)));
            }
            self.before += phase.area();
            self.start += phase.seconds;
            self.phase += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn launch() -> [Phase; 3] {
        [
            Phase::flat(10.0, Duration::from_secs(3)),
            Phase { from: 10.0, to: 500.0, seconds: 2.0 },
            Phase { from: 500.0, to: 0.0, seconds: 4.0 },
        ]
    }

    #[test]
    fn the_same_seed_gives_the_same_crowd_and_another_seed_another() {
        let plan = |seed| Arrivals::new(launch(), Spacing::Poisson, seed).collect::<Vec<_>>();
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn even_arrivals_come_at_the_rate_of_each_phase() {
        let arrivals: Vec<_> = Arrivals::new(launch(), Spacing::Even, 0).collect();
        let within = |from: f64, to: f64| {
            arrivals.iter().filter(|at| at.as_secs_f64() > from && at.as_secs_f64() <= to).count() as f64
        };
        assert!((within(0.0, 3.0) - 30.0).abs() <= 1.0, "{}", within(0.0, 3.0));
        assert!((within(3.0, 4.0) - 132.5).abs() <= 1.0, "the first half of the ramp: {}", within(3.0, 4.0));
        assert!((within(5.0, 9.0) - 1000.0).abs() <= 1.0, "{}", within(5.0, 9.0));
        assert!(arrivals.is_sorted());
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_the_spread_of_independent_people() {
        let rate = Phase::flat(200.0, Duration::from_secs(50));
        let arrivals: Vec<_> = Arrivals::new([rate], Spacing::Poisson, 3).map(|at| at.as_secs_f64()).collect();
        let gaps: Vec<_> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean * 200.0 - 1.0).abs() < 0.05, "mean {mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "spread {}", variance.sqrt() / mean);
    }

    #[test]
    fn a_pause_has_no_arrivals_and_the_plan_goes_on_after_it() {
        let second = Duration::from_secs(1);
        let phases = [Phase::flat(5.0, second), Phase::flat(0.0, second), Phase::flat(5.0, second)];
        let arrivals: Vec<_> = Arrivals::new(phases, Spacing::Even, 0).map(|at| at.as_secs_f64()).collect();
        assert_eq!(arrivals.len(), 10);
        assert!(arrivals.iter().all(|&at| at <= 1.0 || at > 2.0), "{arrivals:?}");
    }

    fn scenario(phases: &str) -> Scenario {
        let text = format!("name = \"t\"\n[room]\nnew_users_per_minute = 600\n{phases}");
        Scenario::parse(&text, std::path::Path::new("")).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    #[test]
    fn every_kind_of_phase_becomes_straight_lines() {
        let all = scenario(
            "[[arrivals]]\nkind = \"step\"\nfrom = 10\nto = 40\nsteps = 4\nfor = \"2s\"\n\
             [[arrivals]]\nkind = \"burst\"\nrate = 12\ntimes = 25\nfor = \"1s\"\n\
             [[arrivals]]\nkind = \"ramp\"\nfrom = 300\nto = 0\nfor = \"4s\"\n\
             [[arrivals]]\nkind = \"replay\"\ncounts = [10, 0, 30]\ninterval = \"500ms\"\ntimes = 2\n",
        );
        let flat = |rate, seconds| Phase { from: rate, to: rate, seconds };
        let expected = [
            flat(10.0, 0.5),
            flat(20.0, 0.5),
            flat(30.0, 0.5),
            flat(40.0, 0.5),
            flat(300.0, 1.0),
            Phase { from: 300.0, to: 0.0, seconds: 4.0 },
            flat(40.0, 0.5),
            flat(0.0, 0.5),
            flat(120.0, 0.5),
        ];
        assert_eq!(Arrivals::of(&all).phases(), expected);
        assert!((Arrivals::of(&all).expected_by(5.0) - (50.0 + 300.0 + 450.0)).abs() < 1e-6);
    }

    #[test]
    fn a_replay_brings_the_counts_of_its_file() {
        let counts: Vec<u32> = (0..3_600).map(|second| (second * 7919) % 40).collect();
        let folder = tempfile::tempdir().unwrap();
        let lines = counts.iter().enumerate().map(|(second, count)| format!("{second},{count}\n"));
        std::fs::write(folder.path().join("day.csv"), format!("second,count\n{}", lines.collect::<String>())).unwrap();
        let text = "name = \"t\"\nspacing = \"even\"\n[room]\nnew_users_per_minute = 600\n\
                    [[arrivals]]\nkind = \"replay\"\nfile = \"day.csv\"\ninterval = \"1s\"\n";
        let arrivals = Arrivals::of(&Scenario::parse(text, folder.path()).unwrap());
        let mut seen = vec![0_u32; counts.len()];
        // The last of a second may fall onto its end, to within the last digit of a number.
        arrivals.for_each(|at| seen[(at.as_secs_f64() - 1e-6) as usize] += 1);
        assert_eq!(seen, counts);
    }

    #[test]
    fn a_million_arrivals_of_a_long_replay_are_all_there() {
        let counts = vec!["100"; 10_000].join(", ");
        let day = scenario(&format!("[[arrivals]]\nkind = \"replay\"\ncounts = [{counts}]\ninterval = \"1s\"\n"));
        let count = Arrivals::of(&day).count() as f64;
        assert!((count - 1e6).abs() < 5.0 * 1e3, "five times the spread of chance: {count}");
    }
}
