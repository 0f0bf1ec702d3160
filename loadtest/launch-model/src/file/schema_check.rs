//! The first reading: a file held against the JSON schema, key by key, with the place of every mistake.
//!
//! serde stops at the first mistake, and has lost its place inside a phase. So the tree of the file is walked along the
//! schema that the types give: unknown keys, missing ones, wrong kinds of values, numbers out of bounds. What cannot be
//! read is told and left out; if serde can read the rest, [`super::rules`] looks at that too, so that one look at the
//! answer is enough.
//!
//! Out of scope: rules that span several keys, and those parts of JSON schema that our types never produce.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::{io, mem};

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::problem::{Diagnostic, Problem, Problems, meant, place};
use crate::span::Span;

/// How files that a scenario names are read.
pub(super) type Files<'f> = &'f dyn Fn(&Path) -> io::Result<String>;

/// A file while it is read: where each value stands, and what is wrong so far.
pub(super) struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    schema: Json,
    places: BTreeMap<String, usize>,
    /// Where, at which path, and what.
    problems: Vec<(usize, String, Problem)>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(file: &'t str, text: &'t str, schema: Json) -> Self {
        Self { file, text, schema, places: BTreeMap::new(), problems: Vec::new() }
    }

    /// Walks the whole file. `false`: so much is wrong that the rest cannot be read.
    pub(super) fn walk(&mut self, root: &mut Spanned<DeTable<'_>>) -> bool {
        let schema = self.schema.clone();
        Walk { reader: self, defs: &schema["$defs"] }.table(root.get_mut(), &schema, "")
    }

    /// Something is wrong with the value at this path, unless that is known already.
    pub(super) fn report(&mut self, path: &str, what: impl Into<String>, fix: impl Into<String>) {
        if self.sound(path) {
            self.add(self.offset(path), path, Diagnostic::new(what, fix));
        }
    }

    /// Something is wrong with another file, which the key at this path names.
    pub(super) fn complain_of_file(&mut self, path: &str, problem: Problem) {
        self.problems.push((self.offset(path), path.to_owned(), problem));
    }

    /// Whether nothing is wrong at or below this path so far.
    pub(super) fn sound(&self, path: &str) -> bool {
        let is_below =
            |known: &str| known.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        !self.problems.iter().any(|(_, known, _)| is_below(known))
    }

    /// Whether something is written at this path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// The file is no TOML, or no scenario, at this place.
    pub(super) fn syntax(&mut self, error: &toml::de::Error) {
        let offset = error.span().map_or(self.text.len(), |span| span.start);
        let (line, _) = place(self.text, offset);
        // One mistake often trips the parser twice: the first of a line counts.
        if !self.problems.iter().any(|(.., problem)| problem.place.is_some_and(|(known, _)| known == line)) {
            self.add(offset, "", Diagnostic::new(error.message(), ""));
        }
    }

    fn add(&mut self, offset: usize, path: &str, Diagnostic { what, fix }: Diagnostic) {
        let place = Some(place(self.text, offset));
        let problem = Problem { file: self.file.to_owned(), place, key: shown(path), what, fix };
        self.problems.push((offset, path.to_owned(), problem));
    }

    /// Where a path begins; what is not in the file is looked for where its table begins.
    fn offset(&self, path: &str) -> usize {
        let parents = path.match_indices('.').map(|(at, _)| &path[..at]);
        let nearest = parents.chain([path]).filter_map(|path| self.places.get(path)).next_back();
        nearest.copied().unwrap_or(0)
    }

    /// Whether nothing is wrong so far.
    pub(super) fn found_nothing(&self) -> bool {
        self.problems.is_empty()
    }

    /// Everything that is wrong.
    pub(super) fn finish(mut self) -> Problems {
        self.problems.sort_by_key(|(offset, ..)| *offset);
        Problems(self.problems.into_iter().map(|(.., problem)| problem).collect())
    }
}

/// `arrivals.1.rate` as people read it: `arrivals #2: rate`.
fn shown(path: &str) -> String {
    let mut shown = String::new();
    let mut between = "";
    for step in path.split('.') {
        if let Ok(index) = step.parse::<usize>() {
            shown.extend([" #", &(index + 1).to_string()]);
            between = ": ";
        } else {
            shown += between;
            shown += step;
            between = ".";
        }
    }
    shown
}

/// `path.step`; a step of the file as a whole has no dot.
fn join(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}

/// A walk along a schema. Each step tells whether what it saw can be read.
struct Walk<'r, 't, 's> {
    reader: &'r mut Reader<'t>,
    defs: &'s Json,
}

impl<'s> Walk<'_, '_, 's> {
    fn wrong(&mut self, at: Range<usize>, path: &str, what: impl Into<String>, fix: impl Into<String>) -> bool {
        self.reader.add(at.start, path, Diagnostic::new(what, fix));
        false
    }

    /// What a schema stands for: of a reference its target, of a value that may be absent the value.
    fn meaning(&self, schema: &'s Json) -> &'s Json {
        if let Some(name) = schema["$ref"].as_str().and_then(|target| target.strip_prefix("#/$defs/")) {
            return self.meaning(&self.defs[name]);
        }
        schema["anyOf"].get(0).map_or(schema, |only| self.meaning(only))
    }

    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, schema: &'s Json, path: &str) -> bool {
        let at = value.span();
        self.reader.places.insert(path.to_owned(), at.start);
        let schema = self.meaning(schema);
        if let Some(choices) = schema["oneOf"].as_array() {
            return self.choice(value, choices, path);
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or_default();
        match (kind, value.get_mut()) {
            ("object", DeValue::Table(table)) => self.table(table, schema, path),
            ("array", DeValue::Array(items)) => {
                let sound = self.length(at, items.len(), schema, path);
                sound & self.items(items, schema, path)
            }
            ("number" | "integer", number) => self.number(at, number, schema, path),
            ("string", DeValue::String(text)) if schema["format"] == "span" => match text.parse::<Span>() {
                Ok(_) => true,
                Err(why) => self.wrong(at, path, format!("{text:?} is no length of time"), why.to_string()),
            },
            ("string", DeValue::String(_)) | ("boolean", DeValue::Boolean(_)) => true,
            ("object", other) => {
                let what = format!("{} where a table is expected", found(other));
                self.wrong(at, path, what, "write { key = value, .. } or a [section]")
            }
            ("array", other) => self.wrong(at, path, format!("{} is not a list", found(other)), "write [.., ..]"),
            ("boolean", other) => {
                self.wrong(at, path, format!("{} is not a boolean", found(other)), "write true or false")
            }
            (_, other) if schema["format"] == "span" => {
                let what = format!("{} is no length of time", found(other));
                self.wrong(at, path, what, "write it with its unit and in quotes: \"250ms\", \"2s\", \"1m\", \"2h\"")
            }
            (_, other) => self.wrong(at, path, format!("{} is not text", found(other)), "write it in quotes"),
        }
    }

    fn table(&mut self, table: &mut DeTable<'_>, schema: &'s Json, path: &str) -> bool {
        let known = schema["properties"].as_object().into_iter().flatten();
        let names: Vec<&str> = known.map(|(name, _)| name.as_str()).collect();
        let (mut readable, mut bad) = (true, Vec::new());
        for (key, value) in table.iter_mut() {
            let name: &str = key.get_ref();
            let sound = if names.contains(&name) {
                self.value(value, &schema["properties"][name], &join(path, name))
            } else if schema["additionalProperties"].is_object() {
                self.value(value, &schema["additionalProperties"], &join(path, name))
            } else {
                self.wrong(key.span(), path, format!("unknown key \"{name}\""), meant(name, &names))
            };
            readable &= sound || !requires(schema, name);
            bad.extend((!sound).then(|| name.to_owned()));
        }
        for name in bad {
            table.remove(name.as_str());
        }
        for name in names.into_iter().filter(|name| requires(schema, name) && !table.contains_key(*name)) {
            let path = join(path, name);
            if self.reader.sound(&path) {
                let about = self.about(&schema["properties"][name]);
                self.reader.report(&path, "is missing", format!("add it: {about}"));
                readable = false;
            }
        }
        readable
    }

    fn about(&self, schema: &'s Json) -> String {
        let own = schema["description"].as_str().or_else(|| self.meaning(schema)["description"].as_str());
        own.or(schema["const"].as_str()).unwrap_or("see the schema").to_owned()
    }

    /// Of a list of any length, what cannot be read is left out.
    fn items(&mut self, items: &mut DeArray<'_>, schema: &'s Json, path: &str) -> bool {
        let sound: Vec<bool> = (0..)
            .zip(items.iter_mut())
            .map(|(index, item)| self.value(item, &schema["items"], &join(path, &u32::to_string(&index))))
            .collect();
        if schema["maxItems"].is_u64() {
            return !sound.contains(&false);
        }
        for (item, sound) in mem::replace(items, DeArray::new()).into_iter().zip(sound) {
            if sound {
                items.push(item);
            }
        }
        true
    }

    fn length(&mut self, at: Range<usize>, items: usize, schema: &Json, path: &str) -> bool {
        let bound = |key: &str, none| schema[key].as_u64().map_or(none, |bound| bound as usize);
        let (least, most) = (bound("minItems", 0), bound("maxItems", usize::MAX));
        match items {
            0 if least == 1 => self.wrong(at, path, "is an empty list", "write at least one"),
            _ if items < least || items > most => {
                self.wrong(at, path, format!("has {items} items"), format!("write {least}"))
            }
            _ => true,
        }
    }

    /// A number out of its bounds is told, and can still be read if it is no whole one.
    fn number(&mut self, at: Range<usize>, value: &DeValue<'_>, schema: &Json, path: &str) -> bool {
        let whole = schema["type"] == "integer" || schema["type"][0] == "integer";
        let Some(number) = number(value).filter(|_| !whole || value.is_integer()) else {
            let kind = if whole { "a whole number" } else { "a number" };
            return self.wrong(
                at,
                path,
                format!("{} is not {kind}", found(value)),
                "write digits, without quotes or unit",
            );
        };
        let bound = |key: &str, none: f64| schema[key].as_f64().unwrap_or(none);
        let largest = if whole { i64::MAX as f64 } else { f64::MAX };
        let (least, most) = (bound("minimum", f64::MIN), bound("maximum", largest));
        if (least..=most).contains(&number) {
            return true;
        }
        let fix = match schema["maximum"].as_f64() {
            Some(_) => format!("write a value from {least} to {most}"),
            None => format!("write at least {least}"),
        };
        self.wrong(at, path, format!("{} is out of range", found(value)), fix);
        !whole && number.is_finite()
    }

    /// One of several names or tables.
    fn choice(&mut self, value: &mut Spanned<DeValue<'_>>, choices: &'s [Json], path: &str) -> bool {
        let at = value.span();
        let names: Vec<&str> = choices.iter().filter_map(|choice| choice["const"].as_str()).collect();
        let tables: Vec<&Json> = choices.iter().filter(|choice| choice["type"] == "object").collect();
        match (value.get_mut(), tables.as_slice()) {
            (DeValue::String(text), _) if names.contains(&&**text) => true,
            (DeValue::String(text), []) => {
                self.wrong(at, path, format!("\"{text}\" is not known"), meant(text, &names))
            }
            (DeValue::Table(table), [only]) => self.table(table, only, path),
            (DeValue::Table(table), [_, _, ..]) => self.tagged(at, table, &tables, path),
            (other, tables) => {
                let mut ways: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
                let keys = tables.iter().filter_map(|table| table["required"][0].as_str());
                ways.extend(keys.map(|key| format!("{{ {key} = .. }}")));
                ways.dedup();
                self.wrong(at, path, format!("{} is not known here", found(other)), any_of(&ways))
            }
        }
    }

    /// A table whose `kind` says which keys it has.
    fn tagged(&mut self, at: Range<usize>, table: &mut DeTable<'_>, choices: &[&'s Json], path: &str) -> bool {
        let kind_of = |choice: &&'s Json| choice["properties"]["kind"]["const"].as_str();
        let kinds: Vec<&str> = choices.iter().filter_map(kind_of).collect();
        let all = any_of(&kinds.iter().map(|kind| format!("{kind:?}")).collect::<Vec<_>>());
        let path_of_kind = join(path, "kind");
        let Some(kind) = table.get("kind") else {
            return self.wrong(at, &path_of_kind, "is missing", all);
        };
        let written = kind.get_ref().as_str().unwrap_or_default();
        if let Some(choice) = choices.iter().find(|choice| kind_of(choice) == Some(written)) {
            return self.table(table, choice, path);
        }
        let what = format!("{} is not known", found(kind.get_ref()));
        self.wrong(kind.span(), &path_of_kind, what, meant(written, &kinds))
    }
}

fn requires(schema: &Json, name: &str) -> bool {
    schema["required"].as_array().into_iter().flatten().any(|required| required == name)
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number as f64)
        }
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    }
}

/// A value as it is shown in a problem.
fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// "write "a", "b" or "c"".
fn any_of(ways: &[String]) -> String {
    match ways {
        [all @ .., last] if !all.is_empty() => format!("write {} or {last}", all.join(", ")),
        _ => format!("write {}", ways.concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_as_people_read_it() {
        assert_eq!(shown("room.burst"), "room.burst");
        assert_eq!(shown("arrivals.1.rate"), "arrivals #2: rate");
        assert_eq!(shown("habits.think.0"), "habits.think #1");
        assert_eq!(shown(""), "");
    }
}
