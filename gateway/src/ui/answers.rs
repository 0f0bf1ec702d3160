//! The page of answers: what people would ask a help desk, each answered from the line as it is now.
//!
//! A question is an address of its own, so that the opened ones are counted without a script and without a third party.

use std::sync::Arc;

use bytes::Bytes;
use minijinja::context;
use policy::event::Announcement;
use policy::stock::StockState;
use serde_json::json;

use super::notice::push_escaped;
use super::on_demand::OnDemand;
use super::page::Room;
use super::question::Question;
use super::template::{ANSWERS, Coding, Filled, Look, Segments, Slot, ours, render};
use super::{Language, QueuePosition, Snapshot};

/// The pages of a room, made on first use.
#[derive(Debug, Clone)]
pub(super) struct AnswersPages {
    /// By language, then by opened question; the first has none.
    pages: OnDemand<Segments>,
    room: Arc<Room>,
}

impl AnswersPages {
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self { pages: OnDemand::new(Language::ALL.len(), 1 + Question::ALL.len()), room }
    }

    /// The page with a question opened. `back`: the path of the line.
    pub(super) fn fill(
        &self,
        opened: Option<Question>,
        (snapshot, standing): (&Snapshot, &QueuePosition),
        back: &str,
        (language, coding): (Language, Coding),
    ) -> Filled {
        self.segments(language, opened).fill(coding, |out, slot| match (slot, opened) {
            (Slot::Answer, Some(question)) => {
                push_escaped(out, &snapshot.answer(question, standing, language, &self.facts(language)));
            }
            (Slot::Back, _) => push_escaped(out, back),
            _ => {}
        })
    }

    /// Every answer: `{"room": .., "answers": [{"question": name, "title": .., "text": ..}]}`.
    pub(super) fn json(&self, snapshot: &Snapshot, standing: &QueuePosition, language: Language) -> Bytes {
        let answer = |question: Question| {
            json!({
                "question": question.name(),
                "title": language.texts().questions[question as usize],
                "text": snapshot.answer(question, standing, language, &self.facts(language)),
            })
        };
        let answers = Question::ALL.map(answer);
        Bytes::from(json!({ "room": self.room.name, "lang": language.tag(), "answers": answers }).to_string())
    }

    fn facts(&self, language: Language) -> String {
        self.room.brand.facts_in(language).join(" ")
    }

    fn segments(&self, language: Language, opened: Option<Question>) -> &Segments {
        self.pages.get(language as usize, opened.map_or(0, |question| 1 + question as usize), || {
            let Room { name, brand } = &*self.room;
            let texts = language.texts().questions;
            let question = |question: Question| context! { name => question.name(), text => texts[question as usize] };
            let variables = context! {
                room => name,
                asked => opened.map(Question::name),
                questions => Question::ALL.map(question).to_vec(),
                answer => Slot::Answer.mark(),
                back => Slot::Back.mark(),
            };
            let made = ours().and_then(|ours| render(ours, ANSWERS, language, &Look::new(name, brand), variables));
            // A test makes every one of them.
            made.unwrap_or_else(|error| Segments::cut(&error.to_string()))
        })
    }
}

impl Snapshot {
    /// The answer of this moment. `facts`: what the shop says of prices and stock.
    fn answer(&self, question: Question, standing: &QueuePosition, language: Language, facts: &str) -> String {
        let texts = language.texts();
        match question {
            Question::Place => texts.answer_place.to_owned(),
            Question::Close => texts.answer_tab.to_owned(),
            Question::Wait => match standing
                .wait
                .or_else(|| self.newcomers_wait().filter(|_| standing.ticket.is_none()))
            {
                Some(wait) => format!("{}: {}", texts.wait, language.wait(Some(wait))),
                None => format!("{} {}", texts.unknown, self.why(language).unwrap_or_default()).trim_end().to_owned(),
            },
            Question::Stock => format!("{} {facts}", self.stock_answer(standing, language)).trim_end().to_owned(),
            Question::Stop => {
                let moves = self.newcomers_wait().is_some();
                self.why(language).unwrap_or(if moves { texts.answer_moving } else { texts.unknown }).to_owned()
            }
        }
    }

    /// Why the line stands or is slow; `None`: it moves.
    fn why(&self, language: Language) -> Option<&'static str> {
        let texts = language.texts();
        let stock = self.line.stock.filter(policy::stock::Stock::stands).map(|stock| stock.state);
        match (self.away, self.open, self.event.announcement, stock) {
            (true, ..) => Some(texts.kept_note),
            (_, false, Announcement::Starts(_), _) => Some(texts.before_lead),
            (_, false, Announcement::Ended, _) => Some(texts.over_lead),
            (_, false, Announcement::None, _) => Some(texts.paused_note),
            (.., Some(StockState::SoldOut)) => Some(texts.sold_out_note),
            (.., Some(_)) => Some(texts.last_items_note),
            _ if self.rests => Some(texts.resting_note),
            _ => self.standstill.map(|why| texts.standstill[why as usize]),
        }
    }

    fn stock_answer(&self, standing: &QueuePosition, language: Language) -> &'static str {
        let texts = language.texts();
        match self.line.stock {
            None => texts.answer_untold,
            Some(stock) if stock.stands() && stock.state == StockState::SoldOut => texts.sold_out_note,
            Some(stock) if stock.stands() => texts.last_items_note,
            Some(_) if self.may_end_before(standing) => texts.may_end_note,
            Some(_) => texts.answer_left,
        }
    }
}
