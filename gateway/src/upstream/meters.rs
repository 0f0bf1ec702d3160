//! Answers of a server of the shop, and their latency.

use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram};

use super::{Priority, UpstreamError};
use crate::telemetry::meters::{CLASSES, class};
use crate::telemetry::{Durations, Series, catalogue};

/// Classes of traffic, in the order of [`Priority`].
pub const TRAFFIC: [(Priority, &str); 5] = [
    (Priority::Payment, "payment"),
    (Priority::Order, "order"),
    (Priority::Pass, "pass"),
    (Priority::Return, "return"),
    (Priority::Anonymous, "anonymous"),
];

/// Answers of a server of the shop, and their latency.
#[derive(Debug)]
pub struct ServerMeters {
    upstream: Box<str>,
    server: Box<str>,
    series: Series,
    latency: [Histogram; TRAFFIC.len()],
    responses: [[Counter; CLASSES.len()]; TRAFFIC.len()],
    failures: [Counter; FAILURES.len()],
}

const FAILURES: [&str; 7] = ["connect", "tls", "timeout", "reset", "head_too_large", "garbage", "http2"];

impl ServerMeters {
    /// The meters of this server of this upstream.
    pub fn of(upstream: &str, server: &str) -> Self {
        let series = Series::default();
        let latency = TRAFFIC.map(|(_, who)| series.histogram(&catalogue::UPSTREAM_LATENCY, &[upstream, server, who]));
        let responses = TRAFFIC.map(|(_, who)| {
            CLASSES.map(|class| series.counter(&catalogue::UPSTREAM_RESPONSES, &[upstream, server, who, class]))
        });
        let failures =
            FAILURES.map(|reason| series.counter(&catalogue::UPSTREAM_FAILURES, &[upstream, server, reason]));
        Self { upstream: upstream.into(), server: server.into(), series, latency, responses, failures }
    }

    /// How long its answers took so far, of all classes of traffic.
    pub fn latencies(&self) -> Durations {
        let mut all = Durations::default();
        for (_, who) in TRAFFIC {
            all.add(&self.series.durations(&catalogue::UPSTREAM_LATENCY, &[&self.upstream, &self.server, who]));
        }
        all
    }

    /// Its answers so far with a status of 500 and above.
    pub fn errors(&self) -> u64 {
        let labels = TRAFFIC.map(|(_, who)| [&*self.upstream, &*self.server, who, CLASSES[CLASSES.len() - 1]]);
        labels.iter().map(|labels| self.series.count(&catalogue::UPSTREAM_RESPONSES, labels)).sum()
    }

    /// Counts an answer whose head came after `after`.
    pub fn answered(&self, who: Priority, status: StatusCode, after: Duration) {
        self.responses[who as usize][class(status)].increment(1);
        self.latency[who as usize].record(after);
    }

    /// Counts a failure, if it was the server's fault.
    pub fn failed(&self, error: &UpstreamError) {
        let index = match error {
            UpstreamError::Connect { .. } => 0,
            UpstreamError::Tls { .. } => 1,
            UpstreamError::Timeout => 2,
            UpstreamError::Reset(_) => 3,
            UpstreamError::HeadTooLarge(_) => 4,
            UpstreamError::Garbage(_) | UpstreamError::NotAskedToSwitch => 5,
            UpstreamError::Http2 { .. } => 6,
            _ => return,
        };
        self.failures[index].increment(1);
    }

    /// All its series.
    pub fn series(&self) -> &Series {
        &self.series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_traffic_stands_at_its_place() {
        for (place, (who, _)) in TRAFFIC.iter().enumerate() {
            assert_eq!(*who as usize, place);
        }
    }
}
