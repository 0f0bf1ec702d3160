//! A visitor on a journey ([`crate::scenario::Journey`]): the next request, given the last answer.
//!
//! ```text
//! step --request--> answer --redirect--> request .. --as expected--> values taken --> next step
//!                     \--anything else--> a stumble: tried again where that may help, else the visit ends there
//! ```
//!
//! Like every visitor it is a state machine (`Walk`) without sockets and clocks; the line is waited in by
//! `shopper`. `template` fills values into a step, `page` takes them from an answer.
//!
//! Out of scope: scripts, pictures and styles. A journey has what the gateway and the shop's own program do.

mod page;
pub mod template;
mod why;

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use crate::scenario::{Journey, Method, Step};
use crate::visit::{Answer, Call, Lost, Manner, RawAnswer, Stumble, Why};
use page::Page;
pub use page::of_element;
use template::{Within, fill, form};

/// Most redirects of a step, as browsers have it.
const MOST_HOPS: u8 = 20;
/// The longest excerpt of an unexpected page, in characters.
const LONGEST_TOLD: usize = 100;
/// The longest extracted value, in bytes: each shopper holds theirs.
const LONGEST_VALUE: usize = 64 << 10;
/// A placeholder host for the run's own targets, so that addresses can be joined.
const OWN: &str = "http://own.invalid";

/// The meaning of an answer to a walk.
#[derive(Debug, PartialEq)]
pub(crate) enum StepOutcome {
    /// At once this, of the same step: a redirect.
    Follow,
    /// The step is done; the next one follows.
    Done,
    /// All are done.
    End { ordered: bool },
    /// Nothing is left to buy.
    SoldOut,
    /// The step failed; it may help to try again, after this time if one was told.
    Stumbled { again: bool, after: Option<Duration> },
}

/// A visitor's progress on their journey.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Of [`Journey::steps`].
    step: usize,
    values: BTreeMap<Box<str>, Box<str>>,
    /// The current request: the step's own, or one that a redirect led to.
    call: Option<Call>,
    hops: u8,
    /// The page that they look at.
    here: Option<Box<str>>,
    ordered: bool,
    stumble: Option<Stumble>,
}

impl Walk {
    /// The walk of visitor number `index`.
    pub(crate) fn new(journey: &Journey, index: u64) -> Self {
        let row = journey.user(index).into_iter().flatten();
        let values = row.map(|(name, value)| (format!("user.{name}").into(), value.as_str().into())).collect();
        Self { step: 0, values, call: None, hops: 0, here: None, ordered: false, stumble: None }
    }

    /// The step that comes now, or the last one.
    pub(crate) fn step<'j>(&self, journey: &'j Journey) -> Option<&'j Step> {
        journey.steps.get(self.step).or(journey.steps.last())
    }

    /// How many are done.
    pub(crate) fn done(&self) -> u16 {
        self.step as u16
    }

    /// Whether an answer to what is asked now is one from behind the room's door.
    pub(crate) fn is_inside(&self, journey: &Journey) -> bool {
        self.step >= journey.entrance()
    }

    /// Whether an order was made.
    pub(crate) fn has_ordered(&self) -> bool {
        self.ordered
    }

    /// The last failure, once.
    pub(crate) fn take_stumble(&mut self) -> Option<Stumble> {
        self.stumble.take()
    }

    /// The current request.
    pub(crate) fn call(&mut self, journey: &Journey) -> Option<Call> {
        if self.call.is_none() {
            self.call = self.step(journey).and_then(|step| self.of(step));
        }
        self.call.clone()
    }

    /// The same, as a page in the line asks for it.
    pub(crate) fn poll(&mut self, journey: &Journey) -> Option<Call> {
        let call = self.call(journey)?;
        Some(Call { method: Method::Get, body: None, headers: Vec::new(), manner: Manner::Poll, ..call })
    }

    /// Whether the answer to a poll is the answer to what is asked for: else that is asked when the turn has come.
    pub(crate) fn poll_answers(&self) -> bool {
        self.call.as_ref().is_none_or(|call| call.method == Method::Get && call.manner == Manner::Page)
    }

    /// The request of a step. Values are checked when a scenario is read, so nothing is missing.
    fn of(&self, step: &Step) -> Option<Call> {
        let value = |name: &str| self.values.get(name).map(|value| String::from(&**value));
        let text = |text: &String| fill(text, value, Within::Text).ok();
        let (kind, body) = match (&step.json, &step.body) {
            _ if !step.form.is_empty() => {
                let fields: Option<Vec<_>> =
                    step.form.iter().map(|(name, field)| Some((&**name, text(field)?))).collect();
                let fields = fields?;
                let fields = fields.iter().map(|(name, value)| (*name, value.as_str()));
                (Some("application/x-www-form-urlencoded"), Some(form(fields)))
            }
            (Some(json), _) => (Some("application/json"), Some(fill(json, value, Within::Json).ok()?)),
            (None, Some(body)) => (None, Some(text(body)?)),
            (None, None) => (None, None),
        };
        let written =
            step.headers.iter().map(|(name, value)| Some((name.to_ascii_lowercase().into(), text(value)?.into())));
        let mut headers = written.collect::<Option<Vec<(Box<str>, Box<str>)>>>()?;
        if let Some(kind) = kind.filter(|_| !headers.iter().any(|(name, _)| **name == *"content-type")) {
            headers.push(("content-type".into(), kind.into()));
        }
        Some(Call {
            step: self.step as u16,
            method: step.method(),
            url: self.resolved(&fill(&step.url, value, Within::Url).ok()?).into(),
            from: self.here.clone(),
            body: body.map(String::into_boxed_str),
            headers,
            manner: if step.fetch { Manner::Fetch } else { Manner::Page },
        })
    }

    /// An address that was taken from a page may be relative to it.
    fn resolved(&self, url: &str) -> String {
        if url.starts_with('/') && !url.starts_with("//") {
            return url.to_owned();
        }
        self.here.as_deref().and_then(|here| join(here, url)).unwrap_or_else(|| url.to_owned())
    }

    /// Takes the result of the last request; `None`: no answer came.
    pub(crate) fn hear(&mut self, answer: Option<&Answer>, journey: &Journey) -> StepOutcome {
        let Some(step) = self.step(journey) else { return self.stumbled(Why::NoAnswer, None) };
        let Some(seen) = answer.and_then(|answer| answer.seen.as_deref()) else {
            return self.stumbled(Why::NoAnswer, None);
        };
        match seen.lost {
            Some(Lost::Stranger) => return self.stumbled(Why::Stranger(self.host()), None),
            Some(Lost::TooLong) => return self.stumbled(Why::TooLong, None),
            Some(_) => return self.stumbled(Why::NoAnswer, None),
            None => {}
        }
        let status = answer.map_or(0, |answer| answer.status);
        let is_wanted = step.expect.status == Some(status);
        if let Some(to) = seen.location().filter(|_| (300..400).contains(&status) && !is_wanted) {
            return self.follow(status, to);
        }
        if !(is_wanted || step.expect.status.is_none() && (200..300).contains(&status)) {
            return self.stumbled(Why::Status(status), seen.retry_after());
        }
        match self.read(step, seen) {
            Err(why) => self.stumbled(why, None),
            Ok(true) => StepOutcome::SoldOut,
            Ok(false) => self.go_on(step.order, journey),
        }
    }

    fn go_on(&mut self, order: bool, journey: &Journey) -> StepOutcome {
        self.here =
            self.call.take().filter(|call| call.manner == Manner::Page).map(|call| call.url).or(self.here.take());
        (self.hops, self.ordered) = (0, self.ordered || order);
        self.step += 1;
        if self.step < journey.steps.len() { StepOutcome::Done } else { StepOutcome::End { ordered: self.ordered } }
    }

    /// A step begins anew from its own address.
    fn stumbled(&mut self, why: Why, after: Option<Duration>) -> StepOutcome {
        let again = match &why {
            Why::NoAnswer => true,
            Why::Status(status) => *status == 429 || *status >= 500,
            _ => false,
        };
        self.stumble = Some(Stumble { step: self.step as u16, why });
        (self.call, self.hops) = (None, 0);
        StepOutcome::Stumbled { again, after }
    }

    fn follow(&mut self, status: u16, to: &str) -> StepOutcome {
        self.hops += 1;
        let Some(call) = self.call.take().filter(|_| self.hops <= MOST_HOPS) else {
            return self.stumbled(Why::Redirects, None);
        };
        let Some(url) = join(&call.url, to) else { return self.stumbled(Why::Stranger(shortened(to)), None) };
        let keeps = matches!(status, 307 | 308) || call.method == Method::Get;
        let call = Call { url: url.into(), ..call };
        self.call =
            Some(if keeps { call } else { Call { method: Method::Get, body: None, headers: Vec::new(), ..call } });
        StepOutcome::Follow
    }

    /// Checks an answer against the expectation, and takes the values from it. `true`: nothing is left to buy.
    fn read(&mut self, step: &Step, seen: &RawAnswer) -> Result<bool, Why> {
        let page = Page::of(seen);
        if step.sold_out.as_ref().is_some_and(|selector| page.has(selector)) {
            return Ok(true);
        }
        let expect = &step.expect;
        let ended = self.path();
        if expect.path.as_ref().is_some_and(|wanted| !matches(wanted, &ended)) {
            return Err(Why::Elsewhere(shortened(&ended)));
        }
        if expect.css.as_ref().is_some_and(|selector| !page.has(selector)) {
            return Err(Why::NotShown);
        }
        if expect.text.as_ref().is_some_and(|text| !page.text().contains(text.as_str())) {
            return Err(Why::NotShown);
        }
        for (name, take) in &step.take {
            let value = page.take(take).filter(|value| value.len() <= LONGEST_VALUE);
            let value = value.ok_or_else(|| Why::Missing(name.as_str().into()))?;
            self.values.insert(name.as_str().into(), value.into());
        }
        Ok(false)
    }

    fn url(&self) -> Option<Url> {
        let url = self.call.as_ref().map_or("/", |call| &call.url);
        Url::parse(OWN).and_then(|own| own.join(url)).ok()
    }

    fn path(&self) -> String {
        self.url().map_or_else(String::new, |url| url.path().to_owned())
    }

    fn host(&self) -> Box<str> {
        let origin = self.url().map_or_else(String::new, |url| url.origin().ascii_serialization());
        shortened(&origin)
    }
}

/// An address that stands on this page: a path if both are of the run's own targets.
fn join(here: &str, to: &str) -> Option<String> {
    let mut url = Url::parse(OWN).ok()?.join(here).ok()?.join(to).ok()?;
    url.set_fragment(None);
    let whole = String::from(url);
    match whole.strip_prefix(OWN) {
        Some(path) => Some(path.to_owned()),
        None => (whole.starts_with("http://") || whole.starts_with("https://")).then_some(whole),
    }
}

fn shortened(text: &str) -> Box<str> {
    text.chars().take(LONGEST_TOLD).collect::<String>().into()
}

/// Whether a path is the one that is wanted, in which `*` stands for anything.
fn matches(wanted: &str, path: &str) -> bool {
    let mut parts = wanted.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests;
