//! An action by a form: what `POST /api/rooms/{room}/actions/{action}` does.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value as Json;

use super::done::{Answer, lines};
use super::room::{Filled, RoomQuery, show};
use super::{Console, Form, Reader, go};
use crate::ops::admin::access::Caller;
use crate::ops::admin::actions::{Acted, Asked, act_on};
use crate::ops::admin::problem::Problem;

/// What the audit says of an action for which no reason was typed.
const NO_REASON: &str = "no reason given (console)";

/// The action of a form, and what is sent with it. A button may carry a value: `rate:+10%`.
fn read(form: &Form) -> Result<(String, Asked), Problem> {
    let pressed = form.field("action").unwrap_or_default();
    let (action, step) = pressed.split_once(':').map_or((pressed, None), |(action, step)| (action, Some(step)));
    let mut asked = Asked {
        why: form.field("why").unwrap_or(NO_REASON).to_owned(),
        id: Some(form.field("id").unwrap_or_default().to_owned()),
        confirm: form.field("confirm").map(str::to_owned),
        ..Asked::default()
    };
    match action {
        "rate" | "seats" => asked.to = step.or(form.field(action)).map(|to| Json::from(to.replace(',', ""))),
        "open" => asked.minutes = if step == Some("end") { Some(0) } else { form.number("minutes")? },
        "let-in" => asked.shoppers = form.number("shoppers")?,
        "start-event" => asked.event = form.field("event").map(str::to_owned),
        "message" if step == Some("clear") => asked.message = Some(BTreeMap::new()),
        "message" => asked.message = Some(Filled::of(form).message),
        _ => {}
    }
    Ok((action.to_owned(), asked))
}

impl From<Acted> for Answer {
    fn from(acted: Acted) -> Self {
        Self {
            is_new: acted.from != acted.version,
            action: acted.action,
            version: acted.version,
            why: acted.why,
            changes: lines(&acted.changes),
            gateways: acted.gateways,
        }
    }
}

pub(super) async fn act(
    State(console): State<Arc<Console>>,
    Path(room): Path<String>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let (form, who) = (Form::read(&body), caller.name.clone());
    let acted = match read(&form) {
        Ok((action, asked)) => {
            let id = asked.id.clone().unwrap_or_default();
            let acted = act_on(&console.fleet, room.clone(), &action, asked, who, None).await;
            acted.map(|acted| (id, acted))
        }
        Err(problem) => Err(problem),
    };
    match acted {
        Ok((id, acted)) => {
            // The room is one of ours by now: its name has the letters of an address.
            let to = format!(
                "/console/rooms/{}?done={}",
                acted.room,
                form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>()
            );
            console.done.keep(&id, acted.into());
            go(&to)
        }
        Err(problem) => {
            let reader = Reader::of(&console, caller, &headers);
            show(&console, &reader, &room, &RoomQuery::default(), Some((&problem, &Filled::of(&form))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_button_says_what_is_done_and_only_its_own_fields_are_sent() {
        let body = |action: &str| {
            format!("id=1&why=w&rate=1%2C200&seats=50&minutes=5&shoppers=9&event=drop&message.en=soon&action={action}")
        };
        let asked = |action: &str| read(&Form::read(&body(action))).expect("it is read").1;
        let to = |action| asked(action).to.and_then(|to| to.as_str().map(str::to_owned));
        assert_eq!(["rate", "rate:%2B10%25", "seats"].map(to).map(Option::unwrap), ["1200", "+10%", "50"]);
        assert_eq!(
            (asked("open").minutes, asked("open:end").minutes, asked("pause").minutes),
            (Some(5), Some(0), None)
        );
        assert_eq!((asked("let-in").shoppers, asked("start-event").event.as_deref()), (Some(9), Some("drop")));
        let said = |action| asked(action).message.map(|message| message.len());
        assert_eq!((said("message"), said("message:clear"), said("pause")), (Some(1), Some(0), None));
        assert_eq!(read(&Form::read("action=pause")).expect("it is read").1.why, NO_REASON);
        assert!(read(&Form::read("action=let-in&shoppers=many")).is_err());
    }
}
