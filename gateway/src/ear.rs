//! What the reactor says of a socket.
//!
//! Whoever drives hyper has it read several times for each piece that comes. As long as the reactor has not said that there is
//! something, the answer is known: nobody is asked.
//!
//! Bound: nothing else may wait for the same socket to be readable with a waker of its own, or [`Ear::hark`] is called after it
//! did: the reactor tells one reader.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Hears for one socket.
#[derive(Debug)]
pub(crate) struct Ear {
    said: Arc<Said>,
    /// Wakes it.
    waker: Waker,
    /// Whom it tells: mostly the same, and to compare is cheaper than to lock.
    reader: Waker,
}

#[derive(Debug)]
struct Said {
    /// A read may find something: the reactor has said so since the last one found nothing.
    heard: AtomicBool,
    /// Who is told of it.
    reader: Mutex<Waker>,
}

impl Wake for Said {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.heard.store(true, Ordering::Relaxed);
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

impl Ear {
    /// For a socket that was not read yet.
    pub(crate) fn new() -> Self {
        let reader = Waker::noop().clone();
        let said = Arc::new(Said { heard: AtomicBool::new(true), reader: Mutex::new(reader.clone()) });
        Self { waker: Waker::from(said.clone()), said, reader }
    }

    /// The next read asks in any case.
    pub(crate) fn hark(&self) {
        self.said.heard.store(true, Ordering::Relaxed);
    }

    /// Reads, unless it is known that nothing is there.
    pub(crate) fn poll<T>(&mut self, cx: &Context<'_>, read: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.tell(cx.waker());
        if !self.said.heard.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        // Before the read: what is said from then on counts.
        self.said.heard.store(false, Ordering::Relaxed);
        let read = read(&mut Context::from_waker(&self.waker));
        if read.is_ready() {
            self.hark();
        }
        read
    }

    /// Has this one told from now on.
    fn tell(&mut self, waker: &Waker) {
        if !self.reader.will_wake(waker) {
            self.reader.clone_from(waker);
            self.said.reader.lock().unwrap_or_else(PoisonError::into_inner).clone_from(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_found_nothing_is_not_tried_again_until_somebody_says_that_there_is_something() {
        let (mut ear, mut reactors, mut tries) = (Ear::new(), None, 0);
        let cx = Context::from_waker(Waker::noop());
        let mut read = |ear: &mut Ear, found: bool| {
            ear.poll(&cx, |cx| {
                tries += 1;
                reactors = Some(cx.waker().clone());
                if found { Poll::Ready(()) } else { Poll::Pending }
            })
            .is_ready()
        };
        assert_eq!(
            [true, true, false, false, true].map(|found| read(&mut ear, found)),
            [true, true, false, false, false]
        );
        ear.hark();
        assert!(read(&mut ear, true));
        assert!(!read(&mut ear, false) && !read(&mut ear, true));
        assert_eq!(tries, 5);
        reactors.expect("it has one").wake();
        let mut tried = false;
        assert!(ear.poll(&cx, |_| Poll::Ready(tried = true)).is_ready() && tried);
    }
}
