//! A browser's cookie jar, as small as it can be: there may be a hundred thousand at once.
//!
//! Out of scope: the time. A cookie that does not end at once outlives the crowd.

use std::time::SystemTime;

use crate::token::Token;

/// The cookies that a request shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cookies {
    /// All that were set.
    #[default]
    Own,
    /// None; and those that were set are lost.
    Lost,
    /// None, this time.
    Hidden,
    /// This token instead of the one that was given.
    Token(Box<str>),
}

/// The cookies of one browser, in the order in which they were last set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jar(Vec<Cookie>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    name: Box<str>,
    value: Box<str>,
    /// Empty: of the run's own hosts. With a dot before it, of all hosts below it too.
    domain: Box<str>,
    /// Empty: all paths.
    path: Box<str>,
    same_site: SameSite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SameSite {
    /// `SameSite=None`: sent with every request.
    None,
    /// `SameSite=Lax`: not with forms from other sites.
    Lax,
    /// `SameSite=Strict`: not from other sites.
    Strict,
}

/// The site of a request, for cookies.
#[derive(Debug, Clone, Copy, Default)]
pub struct Toward<'a> {
    /// The host's name; empty for the run's own.
    pub host: &'a str,
    /// The path; empty: any.
    pub path: &'a str,
    /// Whether it comes from a page of another site.
    pub crosses: bool,
    /// Whether it sends a body.
    pub sends: bool,
}

impl Jar {
    /// Keeps a cookie of the run's own hosts as a `Set-Cookie` line tells.
    pub fn keep(&mut self, line: &str) {
        self.keep_of("", line);
    }

    /// Keeps a cookie of this host, which is empty for the run's own. One that ends at once, or has ended, is dropped.
    pub fn keep_of(&mut self, host: &str, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let mut cookie = Cookie {
            name: name.into(),
            value: value.into(),
            domain: host.into(),
            path: "".into(),
            same_site: SameSite::None,
        };
        let mut ends = [None, None];
        for attribute in parts {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "max-age" => ends[0] = value.trim().parse::<i64>().ok().map(|seconds| seconds <= 0),
                "expires" => ends[1] = has_passed(value.trim()),
                "path" if value.starts_with('/') && value != "/" => cookie.path = value.into(),
                // The run's own hosts may have an address for a name: there `Domain` says nothing.
                "domain" if !value.is_empty() && !host.is_empty() => {
                    cookie.domain = format!(".{}", value.trim_start_matches('.')).into();
                }
                "samesite" if value.eq_ignore_ascii_case("lax") => cookie.same_site = SameSite::Lax,
                "samesite" if value.eq_ignore_ascii_case("strict") => cookie.same_site = SameSite::Strict,
                _ => {}
            }
        }
        let is_same =
            |kept: &Cookie| (&kept.name, &kept.domain, &kept.path) == (&cookie.name, &cookie.domain, &cookie.path);
        self.0.retain(|kept| !is_same(kept));
        if ends[0].or(ends[1]) != Some(true) {
            self.0.push(cookie);
        }
        self.0.shrink_to_fit();
    }

    /// Loses all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The token that was set last.
    pub fn token(&self) -> Option<&str> {
        self.token_place().map(|place| &*self.0[place].value)
    }

    /// The value of the cookie of this name that was set last.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|cookie| *cookie.name == *name).map(|cookie| &*cookie.value)
    }

    /// The `Cookie` line of a request to the run's own hosts; see [`Jar::line_to`].
    pub fn line(&self, cookies: &Cookies, name: &str) -> Option<String> {
        self.line_to(Toward::default(), cookies, name)
    }

    /// The `Cookie` line of a request that shows these; `None` if it shows none. A token that is shown instead of
    /// the own one has its name, or `name` if there is none.
    pub fn line_to(&self, toward: Toward<'_>, cookies: &Cookies, name: &str) -> Option<String> {
        let own = || self.0.iter().enumerate().filter(|(_, cookie)| cookie.goes(toward));
        let shown: Vec<(&str, &str)> = match cookies {
            Cookies::Own => own().map(|(_, cookie)| cookie.pair()).collect(),
            Cookies::Lost | Cookies::Hidden => Vec::new(),
            Cookies::Token(token) => {
                let place = self.token_place();
                let mut shown: Vec<(&str, &str)> = own()
                    .map(|(at, cookie)| (&*cookie.name, if Some(at) == place { &**token } else { &*cookie.value }))
                    .collect();
                if place.is_none() {
                    shown.push((name, token));
                }
                shown
            }
        };
        let pairs: Vec<_> = shown.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn token_place(&self) -> Option<usize> {
        self.0.iter().rposition(|cookie| Token::read(&cookie.value).is_some())
    }
}

impl Cookie {
    fn pair(&self) -> (&str, &str) {
        (&self.name, &self.value)
    }

    /// Whether a browser sends it with such a request.
    fn goes(&self, toward: Toward<'_>) -> bool {
        let host = match self.domain.strip_prefix('.') {
            Some(domain) => {
                let below = toward.host.strip_suffix(domain);
                below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
            }
            None => *self.domain == *toward.host,
        };
        let below = toward.path.strip_prefix(&*self.path);
        let path = toward.path.is_empty()
            || below.is_some_and(|rest| {
                self.path.ends_with('/') || rest.is_empty() || rest.starts_with(['/', '?']) || self.path.is_empty()
            });
        let site = match self.same_site {
            SameSite::None => true,
            SameSite::Lax => !(toward.crosses && toward.sends),
            SameSite::Strict => !toward.crosses,
        };
        host && path && site
    }
}

/// Whether a date of HTTP has passed, in the spelling of today or that of old with hyphens; `None` if it is none.
fn has_passed(date: &str) -> Option<bool> {
    let date = httpdate::parse_http_date(date).or_else(|_| httpdate::parse_http_date(&date.replace('-', " "))).ok()?;
    Some(date <= SystemTime::now())
}

#[cfg(test)]
mod tests {
    use policy::seal::{RoomId, Sealer};
    use policy::ticket;

    use super::*;

    fn sealed(number: u64) -> String {
        Sealer::new(&[7; 32]).unwrap().seal(RoomId::of("launch"), &ticket::Token::ticket(number, 1))
    }

    #[test]
    fn a_jar_keeps_the_latest_value_and_drops_an_ended_cookie() {
        let mut jar = Jar::default();
        for line in ["weir_launch=one; Path=/; HttpOnly", "shop=5", "weir_launch=two; Path=/", "nonsense"] {
            jar.keep(line);
        }
        assert_eq!(jar.line(&Cookies::Own, "t").as_deref(), Some("shop=5; weir_launch=two"));
        assert_eq!(jar.line(&Cookies::Hidden, "t"), None);
        jar.keep("shop=; Max-Age=0");
        assert_eq!(jar.line(&Cookies::Own, "t").as_deref(), Some("weir_launch=two"));
        jar.clear();
        assert_eq!(jar.line(&Cookies::Own, "t"), None);
    }

    #[test]
    fn a_foreign_token_is_shown_in_the_place_of_the_own_one() {
        let mut jar = Jar::default();
        let foreign = Cookies::Token("bad".into());
        assert_eq!(jar.line(&foreign, "weir_launch").as_deref(), Some("weir_launch=bad"));
        jar.keep("shop=5");
        assert_eq!(jar.line(&foreign, "weir_launch").as_deref(), Some("shop=5; weir_launch=bad"));
        for (name, number) in [("weir_other", 1), ("__Host-weir_x", 2)] {
            jar.keep(&format!("{name}={}", sealed(number)));
        }
        assert_eq!(jar.token(), Some(&*sealed(2)), "the one that was set last");
        let shown = format!("shop=5; weir_other={}; __Host-weir_x=bad", sealed(1));
        assert_eq!(jar.line(&foreign, "weir_launch"), Some(shown));
        jar.keep("__Host-weir_x=; Max-Age=0");
        assert_eq!(jar.token(), Some(&*sealed(1)));
    }

    #[test]
    fn a_cookie_that_has_ended_is_dropped_however_that_is_said() {
        for end in [
            "Max-Age=0",
            "max-age=-1",
            "Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "expires=Thu, 01-Jan-1970 00:00:01 GMT",
        ] {
            let mut jar = Jar::default();
            jar.keep("shop=5; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60");
            assert_eq!(jar.value("shop"), Some("5"), "the age outweighs the date");
            jar.keep(&format!("shop=; {end}; Path=/"));
            assert_eq!(jar.value("shop"), None, "{end}");
        }
    }

    #[test]
    fn a_cookie_goes_to_its_host_and_path_and_from_other_sites_as_it_says() {
        let mut jar = Jar::default();
        jar.keep("own=1; SameSite=Lax");
        jar.keep("deep=2; Path=/a; SameSite=Strict");
        jar.keep_of("pay.test", "host=3");
        jar.keep_of("pay.test", "below=4; Domain=pay.test; SameSite=None");
        let shown = |toward| jar.line_to(toward, &Cookies::Own, "t").unwrap_or_default();
        let to = |host, path| Toward { host, path, crosses: false, sends: false };
        assert_eq!(shown(to("", "/a/b")), "own=1; deep=2");
        assert_eq!(shown(to("", "/ab")), "own=1");
        assert_eq!(shown(to("pay.test", "/a")), "host=3; below=4");
        assert_eq!(shown(to("www.pay.test", "/")), "below=4");
        assert_eq!(shown(to("notpay.test", "/")), "");
        assert_eq!(shown(Toward { crosses: true, ..to("", "/a") }), "own=1");
        assert_eq!(shown(Toward { crosses: true, sends: true, ..to("", "/a") }), "");
    }
}
