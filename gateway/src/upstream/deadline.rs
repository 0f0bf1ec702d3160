//! The one deadline of a connection to a server, in ticks.
//!
//! Its meaning depends on the state of the connection: the silence allowed before an answer, the age
//! of an idle connection, the grace of an upload that was answered early. It is a number in a cell; one
//! sweep a tick checks all of them. So a request arms no timer and reads no clock (a `tokio` timer per
//! request costs hundreds of instructions), and in return a deadline is met up to two ticks late.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use super::pace::{LeastPace, Pace};

/// The unit of deadlines, and the interval of their check.
const TICK: Duration = Duration::from_millis(50);
/// No deadline.
const NEVER: u64 = u64::MAX;

/// A duration in ticks.
pub(super) fn ticks(duration: Duration) -> u64 {
    (duration.as_millis() / TICK.as_millis()) as u64
}

/// When a connection has to end.
#[derive(Debug)]
pub(super) struct Deadline {
    clock: Rc<Cell<u64>>,
    at: Cell<u64>,
    /// While an answer is awaited: the ticks allowed after each piece of the request's body.
    silence: Cell<u64>,
    /// A request's body is being sent.
    uploading: Cell<bool>,
    /// The silence is the shopper's, not the server's.
    awaits_shopper: Cell<bool>,
    passed: Cell<bool>,
    least_pace: LeastPace,
    /// The pace of the shopper, with the body of the request.
    pace: Pace,
    /// When it was last checked.
    looked: Cell<u64>,
    /// The waker of the connection.
    waker: RefCell<Option<Waker>>,
}

impl Deadline {
    pub(super) fn new(clock: Rc<Cell<u64>>, least_pace: LeastPace) -> Rc<Self> {
        let (at, waker, looked) = (Cell::new(NEVER), RefCell::default(), Cell::new(clock.get()));
        let (silence, uploading, awaits_shopper, passed, pace) = Default::default();
        Rc::new(Self { clock, at, silence, uploading, awaits_shopper, passed, least_pace, pace, looked, waker })
    }

    /// Sets it `ticks` ticks from now.
    pub(super) fn allow(&self, ticks: u64) {
        // One more, as the current tick is partly over.
        self.at.set(self.clock.get() + ticks + 1);
    }

    /// An answer is due within `silence` ticks of silence.
    pub(super) fn await_answer(&self, silence: u64) {
        self.silence.set(silence);
        self.awaits_shopper.set(false);
        self.allow(silence);
    }

    pub(super) fn upload_begins(&self) {
        self.uploading.set(true);
        self.pace.reset();
    }

    /// Only the shopper is waited for, for up to `silence` ticks of silence.
    pub(super) fn gather(&self, silence: u64) {
        self.upload_begins();
        self.await_answer(silence);
        self.awaits_shopper.set(true);
    }

    pub(super) fn upload_ends(&self) {
        self.uploading.set(false);
    }

    /// Whether a request's body is still being sent.
    pub(super) fn is_uploading(&self) -> bool {
        self.uploading.get()
    }

    /// `moved` bytes of the request's body moved, or the shopper is waited for.
    pub(super) fn upload(&self, moved: Option<usize>) {
        self.awaits_shopper.set(moved.is_none());
        let Some(bytes) = moved else { return };
        self.pace.moved(bytes);
        if self.silence.get() > 0 {
            self.allow(self.silence.get());
        }
    }

    /// Removes the deadline.
    pub(super) fn lift(&self) {
        self.silence.set(0);
        self.at.set(NEVER);
    }

    /// Whether the last silence was the shopper's.
    pub(super) fn was_the_shoppers(&self) -> bool {
        self.awaits_shopper.get()
    }

    pub(super) fn has_passed(&self) -> bool {
        self.passed.get()
    }

    /// Rings when it passes.
    pub(super) fn rings(&self, waker: &Waker) {
        *self.waker.borrow_mut() = Some(waker.clone());
    }

    /// False, for good, once it has passed.
    pub(super) fn check(&self) -> bool {
        let now = self.clock.get();
        let since = now.saturating_sub(self.looked.replace(now));
        let slow = self.uploading.get() && self.awaits_shopper.get() && self.pace.waited(since, self.least_pace);
        if slow || now >= self.at.get() {
            self.passed.set(true);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
        !self.passed.get()
    }
}
