//! An answer's values: by CSS selector, JSON pointer, header or cookie.

use std::borrow::Cow;
use std::cell::OnceCell;

use scraper::{ElementRef, Html, Selector};
use serde_json::Value;

use crate::scenario::Take;
use crate::visit::RawAnswer;

/// An answer, parsed only on demand.
pub(crate) struct Page<'s> {
    seen: &'s RawAnswer,
    html: OnceCell<Html>,
    json: OnceCell<Option<Value>>,
}

impl<'s> Page<'s> {
    pub(crate) fn of(seen: &'s RawAnswer) -> Self {
        Self { seen, html: OnceCell::new(), json: OnceCell::new() }
    }

    /// All of it, as text.
    pub(crate) fn text(&self) -> Cow<'s, str> {
        String::from_utf8_lossy(&self.seen.body)
    }

    /// Whether a selector finds something.
    pub(crate) fn has(&self, selector: &str) -> bool {
        Selector::parse(selector).is_ok_and(|selector| self.html().select(&selector).next().is_some())
    }

    /// The value, if it is there.
    pub(crate) fn take(&self, take: &Take) -> Option<String> {
        if let Some(selector) = &take.css {
            let selector = Selector::parse(selector).ok()?;
            return of_element(self.html().select(&selector).next()?, take.attribute.as_deref());
        }
        if let Some(pointer) = &take.json {
            return of_json(self.json()?.pointer(pointer)?);
        }
        if let Some(name) = &take.header {
            return self.seen.headers.get(name)?.to_str().ok().map(str::to_owned);
        }
        self.seen.jar.value(take.cookie.as_deref()?).map(str::to_owned)
    }

    fn html(&self) -> &Html {
        self.html.get_or_init(|| Html::parse_document(&self.text()))
    }

    fn json(&self) -> Option<&Value> {
        self.json.get_or_init(|| serde_json::from_slice(&self.seen.body).ok()).as_ref()
    }
}

/// The value of a field, where a link or a form leads, or the text.
pub fn of_element(element: ElementRef<'_>, attribute: Option<&str>) -> Option<String> {
    let attribute = attribute.or(match element.value().name() {
        "input" | "button" | "option" => Some("value"),
        "meta" => Some("content"),
        "a" | "link" => Some("href"),
        "form" => Some("action"),
        _ => None,
    });
    match attribute {
        Some(name) => element.value().attr(name).map(str::to_owned),
        None => Some(element.text().collect::<String>().trim().to_owned()),
    }
}

fn of_json(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
