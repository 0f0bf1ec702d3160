//! The language of a room's page: one that the page is written in, or another one that Cloudflare's `default_template_language` has.
//!
//! A configuration from there is taken as it is. Where the page is not written in its language, it falls back to [`FALL_BACK`], and a warning says so.
//!
//! Out of scope: texts of the shop's own, which are of the page's languages alone (`localized`).

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use toml_diagnostics::Document;

use super::RoomConfig;
use crate::ui::Language;

/// The language of a page that is not written in the one that was asked for; Cloudflare's own default.
const FALL_BACK: Language = Language::English;
/// Languages of Cloudflare's page that this one is not written in.
const OTHERS: [&str; 25] = [
    "bg-BG", "cs-CZ", "da-DK", "el-GR", "fa-IR", "fi-FI", "he-IL", "hi-IN", "hr-HR", "hu-HU", "it-IT", "lt-LT",
    "ms-MY", "nb-NO", "nl-NL", "pl-PL", "ro-RO", "ru-RU", "sk-SK", "sl-SI", "sr-BA", "sv-SE", "tl-PH", "tr-TR",
    "uk-UA",
];

/// A language of Cloudflare's, by its name there, such as "ko-KR".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TemplateLanguage(String);

impl TemplateLanguage {
    /// The language of the page.
    pub fn of_page(&self) -> Language {
        self.written().unwrap_or(FALL_BACK)
    }

    /// The same, if the page is written in what was asked for.
    fn written(&self) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.name() == self.0)
    }
}

impl JsonSchema for TemplateLanguage {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TemplateLanguage".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = Language::ALL.map(Language::name).into_iter().chain(OTHERS).collect();
        json_schema!({ "type": "string", "enum": names })
    }
}

/// Warns of a room whose page is not written in its language.
pub(super) fn warn(room: &RoomConfig, at: &str, document: &mut Document<'_>) {
    let Some(asked) = room.default_template_language.as_ref().filter(|asked| asked.written().is_none()) else { return };
    let what = format!("the page is not written in {}: it falls back to {}", asked.0, FALL_BACK.name());
    let names = Language::ALL.map(Language::name).join(", ");
    let fix = format!("write {} or another of {names}, or a page of your own in custom_page_html", FALL_BACK.name());
    document.warn(&format!("{at}.default_template_language"), what, fix);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Config;
    use super::*;

    /// A configuration whose room asks for this language.
    fn asks_for(name: &str) -> Result<Config, String> {
        let text = format!(
            "[[upstream]]\nname = \"shop\"\nservers = [\"127.0.0.1:1\"]\n\
             [[room]]\nname = \"launch\"\nhost = \"*\"\nupstream = \"shop\"\nnew_users_per_minute = 60\n\
             default_template_language = \"{name}\"\n"
        );
        Config::read(&text, Path::new("weir.toml")).map_err(|wrong| format!("{wrong:?}"))
    }

    #[test]
    fn all_38_languages_of_cloudflare_are_accepted_and_one_that_the_page_has_not_falls_back_with_a_warning() {
        let ours = Language::ALL.map(Language::name);
        assert_eq!(ours.len() + OTHERS.len(), 38);
        for name in ours.into_iter().chain(OTHERS) {
            let config = asks_for(name).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
            let shown = config.rooms[0].default_template_language.as_ref().map(TemplateLanguage::of_page);
            let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
            if ours.contains(&name) {
                assert_eq!((shown.map(Language::name), warnings), (Some(name), vec![]));
            } else {
                assert_eq!((shown, warnings.len()), (Some(Language::English), 1), "{warnings:?}");
                let said = format!("the page is not written in {name}: it falls back to en-US");
                assert!(
                    warnings[0].contains(&said) && warnings[0].contains("default_template_language"),
                    "{warnings:?}"
                );
            }
        }
        assert!(asks_for("xx-XX").unwrap_err().contains("xx-XX"));
    }
}
