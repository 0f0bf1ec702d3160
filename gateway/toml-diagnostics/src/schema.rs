//! The schema that a type gives, in the form that files are held against, and attributes of fields that JSON schema has no
//! words for: `#[schemars(transform = between("1s", "1h"))]`.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value as Json, json};

/// JSON schema of what a file of this type may hold. All is in place, without references. A file has no null: a key is absent.
pub fn schema_of<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    schema
}

/// A value of a format with amounts lies between these, both included.
pub fn between(low: &'static str, high: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        schema.insert("formatMinimum".to_owned(), json!(low));
        schema.insert("formatMaximum".to_owned(), json!(high));
        add_words(schema, &format!("From {low} to {high}."));
    }
}

/// Each item of a list is a text of this format.
pub fn each(format: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        if let Some(Json::Object(items)) = schema.get_mut("items") {
            items.insert("format".to_owned(), json!(format));
        }
    }
}

/// The default depends on the rest of the file or on the machine: it is told in words.
pub fn default_is(words: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        schema.remove("default");
        add_words(schema, &format!("Default: {words}."));
    }
}

fn add_words(schema: &mut Schema, words: &str) {
    let about = schema.get("description").and_then(Json::as_str).unwrap_or_default();
    let about = format!("{about} {words}");
    schema.insert("description".to_owned(), json!(about.trim()));
}

fn tidy(schema: &mut Json) {
    match schema {
        Json::Object(keywords) => {
            if let Some(Json::Array(types)) = keywords.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    keywords.insert("type".to_owned(), only);
                }
            }
            if let Some(Json::Array(listed)) = keywords.get_mut("enum") {
                listed.retain(|value| !value.is_null());
            }
            if keywords.get("anyOf").and_then(|any| any.get(1)).is_some_and(|other| other["type"] == "null")
                && let Some(Json::Array(mut any)) = keywords.remove("anyOf")
                && let Json::Object(meant) = any.swap_remove(0)
            {
                for (keyword, value) in meant {
                    keywords.entry(keyword).or_insert(value);
                }
            }
            if keywords.get("default").is_some_and(Json::is_null) {
                keywords.remove("default");
            }
            if let Some(Json::String(about)) = keywords.get_mut("description") {
                *about = about.replace('\n', " ");
            }
            keywords.values_mut().for_each(tidy);
        }
        Json::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
