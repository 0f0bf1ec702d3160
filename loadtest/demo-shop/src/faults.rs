//! Faults on purpose that no smaller [stage](crate::Shop::stages) explains: late answers, errors, and words that lie.
//!
//! ```text
//! PUT /shop/faults   {"delay": "120ms"}                      launch pages are so much later, their connection to the database is free
//!                    {"errors": true}                        launch pages are a 500 at once
//!                    {"says": "rate=1000000000/m; ttl=30s"}  every answer has this Weir-Command in place of the shop's own word
//!                    {}                                      none any more
//! ```
//!
//! Each document stands for all faults: what it does not name is over. That is for the operator of a test, as the stages are.

use std::sync::Mutex;

use bytes::Bytes;
use evidence::stats::locked;
use http::{HeaderValue, Method, Request, StatusCode};
use launch_model::span::Span;
use serde::{Deserialize, Serialize};

use crate::Shop;
use crate::served::{Answer, Served, html, text};
use crate::stages::came_by_proxy;

/// What is done to the shop.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Faults {
    /// How much later launch pages are answered, whatever the load.
    pub(crate) delay: Span,
    /// Whether launch pages fail at once.
    pub(crate) errors: bool,
    /// The `Weir-Command` of each answer.
    pub(crate) says: Option<String>,
}

/// The faults now.
#[derive(Debug, Default)]
pub(crate) struct InForce(Mutex<Faults>);

impl InForce {
    pub(crate) fn now(&self) -> Faults {
        locked(&self.0).clone()
    }

    fn set(&self, document: &[u8]) -> Result<(), String> {
        let faults: Faults = serde_json::from_slice(document).map_err(|error| error.to_string())?;
        if let Some(says) = &faults.says {
            HeaderValue::try_from(says).map_err(|_| format!("says: {says:?} cannot stand in a header"))?;
        }
        *locked(&self.0) = faults;
        Ok(())
    }
}

impl Shop {
    /// The answer to a request for `/shop/faults`, whose body is this; `None` if it was too long.
    pub(crate) fn answer_faults<B>(&self, request: &Request<B>, document: Option<&Bytes>) -> Answer {
        match *request.method() {
            Method::GET => {}
            Method::PUT if !came_by_proxy(request.headers()) => {
                let set = document.ok_or("the document is too long".to_owned());
                if let Err(wrong) = set.and_then(|document| self.faults.set(document)) {
                    return html(StatusCode::BAD_REQUEST, format!("{wrong}\n"));
                }
            }
            _ => return Served::absent().into_answer(None),
        }
        text("application/json", serde_json::to_string(&self.faults.now()).unwrap_or_default())
    }
}
