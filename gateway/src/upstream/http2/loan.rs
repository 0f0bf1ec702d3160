//! The body of a request, lent to hyper: it can be taken back when the server did nothing with the request, and cut off
//! when no caller waits for the answer.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http_body::{Body, Frame, SizeHint};

use super::Place;
use crate::upstream::deadline::{Deadline, ticks};
use crate::upstream::upload::Upload;

/// How long a request may go on after its answer is complete.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes of a body that are kept until the answer comes. Longer ones are not sent again.
const KEPT: usize = 64 << 10;

/// The state of a lent body.
#[derive(Debug)]
pub(super) struct Loan {
    upload: RefCell<Upload>,
    /// The part sent so far; `None` if that is too long to send again.
    given: RefCell<Option<Vec<Bytes>>>,
    /// The shopper's error.
    broke: RefCell<Option<hyper::Error>>,
    /// Nothing more of it is to be sent.
    over: Cell<bool>,
    /// The answer was read: there is a deadline for the rest.
    late: Cell<bool>,
    /// The waker of its sender.
    sender: RefCell<Option<Waker>>,
    deadline: Rc<Deadline>,
}

impl Loan {
    /// Lends this body for a request with this stream.
    pub(super) fn of(mut upload: Upload, place: Rc<Place>, deadline: Rc<Deadline>) -> (Rc<Self>, LentBody) {
        upload.report_to(&deadline);
        let (broke, over, late, sender) = Default::default();
        let (upload, given) = (RefCell::new(upload), RefCell::new(Some(Vec::new())));
        let loan = Rc::new(Self { upload, given, broke, over, late, sender, deadline });
        (loan.clone(), LentBody { loan, _place: place })
    }

    /// The body from its beginning, if all of it is still here.
    pub(super) fn take_back(&self) -> Option<Upload> {
        self.over.set(true);
        let given = self.given.take()?;
        let mut upload = std::mem::take(&mut *self.upload.borrow_mut());
        upload.put_back(&given);
        Some(upload)
    }

    /// It will not be sent again.
    pub(super) fn keep_nothing(&self) {
        self.given.take();
    }

    /// The error that ended the shopper's upload.
    pub(super) fn broke(&self) -> Option<hyper::Error> {
        self.broke.take()
    }

    /// The answer is not awaited any more. If it was read to its end, the rest may go on for a while: a reset
    /// would look like a failure to its sender.
    pub(super) fn recall(&self, answered: bool) {
        let sender = self.sender.take();
        if answered {
            self.late.set(true);
            self.deadline.allow(ticks(GRACE));
            if let Some(sender) = &sender {
                self.deadline.rings(sender);
            }
        } else {
            self.over.set(true);
            if let Some(sender) = sender {
                sender.wake();
            }
        }
    }

    fn is_over(&self) -> bool {
        self.over.get() || (self.late.get() && self.deadline.has_passed())
    }

    fn note(&self, frame: &Frame<Bytes>) {
        let mut given = self.given.borrow_mut();
        if let Some(pieces) = &mut *given {
            let before: usize = pieces.iter().map(Bytes::len).sum();
            match frame.data_ref() {
                Some(data) if before + data.len() <= KEPT => pieces.push(data.clone()),
                _ => *given = None,
            }
        }
    }
}

/// A lent body.
#[derive(Debug)]
pub(super) struct LentBody {
    loan: Rc<Loan>,
    _place: Rc<Place>,
}

impl Body for LentBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let loan = &*self.loan;
        // hyper resets the stream with this reason.
        let cancelled = || Poll::Ready(Some(Err(h2::Error::from(Reason::CANCEL))));
        if loan.is_over() {
            return cancelled();
        }
        let frame = Pin::new(&mut *loan.upload.borrow_mut()).poll_frame(cx);
        match frame {
            Poll::Pending => {
                *loan.sender.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
            Poll::Ready(Some(Ok(frame))) => {
                loan.note(&frame);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                *loan.broke.borrow_mut() = Some(error);
                cancelled()
            }
            Poll::Ready(None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.loan.upload.borrow().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.loan.upload.borrow().size_hint()
    }
}
