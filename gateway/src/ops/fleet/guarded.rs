//! A store that is called only while this gateway belongs to its fleet.
//!
//! A gateway whose tokens no other gateway can open must issue no number and no pass. To its rooms the store is
//! away meanwhile: they follow their `fail_mode`.
//!
//! Out of scope: who belongs to a fleet ([`super::keys`]).

use std::sync::Arc;

use policy::Millis;

use super::keys::{KeyStanding, KeyState};
use crate::line::store::{Answer, Commit, Heard, Store, StoreError, Work};

/// A store behind the standing of this gateway.
pub(crate) struct Guarded {
    store: Arc<dyn Store>,
    standing: Arc<KeyStanding>,
}

impl Guarded {
    /// Calls `store` while this gateway belongs to the fleet.
    pub(crate) fn new(store: Arc<dyn Store>, standing: Arc<KeyStanding>) -> Self {
        Self { store, standing }
    }
}

impl Store for Guarded {
    fn commit(&self, works: Vec<Work>) -> Commit<'_> {
        match self.standing.get() {
            KeyState::Shared => self.store.commit(works),
            KeyState::Unknown | KeyState::Foreign => Box::pin(async { Err(StoreError::NoMember) }),
        }
    }

    fn listen(&self, stirring: Vec<Arc<str>>, since: Millis) -> Answer<'_, Heard> {
        match self.standing.get() {
            KeyState::Shared => self.store.listen(stirring, since),
            KeyState::Unknown | KeyState::Foreign => Box::pin(async { Err(StoreError::NoMember) }),
        }
    }
}
