//! What operators tell those who wait.
//!
//! The page has it when it is made. The status document carries its id alone, and a page that knows another asks for the text
//! once, so a message of any length costs each shopper one more request and no poll a byte more than the id.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use policy::audit::hex;
use serde_json::{Map, Value, json};

use super::Language;
use super::notice::push_escaped;

/// A text in every language of the page: one that was not written in it is in another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    texts: Vec<String>,
    id: String,
}

impl Message {
    /// The message with these texts; `None`: there is none in any language.
    pub fn of<'t>(text: impl Fn(Language) -> Option<&'t str>) -> Option<Self> {
        let any = Language::ALL.into_iter().find_map(&text)?;
        let texts: Vec<String> = Language::ALL.map(|language| text(language).unwrap_or(any).to_owned()).into();
        let hash = digest(&SHA256, texts.join("\0").as_bytes());
        let id = hex(hash.as_ref().get(..3).unwrap_or_default());
        Some(Self { texts, id })
    }

    /// Six hex digits: another text has others.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The text in this language.
    pub fn text(&self, language: Language) -> &str {
        self.texts.get(language as usize).map_or("", String::as_str)
    }

    /// `GET /.weir/message/{room}`: the id, and the text by the tag of each language.
    pub fn document(message: Option<&Self>) -> Bytes {
        let mut told = Map::new();
        told.insert("id".to_owned(), message.map_or("", Self::id).into());
        told.extend(message.map(Self::texts).into_iter().flatten());
        Bytes::from(json!(told).to_string())
    }

    /// The texts by tag.
    pub(super) fn texts(&self) -> Map<String, Value> {
        Language::ALL.into_iter().map(|language| (language.tag().to_owned(), self.text(language).into())).collect()
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
            Message::of(move |language| Some(if language == Language::English { english } else { "곧" }))
                .expect("a message")
        };
        let document: Value = serde_json::from_slice(&Message::document(Some(&both("soon")))).expect("JSON");
        assert_eq!(document, json!({ "id": both("soon").id(), "en": "soon", "ko": "곧" }));
        assert_ne!(both("soon").id(), both("later").id());
        assert_eq!(Message::document(None), "{\"id\":\"\"}");
    }
}
