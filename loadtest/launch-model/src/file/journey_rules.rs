//! The rules of a journey that span several keys.

use std::collections::{BTreeMap, BTreeSet};

use scraper::Selector;
use toml_diagnostics::Document;

use super::Files;
use crate::arrivals::Arrivals;
use crate::journey::template;
use crate::scenario::{Journey, MOST_STEPS, Method, Scenario, Step};

/// Log-ins of a file at most: they are sent to every worker.
const MOST_USERS: usize = 1_000_000;
/// What a step may not write: the sender makes them.
const OUR_HEADERS: [&str; 8] = [
    "host",
    "cookie",
    "content-length",
    "transfer-encoding",
    "connection",
    "origin",
    "x-request-id",
    "x-forwarded-for",
];

/// Holds a journey against them. Log-ins are read from their file on the way.
pub(super) fn check(scenario: &mut Scenario, document: &mut Document<'_>, files: Files<'_>) {
    let Some(journey) = &mut scenario.journey else { return };
    users(journey, document, files);
    if journey.steps.len() > MOST_STEPS {
        document.report_if_sound(
            "journey.step",
            format!("{} steps", journey.steps.len()),
            format!("write at most {MOST_STEPS}"),
        );
    }
    let columns: Vec<_> =
        journey.rows.first().into_iter().flat_map(BTreeMap::keys).map(|name| format!("user.{name}")).collect();
    let mut known: BTreeSet<&str> = columns.iter().map(String::as_str).collect();
    // Where a step could not be read, nothing is said of what later ones take from it.
    let complete = document.is_complete("journey.step");
    for (index, step) in journey.steps.iter().enumerate() {
        self::step(step, &format!("journey.step.{index}"), complete.then_some(&known), document);
        known.extend(step.take.keys().map(String::as_str));
    }
    if let Some(journey) = &scenario.journey {
        beside(journey, scenario, document);
    }
}

/// What a journey asks of the rest of the file.
fn beside(journey: &Journey, scenario: &Scenario, document: &mut Document<'_>) {
    let cheats = scenario.shoppers.iter().find(|(persona, weight)| persona.is_adversary() && **weight > 0.0);
    if let Some((persona, _)) = cheats {
        let fix = "leave it out: those who cheat know the demo shop alone";
        document.report_if_sound("shoppers", format!("{} does not walk a journey", persona.name()), fix);
    }
    let rows = journey.rows.len();
    if rows == 0 || journey.share_users || !document.is_sound("arrivals") {
        return;
    }
    let come = Arrivals::of(scenario).expected().ceil();
    if come > rows as f64 {
        let what = format!("{come:.0} visitors come, and there are {rows} rows: each takes one");
        document.report_if_sound("journey.users", what, "add rows, or write share_users = true");
    }
}

fn users(journey: &mut Journey, document: &mut Document<'_>, files: Files<'_>) {
    let Some(file) = &journey.users else { return };
    let at = "journey.users";
    if !journey.rows.is_empty() {
        return document.report_if_sound(at, "there are rows too", "write one of the two");
    }
    let text = match files(file) {
        Ok(text) => text,
        Err(error) => {
            return document.report_if_sound(at, format!("cannot be read: {error}"), "names are relative to this file");
        }
    };
    let mut bad = |line: u64, what: String, fix: &str| {
        document.report_in(at, file.display().to_string(), line as usize, what, fix);
    };
    for row in csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes()).deserialize() {
        match row {
            Ok(row) if journey.rows.len() < MOST_USERS => journey.rows.push(row),
            Ok(_) => return bad(1, format!("has more than {MOST_USERS} rows"), "write fewer"),
            Err(error) => {
                let line = error.position().map_or(1, csv::Position::line);
                return bad(
                    line,
                    format!("is no row: {error}"),
                    "write as many fields as there are names in the first line",
                );
            }
        }
    }
    if journey.rows.is_empty() {
        bad(
            1,
            "has no rows".into(),
            "write the names of the columns in the first line, and a log-in in each one after it",
        );
    }
}

fn step(step: &Step, path: &str, known: Option<&BTreeSet<&str>>, document: &mut Document<'_>) {
    let mut wrong = |key: &str, what: String, fix: &str| document.report_if_sound(&format!("{path}.{key}"), what, fix);
    let sent = [!step.form.is_empty(), step.json.is_some(), step.body.is_some()];
    if sent.into_iter().filter(|sent| *sent).count() > 1 {
        wrong("url", "sends more than one of form, json and body".into(), "write one of them");
    }
    if step.method() == Method::Get && sent.contains(&true) {
        wrong(
            "method",
            "a GET sends nothing along".into(),
            "leave method out, or write the fields into the query of url",
        );
    }
    if !["/", "http://", "https://", "${"].iter().any(|begin| step.url.starts_with(begin)) || step.url.starts_with("//")
    {
        wrong(
            "url",
            format!("{:?} is not a page", step.url),
            "write it from \"/\" on, or as an address with its scheme",
        );
    }
    let json = step.json.as_deref().map(|json| template::fill(json, |_| Some("0".into()), template::Within::Json));
    if json.is_some_and(|json| json.map_or(true, |json| serde_json::from_str::<serde_json::Value>(&json).is_err())) {
        wrong("json", "is no JSON".into(), "write it as text: '{ \"amount\": 1, \"token\": \"${token}\" }'");
    }
    for (key, text) in step.texts() {
        for name in template::names(text).filter(|name| known.is_some_and(|known| !known.contains(name))) {
            let fix = if let Some(column) = name.strip_prefix("user.") {
                format!("name a column {column} in the first line of the file of journey.users")
            } else {
                format!("let an earlier step take it: take.{name} = {{ css = \"..\" }}")
            };
            wrong(key, format!("nobody knows ${{{name}}} here"), &fix);
        }
    }
    headers(step, path, document);
    takes(step, path, document);
    let mut wrong = |key: &str, what: String, fix: &str| document.report_if_sound(&format!("{path}.{key}"), what, fix);
    for (key, selector) in [("expect.css", &step.expect.css), ("sold_out", &step.sold_out)] {
        if let Some(selector) = selector.as_ref().filter(|selector| Selector::parse(selector).is_err()) {
            wrong(
                key,
                format!("{selector:?} is no CSS selector"),
                "write one as in a style sheet: \"#thanks\", \"[name=token]\"",
            );
        }
    }
    if step.expect.path.as_ref().is_some_and(|path| !path.starts_with('/')) {
        wrong("expect.path", "is no path".into(), "write it from \"/\" on, without host and query");
    }
    if let Some([from, to]) = step.think.filter(|[from, to]| from > to) {
        wrong(
            "think",
            format!("{from} is longer than {to}"),
            &format!("write the shorter one first: [\"{to}\", \"{from}\"]"),
        );
    }
}

fn headers(step: &Step, path: &str, document: &mut Document<'_>) {
    for (name, value) in &step.headers {
        let at = format!("{path}.headers.{name}");
        if OUR_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            document.report_if_sound(&at, "is written by whoever sends it", "leave it out");
        } else if http::HeaderName::try_from(name).is_err() {
            document.report_if_sound(&at, "is no name of a header", "write letters, digits and \"-\"");
        } else if value.contains(|c: char| c.is_control()) {
            document.report_if_sound(&at, "has a control character", "leave it out");
        }
    }
}

fn takes(step: &Step, path: &str, document: &mut Document<'_>) {
    for (name, take) in &step.take {
        let at = format!("{path}.take.{name}");
        if !template::is_name(name) || name.contains('.') {
            document.report_if_sound(&at, format!("{name:?} is no name of a value"), "write letters, digits and \"_\"");
        }
        let ways = [&take.css, &take.json, &take.header, &take.cookie].into_iter().flatten().count();
        if ways != 1 {
            document.report_if_sound(&at, "says not where it is", "write one of css, json, header and cookie");
        }
        if take.attribute.is_some() && take.css.is_none() {
            document.report_if_sound(&format!("{at}.attribute"), "is of nothing", "write css too");
        }
        if take.css.as_ref().is_some_and(|selector| Selector::parse(selector).is_err()) {
            document.report_if_sound(
                &format!("{at}.css"),
                "is no CSS selector",
                "write one as in a style sheet: \"[name=token]\"",
            );
        }
        if take.json.as_ref().is_some_and(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
            document.report_if_sound(
                &format!("{at}.json"),
                "is no JSON pointer",
                "write it from \"/\" on: \"/cart/token\"",
            );
        }
    }
}
