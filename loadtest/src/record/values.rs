//! Where the values of a request came from: hidden fields, JSON, `meta`, cookies, and the shopper who logged in.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use launch_model::journey::{of_element, template};
use launch_model::scenario::Take;
use scraper::{ElementRef, Html, Selector};
use serde_json::Value;

use super::chain::Chain;
use super::har::{Entry, Pair, header};

/// A shorter value stands in many places by chance.
const SHORTEST: usize = 8;

/// The answers so far, and the values taken from them.
pub(super) struct Values<'h> {
    answers: Vec<Answer<'h>>,
    /// For each step.
    pub(super) takes: Vec<BTreeMap<String, Take>>,
    /// The shopper's log-in.
    pub(super) user: BTreeMap<String, String>,
}

struct Answer<'h> {
    entry: &'h Entry,
    html: OnceCell<Html>,
    json: OnceCell<Option<Value>>,
}

impl Answer<'_> {
    fn html(&self) -> Option<&Html> {
        self.entry.is_page().then(|| self.html.get_or_init(|| Html::parse_document(self.entry.text())))
    }

    fn json(&self) -> Option<&Value> {
        let read = || self.entry.is_json().then(|| serde_json::from_str(self.entry.text()).ok()).flatten();
        self.json.get_or_init(read).as_ref()
    }

    /// All elements of a selector that this module writes.
    fn all(&self, selector: &str) -> Vec<ElementRef<'_>> {
        match (self.html(), Selector::parse(selector)) {
            (Some(html), Ok(selector)) => html.select(&selector).collect(),
            _ => Vec::new(),
        }
    }

    /// The first of these selectors that finds this value first.
    fn finds(&self, selectors: impl IntoIterator<Item = String>, value: &str) -> Option<Take> {
        let finds = |selector: &String| {
            self.all(selector).first().and_then(|first| of_element(*first, None)).is_some_and(|found| found == value)
        };
        selectors.into_iter().find(finds).map(|selector| Take { css: Some(selector), ..Take::default() })
    }

    fn hidden(&self, name: Option<&str>, value: &str) -> Option<(String, Take)> {
        let is = |field: &ElementRef<'_>| {
            field.attr("value") == Some(value) && name.is_none_or(|name| field.attr("name") == Some(name))
        };
        let field = self.all("input[type=hidden]").into_iter().find(is)?;
        let name = field.attr("name")?;
        let by_name = format!("[name={}]", quoted(name));
        let form = field.ancestors().filter_map(ElementRef::wrap).find(|element| element.value().name() == "form");
        let of_form = |attribute: &str| {
            let value = form?.attr(attribute)?;
            Some(format!("form[{attribute}={}] {by_name}", quoted(value)))
        };
        let selectors = [Some(by_name.clone()), of_form("id"), of_form("action"), of_form("class")];
        Some((name.to_owned(), self.finds(selectors.into_iter().flatten(), value)?))
    }

    fn meta(&self, value: &str) -> Option<(String, Take)> {
        let meta = self.all("meta[name]").into_iter().find(|meta| meta.attr("content") == Some(value))?;
        let name = meta.attr("name")?;
        Some((name.to_owned(), self.finds([format!("meta[name={}]", quoted(name))], value)?))
    }

    fn leaf(&self, value: &str) -> Option<(String, Take)> {
        let pointer = pointer(self.json()?, value)?;
        let name = pointer.rsplit('/').find(|step| step.parse::<usize>().is_err()).unwrap_or("value").to_owned();
        Some((name, Take { json: Some(pointer), ..Take::default() }))
    }

    fn header(&self, value: &str) -> Option<(String, Take)> {
        let is = |pair: &&Pair| pair.value == value && !pair.name.eq_ignore_ascii_case("set-cookie");
        let pair = self.entry.response.headers.iter().find(is)?;
        let name = pair.name.to_ascii_lowercase();
        Some((name.clone(), Take { header: Some(name), ..Take::default() }))
    }
}

impl<'h> Values<'h> {
    pub(super) fn new(chains: &[Chain<'h>]) -> Self {
        let answer = |chain: &Chain<'h>| Answer { entry: chain.answer, html: OnceCell::new(), json: OnceCell::new() };
        let takes = vec![BTreeMap::new(); chains.len()];
        Self { answers: chains.iter().map(answer).collect(), takes, user: BTreeMap::new() }
    }

    /// The fields of a form, as step `index` sends them.
    pub(super) fn form(&mut self, index: usize, fields: &[(String, String)]) -> BTreeMap<String, String> {
        self.log_in(index, fields);
        let mut form = BTreeMap::new();
        for (name, value) in fields {
            let hidden = self.latest(index, |answer| answer.hidden(Some(name), value).filter(|_| !value.is_empty()));
            let text = hidden.or_else(|| self.of_user(value)).unwrap_or_else(|| template::plain(value));
            form.insert(name.clone(), text);
        }
        form
    }

    /// JSON, as step `index` sends it.
    pub(super) fn json(&mut self, index: usize, mut json: Value) -> String {
        let fields: Vec<(String, String)> = json
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        self.log_in(index, &fields);
        self.fill(index, &mut json);
        json.to_string()
    }

    fn fill(&mut self, index: usize, json: &mut Value) {
        match json {
            Value::String(text) => *text = self.found(index, text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill(index, item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.fill(index, field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A part of a path or a query, as it stands there.
    pub(super) fn part(&mut self, index: usize, part: &str) -> String {
        let decoded: String =
            url::form_urlencoded::parse(format!("p={part}").as_bytes()).map(|(_, value)| value).collect();
        let text = self.found(index, &decoded);
        if text == template::plain(&decoded) { template::plain(part) } else { text }
    }

    /// The value of a header, which may begin with the word for its kind.
    pub(super) fn header(&mut self, index: usize, value: &str, beside: &[Pair]) -> String {
        let cookies = header(beside, "cookie").unwrap_or_default().split("; ").filter_map(|pair| pair.split_once('='));
        let cookie = cookies
            .filter(|(_, held)| *held == value && held.len() >= SHORTEST)
            .map(|(name, _)| name.to_owned())
            .next();
        if let (Some(cookie), Some(before)) = (cookie, index.checked_sub(1)) {
            return self.named(before, &cookie.clone(), Take { cookie: Some(cookie), ..Take::default() });
        }
        match value.split_once(' ') {
            Some((kind, value)) => format!("{} {}", template::plain(kind), self.found(index, value)),
            None => self.found(index, value),
        }
    }

    /// The template of a value of step `index`, if it has a source.
    fn found(&mut self, index: usize, value: &str) -> String {
        let ways = |answer: &Answer<'_>| {
            let hidden = answer.hidden(None, value).or_else(|| answer.meta(value));
            hidden.or_else(|| answer.leaf(value)).or_else(|| answer.header(value))
        };
        let found = if value.len() >= SHORTEST { self.latest(index, ways) } else { None };
        found.or_else(|| self.of_user(value)).unwrap_or_else(|| template::plain(value))
    }

    /// The latest answer before step `index` in which it is found.
    fn latest(&mut self, index: usize, find: impl Fn(&Answer<'_>) -> Option<(String, Take)>) -> Option<String> {
        let mut before = self.answers.get(..index)?.iter().enumerate().rev();
        let (step, (name, take)) = before.find_map(|(step, answer)| Some((step, find(answer)?)))?;
        Some(self.named(step, &name, take))
    }

    /// Takes a value from the answer of a step, under a name that stands for nothing else.
    fn named(&mut self, step: usize, name: &str, take: Take) -> String {
        let plain: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
        let plain = if plain.starts_with(|c: char| c.is_ascii_alphabetic()) { plain } else { format!("value_{plain}") };
        let is_free = |name: &String| self.takes.iter().all(|takes| takes.get(name).is_none_or(|known| *known == take));
        let names = std::iter::once(plain.clone()).chain((2..).map(|n| format!("{plain}_{n}")));
        let name = names.take(1_000).find(is_free).unwrap_or(plain);
        if let Some(takes) = self.takes.get_mut(step) {
            takes.insert(name.clone(), take);
        }
        format!("${{{name}}}")
    }

    fn of_user(&self, value: &str) -> Option<String> {
        let (column, _) = self.user.iter().find(|(_, known)| *known == value && !value.is_empty())?;
        Some(format!("${{user.{column}}}"))
    }

    /// A form with a password is a log-in: its password, and its user name.
    fn log_in(&mut self, index: usize, fields: &[(String, String)]) {
        let lower = |name: &str| name.to_ascii_lowercase();
        let is_password = |name: &str| lower(name).contains("pass") && !lower(name).contains("passport");
        let Some((_, password)) = fields.iter().find(|(name, value)| is_password(name) && !value.is_empty()) else {
            return;
        };
        if !self.user.is_empty() {
            return;
        }
        let is_hidden = |name: &str, value: &str| {
            let before = self.answers.get(..index).unwrap_or_default();
            before.iter().any(|answer| answer.hidden(Some(name), value).is_some())
        };
        let wanted = ["email", "user", "login", "name", "id"];
        let who = wanted.iter().find_map(|part| {
            let is = |(name, value): &&(String, String)| {
                lower(name).contains(part)
                    && !is_password(name)
                    && !lower(name).contains("submit")
                    && !value.is_empty()
                    && !is_hidden(name, value)
            };
            fields.iter().find(is)
        });
        self.user.insert("password".into(), password.clone());
        if let Some((_, who)) = who {
            self.user.insert(if who.contains('@') { "email" } else { "name" }.into(), who.clone());
        }
    }
}

/// A value in a selector: bare where that is possible, as people write it.
fn quoted(value: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if value.chars().all(bare) && value.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\a "))
}

/// Where a text stands in JSON.
fn pointer(json: &Value, value: &str) -> Option<String> {
    let below = |step: String, inner: &Value| pointer(inner, value).map(|rest| format!("/{step}{rest}"));
    match json {
        Value::String(text) => (text == value).then(String::new),
        Value::Array(items) => items.iter().enumerate().find_map(|(at, item)| below(at.to_string(), item)),
        Value::Object(fields) => {
            fields.iter().find_map(|(name, field)| below(name.replace('~', "~0").replace('/', "~1"), field))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}
