//! A recording as a scenario file, for people to edit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use launch_model::scenario::{Step, Take};

use super::draft::Recording;

impl Recording {
    /// A scenario that can be run, whose log-ins are in `users`.
    pub fn scenario(&self, name: &str, users: &str) -> String {
        let Self { journey, host, beside, .. } = self;
        let also: String = beside.iter().flat_map(|host| [" --also http://", host]).collect();
        let mut text = format!(
            r#"# Written by `loadtest record` from what a browser did at {host}. Run it so:
#
#   loadtest run {name}.toml --target http://{host}{also} --admin 127.0.0.1:9090
#
# Look at the room and at who comes first, then at `order`: the step whose answer is an order.
name = "{name}"
about = "A purchase at {host}, as it was recorded"

[room]                                # what the gateway is set to
new_users_per_minute = 60

[[arrivals]]
kind = "flat"
rate = 2
for = "60s"

[journey]
"#
        );
        if !journey.rows.is_empty() {
            let _ = writeln!(text, "users = {}                   # a row for each visitor", string(users));
        }
        for (number, step) in (1..).zip(&journey.steps) {
            let _ = write!(text, "\n[[journey.step]]                      # {number}\n{}", self::step(step));
        }
        text
    }

    /// The log-in as a CSV file, with the names of its columns; `None` if there was none.
    pub fn users(&self) -> Option<String> {
        let row = self.journey.rows.first()?;
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(row.keys()).ok()?;
        writer.write_record(row.values()).ok()?;
        String::from_utf8(writer.into_inner().ok()?).ok()
    }
}

fn step(step: &Step) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "{key} = {value}");
        }
    };
    let flag = |is: bool| is.then(|| "true".to_owned());
    let optional = |value: &Option<String>| value.as_deref().map(string);
    line("method", step.method.map(|method| string(&method.to_string())));
    line("url", Some(string(&step.url)));
    line("fetch", flag(step.fetch));
    for (name, value) in table("form", &step.form) {
        line(&name, Some(value));
    }
    line("json", optional(&step.json));
    line("body", optional(&step.body));
    for (name, value) in table("headers", &step.headers) {
        line(&name, Some(value));
    }
    for (name, value) in &step.take {
        line(&format!("take.{name}"), Some(take(value)));
    }
    line("expect.status", step.expect.status.map(|status| status.to_string()));
    line("expect.path", optional(&step.expect.path));
    line("think", step.think.map(|[from, to]| format!("[\"{from}\", \"{to}\"]")));
    line("order", flag(step.order));
    text
}

fn take(take: &Take) -> String {
    let keys = [
        ("css", &take.css),
        ("attribute", &take.attribute),
        ("json", &take.json),
        ("header", &take.header),
        ("cookie", &take.cookie),
    ];
    let written = keys.iter().filter_map(|(key, value)| Some(format!("{key} = {}", string(value.as_deref()?))));
    format!("{{ {} }}", written.collect::<Vec<_>>().join(", "))
}

/// The longest table that stands in one line, in characters.
const LONGEST_LINE: usize = 100;

/// A table in one line if it is short, else a line for each key.
fn table(name: &str, fields: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let fields: Vec<_> = fields.iter().map(|(field, value)| (key(field), string(value))).collect();
    let written: Vec<String> = fields.iter().map(|(field, value)| format!("{field} = {value}")).collect();
    let line = format!("{{ {} }}", written.join(", "));
    match line.chars().count() {
        _ if fields.is_empty() => Vec::new(),
        ..=LONGEST_LINE => vec![(name.to_owned(), line)],
        _ => fields.into_iter().map(|(field, value)| (format!("{name}.{field}"), value)).collect(),
    }
}

fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { string(name) }
}

/// A string of TOML, whatever is in it.
fn string(text: &str) -> String {
    toml::Value::from(text).to_string()
}
