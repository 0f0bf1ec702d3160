//! From the evidence to a report.
//!
//! The checks read off the evidence who was let in when, and which wait was had, and judge the
//! same figures. Here they are put in the order in which they are told.

use std::collections::BTreeMap;

use evidence::shop::Stages;
use evidence::stats::Quantiles;
use evidence::{End, Evidence, Latencies, Micros, Page};
use launch_model::scenario::{self, Scenario};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::data::{Attack, Failure, Generator, Moment, Purchases, Report, Run, Step};
use super::file::FORMAT;
use crate::check::{Check, Verdict};
use crate::launch::{Ahead, Launch};
use crate::order::{self, Entry};
use crate::purchase::{end_of, stages_at, white};
use crate::siege::{self, Pages, Phase};
use crate::waits::{self, Wait};

/// The most people in the picture of fairness.
const MOST_ENTRIES: usize = 600;

/// The most overtakers that are shown besides.
const MOST_OVERTAKERS: usize = 100;

/// Facts of a run that are no evidence.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Where it was sent to.
    pub targets: Vec<String>,
    /// The gateway's name of itself.
    pub gateway: String,
    /// Processor, cores and kernel of the machine that generated it.
    pub machine: String,
    /// The command that runs it again.
    pub command: String,
}

impl Report {
    /// Of a run that was judged.
    pub fn of(scenario: &Scenario, evidence: &Evidence, checks: Vec<Check>, facts: Facts) -> Self {
        let launch = Launch::of(scenario, evidence);
        let all = |of: fn(&evidence::Second) -> &Latencies| Quantiles::of(evidence.timeline.iter().map(of));
        Self {
            format: FORMAT,
            run: run(&launch, facts),
            verdict: Verdict::of(&checks),
            checks: checks.into_iter().map(check).collect(),
            ends: counted(evidence.visits.iter().map(|visit| visit.end)),
            personas: counted(evidence.visits.iter().map(|visit| visit.persona)),
            orders: evidence.shop_report.as_ref().map(|shop| shop.orders_ok),
            page: all(|second| &second.inside_latency),
            outside: all(|second| &second.outside_latency),
            lag: all(|second| &second.lag),
            timeline: timeline(&launch),
            waits: waits::deciles(&evidence.visits).into_iter().map(wait).collect(),
            entries: sample(&order::entries(&launch, usize::MAX)),
            attacks: attacks(&launch),
            purchases: purchases(&launch),
            steps: steps(&launch),
            generators: evidence.generators.iter().map(of_generator).collect(),
        }
    }
}

fn run(launch: &Launch<'_>, facts: Facts) -> Run {
    let Launch { scenario, evidence, .. } = launch;
    let sum = |of: fn(&evidence::Second) -> u64| evidence.timeline.iter().map(of).sum();
    Run {
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        seed: scenario.seed,
        started: rfc3339(evidence.start_unix_us),
        seconds: seconds(evidence.took),
        targets: facts.targets,
        gateway: facts.gateway,
        machine: facts.machine,
        command: facts.command,
        rate: scenario.room.rate(),
        burst: scenario.room.burst(),
        total_active_users: scenario.room.total_active_users,
        visitors: evidence.visits.len() as u64,
        most_waiting: evidence.timeline.iter().map(|second| second.waiting).max().unwrap_or(0),
        admitted: launch.grants.len() as u64,
        requests: sum(|second| second.requests),
        failed: sum(|second| second.failed),
    }
}

fn rfc3339(unix_us: i64) -> String {
    let instant = OffsetDateTime::from_unix_timestamp(unix_us.div_euclid(1_000_000));
    instant.ok().and_then(|instant| instant.format(&Rfc3339).ok()).unwrap_or_default()
}

/// To the microsecond, so that it reads well and comes back from JSON the same.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}

fn counted<T: Ord>(items: impl Iterator<Item = T>) -> BTreeMap<T, u64> {
    items.fold(BTreeMap::new(), |mut counts, item| {
        *counts.entry(item).or_default() += 1;
        counts
    })
}

fn timeline(launch: &Launch<'_>) -> Vec<Moment> {
    let evidence = launch.evidence;
    let mut moments: Vec<Moment> = (1..).zip(&evidence.timeline).map(|(end, second)| moment(end, second)).collect();
    for grant in &launch.grants {
        at(&mut moments, launch.since_start(grant.at), |moment| moment.admitted += 1);
    }
    if !evidence.shop.is_empty() {
        for moment in &mut moments {
            moment.at_shop = Some(0);
        }
        let ahead = launch.shop_ahead.map_or(0, Ahead::best);
        for entry in evidence.shop.iter().filter(|entry| entry.new) {
            let arrived = seconds(entry.arrived_us - ahead - evidence.start_unix_us);
            at(&mut moments, arrived, |moment| moment.at_shop = moment.at_shop.map(|new| new + 1));
        }
    }
    moments
}

/// Changes the moment that an instant lies in; one before the start or after the end belongs to the nearest.
fn at(moments: &mut [Moment], seconds: f64, change: impl Fn(&mut Moment)) {
    let last = moments.len().saturating_sub(1);
    moments.get_mut((seconds.max(0.0) as usize).min(last)).map(change);
}

fn moment(end: u32, second: &evidence::Second) -> Moment {
    Moment {
        at: f64::from(end),
        arrived: second.arrived,
        waiting: second.waiting,
        inside: second.inside,
        admitted: 0,
        at_shop: None,
        bought: second.bought,
        requests: second.requests,
        failed: second.failed,
        inside_latency: Quantiles::of([&second.inside_latency]),
        outside_latency: Quantiles::of([&second.outside_latency]),
    }
}

fn check(check: Check) -> Check {
    Check { measured: check.measured.map(rounded), allowed: check.allowed.map(rounded), ..check }
}

fn wait(wait: Wait) -> Wait {
    Wait {
        low: rounded(wait.low),
        high: rounded(wait.high),
        had: rounded(wait.had),
        error: rounded(wait.error),
        inside: rounded(wait.inside),
        ..wait
    }
}

/// A sample: evenly spread, and the worst overtakers, because the picture is for them.
fn sample(entries: &[Entry]) -> Vec<Entry> {
    let apart = entries.len().div_ceil(MOST_ENTRIES).max(1);
    let mut shown: Vec<Entry> = entries.iter().copied().step_by(apart).collect();
    shown.extend(overtakers(entries).into_iter().take(MOST_OVERTAKERS));
    shown.sort_by_key(|entry| entry.place);
    shown.dedup_by_key(|entry| entry.place);
    shown
}

/// Shoppers who entered before one with a lower place, longest overtaking first.
fn overtakers(entries: &[Entry]) -> Vec<Entry> {
    let mut latest = f64::NEG_INFINITY;
    let mut found: Vec<(f64, Entry)> = Vec::new();
    for entry in entries {
        latest = latest.max(entry.at);
        if latest > entry.at {
            found.push((latest - entry.at, *entry));
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().map(|(_, entry)| entry).collect()
}

fn attacks(launch: &Launch<'_>) -> Vec<Attack> {
    let (calm, phases) = siege::phases(launch);
    let times = |pages: &Pages| rounded(if calm.good > 0 { pages.p99_ms() / calm.p99_ms() } else { 0.0 });
    let share = |pages: &Pages| rounded(if calm.good > 0 { pages.throughput() / calm.throughput() } else { 0.0 });
    let told = |phase: &Phase<'_>| {
        let attack = phase.attack;
        Attack {
            kind: attack.kind,
            from: seconds(attack.from),
            until: seconds(attack.until),
            opened: attack.opened,
            most: attack.most,
            cut: attack.cut,
            requests: attack.requests,
            answers: attack.answers.clone(),
            pages: phase.during.good,
            failed: phase.during.failed + phase.after.failed,
            p99_ms: phase.during.p99_ms(),
            p99_times: times(&phase.during),
            throughput: share(&phase.during),
            p99_times_after: times(&phase.after),
            memory: phase.memory,
        }
    };
    phases.iter().map(told).collect()
}

/// Where a purchase has stages: what could be sold, and what was.
fn purchases(launch: &Launch<'_>) -> Vec<Purchases> {
    if !launch.scenario.shop.has_stages() {
        return Vec::new();
    }
    let timeline = &launch.evidence.timeline;
    let [orders, payments] = [Page::Order, Page::Payment].map(|page| p95s(launch, page, timeline.len()));
    let mut purchases: Vec<Purchases> = (0..)
        .zip(timeline)
        .map(|(index, second): (usize, _)| {
            let end = end_of(index);
            let stages = stages_at(launch, end);
            let waiting =
                stages.map_or(0, |stages| stages.order.waiting + stages.payment.map_or(0, |stage| stage.waiting));
            Purchases {
                at: seconds(end),
                rate: rate_at(launch, end).map(rounded),
                capacity: stages.and_then(Stages::delivers).map(rounded),
                bought: second.bought,
                order_p95_ms: orders[index],
                payment_p95_ms: payments[index],
                waiting: waiting as u64,
                white: 0,
            }
        })
        .collect();
    let last = purchases.len().saturating_sub(1);
    for (_, asked) in white(launch) {
        let second = usize::try_from(asked.answered / 1_000_000).unwrap_or(0).min(last);
        purchases.get_mut(second).into_iter().for_each(|second| second.white += 1);
    }
    purchases
}

/// New shoppers per second that the gateways said last by then that they let in: the fewest of them.
fn rate_at(launch: &Launch<'_>, at: Micros) -> Option<f64> {
    let looks = &launch.evidence.gateways[..launch.evidence.gateways.partition_point(|look| look.at < at)];
    let last: BTreeMap<u16, f64> = looks.iter().map(|look| (look.gateway, look.new_users_per_minute)).collect();
    last.into_values().reduce(f64::min).map(|per_minute| per_minute / 60.0)
}

/// Of the answers to a form, by the second in which they came: 95 of 100 took at most so many milliseconds.
fn p95s(launch: &Launch<'_>, page: Page, count: usize) -> Vec<Option<f64>> {
    let mut took = vec![Vec::new(); count];
    let asked = launch.evidence.visits.iter().flat_map(|visit| &visit.asked);
    for asked in asked.filter(|asked| asked.page == page && asked.status == Some(200) && !asked.attack) {
        let second = usize::try_from(asked.answered / 1_000_000).unwrap_or(0);
        took.get_mut(second).into_iter().for_each(|took| took.push(asked.answered - asked.due));
    }
    let p95 = |mut took: Vec<Micros>| {
        took.sort_unstable();
        let rank = (took.len() * 95).div_ceil(100).checked_sub(1)?;
        took.get(rank).map(|&micros| rounded(micros as f64 / 1e3))
    };
    took.into_iter().map(p95).collect()
}

/// Most reasons of a step in the report.
const MOST_REASONS: usize = 20;

fn steps(launch: &Launch<'_>) -> Vec<Step> {
    let steps = launch.scenario.journey.iter().flat_map(|journey| &journey.steps);
    (0..).zip(steps).map(|(index, step)| self::step(launch, index, step)).collect()
}

fn step(launch: &Launch<'_>, index: u16, step: &scenario::Step) -> Step {
    let visits = || launch.evidence.visits.iter();
    let asked =
        visits().flat_map(|visit| &visit.asked).filter(|asked| asked.step == Some(index) && asked.status.is_some());
    let latencies: BTreeMap<u64, u64> = asked.fold(BTreeMap::new(), |mut counts, asked| {
        *counts.entry((asked.answered - asked.due).max(0) as u64).or_default() += 1;
        counts
    });
    let mut failures = BTreeMap::<&evidence::Why, [u64; 2]>::new();
    for visit in visits() {
        let gave_up = !matches!(visit.end, End::Bought | End::SoldOut | End::Looked);
        for (place, stumble) in visit.stumbles.iter().enumerate().filter(|(_, stumble)| stumble.step == index) {
            let count = failures.entry(&stumble.why).or_default();
            count[0] += 1;
            count[1] += u64::from(gave_up && visit.steps == index && place + 1 == visit.stumbles.len());
        }
    }
    let mut failures: Vec<Failure> = failures
        .into_iter()
        .map(|(why, [times, ended])| Failure { why: why.told(), mend: why.mend(step), times, ended })
        .collect();
    failures.sort_by_key(|failure| std::cmp::Reverse(failure.times));
    failures.truncate(MOST_REASONS);
    Step {
        name: step.title(),
        done: visits().filter(|visit| visit.steps > index).count() as u64,
        latency: Quantiles::of([&Latencies(latencies.into_iter().collect())]),
        failures,
    }
}

fn of_generator(generator: &evidence::Generator) -> Generator {
    let possible = generator.seconds * f64::from(generator.threads);
    Generator {
        name: generator.name.clone(),
        lag: Quantiles::of([&generator.lag]),
        cpu: if possible > 0.0 { rounded(generator.cpu_seconds / possible) } else { 0.0 },
        dropped_arrivals: generator.dropped_arrivals,
        local_failures: generator.local_failures,
        most_visitors: generator.most_visitors,
        most_connections: generator.most_connections,
        most_memory: generator.most_memory,
    }
}
