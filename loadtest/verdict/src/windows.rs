//! How many fell into a window of time, and the order of two lists. Only numbers.
//!
//! ```text
//! most in a window of length T        max over n of #{ m : t_n <= t_m < t_n + T }
//! beyond the limit, any window        max over n <= m of  (m + 1 - n) - burst - rate x (t_m - t_n)
//!                                   = max over m of  (m + 1 - rate x t_m) - min over n <= m of (n - rate x t_n) - burst
//! Kendall's tau                       1 - 4 D / (n (n - 1)),  D = pairs in the wrong order; equal ones are in order
//! ```
//!
//! The first two walk once over sorted times. `D` is counted while sorting by merging: Knight, A Computer Method for
//! Calculating Kendall's Tau with Ungrouped Data, 1966.
//!
//! Out of scope: what the numbers stand for.

/// A rate's allowance: so many per second, and so many at once on top.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limit {
    /// Per second.
    pub(crate) rate: f64,
    /// On top.
    pub(crate) burst: f64,
}

/// A count before and after an instant, in milliseconds. Of a counter that was read both are the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    pub(crate) at: i64,
    pub(crate) before: u64,
    pub(crate) after: u64,
}

/// The window that went furthest beyond a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Worst {
    /// How many beyond it; below 0 if even this window kept it.
    pub(crate) beyond: f64,
    /// Its first instant, in milliseconds.
    pub(crate) from: i64,
    /// Its last instant.
    pub(crate) to: i64,
}

impl Limit {
    /// The most in a window of so many seconds.
    pub(crate) fn within(&self, seconds: f64) -> f64 {
        self.rate * seconds + self.burst
    }

    /// The worst window of any length; `None` without steps. They are in order of time.
    pub(crate) fn worst(&self, steps: impl IntoIterator<Item = Step>) -> Option<Worst> {
        let mut steps = steps.into_iter().peekable();
        let origin = steps.peek()?.at;
        let mut lowest = (f64::INFINITY, origin);
        let mut worst = Worst { beyond: f64::NEG_INFINITY, from: origin, to: origin };
        for Step { at, before, after } in steps {
            // In thousandths, or a sum of decimals would be a little more than none.
            let allowed = self.rate * (at - origin) as f64;
            let start = before as f64 * 1e3 - allowed;
            if start < lowest.0 {
                lowest = (start, at);
            }
            let beyond = (after as f64 - self.burst) * 1e3 - allowed - lowest.0;
            if beyond > worst.beyond {
                worst = Worst { beyond, from: lowest.1, to: at };
            }
        }
        Some(Worst { beyond: worst.beyond / 1e3, ..worst })
    }
}

/// One step for each of these instants, in order.
pub(crate) fn steps(times: &[i64]) -> impl Iterator<Item = Step> + '_ {
    (0..).zip(times).map(|(before, &at)| Step { at, before, after: before + 1 })
}

/// The most of these instants, in order, in any window of this length (of which the end is not part).
pub(crate) fn most_within(times: &[i64], length: i64) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, &at) in times.iter().enumerate() {
        while at - times[first] >= length {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

/// Kendall's tau between the order of a list and the size of its items; 1 where there is nothing to compare.
pub(crate) fn tau(values: &[i64]) -> f64 {
    let n = values.len() as f64;
    if values.len() < 2 { 1.0 } else { 1.0 - 4.0 * inversions(values) as f64 / (n * (n - 1.0)) }
}

/// Pairs of which the later one is smaller.
pub(crate) fn inversions(values: &[i64]) -> u64 {
    let mut sorted = values.to_vec();
    let mut merged = Vec::with_capacity(values.len());
    let mut found = 0;
    let mut width = 1;
    while width < sorted.len() {
        merged.clear();
        for run in sorted.chunks(2 * width) {
            found += merge(run.split_at(width.min(run.len())), &mut merged);
        }
        std::mem::swap(&mut sorted, &mut merged);
        width *= 2;
    }
    found
}

/// Merges two sorted lists; answers how many pairs of them were in the wrong order.
fn merge((mut left, mut right): (&[i64], &[i64]), into: &mut Vec<i64>) -> u64 {
    let mut found = 0;
    while let (Some((&l, after_l)), Some((&r, after_r))) = (left.split_first(), right.split_first()) {
        if r < l {
            found += left.len() as u64;
            into.push(r);
            right = after_r;
        } else {
            into.push(l);
            left = after_l;
        }
    }
    into.extend_from_slice(left);
    into.extend_from_slice(right);
    found
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    const LIMIT: Limit = Limit { rate: 10.0, burst: 2.0 };

    /// Small lists of all kinds: the same ones in every run.
    fn lists() -> impl Iterator<Item = (u64, Vec<i64>)> {
        (0..300).map(|seed| {
            let mut random = StdRng::seed_from_u64(seed);
            let (len, span) = (random.random_range(0..60), random.random_range(1..4_000));
            (seed, (0..len).map(|_| random.random_range(0..span)).collect())
        })
    }

    #[test]
    fn the_worst_window_of_any_length_is_found() {
        let beyond = |times: &[i64]| LIMIT.worst(steps(times)).unwrap().beyond;
        assert!(beyond(&[0, 0, 100, 200, 300]) <= 0.0);
        assert_eq!(beyond(&[0, 1_000, 1_000, 1_000, 2_000]), 1.0);
        assert_eq!(LIMIT.worst(steps(&[0, 50, 100, 150, 200])), Some(Worst { beyond: 1.0, from: 0, to: 200 }));
        assert_eq!(LIMIT.worst(steps(&[])), None);
    }

    #[test]
    fn a_counter_may_grow_by_the_rate_and_the_burst_between_two_looks() {
        let look = |at, count| Step { at, before: count, after: count };
        assert_eq!(LIMIT.worst([look(0, 5), look(1_000, 17), look(2_000, 20)]).unwrap().beyond, 0.0);
        assert_eq!(LIMIT.worst([look(0, 5), look(900, 17), look(1_000, 17)]).unwrap().beyond, 1.0);
        assert!(LIMIT.worst([look(0, 5)]).unwrap().beyond < 0.0, "one look tells nothing");
    }

    #[test]
    fn windows_are_those_of_counting_every_pair() {
        for (seed, mut times) in lists() {
            times.sort_unstable();
            for length in [1, 100, 1_000] {
                let within = |n: usize| times[n..].iter().take_while(|&&at| at < times[n] + length).count();
                let naive = (0..times.len()).map(within).max().unwrap_or(0);
                assert_eq!(most_within(&times, length), naive, "seed {seed}");
            }
            let pairs = (0..times.len()).flat_map(|n| (n..times.len()).map(move |m| (n, m)));
            let excess = |(n, m): (usize, usize)| (m + 1 - n) as f64 - 2.0 - (times[m] - times[n]) as f64 / 100.0;
            let naive = pairs.map(excess).fold(f64::NEG_INFINITY, f64::max);
            let found = LIMIT.worst(steps(&times)).map_or(f64::NEG_INFINITY, |worst| worst.beyond);
            assert!(found == naive || (found - naive).abs() < 1e-6, "seed {seed}: {found} is not {naive}");
        }
    }

    #[test]
    fn tau_is_that_of_counting_every_pair() {
        for (seed, values) in lists() {
            let pairs = (0..values.len()).flat_map(|n| (n + 1..values.len()).map(move |m| (n, m)));
            let naive = pairs.filter(|&(n, m)| values[m] < values[n]).count() as u64;
            assert_eq!(inversions(&values), naive, "seed {seed}");
        }
        assert_eq!((tau(&[1, 2, 2, 9]), tau(&[4, 3, 2, 1]), tau(&[5]), tau(&[])), (1.0, -1.0, 1.0, 1.0));
    }
}
