//! The setting of a simulated launch.

use evidence::Micros;
use launch_model::scenario::Scenario;
use policy::room::Rules;

/// The setting of a simulated launch.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The gateway's rules. [`rules`] are the promised ones; others are a fault to be found.
    pub rules: Rules,
    /// Later rules, and when: in order of time.
    pub changes: Vec<(Micros, Rules)>,
    /// Outages of its store, from when until when: in order of time.
    pub outages: Vec<(Micros, Micros)>,
    /// Unix time of the start, in microseconds.
    pub start_unix_us: i64,
}

impl Setup {
    /// A gateway that is set to what the scenario promises.
    pub fn of(scenario: &Scenario, start_unix_us: i64) -> Self {
        Self { rules: rules(scenario), changes: Vec::new(), outages: Vec::new(), start_unix_us }
    }
}

/// A room's promises, as the policy takes them.
pub fn rules(scenario: &Scenario) -> Rules {
    let room = &scenario.room;
    Rules {
        rate: room.rate(),
        burst: room.burst(),
        total_active_users: room.total_active_users,
        session: u64::try_from(room.session_duration.0.as_millis()).unwrap_or(u64::MAX),
        round: room.random_round.map(|round| u64::try_from(round.0.as_millis()).unwrap_or(u64::MAX)),
        ..Rules::per_minute(60)
    }
}
