//! Requests with the redirects that followed them.

use std::collections::BTreeSet;

use url::Url;

use super::har::{Entry, header};

/// A request, and the answer at the end of the redirects that it led to.
pub(super) struct Chain<'h> {
    pub(super) url: Url,
    pub(super) asked: &'h Entry,
    pub(super) answer: &'h Entry,
    /// Where they ended.
    pub(super) end: Url,
}

/// Host and port.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Each request with where its redirects led; and all hosts through which they led.
pub(super) fn chains(entries: &[Entry]) -> (Vec<Chain<'_>>, BTreeSet<String>) {
    let mut followed = vec![false; entries.len()];
    let (mut chains, mut through) = (Vec::new(), BTreeSet::new());
    for (begin, asked) in entries.iter().enumerate() {
        let Ok(url) = Url::parse(&asked.request.url) else { continue };
        if followed.get(begin).copied().unwrap_or(true) {
            continue;
        }
        let (mut answer, mut end, mut at) = (asked, url.clone(), begin);
        while let Some(to) = redirect(answer, &end) {
            let is_next = |(_, entry): &(usize, &Entry)| Url::parse(&entry.request.url).is_ok_and(|url| url == to);
            let Some((next, entry)) = entries.iter().enumerate().skip(at + 1).find(is_next) else { break };
            if let Some(flag) = followed.get_mut(next) {
                *flag = true;
            }
            through.insert(authority(&to));
            (answer, end, at) = (entry, to, next);
        }
        chains.push(Chain { url, asked, answer, end });
    }
    (chains, through)
}

fn redirect(answer: &Entry, at: &Url) -> Option<Url> {
    let response = &answer.response;
    let to =
        Some(response.redirect_url.as_str()).filter(|to| !to.is_empty()).or(header(&response.headers, "location"))?;
    let mut to = (300..400).contains(&response.status).then(|| at.join(to).ok()).flatten()?;
    to.set_fragment(None);
    Some(to)
}
