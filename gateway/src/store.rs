//! The port behind which the state of lines is kept.
//!
//! One call: a batch for each room that is due goes in, an [`Outcome`] for each comes out; a batch is applied as
//! a whole or not at all. And one by which gateways hear in which rooms something happens. What it does to a line is `policy::line::Line::apply`, whatever the store;
//! a store only says where the line is and what time it is.
//!
//! What gateways share besides lines has a port of its own, [`registry`]; a store has both.
//!
//! Out of scope: rules, retries, and who waits for the answer ([`crate::rooms`]).

pub mod embedded;
pub mod redis;
pub mod registry;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use policy::Millis;
use policy::line::{Batch, Outcome};
use policy::room::Rules;

/// The format in which this version keeps lines and versions of the rooms, in either store. It is another one whenever an
/// earlier version would misread what this one writes, or this one what an earlier one wrote.
///
/// 1 is that of versions that did not say it. A file in it is taken over, a Redis is not: other gateways may be at work there.
pub const FORMAT: u64 = 2;

/// A batch for one room.
#[derive(Debug, Clone)]
pub struct Work {
    /// The room.
    pub room: Arc<str>,
    /// What it may let through now.
    pub rules: Rules,
    /// What is asked.
    pub batch: Batch,
}

/// Why a store did not answer. Nothing of the call has happened, or it may have: ask the line.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the file open.
    #[error("{path} is in use by another process")]
    InUse {
        /// The file.
        path: String,
    },
    /// A version of Weir that keeps lines in another format was there first. Nothing was changed.
    #[error("{place} is in {}, this version of Weir keeps format {FORMAT}: finish the launch with the version that wrote \
             it, or {way_out}", named(*.found))]
    Format {
        /// The file, or the Redis and its key.
        place: String,
        /// Which format, if it says so.
        found: Option<u64>,
        /// How this version can begin anew.
        way_out: &'static str,
    },
    /// The embedded database failed.
    #[error("the store {path}: {source}")]
    Embedded {
        /// The file.
        path: String,
        /// What it said.
        source: Box<redb::Error>,
    },
    /// Redis did not answer, or not with what was asked for.
    #[error("the store in Redis: {source}")]
    Redis {
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It was not called: this gateway does not belong to those that share it, or has not heard of them yet.
    #[error("this gateway has no key in common with the others on the store, or has not heard of them yet")]
    NoMember,
    /// The thread of the store ended.
    #[error("the store was stopped in the middle of a call")]
    Stopped,
}

fn named(found: Option<u64>) -> String {
    found.map_or("a format of its own".to_owned(), |found| format!("format {found}"))
}

/// What a store answers.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The outcomes of a call, in the order of its works.
pub type Commit<'a> = Answer<'a, Vec<Outcome>>;

/// What is heard of other gateways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Time of the store.
    pub now: Millis,
    /// Another text than before: the store is another one, or was started again, or has lost what was in it.
    pub era: String,
    /// Rooms in which something has happened since, at any gateway.
    pub stirring: Vec<String>,
}

/// Where lines are kept.
pub trait Store: Send + Sync {
    /// Applies each batch to the line of its room, and answers when the result is durable.
    fn commit(&self, works: Vec<Work>) -> Commit<'_>;

    /// Tells the other gateways of the rooms in which something happens at this one, and hears the same of them since `since`,
    /// a time of the store. A store of one process has nothing to tell.
    fn listen(&self, stirring: Vec<Arc<str>>, since: Millis) -> Answer<'_, Heard> {
        let _ = (stirring, since);
        Box::pin(async { Ok(Heard::default()) })
    }
}
