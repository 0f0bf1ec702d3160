//! The gateways' side: their settings, and their reports of the room.

use std::time::Duration;

use anyhow::Context;
use evidence::{GatewaySample, micros};
use launch_model::scenario::Room;
use launch_model::span::Span;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use verdict::{Check, Outcome};

use super::http_poller::HttpPoller;

/// Poll interval of a gateway.
const EVERY: Duration = Duration::from_millis(250);

/// A room, as the operator's API tells it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RoomStatus {
    name: String,
    store_away: bool,
    store_time_ms: u64,
    waiting: u64,
    active_users: u64,
    total_active_users: Option<u64>,
    admitted: u64,
    new_users_per_minute: f64,
    /// What is left of it while the shop takes less; a gateway that does not tell lets in all of it.
    #[serde(default)]
    allowed_per_minute: Option<f64>,
    burst: f64,
    session_duration_ms: u64,
    limits_enforced: bool,
    limits_given_up: bool,
    /// In RFC 3339; none without an event to come.
    #[serde(default)]
    next_event_start_time: Option<String>,
}

impl RoomStatus {
    /// New shoppers per minute that it lets in now.
    fn in_force(&self) -> f64 {
        self.allowed_per_minute.map_or(self.new_users_per_minute, |allowed| allowed.min(self.new_users_per_minute))
    }
}

/// When the next event of the room starts, in milliseconds since 1970, as the first gateway tells it.
pub(crate) fn event_start_ms(room: &Room, gateways: &[(String, Vec<RoomStatus>)]) -> Option<i64> {
    let (_, rooms) = gateways.first()?;
    let told = rooms.iter().find(|told| told.name == room.name)?.next_event_start_time.as_ref()?;
    let at = OffsetDateTime::parse(told, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

/// All rooms of a gateway.
pub(crate) async fn rooms(gateway: &mut HttpPoller) -> anyhow::Result<Vec<RoomStatus>> {
    serde_json::from_slice(&gateway.get("/api/rooms").await?).with_context(|| {
        format!("http://{}/api/rooms is not the admin listener of a Weir of this version", gateway.name)
    })
}

/// The latest report of any gateway.
pub(crate) type Latest = watch::Sender<Option<GatewaySample>>;

/// One gateway, polled for the room of the run.
pub(crate) struct Sampler {
    pub(crate) index: u16,
    pub(crate) gateway: HttpPoller,
    pub(crate) room: String,
    pub(crate) start: Instant,
    pub(crate) latest: Latest,
}

impl Sampler {
    /// Polls until `stop`, and once more. A poll without an answer leaves no sample.
    pub(crate) async fn sample(mut self, stop: CancellationToken) -> Vec<GatewaySample> {
        let mut samples = Vec::new();
        let mut tick = interval_at(self.start, EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            samples.extend(self.ask().await);
        }
        samples.extend(self.ask().await);
        samples
    }

    async fn ask(&mut self) -> Option<GatewaySample> {
        let at = micros(self.start.elapsed());
        let answer = self.gateway.get(&format!("/api/rooms/{}/status", self.room)).await.ok()?;
        let told: RoomStatus = serde_json::from_slice(&answer).ok()?;
        let sample = GatewaySample {
            at,
            gateway: self.index,
            store_time_ms: told.store_time_ms,
            admitted: told.admitted,
            waiting: told.waiting,
            active_users: told.active_users,
            new_users_per_minute: told.in_force(),
            store_away: told.store_away,
            limits_given_up: told.limits_given_up,
        };
        self.latest.send_replace(Some(sample));
        Some(sample)
    }
}

/// Whether each gateway is set to what the scenario promises.
pub(crate) fn set_as_promised(room: &Room, gateways: &[(String, Vec<RoomStatus>)]) -> Check {
    let faults: Vec<String> = gateways
        .iter()
        .flat_map(|(name, rooms)| faults(room, rooms).into_iter().map(move |f| format!("{name}: {f}")))
        .collect();
    let (outcome, detail) = match () {
        () if gateways.is_empty() => (Outcome::Unknown, "No --admin address was given.".to_owned()),
        () if faults.is_empty() => (Outcome::Held, format!("{} of {} asked.", gateways.len(), gateways.len())),
        () => (Outcome::Broken, format!("{}. All is held against the scenario.", faults.join("; "))),
    };
    let measured = (!gateways.is_empty()).then_some(faults.len() as f64);
    Check {
        id: "settings".into(),
        promise: None,
        title: "The gateways are set to what the scenario promises".into(),
        outcome,
        measured,
        allowed: Some(0.0),
        unit: "differences".into(),
        detail,
    }
}

fn faults(room: &Room, told: &[RoomStatus]) -> Vec<String> {
    let Some(set) = told.iter().find(|told| told.name == room.name) else {
        let names: Vec<_> = told.iter().map(|told| &*told.name).collect();
        return vec![format!("no room is named {:?}, only {names:?}", room.name)];
    };
    let near = |is: f64, promised: f64| (is - promised).abs() <= 1e-6 * promised;
    let seats = |seats: Option<u64>| seats.map_or("no bound".to_owned(), |seats| seats.to_string());
    let session = Span(Duration::from_millis(set.session_duration_ms));
    let (rate, promised_rate) = (set.new_users_per_minute, room.new_users_per_minute);
    let (burst, promised_burst) = (set.burst, room.burst());
    let keys = [
        ("new_users_per_minute", near(rate, promised_rate), rate.to_string(), promised_rate.to_string()),
        ("burst", near(burst, promised_burst), burst.to_string(), promised_burst.to_string()),
        (
            "total_active_users",
            set.total_active_users == room.total_active_users,
            seats(set.total_active_users),
            seats(room.total_active_users),
        ),
        ("session_duration", session == room.session_duration, session.to_string(), room.session_duration.to_string()),
    ];
    let differing = keys.into_iter().filter(|(_, same, ..)| !same);
    let mut faults: Vec<_> = differing.map(|(key, _, is, promised)| format!("{key} is {is}, not {promised}")).collect();
    if !set.limits_enforced {
        faults.push("its limits are only reported (passthrough)".into());
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Room {
        serde_json::from_str(r#"{"new_users_per_minute": 600, "total_active_users": 50}"#).unwrap()
    }

    fn told(change: impl Fn(&mut RoomStatus)) -> Vec<(String, Vec<RoomStatus>)> {
        let mut told = RoomStatus {
            name: "launch".into(),
            store_away: false,
            store_time_ms: 0,
            waiting: 0,
            active_users: 0,
            total_active_users: Some(50),
            admitted: 0,
            new_users_per_minute: 600.0,
            allowed_per_minute: None,
            burst: 10.0,
            session_duration_ms: 300_000,
            limits_enforced: true,
            limits_given_up: false,
            next_event_start_time: None,
        };
        change(&mut told);
        vec![("gateway:9090".into(), vec![told])]
    }

    #[test]
    fn the_rate_in_force_is_that_of_the_settings_or_less() {
        let in_force = |allowed| told(|room| room.allowed_per_minute = allowed)[0].1[0].in_force();
        assert_eq!([None, Some(180.0), Some(600.0), Some(900.0)].map(in_force), [600.0, 180.0, 600.0, 600.0]);
        let cut = told(|room| room.allowed_per_minute = Some(180.0));
        assert_eq!(set_as_promised(&room(), &cut).outcome, Outcome::Held, "it is set as promised all the same");
    }

    #[test]
    fn the_start_of_an_event_is_read_from_the_first_gateway() {
        let start = |text: Option<&str>| {
            event_start_ms(&room(), &told(|room| room.next_event_start_time = text.map(str::to_owned)))
        };
        assert_eq!(start(Some("2027-01-15T08:00:00.123Z")), Some(1_800_000_000_123));
        assert_eq!([start(None), start(Some("soon")), event_start_ms(&room(), &[])], [None; 3]);
    }

    type Change = fn(&mut RoomStatus);

    #[test]
    fn a_gateway_that_is_set_otherwise_is_found() {
        assert_eq!(set_as_promised(&room(), &told(|_| ())).outcome, Outcome::Held);
        assert_eq!(set_as_promised(&room(), &[]).outcome, Outcome::Unknown);
        let wrong: [(Change, &str); 6] = [
            (|room| room.new_users_per_minute = 1200.0, "gateway:9090: new_users_per_minute is 1200, not 600"),
            (|room| room.burst = 100.0, "burst is 100, not 10"),
            (|room| room.session_duration_ms = 40_000, "session_duration is 40s, not 5m"),
            (|room| room.total_active_users = None, "total_active_users is no bound, not 50"),
            (|room| room.limits_enforced = false, "only reported"),
            (|room| room.name = "other".into(), r#"no room is named "launch", only ["other"]"#),
        ];
        for (change, word) in wrong {
            let check = set_as_promised(&room(), &told(change));
            assert_eq!((check.outcome, check.measured), (Outcome::Broken, Some(1.0)));
            assert!(check.detail.contains(word), "{}", check.detail);
        }
    }
}
