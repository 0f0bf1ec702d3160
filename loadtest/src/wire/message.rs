//! A request as a browser writes it.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::request::Builder;
use http::{HeaderName, HeaderValue, Method, Request, Version, header};
use http_body_util::Full;
use launch_model::scenario::{self, Room};
use launch_model::visit::{Ask, Call, Manner};

use super::sites::Location;
use super::target::Target;

/// Where the pages of a launch are.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    item: Box<str>,
    /// Order, cart and payment lie here.
    folder: Box<str>,
    other: Box<str>,
}

impl Paths {
    /// Of this room.
    pub(crate) fn new(room: &Room) -> Self {
        let folder = room.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let other = room.other.as_deref().unwrap_or(&room.path);
        Self { item: room.path.as_str().into(), folder: folder.into(), other: other.into() }
    }

    /// Method, path and form of what is asked for.
    fn of(&self, ask: &Ask) -> (Method, String, Option<String>) {
        let get = |path: &str| (Method::GET, path.to_owned(), None);
        let post = |page: &str, form: String| (Method::POST, format!("{}/{page}", self.folder), Some(form));
        let key = |key: &Option<Box<str>>| key.as_ref().map(|key| format!("&key={key}")).unwrap_or_default();
        match ask {
            Ask::Item | Ask::Poll => get(&self.item),
            Ask::Other => get(&self.other),
            Ask::Asset(path) | Ask::Fetch(path) => get(path),
            Ask::Cart => post("cart", "item=weir-one&quantity=1".to_owned()),
            Ask::Order(form) => post("order", format!("item=weir-one&quantity=1{}", key(form))),
            Ask::Payment(order, form) => post("payment", format!("order={order}{}", key(form))),
            Ask::Call(call) => get(&call.url),
            Ask::Post(path) => (Method::POST, path.as_ref().to_owned(), Some("item=weir-one&quantity=1".to_owned())),
        }
    }
}

/// Everything of a request but its target.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// What is asked for.
    pub(crate) ask: Ask,
    /// The `Cookie` line.
    pub(crate) cookies: Option<String>,
    /// `X-Request-Id`.
    pub(crate) id: String,
    /// `X-Forwarded-For`.
    pub(crate) forwarded_for: Option<Ipv4Addr>,
    /// Where a request of a journey goes.
    pub(crate) at: Option<Location>,
}

impl Message {
    /// As it is written to this target; `None` if it cannot be.
    pub(super) fn write(&self, paths: &Paths, target: &Target, version: Version) -> Option<Request<Full<Bytes>>> {
        if let (Ask::Call(call), Some(at)) = (&self.ask, &self.at) {
            return self.write_call(call, at, target, version);
        }
        let (method, path, form) = paths.of(&self.ask);
        let site = if matches!(self.ask, Ask::Item | Ask::Other) { "none" } else { "same-origin" };
        let mut builder = self.begin(method, &path, site, target, version);
        if form.is_some() {
            let origin = format!("{}://{}", target.scheme(), target.authority);
            builder = builder
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::ORIGIN, origin);
        }
        builder.body(Full::from(form.unwrap_or_default())).ok()
    }

    /// The headers of every request.
    fn begin(&self, method: Method, path: &str, site: &str, target: &Target, version: Version) -> Builder {
        let [accept, mode, dest] = self.manner();
        let mut builder = Request::builder().method(method).version(version);
        builder = if version == Version::HTTP_2 {
            builder.uri(format!("{}://{}{path}", target.scheme(), target.authority))
        } else {
            builder.uri(path).header(header::HOST, &target.authority)
        };
        builder = builder
            .header(header::ACCEPT, accept)
            .header(header::ACCEPT_LANGUAGE, "en")
            .header("sec-fetch-mode", mode)
            .header("sec-fetch-dest", dest)
            .header("sec-fetch-site", site)
            .header("x-request-id", &self.id);
        if let Some(cookies) = &self.cookies {
            builder = builder.header(header::COOKIE, cookies);
        }
        if let Some(address) = self.forwarded_for {
            builder = builder.header("x-forwarded-for", address.to_string());
        }
        builder
    }

    fn write_call(
        &self,
        call: &Call,
        at: &Location,
        target: &Target,
        version: Version,
    ) -> Option<Request<Full<Bytes>>> {
        let method = match call.method {
            scenario::Method::Get => Method::GET,
            scenario::Method::Post => Method::POST,
            scenario::Method::Put => Method::PUT,
            scenario::Method::Patch => Method::PATCH,
            scenario::Method::Delete => Method::DELETE,
        };
        let sends = method != Method::GET;
        let mut builder = self.begin(method, &at.path, at.relation, target, version);
        if sends {
            let own = || format!("{}://{}", target.scheme(), target.authority).into();
            builder = builder.header(header::ORIGIN, &*at.origin.clone().unwrap_or_else(own));
        }
        if let Some(page) = at.origin.as_deref() {
            // A browser tells the page to its own site, and to others the site alone.
            let page = if at.relation == "same-origin" {
                call.from.as_deref().filter(|from| from.starts_with('/'))
            } else {
                None
            }
            .map_or_else(|| format!("{page}/"), |path| format!("{page}{path}"));
            builder = builder.header(header::REFERER, page);
        }
        for (name, value) in &call.headers {
            builder = match builder.headers_mut() {
                Some(headers) => {
                    headers.insert(HeaderName::try_from(&**name).ok()?, HeaderValue::try_from(&**value).ok()?);
                    builder
                }
                None => return None,
            };
        }
        let body = call.body.as_deref().unwrap_or_default();
        builder.body(Full::from(Bytes::copy_from_slice(body.as_bytes()))).ok()
    }

    /// `Accept`, and how a browser says that it fetches this.
    fn manner(&self) -> [&'static str; 3] {
        match &self.ask {
            Ask::Call(call) if call.manner == Manner::Poll => {
                ["application/json, text/html;q=0.9, */*;q=0.8", "cors", "empty"]
            }
            Ask::Call(call) if call.manner == Manner::Fetch => ["application/json, */*;q=0.8", "cors", "empty"],
            Ask::Poll => ["application/json", "cors", "empty"],
            Ask::Fetch(_) => ["*/*", "cors", "empty"],
            Ask::Asset(_) => ["*/*", "no-cors", "script"],
            _ => ["text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "navigate", "document"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(more: &str) -> Room {
        toml::from_str(&format!("new_users_per_minute = 1\npath = '/a/b/item'\n{more}")).unwrap()
    }

    fn written(ask: Ask, version: Version) -> Request<Full<Bytes>> {
        let message = Message {
            ask,
            cookies: Some("a=b".into()),
            id: "7-1".into(),
            forwarded_for: Some(Ipv4Addr::new(198, 18, 0, 1)),
            at: None,
        };
        let target = Target::plain(([127, 0, 0, 1], 1).into(), "shop.test");
        message.write(&Paths::new(&room("other = '/c/item'")), &target, version).expect("a request")
    }

    #[test]
    fn a_visit_is_a_navigation_and_a_poll_is_not() {
        let page = written(Ask::Item, Version::HTTP_11);
        assert_eq!(
            (page.method(), page.uri().path(), &page.headers()["sec-fetch-mode"]),
            (&Method::GET, "/a/b/item", &"navigate".parse().unwrap())
        );
        for (name, value) in
            [("host", "shop.test"), ("cookie", "a=b"), ("x-request-id", "7-1"), ("x-forwarded-for", "198.18.0.1")]
        {
            assert_eq!(page.headers()[name], value);
        }
        let poll = written(Ask::Poll, Version::HTTP_11);
        assert_eq!((poll.uri().path(), &poll.headers()["accept"]), ("/a/b/item", &"application/json".parse().unwrap()));
        assert_eq!(poll.headers()["sec-fetch-mode"], "cors");
    }

    #[test]
    fn pages_are_neighbours_and_forms_bring_their_key() {
        let paths = Paths::new(&room("other = '/c/item'"));
        let of = |ask| paths.of(&ask);
        let key = Some("k1".into());
        assert_eq!(
            of(Ask::Order(key.clone())),
            (Method::POST, "/a/b/order".into(), Some("item=weir-one&quantity=1&key=k1".into()))
        );
        assert_eq!(of(Ask::Payment(7, None)), (Method::POST, "/a/b/payment".into(), Some("order=7".into())));
        assert_eq!(of(Ask::Cart).1, "/a/b/cart");
        assert_eq!(of(Ask::Other).1, "/c/item");
        assert_eq!(of(Ask::Post("/a/%2e/order".into())).1, "/a/%2e/order");
    }

    #[test]
    fn in_http2_the_host_stands_in_the_address() {
        let page = written(Ask::Item, Version::HTTP_2);
        assert_eq!(page.uri(), "http://shop.test/a/b/item");
        assert!(!page.headers().contains_key("host"));
    }

    #[test]
    fn every_spelling_of_a_path_is_sent_as_it_is() {
        for path in ["/launch//order", "/launch/./order", "/x/../launch/order", "/launch/%6frder", "/launch/order;a=b"]
        {
            assert_eq!(written(Ask::Post(path.into()), Version::HTTP_11).uri(), path);
        }
    }

    #[test]
    fn a_step_of_a_journey_is_written_as_a_browser_writes_it() {
        let written = |call: Call, relation, origin: Option<&str>| {
            let at = Location {
                beside: None,
                host: "".into(),
                path: "/b?c".into(),
                relation,
                origin: origin.map(Box::from),
            };
            let message = Message {
                ask: Ask::Call(Box::new(call)),
                cookies: None,
                id: "7-1".into(),
                forwarded_for: None,
                at: Some(at),
            };
            let target = Target::plain(([127, 0, 0, 1], 1).into(), "shop.test");
            message.write(&Paths::new(&room("")), &target, Version::HTTP_11).unwrap()
        };
        let form = Call {
            step: 1,
            method: scenario::Method::Post,
            url: "/b?c".into(),
            from: Some("/a".into()),
            body: Some("x=1".into()),
            headers: vec![("content-type".into(), "text/x".into())],
            manner: Manner::Page,
        };
        let request = written(form.clone(), "same-origin", Some("http://shop.test"));
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::POST, "/b?c"));
        assert_eq!((header("origin"), header("referer")), (Some("http://shop.test"), Some("http://shop.test/a")));
        assert_eq!((header("content-type"), header("sec-fetch-mode")), (Some("text/x"), Some("navigate")));
        let pay = Call { from: Some("http://pay.test/x".into()), ..form.clone() };
        let request = written(pay, "cross-site", Some("http://pay.test"));
        assert_eq!(request.headers()["referer"], "http://pay.test/", "a page tells other sites its own site alone");
        assert_eq!(request.headers()["origin"], "http://pay.test");
        let poll = Call { method: scenario::Method::Get, body: None, headers: vec![], manner: Manner::Poll, ..form };
        let request = written(poll, "same-origin", Some("http://shop.test"));
        assert!(request.headers()["accept"].to_str().unwrap().starts_with("application/json"));
        assert!(!request.headers().contains_key("origin"));
    }
}
