//! The reading layer: sections that are described once, and read, checked and published from that.
//!
//! serde stops at the first mistake and keeps no place; an operator wants all of them at once. So a
//! [`Table`] hands out its keys one by one, notes what was asked for, and complains about the rest.
//! The notes are also the schema: reading a blank table is describing it.

use serde_json::{Map, Value as Json, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Diagnostic;
use super::reader::Reader;
use super::value::found;
use crate::spelling::nearest;

/// Something that a file can hold.
pub(super) trait Value: Sized {
    /// Whether it is written as a table.
    const TABLE: bool = false;

    /// Reads it. `None` if it cannot be read at all; the reader knows why.
    fn from_toml(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self>;

    /// JSON schema of what is accepted.
    fn schema() -> Json;

    /// As it would be written.
    fn show(&self) -> Json {
        Json::Null
    }
}

/// A value that may be absent.
pub(super) trait Shown {
    /// As it would be written; null if it is absent.
    fn shown(&self) -> Json;
}

impl<T: Value> Shown for T {
    fn shown(&self) -> Json {
        self.show()
    }
}

impl<T: Value> Shown for Option<T> {
    fn shown(&self) -> Json {
        self.as_ref().map(Value::show).unwrap_or_default()
    }
}

/// A table with named keys. Made by [`section!`].
pub(super) trait Section: Value {
    /// Takes all keys.
    fn keys(table: &mut Table<'_, '_>) -> Self;
}

/// A table while it is read.
pub(super) struct Table<'a, 't> {
    entries: &'a DeTable<'a>,
    reader: &'a mut Reader<'t>,
    taken: Vec<Described>,
}

/// A key that was asked for.
struct Described {
    name: &'static str,
    required: bool,
    schema: fn() -> Json,
    notes: Map<String, Json>,
}

impl<'a, 't> Table<'a, 't> {
    /// A key of the table: add rules, then end with what happens in its absence.
    pub(super) fn key<T: Value>(&mut self, name: &'static str, about: &'static str) -> Key<'_, 'a, 't, T> {
        Key { table: self, name, about: about.trim().to_owned(), notes: Map::new(), rules: Vec::new() }
    }

    fn complain_about_the_rest(&mut self) {
        let names: Vec<&str> = self.taken.iter().map(|key| key.name).collect();
        for key in self.entries.keys().filter(|key| !names.contains(&key.get_ref().as_ref())) {
            let fix = match nearest(key.get_ref(), &names) {
                Some(name) => format!("did you mean \"{name}\"?"),
                None => format!("known here: {}", names.join(", ")),
            };
            self.reader.wrong(Some(key.span()), Diagnostic::new(format!("unknown key \"{}\"", key.get_ref()), fix));
        }
    }

    fn schema(&self) -> Json {
        let required: Vec<&str> = self.taken.iter().filter(|key| key.required).map(|key| key.name).collect();
        let property = |key: &Described| {
            let mut schema = (key.schema)();
            if let Json::Object(schema) = &mut schema {
                schema.extend(key.notes.clone());
            }
            (key.name.to_owned(), schema)
        };
        let properties: Map<String, Json> = self.taken.iter().map(property).collect();
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    }
}

/// Reads a section from a table, and complains about keys that it does not know.
pub(super) fn read<S: Section>(entries: &DeTable<'_>, reader: &mut Reader<'_>) -> S {
    let mut table = Table { entries, reader, taken: Vec::new() };
    let section = S::keys(&mut table);
    table.complain_about_the_rest();
    section
}

/// Reads a section from a value, which may be no table.
pub(super) fn read_value<S: Section>(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<S> {
    let Some(entries) = value.get_ref().as_table() else {
        let what = format!("{} where a table is expected", found(value.get_ref()));
        reader.wrong(Some(value.span()), Diagnostic::new(what, "write { key = value, .. } or a [section]"));
        return None;
    };
    Some(read(entries, reader))
}

/// JSON schema of a section: what it asks of a blank table.
pub(super) fn describe<S: Section>() -> Json {
    let (entries, mut reader) = (DeTable::new(), Reader::default());
    let mut table = Table { entries: &entries, reader: &mut reader, taken: Vec::new() };
    S::keys(&mut table);
    table.schema()
}

/// What else must hold for a value.
type Rule<T> = Box<dyn Fn(&T) -> Vec<Diagnostic>>;

/// A key that is being asked for.
pub(super) struct Key<'k, 'a, 't, T> {
    table: &'k mut Table<'a, 't>,
    name: &'static str,
    about: String,
    notes: Map<String, Json>,
    rules: Vec<Rule<T>>,
}

impl<T: Value> Key<'_, '_, '_, T> {
    /// The value must satisfy this.
    pub(super) fn must(mut self, rule: impl Fn(&T) -> Result<(), Diagnostic> + 'static) -> Self {
        self.rules.push(Box::new(move |value| rule(value).err().into_iter().collect()));
        self
    }

    /// The value lies between these, both included.
    pub(super) fn between(mut self, low: T, high: T) -> Self
    where
        T: PartialOrd + 'static,
    {
        let (from, to) = (low.show(), high.show());
        if from.is_number() {
            self.notes.insert("minimum".into(), from.clone());
            self.notes.insert("maximum".into(), to.clone());
        } else {
            self.note(format_args!("From {} to {}.", bare(&from), bare(&to)));
        }
        self.must(move |value| {
            let inside = low <= *value && *value <= high;
            let what = || format!("{} is out of range", value.show());
            inside.then_some(()).ok_or_else(|| Diagnostic::new(what(), format!("write a value from {from} to {to}")))
        })
    }

    /// The value is one of these.
    pub(super) fn one_of(mut self, allowed: &'static [T]) -> Self
    where
        T: PartialEq,
    {
        let shown: Vec<Json> = allowed.iter().map(Value::show).collect();
        self.notes.insert("enum".into(), json!(shown));
        self.must(move |value| {
            let listed: Vec<String> = shown.iter().map(Json::to_string).collect();
            let wrong = || Diagnostic::new(format!("{} is not allowed", value.show()), any_of(&listed));
            allowed.contains(value).then_some(()).ok_or_else(wrong)
        })
    }

    /// Must be there.
    pub(super) fn required(mut self) -> T
    where
        T: Default,
    {
        let absent = !self.table.entries.contains_key(self.name) && !self.table.reader.broken;
        let (name, fix) = (self.name, format!("add it: {}", self.about));
        if absent {
            self.table.reader.within(name, None, None, |reader| reader.wrong(None, Diagnostic::new("is missing", fix)));
        }
        self.take(true).unwrap_or_default()
    }

    /// May be absent.
    pub(super) fn optional(mut self) -> Option<T> {
        self.take(false)
    }

    /// Has this value in its absence.
    pub(super) fn or(mut self, default: T) -> T {
        self.notes.insert("default".into(), default.show());
        self.take(false).unwrap_or(default)
    }

    /// Has this value in its absence, and `words` say which that is.
    pub(super) fn or_from(mut self, words: &str, default: T) -> T {
        self.note(format_args!("Default: {words}."));
        self.take(false).unwrap_or(default)
    }

    /// Is read from a blank table in its absence.
    pub(super) fn or_blank(mut self) -> T
    where
        T: Section,
    {
        let name = self.name;
        let taken = self.take(false);
        taken.unwrap_or_else(|| self.table.reader.within(name, None, None, |reader| read(&DeTable::new(), reader)))
    }

    /// Adds to what the key is about.
    fn note(&mut self, words: std::fmt::Arguments<'_>) {
        self.about = format!("{} {words}", self.about);
    }

    fn take(&mut self, required: bool) -> Option<T> {
        self.notes.insert("description".into(), json!(self.about));
        let notes = std::mem::take(&mut self.notes);
        self.table.taken.push(Described { name: self.name, required, schema: T::schema, notes });
        let value = self.table.entries.get(self.name)?;
        let rules = &self.rules;
        self.table.reader.within(self.name, Some(value.span().start), None, |reader| {
            let read = T::from_toml(value, reader)?;
            for wrong in rules.iter().flat_map(|rule| rule(&read)) {
                reader.wrong(Some(value.span()), wrong);
            }
            Some(read)
        })
    }
}

impl<T: Value> Key<'_, '_, '_, Vec<T>> {
    /// Every item must satisfy this.
    pub(super) fn each(mut self, rule: impl Fn(&T) -> Result<(), Diagnostic> + 'static) -> Self {
        self.rules.push(Box::new(move |items| items.iter().filter_map(|item| rule(item).err()).collect()));
        self
    }

    /// There is at least one item.
    pub(super) fn filled(self) -> Self {
        self.must(|items| match items.as_slice() {
            [] => Err(Diagnostic::new("is an empty list", "write at least one")),
            _ => Ok(()),
        })
    }
}

/// "write "a", "b" or "c"".
pub(super) fn any_of(listed: &[String]) -> String {
    match listed {
        [] => String::new(),
        [only] => format!("write {only}"),
        [all @ .., last] => format!("write {} or {last}", all.join(", ")),
    }
}

fn bare(shown: &Json) -> String {
    shown.as_str().map_or_else(|| shown.to_string(), str::to_owned)
}

/// Declares a section: its struct, how it is read, and its schema, each key written once.
///
/// `name: Type = rule(..).rule(..).absence()`; a default may use the keys above it. A field that is
/// not called like its key is followed by the key in quotes. Fields `beside` the keys are not written.
macro_rules! section {
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (
        $(#[doc = $about:literal])+
        $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident $($key:literal)? : $type:ty =
                    $first:ident($($first_arg:expr),*) $(.$next:ident($($next_arg:expr),*))*,
            )+
        }
        $( beside {
            $(
                $(#[doc = $beside_doc:literal])+
                $beside:ident: $beside_type:ty,
            )+
        } )?
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: $type, )+
            $($( $(#[doc = $beside_doc])+ pub $beside: $beside_type, )+)?
        }

        impl $crate::config::table::Section for $name {
            fn keys(table: &mut $crate::config::table::Table<'_, '_>) -> Self {
                $(
                    let $field: $type = table
                        .key($crate::config::table::section!(@key $field $($key)?), concat!($($doc),+))
                        .$first($($first_arg),*)$(.$next($($next_arg),*))*;
                )+
                Self { $($field,)+ $($($beside: Default::default(),)+)? }
            }
        }

        impl $crate::config::table::Value for $name {
            const TABLE: bool = true;

            fn from_toml(
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                reader: &mut $crate::config::reader::Reader<'_>,
            ) -> Option<Self> {
                $crate::config::table::read_value(value, reader)
            }

            fn schema() -> serde_json::Value {
                $crate::config::table::describe::<Self>()
            }

            fn show(&self) -> serde_json::Value {
                use $crate::config::table::Shown as _;
                let mut table = serde_json::Map::new();
                $(
                    let name = $crate::config::table::section!(@key $field $($key)?);
                    table.insert(name.to_owned(), self.$field.shown());
                )+
                table.into()
            }
        }
    };
}
pub(super) use section;
