//! The pages of the demo shop: small, pleasant, and readable by a state machine.

/// The name of the form field that carries an order to its payment.
pub const ORDER_FIELD: &str = "order";

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

/// The product, with the form that orders it.
pub fn item() -> String {
    page(&format!(
        "{SHOE}<h1>The Weir One</h1><p>Light, quiet, and in stock for those who are let in.</p>\
         <form method=\"post\" action=\"/launch/order\"><input type=\"hidden\" name=\"item\" value=\"weir-one\">\
         <button>Order a pair, 129.00</button></form>"
    ))
}

/// An order that waits for its payment.
pub fn order(id: u64) -> String {
    page(&format!(
        "<h1>Your order is set aside</h1><p class=\"dim\">Order A-{id:06}</p>\
         <form method=\"post\" action=\"/launch/payment\">\
         <input type=\"hidden\" name=\"{ORDER_FIELD}\" value=\"{id}\"><button>Pay 129.00</button></form>"
    ))
}

/// An order that is paid.
pub fn receipt(id: u64) -> String {
    page(&format!(
        "{SHOE}<h1>Thank you!</h1><p>Order A-{id:06} is paid and on its way.</p>\
         <p class=\"dim\">Your place in the shop is free for the next person.</p>"
    ))
}

/// A page that could not be made.
pub fn sorry(reason: &str) -> String {
    page(&format!(
        "<h1>Something went wrong</h1><p>The shop is overloaded. Please try again.</p><p class=\"dim\">{reason}</p>"
    ))
}

/// The order that a page asks to be paid.
pub fn order_in(page: &[u8]) -> Option<u64> {
    let page = std::str::from_utf8(page).ok()?;
    let (_, after) = page.split_once(&format!("name=\"{ORDER_FIELD}\" value=\""))?;
    after.split_once('"')?.0.parse().ok()
}

/// The order that a form sent to be paid.
pub fn order_of(form: &[u8]) -> Option<u64> {
    let form = std::str::from_utf8(form).ok()?;
    form.split('&').filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == ORDER_FIELD)?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_finds_its_way_from_the_page_to_the_payment() {
        assert_eq!(order_in(order(41).as_bytes()), Some(41));
        assert_eq!(order_in(item().as_bytes()), None);
        assert_eq!(order_of(b"x=1&order=41"), Some(41));
        assert_eq!(order_of(b"order=many"), None);
        assert_eq!(order_of(&[0xff]), None);
    }
}
