//! The waiting page of a room.
//!
//! What cannot be filled in afterwards, such as whether a wait is known at all, is a [`Face`]: each
//! has its own rendering. An operator's template goes the same way as ours with the same variables,
//! so its conditions may look at the names of faces and languages, but not compare a position.

use bytes::Bytes;
use http::HeaderValue;
use minijinja::{Value, context};

use super::brand::{Brand, Logo};
use super::notice::Notices;
use super::template::{Coding, Look, PageError, Segments, Slot, WAITING, add_operators, render, templates};
use super::{Language, Snapshot, Standing, push_number};

/// The name of an operator's template, as in the configuration.
const OPERATORS: &str = "custom_page_html";

/// What is known of a shopper's place, as far as it changes the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    /// Position and wait are known.
    Moving,
    /// The line stands still for now: no wait.
    Still,
    /// Places may come back that stand before this one: no position, no wait.
    Unsure,
    /// Nobody is let in: no wait.
    Paused,
    /// The shop rests: no wait.
    AtRest,
    /// The same, and at the front.
    CalledAtRest,
    /// At the front, and without a token or a seat so far.
    Called,
    /// The store does not answer: the last position, no wait.
    Away,
    /// The store does not answer, and the ticket has no number yet.
    Provisional,
    /// A newcomer who is asked to confirm: no place yet.
    Arriving,
}

impl Face {
    const ALL: [Self; 10] = [
        Self::Moving,
        Self::Still,
        Self::Unsure,
        Self::Paused,
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
            Self::AtRest | Self::CalledAtRest => "resting",
            Self::Called => "called",
            Self::Away | Self::Provisional => "kept",
            Self::Arriving => "arriving",
        }
    }

    fn variables(self, room: &str) -> Value {
        context! {
            room,
            state => self.state(),
            waitTimeKnown => self == Self::Moving,
            positionKnown => !matches!(
                self,
                Self::Called | Self::CalledAtRest | Self::Unsure | Self::Provisional | Self::Arriving
            ),
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
        }
    }
}

/// The waiting page of one room, ready to be filled.
#[derive(Debug, Clone)]
pub struct WaitingPage {
    /// By language, then by face.
    renderings: Vec<Segments>,
    csp: HeaderValue,
    logo: Option<Logo>,
    notices: Option<Notices>,
}

impl WaitingPage {
    /// The page of the room `name` with the shop's brand, from an operator's template if there is one.
    ///
    /// # Errors
    /// The template does not parse, names an unknown variable, or runs too long.
    pub fn new(name: &str, custom: Option<&str>, brand: &Brand) -> Result<Self, PageError> {
        let look = Look::new(name, brand);
        let mut templates = templates()?;
        let mut template = WAITING;
        let mut csp = look.csp.clone();
        if let Some(source) = custom {
            add_operators(&mut templates, OPERATORS, source)?;
            template = OPERATORS;
            // An operator's page brings what it likes; it must not be framed by strangers.
            csp = HeaderValue::from_static("frame-ancestors 'self'; base-uri 'self'; object-src 'none'");
        }
        let mut renderings = Vec::with_capacity(Language::ALL.len() * Face::ALL.len());
        for language in Language::ALL {
            for face in Face::ALL {
                renderings.push(render(&templates, template, language, &look, face.variables(name))?);
            }
        }
        let notices = brand.is_any().then(|| Notices::of(&look)).transpose()?;
        Ok(Self { renderings, csp, logo: brand.logo.clone(), notices })
    }

    /// The `Content-Security-Policy` to send with it.
    pub fn csp(&self) -> HeaderValue {
        self.csp.clone()
    }

    /// The shop's logo.
    pub fn logo(&self) -> Option<&Logo> {
        self.logo.as_ref()
    }

    /// What else is said in this room, if it has a brand.
    pub fn notices(&self) -> Option<&Notices> {
        self.notices.as_ref()
    }

    /// The page of one shopper.
    pub fn fill(&self, snapshot: &Snapshot, standing: &Standing, form: (Language, Coding)) -> Bytes {
        self.face(snapshot.face(standing), snapshot, standing, form)
    }

    /// The page of a newcomer who is asked to confirm.
    pub fn arriving(&self, snapshot: &Snapshot, form: (Language, Coding)) -> Bytes {
        self.face(Face::Arriving, snapshot, &Standing::ARRIVING, form)
    }

    fn face(&self, face: Face, snapshot: &Snapshot, standing: &Standing, form: (Language, Coding)) -> Bytes {
        let (language, coding) = form;
        let segments = &self.renderings[language as usize * Face::ALL.len() + face as usize];
        segments.fill(coding, |out, slot| match slot {
            Slot::Line => {
                if let Some((segment, _)) = standing.place() {
                    push_number(out, segment);
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
                if let Some(position) = standing.position {
                    language.push_grouped(out, position);
                }
            }
            Slot::WaitTime => push_number(out, standing.wait_minutes()),
            Slot::WaitTimeFormatted => language.push_wait(out, standing.wait),
            Slot::PollAfter => push_number(out, standing.poll_after),
            Slot::LastUpdated => out.extend_from_slice(snapshot.updated.as_bytes()),
            Slot::Clock => out.extend_from_slice(snapshot.clock.as_bytes()),
            Slot::Retry | Slot::Status | Slot::Request => {}
        })
    }
}
