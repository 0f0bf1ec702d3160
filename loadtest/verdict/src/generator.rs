//! Whether this side kept up. If not, the run is invalid: what looks like a fault of the gateway may be its own.
//!
//! | check | bound | why |
//! |---|---|---|
//! | `generator-crowd` | at least 1 visitor | nothing was sent |
//! | `generator-lag` | p99 10 ms | later, and arrivals are not those of the scenario |
//! | `generator-arrivals` | 0 dropped | a crowd that lacks people is another crowd |
//! | `generator-sockets` | 0 failures | ports or file descriptors were the bottleneck |
//! | `generator-cpu` | 90 % of a process's threads | so busy a process measures itself |
//! | `generator-kernel` | 97 % of each limit of the kernel | full, new connections fail on this side |
//! | `generator-packets` | 0 dropped | a full connection tracking table drops them in silence |
//! | `generator-clock` | 10 ms | a tenth of the smallest window that is judged |
//!
//! A machine whose kernel tells no limits is not asked for them.
//!
//! Out of scope: how much this machine could do; `loadtest calibrate` tells that before.

use evidence::Generator;
use evidence::stats::Quantiles;

use crate::check::Check;
use crate::launch::Launch;

/// How late requests may be sent, p99, in milliseconds.
const LAG_MS: f64 = 10.0;
/// Share of its threads' time that a process may use.
const CPU: f64 = 0.9;
/// Share of a limit of the kernel that may be in use.
const KERNEL: f64 = 0.97;
/// Unnoticed offset between the clocks of two processes, at most, in milliseconds.
const CLOCK_MS: f64 = 10.0;

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    let generators = &launch.evidence.generators;
    let mut checks = vec![crowd(launch), lag(launch)];
    let sum = |of: fn(&Generator) -> u64| generators.iter().map(of).sum();
    checks.extend([
        none(launch, ["generator-arrivals", "Arrivals that were not sent"], sum(|one| one.dropped_arrivals)),
        none(launch, ["generator-sockets", "Connections that failed on this side"], sum(|one| one.local_failures)),
    ]);
    checks.extend([cpu(generators), clock(generators)]);
    checks.extend(kernel(generators));
    checks.into_iter().map(or_silent).map(Check::or_invalid).collect()
}

fn none(launch: &Launch<'_>, [id, title]: [&str; 2], sum: u64) -> Check {
    let check = Check::new(id, title).unit("times");
    match launch.evidence.generators.len() {
        0 => check,
        processes => check.none(sum as usize).detail(format!("Over {processes} generating processes.")),
    }
}

fn or_silent(check: Check) -> Check {
    if check.detail.is_empty() { check.detail("No generating process told how it did.") } else { check }
}

fn crowd(launch: &Launch<'_>) -> Check {
    let came = launch.evidence.visits.len() as f64;
    let check = Check::new("generator-crowd", "Visitors who came").unit("visitors").at_least(came, 1.0);
    check.detail("A run without visitors tells nothing.")
}

/// Lag of the slowest process, or of all together.
fn lag(launch: &Launch<'_>) -> Check {
    let check = Check::new("generator-lag", "How late requests were sent, p99").unit("ms");
    let all = Quantiles::of(launch.evidence.timeline.iter().map(|second| &second.lag));
    let each = launch.evidence.generators.iter().map(|generator| Quantiles::of([&generator.lag]).p99_ms);
    match all.count {
        0 => check,
        count => check.at_most(each.fold(all.p99_ms, f64::max), LAG_MS).detail(format!(
            "Of {count} requests of all, or those of the slowest process; the latest {:.1} ms.",
            all.max_ms
        )),
    }
}

/// The busiest process.
fn cpu(generators: &[Generator]) -> Check {
    let check =
        Check::new("generator-cpu", "CPU time of the busiest generating process, of what its threads could use");
    let check = check.unit("share");
    let used = |generator: &Generator| {
        let possible = generator.seconds * f64::from(generator.threads);
        (possible > 0.0).then(|| (generator.cpu_seconds / possible, generator.name.clone()))
    };
    match generators.iter().filter_map(used).max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((share, name)) => check.at_most(share, CPU).detail(format!("Over its whole run. {name}")),
        None => check,
    }
}

/// The fullest limit of all machines, and what a full one has cost.
fn kernel(generators: &[Generator]) -> Vec<Check> {
    let told = || generators.iter().flat_map(|one| one.limits.iter().map(move |limit| (limit, one)));
    let Some((fullest, of)) = told().max_by(|a, b| a.0.share().total_cmp(&b.0.share())) else { return Vec::new() };
    let check = Check::new("generator-kernel", "The fullest of the kernel's limits on this side").unit("share");
    let overflows: u64 = generators.iter().map(|one| one.listen_overflows).max().unwrap_or(0);
    let detail = format!(
        "{}: {} of {} at the most, on the machine of {}. {overflows} connections found a full listening queue there.",
        fullest.name, fullest.used, fullest.limit, of.name
    );
    // Processes of one machine report the same packets.
    let packets = generators.iter().map(|one| one.dropped_packets).max().unwrap_or(0);
    let lost = Check::new("generator-packets", "Packets dropped for want of connection tracking").unit("packets");
    vec![
        check.at_most(fullest.share(), KERNEL).detail(detail),
        lost.none(packets as usize).detail(
            "By the kernel of a generating machine, in silence: raise net.netfilter.nf_conntrack_max, or exempt the ports.",
        ),
    ]
}

fn clock(generators: &[Generator]) -> Check {
    let check = Check::new("generator-clock", "How far the clock of a generating process may be wrong").unit("ms");
    let worst = generators.iter().map(|generator| generator.clock_offset[1].unsigned_abs()).max();
    match worst {
        Some(worst) => check
            .at_most(worst as f64 / 1e3, CLOCK_MS)
            .detail("Its difference from the leading process is measured and taken off; this is what may be left."),
        None => check,
    }
}

#[cfg(test)]
mod tests {
    use evidence::Latencies;

    use crate::check::{Outcome, Verdict};
    use crate::fixture::Made;
    use crate::judge;

    const ALL: [&str; 8] = [
        "generator-crowd",
        "generator-lag",
        "generator-arrivals",
        "generator-sockets",
        "generator-cpu",
        "generator-clock",
        "generator-kernel",
        "generator-packets",
    ];

    fn invalid(spoil: impl Fn(&mut Made)) -> Vec<&'static str> {
        let mut made = Made::line_of(50);
        spoil(&mut made);
        ALL.into_iter().filter(|id| made.check(id).outcome == Outcome::Invalid).collect()
    }

    #[test]
    fn a_generator_that_kept_up_is_no_matter() {
        let made = Made::line_of(50);
        assert!(ALL.iter().all(|id| made.check(id).outcome == Outcome::Held));
    }

    #[test]
    fn whatever_the_generator_could_not_do_makes_the_run_invalid() {
        let spoiled = |spoil: fn(&mut evidence::Generator)| invalid(|made| spoil(&mut made.evidence.generators[0]));
        assert_eq!(spoiled(|generator| generator.dropped_arrivals = 1), ["generator-arrivals"]);
        assert_eq!(spoiled(|generator| generator.local_failures = 1), ["generator-sockets"]);
        assert_eq!(spoiled(|generator| generator.cpu_seconds = 18.1), ["generator-cpu"]);
        assert_eq!(spoiled(|generator| generator.limits[0].used = 98), ["generator-kernel"]);
        assert_eq!(spoiled(|generator| generator.dropped_packets = 1), ["generator-packets"]);
        assert_eq!(spoiled(|generator| generator.clock_offset = [0, 10_001]), ["generator-clock"]);
        let late = invalid(|made| made.evidence.timeline[0].lag = Latencies(vec![(200, 90), (10_500, 10)]));
        assert_eq!(late, ["generator-lag"]);
        assert_eq!(spoiled(|generator| generator.lag = Latencies(vec![(10_500, 1)])), ["generator-lag"]);
    }

    #[test]
    fn a_machine_that_tells_no_limits_is_not_judged_by_them() {
        let mut made = Made::line_of(50);
        made.evidence.generators[0].limits.clear();
        let checks = judge(&made.scenario, &made.evidence);
        assert!(!checks.iter().any(|check| check.id == "generator-kernel"));
        assert_eq!(Verdict::of(&checks), Verdict::Held);
    }

    #[test]
    fn a_run_to_which_nobody_came_is_invalid_and_not_held() {
        let made = Made::new();
        assert_eq!(Verdict::of(&judge(&made.scenario, &made.evidence)), Verdict::Invalid);
    }

    #[test]
    fn a_sound_launch_is_held() {
        let made = Made::line_of(200);
        let checks = judge(&made.scenario, &made.evidence);
        assert_eq!(Verdict::of(&checks), Verdict::Held, "{checks:#?}");
    }
}
