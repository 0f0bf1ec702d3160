//! A text in several languages of the page, each under the language's name.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::ui::Language;

/// A text in each language of the page that it was written in.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LocalizedText(BTreeMap<Language, String>);

impl LocalizedText {
    /// The text in this language.
    pub fn text(&self, language: Language) -> Option<&str> {
        self.0.get(&language).map(String::as_str)
    }

    /// The texts, in the order of [`Language::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Language, &str)> {
        self.0.iter().map(|(&language, text)| (language, text.as_str()))
    }

    /// The text for readers of each language, in the order of [`Language::ALL`]: where there is none in it the English one, else the first by
    /// its language's name. Empty if there is none.
    pub fn for_all(&self) -> [String; Language::ALL.len()] {
        let first = self.0.iter().min_by_key(|(language, _)| language.name()).map(|(_, text)| text.as_str());
        let others = self.text(Language::English).or(first).unwrap_or_default();
        Language::ALL.map(|language| self.text(language).unwrap_or(others).to_owned())
    }
}

impl JsonSchema for LocalizedText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LocalizedText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let described = |language: Language| json!({ "type": "string", "description": format!("In the language {}.", language.name()) });
        let properties: Map<String, Json> =
            Language::ALL.into_iter().map(|language| (language.name().to_owned(), described(language))).collect();
        json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
    }
}

/// In every language the text is of this format.
pub(super) fn each_in(format: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        let texts = schema.get_mut("properties").and_then(Json::as_object_mut);
        for text in texts.into_iter().flat_map(Map::values_mut) {
            text["format"] = json!(format);
        }
    }
}
