//! A held form, which was sent too late: the page has its hidden fields and a button that sends them to the page's own address.
//!
//! The form has no `action`, so it goes to the very address of the first attempt.

use super::Language;
use super::notice::push_escaped;

/// The content of a held form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldForm {
    /// Names and values in their order; `None`: the fields could not be kept.
    pub fields: Option<Vec<(String, String)>>,
    /// Names of dropped fields.
    pub left_out: Vec<String>,
}

impl HeldForm {
    pub(super) fn push(&self, out: &mut Vec<u8>, language: Language) {
        let texts = language.texts();
        let Some(fields) = &self.fields else {
            out.extend_from_slice(b"\n<p id=\"lost\">");
            push_escaped(out, texts.form_lost);
            out.extend_from_slice(b"</p>");
            return push_how(out, texts.form_lost_how);
        };
        out.extend_from_slice(b"\n<form method=\"post\" id=\"held\"");
        if !self.left_out.is_empty() {
            out.extend_from_slice(b" data-turn=\"");
            push_escaped(out, texts.form_turn);
            out.extend_from_slice(b"\"");
        }
        out.extend_from_slice(b"><p>");
        let whole = self.left_out.is_empty();
        push_escaped(out, if whole { texts.form_kept } else { texts.form_part });
        for (i, name) in self.left_out.iter().enumerate() {
            out.extend_from_slice(if i == 0 { b" <b>" } else { b", <b>" });
            push_escaped(out, name);
            out.extend_from_slice(b"</b>");
        }
        out.extend_from_slice(b"</p>");
        push_how(out, if whole { texts.form_kept_how } else { texts.form_part_how });
        for (name, value) in fields {
            out.extend_from_slice(b"<input type=\"hidden\" name=\"");
            push_escaped(out, name);
            out.extend_from_slice(b"\" value=\"");
            push_escaped(out, value);
            out.extend_from_slice(b"\">");
        }
        out.extend_from_slice(b"\n<button class=\"go\">");
        push_escaped(out, texts.form_send);
        out.extend_from_slice(b"</button></form>");
    }
}

/// Instructions, with a script and without: the script inserts its own.
fn push_how(out: &mut Vec<u8>, [scripted, by_hand]: [&str; 2]) {
    out.extend_from_slice(b"<p id=\"how\" data-script=\"");
    push_escaped(out, scripted);
    out.extend_from_slice(b"\">");
    push_escaped(out, by_hand);
    out.extend_from_slice(b"</p>");
}
