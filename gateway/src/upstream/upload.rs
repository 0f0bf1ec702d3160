//! The body of a request on its way to a server, and how the server learns where it ends.
//!
//! Its beginning is gathered before the request takes a permit, so that a slow sender holds nothing
//! of the shop: a short body as a whole, a long one up to `request_buffer`, and one of unknown length as far as it has
//! come. The rest is streamed, at no less than the upstream's least pace.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::UpstreamError;
use super::deadline::Deadline;
use crate::client::body::{Piece, drain_body};
use crate::client::buffer::Charge;
use crate::client::headers::Trailers;

/// The body of a request. While it moves, the answer is not late.
#[derive(Debug, Default)]
pub struct Upload(Option<Box<Moving>>);

#[derive(Debug)]
struct Moving {
    /// The gathered part.
    first: BytesMut,
    /// The rest; `None` once it ended.
    rest: Option<Incoming>,
    /// Gathered trailers.
    last: Option<Frame<Bytes>>,
    charge: Option<Charge>,
    deadline: Option<Rc<Deadline>>,
    /// The allowed trailers; `None`: all of them.
    trailers: Option<Trailers>,
}

/// Bounds on the part gathered before a permit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gathering {
    /// Bytes of one body.
    pub(super) most: usize,
    /// Bytes held by the worker in all.
    pub(super) most_of_all: usize,
    /// Ticks of silence allowed.
    pub(super) silence: u64,
}

impl From<Incoming> for Upload {
    fn from(body: Incoming) -> Self {
        // Most requests have no body, and one word is cheaper to move than all of one.
        Self((!body.is_end_stream()).then(|| {
            let (first, last, charge, deadline, trailers) = Default::default();
            Box::new(Moving { first, rest: Some(body), last, charge, deadline, trailers })
        }))
    }
}

impl Upload {
    /// Whether there is no body at all.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// All of the body, if it has been gathered.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        match self.0.as_deref() {
            None => Some(&[]),
            Some(moving) if moving.rest.is_none() && moving.last.is_none() => Some(&moving.first),
            Some(_) => None,
        }
    }

    /// Waits for the beginning of the body.
    ///
    /// # Errors
    /// The client broke off, or was slower than `deadline` allows.
    pub(super) async fn gather(
        &mut self,
        rule: Gathering,
        charge: Charge,
        deadline: &Rc<Deadline>,
    ) -> Result<(), UpstreamError> {
        let Some(moving) = self.0.as_deref_mut() else { return Ok(()) };
        moving.charge = Some(charge);
        deadline.gather(rule.silence);
        let gathered = poll_fn(|cx| {
            deadline.rings(cx.waker());
            if deadline.has_passed() {
                return Poll::Ready(Err(UpstreamError::ClientSlow));
            }
            moving.poll_gather(rule, deadline, cx)
        });
        gathered.await?;
        deadline.lift();
        Ok(())
    }

    /// A body, framed in `headers`: by the length there, or in chunks, after which these
    /// trailers may come. (hyper sends no body with a GET or HEAD whose head does not announce one.)
    pub fn framed(headers: &mut HeaderMap, body: Incoming, trailers: Trailers) -> Self {
        let mut upload = Self::from(body);
        let Some(moving) = &mut upload.0 else { return upload };
        if !trailers.is_empty() {
            headers.remove(CONTENT_LENGTH);
            trailers.announce(headers);
        }
        moving.trailers = Some(trailers);
        if !headers.contains_key(CONTENT_LENGTH) {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        upload
    }

    /// Puts the sent part back, to be sent again.
    pub(super) fn put_back(&mut self, given: &[Bytes]) {
        if let Some(moving) = &mut self.0
            && !given.is_empty()
        {
            let rest = std::mem::take(&mut moving.first);
            moving.first = given.iter().flat_map(|piece| piece.iter().copied()).chain(rest).collect();
        }
    }

    /// Reads the rest of a short one, which is sent nowhere.
    pub(crate) fn drain(self) {
        if let Some(rest) = self.0.and_then(|mut moving| moving.rest.take()) {
            drain_body(rest);
        }
    }

    /// Reports its progress to this deadline.
    pub(super) fn report_to(&mut self, deadline: &Rc<Deadline>) {
        if let Some(moving) = &mut self.0 {
            deadline.upload_begins();
            moving.deadline = Some(deadline.clone());
        }
    }
}

impl Moving {
    fn poll_gather(
        &mut self,
        rule: Gathering,
        deadline: &Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), UpstreamError>> {
        while let Some(rest) = &mut self.rest {
            let streamed = rest.size_hint().exact().is_none();
            let frame = match Pin::new(rest).poll_frame(cx) {
                Poll::Pending if streamed && !self.first.is_empty() => break,
                Poll::Pending => {
                    deadline.upload(None);
                    return Poll::Pending;
                }
                Poll::Ready(frame) => frame,
            };
            match frame {
                Some(Ok(frame)) => {
                    let full = match frame.into_data() {
                        Ok(data) => {
                            deadline.upload(Some(data.len()));
                            !self.keep(data, rule)
                        }
                        Err(trailers) => {
                            self.last = Some(trailers);
                            true
                        }
                    };
                    if self.last.is_some() || self.rest.as_ref().is_some_and(Body::is_end_stream) {
                        self.rest = None;
                    }
                    if full {
                        break;
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(UpstreamError::ClientGone(error))),
                None => self.rest = None,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Keeps a piece; false if the bounds are reached.
    fn keep(&mut self, data: Bytes, rule: Gathering) -> bool {
        let within = self.charge.as_mut().is_some_and(|charge| charge.grow(data.len(), rule.most_of_all));
        if self.first.is_empty() {
            self.first = BytesMut::from(data);
        } else {
            self.first.extend_from_slice(&data);
        }
        within && self.first.len() < rule.most
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        if let Some(deadline) = &self.deadline {
            deadline.upload_ends();
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Piece {
        let Some(moving) = self.0.as_deref_mut() else { return Poll::Ready(None) };
        if !moving.first.is_empty() {
            moving.charge = None;
            return Poll::Ready(Some(Ok(Frame::data(moving.first.split().freeze()))));
        }
        let mut frame = match &mut moving.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(moving.last.take().map(Ok)),
        };
        if let Poll::Ready(Some(Ok(frame))) = &mut frame
            && let (Some(fields), Some(trailers)) = (frame.trailers_mut(), &moving.trailers)
        {
            trailers.filter(fields);
        }
        if let Some(deadline) = &moving.deadline {
            deadline.upload(match &frame {
                Poll::Ready(Some(Ok(frame))) => Some(frame.data_ref().map_or(0, Bytes::len)),
                Poll::Ready(_) => Some(0),
                Poll::Pending => None,
            });
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|moving| {
            let ended = moving.rest.as_ref().map_or(moving.last.is_none(), Body::is_end_stream);
            ended && moving.first.is_empty()
        })
    }

    fn size_hint(&self) -> SizeHint {
        let Some(moving) = &self.0 else { return SizeHint::with_exact(0) };
        let rest = match &moving.rest {
            Some(rest) => rest.size_hint().exact(),
            None => moving.last.is_none().then_some(0),
        };
        rest.map_or_else(SizeHint::default, |rest| SizeHint::with_exact(rest + moving.first.len() as u64))
    }
}
