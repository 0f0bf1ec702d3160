//! From requests to steps: redirects joined, and values found.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use launch_model::journey::template;
use launch_model::scenario::{Expect, Journey, MOST_STEPS, Method, Step};
use launch_model::span::Span;

use super::chain::{Chain, authority, chains};
use super::har::{BadHar, Entry};
use super::values::Values;

/// The longest pause that counts as thinking; in a longer one the person was away.
const LONGEST_THOUGHT: f64 = 300.0;
/// A header that a script set is kept if it has one of these names, or begins with `x-`.
const HEADERS: [&str; 2] = ["authorization", "accept"];
/// Headers that begin with `x-` and come from no script.
const NOT_HEADERS: [&str; 3] = ["x-client-data", "x-forwarded-for", "x-request-id"];

/// A recording.
#[derive(Debug, PartialEq)]
pub struct Recording {
    /// The steps. A log-in is the only row.
    pub journey: Journey,
    /// The host of the shop, with its port: `shop.test:8080`.
    pub host: String,
    /// Other hosts that are a part of it.
    pub beside: BTreeSet<String>,
    /// Requests to other hosts that were left out.
    pub left_out: BTreeMap<String, usize>,
}

/// The steps of what a browser did.
pub(super) fn of(entries: &[Entry], also: &[String]) -> Result<Recording, BadHar> {
    let (chains, through) = chains(entries);
    let host = chains.first().map(|chain| authority(&chain.url)).ok_or(BadHar::Empty)?;
    let mut beside: BTreeSet<String> = also.iter().cloned().chain(through).filter(|other| *other != host).collect();
    let mut left_out = BTreeMap::new();
    let mut kept = Vec::new();
    for chain in chains {
        let authority = authority(&chain.url);
        if authority == host || beside.contains(&authority) {
            kept.push(chain);
        } else {
            *left_out.entry(authority).or_insert(0) += 1;
        }
    }
    beside.retain(|other| {
        kept.iter().any(|chain| [&chain.url, &chain.end].into_iter().any(|url| authority(url) == *other))
            || also.contains(other)
    });
    if kept.len() > MOST_STEPS {
        return Err(BadHar::TooMany(kept.len()));
    }
    Ok(Recording { journey: journey(&kept, &host), host, beside, left_out })
}

fn journey(chains: &[Chain<'_>], host: &str) -> Journey {
    let mut values = Values::new(chains);
    let mut steps: Vec<Step> = (0..chains.len()).map(|index| step(chains, index, host, &mut values)).collect();
    for (step, takes) in steps.iter_mut().zip(values.takes) {
        step.take = takes;
    }
    let last = steps.iter().rposition(|step| step.method() != Method::Get).unwrap_or(steps.len().saturating_sub(1));
    if let Some(step) = steps.get_mut(last) {
        step.order = true;
    }
    let rows = if values.user.is_empty() { Vec::new() } else { vec![values.user] };
    Journey { users: None, rows, share_users: false, steps }
}

fn step(chains: &[Chain<'_>], index: usize, host: &str, values: &mut Values<'_>) -> Step {
    let Some(chain) = chains.get(index) else { return Step::default() };
    let request = &chain.asked.request;
    let mut step = Step { url: url(chain, index, host, values), fetch: chain.asked.is_fetch(), ..Step::default() };
    let posted = request.post_data.as_ref().filter(|posted| !posted.text.is_empty());
    if let Some(posted) = posted {
        let kind = posted.mime_type.split(';').next().unwrap_or_default().trim();
        let fields: Vec<(String, String)> = url::form_urlencoded::parse(posted.text.as_bytes()).into_owned().collect();
        let names: BTreeSet<&String> = fields.iter().map(|(name, _)| name).collect();
        match kind {
            "application/x-www-form-urlencoded" if names.len() == fields.len() => {
                step.form = values.form(index, &fields);
            }
            _ if kind.ends_with("json") => match serde_json::from_str(&posted.text) {
                Ok(json) => step.json = Some(values.json(index, json)),
                Err(_) => step.body = Some(template::plain(&posted.text)),
            },
            _ => step.body = Some(template::plain(&posted.text)),
        }
        if step.body.is_some() {
            step.headers.insert("content-type".into(), template::plain(&posted.mime_type));
        }
    }
    let written = match request.method.as_str() {
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => Method::Get,
    };
    step.method = (step.method() != written).then_some(written);
    if step.fetch {
        for pair in &request.headers {
            let name = pair.name.to_ascii_lowercase();
            let is_scripts =
                name.starts_with("x-") && !NOT_HEADERS.contains(&name.as_str()) || HEADERS.contains(&name.as_str());
            if is_scripts && !(name == "accept" && pair.value.contains("*/*")) {
                step.headers.insert(name, values.header(index, &pair.value, &request.headers));
            }
        }
    }
    if chain.end != chain.url || written != Method::Get && !step.fetch {
        step.expect = Expect { path: Some(general(chain.end.path())), ..Expect::default() };
    }
    let status = chain.answer.response.status;
    if !(200..300).contains(&status) && status != 304 {
        step.expect.status = Some(status);
    }
    step.think = index.checked_sub(1).and_then(|before| think(chains.get(before)?, chain));
    step
}

/// A path of the shop, or an address of another host.
fn url(chain: &Chain<'_>, index: usize, host: &str, values: &mut Values<'_>) -> String {
    let url = &chain.url;
    let path: Vec<String> = url.path().split('/').map(|part| values.part(index, part)).collect();
    let query = url.query().map(|query| {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, value)) => format!("{name}={}", values.part(index, value)),
            None => template::plain(pair),
        });
        format!("?{}", pairs.collect::<Vec<_>>().join("&"))
    });
    let origin = if authority(url) == host { String::new() } else { url.origin().ascii_serialization() };
    format!("{origin}{}{}", path.join("/"), query.unwrap_or_default())
}

/// The path of another order is another number.
fn general(path: &str) -> String {
    let part = |part: &str| {
        let digits = part.chars().filter(char::is_ascii_digit).count();
        let is_random = digits == part.len() && digits > 0 || digits >= 3 && part.len() >= 16;
        if is_random { "*".to_owned() } else { part.to_owned() }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// From half to one and a half times what it was.
fn think(before: &Chain<'_>, chain: &Chain<'_>) -> Option<[Span; 2]> {
    let [_, came] = before.answer.times()?;
    let [asked, _] = chain.asked.times()?;
    let thought = (asked - came).clamp(0.0, LONGEST_THOUGHT);
    let span = |times: f64| Span(Duration::from_millis((thought * times * 10.0).round() as u64 * 100));
    Some([span(0.5), span(1.5)])
}
