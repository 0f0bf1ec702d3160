//! The body of an answer on its way to a client.
//!
//! An answer that is here as a whole with its head is taken into memory at once, and what it held of the shop is given
//! back before its client sees the first byte. Any other is streamed. Once a second all streamed answers are looked
//! at: of one that its client does not take, the rest is moved into memory, up to `response_buffer`, which gives back
//! permit and connection; one that is larger has a least pace.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::Counters;
use super::deadline::ticks;
use super::exchange::Exchange;
use super::pace::{LeastPace, Pace};
use super::pool::Pool;
use crate::client::body::{Body, Chunk, Chunks, Piece, Source};
use crate::client::buffer::Charge;
use crate::client::connection::InFlight;
use crate::log::access::Line;
use crate::settings::config::UpstreamConfig;

/// What a piece that is held costs besides its bytes.
const PIECE: usize = 64;

/// A streamed answer.
#[derive(Debug)]
pub(super) struct Download {
    state: RefCell<State>,
    /// There is something for the client that it did not come for yet.
    untaken: Cell<bool>,
    /// For so many seconds in a row.
    untaken_for: Cell<u64>,
    pace: Pace,
    settings: Arc<UpstreamConfig>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct State {
    incoming: Incoming,
    /// What it holds of the shop; `None` once it is here to its end.
    exchange: Option<Exchange>,
    /// Moved into memory: one piece, as which most answers come as a whole...
    first: Option<Frame<Bytes>>,
    /// ...and those after it.
    ahead: VecDeque<Frame<Bytes>>,
    /// What follows these.
    broke: Option<hyper::Error>,
    charge: Charge,
    in_flight: Option<InFlight>,
    /// What the log says of it, when it is over.
    line: Option<Box<Line>>,
}

impl Download {
    /// The body of an answer whose head is here.
    pub(super) async fn begin(
        incoming: Incoming,
        exchange: Exchange,
        pool: &Pool,
        settings: &Arc<UpstreamConfig>,
        counters: &Arc<Counters>,
    ) -> Body {
        if incoming.is_end_stream() {
            return Body::empty();
        }
        let (first, ahead, broke, in_flight, line) = Default::default();
        let charge = pool.charge();
        let mut state = State { incoming, exchange: Some(exchange), first, ahead, broke, charge, in_flight, line };
        let (most, most_of_all) = (settings.response_buffer.0, settings.max_buffered.0);
        poll_fn(|cx| {
            // A piece, and the end after it where that is not known with it. More is a stream.
            if state.poll_ahead(most, most_of_all, cx) && state.exchange.is_some() {
                state.poll_ahead(most, most_of_all, cx);
            }
            Poll::Ready(())
        })
        .await;
        if let Some(body) = state.whole() {
            return body;
        }
        let (untaken, untaken_for, pace) = (Cell::new(true), Cell::default(), Pace::default());
        let (settings, counters) = (settings.clone(), counters.clone());
        let download = Self { state: RefCell::new(state), untaken, untaken_for, pace, settings, counters };
        let download = Rc::new(download);
        pool.watch_answer(&download);
        Body::Stream(download)
    }

    /// To be called once a second. An answer that is not taken gives back what it holds of the shop, or its client is
    /// left; at the latest after so many seconds without a step.
    pub(super) fn sweep(&self, most_untaken: u64) {
        if !self.untaken.get() {
            self.untaken_for.set(0);
            return;
        }
        self.untaken_for.set(self.untaken_for.get() + 1);
        let mut state = self.state.borrow_mut();
        let cx = &mut Context::from_waker(Waker::noop());
        while state.poll_ahead(self.settings.response_buffer.0, self.settings.max_buffered.0, cx) {}
        let settings = &self.settings;
        let least = LeastPace::new(settings.pace_grace, settings.min_download_rate.0);
        let slow = self.pace.waited(ticks(SECOND), least) && state.exchange.is_some();
        if slow || self.untaken_for.get() > most_untaken {
            self.counters.slow_downloads.fetch_add(1, Ordering::Relaxed);
            if let Some(in_flight) = &state.in_flight {
                in_flight.connection().leave();
            }
        }
    }
}

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

impl State {
    /// Moves a piece into memory. False if there is none, or no room for more.
    fn poll_ahead(&mut self, most: usize, most_of_all: usize, cx: &mut Context<'_>) -> bool {
        let Some(exchange) = &mut self.exchange else { return false };
        if self.charge.bytes() >= most || !self.charge.grow(PIECE, most_of_all) {
            return false;
        }
        match exchange.poll_frame(&mut self.incoming, cx) {
            Poll::Pending => {
                self.charge.shrink(PIECE);
                return false;
            }
            Poll::Ready(Some(Ok(frame))) => {
                // It is here already: a bound that it passes stops the next.
                self.charge.grow(frame.data_ref().map_or(0, Bytes::len), usize::MAX);
                if self.first.is_none() && self.ahead.is_empty() {
                    self.first = Some(frame);
                } else {
                    self.ahead.push_back(frame);
                }
                if self.incoming.is_end_stream() {
                    self.exchange = None;
                }
            }
            Poll::Ready(Some(Err(error))) => {
                self.broke = Some(error);
                self.exchange = None;
            }
            Poll::Ready(None) => self.exchange = None,
        }
        true
    }

    /// The answer in one piece, if it is here as such.
    fn whole(&mut self) -> Option<Body> {
        let here = self.exchange.is_none() && self.broke.is_none() && self.ahead.is_empty();
        if !here || self.first.as_ref().is_some_and(Frame::is_trailers) {
            return None;
        }
        let bytes = self.first.take().and_then(|frame| frame.into_data().ok());
        Some(Body::counted(bytes.filter(|bytes| !bytes.is_empty()), self.charge.split()))
    }

    /// Whether nothing follows.
    fn is_over(&self) -> bool {
        let here = self.exchange.is_none() && self.broke.is_none();
        self.first.is_none() && self.ahead.is_empty() && (here || self.incoming.is_end_stream())
    }

    /// Counts a piece for the log. A client that knows the length asks for nothing after the last one.
    fn note(&mut self, bytes: usize) {
        let over = self.line.is_some() && self.is_over();
        if let Some(line) = &mut self.line {
            line.sent(bytes as u64);
            if over {
                line.ends_whole();
            }
        }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Piece {
        if let Some(frame) = self.first.take().or_else(|| self.ahead.pop_front()) {
            self.charge.shrink(PIECE + frame.data_ref().map_or(0, Bytes::len));
            return Poll::Ready(Some(Ok(frame)));
        }
        match &mut self.exchange {
            Some(exchange) => exchange.poll_frame(&mut self.incoming, cx),
            None => Poll::Ready(self.broke.take().map(Err)),
        }
    }
}

impl Source for Download {
    fn poll_frame(&self, cx: &mut Context<'_>) -> Chunks {
        let mut state = self.state.borrow_mut();
        if let Some(in_flight) = &state.in_flight {
            // While the other end does not take what there is, it is given no more.
            if in_flight.poll_room(cx).is_pending() {
                self.untaken.set(true);
                return Poll::Pending;
            }
        }
        let frame = state.next(cx);
        self.untaken.set(matches!(frame, Poll::Ready(Some(Ok(_)))));
        self.untaken_for.set(0);
        if let Some(in_flight) = &state.in_flight {
            in_flight.pace().set(self.untaken.get());
        }
        let frame = frame.map_ok(|frame| frame.map_data(|bytes| Chunk::of(state.in_flight.as_ref(), bytes)));
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Buf::remaining);
                self.pace.moved(bytes);
                state.note(bytes);
            }
            Poll::Ready(end) => {
                if let (None, Some(line)) = (end, &mut state.line) {
                    line.ends_whole();
                }
                (state.exchange, state.in_flight, state.line) = (None, None, None);
            }
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.state.borrow().is_over()
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.state.borrow();
        let ahead: usize = state.first.iter().chain(&state.ahead).filter_map(Frame::data_ref).map(Bytes::len).sum();
        // A stream whose end is not known by its length stays one, also when its end is here.
        let rest = state.incoming.size_hint().exact();
        rest.map_or_else(SizeHint::default, |rest| SizeHint::with_exact(rest + ahead as u64))
    }

    fn answers(&self, in_flight: InFlight, line: Option<Box<Line>>) {
        // From the start: a client that never asks for the first byte does not take it either.
        in_flight.pace().set(true);
        let mut state = self.state.borrow_mut();
        (state.in_flight, state.line) = (Some(in_flight), line);
    }
}
