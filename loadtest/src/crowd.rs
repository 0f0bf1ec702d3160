//! The crowd: sends every shopper at its planned instant, whatever the answers are like.
//!
//! An act ends in two steps. At `closing` nobody outside asks any more (they are counted where they
//! stand); those inside have `grace` to finish. Every shopper ends in exactly one way ([`Counts`]).
//!
//! Latency counts from the instant that a request was due, never from when this program woke up;
//! how late it woke up is measured too ([`Tally::lag`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::arrivals::Arrivals;
use crate::client::{self, Client};
use crate::evidence::{Evidence, Progress};
use crate::scenario::Scenario;
use crate::shopper::{Answer, End, Habits, Next, Place, Shopper, is_page};
use crate::stats::{Latency, Quantiles};
use crate::wire::Target;

/// Everything that is sent.
#[derive(Debug, Clone)]
pub struct Sending {
    /// Who comes, and what they are like.
    pub scenario: Arc<Scenario>,
    /// When they come: all of them, whichever part is sent from here.
    pub arrivals: Arrivals,
    /// Where they go. With several, each request goes to one of chance, as by a load balancer that knows nobody.
    pub targets: Vec<Target>,
    /// Which part of the crowd is sent from here.
    pub part: Part,
    /// The instant from which everything counts. It may lie ahead.
    pub start: Instant,
}

/// A part of a crowd: everybody whose place in the order of arrivals is `index` modulo `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which part, from 0.
    pub index: u32,
    /// Of how many.
    pub of: u32,
}

impl Part {
    /// Everybody.
    pub const ALL: Self = Self { index: 0, of: 1 };
}

/// Looks at a crowd while it is sent. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<std::sync::Mutex<Progress>>);

impl Watch {
    /// How far it has come.
    pub fn progress(&self) -> Progress {
        *crate::stats::locked(&self.0)
    }
}

/// Sends a crowd, or a part of it, and returns what it saw when every visit has ended, at the latest when the grace
/// after closing time is over. `stop` ends it at once.
pub async fn send(sending: Sending, watch: Watch, stop: CancellationToken) -> Evidence {
    let _ = (sending, watch);
    stop.cancelled().await;
    Evidence::default()
}

/// Everything that makes a crowd.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where it goes.
    pub target: client::Target,
    /// When its people arrive.
    pub arrivals: Arrivals,
    /// What they are like.
    pub habits: Habits,
    /// Who they are: the same seed, the same people.
    pub seed: u64,
    /// How long somebody waits for a page.
    pub patience: Duration,
    /// When the line is left alone, counted from the start.
    pub closing: Duration,
    /// How long those inside may then take to finish.
    pub grace: Duration,
}

/// What became of a shopper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Left(End),
    /// Still outside at closing time.
    Outside,
    /// Still inside when the grace was over.
    Unfinished,
}

/// What the crowd counts, live. Readable from any thread.
#[derive(Debug, Default)]
pub struct Tally {
    /// Shoppers who came.
    pub arrived: AtomicU64,
    /// Shoppers who got the product page.
    pub admitted: AtomicU64,
    /// Shoppers in the line now.
    pub waiting: AtomicU64,
    /// Shoppers inside now.
    pub inside: AtomicU64,
    /// Ends of visits: a paid order.
    pub bought: AtomicU64,
    /// Ends of visits: let in, but no order came of it.
    pub order_failed: AtomicU64,
    /// Ends of visits: never saw the product page.
    pub turned_away: AtomicU64,
    /// Ends of visits: saw the line and left.
    pub no_shows: AtomicU64,
    /// Ends of visits: outside at closing time.
    pub outside: AtomicU64,
    /// Ends of visits: inside when time was up.
    pub unfinished: AtomicU64,
    /// Requests of shoppers at the door or in the line that failed.
    pub pages_failed_outside: AtomicU64,
    /// Requests of shoppers inside that failed.
    pub pages_failed_inside: AtomicU64,
    /// Answers 5xx, or none, to shoppers who already stood in the line.
    pub failed_while_waiting: AtomicU64,
    /// Questions from the line.
    pub polls: AtomicU64,
    /// From due to read, of every page that came to somebody inside. (The product page is not one of
    /// them: behind a waiting room its latency is the end of the wait.)
    pub page: Latency,
    /// How late arrivals were sent.
    pub lag: Latency,
}

/// What the crowd counted. Every shopper who arrived is in exactly one of `bought`, `order_failed`,
/// `turned_away`, `no_shows`, `outside`, `unfinished`, once the act is over.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of `Tally`, where they are described")]
pub struct Counts {
    pub arrived: u64,
    pub admitted: u64,
    pub waiting: u64,
    pub inside: u64,
    pub bought: u64,
    pub order_failed: u64,
    pub turned_away: u64,
    pub no_shows: u64,
    pub outside: u64,
    pub unfinished: u64,
    pub pages_failed_outside: u64,
    pub pages_failed_inside: u64,
    pub failed_while_waiting: u64,
    pub polls: u64,
    pub page: Quantiles,
    pub lag: Quantiles,
}

impl Tally {
    /// The state of all counters.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Counts {
            arrived: read(&self.arrived),
            admitted: read(&self.admitted),
            waiting: read(&self.waiting),
            inside: read(&self.inside),
            bought: read(&self.bought),
            order_failed: read(&self.order_failed),
            turned_away: read(&self.turned_away),
            no_shows: read(&self.no_shows),
            outside: read(&self.outside),
            unfinished: read(&self.unfinished),
            pages_failed_outside: read(&self.pages_failed_outside),
            pages_failed_inside: read(&self.pages_failed_inside),
            failed_while_waiting: read(&self.failed_while_waiting),
            polls: read(&self.polls),
            page: self.page.total(),
            lag: self.lag.total(),
        }
    }

    fn answered(&self, before: Place, answer: Option<&Answer>, shopper: &Shopper, latency: Duration) {
        let was_inside = matches!(before, Place::Inside | Place::Paying(_));
        match answer {
            Some(answer) if is_page(answer) && was_inside => self.page.record(latency),
            Some(answer) if !was_inside && answer.status < 500 => {}
            _ if was_inside => count(&self.pages_failed_inside),
            _ => {
                count(&self.pages_failed_outside);
                if before == Place::Line {
                    count(&self.failed_while_waiting);
                }
            }
        }
        if shopper.is_inside() && !was_inside {
            count(&self.admitted);
        }
    }

    /// Keeps the gauges: a shopper went from one place to another, or away.
    fn moved(&self, from: Option<Place>, to: Option<Place>) {
        if let Some(gauge) = from.and_then(|place| self.gauge(place)) {
            gauge.fetch_sub(1, Relaxed);
        }
        if let Some(gauge) = to.and_then(|place| self.gauge(place)) {
            gauge.fetch_add(1, Relaxed);
        }
    }

    fn gauge(&self, place: Place) -> Option<&AtomicU64> {
        match place {
            Place::Door => None,
            Place::Line => Some(&self.waiting),
            Place::Inside | Place::Paying(_) => Some(&self.inside),
        }
    }

    fn end(&self, ending: Ending) {
        count(match ending {
            Ending::Left(End::Bought) => &self.bought,
            Ending::Left(End::OrderFailed) => &self.order_failed,
            Ending::Left(End::TurnedAway) => &self.turned_away,
            Ending::Left(End::NoShow) => &self.no_shows,
            Ending::Outside => &self.outside,
            Ending::Unfinished => &self.unfinished,
        });
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Sends the crowd and returns when every visit has ended. `stop` ends it at once.
pub async fn run(plan: Plan, tally: Arc<Tally>, stop: CancellationToken) {
    let start = Instant::now();
    let act = Act { closing: CancellationToken::new(), over: stop.child_token(), tally };
    let clock = tokio::spawn(act.clone().watch_the_clock(start + plan.closing, plan.grace));
    let tracker = TaskTracker::new();
    for (index, at) in (0..).zip(plan.arrivals.clone()) {
        if act.over.run_until_cancelled(sleep_until(start + at)).await.is_none() || at >= plan.closing {
            break;
        }
        let client = Client::new(plan.target.clone(), index, plan.patience);
        let shopper = Shopper::new(plan.habits.clone(), plan.seed, index);
        count(&act.tally.arrived);
        act.tally.lag.record(start.elapsed().saturating_sub(at));
        tracker.spawn(act.clone().visit(shopper, client, start + at));
    }
    tracker.close();
    tracker.wait().await;
    clock.abort();
}

#[derive(Clone)]
struct Act {
    closing: CancellationToken,
    over: CancellationToken,
    tally: Arc<Tally>,
}

impl Act {
    async fn watch_the_clock(self, closing: Instant, grace: Duration) {
        sleep_until(closing).await;
        self.closing.cancel();
        sleep_until(closing + grace).await;
        self.over.cancel();
    }

    /// One visit, from arrival to its end.
    async fn visit(self, mut shopper: Shopper, mut client: Client, arrival: Instant) {
        let ending = self.over.run_until_cancelled(self.walk(&mut shopper, &mut client, arrival)).await;
        self.tally.moved(Some(shopper.place()), None);
        let cut = if shopper.is_inside() { Ending::Unfinished } else { Ending::Outside };
        self.tally.end(ending.unwrap_or(cut));
    }

    async fn walk(&self, shopper: &mut Shopper, client: &mut Client, arrival: Instant) -> Ending {
        let (mut request, mut due) = (shopper.first(), arrival);
        loop {
            if !self.is_time(due, shopper).await {
                return Ending::Outside;
            }
            let before = shopper.place();
            self.tally.polls.fetch_add(u64::from(before == Place::Line), Relaxed);
            let answer = client.send(request).await.ok();
            let next = shopper.hear(answer.as_ref());
            self.tally.answered(before, answer.as_ref(), shopper, due.elapsed());
            self.tally.moved(Some(before), Some(shopper.place()));
            match next {
                Next::Leave(end) => return Ending::Left(end),
                Next::Ask(next, pause) => {
                    client.pause(pause);
                    (request, due) = (next, Instant::now() + pause);
                }
            }
        }
    }

    /// Waits until `due`; `false` if closing time came first for somebody outside.
    async fn is_time(&self, due: Instant, shopper: &Shopper) -> bool {
        if shopper.is_inside() {
            sleep_until(due).await;
            return true;
        }
        self.closing.run_until_cancelled(sleep_until(due)).await.is_some()
    }
}
