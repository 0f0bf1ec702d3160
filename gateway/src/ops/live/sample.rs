//! One sample: rooms and gateways at a moment.
//!
//! A sample is bounded, and so is the hour ([`LARGEST`]). A room in which nothing changed is kept once for all its seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::action::State;
use policy::cap::CapKind;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::counting::Counted;
#[cfg(test)]
use super::{ROOMS, SAMPLES};
use crate::line::rooms::LiveRoom;
use crate::line::store::registry::SILENCE;
use crate::ops::fleet::Gateway;
#[cfg(test)]
use crate::ops::fleet::peers;
use crate::ops::number::{maybe_measured, measured};
use crate::ops::schema;

/// The most that an hour takes, in bytes.
#[cfg(test)]
const LARGEST: usize = 48 << 20;

/// Rooms and gateways at a moment; rates are those of the second before.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sample {
    /// When, by this gateway's clock, in milliseconds since 1970.
    pub at_ms: u64,
    /// The busiest rooms, by name.
    #[serde(serialize_with = "each")]
    #[schema(value_type = Vec<RoomSample>)]
    pub rooms: Box<[Arc<RoomSample>]>,
    /// Other rooms.
    rooms_left_out: usize,
    /// The gateways on the store, this one included, by name.
    #[schema(value_type = Vec<GatewaySample>)]
    pub gateways: Box<[GatewaySample]>,
}

/// A room at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct RoomSample {
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub name: Arc<str>,
    /// As in `/api/rooms/{name}/status`.
    #[serde(serialize_with = "state")]
    #[schema(value_type = schema::RoomState)]
    state: State,
    /// The status of its line.
    status: &'static str,
    /// Whether the store fails to answer this gateway: what a line shows is then stale.
    store_away: bool,
    /// Tickets handed out and not called.
    pub waiting: u64,
    /// Live passes.
    inside: u64,
    /// Bound on them.
    seats: Option<u64>,
    /// Tickets handed out.
    #[serde(serialize_with = "measured")]
    pub arrivals_per_second: f32,
    /// Passes given.
    #[serde(serialize_with = "measured")]
    pub admitted_per_second: f32,
    /// The operator's limit.
    new_users_per_minute: u32,
    /// The limit at this moment: less while a cap is in force.
    #[serde(serialize_with = "measured")]
    pub allowed_per_minute: f32,
    /// The kind of source whose cap that is.
    capped_by: Option<&'static str>,
    /// The wait that a newcomer is shown; none is told while the line stands.
    wait_told_seconds: Option<WaitTold>,
    /// The mean wait of those who entered from the line.
    #[serde(serialize_with = "maybe_measured")]
    wait_had_seconds: Option<f32>,
    /// Share of called tickets whose holders do not come.
    #[serde(serialize_with = "measured")]
    no_show_share: f32,
    /// Newcomers who asked for a place and got none.
    refused_per_second: Refused,
    /// Orders that the shop took; none are counted without a route of that class.
    #[serde(serialize_with = "maybe_measured")]
    orders_per_second: Option<f32>,
    /// The 95th percentile of the shop's latency, at the gateway where it is highest; absent without an answer.
    #[serde(serialize_with = "maybe_measured")]
    upstream_p95_seconds: Option<f32>,
    /// Answers of the shop with a status of 500 and above.
    #[serde(serialize_with = "measured")]
    pub upstream_5xx_per_second: f32,
}

/// The ends of a range, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
struct WaitTold {
    low: u32,
    high: u32,
}

/// Newcomers who got no place, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[schema(as = RefusedPerSecond)]
struct Refused {
    #[serde(serialize_with = "measured")]
    suspended: f32,
    #[serde(serialize_with = "measured")]
    full: f32,
    #[serde(serialize_with = "measured")]
    quota: f32,
}

/// A gateway at a moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GatewaySample {
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub name: Arc<str>,
    /// The version of the rooms that is in force there.
    pub rooms_version: u64,
    /// How long nothing new was heard of it; 0 for this gateway.
    #[serde(serialize_with = "measured")]
    pub silent_seconds: f32,
    /// Whether the store fails to answer it for some room.
    pub store_away: bool,
    /// What it does; null when it was silent for too long to know.
    load: Option<Load>,
}

/// What a gateway does.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
struct Load {
    #[serde(serialize_with = "measured")]
    requests_per_second: f32,
    #[serde(serialize_with = "measured")]
    joins_per_second: f32,
    #[serde(serialize_with = "measured")]
    admissions_per_second: f32,
    connections: u32,
    in_flight: u32,
}

impl Sample {
    /// The sample of this moment. What is as it was `before` is kept once.
    pub(super) fn new(
        at_ms: u64,
        rooms: Vec<RoomSample>,
        rooms_left_out: usize,
        mut gateways: Vec<GatewaySample>,
        before: Option<&Self>,
    ) -> Self {
        let known = before.map_or(&[] as &[_], |before| &before.rooms);
        let kept =
            |room: RoomSample| known.iter().find(|known| ***known == room).cloned().unwrap_or_else(|| Arc::new(room));
        let named = before.map_or(&[] as &[_], |before| &before.gateways);
        for gateway in &mut gateways {
            if let Some(known) = named.iter().find(|known| known.name == gateway.name) {
                gateway.name = known.name.clone();
            }
        }
        gateways.sort_by(|a, b| a.name.cmp(&b.name));
        Self { at_ms, rooms: rooms.into_iter().map(kept).collect(), rooms_left_out, gateways: gateways.into() }
    }

    /// One without rooms and gateways.
    #[cfg(test)]
    pub(crate) fn empty(at_ms: u64) -> Self {
        Self { at_ms, rooms: Box::default(), rooms_left_out: 0, gateways: Box::default() }
    }
}

impl RoomSample {
    /// The wait that a newcomer is shown, from and to, in seconds; none is told while the line stands.
    pub(crate) fn wait_told(&self) -> Option<(u32, u32)> {
        self.wait_told_seconds.map(|told| (told.low, told.high))
    }

    /// The 95th percentile of the shop's latency, in seconds.
    pub(crate) fn upstream_p95(&self) -> Option<f32> {
        self.upstream_p95_seconds
    }

    /// The room, with what all gateways counted of it.
    pub(super) fn of(room: &LiveRoom, counted: &Counted, has_orders: bool) -> Self {
        let (snapshot, terms) = (room.snapshot(), room.settings());
        let view = snapshot.view.clone().unwrap_or_default();
        let (rules, here) = (&terms.in_force(&snapshot, Instant::now()).rules, &counted.here);
        let told = snapshot.answers.newcomers_wait();
        let [suspended, full, quota] = here.refused;
        Self {
            name: terms.name.clone(),
            state: terms.state.with_left(view.waiting() + view.claimants + view.entering),
            status: snapshot.state.name(),
            store_away: snapshot.away,
            waiting: view.waiting(),
            inside: view.active,
            seats: rules.total_active_users,
            arrivals_per_second: counted.arrivals,
            admitted_per_second: counted.admitted,
            new_users_per_minute: (rules.rate * 60.0).round() as u32,
            allowed_per_minute: (view.rate(rules) * 60.0) as f32,
            capped_by: view.capped_by.map(CapKind::name),
            wait_told_seconds: told.map(|told| WaitTold { low: told.low as u32, high: told.high as u32 }),
            wait_had_seconds: here.mean_wait(),
            no_show_share: (1.0 - view.show_share) as f32,
            refused_per_second: Refused { suspended, full, quota },
            orders_per_second: has_orders.then_some(here.orders),
            upstream_p95_seconds: here.upstream_p95,
            upstream_5xx_per_second: here.upstream_5xx,
        }
    }
}

impl GatewaySample {
    /// This gateway, silent for so long.
    pub(super) fn of(gateway: &Gateway, silent: Duration) -> Self {
        let load = Load {
            requests_per_second: gateway.requests_per_second as f32,
            joins_per_second: gateway.joins_per_second as f32,
            admissions_per_second: gateway.admissions_per_second as f32,
            connections: gateway.connections as u32,
            in_flight: gateway.in_flight as u32,
        };
        Self {
            name: gateway.name.as_str().into(),
            rooms_version: gateway.plan.rooms_version,
            silent_seconds: silent.as_secs_f32(),
            store_away: gateway.store_away,
            load: (silent < SILENCE).then_some(load),
        }
    }
}

fn text<S: Serializer>(name: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(name)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn state<S: Serializer>(state: &State, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(state.name())
}

fn each<S: Serializer>(rooms: &[Arc<RoomSample>], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(rooms.iter().map(|room| &**room))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(waiting: u64) -> RoomSample {
        RoomSample {
            name: "launch".into(),
            state: State::LastCall,
            status: "event_prequeueing",
            store_away: false,
            waiting,
            inside: 40,
            seats: Some(500),
            arrivals_per_second: 12.5,
            admitted_per_second: 10.0,
            new_users_per_minute: 600,
            allowed_per_minute: 480.0,
            capped_by: Some("gate"),
            wait_told_seconds: Some(WaitTold { low: 90, high: 150 }),
            wait_had_seconds: Some(101.25),
            no_show_share: 0.1,
            refused_per_second: Refused { suspended: 0.0, full: 1.0, quota: 0.0 },
            orders_per_second: None,
            upstream_p95_seconds: Some(0.045),
            upstream_5xx_per_second: 0.0,
        }
    }

    #[test]
    fn an_hour_of_the_most_rooms_and_gateways_stays_within_its_bytes() {
        // An `Arc` keeps two counts, and the list a pointer.
        let of_room = size_of::<RoomSample>() + 3 * size_of::<usize>();
        let sample = size_of::<Sample>() + ROOMS * of_room + (peers::MOST + 1) * size_of::<GatewaySample>();
        assert!(SAMPLES * sample <= LARGEST, "{sample} bytes each, {} in an hour", SAMPLES * sample);
    }

    #[test]
    fn a_room_in_which_nothing_changed_is_kept_once() {
        let first = Sample::new(1, vec![room(7)], 0, Vec::new(), None);
        let second = Sample::new(2, vec![room(7)], 0, Vec::new(), Some(&first));
        let third = Sample::new(3, vec![room(8)], 0, Vec::new(), Some(&second));
        assert!(Arc::ptr_eq(&first.rooms[0], &second.rooms[0]) && !Arc::ptr_eq(&second.rooms[0], &third.rooms[0]));
    }

    #[test]
    fn a_sample_is_json_that_the_documents_describe() {
        let sample = Sample::new(1_764_532_800_000, vec![room(120)], 0, Vec::new(), None);
        insta::assert_json_snapshot!(sample);
    }
}
