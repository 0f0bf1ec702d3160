//! Pass holders beside attacks.
//!
//! ```text
//! before     the 5 s before an attack
//! during     from its begin to its end
//! after      the 5 s that begin 5 s after its end
//!
//! attack-sent         requests were sent, and no connection failed on this side           else the run is invalid
//! attack-errors       pages of holders during and after that were 5xx, 429 or not there    = 0
//! attack-p99          p99 of pages during / p99 before all attacks                         <= objective, 3
//! attack-throughput   pages per holder and second during / before all attacks              >= objective, 80 %
//! attack-calm         attacks after which p99 or throughput were not back within 5 s        = 0
//! attack-memory       most memory of a gateway of the testbed                                <= objective
//! attack-past         requests of attacks that reached a page of the launch without a pass  = 0
//! ```
//!
//! Before each attack it is calm again, so the calm of this run is what was before all of them, put together. Holders are honest
//! people inside; pages count by when they were due. Throughput is per holder, so that it does not matter how many there
//! are: an attack on the line keeps others from getting in.
//!
//! Out of scope: the attackers' own results, which no promise covers.

use std::collections::BTreeMap;

use evidence::shop::Entry;
use evidence::{Attacked, Micros, Page, RequestRecord};
use launch_model::attack::{CALM, FORGED_PASS, ID, RECOVERY};

use crate::check::Check;
use crate::launch::Launch;

/// Pages without which a p99 tells nothing.
const ENOUGH: u64 = 50;
const MIB: f64 = (1 << 20) as f64;
const SECOND: f64 = 1e6;

/// Pages of holders in some stretch of time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pages {
    /// In microseconds, with their counts.
    latencies: BTreeMap<Micros, u64>,
    /// That came.
    pub(crate) good: u64,
    /// That were a 5xx or a 429, or did not come.
    pub(crate) failed: u64,
    /// Seconds that holders were inside, of all together.
    holding: f64,
}

/// An attack, and the holders of passes beside it.
#[derive(Debug)]
pub(crate) struct Phase<'a> {
    /// The evidence of the attack.
    pub(crate) attack: &'a Attacked,
    /// Pages while it lasted, and when it was to be calm again.
    pub(crate) during: Pages,
    /// Pages when it was to be calm again.
    pub(crate) after: Pages,
    /// Most memory of a gateway before it and while it lasted, in bytes.
    pub(crate) memory: Option<[u64; 2]>,
}

impl Pages {
    fn of(launch: &Launch<'_>, from: Micros, until: Micros) -> Self {
        let mut pages = Self::default();
        for visit in launch.evidence.visits.iter().filter(|visit| !visit.persona.is_adversary()) {
            let Some(entered) = visit.entered else { continue };
            pages.holding += (visit.left.min(until) - entered.max(from)).max(0) as f64 / SECOND;
            let due = |asked: &&RequestRecord| (from..until).contains(&asked.due) && asked.due >= entered;
            visit.asked.iter().filter(|asked| !asked.attack).filter(due).for_each(|asked| pages.count(asked));
        }
        pages
    }

    fn count(&mut self, asked: &RequestRecord) {
        if asked.status.is_none_or(|status| status >= 500 || status == 429) {
            self.failed += 1;
        } else {
            self.good += 1;
            *self.latencies.entry(asked.answered - asked.due).or_default() += 1;
        }
    }

    fn add(mut self, other: Self) -> Self {
        other.latencies.into_iter().for_each(|(micros, count)| *self.latencies.entry(micros).or_default() += count);
        let (good, failed, holding) =
            (self.good + other.good, self.failed + other.failed, self.holding + other.holding);
        Self { good, failed, holding, ..self }
    }

    /// 99 of 100 took at most so many milliseconds; 0 if there were none.
    pub(crate) fn p99_ms(&self) -> f64 {
        let mut left = (self.good * 99).div_ceil(100);
        for (&micros, &count) in &self.latencies {
            if left <= count {
                return micros as f64 / 1e3;
            }
            left -= count;
        }
        0.0
    }

    /// Pages that came, per holder and second.
    pub(crate) fn throughput(&self) -> f64 {
        if self.holding > 0.0 { self.good as f64 / self.holding } else { 0.0 }
    }
}

/// The calm before all attacks, and each of them.
pub(crate) fn phases<'a>(launch: &Launch<'a>) -> (Pages, Vec<Phase<'a>>) {
    let attacks = &launch.evidence.attacks;
    let [calm, recovery] = [CALM, RECOVERY].map(|span| span.as_micros() as Micros);
    let before = attacks.iter().map(|attack| Pages::of(launch, attack.from - calm, attack.from));
    let phase = |attack: &'a Attacked| Phase {
        attack,
        during: Pages::of(launch, attack.from, attack.until),
        after: Pages::of(launch, attack.until + recovery, attack.until + recovery + calm),
        memory: memory(launch, attack.from - calm, attack.from)
            .zip(memory(launch, attack.from, attack.until))
            .map(|(before, most)| [before, most]),
    };
    (before.fold(Pages::default(), Pages::add), attacks.iter().map(phase).collect())
}

/// The most of a gateway in this time.
fn memory(launch: &Launch<'_>, from: Micros, until: Micros) -> Option<u64> {
    launch.evidence.memory.iter().filter(|look| (from..until).contains(&look.at)).map(|look| look.bytes).max()
}

pub(crate) fn checks(launch: &Launch<'_>) -> Vec<Check> {
    if launch.scenario.attacks.is_empty() {
        return Vec::new();
    }
    let (calm, phases) = phases(launch);
    let checks = Checks { launch, calm: &calm, phases: &phases };
    vec![
        checks.sent().or_invalid(),
        checks.errors(),
        checks.p99(),
        checks.throughput(),
        checks.calm_again(),
        checks.memory(),
        past(launch),
    ]
}

struct Checks<'a> {
    launch: &'a Launch<'a>,
    calm: &'a Pages,
    phases: &'a [Phase<'a>],
}

impl Checks<'_> {
    fn sent(&self) -> Check {
        let check = Check::new("attack-sent", "Attacks that were not made as they are written").unit("attacks");
        if self.phases.is_empty() {
            return check.detail("No attack was made: a launch without sockets has none.");
        }
        let lame = |phase: &&Phase<'_>| phase.attack.requests == 0 || phase.attack.local_failures > 0;
        let lame: Vec<&str> = self.phases.iter().filter(lame).map(|phase| phase.attack.kind.name()).collect();
        let detail = format!("Without a request, or with connections that failed on this side: {}.", list(&lame));
        check.none(lame.len()).detail(detail)
    }

    fn errors(&self) -> Check {
        let check = Check::new("attack-errors", "Pages of holders that failed beside attacks, or after them");
        let check = check.promise(7).unit("pages");
        if let Some(why) = self.too_few() {
            return check.detail(why);
        }
        let failed = |phase: &Phase<'_>| phase.during.failed + phase.after.failed;
        let all: u64 = self.phases.iter().map(failed).sum();
        let good: u64 = self.phases.iter().map(|phase| phase.during.good + phase.after.good).sum();
        let detail =
            format!("5xx, 429 or no answer, beside {good} that came. {}", self.each(|phase| failed(phase) as f64, ""));
        check.none(all as usize).detail(detail)
    }

    fn p99(&self) -> Check {
        let check =
            Check::new("attack-p99", "Pages of holders beside attacks, p99 against calm").promise(7).unit("times");
        if let Some(why) = self.too_few() {
            return check.detail(why);
        }
        let times = |phase: &Phase<'_>| self.times(&phase.during);
        let worst = self.phases.iter().map(times).fold(0.0, f64::max);
        let detail = format!("{:.1} ms when it was calm. {}", self.calm.p99_ms(), self.each(times, ""));
        check.at_most(worst, self.launch.scenario.objectives.attack_p99_times).detail(detail)
    }

    fn throughput(&self) -> Check {
        let check = Check::new("attack-throughput", "Pages of holders beside attacks, of those in calm");
        let check = check.promise(7).unit("share");
        if let Some(why) = self.too_few() {
            return check.detail(why);
        }
        let share = |phase: &Phase<'_>| self.share(&phase.during);
        let worst = self.phases.iter().map(share).fold(f64::INFINITY, f64::min);
        let each = self.each(|phase| share(phase) * 100.0, " %");
        let detail = format!("{:.2} a second of each holder when it was calm. {each}", self.calm.throughput());
        check.at_least(worst, self.launch.scenario.objectives.attack_throughput).detail(detail)
    }

    fn calm_again(&self) -> Check {
        let check =
            Check::new("attack-calm", "Attacks after which it was not calm within 5 s").promise(7).unit("attacks");
        if let Some(why) = self.too_few() {
            return check.detail(why);
        }
        let late: Vec<&str> = self
            .phases
            .iter()
            .filter(|phase| !self.is_calm(&phase.after))
            .map(|phase| phase.attack.kind.name())
            .collect();
        check.none(late.len()).detail(format!("By p99 and throughput of holders: {}.", list(&late)))
    }

    fn memory(&self) -> Check {
        let check = Check::new("attack-memory", "Most memory of a gateway beside attacks").unit("MiB");
        let most = self.phases.iter().filter_map(|phase| phase.memory).map(|[_, most]| most).max();
        match (most, self.launch.scenario.objectives.gateway_memory) {
            (None, _) => check.detail("The gateways are not those of a testbed."),
            (Some(_), None) => check.detail("The scenario sets no bound."),
            (Some(most), Some(bound)) => {
                let each = self.each(|phase| phase.memory.map_or(0.0, |[_, most]| most as f64 / MIB), " MiB");
                check.at_most(most as f64 / MIB, bound as f64).detail(each)
            }
        }
    }

    fn times(&self, pages: &Pages) -> f64 {
        pages.p99_ms() / self.calm.p99_ms().max(f64::EPSILON)
    }

    fn share(&self, pages: &Pages) -> f64 {
        pages.throughput() / self.calm.throughput().max(f64::EPSILON)
    }

    fn is_calm(&self, pages: &Pages) -> bool {
        let objectives = &self.launch.scenario.objectives;
        pages.failed == 0
            && self.times(pages) <= objectives.attack_p99_times
            && self.share(pages) >= objectives.attack_throughput
    }

    fn too_few(&self) -> Option<String> {
        let asked = |phase: &Phase<'_>| phase.during.good + phase.during.failed;
        let fewest = self.phases.iter().map(asked).chain([self.calm.good]).min().unwrap_or(0);
        (self.phases.is_empty() || fewest < ENOUGH)
            .then(|| format!("Holders asked for {fewest} pages in the shortest phase; {ENOUGH} are needed."))
    }

    /// A figure of every attack: `slow body 1.2, zero window 0.9.`
    fn each(&self, of: impl Fn(&Phase<'_>) -> f64, unit: &str) -> String {
        let told: Vec<String> =
            self.phases.iter().map(|phase| format!("{} {:.1}{unit}", phase.attack.kind.name(), of(phase))).collect();
        format!("{}.", told.join(", "))
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Requests of attackers in the shop's log that no gateway should let through. Attackers that come like newcomers may be let
/// in as newcomers, with a pass.
fn past(launch: &Launch<'_>) -> Check {
    let check = Check::new("attack-past", "Requests of attacks that came past the room").promise(5).unit("requests");
    if launch.evidence.shop.is_empty() {
        return check.detail("The shop told nobody what it saw.");
    }
    let of_attacks = launch.evidence.shop.iter().filter(|entry| is_of_attack(entry));
    let past = of_attacks.filter(|entry| match entry.pass_id.as_deref() {
        None => entry.page != Page::Other || entry.room.is_some(),
        Some(pass) => pass == FORGED_PASS,
    });
    let seqs: Vec<String> = past.map(|entry| entry.seq.to_string()).collect();
    let first = seqs.first().map_or(String::new(), |seq| format!(" The first is entry {seq} of its log."));
    check.none(seqs.len()).detail(format!("Pages of the launch without a pass, or with a forged name of one.{first}"))
}

/// Whether it is a request of an attack for no page of the launch, without a pass: gateways may let preflights by.
pub(crate) fn is_preflight(entry: &Entry) -> bool {
    is_of_attack(entry) && entry.page == Page::Other && entry.pass_id.is_none()
}

fn is_of_attack(entry: &Entry) -> bool {
    entry.request_id.as_deref().is_some_and(|id| id.starts_with(ID))
}

#[cfg(test)]
mod tests {
    use evidence::{Memory, Visit};
    use launch_model::attack::{Attack, Kind};

    use super::*;
    use crate::check::Outcome;
    use crate::fixture::Made;

    /// Twenty holders who ask twice a second for 40 s; from 10 s to 20 s there is an attack, and pages take so much longer.
    fn besieged(slower: i64) -> Made {
        let mut made = Made::new();
        let attack = "kind = 'slow_body'\nfrom = '10s'\nfor = '10s'";
        made.scenario.attacks = vec![toml::from_str::<Attack>(attack).unwrap()];
        made.scenario.objectives.gateway_memory = Some(100);
        for n in 0..20 {
            made.shopper(n + 1, 0, 100 * n.cast_signed());
            made.evidence.visits[n as usize].left = 40_000_000;
            for at in (3_000..39_000).step_by(500) {
                made.visits_shop(n + 1, Page::Item, at);
                let asked = made.evidence.visits[n as usize].asked.last_mut().unwrap();
                asked.answered += if (10_100..20_000).contains(&at) { slower * 1_000 } else { 0 };
            }
        }
        made.evidence.attacks = vec![Attacked {
            kind: Kind::SlowBody,
            from: 10_000_000,
            until: 20_000_000,
            opened: 200,
            most: 200,
            cut: 0,
            local_failures: 0,
            requests: 200,
            answers: BTreeMap::new(),
        }];
        made.evidence.memory = vec![sampled(8, 30), sampled(15, 60)];
        made
    }

    fn sampled(second: Micros, mib: u64) -> Memory {
        Memory { at: second * 1_000_000, gateway: 0, bytes: mib << 20 }
    }

    const ALL: [&str; 7] = [
        "attack-sent",
        "attack-errors",
        "attack-p99",
        "attack-throughput",
        "attack-calm",
        "attack-memory",
        "attack-past",
    ];

    fn not_held(made: &Made) -> Vec<&'static str> {
        ALL.into_iter().filter(|id| made.check(id).outcome != Outcome::Held).collect()
    }

    fn is_holder(visit: &Visit) -> bool {
        visit.entered.is_some() && !visit.persona.is_adversary()
    }

    /// The pages of one of the holders in this time.
    fn pages(made: &mut Made, from: Micros, until: Micros) -> impl Iterator<Item = &mut RequestRecord> {
        let holders = made.evidence.visits.iter_mut().filter(|visit| is_holder(visit));
        holders.flat_map(|visit| &mut visit.asked).filter(move |asked| (from..until).contains(&asked.due))
    }

    #[test]
    fn holders_who_feel_nothing_of_an_attack_are_as_promised() {
        assert_eq!(not_held(&besieged(10)), [""; 0]);
        let peace = Made::line_of(20);
        assert!(!crate::judge(&peace.scenario, &peace.evidence).iter().any(|check| check.id.starts_with("attack-p")));
    }

    #[test]
    fn pages_that_slow_down_or_fail_or_are_fewer_are_found() {
        assert_eq!(not_held(&besieged(100)), ["attack-p99"]);
        let mut made = besieged(0);
        pages(&mut made, 12_000_000, 13_000_000).for_each(|asked| asked.status = Some(503));
        assert_eq!(not_held(&made), ["attack-errors"]);
        let mut made = besieged(0);
        for visit in &mut made.evidence.visits {
            visit.asked.retain(|asked| !(12_000_000..20_000_000).contains(&asked.due));
        }
        assert_eq!(not_held(&made), ["attack-throughput"]);
    }

    #[test]
    fn an_attack_that_is_felt_after_its_end_is_found() {
        let mut made = besieged(0);
        pages(&mut made, 25_000_000, 30_000_000).for_each(|asked| asked.answered += 90_000);
        assert_eq!(not_held(&made), ["attack-calm"]);
        let mut made = besieged(0);
        pages(&mut made, 20_000_000, 25_000_000).for_each(|asked| asked.answered += 90_000);
        assert_eq!(not_held(&made), [""; 0], "it may take 5 s");
    }

    #[test]
    fn memory_is_held_against_its_bound() {
        let mut made = besieged(0);
        made.evidence.memory.push(sampled(16, 120));
        assert_eq!(not_held(&made), ["attack-memory"]);
        made.evidence.memory.clear();
        assert_eq!(made.check("attack-memory").outcome, Outcome::Unknown);
    }

    #[test]
    fn what_came_past_the_room_is_found() {
        let through = |page: Page, room: Option<&str>, pass: Option<&str>| {
            let mut made = besieged(0);
            let entry = Entry {
                request_id: Some("attack-0-1-1".into()),
                room: room.map(str::to_owned),
                pass_id: pass.map(str::to_owned),
                page,
                ..made.evidence.shop[0].clone()
            };
            made.evidence.shop.push(entry);
            made.check("attack-past").outcome
        };
        assert_eq!(through(Page::Item, None, None), Outcome::Broken);
        assert_eq!(through(Page::Other, Some("launch"), None), Outcome::Broken);
        assert_eq!(through(Page::Other, Some("launch"), Some(FORGED_PASS)), Outcome::Broken);
        assert_eq!(through(Page::Other, None, None), Outcome::Held, "a preflight");
        assert_eq!(through(Page::Item, Some("launch"), Some("0.7")), Outcome::Held, "let in like anybody");
    }

    #[test]
    fn an_attack_that_was_not_made_makes_the_run_invalid() {
        let mut made = besieged(0);
        made.evidence.attacks[0].local_failures = 1;
        assert_eq!(made.check("attack-sent").outcome, Outcome::Invalid);
        made.evidence.attacks.clear();
        assert_eq!(made.check("attack-sent").outcome, Outcome::Unknown);
        assert_eq!(made.check("attack-p99").outcome, Outcome::Unknown);
    }
}
