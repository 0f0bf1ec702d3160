//! The functions that every request, or every commit, goes through: those of `policy`, and the reading of a head.

#![allow(missing_docs, reason = "criterion's macros")]

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gateway::client::connection_cache::ConnectionCache;
use gateway::client::visitor::{Head, credential, intent};
use gateway::quota::{Client, Quota, Quotas};
use policy::admit::{AdmitContext, Credential, Intent, PassState, admit};
use policy::draw::beacon::Beacon;
use policy::line::{Batch, Line, Segment, View};
use policy::permutation::Permutation;
use policy::room::{Room, Rules};
use policy::scope::{NormalPath, Pattern, Table};
use policy::seal::{RoomId, Sealer};
use policy::ticket::Token;

fn seal(c: &mut Criterion) {
    let Ok(sealer) = Sealer::new(&[7; 32]) else { return };
    let room = RoomId::of("launch");
    let pass = Token::pass(7, 0, 1_000);
    let text = sealer.seal(room, &pass);
    let mut forged = text.clone().into_bytes();
    forged[60] ^= 1;
    c.bench_function("seal/open", |b| b.iter(|| sealer.open(room, black_box(text.as_bytes()))));
    c.bench_function("seal/open a forged one", |b| b.iter(|| sealer.open(room, black_box(&forged))));
    c.bench_function("seal/seal", |b| b.iter(|| sealer.seal(room, black_box(&pass))));
}

fn decide(c: &mut Criterion) {
    let room = Room::new(Rules::per_minute(600));
    let view = View { segments: Segment { base: 0, next: 1_000, serving: 100 }.into(), now: 10, ..View::default() };
    let context = AdmitContext {
        room: &room,
        line: Some(&view),
        store_away: false,
        on_lease: false,
        shop_rests: false,
        now: 20,
        pass: PassState::Lives,
    };
    let pass = Credential::Sealed(Token::pass(7, 0, 1_000));
    let ticket = Credential::Sealed(Token::ticket(700, 0));
    c.bench_function("admit/pass", |b| b.iter(|| admit(context, black_box(pass), Intent::Other)));
    c.bench_function("admit/ticket", |b| b.iter(|| admit(context, black_box(ticket), Intent::Json)));
    c.bench_function("admit/nobody", |b| b.iter(|| admit(context, black_box(Credential::None), Intent::Page)));
}

/// A browser's head, with a pass among its cookies.
fn browser(pass: &str) -> http::request::Parts {
    let request = http::Request::get("/launch/shoes/42")
        .header("host", "shop.example.com")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
        .header("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        .header("accept-language", "ko-KR,ko;q=0.8,en-US;q=0.5,en;q=0.3")
        .header("accept-encoding", "gzip, deflate, br, zstd")
        .header("referer", "https://shop.example.com/launch/")
        .header("cookie", format!("basket=8f14e45fceea167a; theme=dark; __Host-weir_launch={pass}"))
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-site", "same-origin");
    request.body(()).unwrap_or_default().into_parts().0
}

fn head(c: &mut Criterion) {
    let Ok(sealer) = Sealer::new(&[7; 32]).map(Arc::new) else { return };
    let room = RoomId::of("launch");
    let parts = browser(&sealer.seal(room, &Token::pass(7, 0, 1_000)));
    c.bench_function("head/read", |b| b.iter(|| Head::of(black_box(&parts)).accept));
    let head = Head::of(&parts);
    let name = "__Host-weir_launch";
    c.bench_function("head/a pass of a new connection", |b| {
        b.iter(|| credential(black_box(&head), name, |text| sealer.open(room, text)));
    });
    let known = ConnectionCache::default();
    c.bench_function("head/the same pass again", |b| {
        b.iter(|| credential(black_box(&head), name, |text| known.open(&sealer, room, text)));
    });
    c.bench_function("head/what is asked for", |b| b.iter(|| intent(black_box(&parts), true)));
}

fn scope(c: &mut Criterion) {
    let entry = |i: usize| Pattern::parse(&format!("shop{i}.example.com"), "/launch").map(|pattern| (pattern, i));
    let Ok(entries) = (0..100).map(entry).collect::<Result<Vec<_>, _>>() else { return };
    let table = Table::new(entries);
    for (name, path) in [("plain", "/launch/shoes/42"), ("twisted", "/launch/%2e%2e/LAUNCH//shoes;v=1/%34%32")] {
        c.bench_function(&format!("scope/find a {name} path"), |b| {
            b.iter(|| table.find(black_box("shop42.example.com"), &NormalPath::of(black_box(path))).copied());
        });
    }
}

fn quota(c: &mut Criterion) {
    let some = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    let quotas = Quotas::new(Quota { per_second: some(1_000_000), burst: some(1_000_000) }, 2_000_000);
    for number in 0..1_000_000 {
        let _ = quotas.charge(Client::at(Ipv4Addr::from_bits(number).into()));
    }
    let mut number = 0_u32;
    c.bench_function("quota/charge one of a million", |b| {
        b.iter(|| {
            number = number.wrapping_add(7_919) % 1_000_000;
            quotas.charge(Client::at(Ipv4Addr::from_bits(number).into()))
        });
    });
}

fn line(c: &mut Criterion) {
    let rules = Rules::per_minute(60_000);
    let mut group = c.benchmark_group("line");
    group.throughput(Throughput::Elements(1_000));
    let joins = Batch { gateway: 1, joins: 1_000, ..Batch::default() };
    group.bench_function("apply 1,000 joins", |b| {
        let new = || Line::new(0);
        b.iter_batched_ref(new, |line| line.apply(&rules, black_box(&joins), 100), BatchSize::SmallInput);
    });
    let claims = Batch { gateway: 1, claims: (1..=1_000).collect(), ..Batch::default() };
    group.bench_function("apply 1,000 claims", |b| {
        b.iter_batched_ref(
            || called(&rules),
            |line| line.apply(&rules, black_box(&claims), 3_100),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// A line of 10,000 that has called some thousand of them.
fn called(rules: &Rules) -> Line {
    let mut line = Line::new(0);
    line.apply(rules, &Batch { joins: 10_000, ..Batch::default() }, 0);
    for tick in 1..=30 {
        line.apply(rules, &Batch::default(), tick * 100);
    }
    line
}

fn draw(c: &mut Criterion) {
    let million = Permutation::new([7; 32], 1_000_000);
    // The slowest: they are walked over 254 others.
    let two = Permutation::new([7; 32], 2);
    c.bench_function("draw/a place of 1,000,000", |b| b.iter(|| million.place(black_box(812))));
    c.bench_function("draw/a place of 2", |b| b.iter(|| two.place(black_box(1))));
    let round = "b75c69d0b72a5d906e854e808ba7e2accb1542ac355ae486d591aa9d43765482e26cd02df835d3546d23c4b13e0dfc92";
    let Ok(signature) = round.parse() else { return };
    c.bench_function("draw/a round of the beacon", |b| b.iter(|| Beacon::QUICKNET.check(black_box(123), &signature)));
    let mut whole = c.benchmark_group("draw");
    whole.sample_size(10).throughput(Throughput::Elements(1_000_000));
    whole.bench_function("1,000,000 places", |b| b.iter(|| million.is_complete()));
    whole.finish();
}

criterion_group!(policy, seal, decide, head, scope, quota, line, draw);
criterion_main!(policy);
