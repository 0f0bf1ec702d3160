//! A sample launch: a calm, a burst that is far too large, and a long tail behind it. Made by arithmetic
//! alone, so that it is the same every time.

use evidence::shop::{Entry, Outcome as Served};
use evidence::{
    End, Evidence, GatewaySample, Generator, Held, Latencies, Micros, Page, RequestRecord, Second, ShownWait, Visit,
};
use launch_model::persona::Persona;
use launch_model::scenario::Scenario;
use launch_model::token::{Kind, Token};
use verdict::report::{Facts, Report};
use verdict::{Check, Outcome, judge};

/// Unix time of the start, in microseconds.
const START_US: i64 = 1_790_000_000_000_000;
const RATE: u64 = 20;
const SECONDS: u64 = 150;
/// When those outside go home.
const CLOSING: Micros = 142_000_000;
const SESSION_MS: u64 = 300_000;

/// The scenario of it.
pub(crate) fn scenario() -> Scenario {
    toml::from_str(
        r#"
        name = "nike-launch"
        about = "A calm, then 25 times as many people within twenty seconds; 40 of 100 never come back."
        [room]
        new_users_per_minute = 1200
        [[arrivals]]
        kind = "flat"
        rate = 8.0
        for = "20s"
        [[arrivals]]
        kind = "burst"
        rate = 8.0
        times = 20
        for = "20s"
        [[arrivals]]
        kind = "ramp"
        from = 24.0
        to = 2.0
        for = "110s"
        "#,
    )
    .expect("a valid scenario")
}

/// A number from 0 to 1 that looks like chance.
fn chance(of: u64, salt: u64) -> f64 {
    let mixed = (of * 2 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt.wrapping_mul(0xD1B5_4A32_D192_ED03);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// People who come in a second.
fn arrivals(second: u64) -> u64 {
    let expected = match second {
        0..20 => 8.0,
        20..40 => 160.0,
        _ => 24.0 - 22.0 * (second - 40) as f64 / 110.0,
    };
    (expected + (chance(second, 1) - 0.5) * 2.2 * f64::sqrt(expected)).round().max(0.0) as u64
}

/// A launch that went well.
pub(crate) fn evidence() -> Evidence {
    let mut visits = crowd();
    let_in(&mut visits);
    Evidence {
        start_unix_us: START_US,
        took: SECONDS as Micros * 1_000_000,
        gateways: (0..30).map(|look_at| sampled(look_at * 5_000_000, &visits)).collect(),
        shop: shop(&visits),
        timeline: timeline(&visits),
        generators: vec![generator("worker 1 of 2", 3), generator("worker 2 of 2", 4)],
        visits,
        shop_report: None,
        attacks: Vec::new(),
        memory: Vec::new(),
        stages: Vec::new(),
    }
}

fn crowd() -> Vec<Visit> {
    let instants = (0..SECONDS).flat_map(|second| {
        let count = arrivals(second);
        (0..count).map(move |place| (second * 1_000_000 + place * 1_000_000 / count) as Micros)
    });
    (0..).zip(instants).map(|(index, due)| visit(index, due)).collect()
}

fn visit(index: u64, due: Micros) -> Visit {
    let persona = match (chance(index, 2) * 100.0) as u32 {
        0..48 => Persona::Patient,
        48..84 => Persona::NoShow,
        84..88 => Persona::SecondTab,
        88..92 => Persona::Impatient,
        92..95 => Persona::RefreshSpammer,
        95..98 => Persona::Forges,
        _ => Persona::SkipsLine,
    };
    let cheats = persona.is_adversary();
    let token = Token { kind: Kind::Ticket, number: index + 1, issued_ms: unix_ms(due), expires_ms: u64::MAX >> 16 };
    let attack = RequestRecord { attack: true, status: Some(429), ..asked(index, Page::Order, due + 1_000_000) };
    Visit {
        held: if cheats { Vec::new() } else { vec![Held { at: due + 4_000, target: 0, token }] },
        end: if cheats { End::Looked } else { End::NoShow },
        left: due + if cheats { 1_100_000 } else { 4_000 },
        requests: 2,
        asked: if cheats { vec![attack] } else { Vec::new() },
        ..Visit::begun(index, persona, due)
    }
}

fn asked(index: u64, page: Page, due: Micros) -> RequestRecord {
    let id = format!("visitor-{index}-{page:?}");
    RequestRecord { id, page, step: None, due, answered: due + 180_000, status: Some(200), attack: false, white: false }
}

fn unix_ms(at: Micros) -> u64 {
    ((START_US + at) / 1000) as u64
}

/// Lets those in who stay, by ticket, at the room's rate; a few of them a little early.
fn let_in(visits: &mut [Visit]) {
    let mut free = 0;
    for visit in visits.iter_mut().filter(|visit| visit.persona != Persona::NoShow && !visit.persona.is_adversary()) {
        let turn = visit.due.max(free);
        let wait = turn - visit.due;
        visit.positions = (wait > 500_000).then(|| [wait as u64 / 50_000 + 1, 0]);
        if visit.persona == Persona::Impatient && wait > 30_000_000 {
            (visit.end, visit.left) = (End::LostPatience, visit.due + 30_000_000);
            continue;
        }
        free = turn + 1_000_000 / RATE as Micros;
        if turn > CLOSING {
            (visit.end, visit.left) = (End::Outside, CLOSING.max(visit.due));
            continue;
        }
        let early = if wait > 3_000_000 && chance(visit.index, 3) > 0.97 { 1_800_000 } else { 0 };
        enter(visit, turn - early, wait as f64 / 1e6);
    }
}

fn enter(visit: &mut Visit, at: Micros, wait: f64) {
    let token = Token {
        kind: Kind::Pass,
        number: visit.index + 1,
        issued_ms: unix_ms(at),
        expires_ms: unix_ms(at) + SESSION_MS,
    };
    if wait > 0.5 {
        let guess = wait * (0.86 + 0.3 * chance(visit.index, 4)) * if chance(visit.index, 9) > 0.9 { 0.7 } else { 1.0 };
        visit.first_wait = Some(ShownWait { at: visit.due + 4_000, low: guess * 0.78, high: guess * 1.22 + 3.0 });
    }
    visit.held.push(Held { at: at + 20_000, target: 0, token });
    let item = asked(visit.index, Page::Item, at);
    let payment = asked(visit.index, Page::Payment, at + 5_000_000);
    visit.entered = Some(item.answered);
    visit.left = payment.answered;
    visit.end = End::Bought;
    visit.asked = vec![item, payment];
}

/// The shop's log of the shoppers who were let in, in order of time.
fn shop(visits: &[Visit]) -> Vec<Entry> {
    let pages = visits.iter().filter(|visit| visit.entered.is_some());
    let pages = pages.flat_map(|visit| visit.asked.iter().map(move |asked| (visit.index, asked)));
    let mut entries: Vec<Entry> = pages.map(|(index, asked)| logged(index, asked)).collect();
    entries.sort_by_key(|entry| entry.arrived_us);
    (1..).zip(&mut entries).for_each(|(seq, entry)| entry.seq = seq);
    entries
}

fn logged(index: u64, asked: &RequestRecord) -> Entry {
    Entry {
        seq: 0,
        arrived_us: START_US + asked.due + 2_000 + (chance(index, 6) * 60_000.0) as i64,
        answered_us: START_US + asked.answered - 3_000,
        request_id: Some(asked.id.clone()),
        pass_id: Some(format!("0.{}", index + 1)),
        room: Some("launch".into()),
        page: asked.page,
        status: 200,
        outcome: Served::Ok,
        order: (asked.page == Page::Payment).then_some(index),
        new: asked.page == Page::Item,
    }
}

/// A gateway's report on its room at a moment.
fn sampled(at: Micros, visits: &[Visit]) -> GatewaySample {
    let granted = |visit: &&Visit| visit.asked.first().is_some_and(|asked| !asked.attack && asked.due < at);
    GatewaySample {
        at,
        gateway: 0,
        store_time_ms: unix_ms(at),
        admitted: visits.iter().filter(granted).count() as u64,
        waiting: 0,
        active_users: 0,
        new_users_per_minute: 600.0,
        store_away: false,
        limits_given_up: false,
    }
}

fn timeline(visits: &[Visit]) -> Vec<Second> {
    let mut seconds = vec![Second::default(); SECONDS as usize];
    let of = |at: Micros| (at / 1_000_000) as usize;
    for visit in visits {
        seconds[of(visit.due)].arrived += 1;
        let waits = if visit.positions.is_some() { visit.entered.unwrap_or(visit.left) } else { visit.due };
        seconds[of(visit.due)..of(waits)].iter_mut().for_each(|second| second.waiting += 1);
        if let Some(entered) = visit.entered {
            seconds[of(entered)].entered += 1;
            seconds[of(entered)..of(visit.left)].iter_mut().for_each(|second| second.inside += 1);
            seconds[of(visit.left)].bought += 1;
        }
    }
    (0..).zip(&mut seconds).for_each(|(at, second)| answers(at, second));
    seconds
}

fn answers(at: u64, second: &mut Second) {
    second.requests = second.inside + second.waiting / 4;
    second.inside_latency = latencies(second.inside * 2, 150_000.0 + 20_000.0 * chance(at, 7), at);
    second.outside_latency = latencies(second.waiting / 4 + 2, 900.0 + second.waiting as f64 * 0.6, at + 1_000);
    second.lag = latencies(second.requests, 90.0, at + 2_000);
}

/// Answers around a median, with a tail.
fn latencies(count: u64, median: f64, salt: u64) -> Latencies {
    let mut values: Vec<u64> = (0..count.min(200))
        .map(|n| (median * (0.2 - 1.25 * f64::ln(chance(n, salt + 8).max(1e-3))).max(0.6)) as u64)
        .collect();
    values.sort_unstable();
    Latencies(values.into_iter().map(|value| (value, 1)).collect())
}

fn generator(name: &str, salt: u64) -> Generator {
    Generator {
        name: name.into(),
        cpu_seconds: 31.0 + salt as f64,
        seconds: SECONDS as f64,
        threads: 1,
        most_visitors: 1_160 + salt,
        most_connections: 410 + salt,
        most_memory: 48 << 20,
        lag: latencies(180, 90.0, salt),
        ..Generator::default()
    }
}

/// The facts of its run.
fn facts() -> Facts {
    Facts {
        targets: vec!["http://127.0.0.1:8080".into()],
        gateway: "weir 0.1.0".into(),
        machine: "2 cores, Linux 6.1".into(),
        command: "loadtest run nike-launch --gateways 1 --workers 2 --report report".into(),
    }
}

/// Its report.
pub(crate) fn report() -> Report {
    let (scenario, evidence) = (scenario(), evidence());
    Report::of(&scenario, &evidence, judge(&scenario, &evidence), facts())
}

/// The same with a few checks of our own: what is snapshot here is how checks are told, not what they say.
pub(crate) fn with_few_checks() -> Report {
    let check = |id: &str, promise, title: &str, unit: &str, measured, allowed| Check {
        id: id.into(),
        promise,
        title: title.into(),
        outcome: Outcome::Held,
        measured: Some(measured),
        allowed: Some(allowed),
        unit: unit.into(),
        detail: "How it was measured.".into(),
    };
    let unknown = check("fail-mode", Some(8), "What happens without a store", "", 0.0, 0.0);
    let checks = vec![
        check("limit-any", Some(1), "New shoppers beyond the limit", "shoppers", 0.0, 0.0),
        check("use-of-rate", Some(2), "Use of the rate", "share", 0.9885, 0.97),
        check("overtaking", Some(3), "Longest overtaking", "s", 1.75, 5.0),
        check("wait-inside", Some(6), "Entered inside the first range", "share", 0.9318, 0.8),
        Check { outcome: Outcome::Unknown, measured: None, allowed: None, ..unknown },
        check("generator-lag", None, "How late requests were sent, p99", "ms", 0.54, 10.0),
    ];
    Report { checks, ..report() }
}

/// The check of this name.
pub(crate) fn of_id<'a>(report: &'a mut Report, id: &str) -> &'a mut Check {
    report.checks.iter_mut().find(|check| check.id == id).unwrap()
}
