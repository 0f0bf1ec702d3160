//! From what was seen to what is told.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Entry, FORMAT, Generator, Moment, Report, Run, Wait};
use crate::evidence::{self, Evidence, Latencies, Micros, Visit};
use crate::scenario::Scenario;
use crate::stats::Quantiles;
use crate::token::{Kind, Token};
use crate::verdict::{Check, Verdict};

/// The most people in the picture of fairness.
const MOST_ENTRIES: usize = 600;

/// The most of those who overtook that are shown besides.
const MOST_OVERTAKERS: usize = 100;

/// What a run knows of itself that nobody saw.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Where it was sent to.
    pub targets: Vec<String>,
    /// What the gateway calls itself.
    pub gateway: String,
    /// Processor, cores and kernel of the machine that generated it.
    pub machine: String,
    /// The command that runs it again.
    pub command: String,
}

impl Report {
    /// Of a run that was judged.
    pub fn of(scenario: &Scenario, evidence: &Evidence, checks: Vec<Check>, facts: Facts) -> Self {
        let grants = grants(scenario, evidence);
        let all = |of: fn(&evidence::Second) -> &Latencies| quantiles(evidence.timeline.iter().map(of));
        Self {
            format: FORMAT,
            run: run(scenario, evidence, facts, grants.len()),
            verdict: Verdict::of(&checks),
            checks,
            ends: counted(evidence.visits.iter().map(|visit| visit.end)),
            personas: counted(evidence.visits.iter().map(|visit| visit.persona)),
            orders: evidence.shop_report.as_ref().map(|shop| shop.orders_ok),
            page: all(|second| &second.inside_latency),
            outside: all(|second| &second.outside_latency),
            lag: all(|second| &second.lag),
            timeline: timeline(evidence, &grants),
            waits: waits(&evidence.visits),
            entries: entries(&grants),
            generators: evidence.generators.iter().map(of_generator).collect(),
        }
    }
}

fn run(scenario: &Scenario, evidence: &Evidence, facts: Facts, admitted: usize) -> Run {
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
        admitted: admitted as u64,
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

/// A pass, once for each number.
struct Grant {
    /// Seconds since the start.
    at: f64,
    /// When its ticket was given; the same instant if there was none.
    joined: f64,
}

/// By number. The first pass of a number tells when it was granted: its end less its life. Later ones were renewed.
fn grants(scenario: &Scenario, evidence: &Evidence) -> BTreeMap<u64, Grant> {
    let life_ms = scenario.room.session_duration.0.as_millis() as f64;
    let since = |unix_ms: f64| rounded((unix_ms - evidence.start_unix_us as f64 / 1000.0) / 1000.0);
    let held = |kind| evidence.visits.iter().flat_map(|visit| &visit.held).map(|held| held.token).filter(of(kind));
    let mut grants = BTreeMap::new();
    for pass in held(Kind::Pass) {
        let at = since(pass.expires_ms as f64 - life_ms);
        let grant = grants.entry(pass.number).or_insert(Grant { at, joined: at });
        grant.at = grant.at.min(at);
        grant.joined = grant.joined.min(at);
    }
    for ticket in held(Kind::Ticket) {
        if let Some(grant) = grants.get_mut(&ticket.number) {
            grant.joined = grant.joined.min(since(ticket.issued_ms as f64));
        }
    }
    grants
}

fn of(kind: Kind) -> impl Fn(&Token) -> bool {
    move |token| token.kind == kind
}

fn timeline(evidence: &Evidence, grants: &BTreeMap<u64, Grant>) -> Vec<Moment> {
    let mut moments: Vec<Moment> =
        evidence.timeline.iter().enumerate().map(|(place, second)| moment(place + 1, second)).collect();
    for grant in grants.values() {
        at(&mut moments, grant.at, |moment| moment.admitted += 1);
    }
    if !evidence.shop.is_empty() {
        moments.iter_mut().for_each(|moment| moment.at_shop = Some(0));
        for entry in evidence.shop.iter().filter(|entry| entry.new) {
            let arrived = seconds(entry.arrived_us - evidence.start_unix_us);
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

fn moment(end: usize, second: &evidence::Second) -> Moment {
    Moment {
        at: end as f64,
        arrived: second.arrived,
        waiting: second.waiting,
        inside: second.inside,
        admitted: 0,
        at_shop: None,
        bought: second.bought,
        requests: second.requests,
        failed: second.failed,
        inside_latency: quantiles([&second.inside_latency]),
        outside_latency: quantiles([&second.outside_latency]),
    }
}

/// Of histograms, added up.
fn quantiles<'a>(parts: impl IntoIterator<Item = &'a Latencies>) -> Quantiles {
    let mut sums = BTreeMap::<u64, u64>::new();
    for &(micros, count) in parts.into_iter().flat_map(|part| &part.0) {
        *sums.entry(micros).or_default() += count;
    }
    let count: u64 = sums.values().sum();
    let ms = |micros: Option<u64>| micros.unwrap_or(0) as f64 / 1000.0;
    Quantiles {
        count,
        p50_ms: ms(quantile(&sums, count.div_ceil(2))),
        p99_ms: ms(quantile(&sums, (count * 99).div_ceil(100))),
        max_ms: ms(sums.keys().next_back().copied()),
    }
}

/// The value of that rank, counted from 1.
fn quantile(sums: &BTreeMap<u64, u64>, rank: u64) -> Option<u64> {
    let mut seen = 0;
    sums.iter().find_map(|(&value, count)| {
        seen += count;
        (seen >= rank).then_some(value)
    })
}

/// A wait that was shown, and had: low, high, had, in seconds.
fn shown_and_had(visit: &Visit) -> Option<[f64; 3]> {
    let (shown, entered) = (visit.first_wait?, visit.entered?);
    visit.persona.polls_as_told().then(|| [shown.low, shown.high, seconds(entered - shown.at)])
}

fn waits(visits: &[Visit]) -> Vec<Wait> {
    let mut waits: Vec<[f64; 3]> = visits.iter().filter_map(shown_and_had).collect();
    waits.sort_by(|a, b| a[2].total_cmp(&b[2]));
    let tenth = waits.len().div_ceil(10).max(1);
    waits.chunks(tenth).map(decile).collect()
}

fn decile(waits: &[[f64; 3]]) -> Wait {
    let mean = |of: usize| waits.iter().map(|wait| wait[of]).sum::<f64>() / waits.len() as f64;
    let mut errors: Vec<f64> =
        waits.iter().map(|[low, high, had]| ((low + high) / 2.0 - had).abs() / had.max(1.0)).collect();
    errors.sort_by(f64::total_cmp);
    let held = waits.iter().filter(|[low, high, had]| (low..=high).contains(&had)).count();
    Wait {
        shoppers: waits.len() as u64,
        low: rounded(mean(0)),
        high: rounded(mean(1)),
        had: rounded(mean(2)),
        error: rounded(errors[errors.len() / 2]),
        inside: rounded(held as f64 / waits.len() as f64),
    }
}

/// A sample: evenly spread, and those who overtook by most, because they are what the picture is for.
fn entries(grants: &BTreeMap<u64, Grant>) -> Vec<Entry> {
    let entries: Vec<Entry> =
        (1..).zip(grants.values()).map(|(place, grant)| Entry { place, at: grant.at, joined: grant.joined }).collect();
    let apart = entries.len().div_ceil(MOST_ENTRIES).max(1);
    let mut shown: Vec<Entry> = entries.iter().copied().step_by(apart).collect();
    shown.extend(overtakers(&entries).into_iter().take(MOST_OVERTAKERS));
    shown.sort_by_key(|entry| entry.place);
    shown.dedup_by_key(|entry| entry.place);
    shown
}

/// Those who entered before somebody with a lower place, longest overtaking first.
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

fn of_generator(generator: &evidence::Generator) -> Generator {
    let possible = generator.seconds * f64::from(generator.threads);
    Generator {
        name: generator.name.clone(),
        lag: quantiles([&generator.lag]),
        cpu: if possible > 0.0 { rounded(generator.cpu_seconds / possible) } else { 0.0 },
        dropped_arrivals: generator.dropped_arrivals,
        local_failures: generator.local_failures,
        most_visitors: generator.most_visitors,
        most_connections: generator.most_connections,
        most_memory: generator.most_memory,
    }
}
