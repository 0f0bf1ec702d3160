//! The functions of `policy` that every request, or every commit, goes through.

#![allow(missing_docs, reason = "criterion's macros")]

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use policy::admit::{Credential, Intent, Scene, admit};
use policy::line::{Batch, Line, Segment, View};
use policy::quota::{Client, Quota, Quotas};
use policy::room::Rules;
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
    let room = benches::room(Rules::per_minute(600));
    let view = View { segments: Segment { base: 0, next: 1_000, serving: 100 }.into(), now: 10, ..View::default() };
    let scene = Scene { room: &room, line: Some(&view), store_away: false, on_lease: false, now: 20, revoked: false };
    let pass = Credential::Sealed(Token::pass(7, 0, 1_000));
    let ticket = Credential::Sealed(Token::ticket(700, 0));
    c.bench_function("admit/pass", |b| b.iter(|| admit(scene, black_box(pass), Intent::Other)));
    c.bench_function("admit/ticket", |b| b.iter(|| admit(scene, black_box(ticket), Intent::Json)));
    c.bench_function("admit/nobody", |b| b.iter(|| admit(scene, black_box(Credential::None), Intent::Page)));
}

fn scope(c: &mut Criterion) {
    let entry = |i: usize| Pattern::parse(&format!("shop{i}.example.com"), "/launch/*").map(|pattern| (pattern, i));
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

criterion_group!(policy, seal, decide, scope, quota, line);
criterion_main!(policy);
