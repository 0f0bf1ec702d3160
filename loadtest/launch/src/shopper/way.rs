//! A shopper on a journey: the line, wherever it is met, and what becomes of each step.

use std::time::Duration;

use super::{Shopper, Stage, between};
use crate::evidence::End;
use crate::journey::{self, Walk};
use crate::scenario::Journey;
use crate::visitor::{Answer, Heard, Next, Place, Shown, Then, Told};

impl Shopper {
    /// On a journey: an answer from the line, or one of the shop.
    pub(super) fn hear_on_the_way(&mut self, heard: Heard<'_>, mut walk: Box<Walk>, journey: &Journey) -> Next {
        if let Some(Answer { shown: Shown::Line(told), .. }) = heard.answer {
            let was_inside = self.stage == Stage::Inside || self.waits_again;
            self.walk = Some(walk);
            return if was_inside { self.wait_again(told) } else { self.wait(heard.at, told) };
        }
        let came = heard.answer.is_some_and(Answer::is_from_shop);
        let called = self.stage == Stage::Line && came;
        if came {
            self.stage = if walk.is_inside(journey) { Stage::Inside } else { Stage::Door };
        }
        if called && !walk.poll_answers() {
            // Their turn has come: what was kept back meanwhile is sent now.
            self.walk = Some(walk);
            return Next::ask(self.request(), Duration::ZERO);
        }
        if self.stage == Stage::Line {
            self.walk = Some(walk);
            let told = heard.answer.and_then(|answer| answer.seen.as_ref()?.retry_after());
            return self.stumble(true, told);
        }
        let what = walk.hear(heard.answer, journey);
        let think = walk.step(journey).and_then(|step| step.think).unwrap_or(self.scenario.habits.think);
        let has_ordered = walk.has_ordered();
        self.walk = Some(walk);
        match what {
            journey::Heard::Follow => Next::ask(self.request(), Duration::ZERO),
            journey::Heard::Done => {
                self.failures = 0;
                Next::ask(self.request(), between(&mut self.random, think))
            }
            journey::Heard::End { ordered: true } => Next::leave(End::Bought),
            journey::Heard::End { ordered: false } => Next::leave(End::Looked),
            journey::Heard::SoldOut => Next::leave(End::SoldOut),
            journey::Heard::Stumbled { again, after } => match self.stumble(again, after) {
                Next { then: Then::Leave(_), .. } if has_ordered => Next::leave(End::Bought),
                next => next,
            },
        }
    }

    /// A step failed: it is tried again where that may help, and after the time that was told.
    fn stumble(&mut self, again: bool, after: Option<Duration>) -> Next {
        if again {
            let next = self.fail();
            return Next { pause: next.pause.max(after.filter(|_| next.asks()).unwrap_or_default()), ..next };
        }
        Next::leave(if self.place() == Place::Inside { End::OrderFailed } else { End::Refused })
    }

    /// The pass has ended on the way: whoever was inside wants to go on, whatever kind of person they are.
    fn wait_again(&mut self, told: &Told) -> Next {
        self.stage = Stage::Line;
        self.failures = 0;
        self.waits_again = true;
        Next::ask(self.request(), told.after)
    }
}
