//! The port to the store, which keeps the state of lines.
//!
//! One call commits: a batch for each due room goes in, an [`Outcome`] for each comes out; a batch is applied as
//! a whole or not at all, by `policy::line::Line::apply`, whatever the store; a store only adds the place of the line and the
//! time. Another call tells gateways which rooms are active.
//!
//! Other state shared by gateways has a port of its own, [`registry`]; a store has both.
//!
//! Out of scope: rules, retries, and the callers who wait for the answer ([`crate::line::rooms`]).

pub mod embedded;
pub mod redis;
pub mod registry;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use policy::Millis;
use policy::line::{Batch, Outcome};
use policy::room::Rules;

/// The format in which this version keeps lines and versions of the rooms, in either store. It changes whenever an
/// earlier version would misread the data of this one, or this one those of an earlier one.
///
/// 1 is that of versions that did not record it. A file in it is taken over, a Redis is not: other gateways may be at work there.
pub const FORMAT: u64 = 2;

/// A batch for one room.
#[derive(Debug, Clone)]
pub struct Work {
    /// The room.
    pub room: Arc<str>,
    /// Its present limits.
    pub rules: Rules,
    /// The batch.
    pub batch: Batch,
}

/// Why a store did not answer. The call may have taken effect or not: ask the line.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the file open.
    #[error("{path} is in use by another process")]
    InUse {
        /// The file.
        path: String,
    },
    /// The store is in the format of another version of Weir. Nothing was changed.
    #[error("{place} is in {}, this version of Weir keeps format {FORMAT}: finish the launch with the version that wrote \
             it, or {way_out}", named(*.found))]
    Format {
        /// The file, or the Redis and its key.
        place: String,
        /// The format, if it is recorded.
        found: Option<u64>,
        /// How this version can begin anew.
        way_out: &'static str,
    },
    /// The embedded database failed.
    #[error("the store {path}: {source}")]
    Embedded {
        /// The file.
        path: String,
        /// Its error.
        source: Box<redb::Error>,
    },
    /// Redis did not answer, or with an unexpected reply.
    #[error("the store in Redis: {source}")]
    Redis {
        /// The error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It was not called: this gateway does not belong to those that share it, or does not know them yet.
    #[error("this gateway has no key in common with the others on the store, or has not heard of them yet")]
    NoMember,
    /// The thread of the store ended.
    #[error("the store was stopped in the middle of a call")]
    Stopped,
}

fn named(found: Option<u64>) -> String {
    found.map_or("a format of its own".to_owned(), |found| format!("format {found}"))
}

/// The answer of a store.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The outcomes of a call, in the order of its works.
pub type Commit<'a> = Answer<'a, Vec<Outcome>>;

/// The activity of other gateways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Time of the store.
    pub now: Millis,
    /// Differs from before if the store is another one, was started again, or has lost its content.
    pub era: String,
    /// Rooms active since then, at any gateway.
    pub stirring: Vec<String>,
}

/// The store of lines.
pub trait Store: Send + Sync {
    /// Applies each batch to the line of its room, and answers when the result is durable.
    fn commit(&self, works: Vec<Work>) -> Commit<'_>;

    /// Reports the rooms active at this gateway, and returns those active at others since `since`,
    /// a time of the store. A store of one process has nothing to report.
    fn listen(&self, stirring: Vec<Arc<str>>, since: Millis) -> Answer<'_, Heard> {
        let _ = (stirring, since);
        Box::pin(async { Ok(Heard::default()) })
    }
}
