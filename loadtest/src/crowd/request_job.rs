//! One request on its way: the only thing of a crowd that is a task.

use std::sync::Arc;

use evidence::Micros;
use launch_model::visit::{Answer, Content, Request};
use tokio::time::Instant;

use super::person::Sent;
use crate::board::{Watch, micros_since};
use crate::wire::{Kept, Message, Route, Wire};

/// A request to send.
pub(super) struct RequestJob {
    pub(super) wire: Arc<Wire>,
    pub(super) watch: Watch,
    pub(super) start: Instant,
    pub(super) route: Route,
    pub(super) message: Message,
    pub(super) request: Request,
    /// Whether it is sent from the other tab.
    pub(super) other_tab: bool,
    /// When it was due.
    pub(super) due: Micros,
}

/// The results of a request, or of one in each of two tabs.
pub(super) struct Returned {
    /// Whose it was.
    pub(super) place: u32,
    pub(super) sent: Sent,
    pub(super) other_tab: Option<Box<Sent>>,
}

/// Sends a request of this visitor, on their kept connection if there is one, and at the same moment that of their
/// other tab: to another target if there are several.
pub(super) async fn run(
    place: u32,
    first: RequestJob,
    second: Option<RequestJob>,
    kept: Option<Box<Kept>>,
) -> Returned {
    let Some(mut second) = second else {
        return Returned { place, sent: first.run(kept).await, other_tab: None };
    };
    second.other_tab = true;
    if first.route.target == second.route.target && second.wire.targets() > second.route.target {
        second.route.target = (second.route.target + 1) % second.wire.targets();
    }
    let (sent, other) = tokio::join!(first.run(kept), second.run(None));
    Returned { place, sent, other_tab: Some(Box::new(other)) }
}

/// Of two tabs a page of the shop counts more than the line, and the line more than an error.
pub(super) fn worth(answer: Option<&Answer>) -> u8 {
    match answer.map(|answer| &answer.shown) {
        Some(Content::Shop(_) | Content::Turn) => 3,
        Some(Content::Line(_) | Content::Later(_)) => 2,
        Some(Content::Nothing) => 1,
        None => 0,
    }
}

impl RequestJob {
    /// The generator's lag is measured here, for every request: after the agenda, this program's own tasks and
    /// the wait for a shared connection, and before anything that a server could be blamed for.
    async fn run(self, kept: Option<Box<Kept>>) -> Sent {
        let seat = self.wire.seat(self.route).await;
        let now = micros_since(self.start);
        self.watch.sent(now, now - self.due);
        let exchange = self.wire.exchange(self.route, kept, &self.message).await;
        drop(seat);
        let answered = micros_since(self.start);
        let Self { request, message, due, other_tab, .. } = self;
        let host = message.at.map(|at| at.host).unwrap_or_default();
        Sent { request, id: message.id, due, answered, other_tab, host, exchange }
    }
}
