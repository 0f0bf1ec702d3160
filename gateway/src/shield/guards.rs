//! The guards of all rooms with signals, on the control thread: who is asked, and the tick of a second.

use std::convert::Infallible;
use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::signal::Signal;
use super::signals::RoomSignals;
use super::{postgres, prometheus};
use crate::line::rooms::LiveRoom;
use crate::settings::config::SignalKind;

/// The guards of one gateway.
#[derive(Debug)]
pub(crate) struct Guards {
    /// This gateway, among the sources of caps.
    id: u32,
    rooms: Vec<Guarded>,
}

/// A room with signals. Who asks for them ends with it.
#[derive(Debug)]
struct Guarded {
    live: Arc<LiveRoom>,
    signals: Arc<RoomSignals>,
    _asks: DropGuard,
}

impl Guards {
    /// No guard yet.
    pub(crate) fn new(id: u32) -> Self {
        Self { id, rooms: Vec::new() }
    }

    /// These are the rooms with signals now. Must be called within a runtime.
    pub(crate) fn follow<'a>(&mut self, rooms: impl Iterator<Item = (&'a Arc<LiveRoom>, &'a Arc<RoomSignals>)>) {
        let mut before = std::mem::take(&mut self.rooms);
        for (live, signals) in rooms {
            let known = before.iter().position(|guarded| Arc::ptr_eq(&guarded.signals, signals));
            self.rooms.push(known.map_or_else(|| Guarded::begin(live, signals), |place| before.swap_remove(place)));
        }
    }

    /// A second is over.
    pub(crate) fn tick(&self) {
        self.rooms.iter().for_each(|guarded| guarded.signals.second(&guarded.live, self.id));
    }
}

impl Guarded {
    fn begin(live: &Arc<LiveRoom>, signals: &Arc<RoomSignals>) -> Self {
        let stop = CancellationToken::new();
        for signal in &signals.signals {
            let (signal, live, stop) = (signal.clone(), live.clone(), stop.clone());
            match signal.config.kind {
                SignalKind::Orca | SignalKind::Latency => {}
                SignalKind::Prometheus | SignalKind::Postgres => {
                    tokio::spawn(async move { stop.run_until_cancelled(ask(&signal, &live)).await });
                }
            }
        }
        Self { live: live.clone(), signals: signals.clone(), _asks: stop.drop_guard() }
    }
}

async fn ask(signal: &Signal, live: &LiveRoom) -> Option<Infallible> {
    match signal.config.kind {
        SignalKind::Prometheus => Some(prometheus::ask(signal, live).await),
        SignalKind::Postgres => Some(postgres::ask(signal, live).await),
        SignalKind::Orca | SignalKind::Latency => None,
    }
}
