//! The second script of the waiting page, by language: with the words of rare states, and what helps shoppers who stay.
//!
//! The page is small because of it: most shoppers wait for seconds, and a browser keeps this for all pages to come.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use policy::audit::hex;
use policy::outlook::Standstill;
use serde_json::{Map, Value, json};

use super::Language;
use super::template::{Coding, Segments, script};

const CODE: &str = include_str!("../../../queue-ui/queue.js");

struct Script {
    plain: Bytes,
    gzip: Bytes,
    version: String,
}

static SCRIPTS: LazyLock<Vec<Script>> = LazyLock::new(|| {
    let code = script(CODE);
    Language::ALL.into_iter().map(|language| Script::of(language, &code)).collect()
});

impl Script {
    fn of(language: Language, code: &str) -> Self {
        let text = format!("\"use strict\";{{const words={};\n{code}}}", words(language));
        let version = hex(digest(&SHA256, text.as_bytes()).as_ref().get(..6).unwrap_or_default());
        let segments = Segments::cut(&text);
        let [plain, gzip] = [Coding::Identity, Coding::Gzip].map(|coding| segments.fill(coding, |_, _| ()).into());
        Self { plain, gzip, version }
    }
}

/// The script's words. `notes` go by the names that `page.js` gives them, `paused` by the stage of an event.
fn words(language: Language) -> Value {
    let texts = language.texts();
    let mut notes: Map<String, Value> =
        Standstill::ALL.iter().map(|why| (why.name().to_owned(), texts.standstill[*why as usize].into())).collect();
    let others = [
        ("resting", texts.resting_note),
        ("gone", texts.sold_out),
        ("goneNote", texts.sold_out_note),
        ("lastItems", texts.last_items_note),
        ("mayEnd", texts.may_end_note),
    ];
    notes.extend(others.map(|(name, text)| (name.to_owned(), text.into())));
    json!({
        "notes": notes,
        "paused": [texts.paused_note, "", texts.over_note],
        "moved": texts.moved,
        "entering": texts.entering,
        "notify": texts.notify,
        "notifyOn": texts.notify_on,
    })
}

/// The script without words.
pub(super) fn queue_script_code() -> &'static str {
    CODE
}

/// Its address, which changes with it.
pub(super) fn queue_script_address(language: Language) -> String {
    format!("/.weir/queue/{}.js?{}", language.tag(), SCRIPTS[language as usize].version)
}

/// `/.weir/queue/{language}.js?{version}`, and whether it is of this version: then it may be kept for ever. `None`: there is no
/// such language.
pub fn queue_script(file: &str, version: Option<&str>, coding: Coding) -> Option<(Bytes, bool)> {
    let tag = file.strip_suffix(".js")?;
    let language = Language::ALL.into_iter().find(|language| language.tag() == tag)?;
    let script = &SCRIPTS[language as usize];
    let text = if coding == Coding::Gzip { &script.gzip } else { &script.plain };
    Some((text.clone(), version == Some(&script.version)))
}
