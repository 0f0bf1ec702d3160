//! What visitors do in a shop that is not the demo shop: steps, one after another.
//!
//! ```toml
//! [journey]
//! users = "users.csv"                   # each visitor takes a row: ${user.email}
//!
//! [[journey.step]]
//! url = "/catalogue/book-3_3/"
//! take.csrf = { css = "[name=csrfmiddlewaretoken]" }
//!
//! [[journey.step]]
//! url = "/basket/add/3/"                # POST, because it has a form
//! form = { csrfmiddlewaretoken = "${csrf}", quantity = "1" }
//! order = true
//! ```
//!
//! Redirects are followed and cookies kept as browsers do, so neither is written. [`crate::journey`] walks it.
//!
//! Out of scope: branches and loops. What differs from visitor to visitor is a row of `users`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use scraper::Selector;
use serde::{Deserialize, Serialize};

use super::Scenario;
use super::problem::Problem;
use super::shape::{Files, Reader};
use crate::arrivals::Arrivals;
use crate::journey::template;
use crate::span::Span;

/// Steps of a journey at most.
pub const MOST_STEPS: usize = 200;
/// Log-ins of a file at most: they are sent to every worker.
const MOST_USERS: usize = 1_000_000;
/// What a step may not write: they are made by whoever sends it.
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

/// What visitors do, in place of the purchase in the demo shop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Journey {
    /// A CSV file whose first line names its columns; each visitor takes a row, of which a step writes `${user.COLUMN}`.
    #[serde(default)]
    pub users: Option<PathBuf>,
    /// The rows themselves, in place of a file. What was read from the file stands here afterwards.
    #[serde(default)]
    pub rows: Vec<BTreeMap<String, String>>,
    /// Whether rows may be taken again, from the first on, where more visitors come than there are rows.
    #[serde(default)]
    pub share_users: bool,
    /// The steps, in their order.
    #[serde(rename = "step")]
    #[schemars(length(min = 1))]
    pub steps: Vec<Step>,
}

/// A request of a journey, with the redirects that follow it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name in the report; without it its method and path.
    #[serde(default)]
    pub name: Option<String>,
    /// Without it POST where something is sent along, else GET.
    #[serde(default)]
    pub method: Option<Method>,
    /// A path from `/` on, with or without a query, or an address of another host that the run is given with `--also`.
    pub url: String,
    /// The fields of a form.
    #[serde(default)]
    pub form: BTreeMap<String, String>,
    /// JSON, as text.
    #[serde(default)]
    pub json: Option<String>,
    /// Anything else that is sent along; `headers` says its `content-type`.
    #[serde(default)]
    pub body: Option<String>,
    /// Headers beside those of every browser.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Whether a script of the page asks, and not the shopper by a click.
    #[serde(default)]
    pub fetch: bool,
    /// The shortest and the longest time before it; without it `habits.think`.
    #[serde(default)]
    pub think: Option<[Span; 2]>,
    /// What is taken from its answer, by name: later steps write `${NAME}`.
    #[serde(default)]
    pub take: BTreeMap<String, Take>,
    /// What its answer must be; without it any status from 200 to 299.
    #[serde(default)]
    pub expect: Expect,
    /// A selector of what the page shows when nothing is left to buy: then the visit ends, and was served.
    #[serde(default)]
    pub sold_out: Option<String>,
    /// The first step behind the room's door; without any it is the first one.
    #[serde(default)]
    pub enters: bool,
    /// Whether its answer is an order.
    #[serde(default)]
    pub order: bool,
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Sends.
    Post,
    /// Writes.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        })
    }
}

/// Where a value is in an answer: one of `css`, `json`, `header` and `cookie`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Take {
    /// A CSS selector: of what it finds first, the value of a field, the content of a `meta`, the address of a link or a form, or
    /// the text.
    #[serde(default)]
    pub css: Option<String>,
    /// This attribute of it instead.
    #[serde(default)]
    pub attribute: Option<String>,
    /// A JSON pointer, as `/cart/token`.
    #[serde(default)]
    pub json: Option<String>,
    /// A header.
    #[serde(default)]
    pub header: Option<String>,
    /// A cookie that the shopper has by then.
    #[serde(default)]
    pub cookie: Option<String>,
}

impl fmt::Display for Take {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { css, attribute, json, header, cookie } = self;
        for (what, value) in
            [("css", css), ("attribute", attribute), ("json", json), ("header", header), ("cookie", cookie)]
        {
            if let Some(value) = value {
                write!(f, "{}{what} {value}", if what == "attribute" { ", " } else { "" })?;
            }
        }
        Ok(())
    }
}

/// What an answer must be, redirects followed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Its status. With one of 300 to 399 the redirect is not followed.
    #[serde(default)]
    #[schemars(range(min = 200, max = 599))]
    pub status: Option<u16>,
    /// The path where it ends, without a query; `*` stands for anything within.
    #[serde(default)]
    pub path: Option<String>,
    /// A CSS selector that finds something.
    #[serde(default)]
    pub css: Option<String>,
    /// A text of it.
    #[serde(default)]
    pub text: Option<String>,
}

impl Step {
    /// Its method, written or not.
    pub fn method(&self) -> Method {
        let sends = !self.form.is_empty() || self.json.is_some() || self.body.is_some();
        self.method.unwrap_or(if sends { Method::Post } else { Method::Get })
    }

    /// Its name, written or not.
    pub fn title(&self) -> String {
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        self.name.clone().unwrap_or_else(|| format!("{} {path}", self.method()))
    }

    /// Every text in which values are filled in, by its key.
    fn texts(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let texts = [("url", Some(&self.url)), ("json", self.json.as_ref()), ("body", self.body.as_ref())];
        let texts = texts.into_iter().filter_map(|(key, text)| Some((key, text?)));
        texts
            .chain(self.form.values().map(|text| ("form", text)))
            .chain(self.headers.values().map(|text| ("headers", text)))
    }
}

impl Journey {
    /// The step from which on a shopper is inside.
    pub fn entrance(&self) -> usize {
        self.steps.iter().position(|step| step.enters).unwrap_or(0)
    }

    /// Whether somebody is to buy anything.
    pub fn has_order(&self) -> bool {
        self.steps.iter().any(|step| step.order)
    }

    /// What visitor number `index` is called: their row.
    pub fn user(&self, index: u64) -> Option<&BTreeMap<String, String>> {
        self.rows.get(usize::try_from(index).ok()? % self.rows.len().max(1))
    }
}

/// The rules of a journey that span several keys. Log-ins are read from their file on the way.
pub(super) fn look(scenario: &mut Scenario, reader: &mut Reader<'_>, files: Files<'_>) {
    let Some(journey) = &mut scenario.journey else { return };
    users(journey, reader, files);
    if journey.steps.len() > MOST_STEPS {
        reader.complain(
            "journey.step",
            format!("{} steps", journey.steps.len()),
            format!("write at most {MOST_STEPS}"),
        );
    }
    // Where a step could not be read, those after it are not where they seem to be.
    if !reader.has(&format!("journey.step.{}", journey.steps.len())) {
        let columns: Vec<_> =
            journey.rows.first().into_iter().flat_map(BTreeMap::keys).map(|name| format!("user.{name}")).collect();
        let mut known: BTreeSet<&str> = columns.iter().map(String::as_str).collect();
        for (index, step) in journey.steps.iter().enumerate() {
            self::step(step, &format!("journey.step.{index}"), &known, reader);
            known.extend(step.take.keys().map(String::as_str));
        }
    }
    if let Some(journey) = &scenario.journey {
        beside(journey, scenario, reader);
    }
}

/// What a journey asks of the rest of the file.
fn beside(journey: &Journey, scenario: &Scenario, reader: &mut Reader<'_>) {
    let cheats = scenario.shoppers.iter().find(|(persona, weight)| persona.is_adversary() && **weight > 0.0);
    if let Some((persona, _)) = cheats {
        let fix = "leave it out: those who cheat know the demo shop alone";
        reader.complain("shoppers", format!("{} does not walk a journey", persona.name()), fix);
    }
    let rows = journey.rows.len();
    if rows == 0 || journey.share_users || !reader.sound("arrivals") {
        return;
    }
    let come = Arrivals::of(scenario).expected().ceil();
    if come > rows as f64 {
        let what = format!("{come:.0} visitors come, and there are {rows} rows: each takes one");
        reader.complain("journey.users", what, "add rows, or write share_users = true");
    }
}

fn users(journey: &mut Journey, reader: &mut Reader<'_>, files: Files<'_>) {
    let Some(file) = &journey.users else { return };
    let at = "journey.users";
    if !journey.rows.is_empty() {
        return reader.complain(at, "there are rows too", "write one of the two");
    }
    let text = match files(file) {
        Ok(text) => text,
        Err(error) => {
            return reader.complain(at, format!("cannot be read: {error}"), "names are relative to this file");
        }
    };
    let mut bad = |line: u64, what: String, fix: &str| {
        let (file, place) = (file.display().to_string(), Some((line as usize, 1)));
        reader.complain_of_file(at, Problem { file, place, key: String::new(), what, fix: fix.into() });
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

fn step(step: &Step, path: &str, known: &BTreeSet<&str>, reader: &mut Reader<'_>) {
    let mut wrong = |key: &str, what: String, fix: &str| reader.complain(&format!("{path}.{key}"), what, fix);
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
        for name in template::names(text).filter(|name| !known.contains(name)) {
            let fix = if let Some(column) = name.strip_prefix("user.") {
                format!("name a column {column} in the first line of the file of journey.users")
            } else {
                format!("let an earlier step take it: take.{name} = {{ css = \"..\" }}")
            };
            wrong(key, format!("nobody knows ${{{name}}} here"), &fix);
        }
    }
    headers(step, path, reader);
    takes(step, path, reader);
    let mut wrong = |key: &str, what: String, fix: &str| reader.complain(&format!("{path}.{key}"), what, fix);
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

fn headers(step: &Step, path: &str, reader: &mut Reader<'_>) {
    for (name, value) in &step.headers {
        let at = format!("{path}.headers.{name}");
        if OUR_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            reader.complain(&at, "is written by whoever sends it", "leave it out");
        } else if http::HeaderName::try_from(name).is_err() {
            reader.complain(&at, "is no name of a header", "write letters, digits and \"-\"");
        } else if value.contains(|c: char| c.is_control()) {
            reader.complain(&at, "has a control character", "leave it out");
        }
    }
}

fn takes(step: &Step, path: &str, reader: &mut Reader<'_>) {
    for (name, take) in &step.take {
        let at = format!("{path}.take.{name}");
        if !template::is_name(name) || name.contains('.') {
            reader.complain(&at, format!("{name:?} is no name of a value"), "write letters, digits and \"_\"");
        }
        let ways = [&take.css, &take.json, &take.header, &take.cookie].into_iter().flatten().count();
        if ways != 1 {
            reader.complain(&at, "says not where it is", "write one of css, json, header and cookie");
        }
        if take.attribute.is_some() && take.css.is_none() {
            reader.complain(&format!("{at}.attribute"), "is of nothing", "write css too");
        }
        if take.css.as_ref().is_some_and(|selector| Selector::parse(selector).is_err()) {
            reader.complain(
                &format!("{at}.css"),
                "is no CSS selector",
                "write one as in a style sheet: \"[name=token]\"",
            );
        }
        if take.json.as_ref().is_some_and(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
            reader.complain(&format!("{at}.json"), "is no JSON pointer", "write it from \"/\" on: \"/cart/token\"");
        }
    }
}
