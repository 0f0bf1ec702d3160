//! The audit: who did what and why, newest first, and whether the chain is whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use policy::audit::{Entry, verify};
use serde::Deserialize;

use super::{Console, Reader, texts};
use crate::ops::admin::access::Caller;

/// Lines of a page.
const PAGE: usize = 50;

/// The query of the page.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AuditQuery {
    #[serde(default)]
    room: String,
    #[serde(default)]
    who: String,
    /// From 0, newest first.
    #[serde(default)]
    page: usize,
}

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Query(query): Query<AuditQuery>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let reader = Reader::of(&console, caller, &headers);
    console.fleet.refresh().await;
    let lines = console.fleet.trail.recent(0);
    let verified = verify(lines.iter().map(|line| &**line), None);
    let entries: Vec<Entry> = lines.iter().filter_map(|line| Some(Entry::read(line)?.0)).collect();
    let rooms: BTreeSet<String> = entries.iter().filter_map(|entry| entry.room.clone()).collect();
    let people: BTreeSet<String> = entries.iter().map(|entry| entry.who.clone()).collect();
    let is_asked = |asked: &str, told: Option<&str>| asked.is_empty() || told == Some(asked);
    let found: Vec<&Entry> = entries
        .iter()
        .rev()
        .filter(|entry| is_asked(&query.room, entry.room.as_deref()) && is_asked(&query.who, Some(&entry.who)))
        .collect();
    let page = query.page.min(found.len() / PAGE);
    let rows = found.iter().skip(page * PAGE).take(PAGE).map(|entry| {
        context! {
            entry => Value::from(Serde(*entry)),
            action => texts::action(reader.language, &entry.action),
            time => entry.at.get(..19).map(|time| time.replace('T', " ")),
        }
    });
    let own = context! {
        view => "audit",
        title => reader.text("audit"),
        rows => rows.collect::<Vec<_>>(),
        rooms => Value::from_iter(rooms),
        people => Value::from_iter(people),
        room => &query.room,
        who_asked => &query.who,
        newer => page.checked_sub(1),
        older => ((page + 1) * PAGE < found.len()).then_some(page + 1),
        broken => verified.as_ref().err().map(ToString::to_string),
        forks => verified.as_ref().map_or(0, |verified| verified.forks.len()),
        lines => lines.len(),
        head => console.fleet.trail.head().to_string(),
    };
    reader.page("audit.html", StatusCode::OK, own)
}
