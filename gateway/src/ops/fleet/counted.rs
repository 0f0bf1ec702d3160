//! What one gateway counted of a room in a second, which the others learn with its heartbeat.
//!
//! What a line shows (waiting, inside, admitted) every gateway reads in the store. Here is the rest: what only the gateway knows
//! that a request came to.

use serde::{Deserialize, Serialize};

use crate::ops::number::{maybe_measured, measured};
use crate::telemetry::meters::JOIN_REFUSALS;

/// Rooms in a heartbeat: the busiest. A heartbeat is then at most [`LONGEST`] bytes long.
pub(crate) const MOST: usize = 64;
/// Bound on the rooms in a heartbeat, in bytes.
#[cfg(test)]
const LONGEST: usize = 16 << 10;

/// What a gateway counted of a room, in a second. What is zero is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RoomCounted {
    /// The name of its line.
    pub line: Box<str>,
    /// Newcomers who asked for a place and got none, by reason in the order of [`JOIN_REFUSALS`].
    #[serde(skip_serializing_if = "is_zero")]
    pub refused: [f32; JOIN_REFUSALS.len()],
    /// Shoppers who entered from the line.
    #[serde(skip_serializing_if = "is_zero", serialize_with = "measured")]
    pub entered: f32,
    /// The sum of their waits, in seconds.
    #[serde(skip_serializing_if = "is_zero", serialize_with = "measured")]
    pub waited: f32,
    /// Orders that the shop took, of routes with that class.
    #[serde(skip_serializing_if = "is_zero", serialize_with = "measured")]
    pub orders: f32,
    /// The 95th percentile of the shop's latency, in seconds, of all its traffic.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_measured")]
    pub upstream_p95: Option<f32>,
    /// Answers of the shop with a status of 500 and above, of all its traffic.
    #[serde(skip_serializing_if = "is_zero", serialize_with = "measured")]
    pub upstream_5xx: f32,
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl RoomCounted {
    /// Adds what another gateway counted. Of two percentiles the higher counts: what is slow anywhere has to be seen.
    pub(crate) fn add(&mut self, other: &Self) {
        self.refused.iter_mut().zip(other.refused).for_each(|(sum, refused)| *sum += refused);
        self.entered += other.entered;
        self.waited += other.waited;
        self.orders += other.orders;
        self.upstream_p95 = match (self.upstream_p95, other.upstream_p95) {
            (Some(one), Some(two)) => Some(one.max(two)),
            (one, two) => one.or(two),
        };
        self.upstream_5xx += other.upstream_5xx;
    }

    /// The mean wait of those who entered from the line, in seconds.
    pub(crate) fn mean_wait(&self) -> Option<f32> {
        (self.entered > 0.0).then(|| self.waited / self.entered)
    }

    /// Whether nothing was counted.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self { line: self.line.clone(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As long as it gets.
    fn longest() -> RoomCounted {
        RoomCounted {
            line: "x".repeat(32).into(),
            refused: [123_456.78; 3],
            entered: 123_456.78,
            waited: 123_456_789.0,
            orders: 123_456.78,
            upstream_p95: Some(0.123_456),
            upstream_5xx: 123_456.78,
        }
    }

    #[test]
    fn the_rooms_in_a_heartbeat_are_bounded_and_one_in_which_nothing_happens_is_short() {
        let text = serde_json::to_string(&vec![longest(); MOST]).expect("it is JSON");
        assert!(text.len() <= LONGEST, "{} bytes: {}", text.len(), &text[..300]);
        let quiet = RoomCounted { line: "launch".into(), ..RoomCounted::default() };
        assert_eq!(serde_json::to_string(&quiet).expect("it is JSON"), r#"{"line":"launch"}"#);
        assert!(quiet.is_nothing() && !longest().is_nothing());
    }

    #[test]
    fn what_was_written_is_read_and_what_another_version_adds_or_leaves_out_does_no_harm() {
        let one = RoomCounted { entered: 2.5, upstream_p95: Some(0.25), line: "launch".into(), ..Default::default() };
        let text = serde_json::to_string(&one).expect("it is JSON");
        assert_eq!(serde_json::from_str::<RoomCounted>(&text).ok(), Some(one));
        let other = serde_json::from_str::<RoomCounted>(r#"{"line":"launch","later":1}"#);
        assert!(other.is_ok_and(|other| other.is_nothing()));
    }

    #[test]
    fn counts_of_gateways_add_up_and_the_slower_shop_counts() {
        let mut sum = RoomCounted { entered: 1.0, waited: 30.0, refused: [1.0, 0.0, 2.0], ..Default::default() };
        sum.add(&RoomCounted { entered: 3.0, waited: 10.0, upstream_p95: Some(0.2), ..Default::default() });
        sum.add(&RoomCounted { refused: [0.0, 4.0, 1.0], upstream_p95: Some(0.1), ..Default::default() });
        assert_eq!((sum.mean_wait(), sum.refused, sum.upstream_p95), (Some(10.0), [1.0, 4.0, 3.0], Some(0.2)));
        assert_eq!(RoomCounted::default().mean_wait(), None);
    }
}
