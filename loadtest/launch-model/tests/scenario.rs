//! Scenario files as people meet them: the schema, and every mistake with its place.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

use launch_model::file::shipped;
use launch_model::persona::Persona;
use launch_model::scenario::{Scenario, schema};

const WRONG: &str = include_str!("scenario/wrong.toml");
const SMALL: &str = "name = \"small\"\n[room]\nnew_users_per_minute = 60\n";
const FLAT: &str = "[[arrivals]]\nkind = \"flat\"\nrate = 10\nfor = \"10s\"\n";

fn problems(text: &str) -> String {
    Scenario::parse(text, Path::new("/nowhere")).unwrap_err().to_string()
}

#[test]
fn a_very_wrong_file_tells_everything_at_once() {
    insta::assert_snapshot!(problems(WRONG));
}

#[test]
fn what_is_wrong_only_as_a_whole_is_told_with_the_rest() {
    let text = format!(
        "{SMALL}session_duration = \"10m\"\nothr = \"/a\"\n{FLAT}{FLAT}[shoppers]\npatient = 0\nexpired = 0\n\
         [habits]\nthink = [\"2s\", \"1s\"]\n[objectives]\norders = 2\n"
    );
    insta::assert_snapshot!(problems(&text.replace("[room]", "closing = \"19s\"\n[room]")));
}

#[test]
fn a_launch_to_which_nobody_or_too_many_come_makes_no_sense() {
    let nobody = problems(&format!("{SMALL}{}", FLAT.replace("rate = 10", "rate = 0")));
    let many = problems(&format!("{SMALL}{}", FLAT.replace("10s", "1h").replace("rate = 10", "rate = 1e5")));
    let no_phase = problems(&format!("arrivals = []\n{SMALL}"));
    let no_time = problems(&format!("{SMALL}{}", FLAT.replace("10s", "0s")));
    insta::assert_snapshot!([nobody, many, no_phase, no_time].join("\n"));
}

#[test]
fn people_who_need_something_are_told_of_when_it_is_missing() {
    let expired = problems(&format!("{SMALL}{FLAT}[shoppers]\nexpired = 1\n"));
    let moves = problems(&format!("{SMALL}{FLAT}[shoppers]\nchanges_address = 1\n[wire]\naddresses = 1\n"));
    let wire = "[wire]\nprotocol = \"http2\"\nconnections = { shared = 5 }\naddress = \"proxy_protocol\"\n";
    let shared = problems(&format!("{SMALL}{FLAT}[shoppers]\nslow_reader = 1\n{wire}"));
    insta::assert_snapshot!([expired, moves, shared].join("\n"));
}

#[test]
fn a_file_that_is_no_toml_tells_every_broken_line() {
    insta::assert_snapshot!(problems("name = launch\n[room\nnew_users_per_minute == 3\n"));
}

#[test]
fn a_replay_tells_every_bad_line_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.csv"), "time,count\n1,2\n2,many\n3,-1\n").unwrap();
    std::fs::write(folder.path().join("empty.csv"), "time,count\n").unwrap();
    let replay = |keys: &str| format!("[[arrivals]]\nkind = \"replay\"\ninterval = \"1s\"\n{keys}\n");
    let files = ["bad.csv", "empty.csv", "none.csv"].map(|file| replay(&format!("file = \"{file}\"")));
    let both = replay("file = \"bad.csv\"\ncounts = [1]");
    let text = format!("{SMALL}{}{both}{}{}", files.concat(), replay(""), replay("counts = [1, -1]"));
    insta::assert_snapshot!(Scenario::parse(&text, folder.path()).unwrap_err().to_string());
}

#[test]
fn the_least_that_can_be_written_is_a_launch_of_patient_people() {
    let scenario = Scenario::parse(&format!("{SMALL}{FLAT}"), Path::new("")).unwrap();
    assert!((0..100).all(|index| scenario.persona(index) == Persona::Patient));
    assert_eq!((scenario.room.rate(), scenario.room.burst()), (1.0, 1.0));
    assert_eq!(scenario.closes().as_secs(), 10);
}

#[test]
fn people_come_by_their_weights_and_are_the_same_in_every_process() {
    let scenario = Scenario::find("nike-launch").unwrap();
    let people: Vec<_> = (0..200_000).map(|index| scenario.persona(index)).collect();
    for persona in Persona::ALL {
        let (share, wanted) = (people.iter().filter(|&&p| p == persona).count() as f64 / 2e5, scenario.share(persona));
        // Six times the spread of chance.
        assert!((share - wanted).abs() <= 6.0 * (wanted / 2e5).sqrt(), "{persona:?}: {share} of {wanted}");
    }
    let again = Scenario::find("nike-launch").unwrap();
    assert!((0..1000).all(|index| again.persona(index) == people[index as usize]));
    let other = Scenario { seed: scenario.seed + 1, ..scenario.clone() };
    assert!((0..1000).any(|index| other.persona(index) != scenario.persona(index)));
}

#[test]
fn a_scenario_reaches_a_worker_as_it_was_read() {
    for (name, _) in shipped::ALL {
        let scenario = Scenario::find(name).unwrap();
        let sent: Scenario = serde_json::from_str(&serde_json::to_string(&scenario).unwrap()).unwrap();
        assert_eq!(sent, scenario);
    }
}

#[test]
fn a_launch_twice_as_large_has_twice_the_people_and_twice_the_room() {
    let (one, two) = (Scenario::find("sold-out").unwrap(), Scenario::find("sold-out").unwrap().sized(2.0));
    let expected = |scenario: &Scenario| launch_model::arrivals::Arrivals::of(scenario).expected();
    assert!((expected(&two) / expected(&one) - 2.0).abs() < 1e-9);
    assert_eq!(two.room.rate(), one.room.rate() * 2.0);
    assert_eq!(two.shop.stock, one.shop.stock.map(|stock| stock * 2));
}

#[test]
fn the_schema_names_every_key() {
    insta::assert_json_snapshot!(schema());
}

#[test]
fn what_is_wrong_with_a_journey_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("short.csv"), "email,password\na@x\n").unwrap();
    std::fs::write(folder.path().join("one.csv"), "email,password\na@x,1\n").unwrap();
    std::fs::write(folder.path().join("empty.csv"), "email,password\n").unwrap();
    let journey = |text: &str| {
        Scenario::parse(&format!("{SMALL}{FLAT}{text}"), folder.path())
            .map(drop)
            .map_err(|problems| problems.to_string())
    };
    let users = ["short.csv", "empty.csv", "none.csv", "one.csv"]
        .map(|file| journey(&format!("[journey]\nusers = \"{file}\"\n[[journey.step]]\nurl = \"/\"\n")).unwrap_err());
    let steps = journey(include_str!("scenario/journey.toml")).unwrap_err();
    let nowhere = journey("[[journey.step]]\nform = { a = \"${b}\" }\n").unwrap_err();
    let empty = journey("[journey]\nstep = []\n").unwrap_err();
    let cheats = journey("[[journey.step]]\nurl = \"/\"\n[shoppers]\nforges = 1\n").unwrap_err();
    insta::assert_snapshot!([users.join("\n"), steps, nowhere, empty, cheats].join("\n\n"));
    assert_eq!(
        journey("[journey]\nusers = \"one.csv\"\nshare_users = true\n[[journey.step]]\nurl = \"/${user.email}\"\n"),
        Ok(())
    );
}
