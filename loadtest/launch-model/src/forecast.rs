//! The forecast of a launch, before the first visitor is sent: people as a fluid.
//!
//! ```text
//! line' = arrivals - rate / h      while the line stands; h = share of tickets whose holder shows up when called
//! line' = arrivals                 before the start of an event
//! ```
//!
//! No-shows are called like all others, so the line moves faster than people enter. The burst of
//! a calm room is spent first. The wait of a visitor who comes now is the line now, divided by its speed.
//!
//! Out of scope: chance, delay, and the gateway. A measured run differs by the little that those bring.

use crate::arrivals::Arrivals;
use crate::persona::Persona;
use crate::scenario::{Connections, Scenario};
use crate::span::Span;
use policy::pacer::{PollTable, pace};

/// Steps of the integral: this many over the whole launch, and at least one in 100 ms.
const STEPS: f64 = 5_000.0;
/// The longest step in seconds.
const LONGEST_STEP: f64 = 0.1;
/// A poll keeps a connection for about so many seconds.
const KEPT: f64 = 2.0;
/// A closed connection holds its port for so many seconds (`TIME_WAIT` of Linux).
const TIME_WAIT: f64 = 60.0;
/// Ports that one source address has (`ip_local_port_range` of Linux).
const PORTS: f64 = 28_232.0;
/// Requests for the assets of a waiting page.
const ASSETS: f64 = 2.0;

/// The forecast of a launch.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Visitors expected.
    pub visitors: f64,
    /// Length until closing, in seconds.
    pub seconds: f64,
    /// Share of tickets whose holder shows up when called, 0 to 1.
    pub shows: f64,
    /// The line over time, from the start to closing.
    pub line: Vec<Moment>,
    /// The line begins and ends to be empty: pairs of seconds; the last end is absent if it still stands at closing.
    pub stands: Vec<(f64, Option<f64>)>,
    /// Let in by closing.
    pub let_in: f64,
    /// Peak of visitors inside, if nothing is slow.
    pub inside: f64,
    /// Peak of requests per second.
    pub requests: f64,
    /// Peak of ports taken, of each source address.
    pub ports: f64,
}

/// The line at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Seconds since the start.
    pub at: f64,
    /// Arrivals expected by then.
    pub arrived: f64,
    /// Waiting.
    pub waiting: f64,
    /// Wait of a visitor who comes now, in seconds.
    pub wait: f64,
}

impl Forecast {
    /// The forecast of a launch.
    pub fn of(scenario: &Scenario) -> Self {
        let seconds = scenario.closes().as_secs_f64();
        let tickets = 1.0 + scenario.share(Persona::LosesCookies);
        let away: f64 = [Persona::NoShow, Persona::StuffsLine].map(|persona| scenario.share(persona)).iter().sum();
        let shows = (1.0 - away).max(0.01) / tickets;
        let speed = scenario.room.rate() / shows;
        let opens = scenario.room.event_start.map_or(0.0, Span::seconds);
        let burst = scenario.room.burst();
        let mut fluid = Fluid { arrivals: Arrivals::of(scenario), tickets, speed, shows, burst, opens };
        let (line, let_in) = fluid.flow(seconds);
        let inside = scenario.room.rate() * stay(scenario);
        let most = |of: &dyn Fn(&Moment) -> f64| line.iter().map(of).fold(0.0, f64::max);
        let requests = busiest(scenario, &line, speed);
        Self {
            visitors: fluid.arrivals.expected(),
            seconds,
            shows,
            stands: stands(&line),
            let_in,
            inside: scenario.room.total_active_users.map_or(inside, |seats| inside.min(seats as f64)),
            requests,
            ports: ports(scenario, requests, most(&|moment| moment.waiting)),
            line,
        }
    }

    /// The moment at which most people wait, and thus longest.
    pub fn worst(&self) -> Option<&Moment> {
        self.line.iter().max_by(|a, b| a.waiting.total_cmp(&b.waiting))
    }

    /// The line at so many seconds after the start.
    pub fn at(&self, seconds: f64) -> Option<Moment> {
        let after = self.line.partition_point(|moment| moment.at <= seconds);
        let (from, to) = (self.line.get(after.saturating_sub(1))?, self.line.get(after).or(self.line.last())?);
        let part = if to.at > from.at { (seconds - from.at) / (to.at - from.at) } else { 0.0 };
        let between = |from: f64, to: f64| from + (to - from) * part;
        Some(Moment {
            at: seconds,
            arrived: between(from.arrived, to.arrived),
            waiting: between(from.waiting, to.waiting),
            wait: between(from.wait, to.wait),
        })
    }

    /// Whether each source address has ports enough.
    pub fn has_ports(&self) -> bool {
        self.ports < PORTS
    }
}

/// People who flow through a room.
struct Fluid {
    arrivals: Arrivals,
    tickets: f64,
    speed: f64,
    shows: f64,
    burst: f64,
    /// Seconds until the first may enter.
    opens: f64,
}

impl Fluid {
    /// The line over time, and how many were let in.
    fn flow(&mut self, seconds: f64) -> (Vec<Moment>, f64) {
        let step = LONGEST_STEP.max(seconds / STEPS);
        let (mut waiting, mut spare, mut arrived, mut let_in) = (0.0, self.burst, 0.0, 0.0);
        let mut line = vec![Moment { at: 0.0, arrived, waiting, wait: 0.0 }];
        for index in 1..=(seconds / step).ceil() as u32 {
            let at = f64::from(index) * step;
            let now = self.arrivals.expected_by(at);
            // Without a line a place costs one of the spare ones; in the line one ticket in so many is claimed.
            let came = now - arrived;
            arrived = now;
            if at <= self.opens {
                waiting += came * self.tickets;
                spare = 0.0;
            } else if waiting <= 0.0 && came <= spare {
                let_in += came;
                spare = (spare - came + self.speed * self.shows * step).min(self.burst);
            } else {
                let calls = self.speed * step + spare / self.shows;
                let called = calls.min(waiting + came * self.tickets);
                spare = 0.0;
                waiting += came * self.tickets - called;
                let_in += called * self.shows;
            }
            let wait = (self.opens - at).max(0.0) + waiting / self.speed;
            line.push(Moment { at, arrived, waiting, wait });
        }
        (line, let_in)
    }
}

fn stands(line: &[Moment]) -> Vec<(f64, Option<f64>)> {
    let mut stands: Vec<(f64, Option<f64>)> = Vec::new();
    for moment in line {
        match stands.last_mut() {
            Some((_, end @ None)) if moment.waiting < 1.0 => *end = Some(moment.at),
            Some((_, None)) => {}
            _ if moment.waiting >= 1.0 => stands.push((moment.at, None)),
            _ => {}
        }
    }
    stands
}

/// Seconds that a visitor is inside: a thought for each page but the last.
fn stay(scenario: &Scenario) -> f64 {
    let mean = |[shortest, longest]: [Span; 2]| f64::midpoint(shortest.seconds(), longest.seconds());
    let habits = &scenario.habits;
    match &scenario.journey {
        Some(journey) => journey.steps.iter().skip(1).map(|step| mean(step.think.unwrap_or(habits.think))).sum(),
        None => mean(habits.think) * pages(scenario),
    }
}

/// Pages that a visitor asks for after the first, redirects apart.
fn pages(scenario: &Scenario) -> f64 {
    if let Some(journey) = &scenario.journey {
        return journey.steps.len().saturating_sub(1) as f64;
    }
    f64::from(scenario.habits.browse) + scenario.habits.cart + 2.0
}

/// Requests in the busiest second: of visitors who arrive, wait and are inside.
fn busiest(scenario: &Scenario, line: &[Moment], speed: f64) -> f64 {
    let inside = scenario.room.rate() * (1.0 + pages(scenario));
    let assets = if scenario.habits.assets { ASSETS } else { 0.0 };
    let pace = pace(speed, 0.0, scenario.room.rate());
    let in_step = |pair: &[Moment]| {
        let arriving = (pair[1].arrived - pair[0].arrived) / (pair[1].at - pair[0].at);
        let page = if pair[1].waiting > 0.0 { 1.0 + assets } else { 1.0 };
        arriving * page + PollTable::CALM.polls_per_second(pair[1].waiting as u64, pace)
    };
    inside + line.windows(2).map(in_step).fold(0.0, f64::max)
}

fn ports(scenario: &Scenario, requests: f64, waiting: f64) -> f64 {
    let kept = match scenario.wire.connections {
        Connections::New => requests * TIME_WAIT,
        Connections::Own => requests * (KEPT + TIME_WAIT) / 2.0 + waiting.min(requests * KEPT),
        Connections::Shared(count) => f64::from(count),
    };
    kept / f64::from(scenario.wire.addresses.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(rate: f64, seconds: u32, closing: u32, no_show: f64) -> Forecast {
        Forecast::of(&scenario(rate, seconds, closing, no_show))
    }

    fn scenario(rate: f64, seconds: u32, closing: u32, no_show: f64) -> Scenario {
        let text = format!(
            "name = 't'\nclosing = '{closing}s'\nspacing = 'even'\n[room]\nnew_users_per_minute = 600\n\
             [[arrivals]]\nkind = 'flat'\nrate = {rate:?}\nfor = '{seconds}s'\n\
             [shoppers]\npatient = {:?}\nno_show = {no_show:?}\n",
            1.0 - no_show
        );
        Scenario::parse(&text, std::path::Path::new("")).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    #[test]
    fn the_line_is_what_came_less_what_was_let_in() {
        let forecast = forecast(110.0, 10, 120, 0.0);
        let worst = forecast.worst().unwrap();
        assert!((worst.at - 10.0).abs() < 0.2, "{worst:?}");
        assert!((worst.waiting - 990.0).abs() < 5.0, "a hundred a second too many, less the burst of 10: {worst:?}");
        assert!((worst.wait - 99.0).abs() < 1.0, "at 10 a second: {worst:?}");
        let [(begin, Some(end))] = forecast.stands[..] else { panic!("{:?}", forecast.stands) };
        assert!(begin < 0.5 && (end - 109.0).abs() < 1.0, "{begin} {end}");
        assert!((forecast.let_in - 1_100.0).abs() < 5.0, "everybody: {}", forecast.let_in);
    }

    #[test]
    fn before_an_event_starts_the_line_only_grows() {
        let mut scenario = scenario(50.0, 10, 60, 0.0);
        scenario.room.event_start = "20s".parse().ok();
        let forecast = Forecast::of(&scenario);
        let at = |seconds| forecast.at(seconds).unwrap();
        assert!((at(10.0).waiting - 500.0).abs() < 5.0 && (at(19.9).waiting - 500.0).abs() < 1.0, "{:?}", at(19.9));
        assert!(
            (at(10.0).wait - 60.0).abs() < 1.0,
            "ten seconds until the start, and 500 at 10 a second: {:?}",
            at(10.0)
        );
        assert!((at(30.0).waiting - 400.0).abs() < 5.0, "{:?}", at(30.0));
    }

    #[test]
    fn those_who_never_come_back_shorten_the_wait_of_the_others() {
        let forecast = forecast(110.0, 10, 120, 0.5);
        let worst = forecast.worst().unwrap();
        assert!((worst.wait - 45.0).abs() < 1.0, "900 at 20 a second: {worst:?}");
        assert!((forecast.let_in - 550.0).abs() < 15.0, "half of them: {}", forecast.let_in);
    }

    #[test]
    fn a_line_that_stands_at_closing_has_no_end() {
        let forecast = forecast(110.0, 10, 30, 0.0);
        assert_eq!(forecast.stands.len(), 1);
        assert_eq!(forecast.stands[0].1, None);
        assert!((forecast.let_in - 310.0).abs() < 5.0, "{}", forecast.let_in);
    }

    #[test]
    fn below_the_rate_nobody_waits() {
        let forecast = forecast(8.0, 10, 20, 0.0);
        assert_eq!(forecast.stands, []);
        assert_eq!(forecast.worst().unwrap().waiting, 0.0);
    }
}
