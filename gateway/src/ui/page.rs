//! The waiting page of a room.
//!
//! A fact that cannot be filled in later, such as whether a wait is known at all, is part of a [`PageState`]: each
//! has its own rendering. An operator's template goes the same way as ours with the same variables,
//! so its conditions may test the names of states and languages, but not compare a position.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use minijinja::{Value, context};

use super::answers::AnswersPages;
use super::brand::{Brand, Logo};
use super::gate::GatePages;
use super::held::HeldForm;
use super::notice::{Notices, push_escaped};
use super::on_demand::OnDemand;
use super::question::Question;
use super::queue_script::{queue_script_address, queue_script_code};
use super::template::{
    Coding, Filled, Look, PAGE, PageError, Segments, Slot, WAITING, ours, render, templates, variables,
};
use super::{Language, QueuePosition, Snapshot, operators, push_number};

/// The name of an operator's template, as in the configuration.
const OPERATORS: &str = "custom_page_html";

/// The state of a shopper's place, as far as it changes the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageState {
    /// Position and wait are known.
    Moving,
    /// The line stands still for now: no wait.
    Still,
    /// Earlier places may come back: no position, no wait.
    Unsure,
    /// No shopper is let in: no wait.
    Paused,
    /// Shoppers enter at a time to come: a countdown.
    Before,
    /// The same, and the order of the round is not drawn yet: no position.
    BeforeDraw,
    /// The order of the round is not drawn yet: no position, no wait.
    Drawing,
    /// The last event is over, and shoppers enter during events alone.
    Over,
    /// The last items are in checkout: no wait.
    LastItems,
    /// Nothing is left: no wait.
    SoldOut,
    /// The shop rests: no wait.
    AtRest,
    /// The same, at the front.
    CalledAtRest,
    /// At the front, still without a token or a seat.
    Called,
    /// The store does not answer: the last position, no wait.
    Away,
    /// The store does not answer, and the ticket has no number yet.
    Provisional,
    /// A newcomer who is asked to confirm: no place yet.
    Arriving,
}

impl PageState {
    const ALL: [Self; 16] = [
        Self::Moving,
        Self::Still,
        Self::Unsure,
        Self::Paused,
        Self::Before,
        Self::BeforeDraw,
        Self::Drawing,
        Self::Over,
        Self::LastItems,
        Self::SoldOut,
        Self::AtRest,
        Self::CalledAtRest,
        Self::Called,
        Self::Away,
        Self::Provisional,
        Self::Arriving,
    ];

    fn state(self) -> &'static str {
        match self {
            Self::Moving | Self::Still | Self::Unsure => "waiting",
            Self::Paused => "paused",
            Self::Before | Self::BeforeDraw => "before",
            Self::Drawing => "drawing",
            Self::Over => "ended",
            Self::LastItems => "last_items",
            Self::SoldOut => "sold_out",
            Self::AtRest | Self::CalledAtRest => "resting",
            Self::Called => "called",
            Self::Away | Self::Provisional => "kept",
            Self::Arriving => "arriving",
        }
    }

    /// `held`: for a page that holds a form.
    fn variables(self, language: Language, room: &str, version: u32, held: bool) -> Value {
        context! {
            room,
            held,
            page => format!("{version:06x}"),
            more => Value::from_safe_string(queue_script_address(language)),
            state => self.state(),
            waitTimeKnown => self == Self::Moving,
            positionKnown => !matches!(
                self,
                Self::Called
                    | Self::CalledAtRest
                    | Self::Unsure
                    | Self::Provisional
                    | Self::Arriving
                    | Self::BeforeDraw
                    | Self::Drawing
            ),
            drawing => matches!(self, Self::BeforeDraw | Self::Drawing),
            line => Slot::Line.mark(),
            ticket => Slot::Ticket.mark(),
            position => Slot::Position.mark(),
            positionFormatted => Slot::PositionFormatted.mark(),
            waitTime => Slot::WaitTime.mark(),
            waitTimeFormatted => Slot::WaitTimeFormatted.mark(),
            pollAfterSeconds => Slot::PollAfter.mark(),
            refreshIntervalSeconds => Slot::PollAfter.mark(),
            lastUpdated => Slot::LastUpdated.mark(),
            updated => Slot::Clock.mark(),
            reason => Slot::Reason.mark(),
            stock => Slot::Stock.mark(),
            refresh => Slot::Refresh.mark(),
            why => Slot::Why.mark(),
            form => Slot::Form.mark(),
            message => Slot::Message.mark(),
            messageId => Slot::MessageId.mark(),
            shared => Slot::Shared.mark(),
            startsAt => Slot::StartsAt.mark(),
            starts => Slot::Starts.mark(),
            countdown => Slot::Countdown.mark(),
            startsIn => Slot::StartsIn.mark(),
            turnUntil => Slot::TurnUntil.mark(),
        }
    }
}

/// The content of a page besides the place.
#[derive(Debug, Clone, Copy)]
struct More<'a> {
    /// The shopper's pass has run out.
    ended: bool,
    form: Option<&'a HeldForm>,
}

/// A template in every language and state.
#[derive(Debug, Clone)]
struct Faces {
    /// By language, then by state. Made on first use: a room without waiters costs no page.
    pages: OnDemand<Segments>,
    /// An operator's template.
    custom: Option<Arc<str>>,
    /// Whether a browser that shows it polls the line.
    polls: bool,
    csp: HeaderValue,
    /// The id of their text.
    version: u32,
    held: bool,
    room: Arc<Room>,
}

/// The owner of the pages.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: String,
    pub(super) brand: Brand,
}

/// The waiting page of one room, ready to be filled.
#[derive(Debug, Clone)]
pub struct WaitingPage {
    shown: Faces,
    /// Ours with a held form: only its readers need that text, and an operator's page holds none.
    holding: Faces,
    at_gate: GatePages,
    answers: AnswersPages,
    notices: Option<Notices>,
}

impl WaitingPage {
    /// The page of the room whose line is called `name`, with the shop's brand, from an operator's template if there is one.
    ///
    /// # Errors
    /// The template does not parse, names an unknown variable, or runs too long.
    pub fn new(name: &str, custom: Option<&str>, brand: &Brand) -> Result<Self, PageError> {
        let look = Look::new(name, brand);
        let room = Arc::new(Room { name: name.to_owned(), brand: brand.clone() });
        let notices = brand.is_any().then(|| Notices::of(room.clone()));
        let holding = Faces::unmade(&look, true, &room);
        let shown = match custom {
            Some(source) => Faces::of_operators(source, &look, &room)?,
            None => Faces { held: false, ..holding.clone() },
        };
        let answers = AnswersPages::new(room.clone());
        Ok(Self { shown, holding, at_gate: GatePages::new(room), answers, notices })
    }

    /// The id of its text: pages with the same text have the same number, at every gateway.
    pub fn version(&self) -> u32 {
        self.shown.version
    }

    /// Whether a browser that shows it polls the line, judged by its text.
    pub fn polls(&self) -> bool {
        self.shown.polls
    }

    /// The `Content-Security-Policy` to send with it.
    pub fn csp(&self) -> HeaderValue {
        self.shown.csp.clone()
    }

    /// The same for a page that holds a form.
    pub fn own_csp(&self) -> HeaderValue {
        self.holding.csp.clone()
    }

    /// The shop's logo.
    pub fn logo(&self) -> Option<&Logo> {
        self.shown.room.brand.logo.as_ref()
    }

    /// The other messages of this room, if it has a brand.
    pub fn notices(&self) -> Option<&Notices> {
        self.notices.as_ref()
    }

    /// The page of one shopper.
    pub fn fill(&self, snapshot: &Snapshot, standing: &QueuePosition, told: (Language, Coding), ended: bool) -> Filled {
        self.shown.fill(snapshot.state(standing), snapshot, standing, told, More { ended, form: None })
    }

    /// The page of a shopper whose form was not forwarded: it holds the form. Always ours; to be sent with [`Self::own_csp`].
    pub fn holding(
        &self,
        form: &HeldForm,
        snapshot: &Snapshot,
        standing: Option<&QueuePosition>,
        told: (Language, Coding),
        ended: bool,
    ) -> Filled {
        let (state, standing) =
            standing.map_or((PageState::Arriving, &QueuePosition::ARRIVING), |s| (snapshot.state(s), s));
        self.holding.fill(state, snapshot, standing, told, More { ended, form: Some(form) })
    }

    /// The page of a shopper who waits at the gate of a route, with the form that was not forwarded; without `ahead` for want of
    /// a way to the shop. Always ours; to be sent with [`Self::own_csp`].
    pub fn at_gate(
        &self,
        form: Option<&HeldForm>,
        ahead: Option<usize>,
        poll_after: u64,
        told: (Language, Coding),
    ) -> Filled {
        self.at_gate.fill(form, ahead, poll_after, told)
    }

    /// The page of answers, with a question opened, for the holder of a place; `back`: the path of the line. Always ours; to be sent with
    /// [`Self::own_csp`].
    pub fn answers(
        &self,
        opened: Option<Question>,
        place: (&Snapshot, &QueuePosition),
        back: &str,
        told: (Language, Coding),
    ) -> Filled {
        self.answers.fill(opened, place, back, told)
    }

    /// Every answer for programs: `{"room": .., "lang": tag, "answers": [{"question": name, "title": .., "text": ..}]}`.
    pub fn answers_json(&self, snapshot: &Snapshot, standing: &QueuePosition, language: Language) -> Bytes {
        self.answers.json(snapshot, standing, language)
    }

    /// The page of a newcomer who is asked to confirm.
    pub fn arriving(&self, snapshot: &Snapshot, told: (Language, Coding)) -> Filled {
        self.shown.fill(
            PageState::Arriving,
            snapshot,
            &QueuePosition::ARRIVING,
            told,
            More { ended: false, form: None },
        )
    }
}

impl Faces {
    fn none() -> OnDemand<Segments> {
        OnDemand::new(Language::ALL.len(), PageState::ALL.len())
    }

    /// Ours, not made yet.
    fn unmade(look: &Look<'_>, held: bool, room: &Arc<Room>) -> Self {
        let (csp, version) = (look.csp.clone(), look.version([PAGE, queue_script_code()]));
        Self { pages: Self::none(), custom: None, polls: true, csp, version, held, room: room.clone() }
    }

    /// An operator's: each is made once now, so that an error shows before any shopper waits.
    fn of_operators(source: &str, look: &Look<'_>, room: &Arc<Room>) -> Result<Self, PageError> {
        let (version, mut templates) = (look.version([source, queue_script_code()]), templates()?);
        let own = |language, state: PageState| state.variables(language, &room.name, version, false);
        let given = variables(Language::English, look, "", own(Language::English, PageState::Moving));
        operators::add(&mut templates, OPERATORS, source, &given)?;
        let faces = Language::ALL.into_iter().flat_map(|language| PageState::ALL.map(|state| (language, state)));
        let mut polls = true;
        for (language, state) in faces {
            let made = render(&templates, OPERATORS, language, look, own(language, state))?;
            if (language, state) == (Language::English, PageState::Moving) {
                polls = operators::polls(made.text());
            }
        }
        // An operator's page may load anything; other sites must not frame it.
        let csp = HeaderValue::from_static("frame-ancestors 'self'; base-uri 'self'; object-src 'none'");
        Ok(Self {
            pages: Self::none(),
            custom: Some(source.into()),
            polls,
            csp,
            version,
            held: false,
            room: room.clone(),
        })
    }

    fn segments(&self, language: Language, state: PageState) -> &Segments {
        self.pages.get(language as usize, state as usize, || {
            // A test makes every one of ours, and an operator's was made when it was read.
            self.make(language, state).unwrap_or_else(|error| Segments::cut(&error.to_string()))
        })
    }

    fn make(&self, language: Language, state: PageState) -> Result<Segments, PageError> {
        let Room { name, brand } = &*self.room;
        let (look, own) = (Look::new(name, brand), state.variables(language, name, self.version, self.held));
        let Some(source) = &self.custom else { return render(ours()?, WAITING, language, &look, own) };
        let mut templates = templates()?;
        operators::add(&mut templates, OPERATORS, source, &variables(language, &look, "", own.clone()))?;
        render(&templates, OPERATORS, language, &look, own)
    }

    fn fill(
        &self,
        state: PageState,
        snapshot: &Snapshot,
        standing: &QueuePosition,
        (language, coding): (Language, Coding),
        more: More<'_>,
    ) -> Filled {
        self.segments(language, state).fill(coding, |out, slot| match slot {
            Slot::Line => {
                let line = standing.place().map(|(segment, _)| segment).or(standing.round.map(u64::from));
                if let Some(line) = line {
                    push_number(out, line);
                }
            }
            Slot::Ticket => {
                if let Some((_, number)) = standing.place() {
                    push_number(out, number);
                }
            }
            Slot::Position => {
                if let Some(position) = standing.position {
                    push_number(out, position);
                }
            }
            Slot::PositionFormatted => {
                // A called shopper is next while the line admits no shopper.
                if let Some(position) = standing.position {
                    language.push_grouped(out, position.max(1));
                }
            }
            Slot::WaitTime => push_number(out, standing.wait_minutes()),
            Slot::WaitTimeFormatted => language.push_wait(out, standing.wait),
            Slot::PollAfter => push_number(out, standing.poll_after),
            Slot::LastUpdated => out.extend_from_slice(snapshot.updated.as_bytes()),
            Slot::Clock => out.extend_from_slice(snapshot.clock.as_bytes()),
            Slot::Reason => {
                if let Some(reason) = snapshot.standstill.filter(|_| standing.ticket.is_some()) {
                    out.extend_from_slice(language.texts().standstill[reason as usize].as_bytes());
                }
            }
            Slot::Stock if snapshot.may_end_before(standing) => {
                out.extend_from_slice(language.texts().may_end_note.as_bytes());
            }
            Slot::Refresh if more.form.is_none() => {
                out.extend_from_slice(b"<noscript><meta http-equiv=\"refresh\" content=\"");
                push_number(out, standing.poll_after);
                out.extend_from_slice(b"\"></noscript>");
            }
            Slot::Why if more.ended => {
                out.extend_from_slice(b"\n<p>");
                push_escaped(out, language.texts().ended_note);
                out.extend_from_slice(b"</p>");
            }
            Slot::StartsAt => out.extend_from_slice(snapshot.starts[0].as_bytes()),
            Slot::Starts => out.extend_from_slice(snapshot.starts[1].as_bytes()),
            Slot::Countdown => snapshot.push_countdown(out),
            Slot::StartsIn => {
                if let Some((_, left)) = snapshot.event.starts() {
                    push_number(out, left);
                }
            }
            Slot::Form => {
                if let Some(form) = more.form {
                    form.push(out, language);
                }
            }
            Slot::Message => {
                if let Some(message) = &snapshot.message {
                    message.push(out, language);
                }
            }
            Slot::MessageId => {
                out.extend_from_slice(snapshot.message.as_ref().map_or("", |message| message.id()).as_bytes());
            }
            Slot::TurnUntil => out.extend_from_slice(snapshot.turn_until.as_bytes()),
            Slot::Stock
            | Slot::Refresh
            | Slot::Why
            | Slot::Retry
            | Slot::Status
            | Slot::Request
            | Slot::Answer
            | Slot::Back
            | Slot::Shared => {}
        })
    }
}
