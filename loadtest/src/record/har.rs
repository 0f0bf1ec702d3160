//! A HAR file, read entry by entry: unwanted entries are never kept in memory.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use base64::Engine;
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::wire::LONGEST_PAGE;

/// The longest file that is read, in bytes.
pub const LONGEST_HAR: u64 = 256 << 20;
/// Most pages and calls of scripts that are kept.
const MOST_ENTRIES: usize = 2_000;

/// Why a file is no recording.
#[derive(Debug, thiserror::Error)]
pub enum BadHar {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is longer than is read.
    #[error(
        "has {} MB, and at most {} MB are read; clear the network log before the first step, and filter it by \"Doc\" and \"Fetch/XHR\" before it is exported",
        .0 >> 20, LONGEST_HAR >> 20
    )]
    TooLong(u64),
    /// It is no HAR.
    #[error("is no HAR: {0}; export it from the network log of a browser's developer tools")]
    Nonsense(#[from] serde_json::Error),
    /// There is nothing of a shop in it.
    #[error("has no page in it; switch on \"Preserve log\" before the first step, and export it with its content")]
    Empty,
    /// There is more than a journey may have.
    #[error("has {0} steps, and a journey has at most {most}; record one purchase alone", most = launch_model::scenario::MOST_STEPS)]
    TooMany(usize),
}

#[derive(Deserialize)]
struct Har {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    #[serde(deserialize_with = "wanted")]
    entries: Vec<Entry>,
}

/// A request and its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    started_date_time: String,
    #[serde(default)]
    time: Option<f64>,
    pub(super) request: Request,
    pub(super) response: Response,
    #[serde(default, rename = "_resourceType")]
    pub(super) kind: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) url: String,
    #[serde(default)]
    pub(super) headers: Vec<Pair>,
    #[serde(default)]
    pub(super) post_data: Option<Posted>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Posted {
    #[serde(default)]
    pub(super) mime_type: String,
    #[serde(default)]
    pub(super) text: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response {
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: Vec<Pair>,
    #[serde(default)]
    pub(super) content: Content,
    #[serde(default, rename = "redirectURL")]
    pub(super) redirect_url: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Content {
    #[serde(default)]
    pub(super) mime_type: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    encoding: Option<String>,
}

impl Entry {
    /// Whether it belongs in a journey: a page or a call of a script, with an answer of the shop's own.
    fn is_wanted(&self) -> bool {
        let (request, response) = (&self.request, &self.response);
        let is_web = request.url.starts_with("http://") || request.url.starts_with("https://");
        let is_weirs = request.url.contains("/.weir/") || header(&response.headers, "weir-status").is_some();
        let is_kind = match self.kind.as_deref() {
            Some("document" | "xhr" | "fetch") => true,
            Some(_) => false,
            // Not every browser names the resource type.
            None => request.method != "GET" || self.is_page() || self.is_json() || !response.redirect_url.is_empty(),
        };
        is_web
            && is_kind
            && !is_weirs
            && response.status >= 200
            && request.method != "OPTIONS"
            && request.method != "HEAD"
    }

    /// Whether its answer is a page.
    pub(super) fn is_page(&self) -> bool {
        self.response.content.mime_type.starts_with("text/html")
    }

    pub(super) fn is_json(&self) -> bool {
        self.response.content.mime_type.split(';').next().is_some_and(|kind| kind.ends_with("json"))
    }

    /// Whether a script of the page asked for it.
    pub(super) fn is_fetch(&self) -> bool {
        match self.kind.as_deref() {
            Some(kind) => kind != "document",
            None => !self.is_page() && self.response.redirect_url.is_empty(),
        }
    }

    /// The instants of the request and of its answer, in seconds.
    pub(super) fn times(&self) -> Option<[f64; 2]> {
        let begun = OffsetDateTime::parse(&self.started_date_time, &Rfc3339).ok()?;
        let begun = begun.unix_timestamp_nanos() as f64 / 1e9;
        Some([begun, begun + self.time.unwrap_or(0.0).clamp(0.0, 3.6e6) / 1e3])
    }

    /// The text of its answer.
    pub(super) fn text(&self) -> &str {
        self.response.content.text.as_deref().unwrap_or_default()
    }

    /// Drops what no later step reads.
    fn lighter(mut self) -> Self {
        let has_text = self.is_page() || self.is_json();
        let content = &mut self.response.content;
        content.text = content.text.take().filter(|text| has_text && text.len() <= 2 * LONGEST_PAGE);
        if content.encoding.as_deref() == Some("base64") {
            let bytes =
                content.text.take().and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
            content.text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        }
        self
    }
}

/// The first header of this name.
pub(super) fn header<'h>(headers: &'h [Pair], name: &str) -> Option<&'h str> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
}

/// Reads a file; at least one entry is wanted.
pub(super) fn read(file: &Path) -> Result<Vec<Entry>, BadHar> {
    let file = File::open(file)?;
    let length = file.metadata()?.len();
    if length > LONGEST_HAR {
        return Err(BadHar::TooLong(length));
    }
    let har: Har = serde_json::from_reader(BufReader::with_capacity(1 << 20, file.take(LONGEST_HAR)))?;
    if har.log.entries.is_empty() { Err(BadHar::Empty) } else { Ok(har.log.entries) }
}

fn wanted<'de, D: Deserializer<'de>>(entries: D) -> Result<Vec<Entry>, D::Error> {
    struct Wanted;
    impl<'de> Visitor<'de> for Wanted {
        type Value = Vec<Entry>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of requests")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut kept = Vec::new();
            while let Some(entry) = entries.next_element::<Entry>()? {
                if entry.is_wanted() && kept.len() < MOST_ENTRIES {
                    kept.push(entry.lighter());
                }
            }
            Ok(kept)
        }
    }
    entries.deserialize_seq(Wanted)
}
