//! Where a launch is simulated.

use evidence::Micros;
use launch_model::scenario::Scenario;
use policy::room::Rules;

/// Where a launch is simulated.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What the gateway is set to. [`rules`] are those that the scenario promises; others are a fault to be found.
    pub rules: Rules,
    /// What it is set to later, and when: in order of time.
    pub changes: Vec<(Micros, Rules)>,
    /// From when until when its store does not answer: in order of time.
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

/// What a room promises, as the policy takes it.
pub fn rules(scenario: &Scenario) -> Rules {
    let room = &scenario.room;
    Rules {
        rate: room.rate(),
        burst: room.burst(),
        total_active_users: room.total_active_users,
        session: u64::try_from(room.session_duration.0.as_millis()).unwrap_or(u64::MAX),
        ..Rules::per_minute(60)
    }
}
