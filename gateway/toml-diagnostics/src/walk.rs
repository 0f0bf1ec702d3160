//! The walk of a file along a schema, key by key. Each step tells whether what it saw can be read.

use std::mem;
use std::ops::Range;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::diagnostic::Diagnostic;
use crate::document::{Document, Severity, join};
use crate::suggestion::{any_of, did_you_mean, nearest};

/// What a `format` of a schema asks of a value.
#[derive(Debug, Clone, Copy)]
pub enum Format {
    /// A text is usable. One that is not is read all the same.
    Text(fn(&str) -> Result<(), Diagnostic>),
    /// A value is one of a type that is written as text; how much it is, where schemas set bounds ([`between`](crate::between)).
    Value(fn(&DeValue<'_>) -> Result<u64, Diagnostic>),
}

/// Formats by their names in schemas. Others mean nothing.
pub type Formats<'f> = &'f [(&'f str, Format)];

pub(crate) struct Walk<'d, 't> {
    pub(crate) document: &'d mut Document<'t>,
    pub(crate) formats: Formats<'d>,
}

impl Walk<'_, '_> {
    fn wrong(&mut self, at: Range<usize>, path: &str, what: impl Into<String>, fix: impl Into<String>) -> bool {
        self.document.add(at.start, path, Severity::Error, Diagnostic::new(what, fix));
        false
    }

    /// What cannot be read is taken out of the table.
    pub(crate) fn table(&mut self, table: &mut DeTable<'_>, schema: &Json, path: &str) -> bool {
        let known = schema["properties"].as_object();
        let names: Vec<&str> = known.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let mut unread = Vec::new();
        for (key, value) in table.iter_mut() {
            let name: &str = key.get_ref();
            let own = known.and_then(|known| known.get(name)).or(schema.get("additionalProperties"));
            let sound = if let Some(own) = own.filter(|own| own.is_object()) {
                let path = join(path, name);
                self.document.place(&path, value.span().start, None);
                self.value(value, own, &path)
            } else {
                self.wrong(key.span(), path, format!("unknown key \"{name}\""), did_you_mean(name, &names))
            };
            unread.extend((!sound).then(|| name.to_owned()));
        }
        for name in unread {
            table.remove(name.as_str());
        }
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
        let missing: Vec<&str> = required.filter(|name| !table.contains_key(*name)).collect();
        for name in &missing {
            self.report_missing(&schema["properties"][*name], &join(path, name));
        }
        // Where there is a default all the same, the value is blank.
        missing.into_iter().all(|name| !schema["properties"][name]["default"].is_null())
    }

    fn report_missing(&mut self, schema: &Json, path: &str) {
        if self.document.is_sound(path) && !self.document.is_broken() {
            let about = schema["description"].as_str().or(schema["const"].as_str()).unwrap_or("see the schema");
            self.document.report(path, "is missing", format!("add it: {about}"));
        }
    }

    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, schema: &Json, path: &str) -> bool {
        let at = value.span();
        if let Some([one, list]) = schema["anyOf"].as_array().map(Vec::as_slice)
            && list["type"] == "array"
        {
            return if value.get_ref().is_array() {
                self.value(value, list, path)
            } else {
                self.value(value, one, path) && self.make_list(value, path)
            };
        }
        if let Some(readable) = self.format(at.clone(), value.get_ref(), schema, path) {
            return readable;
        }
        match (schema["type"].as_str().unwrap_or_default(), value.get_mut()) {
            _ if schema["oneOf"].is_array() => self.choice(value, schema, path),
            ("string", _) if schema["enum"].is_array() => self.choice(value, schema, path),
            ("object", DeValue::Table(table)) => self.table(table, schema, path),
            ("array", DeValue::Array(items)) => {
                let fits = self.length(at, items.len(), schema, path);
                self.items(items, schema, path) && fits
            }
            ("number" | "integer", number) => self.number(at, number, schema, path),
            ("string", DeValue::String(_)) | ("boolean", DeValue::Boolean(_)) => true,
            ("object", other) => {
                let what = format!("{} where a table is expected", found(other));
                self.wrong(at, path, what, "write { key = value, .. } or a [section]")
            }
            ("array", other) if schema["items"]["type"] == "object" => {
                let what = format!("{} where a list of tables is expected", found(other));
                self.wrong(at, path, what, "use double brackets: [[section]] or [{ .. }]")
            }
            ("array", other) => self.wrong(at, path, format!("{} is not a list", found(other)), "write [.., ..]"),
            ("boolean", other) => {
                self.wrong(at, path, format!("{} is not a boolean", found(other)), "write true or false")
            }
            (_, other) => self.wrong(at, path, format!("{} is not text", found(other)), "write it in quotes"),
        }
    }

    /// A list of one may be written without its brackets where the schema says so.
    fn make_list(&mut self, value: &mut Spanned<DeValue<'_>>, path: &str) -> bool {
        let at = value.span();
        self.document.place(&join(path, "0"), at.start, Some("#1".to_owned()));
        let mut list = DeArray::new();
        list.push(Spanned::new(at, mem::replace(value.get_mut(), DeValue::Boolean(false))));
        *value.get_mut() = DeValue::Array(list);
        true
    }

    /// What the format of a value says of it. `None`: nothing against it.
    fn format(&mut self, at: Range<usize>, value: &DeValue<'_>, schema: &Json, path: &str) -> Option<bool> {
        let name = schema["format"].as_str()?;
        let (_, format) = self.formats.iter().find(|(known, _)| *known == name)?;
        let (Diagnostic { what, fix, .. }, readable) = match format {
            Format::Text(rule) => (rule(value.as_str()?).err()?, true),
            Format::Value(read) => match read(value) {
                Err(wrong) => (wrong, false),
                Ok(amount) => (out_of_bounds(*read, amount, value, schema)?, true),
            },
        };
        self.wrong(at, path, what, fix);
        Some(readable)
    }

    /// What cannot be read is taken out of the list; a list of fixed length cannot be read without it.
    fn items(&mut self, items: &mut DeArray<'_>, schema: &Json, path: &str) -> bool {
        let (written, at_top) = (items.len(), !path.contains('.'));
        let mut read = DeArray::new();
        for (index, mut item) in mem::replace(items, DeArray::new()).into_iter().enumerate() {
            let name = item.get_ref().get("name").and_then(|name| name.get_ref().as_str()).filter(|_| at_top);
            let label = name.map_or_else(|| format!("#{}", index + 1), |name| format!("{name:?}"));
            // The path counts what could be read: it must lead back from a read item to its place.
            let path = join(path, &read.len().to_string());
            let findings = self.document.findings();
            self.document.place(&path, item.span().start, Some(label));
            if self.value(&mut item, &schema["items"], &path) {
                read.push(item);
            } else {
                self.document.forget_item(&path, findings);
            }
        }
        *items = read;
        items.len() == written || schema["maxItems"].is_null()
    }

    fn length(&mut self, at: Range<usize>, items: usize, schema: &Json, path: &str) -> bool {
        let bound = |key: &str, none| schema[key].as_u64().map_or(none, |bound| bound as usize);
        let (least, most) = (bound("minItems", 0), bound("maxItems", usize::MAX));
        match items {
            0 if least == 1 => self.wrong(at, path, "is an empty list", "write at least one"),
            _ if items < least || items > most => {
                let fix = match () {
                    () if least == most => format!("write {least}"),
                    () if items > most => format!("write at most {most}"),
                    () => format!("write at least {least}"),
                };
                self.wrong(at, path, format!("has {items} items"), fix)
            }
            _ => true,
        }
    }

    /// A number out of its bounds can still be read if it is no whole one.
    fn number(&mut self, at: Range<usize>, value: &DeValue<'_>, schema: &Json, path: &str) -> bool {
        let whole = schema["type"] == "integer";
        let Some(number) = number(value).filter(|_| !whole || value.is_integer()) else {
            let (kind, fix) = if whole {
                ("a whole number", "write digits without quotes, point or unit")
            } else {
                ("a number", "write digits, without quotes or unit")
            };
            return self.wrong(at, path, format!("{} is not {kind}", found(value)), fix);
        };
        if let Some(allowed) = schema["enum"].as_array() {
            let listed: Vec<String> = allowed.iter().map(Json::to_string).collect();
            let is_allowed = allowed.iter().any(|allowed| allowed.as_f64() == Some(number));
            return is_allowed || self.wrong(at, path, format!("{} is not allowed", found(value)), any_of(&listed));
        }
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
    fn choice(&mut self, value: &mut Spanned<DeValue<'_>>, schema: &Json, path: &str) -> bool {
        let at = value.span();
        let choices = schema["oneOf"].as_array().map_or(std::slice::from_ref(schema), Vec::as_slice);
        let names: Vec<&str> = choices.iter().flat_map(names).collect();
        let tables: Vec<&Json> = choices.iter().filter(|choice| choice["type"] == "object").collect();
        match (value.get_mut(), tables.as_slice()) {
            (DeValue::String(text), _) if names.contains(&&**text) => true,
            (DeValue::Table(table), [only]) => self.table(table, only, path),
            (DeValue::Table(table), [_, _, ..]) => self.tagged(at, table, &tables, path),
            (other, tables) => {
                let keys = tables.iter().filter_map(|table| table["required"][0].as_str());
                let mut ways = quoted(&names);
                ways.extend(keys.map(|key| format!("{{ {key} = .. }}")));
                ways.dedup();
                self.wrong(at, path, not_known(other, &names), any_of(&ways))
            }
        }
    }

    /// A table whose `kind` says which keys it has.
    fn tagged(&mut self, at: Range<usize>, table: &mut DeTable<'_>, choices: &[&Json], path: &str) -> bool {
        let kinds: Vec<&str> = choices.iter().filter_map(|choice| kind_of(choice)).collect();
        let (all, path_of_kind) = (any_of(&quoted(&kinds)), join(path, "kind"));
        let Some(kind) = table.get("kind") else {
            return self.wrong(at, &path_of_kind, "is missing", all);
        };
        let written = kind.get_ref().as_str();
        match choices.iter().find(|choice| written.is_some() && kind_of(choice) == written) {
            Some(choice) => self.table(table, choice, path),
            None => self.wrong(kind.span(), &path_of_kind, not_known(kind.get_ref(), &kinds), all),
        }
    }
}

fn out_of_bounds(
    read: fn(&DeValue<'_>) -> Result<u64, Diagnostic>,
    amount: u64,
    value: &DeValue<'_>,
    schema: &Json,
) -> Option<Diagnostic> {
    let bound = |keyword: &str| {
        let written = schema[keyword].as_str()?;
        Some((written, read(&DeValue::String(written.into())).ok()?))
    };
    let ((low, least), (high, most)) = (bound("formatMinimum")?, bound("formatMaximum")?);
    let fix = || format!("write a value from {low:?} to {high:?}");
    (!(least..=most).contains(&amount)).then(|| Diagnostic::new(format!("{} is out of range", found(value)), fix()))
}

/// The names that a choice stands for.
fn names(choice: &Json) -> impl Iterator<Item = &str> {
    choice["const"].as_str().into_iter().chain(choice["enum"].as_array().into_iter().flatten().filter_map(Json::as_str))
}

fn kind_of(choice: &Json) -> Option<&str> {
    choice["properties"]["kind"]["const"].as_str()
}

fn quoted(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("{name:?}")).collect()
}

fn not_known(value: &DeValue<'_>, names: &[&str]) -> String {
    let Some(text) = value.as_str() else {
        return format!("{} is not one of the names that are known here", found(value));
    };
    let meant = nearest(text, names).map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
    format!("{text:?} is not known{meant}")
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(number) => {
            let read = i128::from_str_radix(number.as_str(), number.radix());
            Some(read.map_or(f64::INFINITY, |number| number as f64))
        }
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    }
}

/// What stands there, for a message: short values as written, others by type.
pub fn found(value: &DeValue<'_>) -> String {
    let written = match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        _ => String::new(),
    };
    match (written.len(), value.type_str()) {
        (1..=60, _) => written,
        (_, kind @ ("array" | "integer")) => format!("an {kind}"),
        (_, kind) => format!("a {kind}"),
    }
}
