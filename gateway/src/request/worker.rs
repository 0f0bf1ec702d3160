//! One worker thread's state for requests: a handle on the shared state, its connections to the shop, and its ids.
//!
//! Out of scope: the connections of shoppers ([`crate::request::listener`]), and the meaning of a request ([`crate::request::edge`]).

use std::rc::Rc;
use std::sync::Arc;

use http::HeaderValue;

use crate::client::buffer::Buffers;
use crate::client::visitor::RequestIds;
use crate::in_force::shared::Shared;
use crate::upstream::Pool;

/// One thread's part of the gateway, as requests see it.
#[derive(Debug)]
pub(crate) struct Worker {
    /// State shared by all threads.
    pub shared: Arc<Shared>,
    /// Idle connections to the upstreams.
    pub pool: Rc<Pool>,
    /// Bytes held of forms whose senders have to wait.
    pub(crate) forms: Buffers,
    ids: RequestIds,
}

impl Worker {
    /// A worker without connections.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, pool: Pool::new(), forms: Buffers::default(), ids: RequestIds::default() }
    }

    /// A factor around 1 that spreads the polls of a crowd.
    pub(crate) fn jitter(&self) -> f64 {
        0.85 + 0.3 * (self.pool.random() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An id that no other arrival has.
    pub(crate) fn arrival_id(&self) -> u64 {
        self.pool.random()
    }

    /// An id that no other request has.
    pub(crate) fn request_id(&self) -> HeaderValue {
        self.ids.next(|| self.pool.random())
    }
}
