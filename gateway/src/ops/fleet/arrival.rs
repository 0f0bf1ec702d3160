//! Whether a version has arrived: what each gateway says of it, and what one that says nothing may still do.
//!
//! Out of scope: what is changed by it.

use std::time::{Duration, Instant};

use policy::lease::{LEASE, Unheard, unheard};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{Fleet, Gateway};
use crate::ops::number;
use crate::settings::config::RoomConfig;
use crate::ui::{clock_of_day, iso};

/// How long the gateways may take: then what is known is told.
const PATIENCE: Duration = Duration::from_millis(1_800);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(40);
/// A gateway that was not heard for this long is not named any more: what it was lent is over.
pub(super) const FORGOTTEN: Duration = Duration::from_millis(LEASE + 5_000);

/// What became of a version at one gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Arrival {
    /// Its name.
    pub gateway: String,
    /// Seconds until it said that the version is in force there.
    #[serde(serialize_with = "number::maybe_real", default)]
    pub in_force_after: Option<f64>,
    /// Why it could not take it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// New shoppers that it may still let in without having heard; `None` where it has, and where nothing is known that bounds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_let_in: Option<u64>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The same in words.
    pub says: String,
}

impl Fleet {
    /// Waits until every gateway has this version or has refused it, for two seconds at most. One that was not heard acts by the
    /// version that it told last, which may be older than the one before.
    pub(crate) async fn arrival(&self, version: u64, since: Instant, room: &str) -> Vec<Arrival> {
        let mut arrived: Vec<Arrival> = Vec::new();
        loop {
            let known = self.known();
            let behind = known.iter().filter(|(gateway, _)| arrived.iter().all(|told| told.gateway != gateway.name));
            let news: Vec<Arrival> = behind.filter_map(|(gateway, _)| said(gateway, version, since)).collect();
            arrived.extend(news);
            let silent: Vec<_> =
                known.iter().filter(|(gateway, _)| arrived.iter().all(|told| told.gateway != gateway.name)).collect();
            if silent.is_empty() || since.elapsed() > PATIENCE {
                let versions = if silent.is_empty() { Vec::new() } else { self.versions().await.unwrap_or_default() };
                arrived.extend(silent.iter().map(|(gateway, heard)| {
                    let acts_by = self.plan.room_in(gateway.plan.rooms_version, &versions, room);
                    self.not_heard(gateway, *heard, acts_by.as_ref())
                }));
                arrived.sort_by(|a, b| a.gateway.cmp(&b.gateway));
                return arrived;
            }
            sleep(LOOK).await;
            self.refresh().await;
        }
    }

    fn not_heard(&self, gateway: &Gateway, heard: Instant, acts_by: Option<&RoomConfig>) -> Arrival {
        let now = self.store_time().unwrap_or_default();
        let heard = now.saturating_sub(heard.elapsed().as_millis() as u64);
        let (may_let_in, until, says) = match acts_by.map(|room| unheard(&room.at(now), heard, now)) {
            None => (None, None, "not heard: by which rules it acts is not known".to_owned()),
            Some(Unheard::NoMore) => (Some(0), None, "not heard: lets in no more without the store".to_owned()),
            Some(Unheard::UpTo { most, until }) => {
                let says = format!("not heard: may let in up to {most} more until {}", clock_of_day(until));
                (Some(most), Some(iso(until)), says)
            }
            Some(Unheard::All) => {
                let says = "not heard: lets everybody in, as the room is open to all there or its fail_mode says";
                (None, None, says.to_owned())
            }
        };
        Arrival { gateway: gateway.name.clone(), in_force_after: None, refused: Vec::new(), may_let_in, until, says }
    }
}

/// What a gateway has said of a version; `None`: nothing yet.
fn said(gateway: &Gateway, version: u64, since: Instant) -> Option<Arrival> {
    let plan = &gateway.plan;
    let told = |in_force_after, refused, says| Arrival {
        gateway: gateway.name.clone(),
        in_force_after,
        refused,
        may_let_in: None,
        until: None,
        says,
    };
    if plan.rooms_version == version {
        let after = (since.elapsed().as_secs_f64() * 100.0).round() / 100.0;
        return Some(told(Some(after), Vec::new(), format!("in force after {after} s")));
    }
    let refused = plan.refused.as_ref().filter(|refused| refused.version == version)?;
    Some(told(None, refused.why.clone(), format!("refused: {}", refused.why.join("; "))))
}
