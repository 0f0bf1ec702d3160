//! Live rooms: a snapshot to read, a mailbox to write.
//!
//! The request path reads a room's [`Snapshot`] without a lock and without the store. What changes a
//! line goes into the mailbox; one task, the clerk, gathers it for a few milliseconds, makes one
//! store call of it (group commit) and hands out the answers. Nothing else calls the store. A room in which nothing happens is
//! left alone ([`policy::dormancy`]).
//!
//! A called shopper without a token, and an arrival whose turn comes within half a second, are held:
//! their request waits here and is named in every batch until it is granted or its time is up ([`policy::queue`]).
//!
//! Out of scope: the rules of a line (`policy::line`) and HTTP.

mod clerk;
mod desk;
mod late;
mod meters;
mod passes;
mod picture;
mod renewals;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use dashmap::DashMap;
use jiff::tz::TimeZone;
use policy::Millis;
use policy::line::{Arrival, Revoked, View};
use policy::pacer::PollTable;
use policy::queue;
use policy::room::Room;
use policy::seal::RoomId;
use policy::ticket::{Kind, Token};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::ui;
use crate::upstream::Upstream;

pub use clerk::run;
use late::LateForms;
pub use meters::RoomMeters;
pub use policy::queue::Admission;
use renewals::Renewals;

/// Requests that may wait for the clerk; past that, the store counts as away for them.
const MAILBOX: usize = 1 << 16;

/// Who waits for the first answer of the store looks this often.
const LOOK: Duration = Duration::from_millis(10);

/// A room in which nothing has happened for so long may be left out of metrics: it is in every scrape until then.
const IDLE: Millis = 600_000;
/// Parts of each map of a room: what is here for as many workers costs memory in every room.
const PARTS: usize = 8;

/// How a room is meant to work, as last configured.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomSettings {
    /// What operators and the shop call the room.
    pub name: Arc<str>,
    /// What `admit` asks.
    pub room: Room,
    /// Poll intervals before stretching.
    pub polls: PollTable,
    /// Polls per second of the whole line.
    pub poll_budget: f64,
    /// Where the times that are told are.
    pub zone: TimeZone,
    /// Which text its waiting page has.
    pub page: u32,
}

/// A room at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The line, as the store last said; `None` before its first answer.
    pub view: Option<View>,
    /// When that was heard.
    pub at: Instant,
    /// When it was asked for: the line was as it is shown then, or later.
    pub asked: Instant,
    /// Whether the store fails to answer.
    pub away: bool,
    /// Whether this gateway lives on its lease meanwhile: `view` is as it has moved the line on.
    pub on_lease: bool,
    /// Whether the shop rests, as this gateway sees it: it lets nobody in from the line.
    pub shop_rests: bool,
    /// The state in one word.
    pub state: ui::State,
    /// Answers for those who wait, as far as they are the same for everybody.
    pub answers: ui::Snapshot,
}

impl Snapshot {
    /// Store time at `instant`: that of the copy plus the monotonic time since.
    ///
    /// Before the first answer it is this machine's time: nothing is decided by it, but a place that is kept
    /// meanwhile must not look a lifetime old afterwards.
    pub fn store_time(&self, instant: Instant) -> Millis {
        let millis = |duration: Duration| duration.as_millis() as u64;
        let Some(view) = &self.view else {
            return UNIX_EPOCH.elapsed().map_or(0, millis);
        };
        view.now + millis(instant.saturating_duration_since(self.at))
    }

    /// Tickets handed out and not called.
    pub fn waiting(&self) -> u64 {
        self.view.as_ref().map_or(0, View::waiting)
    }
}

/// A room that shoppers may come to.
#[derive(Debug)]
pub struct LiveRoom {
    /// The name of its line, by which stores, tokens and pages know it. It is the room's own, or a former one.
    pub name: Arc<str>,
    /// Its id in tokens.
    pub id: RoomId,
    settings: ArcSwap<RoomSettings>,
    /// The upstream that answers the room's own host and path, as far as that is known.
    shop: ArcSwapOption<Upstream>,
    snapshot: ArcSwap<Snapshot>,
    revoked: DashMap<u64, Revoked>,
    /// Passes that came back, as the line was told, with their ends.
    confirmed: DashMap<u64, Millis>,
    /// Passes that the line was told of since the last loss, with their ends.
    reported: DashMap<u64, Millis>,
    revocations: AtomicUsize,
    renewals: Renewals,
    /// Numbers of expired passes that are used up, as the line said until then.
    spent: DashMap<u64, Millis>,
    late: LateForms,
    provisional: AtomicU64,
    /// Places taken and passes given through this gateway.
    served: [AtomicU64; 2],
    meters: RoomMeters,
    stretch: Arc<PollStretch>,
    mailbox: mpsc::Sender<(Arc<LiveRoom>, Op)>,
    /// Nothing happens in it, here or at another gateway; and when something last did, in store time.
    dormant: AtomicBool,
    stirred: AtomicU64,
}

/// What is asked of a room, and the way to its caller.
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

    /// What operators call the room now.
    pub fn title(&self) -> Arc<str> {
        self.settings.load().name.clone()
    }

    /// Says which upstream the room stands in front of.
    pub fn stand_before(&self, shop: Option<Arc<Upstream>>) {
        self.shop.store(shop);
    }

    /// Whether that can be reached by no server. Everyone enters a room that only counts.
    fn shop_rests(&self) -> bool {
        self.shop.load().as_ref().is_some_and(|shop| shop.rests()) && self.settings.load().room.rules.enforced
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

    /// Asks whether somebody may look who takes no number: [`Admission::Visit`] if so.
    pub async fn visit(self: &Arc<Self>) -> Admission {
        let (reply, answer) = oneshot::channel();
        self.ask(Op::Visit { reply }, answer).await.unwrap_or(Admission::Away)
    }

    /// Counts a place that was taken.
    fn counted(&self, admission: Admission) -> Admission {
        if let Admission::Pass { .. } | Admission::Ticket(_) = admission {
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

    /// `None`: the mailbox is full, or the clerk has ended.
    async fn send(self: &Arc<Self>, op: Op, answer: oneshot::Receiver<Admission>) -> Option<Admission> {
        self.mailbox.try_send((self.clone(), op)).ok()?;
        answer.await.ok()
    }

    /// Places taken and passes given through this gateway since the room is live.
    pub fn served(&self) -> [u64; 2] {
        self.served.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// What is counted of the room, whatever it is called.
    pub fn meters(&self) -> &RoomMeters {
        &self.meters
    }

    /// Passes that are remembered: renewed ones, expired ones whose number is used up, and those that came back.
    pub fn remembered(&self) -> [(&'static str, usize); 4] {
        [
            ("late", self.late.len()),
            ("renewed", self.renewals.len()),
            ("spent", self.spent.len()),
            ("confirmed", self.confirmed.len()),
        ]
    }

    /// Ends a pass, or gives up a place. Answers `false` if the store is too busy to hear it.
    pub fn release(self: &Arc<Self>, token: &Token) -> bool {
        self.late.close(token, self.settings.load().room.rules.form_grace);
        matches!(token.kind, Kind::Provisional | Kind::Arrival)
            || self.mailbox.try_send((self.clone(), Op::Release { token: *token })).is_ok()
    }

    /// Tells the line of a token that its copy `lacks`: the store may have lost what it is a proof of.
    pub fn report_evidence(self: &Arc<Self>, token: &Token) {
        if token.kind == Kind::Pass && self.reported.contains_key(&token.number) {
            return;
        }
        // A full mailbox drops it: the next request tells it again.
        let told = self.mailbox.try_send((self.clone(), Op::Shown { token: *token })).is_ok();
        if told && token.kind == Kind::Pass {
            self.reported.insert(token.number, token.expires);
        }
    }

    /// Lets a form through after the end of its pass, unless as many have gone through here as may.
    pub fn take_late_form(&self, pass: &Token) -> bool {
        self.late.take(pass, self.settings.load().room.rules.form_grace)
    }

    /// The next place in the order of arrival while the store is away.
    pub fn provisional(&self) -> u64 {
        self.provisional.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Asks for the number of a place that some gateway kept while the store was away; the next poll finds it.
    /// That gateway may be dead: whoever is shown the ticket has its run numbered up to there, in its order.
    pub fn adopt(self: &Arc<Self>, token: &Token) {
        if token.kind == Kind::Provisional && !self.snapshot().away {
            let op = Op::Adopt { run: token.run, last: token.number };
            // A full mailbox drops it: the next poll asks again.
            let _ = self.mailbox.try_send((self.clone(), op));
        }
    }

    /// Whether nothing happens in it, at any gateway, so that its line is left alone.
    pub fn is_dormant(&self) -> bool {
        self.dormant.load(Ordering::Relaxed) && !self.snapshot().away
    }

    /// Whether metrics may leave it out: it is open, and nothing has happened in it for ten minutes, if ever.
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

/// All rooms by the name of their line, and the way to the clerk.
#[derive(Debug)]
pub struct Rooms {
    live: ArcSwap<HashMap<Arc<str>, Arc<LiveRoom>>>,
    /// Every room that was ever live. One that comes back must go on counting where it was: its provisional
    /// tickets are known to the store by this process and their sequence.
    known: DashMap<Arc<str>, Arc<LiveRoom>>,
    mailbox: mpsc::Sender<(Arc<LiveRoom>, Op)>,
    /// This process, in provisional tickets.
    pub run: u32,
    stretch: Arc<PollStretch>,
}

/// The factor by which a gateway that has more to do than it can stretches the polls of all its lines, in percent.
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

/// Rooms without anybody in them, and the mailbox for [`run`].
pub fn rooms(run: u32) -> (Arc<Rooms>, Mailbox) {
    let (mailbox, mail) = mpsc::channel(MAILBOX);
    let rooms = Rooms { live: ArcSwap::default(), known: DashMap::new(), mailbox, run, stretch: Arc::default() };
    (Arc::new(rooms), Mailbox(mail))
}

/// What the clerk reads.
#[derive(Debug)]
pub struct Mailbox(mpsc::Receiver<(Arc<LiveRoom>, Op)>);

impl Rooms {
    /// Every live room.
    pub fn all(&self) -> Arc<HashMap<Arc<str>, Arc<LiveRoom>>> {
        self.live.load_full()
    }

    /// The one way to change rooms: these are the rooms now, each with its line. A room that stays, comes back or is
    /// called otherwise keeps it.
    pub fn apply(&self, settings: impl IntoIterator<Item = (String, RoomSettings)>) {
        let mut live = HashMap::new();
        for (line, settings) in settings {
            let known = self.known.get(&*line).map(|room| room.clone());
            let room = known.unwrap_or_else(|| Arc::new(self.begin(&line, settings.clone())));
            // The same settings stay the same: no line has to hear of them again.
            if **room.settings.load() != settings {
                room.settings.store(Arc::new(settings));
            }
            self.known.insert(room.name.clone(), room.clone());
            live.insert(room.name.clone(), room);
        }
        self.live.store(Arc::new(live));
    }

    /// Says by which factor a worker wants polls to be stretched. The largest counts, and fades by a hundredth each time
    /// that a smaller one is said.
    pub fn stretch_polls(&self, factor: f64) {
        let (known, wanted) = (&self.stretch.0, (factor * 100.0) as u32);
        let faded = known.load(Ordering::Relaxed).saturating_mul(99) / 100;
        known.store(wanted.max(faded).max(100), Ordering::Relaxed);
    }

    /// Waits until the store has said of every room where its line is. Answers whether it did, in that time.
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
            renewals: Renewals::default(),
            spent: DashMap::with_shard_amount(PARTS),
            late: LateForms::default(),
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
