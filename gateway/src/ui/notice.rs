//! Every message to a caller who neither enters nor waits, as a page, as JSON and as a
//! line of text. Rendered once for all rooms without a brand of their own, and made once unless it names a request: a client
//! that asks in vain a million times gets the same bytes.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use minijinja::value::Serde;
use minijinja::{Value, context};

use super::brand::Brand;
use super::language::{Heading, Texts};
use super::message::Message;
use super::on_demand::OnDemand;
use super::page::Room;
use super::template::{Coding, Filled, Look, NOTICE, Segments, Slot, ours, render};
use super::{Language, push_number};

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice<'a> {
    /// The room is suspended: look again after `retry` seconds.
    Suspended {
        /// Seconds.
        retry: u64,
        /// What operators tell.
        message: Option<&'a Message>,
    },
    /// The room gives no more places, and those in line have their turn.
    LastCall {
        /// Seconds.
        retry: u64,
        /// What operators tell.
        message: Option<&'a Message>,
    },
    /// The room rejects newcomers over its limits.
    Full,
    /// Shoppers enter at a time to come, and the room keeps no line until then.
    NotOpen {
        /// Seconds.
        retry: u64,
        /// The time of the start, for machines and for people.
        starts: &'a [String; 2],
    },
    /// The last event is over, and shoppers enter during events alone.
    EventOver,
    /// Over a quota.
    TooMany {
        /// Seconds.
        retry: u64,
    },
    /// Neither a page nor JSON, and no pass.
    NeedsPass {
        /// Seconds.
        retry: u64,
    },
    /// A form whose pass has ended.
    Ended {
        /// Seconds.
        retry: u64,
    },
    /// The shopper gave up the place.
    Left,
    /// A place that an operator gave can be taken.
    PlaceOffered,
    /// It is taken: for programs; a browser goes on to the room.
    PlaceTaken,
    /// A code that gives no place, or not any more.
    NoPlace,
    /// The upstream is overloaded.
    Busy,
    /// The upstream or the gateway could not answer.
    Failed {
        /// Status code of the answer, mostly 502 or 504.
        status: u16,
        /// The id to quote to the shop's operators.
        request: &'a str,
    },
    /// The same, and a form may have reached the upstream: it must not be sent again without a look.
    InDoubt {
        /// Status code of the answer, mostly 502 or 504.
        status: u16,
        /// The id to quote to the shop's operators.
        request: &'a str,
    },
}

/// Number of pages: [`Notice::index`] is below it.
const PAGES: usize = 13;
/// Number of notices that are the same for all their readers.
const KINDS: usize = 12;

impl<'a> Notice<'a> {
    fn index(self) -> usize {
        match self {
            Self::Suspended { .. } => 0,
            Self::Full => 1,
            Self::TooMany { .. } | Self::NeedsPass { .. } => 2,
            Self::Left => 3,
            Self::Busy => 4,
            Self::Failed { .. } => 5,
            Self::Ended { .. } => 6,
            Self::InDoubt { .. } => 7,
            Self::NotOpen { .. } => 8,
            Self::EventOver => 9,
            Self::LastCall { .. } => 10,
            Self::PlaceOffered | Self::PlaceTaken => 11,
            Self::NoPlace => 12,
        }
    }

    /// Its index among the notices, and that of its seconds in [`SECONDS`]; `None` for one that names a request or a time, or has words of
    /// operators.
    fn kind(self) -> Option<(usize, usize)> {
        let kind = match self {
            Self::Suspended { message: None, .. } => 0,
            Self::Full => 1,
            Self::TooMany { .. } => 2,
            Self::NeedsPass { .. } => 3,
            Self::Left => 4,
            Self::Busy => 5,
            Self::Ended { .. } => 6,
            Self::LastCall { message: None, .. } => 7,
            Self::EventOver => 8,
            Self::PlaceOffered => 9,
            Self::PlaceTaken => 10,
            Self::NoPlace => 11,
            Self::Suspended { .. }
            | Self::LastCall { .. }
            | Self::NotOpen { .. }
            | Self::Failed { .. }
            | Self::InDoubt { .. } => return None,
        };
        let seconds = self.retry().unwrap_or(0);
        let step = SECONDS.iter().position(|&step| seconds <= step).unwrap_or(SECONDS.len() - 1);
        Some((kind, step))
    }

    /// The same with the seconds of this step.
    fn rounded(self, step: usize) -> Self {
        let retry = SECONDS[step];
        match self {
            Self::Suspended { message, .. } => Self::Suspended { retry, message },
            Self::LastCall { message, .. } => Self::LastCall { retry, message },
            Self::TooMany { .. } => Self::TooMany { retry },
            Self::NeedsPass { .. } => Self::NeedsPass { retry },
            Self::Ended { .. } => Self::Ended { retry },
            other => other,
        }
    }

    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Suspended { .. } => "suspended",
            Self::LastCall { .. } => "last_call",
            Self::Full => "full",
            Self::NotOpen { .. } => "not_started",
            Self::EventOver => "event_over",
            Self::TooMany { .. } => "too_many_requests",
            Self::NeedsPass { .. } => "needs_pass",
            Self::Ended { .. } => "pass_ended",
            Self::Left => "left",
            Self::PlaceOffered => "place_offered",
            Self::PlaceTaken => "place_taken",
            Self::NoPlace => "no_place",
            Self::Busy => "busy",
            Self::Failed { .. } => "failed",
            Self::InDoubt { .. } => "in_doubt",
        }
    }

    /// The word of `Weir-Status`, for programs.
    pub fn status(self) -> &'static str {
        match self {
            Self::Suspended { .. } | Self::LastCall { .. } | Self::Full | Self::NotOpen { .. } | Self::EventOver => {
                "queue-closed"
            }
            Self::TooMany { .. } => "too-fast",
            Self::NeedsPass { .. } => "needs-pass",
            Self::Ended { .. } => "expired",
            Self::Left => "left",
            Self::PlaceOffered => "place-offered",
            Self::PlaceTaken => "place-taken",
            Self::NoPlace => "no-place",
            Self::Busy => "busy",
            Self::Failed { .. } => "failed",
            Self::InDoubt { .. } => "in-doubt",
        }
    }

    /// Seconds after which another attempt makes sense, as in `Retry-After`.
    pub fn retry(self) -> Option<u64> {
        match self {
            Self::Suspended { retry, .. }
            | Self::LastCall { retry, .. }
            | Self::NotOpen { retry, .. }
            | Self::TooMany { retry }
            | Self::NeedsPass { retry }
            | Self::Ended { retry } => Some(retry),
            _ => None,
        }
    }

    fn request(&self) -> Option<&str> {
        if let Self::Failed { request, .. } | Self::InDoubt { request, .. } = self { Some(request) } else { None }
    }

    fn message(self) -> Option<&'a Message> {
        if let Self::Suspended { message, .. } | Self::LastCall { message, .. } = self { message } else { None }
    }

    fn starts(self) -> Option<&'a [String; 2]> {
        if let Self::NotOpen { starts, .. } = self { Some(starts) } else { None }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Suspended { .. } => "The room is suspended.",
            Self::LastCall { .. } => "No new places are given any more.",
            Self::Full => "The room is full.",
            Self::NotOpen { .. } => "It has not started yet.",
            Self::EventOver => "The event is over.",
            Self::TooMany { .. } => "Too many requests.",
            Self::NeedsPass { .. } => "Not admitted yet: open the page, or ask for JSON, to take a place in line.",
            Self::Ended { .. } => {
                "The time inside has ended, and this was not sent: open the page to take a place in line."
            }
            Self::Left => "You have left the line.",
            Self::PlaceOffered => "A place is kept for you: POST to this address takes it.",
            Self::PlaceTaken => "The place is yours: go on to the room with this token.",
            Self::NoPlace => "This code gives no place, or not any more.",
            Self::Busy => "Too busy to answer in time.",
            Self::Failed { .. } => "The upstream did not answer as it should.",
            Self::InDoubt { .. } => {
                "This reached the upstream, which gave no answer: it may have been done. Look before you send it again."
            }
        }
    }

    /// For requests that want neither page nor JSON: one line.
    pub fn text(self) -> Bytes {
        let retry = self.retry().map(|seconds| format!(" Retry after {seconds} s.")).unwrap_or_default();
        let request = self.request().map(|id| format!(" Request {id}.")).unwrap_or_default();
        let starts = self.starts().map(|[at, _]| format!(" It starts at {at}.")).unwrap_or_default();
        let message = self.message().map(|message| format!(" {}", message.text(Language::English))).unwrap_or_default();
        Bytes::from(format!("{}{starts}{message}{retry}{request}\n", self.sentence()))
    }

    /// For programs: `{"error": name, "status": word, "message": sentence, "retryAfterSeconds": n | null, "request": id | null}`, with
    /// `startsAt` where shoppers enter at a time to come, and `told`, what operators tell, by the tag of its language.
    pub fn json(self) -> Bytes {
        Bytes::from(self.value().to_string())
    }

    /// The same with another word, the room, and the path where its line can be entered, as a page or as JSON.
    pub fn json_for(self, status: &str, room: &str, waiting_page: &str) -> Bytes {
        let mut value = self.value();
        for (key, text) in [("status", status), ("room", room), ("waitingPage", waiting_page)] {
            value[key] = text.into();
        }
        Bytes::from(value.to_string())
    }

    fn value(self) -> serde_json::Value {
        let mut value = serde_json::json!({
            "error": self.name(),
            "status": self.status(),
            "message": self.sentence(),
            "retryAfterSeconds": self.retry(),
            "request": self.request(),
        });
        if let Some([at, _]) = self.starts() {
            value["startsAt"] = at.as_str().into();
        }
        if let Some(message) = self.message() {
            value["told"] = message.texts().into();
        }
        value
    }
}

fn headings(texts: &Texts) -> [Heading; PAGES] {
    [
        texts.suspended,
        texts.full,
        texts.too_many,
        texts.left,
        texts.busy,
        texts.failed,
        texts.ended,
        texts.in_doubt,
        texts.not_open,
        texts.event_over,
        texts.last_call,
        texts.place_offered,
        texts.no_place,
    ]
}

/// The form of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A page.
    Page(Language, Coding),
    /// For programs.
    Json,
    /// One line.
    Text,
}

impl Form {
    const COUNT: usize = 2 * Language::ALL.len() + 2;

    fn index(self) -> usize {
        match self {
            Self::Json => 0,
            Self::Text => 1,
            Self::Page(language, coding) => 2 + 2 * language as usize + coding as usize,
        }
    }
}

/// The seconds in texts; others are rounded up to the next of these. `Retry-After` is exact to the second.
const SECONDS: [u64; 8] = [1, 2, 5, 10, 30, 60, 300, 3_600];

/// The pages of every [`Notice`], in every language.
#[derive(Debug, Clone)]
pub struct Notices {
    room: Arc<Room>,
    csp: HeaderValue,
    /// By language, then by notice.
    pages: OnDemand<Segments>,
    /// By form, then by notice and seconds.
    shared: OnDemand<Bytes>,
}

impl Notices {
    /// Those without a brand.
    pub fn unbranded() -> Self {
        Self::of(Arc::new(Room { name: String::new(), brand: Brand::default() }))
    }

    pub(super) fn of(room: Arc<Room>) -> Self {
        let csp = Look::new(&room.name, &room.brand).csp;
        let shared = OnDemand::new(Form::COUNT, KINDS * SECONDS.len());
        Self { room, csp, pages: OnDemand::new(Language::ALL.len(), PAGES), shared }
    }

    fn segments(&self, language: Language, index: usize) -> &Segments {
        self.pages.get(language as usize, index, || {
            let Room { name, brand } = &*self.room;
            let variables = context! {
                n => Value::from(Serde(headings(language.texts())[index])),
                refresh => matches!(index, 0 | 2 | 8),
                closed => matches!(index, 0 | 10),
                begins => index == 8,
                left => matches!(index, 3 | 7 | 12),
                offered => index == 11,
                failed => index == 5 || index == 7,
                retry => Slot::Retry.mark(),
                status => Slot::Status.mark(),
                request => Slot::Request.mark(),
                message => Slot::Message.mark(),
                startsAt => Slot::StartsAt.mark(),
                starts => Slot::Starts.mark(),
            };
            let made = ours().and_then(|ours| render(ours, NOTICE, language, &Look::new(name, brand), variables));
            // A test makes every one of them.
            made.unwrap_or_else(|error| Segments::cut(&error.to_string()))
        })
    }

    /// The `Content-Security-Policy` to send with them.
    pub fn csp(&self) -> HeaderValue {
        self.csp.clone()
    }

    /// The notice in this form. The same bytes for all readers of the same notice.
    pub fn shared(&self, notice: Notice<'_>, form: Form) -> Bytes {
        let Some((kind, step)) = notice.kind() else { return self.make(notice, form) };
        let column = kind * SECONDS.len() + step;
        self.shared.get(form.index(), column, || self.make(notice.rounded(step), form)).clone()
    }

    fn make(&self, notice: Notice<'_>, form: Form) -> Bytes {
        match form {
            Form::Page(language, coding) => self.page(notice, language, coding).into(),
            Form::Json => notice.json(),
            Form::Text => notice.text(),
        }
    }

    /// Its page.
    pub fn page(&self, notice: Notice<'_>, language: Language, coding: Coding) -> Filled {
        self.segments(language, notice.index()).fill(coding, |out, slot| match (slot, notice) {
            (Slot::Retry, _) => push_number(out, notice.retry().unwrap_or(30)),
            (Slot::Status, Notice::Failed { status, .. } | Notice::InDoubt { status, .. }) => {
                push_number(out, status.into());
            }
            (Slot::Request, Notice::Failed { request, .. } | Notice::InDoubt { request, .. }) => {
                push_escaped(out, request);
            }
            (Slot::Message, _) => {
                if let Some(message) = notice.message() {
                    message.push(out, language);
                }
            }
            (Slot::StartsAt | Slot::Starts, Notice::NotOpen { starts: [at, told], .. }) => {
                out.extend_from_slice(if slot == Slot::StartsAt { at } else { told }.as_bytes());
            }
            _ => {}
        })
    }
}

/// An id of a request may come from the shopper.
pub(super) fn push_escaped(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            // A parser of HTML would make one line end of both.
            b'\r' => out.extend_from_slice(b"&#13;"),
            b'\n' => out.extend_from_slice(b"&#10;"),
            byte => out.push(byte),
        }
    }
}
