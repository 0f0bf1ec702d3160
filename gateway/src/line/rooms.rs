//! Live rooms: a snapshot to read, a mailbox to write.
//!
//! The request path reads a room's [`Snapshot`] without a lock and without the store. Operations on a
//! line go into the mailbox; one task, the committer, gathers them for a few milliseconds, makes one
//! store call of them (group commit) and hands out the answers. Nothing else calls the store. An idle room is not
//! polled ([`policy::dormancy`]).
//!
//! A called shopper without a token, and an arrival whose turn comes within half a second, are held:
//! their request waits here, and every batch names it until it is granted or its time is up ([`policy::queue`]).
//!
//! Out of scope: the rules of a line (`policy::line`) and HTTP.

mod committer;
mod driver;
mod late;
mod meters;
mod passes;
mod picture;
mod renewals;
mod stages;
mod words;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use dashmap::DashMap;
use jiff::tz::TimeZone;
use policy::Millis;
use policy::action::State;
use policy::cap::Cap;
use policy::event::Timetable;
use policy::line::{Arrival, Revoked, View};
use policy::pacer::PollTable;
use policy::queue;
use policy::room::Room;
use policy::seal::RoomId;
use policy::stock::StockLevel;
use policy::ticket::{Kind, Token};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::settings::config::RouteClass;
use crate::telemetry::Seldom;
use crate::ui;
use crate::upstream::Upstream;

pub use committer::run;
use late::LateForms;
pub use meters::{RoomMeters, WordResult};
pub use policy::queue::Admission;
use renewals::Renewals;
use stages::Stages;
pub use stages::{StageCounts, StageFlow};
use words::PassedOn;

/// Requests that may wait for the committer; past that, the store counts as away for them.
const MAILBOX: usize = 1 << 16;

/// Poll interval of a caller that waits for the first answer of the store.
const LOOK: Duration = Duration::from_millis(10);

/// A room that was idle for this long may be left out of metrics: it is in every scrape until then.
const IDLE: Millis = 600_000;
/// Shards of each map of a room: a shard costs memory in every room.
const PARTS: usize = 8;

/// The configured settings of a room.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomSettings {
    /// The name of the room for operators and the shop.
    pub name: Arc<str>,
    /// The input of `admit`, outside events. Its rules have those of its events scheduled.
    pub room: Room,
    /// The room by time, if it has events.
    pub timetable: Option<Arc<Timetable>>,
    /// Poll intervals before stretching.
    pub polls: PollTable,
    /// Polls per second of the whole line.
    pub poll_budget: f64,
    /// The time zone of displayed times.
    pub zone: TimeZone,
    /// The id of the text of its waiting page, and of that of each event, in the order of the timetable.
    pub page: u32,
    /// See `page`.
    pub event_pages: Vec<u32>,
    /// What an arriving visitor gets.
    pub state: State,
    /// What operators tell those who wait.
    pub message: Option<Arc<ui::Message>>,
}

impl RoomSettings {
    /// The room at this instant, with the overrides of an event if one has begun.
    pub fn in_force(&self, snapshot: &Snapshot, instant: Instant) -> &Room {
        match self.timetable {
            // For a request with a pass that is all.
            None => &self.room,
            Some(_) => self.room_at(snapshot.view.as_ref(), snapshot.utc(instant), snapshot.away),
        }
    }

    /// The same, by the store's answer and what its time of day should be by now; `away`: it does not answer.
    fn room_at(&self, view: Option<&View>, utc: Option<Millis>, away: bool) -> &Room {
        let Some(timetable) = &self.timetable else { return &self.room };
        timetable.room(view.map(|view| view.utc), utc.unwrap_or(0), away)
    }

    /// The event that is in its pre-queue or runs: its index in the timetable.
    pub fn event_at(&self, utc: Option<Millis>) -> Option<usize> {
        self.timetable.as_ref()?.at(utc?).event
    }
}

/// A room at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The line in the store's last answer; `None` before the first.
    pub view: Option<View>,
    /// Arrival of that answer.
    pub at: Instant,
    /// When that was requested: the view is of that moment, or later.
    pub asked: Instant,
    /// Whether the store fails to answer.
    pub away: bool,
    /// Whether this gateway lives on its lease meanwhile: `view` is then the copy that it has moved on.
    pub on_lease: bool,
    /// Whether the shop rests, as seen from this gateway: the line admits no shopper.
    pub shop_rests: bool,
    /// The state in one word.
    pub state: ui::State,
    /// Answers for waiting shoppers, as far as they are the same for all.
    pub answers: ui::Snapshot,
}

impl Snapshot {
    /// Store time at `instant`: that of the copy plus the monotonic time since.
    ///
    /// Before the first answer it is this machine's time: no decision depends on it, but a place that is kept
    /// meanwhile must not look a lifetime old afterwards.
    pub fn store_time(&self, instant: Instant) -> Millis {
        let millis = |duration: Duration| duration.as_millis() as u64;
        let Some(view) = &self.view else {
            return UNIX_EPOCH.elapsed().map_or(0, millis);
        };
        view.now + millis(instant.saturating_duration_since(self.at))
    }

    /// The store's time of day at `instant`; `None` before the first answer: events go by no other clock.
    pub fn utc(&self, instant: Instant) -> Option<Millis> {
        let since = instant.saturating_duration_since(self.at);
        self.view.as_ref().map(|view| view.utc + since.as_millis() as u64)
    }

    /// Tickets handed out and not called.
    pub fn waiting(&self) -> u64 {
        self.view.as_ref().map_or(0, View::waiting)
    }
}

/// A room in service.
#[derive(Debug)]
pub struct LiveRoom {
    /// The name of its line, in stores, tokens and pages. It is the room's own, or a former one.
    pub name: Arc<str>,
    /// Its id in tokens.
    pub id: RoomId,
    settings: ArcSwap<RoomSettings>,
    /// The upstream for the room's own host and path, if known.
    shop: ArcSwapOption<Upstream>,
    snapshot: ArcSwap<Snapshot>,
    revoked: DashMap<u64, Revoked>,
    /// Passes that came back and were reported to the line, with their ends.
    confirmed: DashMap<u64, Millis>,
    /// Passes reported to the line since the last loss, with their ends.
    reported: DashMap<u64, Millis>,
    revocations: AtomicUsize,
    /// As in its settings: passes that were given before were ended by a stop.
    stopped_until: AtomicU64,
    renewals: Renewals,
    /// Used-up numbers of expired passes, and until when the line's answer holds.
    spent: DashMap<u64, Millis>,
    late: LateForms,
    stages: Stages,
    words: PassedOn,
    misheard: Seldom,
    provisional: AtomicU64,
    /// Places taken and passes given through this gateway.
    served: [AtomicU64; 2],
    meters: RoomMeters,
    stretch: Arc<PollStretch>,
    mailbox: mpsc::Sender<(Arc<LiveRoom>, Op)>,
    /// Whether it is idle at all gateways; and when it was last active, in store time.
    dormant: AtomicBool,
    stirred: AtomicU64,
}

/// An operation on a room, and the way back to its caller.
pub(crate) type Op = queue::Op<oneshot::Sender<Admission>>;

impl LiveRoom {
    /// The latest copy of the room.
    pub fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<RoomSettings> {
        self.settings.load_full()
    }

    /// The present name of the room for operators.
    pub fn title(&self) -> Arc<str> {
        self.settings.load().name.clone()
    }

    /// Sets the upstream that the room protects.
    pub fn stand_before(&self, shop: Option<Arc<Upstream>>) {
        self.shop.store(shop);
    }

    /// The upstream that the room protects, if known.
    pub fn shop(&self) -> Option<Arc<Upstream>> {
        self.shop.load_full()
    }

    /// Whether no server of that can be reached. A room that only counts admits every shopper.
    fn shop_rests(&self) -> bool {
        self.shop.load().as_ref().is_some_and(|shop| shop.rests())
            && self.settings.load().in_force(&self.snapshot.load(), Instant::now()).rules.enforced
    }

    /// Takes a number, and claims it if it is called at once or very soon.
    pub async fn join(self: &Arc<Self>, if_called: bool) -> Admission {
        let (reply, answer) = oneshot::channel();
        let admission = self.ask(Op::Join { if_called, reply }, answer).await;
        self.counted(admission.unwrap_or(Admission::unanswered(if_called)))
    }

    /// Trades an arrival for its number, and claims that if it is called at once or very soon.
    pub async fn arrive(self: &Arc<Self>, arrival: Arrival) -> Admission {
        let unanswered = Admission::unanswered(arrival.if_called);
        if self.snapshot().away {
            return unanswered;
        }
        let (reply, answer) = oneshot::channel();
        let admission = self.ask(Op::Arrive { arrival, reply }, answer).await;
        self.counted(admission.unwrap_or(unanswered))
    }

    /// Asks for a visit, without a number: [`Admission::Visit`] if it may.
    pub async fn visit(self: &Arc<Self>) -> Admission {
        let (reply, answer) = oneshot::channel();
        self.ask(Op::Visit { reply }, answer).await.unwrap_or(Admission::Away)
    }

    /// Counts a taken place.
    fn counted(&self, admission: Admission) -> Admission {
        if let Admission::Pass { .. } | Admission::Ticket(_) | Admission::InRound { .. } = admission {
            self.served[0].fetch_add(1, Ordering::Relaxed);
        }
        admission
    }

    /// Trades a called ticket for a pass.
    pub async fn claim(self: &Arc<Self>, number: u64) -> Admission {
        let (reply, answer) = oneshot::channel();
        self.ask(Op::Claim { number, reply }, answer).await.unwrap_or(Admission::Away)
    }

    async fn ask(self: &Arc<Self>, op: Op, answer: oneshot::Receiver<Admission>) -> Option<Admission> {
        let admission = self.send(op, answer).await;
        if let Some(Admission::Pass { .. }) = admission {
            self.served[1].fetch_add(1, Ordering::Relaxed);
        }
        admission
    }

    /// `None`: the mailbox is full, or the committer has ended.
    async fn send(self: &Arc<Self>, op: Op, answer: oneshot::Receiver<Admission>) -> Option<Admission> {
        self.mailbox.try_send((self.clone(), op)).ok()?;
        answer.await.ok()
    }

    /// Places taken and passes given through this gateway since the room is live.
    pub fn served(&self) -> [u64; 2] {
        self.served.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// The counters of the room, whatever its name.
    pub fn meters(&self) -> &RoomMeters {
        &self.meters
    }

    /// Passes in memory: renewed ones, expired ones whose number is used up, and those that came back.
    pub fn remembered(&self) -> [(&'static str, usize); 4] {
        [
            ("late", self.late.len()),
            ("renewed", self.renewals.len()),
            ("spent", self.spent.len()),
            ("confirmed", self.confirmed.len()),
        ]
    }

    /// Ends a pass, or gives up a place. Returns `false` if the store is too busy to take it.
    pub fn release(self: &Arc<Self>, token: &Token) -> bool {
        self.late.close(token, self.settings.load().room.rules.form_grace);
        matches!(token.kind, Kind::Provisional | Kind::Arrival)
            || self.mailbox.try_send((self.clone(), Op::Release { token: *token })).is_ok()
    }

    /// Reports a token that the line's copy `lacks`: the store may have lost the fact that it proves.
    pub fn report_evidence(self: &Arc<Self>, token: &Token) {
        if token.kind == Kind::Pass && self.reported.contains_key(&token.number) {
            return;
        }
        // A full mailbox drops it: the next request reports it again.
        let told = self.mailbox.try_send((self.clone(), Op::Shown { token: *token })).is_ok();
        if told && token.kind == Kind::Pass {
            self.reported.insert(token.number, token.expires);
        }
    }

    /// Passes a cap on to the line, unless it only repeats itself. A full mailbox drops it: the shop says it again.
    pub fn cap(self: &Arc<Self>, cap: Cap) {
        if self.words.is_new_cap(cap, self.snapshot().store_time(Instant::now())) {
            self.set_cap(cap);
        }
    }

    /// Passes a cap on to the line. Returns `false` if the store is too busy to take it.
    pub fn set_cap(self: &Arc<Self>, cap: Cap) -> bool {
        self.mailbox.try_send((self.clone(), Op::Cap { cap })).is_ok()
    }

    /// Passes the stock of a product on to the line, unless it only repeats itself. A full mailbox drops it: the shop says it again.
    pub fn stock(self: &Arc<Self>, level: StockLevel) {
        if self.words.is_new_stock(level, self.snapshot().store_time(Instant::now())) {
            self.set_stock(level);
        }
    }

    /// Passes the stock of a product on to the line. Returns `false` if the store is too busy to take it.
    pub fn set_stock(self: &Arc<Self>, level: StockLevel) -> bool {
        self.mailbox.try_send((self.clone(), Op::Stock { level })).is_ok()
    }

    /// What its passes did at gates of this class.
    pub fn stage(&self, class: RouteClass) -> &StageFlow {
        self.stages.of(class)
    }

    /// Whether to log now that a word of the shop was ignored.
    pub(crate) fn tells_of_words(&self) -> bool {
        self.misheard.is_due(Duration::from_millis(self.snapshot().store_time(Instant::now())))
    }

    /// Lets a form through after the end of its pass, up to the bound here.
    pub fn take_late_form(&self, pass: &Token) -> bool {
        self.late.take(pass, self.settings.load().room.rules.form_grace)
    }

    /// The next place in the order of arrival while the store is away.
    pub fn provisional(&self) -> u64 {
        self.provisional.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Asks for the number of a place that some gateway kept while the store was away; the next poll finds it.
    /// That gateway may be dead: the gateway that gets the ticket has its incarnation numbered up to there, in its order.
    pub fn adopt(self: &Arc<Self>, token: &Token) {
        let snapshot = self.snapshot();
        let gathers = snapshot.view.as_ref().is_some_and(|view| view.round.gathers(token.incarnation));
        if token.kind == Kind::Provisional && !snapshot.away && !gathers {
            let op = Op::Adopt { incarnation: token.incarnation, last: token.number };
            // A full mailbox drops it: the next poll asks again.
            let _ = self.mailbox.try_send((self.clone(), op));
        }
    }

    /// Whether it is idle at all gateways, so that its line is not polled.
    pub fn is_dormant(&self) -> bool {
        self.dormant.load(Ordering::Relaxed) && !self.snapshot().away
    }

    /// Whether metrics may leave it out: it is open, and has been idle for ten minutes, or always.
    pub fn is_idle(&self) -> bool {
        let (snapshot, stirred) = (self.snapshot(), self.stirred.load(Ordering::Relaxed));
        let usual = snapshot.state == ui::State::NotQueueing && !snapshot.away;
        usual && self.is_dormant() && (stirred == 0 || snapshot.store_time(Instant::now()) > stirred + IDLE)
    }

    /// Places kept so far while the store was away.
    pub fn places_kept(&self) -> u64 {
        self.provisional.load(Ordering::Relaxed)
    }

    fn revoke(&self, revoked: Revoked) {
        let known = self.revoked.get(&revoked.number).is_some_and(|known| !known.evicted);
        if !known {
            self.revoked.insert(revoked.number, revoked);
        }
        self.revocations.store(self.revoked.len(), Ordering::Relaxed);
    }

    fn forget_revoked(&self, now: Millis) {
        let grace = self.settings.load().room.rules.form_grace;
        self.revoked.retain(|_, revoked| revoked.expires.saturating_add(grace) > now);
        self.late.tidy(now);
        self.confirmed.retain(|_, &mut until| until > now);
        self.revocations.store(self.revoked.len(), Ordering::Relaxed);
        self.reported.retain(|_, &mut until| until > now);
        self.renewals.tidy(now);
        self.spent.retain(|_, &mut until| until > now);
    }
}

/// All rooms by the name of their line, and the way to the committer.
#[derive(Debug)]
pub struct Rooms {
    live: ArcSwap<HashMap<Arc<str>, Arc<LiveRoom>>>,
    /// Every room that was ever live. One that comes back must go on counting where it was: the store knows its provisional
    /// tickets by this process and their sequence.
    known: DashMap<Arc<str>, Arc<LiveRoom>>,
    mailbox: mpsc::Sender<(Arc<LiveRoom>, Op)>,
    /// This process, in provisional tickets.
    pub incarnation: u32,
    stretch: Arc<PollStretch>,
}

/// The factor by which an overloaded gateway stretches the polls of all its lines, in percent.
#[derive(Debug)]
pub struct PollStretch(AtomicU32);

impl Default for PollStretch {
    fn default() -> Self {
        Self(AtomicU32::new(100))
    }
}

impl PollStretch {
    fn factor(&self) -> f64 {
        f64::from(self.0.load(Ordering::Relaxed)) / 100.0
    }
}

/// Rooms without visitors, and the mailbox for [`run`].
pub fn rooms(incarnation: u32) -> (Arc<Rooms>, Mailbox) {
    let (mailbox, mail) = mpsc::channel(MAILBOX);
    let rooms =
        Rooms { live: ArcSwap::default(), known: DashMap::new(), mailbox, incarnation, stretch: Arc::default() };
    (Arc::new(rooms), Mailbox(mail))
}

/// The receiving end for the committer.
#[derive(Debug)]
pub struct Mailbox(mpsc::Receiver<(Arc<LiveRoom>, Op)>);

impl Rooms {
    /// Every live room.
    pub fn all(&self) -> Arc<HashMap<Arc<str>, Arc<LiveRoom>>> {
        self.live.load_full()
    }

    /// The only way to change rooms: these are the rooms now, each with its line. A room that stays, comes back or gets
    /// another name keeps it.
    pub fn apply(&self, settings: impl IntoIterator<Item = (String, RoomSettings)>) {
        let mut live = HashMap::new();
        for (line, settings) in settings {
            let known = self.known.get(&*line).map(|room| room.clone());
            let room = known.unwrap_or_else(|| Arc::new(self.begin(&line, settings.clone())));
            room.stopped_until.store(settings.room.stopped_until, Ordering::Relaxed);
            // Equal settings are not replaced: no line has to take them in again.
            if **room.settings.load() != settings {
                room.settings.store(Arc::new(settings));
            }
            self.known.insert(room.name.clone(), room.clone());
            live.insert(room.name.clone(), room);
        }
        self.live.store(Arc::new(live));
    }

    /// The time of day of the store as far as any room knows it: the copy that came last tells it best.
    pub fn utc(&self) -> Millis {
        let (all, now) = (self.all(), Instant::now());
        let snapshots = all.values().map(|room| room.snapshot.load_full()).filter(|snapshot| snapshot.view.is_some());
        let latest = snapshots.max_by_key(|snapshot| snapshot.at);
        latest.map_or_else(
            || UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64),
            |known| known.utc(now).unwrap_or_default(),
        )
    }

    /// Reports the factor by which a worker wants polls to be stretched. The largest counts, and fades by a hundredth with
    /// each smaller one.
    pub fn stretch_polls(&self, factor: f64) {
        let (known, wanted) = (&self.stretch.0, (factor * 100.0) as u32);
        let faded = known.load(Ordering::Relaxed).saturating_mul(99) / 100;
        known.store(wanted.max(faded).max(100), Ordering::Relaxed);
    }

    /// Waits until the store has returned the line of every room. Returns whether it did, in that time.
    pub async fn first_answers(&self, limit: Duration) -> bool {
        let all = async {
            while self.all().values().any(|room| room.snapshot().view.is_none()) {
                sleep(LOOK).await;
            }
        };
        timeout(limit, all).await.is_ok()
    }

    fn begin(&self, name: &str, settings: RoomSettings) -> LiveRoom {
        LiveRoom {
            name: name.into(),
            id: RoomId::of(name),
            snapshot: ArcSwap::from_pointee(picture::unseen(name, &settings)),
            settings: ArcSwap::from_pointee(settings),
            shop: ArcSwapOption::empty(),
            revoked: DashMap::with_shard_amount(PARTS),
            confirmed: DashMap::with_shard_amount(PARTS),
            reported: DashMap::with_shard_amount(PARTS),
            revocations: AtomicUsize::new(0),
            stopped_until: AtomicU64::new(0),
            renewals: Renewals::default(),
            spent: DashMap::with_shard_amount(PARTS),
            late: LateForms::default(),
            stages: Stages::default(),
            words: PassedOn::default(),
            misheard: Seldom::default(),
            provisional: AtomicU64::new(0),
            served: Default::default(),
            meters: RoomMeters::of(name),
            stretch: self.stretch.clone(),
            mailbox: self.mailbox.clone(),
            dormant: AtomicBool::new(false),
            stirred: AtomicU64::new(0),
        }
    }
}

#[cfg(test)]
mod tests;
