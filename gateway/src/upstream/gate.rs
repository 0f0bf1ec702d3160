//! The gate of a route with a class: its requests at the shop at once, and the short line before it.
//!
//! A request of the route enters here before it asks for the permits of its room and of the upstream, and leaves with the
//! last byte of its answer. Over the limit it is held for a moment, in order of the age of its pass (`policy::gate`); after
//! that the caller is told its place, and asks for its turn by polls that are held as well. Shared by all workers and
//! kept over reloads; local to this gateway, as `max_in_flight` of an upstream is.
//!
//! Out of scope: what a caller is told ([`crate::request::reply`]), and the order at the permits (`permit`).

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, Request};
use policy::Millis;
use policy::gate::{self, Caller, Departure, Form, Holder, Keys};
use tokio::sync::oneshot;

use super::{Upload, UpstreamError};
use crate::client::timer;
use crate::settings::config::RouteClass;

/// The key of a form, by which a shop knows it again (draft-ietf-httpapi-idempotency-key-header).
static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How long a poll is held for its turn.
const POLL: Duration = Duration::from_secs(4);
/// Polls of so many places from the front are held. Those behind ask again after [`LATER`].
const HELD_POLLS: usize = 2_000;
/// When to ask again: near the front...
const SOON: Duration = Duration::from_secs(1);
/// ...and behind.
const LATER: Duration = Duration::from_secs(5);

/// The settings of a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateSettings {
    /// The name of its route.
    pub route: String,
    /// The class of its requests.
    pub class: RouteClass,
    /// Requests at once; `None`: the upstream's limit alone counts.
    pub max_in_flight: Option<usize>,
    /// How long a request is held; by default the upstream's `max_wait`.
    pub max_wait: Option<Duration>,
}

/// The gate of one route.
#[derive(Debug)]
pub struct RouteGate {
    settings: GateSettings,
    state: Arc<State>,
}

/// What came of requests and forms so far. Each only grows.
#[derive(Debug, Default)]
pub struct GateCounters {
    /// Requests that went on to the shop.
    pub passed: AtomicU64,
    /// Requests with a pass that were told their place instead.
    pub held: AtomicU64,
    /// Requests without one that were turned away.
    pub busy: AtomicU64,
    /// Forms that may have reached the shop, and got no answer.
    pub in_doubt: AtomicU64,
}

/// The present state of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateGauges {
    /// Requests in work.
    pub in_flight: usize,
    /// Places in its line.
    pub waiting: usize,
    /// Of these, those whose holders are here, or were just now.
    pub standing: usize,
    /// Places so far that ended because nobody asked for them.
    pub given_up: u64,
    /// Invitations so far that were not used.
    pub missed: u64,
}

/// A request at a gate.
#[derive(Debug, Clone, Copy)]
pub struct AtGate<'a> {
    /// The gate.
    pub gate: &'a RouteGate,
    /// Whose request it is.
    pub comer: Comer,
}

/// Who comes to a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comer {
    /// The holder of a pass.
    Holder(Holder),
    /// The holder of a pass who was just invited, by this gateway or another one.
    Invited(Holder),
    /// A shopper who returns from a payment, with a pass or without: counts, and never waits.
    Return(Option<Holder>),
    /// Anybody else.
    Other,
}

impl Comer {
    fn holder(self) -> Option<Holder> {
        match self {
            Self::Holder(holder) | Self::Invited(holder) => Some(holder),
            Self::Return(holder) => holder,
            Self::Other => None,
        }
    }
}

/// The answer to a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The turn has come: the form finds a slot, if it comes within a few seconds.
    pub go: bool,
    /// Places of earlier passes.
    pub ahead: usize,
    /// When to ask again; at once where this poll was held.
    pub poll_after: Duration,
}

impl Turn {
    /// Go on, whatever stands there.
    pub const GO: Self = Self { go: true, ahead: 0, poll_after: Duration::ZERO };
}

#[derive(Debug)]
struct State {
    line: Mutex<Line>,
    counters: GateCounters,
    /// Where its clock begins.
    origin: Instant,
}

/// The line, and how those in it are woken.
#[derive(Debug, Default)]
struct Line {
    gate: gate::Gate,
    /// Open requests and polls of passes.
    callers: HashMap<Holder, Vec<oneshot::Sender<()>>>,
    /// Requests without a pass, in order of arrival. All wait equally long.
    others: VecDeque<oneshot::Sender<Passage>>,
    keys: Keys,
}

/// The right to one request of the route in work; given back when dropped.
#[derive(Debug)]
pub(super) struct Passage {
    state: Arc<State>,
    holder: Option<Holder>,
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.state.line().gate.leave(self.holder);
        self.state.hand_out();
    }
}

/// A form on its way, with the key that it was sent with.
#[derive(Debug)]
pub(super) struct Sent<'a> {
    state: &'a State,
    holder: Holder,
    form: Form,
}

impl Sent<'_> {
    /// The shop has answered it.
    pub(super) fn answered(&self) {
        self.state.line().keys.answered(self.holder, self.form);
    }
}

impl RouteGate {
    /// A gate with these settings, and the requests and places of the one that it replaces.
    pub fn new(settings: GateSettings, replaced: Option<&Self>) -> Self {
        let new = || {
            let (line, counters) = Default::default();
            Arc::new(State { line, counters, origin: Instant::now() })
        };
        let state = replaced.map_or_else(new, |old| old.state.clone());
        state.line().gate.set_limit(settings.max_in_flight.unwrap_or(usize::MAX));
        state.hand_out();
        Self { settings, state }
    }

    /// What it was made of.
    pub fn settings(&self) -> &GateSettings {
        &self.settings
    }

    /// What happened so far.
    pub fn counters(&self) -> &GateCounters {
        &self.state.counters
    }

    /// How it stands.
    pub fn gauges(&self) -> GateGauges {
        // Ends what has run out, which else the next request does.
        self.state.hand_out();
        let gate = &self.state.line().gate;
        GateGauges {
            in_flight: gate.in_flight(),
            waiting: gate.waiting(),
            standing: gate.standing(),
            given_up: gate.given_up(),
            missed: gate.missed(),
        }
    }

    /// Asks for the turn of this pass; waits for it for a few seconds, unless many stand before it.
    pub async fn ask(&self, holder: Holder) -> Turn {
        let mut here = self.state.arrive(holder, Caller::Poll);
        let near = here.ahead() < HELD_POLLS;
        if near {
            drop(timer::timeout(POLL, here.called()).await);
        }
        let go = self.state.line().gate.is_invited(holder);
        if go {
            here.leaves = Departure::Told;
        }
        Turn { go, ahead: here.ahead(), poll_after: if near { Duration::ZERO } else { LATER } }
    }

    async fn enter(&self, comer: Comer, max_wait: Duration) -> Result<Passage, UpstreamError> {
        let state = &self.state;
        if let Comer::Invited(holder) = comer {
            state.line().gate.welcome(holder, state.now());
        }
        // A form that was invited finds a slot soon.
        let invited = comer.holder().is_some_and(|holder| state.line().gate.is_invited(holder));
        let max_wait = if invited { max_wait.max(Duration::from_millis(gate::INVITED)) } else { max_wait };
        let passage = match comer {
            Comer::Return(holder) => Some(state.enter_beyond(holder)),
            Comer::Holder(holder) | Comer::Invited(holder) => match state.try_enter(holder) {
                Some(passage) => Some(passage),
                None => timer::timeout(max_wait, state.enter_in_turn(holder)).await.ok(),
            },
            Comer::Other => timer::timeout(max_wait, state.enter_behind()).await.ok().flatten(),
        };
        let counters = &state.counters;
        let (counter, result) = match (passage, comer.holder()) {
            (Some(passage), _) => (&counters.passed, Ok(passage)),
            (None, Some(holder)) => {
                let ahead = state.line().gate.ahead(holder);
                let retry_after = if ahead < HELD_POLLS { SOON } else { LATER };
                (&counters.held, Err(UpstreamError::Held { ahead, retry_after }))
            }
            (None, None) => (&counters.busy, Err(UpstreamError::RouteBusy { retry_after: max_wait.max(SOON) })),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        result
    }
}

impl AtGate<'_> {
    /// Waits for a slot, `max_wait` long unless the route says otherwise.
    pub(super) async fn enter(self, max_wait: Duration) -> Result<Passage, UpstreamError> {
        self.gate.enter(self.comer, self.gate.settings.max_wait.unwrap_or(max_wait)).await
    }
}

impl<'a> AtGate<'a> {
    /// Gives a form without a key of its own one, the same as long as the shop has not answered it. Only where its body is
    /// here as a whole can it be known again; else it is new each time.
    pub(super) fn mark(self, request: &mut Request<Upload>) -> Option<Box<Sent<'a>>> {
        let holder = self.comer.holder()?;
        let sends = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
        if !sends || request.headers().contains_key(&IDEMPOTENCY_KEY) {
            return None;
        }
        let state = &*self.gate.state;
        let form = form_of(request);
        let fresh = fresh()?;
        let key = form.map_or(fresh, |form| state.line().keys.of(holder, form, state.now(), fresh));
        request.headers_mut().insert(&IDEMPOTENCY_KEY, written(key)?);
        form.map(|form| Box::new(Sent { state, holder, form }))
    }
}

/// What a form is known by: method, address, kind and body.
fn form_of(request: &Request<Upload>) -> Option<Form> {
    let body = request.body().whole()?;
    let kind = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let mut all = Context::new(&SHA256);
    for part in [request.method().as_str().as_bytes(), target.as_bytes(), kind, body] {
        all.update(&part.len().to_be_bytes());
        all.update(part);
    }
    all.finish().as_ref().try_into().ok()
}

/// A key that nobody guesses; `None` if the system has no randomness.
fn fresh() -> Option<u128> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(u128::from_be_bytes(bytes))
}

/// As a UUID of version 4 (RFC 9562), in the quotes of a string of RFC 9651.
fn written(key: u128) -> Option<HeaderValue> {
    let version = (key & !(0xf << 76)) | (0x4 << 76);
    let key = (version & !(0x3 << 62)) | (0x2 << 62);
    let hex = format!("{key:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &hex[part]);
    HeaderValue::try_from(format!("\"{}\"", parts.join("-"))).ok()
}

impl State {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Millis {
        self.origin.elapsed().as_millis() as Millis
    }

    fn try_enter(self: &Arc<Self>, holder: Holder) -> Option<Passage> {
        let entered = self.line().gate.enter(holder, self.now());
        entered.then(|| Passage { state: self.clone(), holder: Some(holder) })
    }

    fn enter_beyond(self: &Arc<Self>, holder: Option<Holder>) -> Passage {
        self.line().gate.enter_beyond(holder);
        Passage { state: self.clone(), holder }
    }

    async fn enter_in_turn(self: &Arc<Self>, holder: Holder) -> Passage {
        let mut here = self.arrive(holder, Caller::Form);
        loop {
            if let Some(passage) = self.try_enter(holder) {
                here.leaves = Departure::Entered;
                return passage;
            }
            here.called().await;
        }
    }

    /// A slot that passes leave, in order of arrival.
    async fn enter_behind(self: &Arc<Self>) -> Option<Passage> {
        let passage = {
            let mut line = self.line();
            while line.others.front().is_some_and(oneshot::Sender::is_closed) {
                line.others.pop_front();
            }
            if line.others.is_empty() && line.gate.enter_other(self.now()) {
                drop(line);
                return Some(Passage { state: self.clone(), holder: None });
            }
            let (sender, passage) = oneshot::channel();
            line.others.push_back(sender);
            passage
        };
        self.hand_out();
        // One that arrives while this gives up is dropped with the channel, and so given back.
        passage.await.ok()
    }

    fn arrive(self: &Arc<Self>, holder: Holder, caller: Caller) -> Here {
        self.line().gate.arrive(holder, caller, self.now());
        self.hand_out();
        Here { state: self.clone(), holder, caller, call: None, leaves: Departure::Waits }
    }

    /// Gives free slots to those who wait.
    fn hand_out(self: &Arc<Self>) {
        while let Some(other) = self.next_other() {
            // Outside the lock: an unwanted passage is dropped, and so handed out again.
            drop(other.send(Passage { state: self.clone(), holder: None }));
        }
    }

    /// Calls the passes whose turn it is; then the next request without one, which has a slot now.
    fn next_other(&self) -> Option<oneshot::Sender<Passage>> {
        let mut line = self.line();
        let now = self.now();
        while let Some(holder) = line.gate.call(now) {
            for caller in line.callers.remove(&holder).unwrap_or_default() {
                // Who has given up is gone, and needs no word.
                let _ = caller.send(());
            }
        }
        while line.others.front().is_some_and(oneshot::Sender::is_closed) {
            line.others.pop_front();
        }
        if !line.others.is_empty() && line.gate.enter_other(now) { line.others.pop_front() } else { None }
    }
}

/// A request or poll that is here, waiting for its turn.
struct Here {
    state: Arc<State>,
    holder: Holder,
    caller: Caller,
    call: Option<oneshot::Receiver<()>>,
    leaves: Departure,
}

impl Here {
    fn ahead(&self) -> usize {
        self.state.line().gate.ahead(self.holder)
    }

    /// Waits until its pass is called: a form to a slot, a poll to send one.
    async fn called(&mut self) {
        let (sender, call) = oneshot::channel();
        {
            let mut line = self.state.line();
            let called = match self.caller {
                Caller::Form => line.gate.is_granted(self.holder),
                Caller::Poll => line.gate.is_invited(self.holder),
            };
            if called {
                return;
            }
            line.callers.entry(self.holder).or_default().push(sender);
        }
        // Kept, so that giving up closes it before the line is told.
        let _ = self.call.insert(call).await;
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.call = None;
        {
            let mut line = self.state.line();
            line.gate.depart(self.holder, self.caller, self.leaves, self.state.now());
            if let Some(callers) = line.callers.get_mut(&self.holder) {
                callers.retain(|caller| !caller.is_closed());
                if callers.is_empty() {
                    line.callers.remove(&self.holder);
                }
            }
        }
        self.state.hand_out();
    }
}

#[cfg(test)]
mod tests;
