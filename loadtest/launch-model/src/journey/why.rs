//! Why a step failed, and what to mend: for the reader of the report.

use crate::scenario::Step;
use crate::visit::Why;

impl Why {
    /// In words.
    pub fn told(&self) -> String {
        match self {
            Self::NoAnswer => "no answer".into(),
            Self::Status(status) => format!("status {status}"),
            Self::Missing(name) => format!("{name} was not in the answer"),
            Self::Elsewhere(path) => format!("ended at {path}"),
            Self::NotShown => "the page did not show what it should".into(),
            Self::Stranger(host) => format!("led to {host}, which is no part of this run"),
            Self::Redirects => "one redirect after another".into(),
            Self::TooLong => "the page was longer than is read".into(),
        }
    }

    /// What to look at first.
    pub fn mend(&self, step: &Step) -> String {
        let logs_in = step.form.values().chain(&step.json).chain(&step.body).any(|text| text.contains("${user.pass"));
        match self {
            Self::NoAnswer => "see whether the shop still answers, or raise habits.patience".into(),
            Self::Status(401 | 403) if logs_in => "the log-in was refused: check the rows of journey.users".into(),
            Self::Status(403) => {
                "a form without its CSRF value is refused so: let the step before take it, or record the journey again"
                    .into()
            }
            Self::Status(401) => "it wants a log-in: add the step before it".into(),
            Self::Status(404 | 405 | 410) => format!("correct url: the shop has no {}", step.title()),
            Self::Status(429 | 503) => "the shop was asked too much: let fewer in, or raise its own limits".into(),
            Self::Status(500..) => "see the shop's own log".into(),
            Self::Status(300..=399) => "its redirect leads nowhere: see the shop's own log".into(),
            Self::Status(_) => "what is sent is not what the shop takes: record the journey again".into(),
            Self::Missing(name) => {
                let take = step.take.get(&**name).map(ToString::to_string).unwrap_or_default();
                format!("correct take.{name}: {take} finds nothing there")
            }
            Self::Elsewhere(_) => {
                let wanted = step.expect.path.as_deref().unwrap_or("/");
                let why = if logs_in {
                    "the log-in was refused: check the rows of journey.users"
                } else {
                    "what was sent was refused, or the shop has changed"
                };
                format!("{why} (expect.path is {wanted})")
            }
            Self::NotShown => "see what page came instead, or correct expect.css and expect.text".into(),
            Self::Stranger(host) => format!("add --also {host} if it may be tested too, or leave the step out"),
            Self::Redirects => {
                "the shop sends people in a circle: a cookie that it misses, or another host that it thinks it is"
                    .into()
            }
            Self::TooLong => "leave the step out: a page of more than 2 MiB is no step of a purchase".into(),
        }
    }
}
