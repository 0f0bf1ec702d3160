//! The waiting page as the shop's: brand, language, time zone; and how it is sent.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::common::{Answer, CLOSED, PAGE, Shop, Weir, config, parse, weir};
use flate2::read::GzDecoder;

const LOGO: &str =
    r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 30"><path fill="#c00" d="M0 0h120v30H0z"/></svg>"##;

const BRAND: &str = r##"
time_zone = "Asia/Seoul"
[room.brand]
name = "Kim & <Sons>"
logo = "logo.svg"
color = "#ffd400"
[room.brand.text]
ko-KR = "한정판 <오늘> 12시"
en-US = "Limited <today> at noon"
"##;

/// A gateway with a closed room and these keys of it; a logo lies beside its file.
fn gateway(room: &str) -> (Shop, Weir) {
    let (shop, dir) = (Shop::open(), tempfile::tempdir().unwrap());
    std::fs::write(dir.path().join("logo.svg"), LOGO).unwrap();
    std::fs::write(dir.path().join("weir.toml"), config(shop.address, &format!("{CLOSED}{room}"))).unwrap();
    (shop, Weir::start_in(dir))
}

#[test]
fn the_page_wears_the_shops_brand_and_escapes_it() {
    let (_shop, weir) = gateway(BRAND);
    let korean = weir.get("/launch/item", &[PAGE, ("Accept-Language", "ko")]);
    let english = weir.get("/launch/item", &[PAGE, ("Accept-Language", "en")]);
    assert!(korean.body.contains("한정판 &lt;오늘&gt; 12시") && english.body.contains("Limited &lt;today&gt; at noon"));
    assert!(english.body.contains("alt=\"Kim &amp; &lt;Sons&gt;\""), "{}", english.body);
    assert!(!korean.body.contains("<Sons>") && !korean.body.contains("<오늘>"));
    assert!(english.body.contains("--brand:#ffd400;--on-brand:#000000"), "the text on yellow is black");

    let address = english.body.split("<img src=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(address.starts_with("/.weir/logo/launch?"), "{address}");
    let logo = weir.get(address, &[]);
    assert_eq!((logo.status, logo.header("content-type"), &*logo.body), (200, Some("image/svg+xml"), LOGO));
    assert_eq!(logo.header("cache-control"), Some("public, max-age=604800"));
    assert!(logo.header("content-security-policy").unwrap().contains("sandbox"), "it runs nothing");
    assert!(english.header("content-security-policy").unwrap().contains("img-src 'self' data:;"));
    assert_eq!(weir.send("POST", address, &[], "").status, 405);

    // Everything that is said in the room looks alike.
    let cookie = english.cookie().unwrap();
    let left = weir.send("POST", "/.weir/leave/launch", &[PAGE, ("Cookie", &cookie)], "x");
    assert!(left.body.contains(address) && left.body.contains("#ffd400"), "{left:?}");
}

#[test]
fn a_room_without_a_brand_has_no_logo_and_allows_none() {
    let (_shop, weir) = gateway("");
    let page = weir.get("/launch/item", &[PAGE]);
    assert!(
        !page.body.contains("<header>") && page.header("content-security-policy").unwrap().contains("img-src data:;")
    );
    assert_eq!(weir.get("/.weir/logo/launch", &[]).status, 404);
}

#[test]
fn a_browser_that_has_none_of_the_languages_is_told_in_english_unless_one_was_set() {
    let language = |weir: &Weir, accept: &str| {
        let page = weir.get("/launch/item", &[PAGE, ("Accept-Language", accept)]);
        if page.body.contains("lang=\"ko\"") { "ko" } else { "en" }
    };
    let (_shop, free) = gateway("");
    assert_eq!(["nl-NL,nl;q=0.9", "nl,ko;q=0.1", "*"].map(|accept| language(&free, accept)), ["en", "ko", "ko"]);
    assert!(free.get("/launch/item", &[PAGE]).body.contains("lang=\"ko\""), "who names none");
    let (_shop, set) = gateway("default_template_language = \"ko-KR\"\n");
    assert_eq!(["nl-NL,nl;q=0.9", "en"].map(|accept| language(&set, accept)), ["ko", "en"]);
}

#[test]
fn without_javascript_times_are_in_the_rooms_zone() {
    let time = |weir: &Weir| {
        let page = weir.get("/launch/item", &[PAGE]).body;
        let (_, time) = page.split_once("<time ").unwrap();
        let (at, rest) = time.split_once("\">").unwrap();
        (at.rsplit('T').next().unwrap().get(..8).unwrap().to_owned(), rest.split('<').next().unwrap().to_owned())
    };
    let (_shop, seoul) = gateway("time_zone = \"Asia/Seoul\"\n");
    let (at, told) = time(&seoul);
    let hour = (at[..2].parse::<u32>().unwrap() + 9) % 24;
    assert_eq!(told, format!("{hour:02}{} KST", &at[2..]));
    let (_shop, utc) = gateway("");
    let (at, told) = time(&utc);
    assert_eq!(told, format!("{at} UTC"));
}

/// A page as it is sent: its head, and its bytes.
fn sent(to: SocketAddr, headers: &[(&str, &str)]) -> (Answer, Vec<u8>) {
    let mut stream = TcpStream::connect(to).unwrap();
    let headers: String = headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
    let text = format!("GET /launch/item HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(text.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    (parse(&all[..end]), all.split_off(end))
}

/// The page without the time at which it was made.
fn without_time(page: &[u8]) -> String {
    let page = String::from_utf8(page.to_vec()).unwrap();
    let (before, rest) = page.split_once("<time ").unwrap();
    format!("{before}{}", rest.split_once("</time>").unwrap().1)
}

#[test]
fn the_page_is_compressed_for_whoever_takes_that_and_is_the_same_page() {
    for room in ["", BRAND] {
        let (_shop, weir) = gateway(room);
        let cookie = weir.get("/launch/item", &[PAGE]).cookie().unwrap();
        let ask = |accept: &str| sent(weir.http, &[PAGE, ("Cookie", &cookie), ("Accept-Encoding", accept)]);
        let (plain, page) = ask("br, gzip;q=0, *;q=0.5");
        assert!(plain.is_line() && plain.header("content-encoding").is_none());
        assert_eq!(plain.header("vary"), Some("Accept-Encoding"), "a cache must know");
        for accept in ["gzip, deflate, br, zstd", "GZIP;q=0.5", "*"] {
            let (packed, bytes) = ask(accept);
            assert_eq!(
                (packed.header("content-encoding"), packed.header("vary")),
                (Some("gzip"), Some("Accept-Encoding"))
            );
            assert_eq!(packed.header("content-length"), Some(&*bytes.len().to_string()));
            assert!(bytes.len() < 6_400 && bytes.len() * 5 < page.len() * 3, "{} of {} bytes", bytes.len(), page.len());
            let mut unpacked = Vec::new();
            GzDecoder::new(&*bytes).read_to_end(&mut unpacked).unwrap();
            assert_eq!(without_time(&unpacked), without_time(&page));
        }
    }
}

#[test]
fn what_is_wrong_with_a_brand_is_told_before_anybody_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("page.html"), "<html>").unwrap();
    std::fs::write(dir.path().join("large.png"), [b"\x89PNG".as_slice(), &vec![0; 1 << 17]].concat()).unwrap();
    let check = |brand: &str| {
        std::fs::write(dir.path().join("weir.toml"), config(crate::common::nobody(), &format!("{CLOSED}{brand}")))
            .unwrap();
        weir(&["check", "weir.toml"], dir.path())
    };
    for (brand, told) in [
        ("time_zone = \"Asia/Soul\"\n", "\"Asia/Soul\" is no time zone"),
        ("brand.color = \"yellow\"\n", "\"yellow\" is not a colour"),
        ("brand.logo = \"none.svg\"\n", "there is no file"),
        ("brand.logo = \"page.html\"\n", "is no SVG, PNG, JPEG, GIF or WebP"),
        ("brand.logo = \"large.png\"\n", "has more than 64 KiB"),
        ("brand.name = \"\"\n", "write 1 to 60 characters"),
        ("brand.text.ko-KR = \"a\\nb\"\n", "control characters"),
    ] {
        let (code, said) = check(brand);
        assert!(code != 0 && said.contains(told), "{brand}: {said}");
    }
    assert_eq!(check("brand.color = \"#0b6e82\"\n").0, 0);
}
