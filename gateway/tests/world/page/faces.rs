//! Every state of the page, as the gateway would send it. States are named as shoppers would: `docs/integration.md` has the words for programs.

use std::sync::Arc;

use bytes::Bytes;
use gateway::ui::{
    Brand, Coding, Colour, EventFacts, Facts, HeldForm, Language, Message, Notice, Notices, Question, QueuePosition,
    Snapshot, State, WaitingPage,
};
use jiff::tz::TimeZone;
use policy::cap::CapKind;
use policy::event::Announcement;
use policy::line::segment::SPAN;
use policy::line::{Segment, View};
use policy::pacer::PollTable;
use policy::room::{Room, Rules};
use policy::stock::{Stock, StockState};

/// 2026-03-01T03:00:00Z.
const NOON_IN_SEOUL: u64 = 1_772_334_000_000;
const BASE: u64 = 333_333 * SPAN;
/// A place far back, and one that is called.
const FAR: Option<u64> = Some(BASE + 12_345);
const CALLED: Option<u64> = Some(BASE + 8_000);

fn line() -> View {
    View {
        segments: Segment { base: BASE, next: BASE + 20_000, serving: BASE + 8_766 }.into(),
        now: NOON_IN_SEOUL,
        speed: 14.0,
        ..View::default()
    }
}

/// What differs from a line that moves.
struct Moment {
    line: View,
    open: bool,
    away: bool,
    rests: bool,
    event: EventFacts,
    message: Option<Arc<Message>>,
}

impl Default for Moment {
    fn default() -> Self {
        Self { line: line(), open: true, away: false, rests: false, event: EventFacts::NONE, message: None }
    }
}

impl Moment {
    fn of(line: View) -> Self {
        Self { line, ..Self::default() }
    }

    fn event(announcement: Announcement) -> Self {
        let event = EventFacts { utc: NOON_IN_SEOUL, announcement, current: None };
        Self { open: false, event, ..Self::default() }
    }

    fn snapshot(&self) -> Snapshot {
        let mut room = Room::new(Rules::per_minute(600));
        room.rules.open = self.open;
        Snapshot::new(&Facts {
            name: "launch",
            room: &room,
            line: &self.line,
            poll: PollTable::CALM,
            state: State::of(&room, &self.line),
            away: self.away,
            shop_rests: self.rests,
            zone: &TimeZone::UTC,
            page: 0,
            event: self.event,
            message: self.message.as_ref(),
        })
    }
}

fn stocked(state: StockState, left: u64) -> View {
    View { stock: Some(Stock { state, left, held: 3, units: 0.9 }), ..line() }
}

fn message(language: Language) -> Message {
    let words = language.wait(Some(policy::outlook::Wait { low: 500, high: 600 }));
    Message::of(|_| Some(&words)).expect("a message")
}

/// Every state in this language: its name, and the page.
pub(super) fn all(language: Language) -> Vec<(&'static str, Vec<u8>)> {
    let told = (language, Coding::Identity);
    let plain = WaitingPage::new("launch", None, &Brand::default()).expect("our own template");
    let waiting = waiting(language).into_iter().map(|(name, moment, ticket)| {
        let snapshot = moment.snapshot();
        let round = ticket.is_none().then_some(1).filter(|_| !moment.away);
        let standing = snapshot.standing(ticket, 1.0).in_round(round);
        (name, Bytes::from(plain.fill(&snapshot, &standing, told, false)).to_vec())
    });
    let mut pages: Vec<_> = waiting.collect();
    pages.extend(others(&plain, told));
    pages.extend(notices(language));
    pages
}

fn waiting(language: Language) -> Vec<(&'static str, Moment, Option<u64>)> {
    let before = Moment::event(Announcement::Starts(NOON_IN_SEOUL + 3_723_200));
    let said = Moment { open: false, message: Some(Arc::new(message(language))), ..Moment::default() };
    let capped = View { rate: 2.0, capped_by: Some(CapKind::Shop), ..line() };
    vec![
        ("before", Moment { event: before.event, open: false, ..Moment::default() }, FAR),
        ("before-draw", before, None),
        ("drawing", Moment::default(), None),
        ("waiting", Moment::default(), FAR),
        ("still", Moment::of(View { speed: 0.0, ..line() }), FAR),
        ("slow", Moment::of(capped), FAR),
        ("unsure", Moment::of(View { unsure: true, ..line() }), FAR),
        ("paused", said, FAR),
        ("may-end", Moment::of(stocked(StockState::Available, 40)), FAR),
        ("last-items", Moment::of(stocked(StockState::InCheckout, 0)), FAR),
        ("sold-out", Moment::of(stocked(StockState::SoldOut, 0)), FAR),
        ("resting", Moment { rests: true, ..Moment::default() }, FAR),
        ("called", Moment::default(), CALLED),
        ("lost", Moment { away: true, ..Moment::default() }, FAR),
        ("lost-early", Moment { away: true, ..Moment::default() }, None),
        ("ended", Moment::event(Announcement::Ended), FAR),
    ]
}

fn others(plain: &WaitingPage, told: (Language, Coding)) -> Vec<(&'static str, Vec<u8>)> {
    let snapshot = Moment::default().snapshot();
    let standing: QueuePosition = snapshot.standing(FAR, 1.0);
    let fact = |text: &str| Language::ALL.map(|_| text.to_owned());
    let brand = Brand {
        name: "Kim & Sons".to_owned(),
        colour: Colour::parse("#ffd400"),
        lines: fact("2026-03-01 20:00"),
        facts: [fact("129,000 – 189,000"), fact("37 / 500")],
        ..Brand::default()
    };
    let branded = WaitingPage::new("launch", None, &brand).expect("our own template");
    let fields = vec![("name".to_owned(), "Kim".to_owned())];
    let form = HeldForm { fields: Some(fields), left_out: vec!["cvc".to_owned()] };
    let lost = HeldForm::default();
    let sold = Moment::of(stocked(StockState::SoldOut, 0)).snapshot();
    [
        ("brand", branded.fill(&snapshot, &standing, told, false)),
        ("again", plain.fill(&snapshot, &standing, told, true)),
        ("arriving", plain.arriving(&snapshot, told)),
        ("held", plain.holding(&form, &snapshot, Some(&standing), told, true)),
        ("held-lost", plain.holding(&lost, &snapshot, Some(&standing), told, true)),
        ("gate", plain.at_gate(None, Some(1_234), 60, told)),
        ("gate-form", plain.at_gate(Some(&form), Some(12), 60, told)),
        ("gate-no-way", plain.at_gate(Some(&form), None, 60, told)),
        ("answers", plain.answers(None, (&snapshot, &standing), "/launch", told)),
        ("answer-place", plain.answers(Some(Question::Place), (&snapshot, &standing), "/launch", told)),
        ("answer-wait", plain.answers(Some(Question::Wait), (&snapshot, &standing), "/launch", told)),
        ("answer-stock", plain.answers(Some(Question::Stock), (&sold, &standing), "/launch", told)),
    ]
    .map(|(name, page)| (name, Bytes::from(page).to_vec()))
    .into()
}

fn notices(language: Language) -> Vec<(&'static str, Vec<u8>)> {
    let (message, starts) =
        (message(language), ["2026-03-01T11:00:00.000Z", "2026-03-01 20:00:00 KST"].map(str::to_owned));
    let all = [
        ("closed", Notice::Suspended { retry: 300, message: Some(&message) }),
        ("last-call", Notice::LastCall { retry: 300, message: None }),
        ("not-open", Notice::NotOpen { retry: 300, starts: &starts }),
        ("over", Notice::EventOver),
        ("full", Notice::Full),
        ("refused", Notice::TooMany { retry: 300 }),
        ("pass-ended", Notice::Ended { retry: 5 }),
        ("left", Notice::Left),
        ("busy", Notice::Busy),
        ("failed", Notice::Failed { status: 502, request: "27c8404300000001" }),
        ("in-doubt", Notice::InDoubt { status: 504, request: "27c8404300000001" }),
    ];
    let notices = Notices::unbranded();
    all.map(|(name, notice)| (name, Bytes::from(notices.page(notice, language, Coding::Identity)).to_vec())).into()
}
