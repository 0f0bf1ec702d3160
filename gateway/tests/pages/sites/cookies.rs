//! Cookies over TLS and in clear, and who may use them from elsewhere.

use super::{CLOSED, entered, roomy};
use crate::common::{Answer, JSON, PAGE, Shop, Weir, config};

const TLS: (&str, &str) = ("X-Forwarded-Proto", "https");

fn behind_tls(shop: &Shop, room: &str) -> Weir {
    let text = config(shop.address, room);
    Weir::start(&text.replace("[quota]\n", "trusted_proxies = [\"127.0.0.0/8\"]\n[quota]\n"))
}

fn set(answer: &Answer) -> &str {
    answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {answer:?}"))
}

#[test]
fn under_tls_a_cookie_travels_with_the_post_of_another_site_and_in_clear_with_links_alone() {
    let shop = Shop::open();
    let weir = behind_tls(&shop, CLOSED);
    let [tls, clear] = [&[JSON, TLS][..], &[JSON]].map(|headers| weir.get("/launch/item", headers));
    assert!(set(&tls).starts_with("__Host-weir_launch=") && set(&tls).ends_with("SameSite=None; Secure"), "{tls:?}");
    assert!(set(&clear).starts_with("weir_launch=") && set(&clear).ends_with("SameSite=Lax"), "{clear:?}");
    for (written, over_tls, in_clear) in [
        ("samesite = \"lax\"", "SameSite=Lax; Secure", "SameSite=Lax"),
        ("samesite = \"strict\"", "SameSite=Strict; Secure", "SameSite=Strict"),
        ("secure = \"always\"", "SameSite=None; Secure", "SameSite=None; Secure"),
        ("secure = \"never\"", "SameSite=Lax", "SameSite=Lax"),
        (
            "domain = \"shop.example\"",
            "SameSite=None; Domain=shop.example; Secure",
            "SameSite=Lax; Domain=shop.example",
        ),
    ] {
        let room = CLOSED.replace("\"*\"", "\"shop.example\"");
        let weir = behind_tls(&shop, &format!("{room}cookie_attributes = {{ {written} }}\n"));
        let [tls, clear] = [&[JSON, TLS][..], &[JSON]].map(|headers| weir.get("/launch/item", headers));
        assert!(set(&tls).ends_with(&format!("; {over_tls}")), "{written}: {tls:?}");
        assert!(set(&clear).ends_with(&format!("; {in_clear}")), "{written}: {clear:?}");
    }
}

#[test]
fn a_ticket_that_came_in_clear_counts_over_tls_and_a_pass_does_not() {
    let shop = Shop::open();
    let weir = behind_tls(&shop, CLOSED);
    let ticket = weir.get("/launch/item", &[JSON]);
    let shown = ("Cookie", &*ticket.cookie().unwrap());
    assert_eq!(weir.get("/launch/item", &[JSON, TLS, shown]).ticket(), ticket.ticket());
    let secure = weir.get("/launch/item", &[JSON, TLS]);
    let both = format!("{}; {}", ticket.cookie().unwrap(), secure.cookie().unwrap());
    assert_eq!(
        weir.get("/launch/item", &[JSON, TLS, ("Cookie", &both)]).ticket(),
        secure.ticket(),
        "its own goes first"
    );
    assert_ne!(weir.get("/launch/item", &[JSON, ("Cookie", &secure.cookie().unwrap())]).ticket(), secure.ticket());

    let weir = behind_tls(&shop, &roomy());
    let pass = entered(&weir, &[]).cookie().unwrap();
    let asset = |headers: &[(&str, &str)]| weir.get("/launch/a.css", headers).status;
    assert_eq!(asset(&[("Cookie", &pass)]), 200);
    assert_eq!(asset(&[TLS, ("Cookie", &pass)]), 429, "anybody on the way could have put it there");
    let over_tls = entered(&weir, &[TLS]).cookie().unwrap();
    assert_eq!(asset(&[TLS, ("Cookie", &over_tls)]), 200);
}

#[test]
fn another_site_takes_no_place_for_a_visitor_and_uses_up_none() {
    let shop = Shop::open();
    let weir = behind_tls(&shop, &roomy());
    let page = |dest, site| [PAGE, ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", dest), ("Sec-Fetch-Site", site)];
    let json = |mode, site| [JSON, ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", "empty"), ("Sec-Fetch-Site", site)];
    let hidden = [
        page("iframe", "cross-site"),
        page("embed", "same-origin"),
        json("cors", "cross-site"),
        json("no-cors", "cross-site"),
    ];
    for headers in hidden {
        let answer = weir.get("/launch/item", &[&headers[..], &[TLS]].concat());
        assert_eq!((answer.status, answer.told()), (429, Some("needs-pass")), "{headers:?}: {answer:?}");
        assert!(answer.cookie().is_none() && weir.room()["next"] == 0, "{headers:?}: {answer:?}");
    }
    let open = [
        page("document", "cross-site"),
        page("empty", "same-origin"),
        json("cors", "same-site"),
        json("cors", "same-origin"),
    ];
    for headers in open {
        assert!(weir.get("/launch/item", &[&headers[..], &[TLS]].concat()).cookie().is_some(), "{headers:?}");
    }
}

#[test]
fn no_other_site_frames_a_page_of_weir() {
    let shop = Shop::open();
    let rooms =
        [CLOSED.to_owned(), CLOSED.replace("queue_all", "suspended"), format!("{CLOSED}join = \"confirmed\"\n")];
    for room in rooms {
        let weir = behind_tls(&shop, &room);
        let answer = weir.get("/launch/item", &[PAGE]);
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("frame-ancestors 'self'"), "{answer:?}");
    }
}
