//! A cap on the rate of a line, and its source.
//!
//! Out of scope: which cap binds, and for how long (`line::caps`).

use serde::{Deserialize, Serialize};

use crate::Millis;

/// Ids of sources of one kind.
const IDS: u64 = 1 << 32;

/// The kind of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "u64")]
pub enum CapKind {
    /// A server of the shop, in a header.
    Shop = 1,
    /// A program beside the shop, or its operator.
    Api = 2,
    /// What a gate delivers.
    Gate = 3,
    /// The guard of a gateway, by the load that a server of the shop reports in a header.
    Orca = 4,
    /// The same, by a query of Prometheus.
    Prometheus = 5,
    /// The same, by the sessions of a `PostgreSQL`.
    Postgres = 6,
    /// The same, by how long the shop takes to answer.
    Latency = 7,
}

impl CapKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Shop, Self::Api, Self::Gate, Self::Orca, Self::Prometheus, Self::Postgres, Self::Latency];

    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shop => "shop",
            Self::Api => "api",
            Self::Gate => "gate",
            Self::Orca => "orca",
            Self::Prometheus => "prometheus",
            Self::Postgres => "postgres",
            Self::Latency => "latency",
        }
    }
}

impl TryFrom<u64> for CapKind {
    type Error = UnknownKind;

    fn try_from(kind: u64) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|&known| known as u64 == kind).ok_or(UnknownKind)
    }
}

/// A number that stands for no [`CapKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a kind of cap that this version does not know")]
pub struct UnknownKind;

/// A source of caps: of a kind, with an id of its own. Below 2^53, so that a script's double holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CapSource(u64);

impl CapSource {
    /// This source of this kind.
    pub fn new(kind: CapKind, id: u32) -> Self {
        Self(kind as u64 * IDS + u64::from(id))
    }

    /// The source of this number.
    pub(crate) fn of(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    /// Its kind; `None`: one that this version does not know.
    pub(crate) fn kind(self) -> Option<CapKind> {
        CapKind::try_from(self.0 / IDS).ok()
    }
}

/// A cap, as a gateway reports it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cap {
    /// Its source: a later cap replaces an earlier one.
    pub source: CapSource,
    /// New shoppers per second, at least 0.
    pub rate: f64,
    /// How long it holds; 0 ends the present one.
    pub ttl: Millis,
}
