//! The pages of the demo shop: small, pleasant, and readable by a state machine.
//!
//! A form carries a key that the page made for it. Sent again, by a double click or a client that got no
//! answer, it asks for the same order or payment, not for a second one.

use std::fmt::Write;

/// The name of the form field that carries an order to its payment.
pub const ORDER_FIELD: &str = "order";
/// The name of the form field that says which order or payment this is, however often it is sent.
pub const KEY_FIELD: &str = "key";
/// Marks the sold-out page for a state machine.
const SOLD_OUT: &str = "<h1 id=\"sold-out\">";
/// The longest key that is taken, in bytes.
const LONGEST_KEY: usize = 64;

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Millrace Shoes</title><link rel="icon" href="data:,">
<style>
:root{color-scheme:light dark;--ink:#1c2430;--dim:#5b6675;--paper:#f6f4ef;--card:#fff;--accent:#0b6e69}
@media(prefers-color-scheme:dark){:root{--ink:#e9ecf0;--dim:#9aa5b4;--paper:#14181e;--card:#1d232b;--accent:#4cc2b8}}
body{margin:0;background:var(--paper);color:var(--ink);font:17px/1.55 system-ui,sans-serif}
main{max-width:30rem;margin:8vh auto;padding:2rem;background:var(--card);border-radius:1rem;box-shadow:0 1px 12px #0001}
h1{font-size:1.6rem;margin:.2em 0}p{margin:.6em 0}.dim{color:var(--dim);font-size:.9rem}a{color:var(--accent)}
button{font:inherit;font-weight:600;padding:.7em 1.4em;border:0;border-radius:.6em;background:var(--accent);color:var(--card);cursor:pointer}
button.plain{background:none;color:var(--accent)}
svg{width:100%;height:auto;color:var(--accent)}
</style></head><body><main>
"#;
const FOOT: &str = "</main></body></html>\n";

const SHOE: &str = r#"<svg viewBox="0 0 240 110" role="img" aria-label="A running shoe" fill="currentColor">
<path d="M22 34c6 12 22 14 34 4l12-10c16 24 44 36 84 40 40 4 66 6 66 22H20c-8-22-6-42 2-56z" opacity=".85"/>
<path d="M16 92h206c2 8-6 12-14 12H28c-8 0-12-4-12-12z" opacity=".5"/></svg>
"#;

fn page(body: &str) -> String {
    [HEAD, body, FOOT].concat()
}

/// `/`: what there is to buy.
pub fn catalogue() -> String {
    page(
        "<h1>Millrace Shoes</h1><p>One shoe, made slowly.</p>\
         <p><a href=\"/launch/item\">The Weir One: on sale now</a></p>",
    )
}

/// The product, with the form that orders it or puts it into the cart.
pub fn item() -> String {
    page(&format!(
        "{SHOE}<h1>The Weir One</h1><p>Light, quiet, and in stock for those who are let in.</p>\
         <form method=\"post\" action=\"/launch/order\"><input type=\"hidden\" name=\"item\" value=\"weir-one\">\
         {}<button>Order a pair, 129.00</button> \
         <button class=\"plain\" formaction=\"/launch/cart\">Put it in the cart</button></form>",
        hidden(KEY_FIELD, &fresh_key())
    ))
}

/// The cart, with the form that orders what is in it.
pub fn cart() -> String {
    page(&format!(
        "<h1>Your cart</h1><p>The Weir One, a pair: 129.00</p><p class=\"dim\">A cart sets nothing aside.</p>\
         <form method=\"post\" action=\"/launch/order\"><input type=\"hidden\" name=\"item\" value=\"weir-one\">\
         {}<button>Order a pair, 129.00</button></form>",
        hidden(KEY_FIELD, &fresh_key())
    ))
}

/// An order that waits for its payment.
pub fn order(id: u64) -> String {
    page(&format!(
        "<h1>Your order is set aside</h1><p class=\"dim\">Order A-{id:06}</p>\
         <form method=\"post\" action=\"/launch/payment\">{}{}<button>Pay 129.00</button></form>",
        hidden(ORDER_FIELD, &id.to_string()),
        hidden(KEY_FIELD, &fresh_key())
    ))
}

/// An order that was not paid in its time.
pub fn ended(id: u64) -> String {
    page(&format!(
        "<h1>Your order has ended</h1><p>Order A-{id:06} was not paid in time, and the pair went back on the shelf.</p>\
         <p class=\"dim\">You pay nothing.</p>"
    ))
}

/// An order that is paid.
pub fn receipt(id: u64) -> String {
    page(&format!(
        "{SHOE}<h1>Thank you!</h1><p>Order A-{id:06} is paid and on its way.</p>\
         <p class=\"dim\">Your place in the shop is free for the next person.</p>"
    ))
}

/// The answer to a newsletter form.
pub fn thanks() -> String {
    page("<h1>Thank you!</h1><p>You will hear from us before the next shoe.</p>")
}

/// The path of a request, read as `new URL(target, base)` of JavaScript reads it: after two slashes, or
/// backslashes, an authority comes first.
pub fn read_as_url(path: &str) -> &str {
    let is_slash = |c: char| matches!(c, '/' | '\\');
    let authority = path.trim_start_matches(is_slash);
    if path.len() - authority.len() < 2 {
        return path;
    }
    authority.find(is_slash).map_or("/", |start| &authority[start..])
}

/// Nothing is left. It is an answer, not a failure, so it goes out with status 200: what counts statuses on the
/// way must not take a shop that sold everything for one that is broken.
pub fn sold_out() -> String {
    page(&format!(
        "{SHOE}{SOLD_OUT}Sold out</h1><p>All pairs of the Weir One have found their feet.</p>\
         <p class=\"dim\">Nothing was ordered, and you pay nothing.</p>"
    ))
}

/// A page that could not be made.
pub fn sorry(reason: &str) -> String {
    page(&format!(
        "<h1>Something went wrong</h1><p>The shop is overloaded. Please try again.</p><p class=\"dim\">{reason}</p>"
    ))
}

/// A form that makes no sense, or an address without a page.
pub fn wrong(reason: &str) -> String {
    page(&format!("<h1>That did not work</h1><p>{reason}</p>"))
}

fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")
}

/// A fresh key: 128 random bits as text.
pub fn fresh_key() -> String {
    let mut key = String::with_capacity(32);
    let _ = write!(key, "{:032x}", rand::random::<u128>());
    key
}

/// Whether a key, or the value of the shop's cookie, can be one of the shop's.
pub fn is_key(text: &str) -> bool {
    (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The order that a page asks to be paid.
pub fn order_in(page: &[u8]) -> Option<u64> {
    value_in(page, ORDER_FIELD)?.parse().ok()
}

/// The key that the form of a page sends along.
pub fn key_in(page: &[u8]) -> Option<&str> {
    value_in(page, KEY_FIELD)
}

/// Whether a page, served with status 200, says that nothing is left.
pub fn is_sold_out(page: &[u8]) -> bool {
    std::str::from_utf8(page).is_ok_and(|page| page.contains(SOLD_OUT))
}

fn value_in<'a>(page: &'a [u8], name: &str) -> Option<&'a str> {
    let page = std::str::from_utf8(page).ok()?;
    let (_, after) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    Some(after.split_once('"')?.0)
}

/// The fields of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// The order to be paid.
    pub order: Option<u64>,
    /// The key; a form without one is a request of its own.
    pub key: Option<String>,
}

/// Reads a form; `None` if a field has a value that no page of the shop can have given it.
pub fn form(sent: &[u8]) -> Option<Form> {
    let sent = std::str::from_utf8(sent).ok()?;
    let mut form = Form::default();
    for (name, value) in sent.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            ORDER_FIELD => form.order = Some(value.parse().ok()?),
            KEY_FIELD if is_key(value) => form.key = Some(value.to_owned()),
            KEY_FIELD => return None,
            _ => {}
        }
    }
    Some(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_and_a_key_find_their_way_from_the_page_to_the_next_step() {
        let page = order(41);
        let key = key_in(page.as_bytes()).expect("a key");
        assert_eq!((order_in(page.as_bytes()), key.len()), (Some(41), 32));
        let sent = form(format!("x=1&order=41&key={key}").as_bytes());
        assert_eq!(sent, Some(Form { order: Some(41), key: Some(key.to_owned()) }));
        assert_eq!(order_in(item().as_bytes()), None);
        assert_ne!(key_in(item().as_bytes()), key_in(item().as_bytes()), "each page has a key of its own");
        assert!(key_in(cart().as_bytes()).is_some() && key_in(receipt(1).as_bytes()).is_none());
    }

    #[test]
    fn two_slashes_begin_an_authority() {
        for path in ["/launch/item", "//x/launch/item", "///x/launch/item", "/\\x/launch/item", "//x@y/launch/item"] {
            assert_eq!(read_as_url(path), "/launch/item", "{path}");
        }
        assert_eq!([read_as_url("//x"), read_as_url("/launch//item"), read_as_url("")], ["/", "/launch//item", ""]);
    }

    #[test]
    fn a_form_that_no_page_can_have_sent_is_refused() {
        assert_eq!(form(b""), Some(Form::default()));
        for wrong in [&b"order=many"[..], b"order=-1", b"key=", b"key=a%20b", b"key=<b>", &[0xff]] {
            assert_eq!(form(wrong), None, "{wrong:?}");
        }
        assert_eq!(form(format!("key={}", "x".repeat(65)).as_bytes()), None);
    }

    #[test]
    fn sold_out_is_told_from_every_other_page() {
        assert!(is_sold_out(sold_out().as_bytes()));
        for other in [catalogue(), item(), cart(), order(1), receipt(1), sorry("busy"), wrong("no"), String::new()] {
            assert!(!is_sold_out(other.as_bytes()), "{other}");
        }
    }
}
