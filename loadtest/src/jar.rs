//! A browser's cookies, as small as they can be: a hundred thousand people hold some.
//!
//! What is absent: paths and domains. A crowd visits one site.

use crate::token::Token;
use crate::visitor::Cookies;

/// The cookies of one browser, in the order in which they were last set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jar(Vec<(Box<str>, Box<str>)>);

impl Jar {
    /// Keeps a cookie as a `Set-Cookie` line tells. A lifetime of 0 ends it, any other outlives the crowd.
    pub fn keep(&mut self, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        self.0.retain(|(kept, _)| **kept != *name);
        if !parts.any(|attribute| attribute.eq_ignore_ascii_case("max-age=0")) {
            self.0.push((name.into(), value.into()));
        }
        self.0.shrink_to_fit();
    }

    /// Loses all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The token that was set last.
    pub fn token(&self) -> Option<&str> {
        self.token_place().map(|place| &*self.0[place].1)
    }

    /// The `Cookie` line of a request that shows these; `None` if it shows none. A token that is shown instead of
    /// the own one has its name, or `name` if there is none.
    pub fn line(&self, cookies: &Cookies, name: &str) -> Option<String> {
        let shown = match cookies {
            Cookies::Own => self.0.iter().map(pair).collect(),
            Cookies::Lost | Cookies::Hidden => Vec::new(),
            Cookies::Token(token) => self.with(token, name),
        };
        let pairs: Vec<_> = shown.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn with<'a>(&'a self, token: &'a str, name: &'a str) -> Vec<(&'a str, &'a str)> {
        let mut shown: Vec<_> = self.0.iter().map(pair).collect();
        match self.token_place() {
            Some(place) => shown[place].1 = token,
            None => shown.push((name, token)),
        }
        shown
    }

    fn token_place(&self) -> Option<usize> {
        self.0.iter().rposition(|(_, value)| Token::read(value).is_some())
    }
}

fn pair((name, value): &(Box<str>, Box<str>)) -> (&str, &str) {
    (name, value)
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
}
