//! A request as a browser writes it.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{Method, Request, Version, header};
use http_body_util::Full;

use super::Target;
use crate::scenario::Room;
use crate::visitor::Ask;

/// Where the pages of a launch are.
#[derive(Debug, Clone)]
pub struct Paths {
    item: Box<str>,
    /// Order, cart and payment lie here.
    folder: Box<str>,
    other: Box<str>,
}

impl Paths {
    /// Of this room.
    pub fn new(room: &Room) -> Self {
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
            Ask::Post(path) => (Method::POST, path.as_ref().to_owned(), Some("item=weir-one&quantity=1".to_owned())),
        }
    }
}

/// Everything of a request but where it goes.
#[derive(Debug, Clone)]
pub struct Message {
    /// What is asked for.
    pub ask: Ask,
    /// The `Cookie` line.
    pub cookies: Option<String>,
    /// `X-Request-Id`.
    pub id: String,
    /// `X-Forwarded-For`.
    pub forwarded_for: Option<Ipv4Addr>,
}

impl Message {
    /// As it is written to this target; `None` if it cannot be.
    pub(super) fn write(&self, paths: &Paths, target: &Target, version: Version) -> Option<Request<Full<Bytes>>> {
        let (method, path, form) = paths.of(&self.ask);
        let [accept, mode, dest] = self.manner();
        let site = if matches!(self.ask, Ask::Item | Ask::Other) { "none" } else { "same-origin" };
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
        if form.is_some() {
            let origin = format!("{}://{}", target.scheme(), target.authority);
            builder = builder
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::ORIGIN, origin);
        }
        builder.body(Full::from(form.unwrap_or_default())).ok()
    }

    /// `Accept`, and how a browser says that it fetches this.
    fn manner(&self) -> [&'static str; 3] {
        match self.ask {
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
}
