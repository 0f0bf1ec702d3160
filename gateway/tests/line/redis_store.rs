//! The contract of the Redis store: whatever happens to a line, the script answers exactly what
//! `Line::apply` answers, also across losses. Against a real `redis-server`.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::sync::Arc;

use crate::common::redis::RedisServer;
use gateway::line::store::Work;
use gateway::line::store::redis::Redis;
use policy::Millis;
use policy::cap::{Cap, CapKind, CapSource};
use policy::lease::{HeldLease, LeaseReport};
use policy::line::segment::{GIVEN, SPAN};
use policy::line::{Adopt, Arrival, Batch, Grant, HighWater, Line, Memory, Outcome, Restore, Stamp};
use policy::room::{LetIn, Rules, ScheduledRules};
use policy::stock::StockLevel;
use policy::ticket::Token;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use redis::aio::MultiplexedConnection;

const T0: Millis = 1_800_000_000_000;

/// Every kind of room.
fn kinds() -> Vec<Rules> {
    let rules = Rules::per_minute(600);
    let fast = Rules { burst: 1.0, claim_window: 4_000, ..Rules::per_minute(60_000) };
    let slow = Rules { session: 5_000, max_session: Some(12_000), ..Rules::per_minute(7) };
    let seats = Rules { total_active_users: Some(5), session: 3_000, claim_window: 2_000, ..rules.clone() };
    let passthrough = Rules { enforced: false, total_active_users: Some(20), ..rules.clone() };
    let closed = Rules { open: false, gathers: true, ..rules.clone() };
    let suspended = Rules { open: false, ..passthrough.clone() };
    let uneven = Rules { burst: 33.3, session: 12_345, max_session: Some(12_345), ..Rules::per_minute(9_999) };
    let lends = Rules { lends: true, ..rules.clone() };
    let lends_seats = Rules { lends: true, total_active_users: Some(60), session: 4_000, ..Rules::per_minute(2_000) };
    // Passes that never come back are evicted here.
    let hoarded = Rules { total_active_users: Some(5), session: 100_000, max_session: Some(300_000), ..rules.clone() };
    let hoarded_lends = Rules { lends: true, total_active_users: Some(40), ..Rules::per_minute(2_000) };
    let hoarded_lends = Rules { session: 90_000, ..hoarded_lends };
    let no_visits = Rules { visits: 0.0, ..rules.clone() };
    // Events: the clock of the store says which rules hold.
    let from = |after: Millis, rules: &Rules| ScheduledRules { from: T0 + after, rules: rules.clone() };
    let phases = |gathers: &Rules, runs: &Rules| {
        let events = (0..20).flat_map(|event| {
            let begin = event * 40_000;
            [from(begin + 2_000, gathers), from(begin + 5_000, runs), from(begin + 25_000, &rules)]
        });
        events.collect::<Vec<_>>()
    };
    let event = Rules { scheduled: phases(&closed, &fast), ..rules.clone() };
    let lends_event = Rules {
        scheduled: phases(&Rules { open: false, gathers: true, ..lends.clone() }, &lends_seats),
        ..lends.clone()
    };
    let open_event = Rules { scheduled: phases(&closed, &passthrough), ..seats.clone() };
    let random = Rules { round: Some(6_000), ..rules.clone() };
    let random_closed = Rules { round: Some(4_500), gathers: true, open: false, ..rules.clone() };
    let random_lends = Rules { round: Some(60_000), ..lends_seats.clone() };
    let random_event = Rules { scheduled: phases(&random_closed, &random), ..rules.clone() };
    vec![
        random,
        random_closed,
        random_lends,
        random_event,
        event,
        lends_event,
        open_event,
        no_visits,
        rules,
        fast,
        slow,
        seats,
        passthrough,
        closed,
        suspended,
        uneven,
        lends,
        lends_seats,
        hoarded,
        hoarded_lends,
    ]
}

/// A number that a batch names.
#[derive(Debug, Clone)]
enum Who {
    /// This far behind the pointer.
    Called(u64),
    /// This share of all numbers.
    Anyone(f64),
    /// Whatever.
    Nonsense(u64),
    /// All called lately, but for some in ten who never come.
    Crowd(u64),
    /// A place that an operator gives.
    Given(u64),
}

impl Who {
    fn numbers(&self, line: &Line) -> Vec<u64> {
        let segments = line.view().segments;
        // Mostly the last called, in an earlier segment if people wait there.
        let last = segments.iter().find(|segment| segment.waiting() > 0).unwrap_or(&segments.open);
        let called = last.serving.min(last.next);
        match *self {
            Self::Called(behind) => vec![called.saturating_sub(behind)],
            Self::Anyone(share) => {
                let at = (segments.given() as f64 * share) as u64;
                let mut left = at;
                let found = segments.iter().find_map(|segment| {
                    let given = segment.next - segment.base;
                    let within = left <= given;
                    let number = segment.base + left;
                    left = left.saturating_sub(given);
                    within.then_some(number)
                });
                vec![found.unwrap_or(segments.open.next + at)]
            }
            Self::Nonsense(number) => vec![number],
            Self::Given(nth) => vec![GIVEN + nth],
            Self::Crowd(absent) => (called.saturating_sub(150).max(last.base) + 1..=called)
                .filter(|n| n.wrapping_mul(2_654_435_761) % 10 >= absent)
                .collect(),
        }
    }
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        6 => (0..40_u64).prop_map(Who::Called),
        2 => (0.0..1.1).prop_map(Who::Anyone),
        1 => prop_oneof![Just(0), Just(u64::MAX), Just(1 << 53), any::<u64>()].prop_map(Who::Nonsense),
        2 => (0..9_u64).prop_map(Who::Crowd),
        1 => (1..20_u64).prop_map(Who::Given),
    ]
}

/// A batch, before it is known how the line is.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each may happen with any other")]
struct Step {
    after: i64,
    kind: Option<usize>,
    gateway: u32,
    /// It reaches no server of the shop.
    shop_rests: bool,
    joins: u64,
    joins_if_called: u64,
    visits: u64,
    /// One of a few ids, so that some are shown again.
    arrivals: Vec<Arrival>,
    adopt: Option<Adopt>,
    caps: Vec<Cap>,
    stock: Vec<StockLevel>,
    claims: Vec<Who>,
    renewals: Vec<Who>,
    confirmed: Vec<Who>,
    releases: Vec<Who>,
    ends: Vec<Who>,
    /// The gateway has forgotten what it knew of revocations.
    forgetful: bool,
    /// The fault of the store before it.
    loss: Option<Loss>,
    /// The gateway was started again: it remembers nothing.
    restarted: bool,
    /// A token of one of these is shown to it.
    shown: Option<(Who, bool)>,
    /// It gives passes of its lease to these first, if it lives on that.
    gives: Vec<Who>,
    /// The answer does not reach it.
    deaf: bool,
    /// An order to let shoppers in, given so long ago.
    let_in: Option<(u64, u64)>,
}

/// How a store loses what it had confirmed.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// Everything is gone.
    Flush,
    /// It is as it was so many steps ago, and another server.
    Back(usize),
    /// It is as it was so many steps ago, and says nothing of it.
    Silent(usize),
    /// Another server that has everything.
    Server,
}

fn loss() -> impl Strategy<Value = Loss> {
    prop_oneof![
        1 => Just(Loss::Flush),
        3 => (0..COPIES).prop_map(Loss::Back),
        1 => (0..COPIES).prop_map(Loss::Silent),
        1 => Just(Loss::Server),
    ]
}

fn step(losses: f64) -> impl Strategy<Value = Step> {
    let after = prop_oneof![
        2 => Just(0_i64),
        4 => 1..60_i64,
        8 => Just(100_i64),
        3 => 100..450_i64,
        2 => 1_500..2_700_i64,
        1 => 2_000..20_000_i64,
        1 => 28_000..40_000_i64,
        1 => 100_000..700_000_i64,
        1 => -5_000..0_i64,
    ];
    let joins = prop_oneof![6 => Just(0_u64), 6 => 0..5_u64, 2 => 5..300_u64, 1 => 1_000..3_000_u64];
    let few = prop_oneof![3 => Just(0_u64), 1 => 0..12_u64];
    let adopt =
        (1..3_u32, 1..9_u64, 0..6_u64).prop_map(|(incarnation, first, count)| Adopt { incarnation, first, count });
    let arrival = prop_oneof![3 => 0..60_u64, 1 => Just(u64::MAX), 2 => any::<u64>()];
    let arrival = (arrival, prop::bool::weighted(0.3)).prop_map(|(id, if_called)| Arrival { id, if_called });
    let arrivals = prop_oneof![
        3 => prop::collection::vec(arrival.clone(), 0..1),
        3 => prop::collection::vec(arrival.clone(), 0..8),
        1 => prop::collection::vec(arrival, 0..1_200)
    ];
    let source = (prop::bool::weighted(0.2), 0..70_u32)
        .prop_map(|(api, id)| CapSource::new(if api { CapKind::Api } else { CapKind::Shop }, id));
    let rate = prop_oneof![1 => Just(0.0), 1 => Just(1e9), 4 => 0.0..40.0_f64];
    let ttl = prop_oneof![1 => Just(0_u64), 3 => 1..9_000_u64, 1 => 10_000..600_000_u64];
    let cap = (source, rate, ttl).prop_map(|(source, rate, ttl)| Cap { source, rate, ttl });
    let caps = prop_oneof![
        12 => prop::collection::vec(cap.clone(), 0..1),
        2 => prop::collection::vec(cap.clone(), 0..4),
        1 => prop::collection::vec(cap, 60..90)
    ];
    let left = || prop_oneof![2 => Just(0_u64), 1 => 0..50_u64, 1 => Just(1_000_000_000_000_u64)];
    let level =
        (0..300_u32, left(), left(), prop::bool::weighted(0.2), prop_oneof![3 => Just(0_u64), 1 => 0..9_000_u64])
            .prop_map(|(sku, left, held, sure, age)| StockLevel { sku: sku / 100, left, held, sure, age });
    let stock = prop_oneof![14 => Just(Vec::new()), 1 => prop::collection::vec(level, 1..4)];
    // Mostly never or nearly always, so that lines stand.
    let rests = prop_oneof![3 => Just(false), 1 => prop::bool::weighted(0.3)];
    let gateway = prop_oneof![4 => Just(7_u32), 2 => Just(0_u32), 2 => Just(1_u32), 1 => Just(u32::MAX)];
    (
        (after, prop::option::weighted(0.05, 0..kinds().len()), gateway, prop::bool::weighted(0.1), rests),
        (joins, few.clone(), few, prop::option::weighted(0.06, adopt), arrivals),
        prop::collection::vec(who(), 0..6),
        (prop::collection::vec(who(), 0..3), prop::collection::vec(who(), 0..2)),
        (
            prop::collection::vec(who(), 0..2),
            prop_oneof![4 => Just(Vec::new()), 1 => prop::collection::vec(who(), 1..3)],
        ),
        (
            prop::option::weighted(losses, loss()),
            prop::bool::weighted(0.03),
            prop::option::weighted(0.08, (who(), any::<bool>())),
            (prop::collection::vec(who(), 0..3), prop::bool::weighted(0.1)),
        ),
        (caps, stock, prop::option::weighted(0.08, (0..70_000_u64, prop_oneof![0..30_u64, 0..5_000_u64]))),
    )
        .prop_map(|(a, b, claims, (renewals, confirmed), (releases, ends), faults, (caps, stock, let_in))| {
            let (loss, restarted, shown, (gives, deaf)) = faults;
            let ((after, kind, gateway, forgetful, shop_rests), (joins, joins_if_called, visits, adopt, arrivals)) =
                (a, b);
            Step {
                after,
                kind,
                gateway,
                shop_rests,
                joins,
                joins_if_called,
                visits,
                arrivals,
                adopt,
                caps,
                stock,
                claims,
                renewals,
                confirmed,
                releases,
                ends,
                forgetful,
                loss,
                restarted,
                shown,
                gives,
                deaf,
                let_in,
            }
        })
}

/// One line in both places.
struct Pair {
    store: Arc<Redis>,
    room: Arc<str>,
    line: Line,
    rules: Rules,
    at: Stamp,
    revocations: HashMap<u32, u64>,
    memories: HashMap<u32, Memory>,
    lendings: HashMap<u32, HeldLease>,
    /// Both states before the last steps.
    copies: Vec<(Line, Dump)>,
    /// The store has no line.
    begins: bool,
}

/// Copies that a [`Pair`] keeps.
const COPIES: usize = 12;
/// The keys of a room, and what they hold.
type Dump = Vec<(Vec<u8>, Vec<u8>)>;

impl Pair {
    fn new(store: Arc<Redis>, room: &str, rules: Rules) -> Self {
        let at = Stamp { now: T0, server: 1 };
        Self {
            store,
            room: room.into(),
            line: Line::new(at),
            rules,
            at,
            revocations: HashMap::new(),
            memories: HashMap::new(),
            lendings: HashMap::new(),
            copies: Vec::new(),
            begins: true,
        }
    }

    /// The store loses what it had confirmed.
    async fn lose(&mut self, loss: Loss, redis: &mut MultiplexedConnection) {
        let (line, dump) = match loss {
            Loss::Flush => {
                self.begins = true;
                (self.line.clone(), Dump::new())
            }
            Loss::Back(steps) | Loss::Silent(steps) => match self.copies.iter().rev().nth(steps) {
                Some(copy) => {
                    self.begins = false;
                    copy.clone()
                }
                None => return,
            },
            Loss::Server => (self.line.clone(), dump(redis, &self.room).await),
        };
        self.at.server += u64::from(!matches!(loss, Loss::Silent(_)));
        self.line = line;
        put_back(redis, &self.room, &dump).await;
        self.copies.clear();
    }

    /// The gateway's evidence, with the tokens that it was shown.
    fn recall(&mut self, step: &Step) -> (HighWater, Restore, Option<LeaseReport>) {
        let shown = step.shown.as_ref().map(|(who, pass)| (who.numbers(&self.line), *pass));
        let memory = self.memories.entry(step.gateway).or_default();
        if step.restarted {
            *memory = Memory::default();
            self.lendings.remove(&step.gateway);
        }
        for number in shown.iter().flat_map(|(numbers, _)| numbers).filter(|&&n| n % SPAN > 0 && n < 1 << 53) {
            let pass = shown.as_ref().is_some_and(|(_, pass)| *pass);
            let (ticket, end) = (Token::ticket(*number, self.at.now), self.at.now + 2_000);
            memory.shown(&if pass { Token::pass(*number, self.at.now, end) } else { ticket });
        }
        let (lending, segments) = (self.lendings.entry(step.gateway).or_default(), self.line.view().segments);
        if lending.is_on(self.at.now) {
            let called = lending.called(&segments, 7.0, self.at.now);
            let mut claimants: Vec<u64> = step.gives.iter().flat_map(|who| who.numbers(&self.line)).collect();
            claimants.retain(|&number| called.is_called(number));
            memory.lent(&lending.grant(&self.rules, claimants, self.at.now), &called);
        }
        let (held, lent) = lending.recall();
        let (seen, restore) = memory.recall();
        (seen, Restore { lent, ..restore }, held)
    }

    /// When a pass is said to have been given: about a session ago, and each time somewhat otherwise.
    fn given(&self, number: u64, by: i64) -> Millis {
        let about = self.at.now.saturating_sub(self.rules.session).saturating_add_signed(by);
        about.saturating_sub(number % 3 * self.rules.session)
    }

    /// Keeps what both are now, if a loss is to come.
    async fn keep_copy(&mut self, coming: &[Step], redis: &mut MultiplexedConnection) {
        let back = |step: &Step| matches!(step.loss, Some(Loss::Back(_) | Loss::Silent(_)));
        if !self.begins && coming.iter().skip(1).take(COPIES).any(back) {
            self.copies.push((self.line.clone(), dump(redis, &self.room).await));
        }
    }

    async fn step(&mut self, step: &Step) -> (Outcome, Outcome) {
        self.at.now = self.at.now.saturating_add_signed(step.after);
        if let Some(kind) = step.kind {
            let order = self.rules.let_in;
            self.rules = kinds().swap_remove(kind);
            self.order(order);
        }
        if let Some((ago, shoppers)) = step.let_in {
            self.order(Some(LetIn { at: self.at.now.saturating_sub(ago), shoppers }));
        }
        let all = |who: &[Who]| who.iter().flat_map(|who| who.numbers(&self.line)).collect::<Vec<_>>();
        let known = self.revocations.get(&step.gateway).copied().unwrap_or(0);
        // Some ask for places of the round, or of one that was lost.
        let round = self.line.view().round.id;
        let of_round = |adopt: Adopt| if adopt.count == 5 { Adopt { incarnation: round, ..adopt } } else { adopt };
        let batch = Batch {
            seed: self.at.now.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            gateway: step.gateway,
            shop_rests: step.shop_rests,
            seen: HighWater::default(),
            restore: Restore::default(),
            lease: None,
            caps: step.caps.clone(),
            stock: step.stock.clone(),
            adopt: step.adopt.map(of_round),
            arrivals: step.arrivals.clone(),
            joins: step.joins,
            joins_if_called: step.joins_if_called,
            visits: step.visits,
            claims: all(&step.claims),
            renewals: all(&step.renewals).into_iter().map(|number| (number, self.given(number, step.after))).collect(),
            confirmed: all(&step.confirmed),
            releases: all(&step.releases),
            ends: all(&step.ends),
            revocations_seen: if step.forgetful { 0 } else { known },
        };
        let (seen, restore, lease) = self.recall(step);
        let releases = batch.releases.clone();
        let outcomes = self.apply(Batch { seen, restore, lease, ..batch }).await;
        if step.deaf {
            return outcomes;
        }
        if let Some(lending) = self.lendings.get_mut(&step.gateway) {
            lending.note(outcomes.0.lease, outcomes.0.view.now);
        }
        if let Some(memory) = self.memories.get_mut(&step.gateway) {
            memory.note(&releases, &outcomes.0);
            memory.tidy(&outcomes.0.view);
        }
        self.revocations.insert(step.gateway, outcomes.0.revocations_seen);
        outcomes
    }

    /// The order stands in every version of the rules.
    fn order(&mut self, order: Option<LetIn>) {
        self.rules.let_in = order;
        self.rules.scheduled.iter_mut().for_each(|later| later.rules.let_in = order);
    }

    /// What the line answers, and what the store does.
    async fn apply(&mut self, batch: Batch) -> (Outcome, Outcome) {
        if std::mem::take(&mut self.begins) {
            self.line = Line::new(self.at);
        }
        let expected = self.line.apply(&self.rules, &batch, self.at);
        let work = Work { room: self.room.clone(), rules: self.rules.clone(), batch };
        let mut found = self.store.commit_at(&[work], Some(self.at)).await.unwrap();
        (expected, found.remove(0))
    }
}

async fn raw(server: &RedisServer) -> MultiplexedConnection {
    redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn keys(redis: &mut MultiplexedConnection, room: &str) -> Vec<Vec<u8>> {
    redis::cmd("KEYS").arg(format!("weir:{{{room}}}:*")).query_async(redis).await.unwrap()
}

async fn dump(redis: &mut MultiplexedConnection, room: &str) -> Dump {
    let mut dump = Dump::new();
    for key in keys(redis, room).await {
        let value = redis::cmd("DUMP").arg(&key).query_async(redis).await.unwrap();
        dump.push((key, value));
    }
    dump
}

async fn put_back(redis: &mut MultiplexedConnection, room: &str, dump: &Dump) {
    for key in keys(redis, room).await {
        let () = redis::cmd("DEL").arg(key).query_async(redis).await.unwrap();
    }
    for (key, value) in dump {
        let () = redis::cmd("RESTORE").arg(key).arg(0).arg(value).query_async(redis).await.unwrap();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn any_sequence_of_operations_gets_the_same_answers_from_the_script_as_from_the_line() {
    compare(192, 0.03);
}

#[test]
fn any_sequence_of_losses_gets_the_same_answers_from_the_script_as_from_the_line() {
    compare(48, 0.3);
}

/// So many sequences of steps, a share of which are losses.
fn compare(cases: u32, losses: f64) {
    let server = RedisServer::start();
    let runtime = runtime();
    let store = Arc::new(Redis::at(&server.url()).unwrap());
    let rooms = std::cell::Cell::new(0);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let sequence = (0..kinds().len(), prop::collection::vec(step(losses), 1..120));
    let result = TestRunner::new(config).run(&sequence, |(kind, steps)| {
        rooms.set(rooms.get() + 1);
        let room = format!("room-{}", rooms.get());
        let mut pair = Pair::new(store.clone(), &room, kinds().swap_remove(kind));
        runtime.block_on(async {
            pair.apply(Batch::default()).await;
            let mut redis = raw(&server).await;
            for (index, step) in steps.iter().enumerate() {
                if let Some(loss) = step.loss {
                    pair.lose(loss, &mut redis).await;
                }
                pair.keep_copy(&steps[index..], &mut redis).await;
                let (expected, found) = pair.step(step).await;
                prop_assert_eq!(expected, found, "at step {}", index);
                pair.line.check_invariants(pair.rules.at(pair.line.view().utc));
            }
            Ok(())
        })
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Minutes of a launch with 40 % of no-shows at three gateways, one of which comes and goes.
fn launch(rules: Rules, crowd: u64, seconds: u64) -> Outcome {
    let server = RedisServer::start();
    let mut pair = Pair::new(Arc::new(Redis::at(&server.url()).unwrap()), "launch", rules);
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut present: HashMap<u64, u32> = HashMap::new();
    let mut seen = 0;
    runtime().block_on(async {
        let mut last = pair.apply(Batch { joins: crowd, ..Batch::default() }).await.0;
        for tick in 1..seconds * 30 {
            pair.at.now += 20 + dice.below(28);
            let gateway = (tick % 3) as u32;
            let open = pair.line.view().segments.open;
            let called = open.serving.min(open.next);
            for number in seen.max(open.base) + 1..=called {
                // Shoppers stay until they are in, but miss a batch now and then.
                if dice.below(10) >= 4 {
                    present.insert(number, dice.below(3) as u32);
                }
            }
            seen = called;
            let silent = gateway == 2 && (tick / 200) % 2 == 1;
            let mut claims: Vec<u64> = present.iter().filter(|(_, at)| **at == gateway).map(|(n, _)| *n).collect();
            claims.sort_unstable();
            claims.retain(|_| !silent && dice.below(20) > 0);
            let batch = Batch { gateway, joins: dice.below(3), claims, ..Batch::default() };
            let (expected, found) = pair.apply(batch).await;
            assert_eq!(expected, found, "at tick {tick}");
            for (number, grant) in &expected.grants {
                if matches!(grant, Grant::Pass { .. }) {
                    present.remove(number);
                }
            }
            last = expected;
        }
        last
    })
}

#[test]
fn two_minutes_of_a_launch_are_equal_to_the_last_digit() {
    let last = launch(Rules { claim_window: 10_000, ..Rules::per_minute(3_000) }, 20_000, 120).view;
    assert!(last.granted > 4_000 && last.no_shows > 1_000, "it was a launch: {last:?}");
}

#[test]
fn visits_of_a_calm_room_are_equal_to_the_last_digit() {
    let server = RedisServer::start();
    let rules = Rules { burst: 12.5, total_active_users: Some(40), session: 2_000, ..Rules::per_minute(700) };
    let mut pair = Pair::new(Arc::new(Redis::at(&server.url()).unwrap()), "calm", rules);
    let mut dice = Dice(0x1234_5678_9ABC_DEF1);
    let visits = runtime().block_on(async {
        let (mut let_in, mut asked) = (0, 0);
        for tick in 0..1_500 {
            pair.at.now += dice.below(120);
            let batch = Batch { joins: dice.below(40) / 39, visits: dice.below(3), ..Batch::default() };
            asked += batch.visits;
            let (expected, found) = pair.apply(batch).await;
            assert_eq!(expected, found, "at tick {tick}");
            let_in += found.visits;
        }
        (let_in, asked)
    });
    // A fifth of 700 a minute, for about 90 seconds.
    assert!((150..240).contains(&visits.0) && visits.1 > 1_000, "{visits:?}");
}

#[test]
fn a_room_bound_by_its_seats_is_equal_to_the_last_digit() {
    let rules = Rules { total_active_users: Some(300), session: 10_000, ..Rules::per_minute(6_000) };
    let last = launch(rules, 20_000, 60).view;
    assert!(last.granted > 1_000 && last.active <= 300, "it was a launch: {last:?}");
}

#[test]
fn of_too_many_cuts_script_and_line_forget_the_same() {
    let server = RedisServer::start();
    let mut pair = Pair::new(Arc::new(Redis::at(&server.url()).unwrap()), "cuts", Rules::per_minute(60_000));
    runtime().block_on(async {
        let first = pair.apply(Batch::default()).await.0.view;
        let mut old = first;
        for run in 1..=520 {
            pair.at.now += 1;
            let adopt = Some(Adopt { incarnation: run, first: 1, count: 2 });
            // One gateway remembers what was before the first ones were forgotten.
            let seen = HighWater { adopted: old.adopted.clone(), ..HighWater::default() };
            let (expected, found) = pair.apply(Batch { adopt, seen, ..Batch::default() }).await;
            assert_eq!(expected, found, "at cut {run}");
            if run <= 5 {
                old = expected.view;
            }
        }
        let kept = pair.apply(Batch::default()).await.1.view.adopted;
        assert_eq!((kept.len(), kept[0].adopt.incarnation, kept[511].adopt.incarnation), (512, 9, 520));
    });
}
