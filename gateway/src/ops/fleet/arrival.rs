//! Whether a version has arrived, or a line of the audit: what each gateway says of it, and what one that says nothing may still do.
//!
//! Out of scope: what is changed by it.

use std::time::{Duration, Instant};

use policy::audit::Head;
use policy::lease::{LEASE, Unheard, unheard};
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout, timeout_at};
use utoipa::ToSchema;

use super::{Fleet, Gateway};
use crate::ops::number;
use crate::settings::config::RoomConfig;
use crate::ui::{clock_of_day, iso};

/// How long the gateways may take: then what is known is told...
const PATIENCE: Duration = Duration::from_millis(1_700);
/// ...and how long the store may take to say by which rules a silent one acts.
const LAST_WORD: Duration = Duration::from_millis(250);
/// An answer comes within this time of the action, whatever a gateway does.
const ANSWER: Duration = Duration::from_secs(2);
const _: () = assert!(PATIENCE.as_millis() + LAST_WORD.as_millis() < ANSWER.as_millis());
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(40);
/// A gateway that was not heard for this long is not named any more: what it was lent is over.
pub(super) const FORGOTTEN: Duration = Duration::from_millis(LEASE + 5_000);

/// What gateways are asked about.
#[derive(Debug, Clone)]
pub(crate) enum Awaited<'a> {
    /// This version of the rooms, which changes this room.
    Version(u64, &'a str),
    /// A line of the audit that every gateway obeys, or one behind it.
    Line(Head),
}

/// What became of it at one gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
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
    /// Waits until every gateway has it or has refused it, for less than [`ANSWER`]. One that was not heard acts by the
    /// version that it told last, which may be older than the one before.
    pub(crate) async fn arrival(&self, awaited: Awaited<'_>, since: Instant) -> Vec<Arrival> {
        let mut arrived: Vec<Arrival> = Vec::new();
        let deadline = (since + PATIENCE).into();
        loop {
            let known = self.known();
            let behind = known.iter().filter(|(gateway, _)| arrived.iter().all(|told| told.gateway != gateway.name));
            let news: Vec<Arrival> = behind.filter_map(|(gateway, _)| self.said(gateway, &awaited, since)).collect();
            arrived.extend(news);
            let silent: Vec<_> =
                known.iter().filter(|(gateway, _)| arrived.iter().all(|told| told.gateway != gateway.name)).collect();
            if silent.is_empty() || since.elapsed() >= PATIENCE {
                let versions = if silent.is_empty() { None } else { timeout(LAST_WORD, self.versions()).await.ok() };
                let versions = versions.and_then(Result::ok).unwrap_or_default();
                arrived.extend(silent.iter().map(|(gateway, heard)| match &awaited {
                    Awaited::Version(_, room) => {
                        let acts_by = self.plan.room_in(gateway.plan.rooms_version, &versions, room);
                        self.not_heard(gateway, *heard, acts_by.as_ref())
                    }
                    Awaited::Line(_) => {
                        not_there(gateway, "not heard: it counts there until it hears or the pass runs out")
                    }
                }));
                arrived.sort_by(|a, b| a.gateway.cmp(&b.gateway));
                return arrived;
            }
            let look = async {
                sleep(LOOK).await;
                self.refresh().await;
            };
            // An exchange that is late is left: the next one does its work.
            let _ = timeout_at(deadline, look).await;
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

    /// What a gateway has said of it; `None`: nothing yet.
    fn said(&self, gateway: &Gateway, awaited: &Awaited<'_>, since: Instant) -> Option<Arrival> {
        let plan = &gateway.plan;
        let told = |in_force_after, refused, says| Arrival {
            gateway: gateway.name.clone(),
            in_force_after,
            refused,
            may_let_in: None,
            until: None,
            says,
        };
        let is_there = match awaited {
            Awaited::Version(version, _) => plan.rooms_version == *version,
            Awaited::Line(line) => self.trail.is_behind(&gateway.audit, line),
        };
        if is_there {
            let after = (since.elapsed().as_secs_f64() * 100.0).round() / 100.0;
            return Some(told(Some(after), Vec::new(), format!("in force after {after} s")));
        }
        let Awaited::Version(version, _) = awaited else { return None };
        let refused = plan.refused.as_ref().filter(|refused| refused.version == *version)?;
        Some(told(None, refused.why.clone(), format!("refused: {}", refused.why.join("; "))))
    }
}

/// A gateway that has said nothing, of which no number is known.
fn not_there(gateway: &Gateway, says: &str) -> Arrival {
    Arrival {
        gateway: gateway.name.clone(),
        in_force_after: None,
        refused: Vec::new(),
        may_let_in: None,
        until: None,
        says: says.to_owned(),
    }
}
