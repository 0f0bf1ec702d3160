//! What a launch looks like: a calm, a burst that is far too large, and a long tail behind it. Made by arithmetic
//! alone, so that it is the same every time.

use loadtest::evidence::Page;
use loadtest::evidence::{End, Evidence, Generator, Held, Latencies, Micros, Second, Shown, Visit};
use loadtest::persona::Persona;
use loadtest::scenario::Scenario;
use loadtest::shop::log::{Entry, Outcome as Served};
use loadtest::token::{Kind, Token};

/// Unix time of the start, in microseconds.
const START_US: i64 = 1_790_000_000_000_000;
const RATE: u64 = 20;
const SECONDS: u64 = 150;
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
    let granted = let_in(&mut visits);
    let timeline = (0..SECONDS).map(|second| moment(second, &visits)).collect();
    Evidence {
        start_unix_us: START_US,
        took: SECONDS as Micros * 1_000_000,
        shop: shop(&granted),
        visits,
        timeline,
        generators: vec![generator("worker 1 of 2", 3), generator("worker 2 of 2", 4)],
        ..Evidence::default()
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
    let token = Token { kind: Kind::Ticket, number: index + 1, issued_ms: unix_ms(due), expires_ms: u64::MAX >> 16 };
    Visit {
        index,
        persona,
        due,
        held: vec![Held { at: due + 4_000, target: 0, token }],
        first_wait: None,
        positions: None,
        positions_grown: 0,
        entered: None,
        end: if persona.is_adversary() { End::Refused } else { End::NoShow },
        left: due + 4_000,
        requests: 2,
        errors_outside: 0,
        unanswered_outside: 0,
        thrown_out: false,
        asked: Vec::new(),
    }
}

fn unix_ms(at: Micros) -> u64 {
    ((START_US + at) / 1000) as u64
}

/// Lets those in who stay, by ticket, at the room's rate; a few of them a little early.
fn let_in(visits: &mut [Visit]) -> Vec<Micros> {
    let mut free = 0;
    let mut granted = Vec::new();
    for visit in visits.iter_mut().filter(|visit| visit.persona != Persona::NoShow && !visit.persona.is_adversary()) {
        let turn = visit.due.max(free);
        let wait = turn - visit.due;
        free = turn + 1_000_000 / RATE as Micros;
        if turn > SECONDS as Micros * 1_000_000 - 4_000_000 {
            visit.end = End::Outside;
            visit.left = SECONDS as Micros * 1_000_000;
            continue;
        }
        let luck = chance(visit.index, 3);
        let early = if wait > 3_000_000 && luck > 0.97 { 1_800_000 } else { 0 };
        enter(visit, turn - early, wait as f64 / 1e6);
        granted.push(turn - early);
    }
    granted
}

fn enter(visit: &mut Visit, at: Micros, wait: f64) {
    let number = visit.index + 1;
    let expires_ms = unix_ms(at) + SESSION_MS;
    visit.held.push(Held {
        at,
        target: 0,
        token: Token { kind: Kind::Pass, number, issued_ms: unix_ms(at), expires_ms },
    });
    if wait > 0.5 {
        let guess = wait * (0.86 + 0.3 * chance(visit.index, 4));
        visit.first_wait = Some(Shown { at: visit.due + 4_000, low: guess * 0.78, high: guess * 1.22 + 3.0 });
    }
    let poll = (chance(visit.index, 5) * wait.min(2.0) * 1e6) as Micros;
    visit.entered = Some(at + poll + 30_000);
    visit.left = at + poll + 6_000_000;
    visit.end = if visit.persona == Persona::Impatient { End::LostPatience } else { End::Bought };
}

fn shop(granted: &[Micros]) -> Vec<Entry> {
    let entry = |(seq, at): (u64, &Micros)| Entry {
        seq,
        arrived_us: START_US + at + (chance(seq, 6) * 700_000.0) as i64,
        answered_us: START_US + at + 760_000,
        request_id: None,
        pass_id: Some(format!("1.{seq}")),
        room: Some("launch".into()),
        page: Page::Item,
        status: 200,
        outcome: Served::Ok,
        order: None,
        new: true,
    };
    (1..).zip(granted).map(entry).collect()
}

fn moment(second: u64, visits: &[Visit]) -> Second {
    let end = (second as Micros + 1) * 1_000_000;
    let count = |of: &dyn Fn(&Visit) -> bool| visits.iter().filter(|visit| of(visit)).count() as u64;
    let waiting = count(&|visit| visit.due < end && visit.entered.unwrap_or(visit.left) >= end);
    let inside = count(&|visit| visit.entered.is_some_and(|entered| entered < end) && visit.left >= end);
    let entered = count(&|visit| visit.entered.is_some_and(|entered| (end - 1_000_000..end).contains(&entered)));
    Second {
        arrived: count(&|visit| (end - 1_000_000..end).contains(&visit.due)),
        waiting,
        inside,
        entered,
        bought: count(&|visit| visit.end == End::Bought && (end - 1_000_000..end).contains(&visit.left)),
        requests: inside + waiting / 4,
        failed: 0,
        inside_latency: latencies(inside * 2, 150_000.0 + 20_000.0 * chance(second, 7), second),
        outside_latency: latencies(waiting / 4 + 2, 900.0 + waiting as f64 * 0.6, second + 1_000),
        lag: latencies(inside + waiting / 4, 90.0, second + 2_000),
    }
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
