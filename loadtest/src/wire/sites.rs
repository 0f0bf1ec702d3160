//! The hosts of a run, and where an address of a journey leads.

use url::Url;

use super::target::Target;

/// The hosts of a run: of its gateways, and those beside.
#[derive(Debug, Clone, Default)]
pub(super) struct Sites {
    own: Vec<Host>,
    beside: Vec<Host>,
}

#[derive(Debug, Clone)]
struct Host {
    scheme: &'static str,
    authority: String,
    name: String,
}

impl Host {
    fn of(target: &Target) -> Self {
        Self { scheme: target.scheme(), authority: target.authority.clone(), name: target.host().to_owned() }
    }

    fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }
}

/// A request's destination, and its relation to the page that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    /// Of the hosts beside, which one; `None`: the run's own.
    pub(super) beside: Option<usize>,
    /// The host's name, without its port; empty for the run's own.
    pub(crate) host: Box<str>,
    /// Path and query.
    pub(crate) path: Box<str>,
    /// Its value of `Sec-Fetch-Site`: `none`, `same-origin`, `same-site` or `cross-site`.
    pub(crate) relation: &'static str,
    /// Where the page that it comes from is, and nothing where there is no page.
    pub(super) origin: Option<Box<str>>,
}

impl Sites {
    pub(super) fn of(targets: &[Target]) -> Self {
        let hosts = |beside| targets.iter().filter(move |target| target.beside == beside).map(Host::of).collect();
        Self { own: hosts(false), beside: hosts(true) }
    }

    /// Where an address leads from a page, for a visitor at this one of the run's own targets; `None` if to a host
    /// outside the run.
    pub(super) fn locate(&self, url: &str, from: Option<&str>, target: usize) -> Option<Location> {
        let (beside, path) = self.place(url)?;
        let page = from.and_then(|from| self.place(from)).map(|(beside, _)| beside);
        let host = |beside: Option<usize>| beside.map_or(self.own.get(target), |index| self.beside.get(index));
        let here = host(beside)?;
        let relation = match page.map(host) {
            None => "none",
            Some(Some(page)) if page.origin() == here.origin() => "same-origin",
            Some(Some(page)) if is_same_site(&page.name, &here.name) => "same-site",
            Some(_) => "cross-site",
        };
        Some(Location {
            beside,
            host: beside.map_or("", |_| &here.name).into(),
            path: path.into(),
            relation,
            origin: page.and_then(host).map(|page| page.origin().into()),
        })
    }

    fn place(&self, url: &str) -> Option<(Option<usize>, String)> {
        if url.starts_with('/') {
            return Some((None, url.to_owned()));
        }
        let url = Url::parse(url).ok()?;
        let name = url.host_str()?.trim_matches(['[', ']']);
        let authority = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let is = |host: &Host| host.authority == authority;
        if self.own.iter().any(is) {
            return Some((None, path));
        }
        if let Some(index) = self.beside.iter().position(is) {
            return Some((Some(index), path));
        }
        // A shop may think that it is at another port, or behind TLS.
        self.own.iter().any(|host| host.name == name).then_some((None, path))
    }
}

/// Whether two hosts belong to one site, near enough: browsers have a list of suffixes, here the last two labels decide.
fn is_same_site(one: &str, other: &str) -> bool {
    let is_name = |host: &str| host.parse::<std::net::IpAddr>().is_err();
    let site = |host: &str| host.rsplit('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    one == other || (is_name(one) && is_name(other) && site(one).len() == 2 && site(one) == site(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites() -> Sites {
        let target = |name: &str| Target::plain(([127, 0, 0, 1], 1).into(), name);
        Sites::of(&[target("www.shop.test:81"), target("pay.test").beside(), target("img.shop.test").beside()])
    }

    #[test]
    fn an_address_is_of_the_run_or_of_a_stranger() {
        let located = |url: &str| sites().locate(url, None, 0).map(|at| (at.beside, at.path.into_string()));
        assert_eq!(located("/a?b=c"), Some((None, "/a?b=c".into())));
        assert_eq!(located("http://www.shop.test:81/a"), Some((None, "/a".into())));
        assert_eq!(located("https://www.shop.test/a"), Some((None, "/a".into())));
        assert_eq!(located("http://pay.test/?x"), Some((Some(0), "/?x".into())));
        for stranger in ["http://pay.test:9/", "http://else.test/", "nonsense", "data:,x"] {
            assert_eq!(located(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn a_request_says_from_how_far_it_comes() {
        let relation = |url: &str, from| sites().locate(url, from, 0).unwrap().relation;
        assert_eq!(relation("/a", None), "none");
        assert_eq!(relation("/a", Some("/b")), "same-origin");
        assert_eq!(relation("/a", Some("http://img.shop.test/b")), "same-site");
        assert_eq!(relation("/a", Some("http://pay.test/b")), "cross-site");
        let at = sites().locate("/a", Some("http://pay.test/b"), 0).unwrap();
        assert_eq!((&*at.host, at.origin.as_deref()), ("", Some("http://pay.test")));
    }
}
