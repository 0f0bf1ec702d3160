//! What a configuration that comes in force changes, in words for the log.
//!
//! Each key whose value differs is told with what it was and what it is; a section that is new or gone is told as a whole. A
//! password in an address is not told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use serde_json::Value as Json;

use super::{Config, rooms};

/// Changes that are told one by one.
const TOLD: usize = 50;
/// Characters of a value that are told.
const LONGEST: usize = 200;

/// Something that is different.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The section, such as `listen` or `room`.
    section: String,
    /// Its name, if there are several.
    name: Option<String>,
    what: What,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    Added,
    Removed,
    Key { key: String, old: String, new: String },
}

/// Keys that are read at the start alone; of a section without keys all.
const AT_THE_START: [(&str, &[&str]); 5] = [
    ("listen", &["http", "https", "proxy_protocol", "admin", "admin_token_file", "admin_operators_file", "workers"]),
    ("log", &["format", "level"]),
    ("node", &[]),
    ("store", &[]),
    ("tls", &[]),
];

impl Change {
    /// Whether it is in force only after a restart.
    pub fn needs_restart(&self) -> bool {
        let key = match &self.what {
            What::Key { key, .. } => key.as_str(),
            What::Added | What::Removed => "",
        };
        AT_THE_START.iter().any(|(section, keys)| self.section == *section && (keys.is_empty() || keys.contains(&key)))
    }

    fn tell(&self) {
        let room = self.name.as_deref().filter(|_| self.section == "room");
        let (field, old, new) = match &self.what {
            What::Key { key, old, new } => (Some(key.as_str()), Some(old.as_str()), Some(new.as_str())),
            What::Added | What::Removed => (None, None, None),
        };
        tracing::info!(room, field, old, new, "configuration changed: {self}");
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.section)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        match &self.what {
            What::Added => f.write_str(" is new"),
            What::Removed => f.write_str(" is gone"),
            What::Key { key, old, new } => write!(f, ": {key} was {old}, is {new}"),
        }?;
        if self.needs_restart() { f.write_str(" after a restart") } else { Ok(()) }
    }
}

/// Says in the log what is different.
pub fn tell(before: &Config, after: &Config) {
    let all = changes(before, after);
    all.iter().take(TOLD).for_each(Change::tell);
    let more = all.len().saturating_sub(TOLD);
    if more > 0 {
        tracing::info!(more, "configuration changed: more than is told one by one");
    }
}

/// What is different. Defaults count as written.
pub fn changes(before: &Config, after: &Config) -> Vec<Change> {
    let (before, after) = (sections(before), sections(after));
    let places: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut changes = Vec::new();
    for place in places {
        let change = |what| Change { section: place.0.clone(), name: place.1.clone(), what };
        match (before.get(place), after.get(place)) {
            (Some(old), Some(new)) => {
                let differing = rooms::differing(old, new).into_iter();
                let keys = differing.map(|key| What::Key { key: key.key, old: shown(&key.from), new: shown(&key.to) });
                changes.extend(keys.map(change));
            }
            (None, _) => changes.push(change(What::Added)),
            (_, None) => changes.push(change(What::Removed)),
        }
    }
    changes
}

type Place = (String, Option<String>);

/// The keys of each section.
fn sections(config: &Config) -> BTreeMap<Place, BTreeMap<String, Json>> {
    let mut sections = BTreeMap::new();
    let Json::Object(all) = rooms::json(config) else { return sections };
    for (section, value) in all {
        let tables = match value {
            Json::Array(tables) => tables.into_iter().map(|table| (Some(name(&table)), table)).collect(),
            table => vec![(None, table)],
        };
        for (name, table) in tables {
            if let Json::Object(table) = table {
                let mut keys = BTreeMap::new();
                rooms::flatten("", table, &mut keys);
                sections.insert((section.clone(), name), keys);
            }
        }
    }
    sections
}

/// What tells a table from others of its section. A room that is renamed is the same one, by the name of its line.
fn name(table: &Json) -> String {
    let text = |key: &str| table.get(key).and_then(Json::as_str).unwrap_or_default();
    let names = [text("previous_name"), text("name")].into_iter().find(|name| !name.is_empty());
    names.map_or_else(|| format!("{}{}{}", text("host"), text("path"), text("certificate")), str::to_owned)
}

/// A value in the log: bounded, and without a password.
fn shown(value: &Json) -> String {
    let text = match value {
        Json::Null => "absent".to_owned(),
        Json::String(text) => format!("{:?}", without_password(text)),
        other => other.to_string(),
    };
    if text.len() <= LONGEST { text } else { format!("{}...", &text[..text.floor_char_boundary(LONGEST)]) }
}

fn without_password(text: &str) -> String {
    let parts = text.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?)));
    parts.map_or_else(|| text.to_owned(), |(scheme, (_, host))| format!("{scheme}://***@{host}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const FILE: &str = "[listen]\nworkers = 2\n[[upstream]]\nname = \"shop\"\nservers = \"shop:80\"\n\
        [[room]]\nname = \"launch\"\nhost = \"*\"\nupstream = \"shop\"\nnew_users_per_minute = 600\n";

    fn told(before: &str, after: &str) -> Vec<String> {
        let read = |text| Config::read(text, Path::new("weir.toml")).expect("a good file");
        changes(&read(before), &read(after)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_changes_is_told_in_words() {
        assert_eq!(told(FILE, &FILE.replace("\"shop:80\"", "[\"http://shop:80\"]")), [""; 0]);
        let after = FILE.replace("= 600", "= 1200\nbrand = { name = \"Shop\" }").replace("workers = 2", "workers = 3");
        let after = after
            + "[[room]]\nname = \"second\"\nhost = \"b.example\"\nupstream = \"shop\"\nnew_users_per_minute = 60\n";
        assert_eq!(
            told(FILE, &after),
            [
                "listen: workers was 2, is 3 after a restart",
                "room \"launch\": brand.name was absent, is \"Shop\"",
                "room \"launch\": new_users_per_minute was 600, is 1200",
                "room \"second\" is new",
            ]
        );
        assert_eq!(told(&after, FILE).last().map(String::as_str), Some("room \"second\" is gone"));
        let renamed = FILE.replace("name = \"launch\"", "name = \"sale\"\nprevious_name = \"launch\"");
        assert_eq!(
            told(FILE, &renamed),
            [
                "room \"launch\": name was \"launch\", is \"sale\"",
                "room \"launch\": previous_name was absent, is \"launch\"",
            ]
        );
    }

    #[test]
    fn a_password_is_not_told() {
        assert_eq!(shown(&"rediss://:secret@cache:6379/1".into()), "\"rediss://***@cache:6379/1\"");
        assert_eq!(shown(&"https://shop:443".into()), "\"https://shop:443\"");
        assert!(shown(&"x".repeat(1_000).into()).len() < 300);
    }
}
