//! Templates: rendered once, cut at marks, filled per shopper.
//!
//! An operator's template is rendered when the configuration is read, ours for the first shopper who sees it: the engine runs
//! for no other request. While it runs, a mark stands for each value that differs by shopper;
//! the result is cut at the marks ([`Segments`]), and an answer is the pieces with the
//! values between them.

use std::sync::{LazyLock, OnceLock};

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};

use super::brand::Brand;
use super::language::Texts;
use super::{Language, gzip};

/// The template of all pages but the waiting page.
pub(super) const NOTICE: &str = "notice.html";
/// The template of the waiting page.
pub(super) const WAITING: &str = "page.html";
/// The template of the page at the gate of a route.
pub(super) const GATE: &str = "gate.html";
/// The template of the page of answers.
pub(super) const ANSWERS: &str = "answers.html";
const SHELL: &str = include_str!("../../../queue-ui/shell.html");
/// The text of our own waiting page.
pub(super) const PAGE: &str = include_str!("../../../queue-ui/page.html");
/// Instructions that a template may run: far more than a page needs, so only a runaway loop reaches it.
const FUEL: u64 = 50_000;
/// Starts and ends a mark. Not allowed in HTML, and refused in an operator's template.
pub(super) const MARK: char = '\u{1}';

/// A template that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line})")]
pub struct PageError {
    /// Line of the template, from 1.
    pub line: usize,
    /// The problem there.
    pub message: String,
}

impl From<minijinja::Error> for PageError {
    fn from(error: minijinja::Error) -> Self {
        let message = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        Self { line: error.line().unwrap_or(1), message }
    }
}

/// Style and script as sent.
struct Assets {
    style: String,
    brand_style: String,
    page_script: String,
    before_script: String,
    gate_script: String,
    notice_script: String,
}

/// A script of a page that waits, in a block of its own: an operator's page may have names like ours.
macro_rules! waiting_script {
    ($($file:literal),+) => {
        script(concat!(
            "\"use strict\";\n{\n",
            include_str!("../../../queue-ui/held.js"),
            $(include_str!(concat!("../../../queue-ui/", $file)),)+
            "}\n"
        ))
    };
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: style(include_str!("../../../queue-ui/page.css")),
    brand_style: style(include_str!("../../../queue-ui/brand.css")),
    page_script: waiting_script!("page.js"),
    before_script: waiting_script!("page.js", "before.js"),
    gate_script: waiting_script!("gate.js"),
    notice_script: script(include_str!("../../../queue-ui/notice.js")),
});

/// The look of a room's pages: the style with its brand, and the policy that allows exactly that and the scripts.
#[derive(Debug)]
pub(super) struct Look<'a> {
    brand: &'a Brand,
    /// Address of the logo, empty if there is none.
    logo: String,
    style: String,
    /// The `Content-Security-Policy` of every page made of our own templates.
    pub(super) csp: HeaderValue,
}

impl<'a> Look<'a> {
    /// The look of the room of this name.
    pub(super) fn new(room: &str, brand: &'a Brand) -> Self {
        let logo = brand.logo.as_ref().map(|logo| format!("/.weir/logo/{room}?{}", logo.version)).unwrap_or_default();
        let shown = if brand.is_any() { &ASSETS.brand_style } else { "" };
        let style = format!("{}{shown}{}", ASSETS.style, style(&brand.style()));
        let hash = |text: &str| STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()));
        let pictures = if logo.is_empty() { "data:" } else { "'self' data:" };
        let csp = format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'strict-dynamic' 'self' 'sha256-{}' 'sha256-{}' 'sha256-{}' 'sha256-{}'; img-src {pictures}; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
            hash(&style),
            hash(&ASSETS.page_script),
            hash(&ASSETS.before_script),
            hash(&ASSETS.gate_script),
            hash(&ASSETS.notice_script)
        );
        let csp = HeaderValue::try_from(csp).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Self { brand, logo, style, csp }
    }

    /// The id of the text of a page of this template and script, in 24 bits: another template, style, script, wording or brand changes it.
    pub(super) fn version(&self, own: [&str; 2]) -> u32 {
        static TEXTS: LazyLock<[String; Language::ALL.len()]> =
            LazyLock::new(|| Language::ALL.map(|language| serde_json::to_string(language.texts()).unwrap_or_default()));
        let facts = self.brand.facts.iter().flatten();
        let looks = [&self.style, &self.logo, &self.brand.name]
            .into_iter()
            .chain(&self.brand.lines)
            .chain(facts)
            .chain(&*TEXTS);
        let mut all = Context::new(&SHA256);
        for part in own.into_iter().chain([SHELL, &ASSETS.before_script]).chain(looks.map(String::as_str)) {
            all.update(&part.len().to_be_bytes());
            all.update(part.as_bytes());
        }
        let hash = all.finish();
        u32::from_be_bytes(std::array::from_fn(|i| hash.as_ref()[i])) >> 8
    }
}

/// The script of the waiting page, as sent.
pub(super) fn page_script() -> &'static str {
    &ASSETS.page_script
}

/// The text without comments and needless white space: the rest fits into the first flight of a TCP
/// connection. Unchanged if it cannot be parsed, which a test excludes.
fn minified(text: &str, minify: impl FnOnce(&str) -> Option<String>) -> String {
    minify(text).map_or_else(|| text.to_owned(), |minified| minified.trim().to_owned())
}

fn style(text: &str) -> String {
    minified(text, |text| Some(minifier::css::minify(text).ok()?.to_string()))
}

pub(super) fn script(text: &str) -> String {
    minified(text, |text| Some(minifier::js::minify(text).ok()?.to_string()))
}

/// A value that differs by shopper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Slot {
    // From here on characters that HTML does not escape.
    Line = b'A',
    Ticket,
    Position,
    PositionFormatted,
    WaitTime,
    WaitTimeFormatted,
    PollAfter,
    LastUpdated,
    Clock,
    Retry,
    Status,
    Request,
    Reason,
    Stock,
    Refresh,
    Why,
    Form,
    /// The time of the start, for machines; for people; the time left until then; the same in milliseconds.
    StartsAt,
    Starts,
    Countdown,
    StartsIn,
    Message,
    MessageId,
    /// No value: the text after it is the same for all shoppers.
    Shared,
    Answer,
    Back,
    TurnUntil,
}

impl Slot {
    const ALL: [Self; 27] = [
        Self::Line,
        Self::Ticket,
        Self::Position,
        Self::PositionFormatted,
        Self::WaitTime,
        Self::WaitTimeFormatted,
        Self::PollAfter,
        Self::LastUpdated,
        Self::Clock,
        Self::Retry,
        Self::Status,
        Self::Request,
        Self::Reason,
        Self::Stock,
        Self::Refresh,
        Self::Why,
        Self::Form,
        Self::StartsAt,
        Self::Starts,
        Self::Countdown,
        Self::StartsIn,
        Self::Message,
        Self::MessageId,
        Self::Shared,
        Self::Answer,
        Self::Back,
        Self::TurnUntil,
    ];

    /// Its placeholder while the template runs.
    pub(super) fn mark(self) -> String {
        format!("{MARK}{}{MARK}", char::from(self as u8))
    }

    fn of_mark(mark: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|&slot| mark.as_bytes() == [slot as u8])
    }
}

/// A rendered page, cut at its slots.
#[derive(Debug, Clone)]
pub(super) struct Segments {
    text: Bytes,
    cuts: Vec<(usize, Slot)>,
    /// The pieces between the slots as gzip has them, made on first use.
    deflated: OnceLock<Vec<Vec<u8>>>,
}

/// A page with its slots filled, in pieces: the text before the first slot, with the style, and after the last, with the
/// script, is the same for all shoppers: it is never copied for one page.
#[derive(Debug, Clone, Default)]
pub struct Filled {
    /// The text before the first slot.
    pub before: Bytes,
    /// From the first slot to the last.
    pub filled: Bytes,
    /// The text after the last slot.
    pub after: Bytes,
}

impl From<Filled> for Bytes {
    /// In one piece, to be stored or inspected.
    fn from(page: Filled) -> Self {
        Self::from([page.before, page.filled, page.after].concat())
    }
}

/// The content coding of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Uncompressed.
    Identity,
    /// `gzip`.
    Gzip,
}

impl Segments {
    /// The text that is the same for all shoppers.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    pub(super) fn cut(rendered: &str) -> Self {
        let (mut text, mut cuts) = (String::with_capacity(rendered.len()), Vec::new());
        for (i, piece) in rendered.split(MARK).enumerate() {
            match Slot::of_mark(piece).filter(|_| i % 2 == 1) {
                Some(slot) => cuts.push((text.len(), slot)),
                None => text.push_str(piece),
            }
        }
        Self { text: Bytes::from(text), cuts, deflated: OnceLock::new() }
    }

    /// The page with its slots filled. What `write` appends must be safe in HTML.
    pub(super) fn fill(&self, coding: Coding, write: impl Fn(&mut Vec<u8>, Slot)) -> Filled {
        match coding {
            Coding::Identity => self.plain(write),
            Coding::Gzip => Filled { filled: self.gzip(write), ..Filled::default() },
        }
    }

    fn plain(&self, write: impl Fn(&mut Vec<u8>, Slot)) -> Filled {
        let (first, last) = (self.cuts.first(), self.cuts.last());
        let [begin, end] = [first, last].map(|cut| cut.map_or(self.text.len(), |&(at, _)| at));
        let mut filled = Vec::with_capacity(end - begin + 512);
        let mut done = begin;
        for &(at, slot) in &self.cuts {
            filled.extend_from_slice(&self.text[done..at]);
            write(&mut filled, slot);
            done = at;
        }
        Filled { before: self.text.slice(..begin), filled: Bytes::from(filled), after: self.text.slice(end..) }
    }

    fn gzip(&self, write: impl Fn(&mut Vec<u8>, Slot)) -> Bytes {
        let deflated = self.deflated.get_or_init(|| gzip::deflate(self.pieces()));
        let length = deflated.iter().map(Vec::len).sum::<usize>();
        let mut page = gzip::Writer::new(length + 2_048);
        let mut slots = self.cuts.iter().map(|&(_, slot)| slot);
        for (piece, deflated) in self.pieces().zip(deflated) {
            page.piece(piece, deflated);
            if let Some(slot) = slots.next() {
                write(page.fill(), slot);
            }
        }
        page.end()
    }

    /// The text before, between and after the slots.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let text = &self.text;
        let begins = std::iter::once(0).chain(self.cuts.iter().map(|&(at, _)| at));
        let ends = self.cuts.iter().map(|&(at, _)| at).chain([text.len()]);
        begins.zip(ends).map(|(begin, end)| &text[begin..end])
    }
}

/// The template engine, bounded and strict: a misspelt variable is an error when the
/// configuration is read, not a hole in the page on launch day.
pub(super) fn templates() -> Result<Environment<'static>, PageError> {
    let mut templates = Environment::new();
    templates.set_fuel(Some(FUEL));
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    templates.add_template("shell.html", SHELL)?;
    templates.add_template(WAITING, PAGE)?;
    templates.add_template(GATE, include_str!("../../../queue-ui/gate.html"))?;
    templates.add_template(ANSWERS, include_str!("../../../queue-ui/answers.html"))?;
    templates.add_template(NOTICE, include_str!("../../../queue-ui/notice.html"))?;
    Ok(templates)
}

/// Our own templates, read once.
pub(super) fn ours() -> Result<&'static Environment<'static>, PageError> {
    static OURS: LazyLock<Result<Environment<'static>, PageError>> = LazyLock::new(templates);
    OURS.as_ref().map_err(Clone::clone)
}

/// Renders and cuts a template. `own` is added to the variables of every page.
pub(super) fn render(
    templates: &Environment<'_>,
    name: &str,
    language: Language,
    look: &Look<'_>,
    own: Value,
) -> Result<Segments, PageError> {
    let before = own.get_attr("state").is_ok_and(|state| state.as_str() == Some("before"));
    let script: &str = match name {
        NOTICE => &ASSETS.notice_script,
        GATE => &ASSETS.gate_script,
        ANSWERS => "",
        _ if before => &ASSETS.before_script,
        _ => &ASSETS.page_script,
    };
    Ok(Segments::cut(&templates.get_template(name)?.render(variables(language, look, script, own))?))
}

/// The variables of a template. `own` is added to those of every page.
pub(super) fn variables(language: Language, look: &Look<'_>, script: &str, own: Value) -> Value {
    let texts: &Texts = language.texts();
    context! {
        lang => language.tag(),
        dir => language.direction(),
        t => Value::from(Serde(texts)),
        brand => context! {
            name => &look.brand.name,
            logo => Value::from_safe_string(look.logo.clone()),
            text => &look.brand.lines[language as usize],
            facts => look.brand.facts_in(language).into_iter().map(Value::from).collect::<Vec<_>>(),
        },
        style => Value::from_safe_string(look.style.clone()),
        script => Value::from_safe_string(script.to_owned()),
        ..own
    }
}
