//! A launch's crowd over real sockets: people who arrive in an open loop, ask again when they are told to,
//! each time at a gateway of chance, and write down everything they are given.
//!
//! What is absent: judgement. What a [`Visit`] saw is judged by [`super::account`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use loadtest::arrivals::{Arrivals, Phase, Spacing};
use loadtest::client::{Client, Lost, Target};
use loadtest::shopper::{Answer, Request, is_page, told_to_wait};
use policy::seal::{RoomId, Sealer};
use policy::ticket::Token;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::common::line::SECRET;

/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Whoever is not inside by then has lost their place.
const AT_MOST: Duration = Duration::from_mins(2);
/// Before somebody tries again who got an error or nothing.
const AGAIN: Duration = Duration::from_millis(500);

/// Share of people who ask in two tabs at once.
const TWO_TABS: f64 = 0.2;
const COOKIE: &str = "weir_launch";

/// Who comes.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) arrivals: Vec<Phase>,
    /// Share of people who see the line and never come back, 0 to 1.
    pub(crate) no_shows: f64,
    /// The same seed, the same people.
    pub(crate) seed: u64,
}

/// Something that a shopper was given, and by which gateway.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) token: Token,
    pub(crate) gateway: usize,
}

/// What one shopper saw.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Visit {
    /// Whether they come back after they saw a line.
    pub(crate) shows: bool,
    /// Every token that their cookie has held.
    pub(crate) held: Vec<Held>,
    /// Every position that they were shown.
    pub(crate) positions: Vec<u64>,
    pub(crate) entered: bool,
    /// They were inside, and met the line again.
    pub(crate) thrown_out: bool,
    /// Both of their tabs got in at the same moment.
    pub(crate) both_in: bool,
    /// Answers 5xx.
    pub(crate) errors: usize,
    /// Requests without an answer, but for those that no gateway took: there a load balancer asks the next.
    pub(crate) unanswered: usize,
}

/// A crowd on its way.
pub(crate) struct Crowd {
    visits: JoinHandle<Vec<Visit>>,
    entered: Arc<AtomicUsize>,
}

impl Crowd {
    /// Sends these people to the gateways at these addresses.
    pub(crate) fn send(gateways: &[SocketAddr], plan: &Plan) -> Self {
        let entered = Arc::<AtomicUsize>::default();
        let world = World {
            gateways: gateways.into(),
            sealer: Arc::new(Sealer::new(SECRET.as_bytes()).unwrap()),
            entered: entered.clone(),
            end: Instant::now() + AT_MOST,
        };
        let plan = plan.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let visits = std::thread::spawn(move || runtime.block_on(world.everybody(plan)));
        Self { visits, entered }
    }

    /// People who are inside by now.
    pub(crate) fn entered(&self) -> usize {
        self.entered.load(Ordering::Relaxed)
    }

    /// Waits until all have left.
    pub(crate) fn gone(self) -> Vec<Visit> {
        self.visits.join().unwrap()
    }
}

/// What all shoppers share.
#[derive(Clone)]
struct World {
    gateways: Arc<[SocketAddr]>,
    sealer: Arc<Sealer>,
    entered: Arc<AtomicUsize>,
    end: Instant,
}

impl World {
    async fn everybody(self, plan: Plan) -> Vec<Visit> {
        let start = tokio::time::Instant::now();
        let mut people = JoinSet::new();
        for (index, due) in Arrivals::new(plan.arrivals, Spacing::Poisson, plan.seed).enumerate() {
            tokio::time::sleep_until(start + due).await;
            people.spawn(Shopper::new(self.clone(), plan.seed, index as u64, plan.no_shows).visit());
        }
        people.join_all().await
    }
}

struct Shopper {
    world: World,
    random: StdRng,
    client: Client,
    two_tabs: bool,
    visit: Visit,
}

impl Shopper {
    fn new(world: World, seed: u64, index: u64, no_shows: f64) -> Self {
        let mut random = StdRng::seed_from_u64(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let visit = Visit { shows: !random.random_bool(no_shows), ..Visit::default() };
        let client = Client::new(Target::new(world.gateways[0], "shop.example", "/launch"), index, PATIENCE);
        let two_tabs = random.random_bool(TWO_TABS);
        Self { world, random, client, two_tabs, visit }
    }

    /// From the first request until they are inside or gone for good.
    async fn visit(mut self) -> Visit {
        let mut request = Request::Page;
        while Instant::now() < self.world.end {
            let answer = self.ask(request).await;
            if is_page(&answer) {
                self.visit.entered = true;
                self.world.entered.fetch_add(1, Ordering::Relaxed);
                self.look_around().await;
                break;
            }
            request = Request::Poll;
            let told = told_to_wait(&answer);
            if told.is_some() && !self.visit.shows {
                break;
            }
            self.visit.positions.extend(position(&answer));
            sleep(told.unwrap_or(AGAIN)).await;
        }
        self.visit
    }

    /// A pass is a pass: two more pages, at gateways of chance.
    async fn look_around(&mut self) {
        for _ in 0..2 {
            let think = self.random.random_range(0.5..4.0);
            sleep(Duration::from_secs_f64(think)).await;
            self.visit.thrown_out |= told_to_wait(&self.ask(Request::Page).await).is_some();
        }
    }

    /// Asks a gateway of chance, and who has two tabs another one at the same moment. A page in either is a page.
    async fn ask(&mut self, request: Request) -> Answer {
        let count = self.world.gateways.len();
        let gateway = self.random.random_range(0..count);
        // Without a cookie two tabs would be two people.
        if !self.two_tabs || request != Request::Poll || self.client.cookie(COOKIE).is_none() {
            let heard = self.world.exchange(&mut self.client, gateway, request).await;
            return self.hear(heard);
        }
        let mut other = self.client.tab();
        let (first, second) = tokio::join!(
            self.world.exchange(&mut self.client, gateway, request),
            self.world.exchange(&mut other, (gateway + 1) % count, request),
        );
        let (first, second) = (self.hear(first), self.hear(second));
        self.visit.both_in |= is_page(&first) && is_page(&second);
        if is_page(&second) {
            self.client = other;
            return second;
        }
        first
    }

    fn hear(&mut self, heard: Heard) -> Answer {
        self.visit.errors += usize::from(heard.answer.status >= 500);
        self.visit.unanswered += heard.unanswered;
        if let Some(token) = heard.token.filter(|token| self.visit.held.iter().all(|held| held.token != *token)) {
            self.visit.held.push(Held { token, gateway: heard.gateway });
        }
        heard.answer
    }
}

/// An answer, and how it came.
struct Heard {
    answer: Answer,
    /// What the cookie holds now.
    token: Option<Token>,
    gateway: usize,
    unanswered: usize,
}

impl World {
    /// Asks a gateway, and the next ones where there is none.
    async fn exchange(&self, client: &mut Client, mut gateway: usize, request: Request) -> Heard {
        let mut unanswered = 0;
        let mut answer = Answer::default();
        while Instant::now() < self.end {
            client.turn_to(self.gateways[gateway]);
            match client.send(request).await {
                Ok(heard) => {
                    answer = heard;
                    break;
                }
                Err(Lost::Refused) => sleep(Duration::from_millis(20)).await,
                Err(Lost::Broken | Lost::Late) => {
                    unanswered += 1;
                    sleep(AGAIN).await;
                }
            }
            gateway = (gateway + 1) % self.gateways.len();
        }
        // The next request goes elsewhere.
        client.pause(Duration::MAX);
        let open = |cookie: &str| self.sealer.open(RoomId::of("launch"), cookie.as_bytes()).unwrap();
        Heard { answer, token: client.cookie(COOKIE).map(open), gateway, unanswered }
    }
}

fn position(answer: &Answer) -> Option<u64> {
    let told: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    told["cfWaitingRoom"]["position"].as_u64()
}
