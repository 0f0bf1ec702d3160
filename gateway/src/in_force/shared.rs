//! State shared by all threads: the configuration in force, the rooms, open connections and counters.
//!
//! Atomics, `ArcSwap`s and sharded maps: no read of a request waits for a store or another request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::client::proxy_header::ProxyHeaders;
use crate::client::seats::Seats;
use crate::in_force::site::Site;
use crate::line::rooms::Rooms;
use crate::settings::tls::Certificates;
use crate::telemetry::{RequestMeters, StoreMeters, Unbelieved};

/// State shared by all threads.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The configuration in force, compiled.
    pub site: ArcSwap<Site>,
    /// The live rooms.
    pub rooms: Arc<Rooms>,
    /// State of the TLS listeners, if there are any.
    pub tls: Option<Tls>,
    /// Open connections.
    pub seats: Arc<Seats>,
    /// Requests so far, to the second.
    pub requests: AtomicU64,
    /// Whether new shoppers should be sent here.
    pub ready: AtomicBool,
    /// Whether its keys are those of the fleet.
    pub keys: Arc<KeyStanding>,
    /// Untrusted peers that sent forwarding headers.
    pub unbelieved: Unbelieved,
    /// Results of PROXY headers.
    pub proxy_headers: ProxyHeaders,
    /// How long requests took.
    pub request_meters: RequestMeters,
    /// Results of the store's calls.
    pub store_meters: StoreMeters,
    /// Time since the start, moved on by the control thread: no worker arms a timer for it.
    pub clock: watch::Sender<Duration>,
}

/// Certificates, and the TLS configuration that uses them.
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

/// The standing of a gateway's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub(crate) enum KeyState {
    /// It has not exchanged with the others yet.
    Unknown,
    /// They are those of the fleet. Gateways of earlier versions do not report it, and count as such.
    #[default]
    Shared,
    /// None of them is a key of the fleet.
    Foreign,
}

/// The standing of this gateway, shared by all threads.
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

    /// Sets it; returns whether it was so before. While it is, the others are unknown.
    pub(crate) fn refuse(&self, refused: bool) -> bool {
        if refused {
            self.set(KeyState::Unknown);
        }
        self.refused.swap(refused, Ordering::Relaxed)
    }
}
