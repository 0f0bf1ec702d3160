//! The head of a request: who asks and what for, and what the shop is told of it.

mod onward;
mod written;

use gateway::client::visitor::{self, Head, Host, Peer};
use http::request::Parts;
use http::{HeaderMap, Method, Version};
use policy::admit::{Credential, Intent};
use policy::seal::Rejected;
use policy::ticket::Token;

/// The cookie that a room looks for, and the one text that opens.
const COOKIE: &str = "__Host-weir_launch";
const SEALED: &[u8] = b"sealed";
/// Cookies of one name that are tried.
const MOST_COOKIES: u32 = 4;

/// The bytes as a head: a request line, then `name: value` in each line. What hyper would refuse is left out.
pub fn head(bytes: &[u8]) {
    let Some(parts) = written::parse(bytes) else { return };
    let head = Head::of(&parts);
    the_kind_follows_the_method(&parts);
    no_upgrade_carries_requests(&parts);
    only_what_opens_is_shown(&head);
    strangers_are_not_believed(&parts.headers);
    onward::an_answer_keeps_its_commands_here(&parts.headers);
    // What the edge refuses goes no further.
    if let Some(host) = visitor::sent_host(&head).ok().and_then(|sent| Host::of(sent).ok())
        && head.is_framed()
    {
        visitor::is_same_origin(&parts.headers, true, &host.bare);
        onward::nothing_but_the_request_reaches_the_shop(&parts, &host);
    }
}

fn the_kind_follows_the_method(parts: &Parts) {
    let [with_json, without] = [true, false].map(|json| visitor::intent(parts, json));
    for intent in [with_json, without] {
        let fits = match intent {
            Intent::Page | Intent::Json | Intent::Program => parts.method == Method::GET,
            Intent::Form | Intent::Submit => {
                [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(&parts.method)
            }
            Intent::Read => [Method::GET, Method::HEAD].contains(&parts.method),
            Intent::Preflight => parts.method == Method::OPTIONS,
            Intent::Other => true,
            Intent::Return => false,
        };
        assert!(fits, "{} is {intent:?}", parts.method);
    }
    assert_ne!(without, Intent::Json, "of a room that does not answer in JSON");
}

fn no_upgrade_carries_requests(parts: &Parts) {
    let Some(protocol) = visitor::upgrade(parts) else { return };
    let protocol = protocol.as_bytes().to_ascii_lowercase();
    assert_eq!(parts.version, Version::HTTP_11);
    assert!(!protocol.contains(&b','), "several protocols");
    assert!(![&b"h2"[..], b"http", b"tls"].iter().any(|of_requests| protocol.starts_with(of_requests)), "{protocol:?}");
}

fn only_what_opens_is_shown(head: &Head<'_>) {
    let tries = std::cell::Cell::new(0);
    let token = Token::ticket(1, 0);
    let open = |text: &[u8]| {
        tries.set(tries.get() + 1);
        if text == SEALED { Ok(token) } else { Err(Rejected::Malformed) }
    };
    let credential = visitor::credential(head, COOKIE, open);
    assert!(tries.get() <= MOST_COOKIES, "{} tries", tries.get());
    match credential {
        Credential::None => assert_eq!(tries.get(), 0),
        Credential::Sealed(shown) => assert_eq!(shown, token),
        Credential::Bad(_) => assert!(tries.get() > 0),
    }
}

fn strangers_are_not_believed(headers: &HeaderMap) {
    let (stranger, proxy) = (stranger(), proxy());
    assert_eq!(visitor::client_address(&stranger, headers, &trusted()), stranger.address);
    assert!(!visitor::is_tls(false, &stranger, headers) && visitor::is_tls(true, &stranger, headers));
    let fresh = || http::HeaderValue::from_static("fresh");
    assert_eq!(visitor::request_id(&stranger, headers, fresh), "fresh");
    visitor::client_address(&proxy, headers, &trusted());
    let id = visitor::request_id(&proxy, headers, fresh);
    assert!(id.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte)), "{id:?}");
}

fn trusted() -> Vec<ipnet::IpNet> {
    vec![ipnet::IpNet::new([10, 0, 0, 0].into(), 8).expect("a net")]
}

fn proxy() -> Peer {
    Peer::new([10, 0, 0, 1].into(), &trusted())
}

fn stranger() -> Peer {
    Peer::new([192, 0, 2, 1].into(), &trusted())
}
