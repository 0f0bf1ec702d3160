//! What visitors do in a shop that is not the demo shop: steps, one after another.
//!
//! ```toml
//! [journey]
//! users = "users.csv"                   # each visitor takes a row: ${user.email}
//!
//! [[journey.step]]
//! url = "/catalogue/book-3_3/"
//! take.csrf = { css = "[name=csrfmiddlewaretoken]" }
//!
//! [[journey.step]]
//! url = "/basket/add/3/"                # POST, because it has a form
//! form = { csrfmiddlewaretoken = "${csrf}", quantity = "1" }
//! order = true
//! ```
//!
//! Redirects are followed and cookies kept as browsers do, so neither is written. [`crate::journey`] walks it.
//!
//! Out of scope: branches and loops. What differs from visitor to visitor is a row of `users`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::span::Span;

/// Steps of a journey at most.
pub const MOST_STEPS: usize = 200;

/// What visitors do, in place of the purchase in the demo shop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Journey {
    /// A CSV file whose first line names its columns; each visitor takes a row, of which a step writes `${user.COLUMN}`.
    #[serde(default)]
    pub users: Option<PathBuf>,
    /// The rows themselves, in place of a file. What was read from the file stands here afterwards.
    #[serde(default)]
    pub rows: Vec<BTreeMap<String, String>>,
    /// Whether rows may be taken again, from the first on, where more visitors come than there are rows.
    #[serde(default)]
    pub share_users: bool,
    /// The steps, in their order.
    #[serde(rename = "step")]
    #[schemars(length(min = 1))]
    pub steps: Vec<Step>,
}

/// A request of a journey, with the redirects that follow it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name in the report; without it its method and path.
    #[serde(default)]
    pub name: Option<String>,
    /// Without it POST where something is sent along, else GET.
    #[serde(default)]
    pub method: Option<Method>,
    /// A path from `/` on, with or without a query, or an address of another host that the run is given with `--also`.
    pub url: String,
    /// The fields of a form.
    #[serde(default)]
    pub form: BTreeMap<String, String>,
    /// JSON, as text.
    #[serde(default)]
    pub json: Option<String>,
    /// Anything else that is sent along; `headers` says its `content-type`.
    #[serde(default)]
    pub body: Option<String>,
    /// Headers beside those of every browser.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Whether a script of the page asks, and not the shopper by a click.
    #[serde(default)]
    pub fetch: bool,
    /// The shortest and the longest time before it; without it `habits.think`.
    #[serde(default)]
    pub think: Option<[Span; 2]>,
    /// What is taken from its answer, by name: later steps write `${NAME}`.
    #[serde(default)]
    pub take: BTreeMap<String, Take>,
    /// What its answer must be; without it any status from 200 to 299.
    #[serde(default)]
    pub expect: Expect,
    /// A selector of what the page shows when nothing is left to buy: then the visit ends, and was served.
    #[serde(default)]
    pub sold_out: Option<String>,
    /// The first step behind the room's door; without any it is the first one.
    #[serde(default)]
    pub enters: bool,
    /// Whether its answer is an order.
    #[serde(default)]
    pub order: bool,
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Sends.
    Post,
    /// Writes.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        })
    }
}

/// Where a value is in an answer: one of `css`, `json`, `header` and `cookie`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Take {
    /// A CSS selector: of what it finds first, the value of a field, the content of a `meta`, the address of a link or a form, or
    /// the text.
    #[serde(default)]
    pub css: Option<String>,
    /// This attribute of it instead.
    #[serde(default)]
    pub attribute: Option<String>,
    /// A JSON pointer, as `/cart/token`.
    #[serde(default)]
    pub json: Option<String>,
    /// A header.
    #[serde(default)]
    pub header: Option<String>,
    /// A cookie that the shopper has by then.
    #[serde(default)]
    pub cookie: Option<String>,
}

impl fmt::Display for Take {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { css, attribute, json, header, cookie } = self;
        for (what, value) in
            [("css", css), ("attribute", attribute), ("json", json), ("header", header), ("cookie", cookie)]
        {
            if let Some(value) = value {
                write!(f, "{}{what} {value}", if what == "attribute" { ", " } else { "" })?;
            }
        }
        Ok(())
    }
}

/// What an answer must be, redirects followed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Its status. With one of 300 to 399 the redirect is not followed.
    #[serde(default)]
    #[schemars(range(min = 200, max = 599))]
    pub status: Option<u16>,
    /// The path where it ends, without a query; `*` stands for anything within.
    #[serde(default)]
    pub path: Option<String>,
    /// A CSS selector that finds something.
    #[serde(default)]
    pub css: Option<String>,
    /// A text of it.
    #[serde(default)]
    pub text: Option<String>,
}

impl Step {
    /// Its method, written or not.
    pub fn method(&self) -> Method {
        let sends = !self.form.is_empty() || self.json.is_some() || self.body.is_some();
        self.method.unwrap_or(if sends { Method::Post } else { Method::Get })
    }

    /// Its name, written or not.
    pub fn title(&self) -> String {
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        self.name.clone().unwrap_or_else(|| format!("{} {path}", self.method()))
    }

    /// Every text in which values are filled in, by its key.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let texts = [("url", Some(&self.url)), ("json", self.json.as_ref()), ("body", self.body.as_ref())];
        let texts = texts.into_iter().filter_map(|(key, text)| Some((key, text?)));
        texts
            .chain(self.form.values().map(|text| ("form", text)))
            .chain(self.headers.values().map(|text| ("headers", text)))
    }
}

impl Journey {
    /// The step from which on a shopper is inside.
    pub fn entrance(&self) -> usize {
        self.steps.iter().position(|step| step.enters).unwrap_or(0)
    }

    /// Whether the journey has something to buy.
    pub fn has_order(&self) -> bool {
        self.steps.iter().any(|step| step.order)
    }

    /// The name of visitor number `index`: their row.
    pub fn user(&self, index: u64) -> Option<&BTreeMap<String, String>> {
        self.rows.get(usize::try_from(index).ok()? % self.rows.len().max(1))
    }
}
