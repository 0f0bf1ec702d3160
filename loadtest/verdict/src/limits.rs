//! Promise 1: at most `rate x T + burst` new shoppers in any window of length `T`.
//!
//! ```text
//! by grants     #grants in [t, t + T)                    <= rate x T + burst                  exact
//! by counters   admitted(t2) - admitted(t1)              <= rate x (t2 - t1) + burst          exact, from the gateways
//! at the shop   #new shoppers in [t, t + T), prompt ones <= rate x (T + spread) + burst
//! ```
//!
//! A request arrives at the shop some time after its grant. If those times lie between `d` and `d + spread`, all that
//! arrive within `T` were granted within `T + spread`. `d + spread` is what 99 of 100 keep; the slower ones are left
//! out of the third line, and counted. It needs no agreement of clocks: a difference between them is part of `d`.
//!
//! Out of scope: passes at once (`seats`).

use evidence::GatewaySample;

use crate::check::Check;
use crate::launch::Launch;
use crate::siege;
use crate::windows::{Limit, Step, most_within, steps};

/// Length in milliseconds, and its name.
const WINDOWS: [(i64, &str); 3] = [(100, "100ms"), (1_000, "1s"), (10_000, "10s")];

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    let mut checks = by_grants(launch);
    checks.push(by_counters(launch));
    checks.extend(at_shop(launch));
    checks
}

fn by_grants(launch: &Launch<'_>) -> Vec<Check> {
    let times: Vec<i64> = launch.grants.iter().map(|grant| grant.at).collect();
    let limit = launch.limit();
    let mut checks: Vec<Check> = WINDOWS.map(|window| of_window(&times, limit, window)).into();
    checks.push(of_any_window(launch, &times));
    checks
}

fn of_window(times: &[i64], limit: Limit, (length, name): (i64, &str)) -> Check {
    let check =
        Check::new(&format!("limit-{name}"), &format!("New shoppers in any {name}")).promise(1).unit("shoppers");
    if times.is_empty() {
        return check.detail(NO_GRANTS);
    }
    let most = most_within(times, length) as f64;
    let detail =
        format!("The most of {} grants that fell into one window, by store time, to the millisecond.", times.len());
    check.at_most(most, limit.within(length as f64 / 1e3)).detail(detail)
}

const NO_GRANTS: &str = "No pass was seen in any cookie, so nobody knows when one was granted.";

fn of_any_window(launch: &Launch<'_>, times: &[i64]) -> Check {
    let check = Check::new("limit-any", "New shoppers beyond the limit in the worst window of any length");
    let check = check.promise(1).unit("shoppers");
    let Some(worst) = launch.limit().worst(steps(times)) else { return check.detail(NO_GRANTS) };
    let place = format!("{:.3} s to {:.3} s", launch.since_start(worst.from), launch.since_start(worst.to));
    let detail = match worst.beyond {
        beyond if beyond > 0.0 => format!("The worst window lies at {place} of the run, by store time."),
        beyond => format!("The fullest window, {place} of the run, had room for {:.1} more.", beyond.abs()),
    };
    check.at_most(worst.beyond.max(0.0), 0.0).detail(detail)
}

/// The gateways' counters: they include passes whose answer was lost on the way.
fn by_counters(launch: &Launch<'_>) -> Check {
    let check = Check::new("limit-counters", "New shoppers beyond the limit, by the gateways' own counters");
    let check = check.promise(1).unit("shoppers");
    let mut looks: Vec<Step> = launch.evidence.gateways.iter().filter(|look| !look.store_away).map(step).collect();
    looks.sort_by_key(|look| (look.at, look.after));
    match launch.limit().worst(looks.iter().copied()) {
        Some(worst) if looks.len() > 1 => {
            let granted = looks[looks.len() - 1].after - looks[0].after.min(looks[looks.len() - 1].after);
            let gave_up = launch.evidence.gateways.iter().any(|look| look.limits_given_up);
            let given_up =
                if gave_up { " For a time they had given up the limits, as the room's fail_mode says." } else { "" };
            let detail = format!(
                "{} looks at `admitted` and its store time; {granted} granted between the first and the last.{given_up}",
                looks.len()
            );
            check.at_most(worst.beyond.max(0.0), 0.0).detail(detail)
        }
        _ => check.detail("No gateway told its counters twice."),
    }
}

fn step(look: &GatewaySample) -> Step {
    Step { at: look.store_time_ms.cast_signed(), before: look.admitted, after: look.admitted }
}

/// New shoppers at the shop, and the delays of those whose grant is known: both sorted, in microseconds.
struct AtShop {
    /// Arrival, and delay from grant to arrival.
    new: Vec<(i64, Option<i64>)>,
    delays: Vec<i64>,
}

impl AtShop {
    fn of(launch: &Launch<'_>) -> Self {
        let delay = |entry| launch.grant_at_shop(entry).map(|grant| entry.arrived_us - grant.at * 1000);
        // A preflight of an attack is no shopper.
        let new = launch.evidence.shop.iter().filter(|entry| entry.new && !siege::is_preflight(entry));
        let mut new: Vec<_> = new.map(|entry| (entry.arrived_us, delay(entry))).collect();
        new.sort_unstable();
        let mut delays: Vec<i64> = new.iter().filter_map(|&(_, delay)| delay).collect();
        delays.sort_unstable();
        Self { new, delays }
    }

    /// The shortest delay, and the one that 99 of 100 keep.
    fn usual(&self) -> Option<(i64, i64)> {
        let ninety_nine = (self.delays.len() * 99).div_ceil(100);
        Some((*self.delays.first()?, *self.delays.get(ninety_nine.checked_sub(1)?)?))
    }
}

fn at_shop(launch: &Launch<'_>) -> Vec<Check> {
    let seen = AtShop::of(launch);
    let Some((shortest, usual)) = seen.usual() else {
        return WINDOWS.map(|(_, name)| shop_check(name).detail(unknown(launch))).into();
    };
    let prompt = seen.new.iter().filter(|(_, delay)| delay.is_none_or(|delay| delay <= usual));
    let prompt: Vec<i64> = prompt.map(|&(arrived, _)| arrived).collect();
    // A grant's time is known to the millisecond.
    let spread = (usual - shortest) as f64 / 1e6 + 0.001;
    let late = seen.new.len() - prompt.len();
    let detail = format!(
        "From grant to shop took {:.0} ms more than the least at most, so {:.1} shoppers more are allowed for; {late} came later than that and are left out, {} came with a pass that no cookie showed.{}",
        spread * 1e3,
        launch.limit().rate * spread,
        seen.new.len() - seen.delays.len(),
        clocks(launch),
    );
    let judged = |(length, name): (i64, &str)| {
        let most = most_within(&prompt, length * 1000) as f64;
        shop_check(name).at_most(most, launch.limit().within(length as f64 / 1e3 + spread)).detail(&detail)
    };
    WINDOWS.map(judged).into()
}

fn shop_check(window: &str) -> Check {
    let title = format!("New shoppers at the shop in any {window}");
    Check::new(&format!("limit-shop-{window}"), &title).promise(1).unit("shoppers")
}

fn unknown(launch: &Launch<'_>) -> &'static str {
    if launch.evidence.shop.is_empty() {
        "The shop told nobody what it saw."
    } else {
        "None of the passes that the shop saw was seen in a cookie, so the way from grant to shop is not known."
    }
}

fn clocks(launch: &Launch<'_>) -> String {
    let Some(ahead) = launch.shop_ahead else { return " The shop's log cannot be joined by request id.".into() };
    let ms = |us: i64| us as f64 / 1e3;
    format!(" The shop's clock is {:.1} ms ahead of ours, give or take {:.1} ms.", ms(ahead.best()), ms(ahead.error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;
    use crate::fixture::{Made, START_MS};

    const ALL: [&str; 7] =
        ["limit-100ms", "limit-1s", "limit-10s", "limit-any", "limit-shop-100ms", "limit-shop-1s", "limit-shop-10s"];

    #[test]
    fn a_launch_at_its_rate_keeps_every_window() {
        let made = Made::line_of(200);
        for id in ALL {
            assert_eq!(made.check(id).outcome, Outcome::Held, "{:?}", made.check(id));
        }
        assert_eq!(made.check("limit-1s").measured, Some(10.0));
        assert_eq!(made.check("limit-10s").allowed, Some(110.0));
    }

    #[test]
    fn twice_the_rate_is_found_at_the_grants_and_at_the_shop() {
        let mut made = Made::new();
        for n in 0..200 {
            made.shopper(n + 1, 0, n.cast_signed() * 50);
        }
        for id in ["limit-10s", "limit-any", "limit-shop-10s"] {
            assert_eq!(made.check(id).outcome, Outcome::Broken, "{:?}", made.check(id));
        }
        assert_eq!(made.check("limit-100ms").outcome, Outcome::Held, "two at once are not many");
    }

    #[test]
    fn one_too_many_in_a_second_is_one_too_many() {
        let mut made = Made::line_of(30);
        for n in 0..11 {
            made.shopper(100 + n, 0, 10_000);
        }
        let check = made.check("limit-any");
        assert_eq!((check.outcome, check.measured), (Outcome::Broken, Some(1.0)), "{check:?}");
    }

    #[test]
    fn shoppers_whom_no_grant_explains_count_at_the_shop() {
        let mut made = Made::line_of(50);
        for n in 0..30 {
            made.visits_shop(900 + n, evidence::Page::Item, 3_000);
        }
        assert_eq!(made.check("limit-any").outcome, Outcome::Held);
        assert_eq!(made.check("limit-shop-100ms").outcome, Outcome::Broken);
    }

    #[test]
    fn preflights_of_an_attack_are_nobody_who_came() {
        let mut made = Made::line_of(50);
        let preflight = evidence::shop::Entry {
            request_id: Some("attack-0-0-1".into()),
            pass_id: None,
            page: evidence::Page::Other,
            new: true,
            ..made.evidence.shop[9].clone()
        };
        made.evidence.shop.extend(std::iter::repeat_n(preflight, 50));
        assert_eq!(made.check("limit-shop-100ms").outcome, Outcome::Held);
    }

    #[test]
    fn a_way_of_uneven_length_is_allowed_for_and_stated() {
        let mut made = Made::line_of(100);
        for entry in made.evidence.shop.iter_mut().filter(|entry| entry.new) {
            // All grants of a second arrive together at its end.
            entry.arrived_us = entry.arrived_us.div_euclid(1_000_000) * 1_000_000 + 1_000_000;
        }
        let check = made.check("limit-shop-100ms");
        assert_eq!(check.outcome, Outcome::Held, "{check:?}");
        assert!(check.allowed.unwrap() > 15.0 && check.allowed.unwrap() < 22.0, "{check:?}");
    }

    #[test]
    fn counters_of_gateways_are_a_second_witness() {
        let mut made = Made::line_of(20);
        assert_eq!(made.check("limit-counters").outcome, Outcome::Unknown);
        let look = |ms: i64, admitted| GatewaySample {
            at: ms * 1000,
            gateway: 0,
            store_time_ms: (START_MS + ms) as u64,
            admitted,
            waiting: 0,
            active_users: 0,
            new_users_per_minute: 600.0,
            store_away: false,
            limits_given_up: false,
        };
        made.evidence.gateways = vec![look(0, 0), look(1_000, 20), look(2_000, 30)];
        assert_eq!(made.check("limit-counters").outcome, Outcome::Held);
        made.evidence.gateways.push(look(2_100, 42));
        let check = made.check("limit-counters");
        assert_eq!((check.outcome, check.measured), (Outcome::Broken, Some(11.0)), "{check:?}");
    }

    #[test]
    fn without_cookies_or_a_log_nothing_is_known() {
        let mut made = Made::line_of(20);
        made.evidence.shop.clear();
        assert_eq!(made.check("limit-shop-1s").outcome, Outcome::Unknown);
        made.evidence.visits.clear();
        assert_eq!(made.check("limit-1s").outcome, Outcome::Unknown);
    }

    #[test]
    fn a_million_grants_are_judged_in_one_walk() {
        let times: Vec<i64> = (0..1_000_000).collect();
        let limit = Limit { rate: 1_000.0, burst: 1.0 };
        assert_eq!(limit.worst(steps(&times)).unwrap().beyond, 0.0);
        assert_eq!(most_within(&times, 10_000), 10_000);
    }
}
