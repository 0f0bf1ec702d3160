//! A room's own template: what it may name, and whether a browser that shows its page hears of the line again.
//!
//! Out of scope: rendering ([`super::template`]), and what else is wrong with a template, which rendering finds.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value};
use toml_diagnostics::nearest;

use super::template::{MARK, PageError, page_script};

/// Attributes of the element that our script reads first.
const READ_FIRST: [&str; 5] = ["id=\"weir\"", "data-room=", "data-line=", "data-ticket=", "data-poll="];

/// Adds a template to those of ours, with the usual rules for white space. It may name what is `given` and no more.
///
/// # Errors
/// It does not parse, or names a variable that no page has.
pub(super) fn add(
    templates: &mut Environment<'_>,
    name: &'static str,
    source: &str,
    given: &Value,
) -> Result<(), PageError> {
    if let Some(line) = source.lines().position(|line| line.contains(MARK)) {
        return Err(PageError { line: line + 1, message: "control character U+0001".to_owned() });
    }
    templates.set_syntax(SyntaxConfig::default());
    templates.add_template_owned(name, source.to_owned())?;
    let given: Vec<String> = given.try_iter()?.map(|name| name.to_string()).collect();
    let known: Vec<&str> = given.iter().map(String::as_str).chain(templates.globals().map(|(name, _)| name)).collect();
    let unknown = templates.get_template(name)?.undeclared_variables(false).into_iter();
    let unknown = unknown.filter(|name| !known.contains(&name.as_str()));
    match unknown.map(|name| (line_of(source, &name), name)).min() {
        None => Ok(()),
        Some((line, name)) => {
            let meant = nearest(&name, &known).map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
            Err(PageError { line, message: format!("unknown variable {name}{meant}") })
        }
    }
}

/// The first line that has this word in it, from 1.
fn line_of(source: &str, word: &str) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    source.lines().position(|line| line.split(|c| !is_word(c)).any(|found| found == word)).map_or(1, |at| at + 1)
}

/// Whether a browser that shows this page and runs scripts asks again: by our script and the element that it reads, by a script
/// of the page's own, or because it loads the page again.
pub(super) fn polls(page: &str) -> bool {
    let own = page.replace(page_script(), "");
    if own.len() < page.len() && READ_FIRST.iter().all(|part| own.contains(part)) {
        return true;
    }
    let own = without_noscript(&own.to_lowercase());
    let refreshes = |rest: &str| rest.trim_start_matches([' ', '=', '"', '\'']).starts_with("refresh");
    let is_loaded = |rest: &str| rest.split('>').next().is_some_and(|tag| tag.contains("src="));
    own.contains("/.weir/status")
        || own.contains("location.reload")
        || own.split("http-equiv").skip(1).any(refreshes)
        || own.split("<script").skip(1).any(is_loaded)
}

/// What a browser with scripts sees.
fn without_noscript(page: &str) -> String {
    let mut parts = page.split("<noscript");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |seen, part| seen + part.split_once("</noscript>").map_or("", |(_, after)| after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_polls_by_our_script_with_its_element_or_by_a_way_of_its_own() {
        let script = format!("<script>{}</script>", page_script());
        let element = "<main id=\"weir\" data-room=\"a\" data-line=\"1\" data-ticket=\"2\" data-poll=\"3\">";
        let good = [
            format!("{element}{script}"),
            "<META HTTP-EQUIV=\"Refresh\" content=5>".to_owned(),
            "<meta http-equiv=refresh content=5>".to_owned(),
            "<script>setTimeout(() => location.reload(), 5000)</script>".to_owned(),
            "<script>fetch('/.weir/status/launch')</script>".to_owned(),
            "<script async src=\"/own.js\"></script>".to_owned(),
        ];
        for page in good {
            assert!(polls(&page), "{page}");
        }
        let bad = [
            script,
            element.to_owned(),
            "<p>please wait".to_owned(),
            "<noscript><meta http-equiv=refresh content=5></noscript><script>alert(1)</script>".to_owned(),
            "<img src=\"a.png\"><noscript>".to_owned(),
        ];
        for page in bad {
            assert!(!polls(&page), "{page}");
        }
    }
}
