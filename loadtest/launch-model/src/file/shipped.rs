//! The launches that come with this program: `loadtest run nike-launch`.

use std::io;
use std::path::Path;

use toml_diagnostics::did_you_mean;

use super::Diagnostics;

/// Name and text of each, as in `loadtest/scenarios`.
pub const ALL: [(&str, &str); 15] = [
    ("nike-launch", include_str!("../../../scenarios/nike-launch.toml")),
    ("double-eleven", include_str!("../../../scenarios/double-eleven.toml")),
    ("tv-spot", include_str!("../../../scenarios/tv-spot.toml")),
    ("sold-out", include_str!("../../../scenarios/sold-out.toml")),
    ("event", include_str!("../../../scenarios/event.toml")),
    ("event-drawn", include_str!("../../../scenarios/event-drawn.toml")),
    ("calm-day", include_str!("../../../scenarios/calm-day.toml")),
    ("replay-day", include_str!("../../../scenarios/replay-day.toml")),
    ("slow-line", include_str!("../../../scenarios/slow-line.toml")),
    ("full-house", include_str!("../../../scenarios/full-house.toml")),
    ("payment-stall", include_str!("../../../scenarios/payment-stall.toml")),
    ("capacity-halves", include_str!("../../../scenarios/capacity-halves.toml")),
    ("stadium", include_str!("../../../scenarios/stadium.toml")),
    ("siege", include_str!("../../../scenarios/siege.toml")),
    ("million", include_str!("../../../scenarios/million.toml")),
];

/// Files that they name.
const FILES: [(&str, &str); 1] = [("replay-day.csv", include_str!("../../../scenarios/replay-day.csv"))];

/// The text of one.
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The text of a file that one of them names.
pub(super) fn file(path: &Path) -> io::Result<String> {
    let known = FILES.iter().find(|(known, _)| Path::new(known) == path);
    known.map(|(_, text)| (*text).to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// There is none of this name, and no such file.
pub(super) fn unknown(name: &str) -> Diagnostics {
    let what = "is neither the name of a scenario nor a file".to_owned();
    Diagnostics::of_file(name, what, did_you_mean(name, &ALL.map(|(name, _)| name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::Arrivals;
    use crate::attack::Kind;
    use crate::forecast::Forecast;
    use crate::persona::Persona;
    use crate::scenario::{Connections, Protocol, Scenario, Word};

    fn all() -> Vec<Scenario> {
        ALL.map(|(name, _)| Scenario::find(name).unwrap_or_else(|wrong| panic!("{wrong}"))).into()
    }

    #[test]
    fn every_scenario_that_ships_is_sound_and_is_called_like_its_file() {
        for (scenario, (name, _)) in all().iter().zip(ALL) {
            assert_eq!(scenario.name, name);
            assert!(!scenario.about.is_empty(), "{name}");
        }
    }

    #[test]
    fn all_but_the_million_can_be_sent_by_a_machine_of_two_cores() {
        for scenario in all().iter().filter(|scenario| scenario.name != "million") {
            let arrivals = Arrivals::of(scenario);
            assert!(arrivals.fastest() <= 1_500.0, "{}: {}", scenario.name, arrivals.fastest());
            assert!((5.0..=50.0).contains(&scenario.room.rate()), "{}", scenario.name);
            let seconds = scenario.closes().as_secs();
            let longest = match scenario.name.as_str() {
                "tv-spot" => 600,
                "stadium" | "payment-stall" => 240,
                "siege" => 280,
                _ => 180,
            };
            assert!((60..=longest).contains(&seconds), "{}: {seconds} s", scenario.name);
        }
    }

    #[test]
    fn the_siege_makes_every_attack() {
        let siege = all().into_iter().find(|scenario| scenario.name == "siege").unwrap();
        for kind in Kind::ALL {
            assert!(siege.attacks.iter().any(|attack| attack.kind == kind), "{kind:?}");
        }
    }

    #[test]
    fn a_fault_lies_in_a_line_that_stands_and_leaves_time_to_recover() {
        let with: Vec<_> = all().into_iter().filter(|scenario| !scenario.shop.faults.is_empty()).collect();
        assert_eq!(
            with.iter().map(|scenario| &*scenario.name).collect::<Vec<_>>(),
            ["payment-stall", "capacity-halves"]
        );
        for scenario in with {
            let forecast = Forecast::of(&scenario);
            for fault in &scenario.shop.faults {
                let waiting = |at: f64| forecast.at(at).map_or(0.0, |moment| moment.waiting);
                let least = if scenario.name == "payment-stall" { 100_000.0 } else { 500.0 };
                assert!(waiting(fault.from.seconds()) >= least, "{}: {}", scenario.name, waiting(fault.from.seconds()));
                assert!(waiting(fault.until().as_secs_f64() + 20.0) > 100.0, "{}", scenario.name);
            }
        }
    }

    #[test]
    fn those_who_cheat_come_in_all_kinds_and_are_a_tenth_but_where_size_or_the_wait_is_what_is_tested() {
        let others = ["stadium", "siege", "million", "slow-line", "full-house", "payment-stall", "capacity-halves"];
        for scenario in all().iter().filter(|scenario| !others.contains(&&*scenario.name)) {
            let bots = Persona::ALL.into_iter().filter(|persona| persona.is_adversary() && !persona.is_spoiler());
            let shares: Vec<f64> = bots.map(|persona| scenario.share(persona)).collect();
            assert!(shares.iter().all(|&share| share > 0.0), "{}", scenario.name);
            assert!((shares.iter().sum::<f64>() - 0.1).abs() < 0.001, "{}", scenario.name);
        }
    }

    #[test]
    fn every_one_is_held_to_the_wait_that_it_tells_but_where_the_shop_sets_the_rate() {
        for scenario in all().into_iter().filter(|scenario| !scenario.shop.tells.contains(&Word::Rate)) {
            let promised = scenario.objectives.inside_first_range;
            assert!(promised >= 0.8, "{}: {promised}", scenario.name);
        }
    }

    #[test]
    fn both_protocols_and_both_kinds_of_connections_are_used() {
        let all = all();
        assert!(all.iter().any(|scenario| scenario.wire.protocol == Protocol::Http2));
        assert!(all.iter().any(|scenario| scenario.wire.connections == Connections::New));
        assert!(all.iter().any(|scenario| scenario.wire.connections == Connections::Own));
    }

    #[test]
    fn what_is_meant_is_found_for_a_name_that_is_almost_right() {
        let told = Scenario::find("nike-lunch").unwrap_err().to_string();
        assert!(told.contains("did you mean \"nike-launch\"?"), "{told}");
        assert!(Scenario::find("no/such/file.toml").unwrap_err().to_string().contains("cannot be read"));
    }
}
