//! Texts with values in them: `${name}`. `$${` stands for `${` itself.

use std::fmt::Write as _;

/// The context of a text: how its values are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// Taken as it is.
    Text,
    /// A string of JSON, or a bare number.
    Json,
    /// A path or a query. A value that the text begins with is an address of its own, and taken as it is.
    Url,
}

/// A piece of a text.
enum Piece<'t> {
    Plain(&'t str),
    Value(&'t str),
}

/// Whether it can stand between `${` and `}`.
pub fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.starts_with(|c: char| c.is_alphabetic() || c == '_') && name.chars().all(inner)
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(after) = rest.strip_prefix("$${") {
            rest = after;
            return Some(Piece::Plain("${"));
        }
        let name = rest.strip_prefix("${").and_then(|inner| inner.split_once('}')).filter(|(name, _)| is_name(name));
        if let Some((name, after)) = name {
            rest = after;
            return Some(Piece::Value(name));
        }
        // A `$` that begins nothing is one.
        let end = rest.char_indices().skip(1).find(|(_, c)| *c == '$').map_or(rest.len(), |(at, _)| at);
        let (plain, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Plain(plain))
    })
}

/// The names in a text.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Value(name) => Some(name),
        Piece::Plain(_) => None,
    })
}

/// A text that means itself.
pub fn plain(text: &str) -> String {
    text.replace("${", "$${")
}

/// The text with its values.
///
/// # Errors
/// The unknown name.
pub fn fill(text: &str, value: impl Fn(&str) -> Option<String>, within: Within) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Plain(plain) => filled += plain,
            Piece::Value(name) => {
                let value = value(name).ok_or_else(|| name.to_owned())?;
                match within {
                    Within::Url if !filled.is_empty() => encode(&value, &mut filled),
                    Within::Text | Within::Url => filled += &value,
                    Within::Json => filled += &inside_quotes(&value),
                }
            }
        }
    }
    Ok(filled)
}

/// As it stands in a string of JSON.
fn inside_quotes(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// A form as browsers send it.
pub fn form<'f>(fields: impl Iterator<Item = (&'f str, &'f str)>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn encode(value: &str, to: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            to.push(byte.into());
        } else {
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, within: Within) -> Result<String, String> {
        fill(text, |name| (name == "a.b").then(|| "1 \"&\"".into()), within)
    }

    #[test]
    fn values_stay_values_in_whatever_they_are_put() {
        assert_eq!(filled("<${a.b}>", Within::Text).as_deref(), Ok("<1 \"&\">"));
        assert_eq!(filled(r#"{"a":"${a.b}"}"#, Within::Json).as_deref(), Ok(r#"{"a":"1 \"&\""}"#));
        assert_eq!(filled("/x?a=${a.b}", Within::Url).as_deref(), Ok("/x?a=1%20%22%26%22"));
        assert_eq!(filled("${a.b}/x", Within::Url).as_deref(), Ok("1 \"&\"/x"));
        assert_eq!(filled("${c}", Within::Text), Err("c".into()));
    }

    #[test]
    fn what_begins_no_value_is_text() {
        for text in ["", "$", "${", "${}", "${1}", "${a b}", "a$b$$", "{a}", "$é${"] {
            assert_eq!(filled(text, Within::Text).as_deref(), Ok(text));
        }
        assert_eq!(filled(&plain("${a.b} $"), Within::Text).as_deref(), Ok("${a.b} $"));
        assert_eq!(names("${a} $${b} ${c.d}").collect::<Vec<_>>(), ["a", "c.d"]);
    }
}
