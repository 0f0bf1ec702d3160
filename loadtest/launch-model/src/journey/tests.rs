use bytes::Bytes;
use http::HeaderMap;

use super::*;
use crate::jar::Jar;

const JOURNEY: &str = r##"
rows = [{ email = "a&b@x", password = "p \"1\"" }]
[[step]]
url = "/item"
take.csrf = { css = "[name=csrf]" }
[[step]]
url = "/login?next=/cart"
form = { csrf = "${csrf}", email = "${user.email}" }
expect.path = "/cart"
take = { order = { json = "/order/id" }, next = { header = "x-next" }, seen = { cookie = "seen" } }
[[step]]
url = "/pay/${order}?by=${user.email}"
fetch = true
json = '{"password":"${user.password}","order":${order}}'
headers = { x-seen = "${seen}" }
[[step]]
url = "${next}"
expect = { css = "#thanks", text = "thank you" }
sold_out = ".sold-out"
order = true
"##;

fn journey() -> Journey {
    toml::from_str(JOURNEY).unwrap()
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut jar = Jar::default();
    jar.keep("seen=s1");
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
        .collect();
    let seen = RawAnswer { headers, body: Bytes::copy_from_slice(body.as_bytes()), jar, lost: None };
    Answer { status, seen: Some(Box::new(seen)), ..Answer::default() }
}

fn page(body: &str) -> Answer {
    answer(200, &[], body)
}

/// A visitor on their way, and the journey.
struct Course(Walk, Journey);

impl Course {
    fn new() -> Self {
        let journey = journey();
        Self(Walk::new(&journey, 5), journey)
    }

    fn call(&mut self) -> Call {
        self.0.call(&self.1).unwrap()
    }

    fn hears(&mut self, answer: &Answer) -> StepOutcome {
        self.call();
        self.0.hear(Some(answer), &self.1)
    }

    fn logged_in() -> Self {
        let mut way = Self::new();
        assert_eq!(way.hears(&page("<input name=csrf value='t &amp; \"1\"'>")), StepOutcome::Done);
        assert_eq!(way.hears(&answer(302, &[("location", "/cart#x")], "")), StepOutcome::Follow);
        way
    }

    /// Why the last request was a failure, and whether it is tried again.
    fn fails(&mut self, answer: &Answer) -> (Why, bool) {
        let StepOutcome::Stumbled { again, .. } = self.hears(answer) else { panic!("no failure") };
        (self.0.take_stumble().unwrap().why, again)
    }
}

#[test]
fn values_of_answers_and_of_the_row_stand_in_later_steps() {
    let mut way = Course::new();
    assert_eq!((way.call().method, &*way.call().url, way.call().from), (Method::Get, "/item", None));
    way.hears(&page("<form><input type=hidden name=csrf value='t &amp; \"1\"'></form>"));
    let call = way.call();
    assert_eq!(call.body.as_deref(), Some("csrf=t+%26+%221%22&email=a%26b%40x"));
    assert_eq!((call.method, call.from.as_deref()), (Method::Post, Some("/item")));
    way.hears(&answer(303, &[("location", "/cart")], ""));
    let call = way.call();
    assert_eq!((call.method, &*call.url, call.body, call.headers), (Method::Get, "/cart", None, vec![]));
    let cart = answer(200, &[("x-next", "../thanks")], r#"{"order":{"id":17}}"#);
    assert_eq!(way.hears(&cart), StepOutcome::Done);
    let call = way.call();
    assert_eq!((&*call.url, call.manner), ("/pay/17?by=a%26b%40x", Manner::Fetch));
    assert_eq!(call.body.as_deref(), Some(r#"{"password":"p \"1\"","order":17}"#));
    assert!(call.headers.contains(&("x-seen".into(), "s1".into())), "{:?}", call.headers);
    way.hears(&page("{}"));
    assert_eq!(
        (&*way.call().url, way.call().from.as_deref()),
        ("/thanks", Some("/cart")),
        "beside the page that it was on"
    );
    assert_eq!(way.hears(&page("<p id=thanks>thank you")), StepOutcome::End { ordered: true });
    assert_eq!(way.0.done(), 4);
}

#[test]
fn a_redirect_may_lead_to_another_host_and_back_and_not_in_a_circle() {
    let mut way = Course::logged_in();
    assert_eq!(way.hears(&answer(307, &[("location", "https://pay.test/x?y")], "")), StepOutcome::Follow);
    assert_eq!(&*way.call().url, "https://pay.test/x?y");
    assert_eq!(way.hears(&answer(302, &[("location", "z")], "")), StepOutcome::Follow);
    assert_eq!(&*way.call().url, "https://pay.test/z");
    let told =
        (0..30).map(|_| way.hears(&answer(302, &[("location", "/z")], ""))).find(|heard| *heard != StepOutcome::Follow);
    assert_eq!(told, Some(StepOutcome::Stumbled { again: false, after: None }));
    assert_eq!(way.0.take_stumble().map(|stumble| stumble.why), Some(Why::Redirects));
    assert_eq!(&*way.call().url, "/login?next=/cart", "a step begins anew");
}

#[test]
fn what_is_not_as_expected_is_a_failure_with_its_reason() {
    assert_eq!(Course::new().fails(&page("<input name=other>")), (Why::Missing("csrf".into()), false));
    assert_eq!(Course::new().fails(&answer(404, &[], "")), (Why::Status(404), false));
    assert_eq!(Course::new().fails(&answer(302, &[], "")), (Why::Status(302), false), "without a location");
    assert_eq!(Course::new().fails(&answer(502, &[], "")), (Why::Status(502), true));
    let mut way = Course::new();
    let busy = StepOutcome::Stumbled { again: true, after: Some(Duration::from_secs(7)) };
    assert_eq!(way.hears(&answer(503, &[("retry-after", "7")], "")), busy);
    let mut refused = Course::new();
    refused.hears(&page("<input name=csrf value=1>"));
    assert_eq!(refused.fails(&page("wrong password")), (Why::Elsewhere("/login".into()), false));
    assert_eq!(Course::logged_in().fails(&page("{}")), (Why::Missing("next".into()), false));
    for (lost, why) in [(Lost::TooLong, Why::TooLong), (Lost::Stranger, Why::Stranger(OWN.into()))] {
        assert_eq!(Course::new().fails(&Answer::lost(lost)), (why, false));
    }
    let mut way = Course::new();
    way.call();
    assert_eq!(way.0.hear(None, &way.1), StepOutcome::Stumbled { again: true, after: None });
}

#[test]
fn nothing_left_to_buy_is_no_failure() {
    let mut way = Course::logged_in();
    way.hears(&answer(200, &[("x-next", "/thanks")], r#"{"order":{"id":17}}"#));
    way.hears(&page("{}"));
    assert_eq!(way.fails(&page("<p id=thanks>")), (Why::NotShown, false));
    assert_eq!(way.hears(&page("<p class='sold-out'>")), StepOutcome::SoldOut);
}

#[test]
fn a_star_in_a_path_stands_for_anything() {
    for (wanted, path, is) in [
        ("/a", "/a", true),
        ("/a", "/a/b", false),
        ("/a/*", "/a/7", true),
        ("/a/*/b", "/a/7/b", true),
        ("/a/*/b", "/a/b", false),
        ("*", "/x", true),
        ("/*/x/*", "/1/x/2", true),
        ("/a*", "/b", false),
    ] {
        assert_eq!(matches(wanted, path), is, "{wanted} {path}");
    }
}
