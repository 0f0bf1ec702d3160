//! What every thread sees: the configuration in force, the rooms, what is open and what is counted.
//!
//! Atomics, `ArcSwap`s and sharded maps: what a request reads of it waits for no store and no other request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::proxy_header::ProxyHeaders;
use crate::rooms::Rooms;
use crate::seats::Seats;
use crate::site::Site;
use crate::telemetry::{StoreMeters, Unbelieved};
use crate::tls::Certificates;

/// What every thread sees.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The configuration in force, compiled.
    pub site: ArcSwap<Site>,
    /// The live rooms.
    pub rooms: Arc<Rooms>,
    /// What TLS listeners need, if there are any.
    pub tls: Option<Tls>,
    /// Connections that are open.
    pub seats: Arc<Seats>,
    /// Requests so far, to the second.
    pub requests: AtomicU64,
    /// Whether new shoppers should be sent here.
    pub ready: AtomicBool,
    /// Whether its keys are those of the fleet.
    pub keys: Arc<KeyStanding>,
    /// Peers that say for whom they ask and are not believed.
    pub unbelieved: Unbelieved,
    /// What proxies tell before the first byte of their connections.
    pub proxy_headers: ProxyHeaders,
    /// What the store's calls come to.
    pub store_meters: StoreMeters,
    /// Time since the start, moved on by the control thread: no worker arms a timer for it.
    pub clock: watch::Sender<Duration>,
}

/// Certificates, and how TLS is spoken with them.
#[derive(Debug)]
pub(crate) struct Tls {
    /// The certificates in force.
    pub certificates: Arc<Certificates>,
    /// For the listeners.
    pub server: Arc<rustls::ServerConfig>,
}

impl Shared {
    /// Whether new shoppers should be sent to this gateway.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && self.keys.get() != KeyState::Foreign && !self.keys.is_refused()
    }
}

/// What is known of the keys of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub(crate) enum KeyState {
    /// It has not heard of the others yet.
    Unknown,
    /// They are those of the fleet. Gateways of earlier versions say nothing, and count as such.
    #[default]
    Shared,
    /// None of them is a key of the fleet.
    Foreign,
}

/// The state of this gateway, as every thread sees it.
#[derive(Debug, Default)]
pub(crate) struct KeyStanding {
    keys: AtomicU8,
    refused: AtomicBool,
}

impl KeyStanding {
    /// The state.
    pub(crate) fn get(&self) -> KeyState {
        match self.keys.load(Ordering::Relaxed) {
            0 => KeyState::Unknown,
            1 => KeyState::Shared,
            _ => KeyState::Foreign,
        }
    }

    pub(crate) fn set(&self, state: KeyState) {
        self.keys.store(state as u8, Ordering::Relaxed);
    }

    /// Whether the store is in the format of another version of Weir.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether it was before. While it is, nothing is known of the others.
    pub(crate) fn refuse(&self, refused: bool) -> bool {
        if refused {
            self.set(KeyState::Unknown);
        }
        self.refused.swap(refused, Ordering::Relaxed)
    }
}
