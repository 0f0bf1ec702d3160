//! What operators tell those who wait.
//!
//! The page has it when it is made. The status document carries its id alone, and a page that knows another asks for the text
//! once, so a message of any length costs each shopper one more request and no poll a byte more than the id.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use policy::audit::hex;
use serde_json::{Map, Value, json};

use super::Language;
use super::notice::push_escaped;

/// A text in some languages of the page. Readers of another see the English one, or the first by its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// By the language's tag.
    texts: BTreeMap<&'static str, String>,
    id: String,
}

impl Message {
    /// The message with these texts; `None`: there is none in any language.
    pub fn of<'t>(text: impl Fn(Language) -> Option<&'t str>) -> Option<Self> {
        let written =
            Language::ALL.into_iter().filter_map(|language| Some((language.tag(), text(language)?.to_owned())));
        let texts: BTreeMap<_, _> = written.collect();
        if texts.is_empty() {
            return None;
        }
        let hash = digest(&SHA256, json!(texts).to_string().as_bytes());
        let id = hex(hash.as_ref().get(..3).unwrap_or_default());
        Some(Self { texts, id })
    }

    /// Six hex digits: another text has others.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The text for a reader of this language.
    pub fn text(&self, language: Language) -> &str {
        let of = |language: Language| self.texts.get(language.tag());
        of(language).or(of(Language::English)).or(self.texts.values().next()).map_or("", String::as_str)
    }

    /// `GET /.weir/message/{room}`: `{"id": .., "texts": {..}}`, the texts by the tags of their languages.
    pub fn document(message: Option<&Self>) -> Bytes {
        let (id, texts) = message.map(|message| (message.id(), message.texts())).unwrap_or_default();
        Bytes::from(json!({ "id": id, "texts": texts }).to_string())
    }

    /// The texts by tag.
    pub(super) fn texts(&self) -> Map<String, Value> {
        self.texts.iter().map(|(&tag, text)| (tag.to_owned(), text.as_str().into())).collect()
    }

    /// The text, as it stands in a page.
    pub(super) fn push(&self, out: &mut Vec<u8>, language: Language) {
        push_escaped(out, self.text(language));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_without_a_text_shows_the_other() {
        let message = Message::of(|language| (language == Language::English).then_some("3 < 5")).expect("a message");
        assert_eq!((message.text(Language::English), message.text(Language::Korean)), ("3 < 5", "3 < 5"));
        let mut out = Vec::new();
        message.push(&mut out, Language::Korean);
        assert_eq!(out, b"3 &lt; 5");
        assert_eq!(Message::of(|_| None), None);
    }

    #[test]
    fn the_document_has_the_id_that_the_status_tells() {
        let both = |english: &'static str| {
            let text = move |language| match language {
                Language::English => Some(english),
                Language::Korean => Some("곧"),
                _ => None,
            };
            Message::of(text).expect("a message")
        };
        let document: Value = serde_json::from_slice(&Message::document(Some(&both("soon")))).expect("JSON");
        assert_eq!(document, json!({ "id": both("soon").id(), "texts": { "en": "soon", "ko": "곧" } }));
        assert_ne!(both("soon").id(), both("later").id());
        assert_eq!(Message::document(None), "{\"id\":\"\",\"texts\":{}}");
    }
}
