//! When shoppers arrive: an open loop, planned before anybody is sent.
//!
//! A plan is a list of [`Phase`]s, each with a rate that runs in a straight line from one value to
//! another. Let `A(t)` be the area under the rates up to `t`: the number of arrivals expected by
//! then. Arrival `i` comes at `A^-1(x_i)`, where `x` grows by exactly 1 ([`Spacing::Even`]) or by a
//! random step of mean 1 with exponential distribution ([`Spacing::Poisson`]: independent people).
//!
//! What is absent: the answers. Nobody arrives later because the shop is slow.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// As even as possible: the crowd has no luck in it.
    Even,
    /// Independent people: now nobody, now three at once.
    Poisson,
}

/// The instants of all arrivals, in order, counted from the start. The same seed gives the same.
#[derive(Debug, Clone)]
pub struct Arrivals {
    phases: Vec<Phase>,
    spacing: Spacing,
    random: StdRng,
    /// Arrivals expected by the next one.
    area: f64,
}

impl Arrivals {
    /// A plan. Phases without arrivals are a pause.
    pub fn new(phases: impl IntoIterator<Item = Phase>, spacing: Spacing, seed: u64) -> Self {
        Self { phases: phases.into_iter().collect(), spacing, random: StdRng::seed_from_u64(seed), area: 0.0 }
    }

    /// Arrivals expected in all.
    pub fn expected(&self) -> f64 {
        self.phases.iter().map(Phase::area).sum()
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
        let (mut area, mut start) = (self.area, 0.0);
        for phase in &self.phases {
            if area <= phase.area() {
                return Some(Duration::from_secs_f64(start + phase.time_of(area)));
            }
            area -= phase.area();
            start += phase.seconds;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
