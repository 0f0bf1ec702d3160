//! A form that was begun inside and is sent when the pass has ended: it goes through for a while, or comes back in the page and
//! is sent in its turn. Over real sockets, on the real binary.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;

use crate::common::line::pass_id_of;
use crate::common::{Answer, JSON, Kept, PAGE, ROOMY, Shop, Weir, config, until, until_true};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const OWN: (&str, &str) = ("Sec-Fetch-Site", "same-origin");
const NAVIGATE: (&str, &str) = ("Sec-Fetch-Mode", "navigate");

/// A gateway with a room in which passes live for five seconds, however active their holders are.
fn short(more: &str) -> (Shop, Weir) {
    let shop = Shop::open();
    let room = format!("{ROOMY}session_duration = \"5s\"\ndisable_session_renewal = true\n{more}");
    let weir = Weir::start(&config(shop.address, &room));
    until_true("the room is open", || weir.get("/launch/item", &[JSON]).is_shop());
    (shop, weir)
}

/// The cookie of a shopper who got in.
fn enters(weir: &Weir) -> String {
    let entered = until("somebody gets in", || Some(weir.get("/launch/item", &[JSON])).filter(Answer::is_shop));
    entered.cookie().unwrap()
}

fn ends(weir: &Weir, cookie: &str) {
    until_true("the pass ends", || weir.get("/launch/a.css", &[("Cookie", cookie)]).status == 429);
}

/// Takes a number for this cookie with its form, and gives what the answer shows of it.
fn submit(weir: &Weir, cookie: &str, more: &[(&str, &str)], body: &str) -> Answer {
    let headers: Vec<_> = [("Cookie", cookie), PAGE, NAVIGATE].iter().chain(more).copied().collect();
    weir.send("POST", "/launch/echo", &headers, body)
}

fn text(answer: &Answer) -> String {
    answer.body.clone()
}

fn rewrite(weir: &Weir, from: &str, to: &str) {
    let file = weir.config_file();
    let before = fs::read_to_string(&file).unwrap();
    fs::write(file, before.replace(from, to)).unwrap();
}

#[test]
fn three_forms_go_through_after_the_end_of_their_pass_and_none_of_one_that_was_taken_away() {
    let (shop, weir) = short("");
    let [cookie, revoked, left] = [(); 3].map(|()| enters(&weir));
    assert_eq!(weir.get("/launch/revoke", &[("Cookie", &revoked)]).status, 200);
    assert_eq!(weir.send("POST", "/.weir/leave/launch", &[("Cookie", &left)], "").status, 200);
    ends(&weir, &cookie);
    let taken = weir.room()["next"].as_u64();
    for _ in 0..3 {
        let form = weir.send("POST", "/launch/headers", &[("Cookie", &cookie)], "name=Kim");
        assert!(form.is_shop() || pass_id_of(&form).is_some(), "{form:?}");
        assert!(form.cookie().is_none(), "nothing is renewed");
    }
    let seen = shop.seen().len();
    let json = weir.send("POST", "/launch/order", &[("Cookie", &cookie), ("Content-Type", "application/json")], "{}");
    assert_eq!((json.status, json.json()["error"].as_str()), (429, Some("pass_ended")), "{json:?}");
    assert_eq!((json.told(), json.json()["waitingPage"].as_str()), (Some("expired"), Some("/launch")), "{json:?}");
    assert!(json.header("retry-after").is_some());
    for cookie in [&revoked, &left] {
        assert_eq!(weir.send("POST", "/launch/order", &[("Cookie", cookie)], "name=Kim").status, 429);
    }
    assert_eq!(weir.get("/launch/a.css", &[("Cookie", &cookie)]).status, 429, "only forms");
    assert_eq!((shop.seen().len(), weir.room()["next"].as_u64()), (seen, taken));
    assert!((weir.metric(r#"weir_requests_total{room="launch",verdict="late"}"#) - 3.0).abs() < 0.5);
}

/// A room that was closed while a shopper inside filled in a form. The cookie is that of their place in line.
fn in_line(weir: &Weir) -> String {
    let cookie = enters(weir);
    rewrite(weir, "disable_session_renewal", "queue_all = true\ndisable_session_renewal");
    until_true("the room is closed", || !weir.get("/launch/item", &[JSON]).is_shop());
    ends(weir, &cookie);
    cookie
}

#[test]
fn a_form_comes_back_in_the_page_and_reaches_the_shop_as_it_was_when_it_is_their_turn() {
    let (shop, weir) = short("form_grace = \"0s\"\n");
    let ended = in_line(&weir);
    let taken = weir.room()["next"].as_u64().unwrap();
    let body = "name=%EA%B9%80+%22%3E%3Cscript%3E&name=b&note=x%0D%0Ay&csrf=t&password=hunter2&card_number=1";
    let page = submit(&weir, &ended, &[FORM, OWN], body);
    let html = text(&page);
    assert_eq!(page.status, 429, "{page:?}");
    assert!(page.header("cache-control").unwrap().contains("no-store") && page.header("retry-after").is_some());
    let fields = "<input type=\"hidden\" name=\"name\" value=\"김 &quot;&gt;&lt;script&gt;\"><input type=\"hidden\" name=\"name\" value=\"b\">\
                  <input type=\"hidden\" name=\"note\" value=\"x&#13;&#10;y\"><input type=\"hidden\" name=\"csrf\" value=\"t\">";
    assert!(html.contains(fields) && html.contains("<b>password</b>, <b>card_number</b>"), "{html}");
    assert!(!html.contains("hunter2") && html.contains("시간이 끝나"), "{html}");
    let seen = html.split_once("<h1>").unwrap().1;
    assert_eq!(seen.matches("순서는 유지").count(), 1, "once, also in a closed room: {html}");
    assert!(!seen.contains("나중에 다시"), "who goes loses the form: {html}");
    let how = seen.split_once("id=\"how\"").unwrap().1.split('<').next().unwrap();
    let (scripted, by_hand) = how.split_once("\">").unwrap();
    assert!(by_hand.contains("버튼을 눌러") && !by_hand.contains("알려"), "without a script nothing is told: {how}");
    assert!(scripted.contains("알려 드립니다"), "{how}");
    assert_eq!(html.matches("action=").count(), 1, "the way to leave; the form goes where it came from: {html}");
    assert!(!html.contains("http-equiv=\"refresh\""), "a page that loads itself would lose the form");
    assert_eq!(weir.room()["next"].as_u64(), Some(taken + 1), "they are in line");
    let place = page.cookie().unwrap();
    let again = submit(&weir, &place, &[FORM, OWN], "name=b");
    assert!(again.status == 429 && text(&again).contains("value=\"b\""), "{again:?}");
    let packed = submit(&weir, &place, &[FORM, OWN, ("Accept-Encoding", "gzip")], "name=b");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(text(&packed).contains("value=\"b\""), "what was filled in is stored as it is: its length tells nothing");
    let page = weir.get("/launch/item", &[PAGE, ("Cookie", &ended)]);
    assert!(page.is_line() && text(&page).contains("시간이 끝나"), "the page says why: {page:?}");
    assert!(!shop.seen().iter().any(|head| head.starts_with("POST")));

    rewrite(&weir, "queue_all = true\n", "");
    let sent =
        until("it is sent", || Some(submit(&weir, &place, &[FORM, OWN], "name=b&name=c")).filter(|a| a.status == 200));
    assert_eq!(text(&sent), "name=b&name=c");
    assert_eq!(shop.seen().iter().filter(|head| head.starts_with("POST")).count(), 1);
}

#[test]
fn a_form_of_another_site_or_of_nobody_or_too_large_a_one_is_not_held() {
    let (shop, weir) = short("form_grace = \"0s\"\n");
    let ended = in_line(&weir);
    let place = submit(&weir, &ended, &[FORM, OWN], "name=b").cookie().unwrap();
    let taken = weir.room()["next"].as_u64();
    let holds = |answer: &Answer| {
        assert_eq!(answer.status, 429, "{answer:?}");
        text(answer).contains("type=\"hidden\"")
    };
    let own = "http://shop.example".to_owned();
    let plain = |more: &[(&str, &str)]| {
        let headers: Vec<_> = [("Cookie", &*place), PAGE, FORM].iter().chain(more).copied().collect();
        weir.send("POST", "/launch/echo", &headers, "name=b")
    };
    assert!(holds(&plain(&[("Origin", &own)])), "an older browser says only where it comes from");
    let foreign: [&[(&str, &str)]; 8] = [
        &[],
        &[NAVIGATE],
        &[("Origin", "null")],
        &[("Origin", "http://evil.example")],
        &[("Origin", &own), ("Origin", "http://evil.example")],
        &[("Sec-Fetch-Site", "cross-site"), NAVIGATE, ("Origin", &own)],
        &[("Sec-Fetch-Site", "same-site"), NAVIGATE],
        &[OWN, NAVIGATE, ("Sec-Fetch-Site", "cross-site")],
    ];
    for headers in foreign {
        let answer = plain(headers);
        assert!(!holds(&answer) && text(&answer).contains("이용 시간이 끝났습니다"), "{headers:?} {answer:?}");
    }
    for cookie in ["a=b", "weir_launch=AAAA"] {
        let answer = submit(&weir, cookie, &[FORM, OWN], "name=b");
        assert!(!holds(&answer) && answer.cookie().is_none(), "nothing is read of nobody: {answer:?}");
    }

    let kept = |body: &str, more: &[(&str, &str)]| {
        let headers: Vec<_> = [OWN].iter().chain(more).copied().collect();
        let answer = submit(&weir, &place, &headers, body);
        let holds = holds(&answer);
        assert!(holds != text(&answer).contains("id=\"lost\""), "it says so: {answer:?}");
        holds
    };
    let most = format!("a={}", "x".repeat(64 * 1024 - 2));
    assert!(kept(&most, &[FORM]) && !kept(&format!("{most}x"), &[FORM]));
    assert!(!kept(&"a=b&".repeat(10_000), &[FORM]));
    assert!(!kept("a=%B0%A1", &[FORM]), "no UTF-8");
    assert!(!kept("a=b", &[("Content-Type", "application/x-www-form-urlencoded; charset=euc-kr")]));
    assert!(kept("a=b", &[("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")]));
    assert!(!kept("a=b", &[FORM, FORM]));
    assert!(!kept("a=b", &[("Content-Type", "multipart/form-data; boundary=x")]));
    assert!(!kept("a=b", &[]));

    let head = |framing: &str| {
        let (name, kind) = FORM;
        format!(
            "POST /launch/echo HTTP/1.1\r\nHost: {}\r\nCookie: {place}\r\nAccept: text/html\r\n{name}: {kind}\r\n\
             Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\n{framing}\r\n\r\n",
            weir.http
        )
    };
    let ask = |bytes: String| {
        let mut client = Kept::open(weir.http);
        client.send(bytes);
        client.answer().unwrap()
    };
    assert!(holds(&ask(head("Transfer-Encoding: chunked") + "3\r\na=b\r\n2\r\n&c\r\n0\r\n\r\n")));
    let endless = "1000\r\n".to_owned() + &"a".repeat(0x1000) + "\r\n";
    assert!(!holds(&ask(head("Transfer-Encoding: chunked") + &endless.repeat(17))));
    let trickling = ask(head("Content-Length: 20") + "a=b");
    assert!(!holds(&trickling), "after five seconds the page comes without it");
    assert_eq!((weir.room()["next"].as_u64(), shop.seen().iter().any(|h| h.starts_with("POST"))), (taken, false));
}
