//! A request on its way.

use evidence::Micros;
use launch_model::visit::Request;

/// A request on its way.
#[derive(Debug)]
pub(super) struct RequestJob {
    /// Whose it is.
    pub(super) who: u32,
    /// From their second tab: its result is recorded, and that is all.
    pub(super) second: bool,
    pub(super) request: Request,
    /// Which of their requests it is.
    pub(super) count: u32,
    pub(super) due: Micros,
}

impl RequestJob {
    /// `X-Request-Id`.
    pub(super) fn id(&self) -> String {
        format!("{}-{}", self.who, self.count)
    }
}
