//! The active rooms of all gateways: two keys beside those of the registry.
//!
//! In a Cluster the server of these keys reports only its own restarts: if another one has lost its rooms, that is noticed at
//! their next poll.

use std::sync::Arc;

use policy::Millis;
use redis::Script;

use super::connect::Connection;
use super::registry::key;
use super::{Redis, failed};
use crate::line::store::{Heard, StoreError};

const LISTEN: &str = include_str!("listen.lua");
/// Rooms are forgotten this many milliseconds after their last report: long after all gateways have read it.
const KEPT: Millis = 10_000;

pub(super) fn script() -> Script {
    Script::new(LISTEN)
}

impl Redis {
    /// On the connection of commits, between two of them.
    pub(super) async fn hear(&self, stirring: Vec<Arc<str>>, since: Millis) -> Result<Heard, StoreError> {
        let mut call = self.listen.key(key("stirring"));
        call.key(key("era")).arg(since).arg(KEPT);
        for room in &stirring {
            call.arg(&**room);
        }
        let call = &call;
        let run = |mut connection: Connection| async move { connection.run(call).await.map_err(failed) };
        let (now, era, stirring) = self.on(&self.idle, run).await?;
        Ok(Heard { now, era, stirring })
    }
}
