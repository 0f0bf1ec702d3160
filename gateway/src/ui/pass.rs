//! A pass on pages of the shop: the script, and the document that it fetches.

use std::sync::LazyLock;

use bytes::Bytes;
use policy::Millis;
use policy::ticket::Token;
use serde_json::json;

use super::Language;
use super::template::{Coding, Segments, script};

static SCRIPT: LazyLock<[Bytes; 2]> = LazyLock::new(|| {
    let script = Segments::cut(&script(include_str!("../../../queue-ui/pass.js")));
    [Coding::Identity, Coding::Gzip].map(|coding| script.fill(coding, |_, _| ()).into())
});

/// `/.weir/pass.js`.
pub fn pass_script(coding: Coding) -> Bytes {
    let [plain, gzip] = &*SCRIPT;
    if coding == Coding::Gzip { gzip.clone() } else { plain.clone() }
}

/// The end of a pass, and whether it may still be renewed; with the script's texts in a language:
/// `{"seconds": until its end, "renew": until a request would move that, or null, "lang": tag, "text": {..}}`. Seconds are the
/// remaining time, because a browser's clock may be wrong.
pub fn pass_status(pass: Option<(Token, bool)>, now: Millis, language: Language) -> Bytes {
    let texts = language.texts();
    let seconds = pass.map_or(0, |(pass, _)| pass.expires.saturating_sub(now).div_ceil(1_000));
    let half = |pass: Token| Millis::midpoint(pass.issued, pass.expires).saturating_sub(now).div_ceil(1_000);
    let renew = pass.filter(|&(_, may_renew)| may_renew).map(|(pass, _)| half(pass));
    let text = json!({
        "ending": texts.pass_ending,
        "last": texts.pass_last,
        "ended": texts.pass_ended,
        "stay": texts.pass_stay,
        "close": texts.pass_close,
    });
    Bytes::from(json!({ "seconds": seconds, "renew": renew, "lang": language.tag(), "text": text }).to_string())
}
