//! Order and payment classes of routes and their gate, over real sockets, on the real binary.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;

use crate::common::orders::Orders;
use crate::common::redis::RedisServer;
use crate::common::{Answer, JSON, PAGE, ROOMY, Weir, config, nobody, request, until, until_true, weir};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const OWN: (&str, &str) = ("Sec-Fetch-Site", "same-origin");
const NAVIGATE: (&str, &str) = ("Sec-Fetch-Mode", "navigate");
const OF: &str = "{route=\"*/launch/order\",class=\"order\"}";

/// The gate of orders in the room, with these lines.
fn route(lines: &str) -> String {
    format!("[[route]]\nhost = \"*\"\npath = \"/launch/order\"\nclass = \"order\"\n{lines}\n")
}

fn launch(lines: &str) -> (Orders, Weir) {
    launch_with(&route(lines), "")
}

fn launch_with(routes: &str, of_room: &str) -> (Orders, Weir) {
    let shop = Orders::default();
    let weir = Weir::start(&patient(&config(shop.open(), &format!("{ROOMY}{of_room}\n{routes}"))));
    (shop, weir)
}

/// The shop may take as long for an answer as a test does.
fn patient(config: &str) -> String {
    config.replace("response_timeout = \"2s\"", "response_timeout = \"60s\"")
}

/// Cookies of so many who are inside, the first in first.
fn passes(weir: &Weir, count: usize) -> Vec<String> {
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= count as u64);
    let pass = |_| {
        // Each at a time of its own.
        std::thread::sleep(std::time::Duration::from_millis(2));
        let answer = weir.get("/launch/item", &[JSON]);
        assert!(answer.is_shop(), "{answer:?}");
        answer.cookie().unwrap()
    };
    (0..count).map(pass).collect()
}

fn order(to: SocketAddr, pass: &str, path: &str, body: &str) -> Answer {
    request(to, "POST", path, &[JSON, FORM, ("Cookie", pass)], body)
}

/// The same beside the test.
fn sends(weir: &Weir, pass: &str, path: &'static str, body: &str) -> JoinHandle<Answer> {
    let (to, pass, body) = (weir.http, pass.to_owned(), body.to_owned());
    std::thread::spawn(move || order(to, &pass, path, &body))
}

/// As a browser sends a form of a page of the shop.
fn submit(weir: &Weir, pass: &str, path: &str, body: &str) -> Answer {
    weir.send("POST", path, &[PAGE, FORM, OWN, NAVIGATE, ("Cookie", pass)], body)
}

fn turn(weir: &Weir, pass: &str) -> serde_json::Value {
    weir.get("/.weir/gate/launch/launch/order", &[OWN, ("Cookie", pass)]).json()
}

fn is_held(answer: &Answer) -> bool {
    answer.status == 429 && answer.told() == Some("held") && answer.header("retry-after").is_some()
}

fn in_work(shop: &Orders, count: usize) {
    until_true("the shop works on it", || shop.in_work().0 == count);
}

#[test]
fn the_limit_is_never_exceeded_and_each_form_reaches_the_shop_once() {
    let (shop, weir) = launch("max_in_flight = 4\nmax_wait = \"50ms\"");
    let to = weir.http;
    let crowd: Vec<_> = passes(&weir, 50)
        .into_iter()
        .enumerate()
        .map(|(n, pass)| {
            std::thread::spawn(move || {
                let body = format!("n={n}");
                let mut held = 0;
                loop {
                    let answer = order(to, &pass, "/launch/order/quick", &body);
                    if !is_held(&answer) {
                        return (held, answer);
                    }
                    held += 1;
                    std::thread::sleep(std::time::Duration::from_millis(100));
                }
            })
        })
        .collect();
    let answers: Vec<_> = crowd.into_iter().map(|one| one.join().unwrap()).collect();
    assert!(answers.iter().all(|(_, answer)| answer.status == 200), "{answers:?}");
    assert!(answers.iter().any(|&(held, _)| held > 0), "some had to wait");
    let mut bodies = shop.bodies();
    bodies.sort();
    let mut sent: Vec<_> = (0..50).map(|n| format!("n={n}")).collect();
    sent.sort();
    assert_eq!((bodies, shop.in_work()), (sent, (0, 4)));
    assert_eq!(weir.metric(&format!("weir_route_requests_total{}", OF.replace('}', ",result=\"passed\"}"))), 50.0);
    until_true("all slots are given back", || weir.metric(&format!("weir_route_in_flight{OF}")) == 0.0);
    assert_eq!(weir.metric(&format!("weir_route_in_flight_limit{OF}")), 4.0);
    weir.is_well();
}

#[test]
fn over_the_limit_the_longest_inside_goes_first() {
    let (shop, weir) = launch("max_in_flight = 1\nmax_wait = \"30s\"");
    let passes = passes(&weir, 4);
    let mut all = vec![sends(&weir, &passes[3], "/launch/order", "first")];
    in_work(&shop, 1);
    for (waiting, n) in [2, 0, 1].into_iter().enumerate() {
        all.push(sends(&weir, &passes[n], "/launch/order", &n.to_string()));
        until_true("they wait", || weir.metric(&format!("weir_route_waiting_passes{OF}")) == (waiting + 1) as f64);
    }
    let status = &weir.room()["gates"][0];
    let told = ["route", "class", "in_flight", "max_in_flight", "waiting"].map(|field| status[field].to_string());
    assert_eq!(told, ["\"*/launch/order\"", "\"order\"", "1", "1", "3"]);
    shop.answer(4);
    assert!(all.into_iter().all(|one| one.join().unwrap().status == 200));
    assert_eq!(shop.bodies(), ["first", "0", "1", "2"]);
}

#[test]
fn payments_go_before_orders_before_the_rest_and_a_path_alone_gives_no_priority() {
    let shop = Orders::default();
    let classes = route("") + &route("").replace("order", "pay").replace("\"pay\"", "\"payment\"");
    let open = "[[route]]\nhost = \"*\"\npath = \"/order\"\nclass = \"payment\"\n";
    let server = shop.open();
    let text = config(server, &format!("{ROOMY}\n{classes}{open}"));
    let limits = "max_in_flight = 1\nmax_wait = \"30s\"\npass_max_wait = \"30s\"\nresponse_timeout";
    let weir = Weir::start(&patient(&text).replace("response_timeout", limits));
    let passes = passes(&weir, 4);
    let first = sends(&weir, &passes[0], "/launch/slow", "first");
    in_work(&shop, 1);
    let to = weir.http;
    let mut all = vec![first, std::thread::spawn(move || request(to, "POST", "/order", &[JSON], "anonymous"))];
    let waits = |count: usize| {
        until_true("they wait", || weir.metric("weir_upstream_waiting_requests{upstream=\"shop\"}") == count as f64);
    };
    waits(1);
    let later = [("/launch/slow", "browses"), ("/launch/order", "orders"), ("/launch/pay", "pays")];
    for (n, (path, body)) in later.into_iter().enumerate() {
        all.push(sends(&weir, &passes[n + 1], path, body));
        waits(n + 2);
    }
    shop.answer(5);
    assert!(all.into_iter().all(|one| one.join().unwrap().status == 200));
    assert_eq!(shop.bodies(), ["first", "pays", "orders", "browses", "anonymous"]);
    let answered = |class: &str| {
        let labels = format!("upstream=\"shop\",server=\"{server}\",class=\"{class}\",status=\"2xx\"");
        weir.metric(&format!("weir_upstream_responses_total{{{labels}}}"))
    };
    assert_eq!(["payment", "order", "anonymous"].map(answered), [1.0; 3]);
}

#[test]
fn requests_without_a_pass_come_after_passes_and_are_turned_away_without_a_place() {
    let shop = Orders::default();
    let room = ROOMY.replace("/launch", "/orders/launch");
    let around = route("max_in_flight = 1\nmax_wait = \"30s\"").replace("/launch/order", "/orders");
    let outside = route("max_in_flight = 1\nexact = true").replace("/launch/order", "/order");
    let weir = Weir::start(&patient(&config(shop.open(), &format!("{room}\n{around}{outside}"))));
    let to = weir.http;
    let anonymous = |path: &'static str, body: &'static str| {
        std::thread::spawn(move || request(to, "POST", path, &[JSON, FORM], body))
    };
    let held = anonymous("/order", "holds");
    in_work(&shop, 1);
    let refused = request(to, "POST", "/order", &[JSON, FORM], "refused");
    assert_eq!((refused.status, refused.told(), refused.header("retry-after")), (503, Some("busy"), Some("1")));
    let of = "{route=\"*/order (exact)\",class=\"order\"}";
    assert_eq!(weir.metric(&format!("weir_route_waiting_passes{of}")), 0.0);
    assert_eq!(weir.metric(&format!("weir_route_requests_total{}", of.replace('}', ",result=\"busy\"}"))), 1.0);

    let pass = until("somebody gets in", || {
        Some(weir.get("/orders/launch/order/checkout", &[PAGE])).filter(|a| a.status == 200)
    });
    let pass = pass.cookie().unwrap();
    let first = anonymous("/orders/a", "first");
    in_work(&shop, 2);
    let later = anonymous("/orders/b", "later");
    // It stands in the line before the pass comes; that it is there cannot be seen from outside.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let of_pass = sends(&weir, &pass, "/orders/launch/order", "pass");
    let of = "{route=\"*/orders\",class=\"order\"}";
    until_true("the pass waits", || weir.metric(&format!("weir_route_waiting_passes{of}")) == 1.0);
    shop.answer(4);
    assert!([held, first, later, of_pass].into_iter().all(|one| one.join().unwrap().status == 200));
    assert_eq!(shop.bodies(), ["holds", "first", "pass", "later"]);
}

#[test]
fn a_form_over_the_limit_comes_back_in_a_page_that_sends_it_at_its_turn_and_the_shop_gets_it_once() {
    let (shop, weir) = launch("max_in_flight = 1\nmax_wait = \"20ms\"");
    let passes = passes(&weir, 3);
    let first = sends(&weir, &passes[2], "/launch/order", "first");
    in_work(&shop, 1);
    let body = "name=%EA%B9%80+%22%3E%3Cscript%3E&memo=x%0D%0Ay&card_number=1&password=hunter2";
    let page = submit(&weir, &passes[1], "/launch/order", body);
    assert!(is_held(&page) && page.header("cache-control").unwrap().contains("no-store"), "{page:?}");
    let html = &page.body;
    let fields = "<input type=\"hidden\" name=\"name\" value=\"김 &quot;&gt;&lt;script&gt;\"><input type=\"hidden\" \
                  name=\"memo\" value=\"x&#13;&#10;y\">";
    assert!(html.contains(fields) && html.contains("<b>card_number</b>, <b>password</b>"), "{html}");
    assert!(
        !html.contains("hunter2") && html.contains("id=\"position\">0<") && !html.contains("http-equiv=\"refresh\"")
    );
    assert!(
        html.contains("버튼을 눌러") && html.contains("<button class=\"go\">"),
        "it goes on without a script: {html}"
    );
    assert!(!html.contains("/.weir/leave/"), "they are inside: {html}");

    let again = submit(&weir, &passes[1], "/launch/order", "name=b");
    assert!(is_held(&again) && again.body.contains("value=\"b\""), "too early: the place is kept: {again:?}");
    let poll = std::thread::spawn({
        let (to, pass) = (weir.http, passes[1].clone());
        move || request(to, "GET", "/.weir/gate/launch/launch/order", &[OWN, ("Cookie", &pass)], "").json()
    });
    assert!(!shop.bodies().contains(&"name=b".to_owned()));
    shop.answer(1);
    assert_eq!(first.join().unwrap().status, 200);
    let told = poll.join().unwrap();
    assert_eq!(told["go"], true, "{told}");
    let older = order(weir.http, &passes[0], "/launch/order", "older");
    assert!(is_held(&older) && older.json()["ahead"] == 0, "the slot is kept for who was told to go: {older:?}");
    shop.answer(1);
    let sent = submit(&weir, &passes[1], "/launch/order", "name=b");
    assert_eq!((sent.status, sent.body.as_str()), (200, "thank you: name=b"));
    shop.answer(1);
    until_true("the older one is next", || order(weir.http, &passes[0], "/launch/order", "older").status == 200);
    assert_eq!(shop.bodies(), ["first", "name=b", "older"]);
}

#[test]
fn what_no_page_can_hold_is_explained_and_a_page_loads_again_at_its_turn() {
    let (shop, weir) = launch("max_in_flight = 1\nmax_wait = \"20ms\"");
    let passes = passes(&weir, 2);
    let first = sends(&weir, &passes[0], "/launch/order", "first");
    in_work(&shop, 1);
    let send = |method: &str, headers: &[(&str, &str)], body: &str| {
        let headers: Vec<_> = [("Cookie", &*passes[1])].iter().chain(headers).copied().collect();
        weir.send(method, "/launch/order", &headers, body)
    };
    let multipart = ("Content-Type", "multipart/form-data; boundary=x");
    let large = format!("a={}", "x".repeat(70_000));
    for (headers, body) in [
        (&[PAGE, OWN, NAVIGATE, multipart][..], "--x--"),
        (&[PAGE, OWN, NAVIGATE, FORM], &large),
        (&[PAGE, FORM, NAVIGATE, ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Dest", "document")], "a=b"),
    ] {
        let answer = send("POST", headers, body);
        assert!(is_held(&answer) && answer.body.contains("id=\"lost\""), "{headers:?} {answer:?}");
        assert!(!answer.body.contains("type=\"hidden\"") && answer.body.contains("양식을 다시"), "{answer:?}");
    }
    let page = send("GET", &[PAGE, NAVIGATE], "");
    assert!(is_held(&page) && page.body.contains("http-equiv=\"refresh\"") && page.body.contains("id=\"position\">0<"));
    assert!(!page.body.contains("id=\"held\"") && !page.body.contains("id=\"lost\""), "{page:?}");
    let packed = send("GET", &[PAGE, NAVIGATE, ("Accept-Encoding", "gzip")], "");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let fetched = send("GET", &[("Accept", "image/webp,*/*"), ("Sec-Fetch-Mode", "no-cors"), OWN], "");
    assert!(is_held(&fetched) && fetched.header("content-type").unwrap().starts_with("text/plain"), "{fetched:?}");
    assert_eq!(shop.got().len(), 1);
    shop.answer(2);
    assert_eq!(first.join().unwrap().status, 200);
    assert_eq!(send("GET", &[PAGE, NAVIGATE], "").status, 200);
}

#[test]
fn a_program_is_told_its_place_and_takes_it_by_sending_the_same_again() {
    let (shop, weir) = launch("max_in_flight = 1\nmax_wait = \"20ms\"");
    let passes = passes(&weir, 3);
    let first = sends(&weir, &passes[2], "/launch/order", "first");
    in_work(&shop, 1);
    let held = order(weir.http, &passes[1], "/launch/order", "mine");
    assert!(is_held(&held), "{held:?}");
    let json = held.json();
    assert_eq!([&json["status"], &json["error"], &json["room"]], ["held", "held", "launch"]);
    assert_eq!((json["retryAfterSeconds"].as_u64(), json["ahead"].as_u64()), (Some(1), Some(0)));
    assert_eq!(json["turn"], "/.weir/gate/launch/launch/order");
    assert_eq!(order(weir.http, &passes[0], "/launch/order", "older").json()["ahead"], 0);
    assert_eq!(
        order(weir.http, &passes[1], "/launch/order", "mine").json()["ahead"],
        1,
        "an older pass stands before it"
    );
    let text = weir.send("POST", "/launch/order", &[("Cookie", &passes[1]), ("Accept", "text/plain")], "mine");
    assert!(is_held(&text) && text.body.contains("behind 1. Send the same again in 1 s."), "{text:?}");
    let line = weir.access_of("/launch/order");
    assert_eq!((line["reason"].as_str(), line["verdict"].as_str()), (Some("held"), Some("enter")), "{line}");
    shop.answer(3);
    assert_eq!(first.join().unwrap().status, 200);
    until_true("it has its turn", || order(weir.http, &passes[1], "/launch/order", "mine").status == 200);
    assert_eq!(shop.bodies(), ["first", "mine"]);
    let of = "{room=\"launch\",reason=\"held\"}";
    assert!(weir.metric(&format!("weir_requests_unanswered_total{of}")) >= 4.0);
}

#[test]
fn a_form_that_reached_the_shop_and_got_no_answer_is_in_doubt_and_never_sent_again() {
    let shop = Orders::default();
    let weir = Weir::start(&config(shop.open(), &format!("{ROOMY}\n{}", route("max_in_flight = 2"))));
    let pass = &passes(&weir, 1)[0];
    for (path, status) in [("/launch/order/hang", 504), ("/launch/order/reset", 502)] {
        let before = shop.got().len();
        let page = submit(&weir, pass, path, "name=b");
        assert_eq!((page.status, page.told()), (status, Some("in-doubt")), "{page:?}");
        assert!(
            page.body.contains("주문 내역")
                && !page.body.contains("type=\"hidden\"")
                && page.header("retry-after").is_none()
        );
        assert!(
            page.body.contains("href=\"/\"") && !page.body.contains("<script>"),
            "nothing in it sends again: {page:?}"
        );
        let english = weir.send(
            "POST",
            "/launch/order/reset",
            &[PAGE, FORM, OWN, NAVIGATE, ("Cookie", pass), ("Accept-Language", "en")],
            "name=c",
        );
        assert!(english.body.contains("look at your orders before you send it again"), "{english:?}");
        let json = order(weir.http, pass, "/launch/order/reset", "{}");
        assert_eq!((json.told(), json.json()["status"].as_str()), (Some("in-doubt"), Some("in-doubt")), "{json:?}");
        assert_eq!(shop.got().len(), before + 3, "each once");
    }
    let of = OF.replace('}', ",result=\"in_doubt\"}");
    assert_eq!(weir.metric(&format!("weir_route_requests_total{of}")), 6.0);
    let read = weir.get("/launch/order/reset", &[PAGE, ("Cookie", pass)]);
    assert_eq!((read.status, read.told()), (502, Some("failed")), "nothing is in doubt of what only reads");
    assert!(!page_of_others(&weir, pass).body.contains("주문 내역"), "nor on other paths");
}

/// A form on a path without a class.
fn page_of_others(weir: &Weir, pass: &str) -> Answer {
    submit(weir, pass, "/launch/slow/reset", "name=b")
}

#[test]
fn an_order_goes_to_its_end_when_its_shopper_leaves_and_what_only_reads_is_broken_off() {
    let (shop, weir) = launch("max_in_flight = 2");
    let pass = &passes(&weir, 1)[0];
    let leaves = |method: &str, body: &str| {
        let mut shopper = TcpStream::connect(weir.http).unwrap();
        let length = body.len();
        let head =
            format!("{method} /launch/order HTTP/1.1\r\nHost: shop\r\nCookie: {pass}\r\nContent-Length: {length}\r\n");
        shopper.write_all(format!("{head}Content-Type: {}\r\n\r\n{body}", FORM.1).as_bytes()).unwrap();
        in_work(&shop, 1);
        drop(shopper);
    };
    let in_flight = format!("weir_route_in_flight{OF}");
    leaves("POST", "name=gone");
    until_true("the gateway knows that they have left", || weir.metric("weir_connections") == 0.0);
    assert_eq!(weir.metric(&in_flight), 1.0);
    shop.answer(1);
    until("the order is done, and gives its slot back", || (weir.metric(&in_flight) == 0.0).then_some(()));
    assert_eq!((shop.bodies(), shop.broken_off()), (vec!["name=gone".to_owned()], 0));
    // The same form again is the same order: its shopper never got the answer.
    shop.answer(1);
    let again = submit(&weir, pass, "/launch/order", "name=gone");
    assert_eq!(again.body, "thank you: name=gone");
    let keys: Vec<_> = shop.got().iter().map(|order| order.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!(keys[0], keys[1]);
    leaves("GET", "");
    let abandoned = "weir_upstream_requests_total{upstream=\"shop\",result=\"abandoned\"}";
    until_true("what only reads is broken off", || weir.metric(abandoned) == 1.0);
    shop.answer(1);
    until_true("the shop sees it", || shop.broken_off() == 1);
}

#[test]
fn a_form_keeps_its_key_until_the_shop_has_answered_it() {
    let (shop, weir) = launch("max_in_flight = 2");
    let passes = passes(&weir, 2);
    let key = |n: usize| {
        let key = shop.got()[n].header("idempotency-key").map(str::to_owned);
        key.unwrap_or_else(|| panic!("no key: {:?}", shop.got()[n]))
    };
    order(weir.http, &passes[0], "/launch/order/reset", "a=1");
    order(weir.http, &passes[0], "/launch/order/reset", "a=1");
    order(weir.http, &passes[0], "/launch/order/reset", "a=2");
    order(weir.http, &passes[1], "/launch/order/reset", "a=1");
    assert_eq!(key(0), key(1), "sent again by its sender after it was in doubt");
    assert!(key(2) != key(0) && key(3) != key(0) && key(3) != key(2), "another form, another pass");
    assert!(key(0).len() == 38 && key(0).starts_with('"') && key(0).ends_with('"'), "{}", key(0));

    let double = [(); 2].map(|()| sends(&weir, &passes[0], "/launch/order", "b=1"));
    in_work(&shop, 2);
    assert_eq!(key(4), key(5), "a double click");
    shop.answer(2);
    assert!(double.into_iter().all(|one| one.join().unwrap().status == 200));
    shop.answer(1);
    assert_eq!(order(weir.http, &passes[0], "/launch/order", "b=1").status, 200);
    assert_ne!(key(6), key(4), "answered: the next one is another order");

    let own = [JSON, FORM, ("Cookie", &*passes[0]), ("Idempotency-Key", "mine")];
    weir.send("POST", "/launch/order/reset", &own, "a=1");
    assert_eq!(key(7), "mine");
    let bare = |n: usize| shop.got()[n].header("idempotency-key").is_none();
    weir.get("/launch/order/quick", &[JSON, ("Cookie", &passes[0])]);
    order(weir.http, &passes[0], "/launch/slow/quick", "a=1");
    assert!(bare(8) && bare(9), "not where nothing is sent, and not on other paths");
}

#[test]
fn a_form_that_finds_no_way_to_the_shop_is_held_by_its_page() {
    let shop = Orders::default();
    let (there, gone) = (shop.open(), nobody());
    let text = config(there, &format!("{ROOMY}\n{}", route("max_in_flight = 2")));
    let weir = Weir::start(&text);
    let pass = &passes(&weir, 1)[0];
    let file = weir.config_file();
    std::fs::write(&file, text.replace(&there.to_string(), &gone.to_string())).unwrap();
    until_true("the shop is gone", || weir.get("/launch/item", &[JSON, ("Cookie", pass)]).status == 502);
    let page = submit(&weir, pass, "/launch/order", "name=b");
    assert_eq!((page.status, page.told(), page.header("retry-after")), (502, Some("failed"), Some("5")), "{page:?}");
    assert!(page.body.contains("value=\"b\"") && page.body.contains("아직 쇼핑몰에 전달되지 않았습니다"), "{page:?}");
    assert!(!page.body.contains("id=\"position\""), "nobody is before them: {page:?}");
    let json = order(weir.http, pass, "/launch/order", "{}");
    assert_eq!((json.status, json.told()), (502, Some("failed")), "nothing is in doubt: {json:?}");
    std::fs::write(&file, &text).unwrap();
    shop.answer(10);
    until_true("the shop is back", || submit(&weir, pass, "/launch/order", "name=b").status == 200);
    assert_eq!(shop.bodies(), ["name=b"]);
}

#[test]
fn a_form_whose_turn_one_gateway_told_is_let_in_by_another() {
    let (redis, shop) = (RedisServer::start(), Orders::default());
    let text = patient(&config(shop.open(), &format!("{ROOMY}\n{}", route("max_in_flight = 1\nmax_wait = \"50ms\""))));
    let store = format!("[store]\nkind = \"redis\"\nurl = \"{}\"\nsecret_file = \"weir.secret\"\n", redis.url());
    let member = |name: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("weir.secret"), "one secret for both gateways of the line").unwrap();
        std::fs::write(dir.path().join("weir.toml"), format!("{text}{store}[node]\nname = \"{name}\"\n")).unwrap();
        Weir::start_in(dir)
    };
    let (one, two) = (member("one"), member("two"));
    let passes = passes(&one, 5);
    // At each an order is in work, and another pass waits in its page.
    let asks = |weir: &Weir, pass: &str| {
        let (to, pass) = (weir.http, pass.to_owned());
        std::thread::spawn(move || {
            loop {
                let answer = request(to, "GET", "/.weir/gate/launch/launch/order", &[OWN, ("Cookie", &pass)], "");
                if answer.json()["go"] == true {
                    return answer;
                }
            }
        })
    };
    let working = [(&one, 0), (&two, 1)].map(|(weir, pass)| sends(weir, &passes[pass], "/launch/order", "first"));
    in_work(&shop, 2);
    let told = [(&one, 2), (&two, 3)].map(|(weir, pass)| {
        assert!(is_held(&order(weir.http, &passes[pass], "/launch/order", "second")));
        asks(weir, &passes[pass])
    });
    shop.answer(2);
    let [of_one, of_two] = told.map(|told| told.join().unwrap().cookie().expect("a pass that says when it was told"));
    for answer in working {
        assert_eq!(answer.join().unwrap().status, 200);
    }
    // The slot of each gateway is kept for the one that it told. A pass that was told nothing does not get it...
    assert!(is_held(&order(two.http, &passes[4], "/launch/order", "third")));
    // ...and each form comes to the other gateway.
    let crossed = [(&two, &of_one), (&one, &of_two)].map(|(weir, pass)| sends(weir, pass, "/launch/order", "second"));
    in_work(&shop, 2);
    shop.answer(2);
    for answer in crossed {
        assert_eq!(answer.join().unwrap().body, "thank you: second");
    }
    assert_eq!(shop.in_work().1, 2, "each has one at once");
}

#[test]
fn a_return_from_a_payment_never_waits_at_the_gate() {
    let (shop, weir) =
        launch_with(&route("max_in_flight = 1\nmax_wait = \"20ms\""), "return_paths = \"/launch/order/paid/quick\"");
    let passes = passes(&weir, 2);
    let first = sends(&weir, &passes[0], "/launch/order", "first");
    in_work(&shop, 1);
    let foreign = [PAGE, FORM, NAVIGATE, ("Sec-Fetch-Site", "cross-site")];
    let with_pass: Vec<_> = foreign.iter().chain(&[("Cookie", &*passes[1])]).copied().collect();
    for headers in [&foreign[..], &with_pass] {
        let back = weir.send("POST", "/launch/order/paid/quick", headers, "paid=1");
        assert_eq!((back.status, back.body.as_str()), (200, "thank you: paid=1"), "{back:?}");
    }
    assert!(is_held(&order(weir.http, &passes[1], "/launch/order", "second")), "the others wait as ever");
    shop.answer(1);
    assert_eq!(first.join().unwrap().status, 200);
}

#[test]
fn a_turn_is_told_to_the_holder_of_a_pass_on_the_shops_own_pages_alone() {
    let (shop, weir) = launch("max_in_flight = 1\nmax_wait = \"20ms\"");
    let passes = passes(&weir, 2);
    let first = sends(&weir, &passes[0], "/launch/order", "first");
    in_work(&shop, 1);
    let ask = |path: &str, headers: &[(&str, &str)]| weir.get(path, headers);
    let gate = "/.weir/gate/launch/launch/order";
    let nobody = ask(gate, &[OWN, JSON]);
    assert_eq!((nobody.status, nobody.told()), (429, Some("needs-pass")), "{nobody:?}");
    assert_eq!(ask(gate, &[("Cookie", "weir_launch=AAAA"), OWN]).status, 429);
    let foreign = [("Cookie", &*passes[1]), ("Sec-Fetch-Site", "cross-site")];
    assert_eq!(ask(gate, &foreign).status, 403);
    assert_eq!(weir.send("POST", gate, &[("Cookie", &passes[1]), OWN], "").status, 405);
    assert_eq!(ask("/.weir/gate/other/launch/order", &[OWN]).status, 404);
    assert_eq!(weir.metric(&format!("weir_route_waiting_passes{OF}")), 0.0, "none of them took a place");
    let elsewhere = ask("/.weir/gate/launch/launch/item", &[("Cookie", &passes[1]), OWN]);
    assert_eq!(elsewhere.json()["go"], true, "there is no gate");
    let told = turn(&weir, &passes[1]);
    assert_eq!((told["go"].as_bool(), told["ahead"].as_u64()), (Some(false), Some(0)), "{told}");
    assert_eq!(weir.metric(&format!("weir_route_waiting_passes{OF}")), 1.0);
    assert_eq!(weir.send("POST", "/.weir/leave/launch", &[("Cookie", &passes[1]), OWN], "").status, 200);
    until_true("it is given back", || weir.room()["active_users"] == 1);
    assert_eq!(turn(&weir, &passes[1])["go"], true, "without a pass the door decides");
    shop.answer(1);
    assert_eq!(first.join().unwrap().status, 200);
}

#[test]
fn a_pass_is_renewed_while_its_holder_waits_at_the_gate_and_a_form_in_its_grace_stands_like_one_with_a_pass() {
    let route = route("max_in_flight = 1\nmax_wait = \"20ms\"");
    let (shop, weir) = launch_with(&route, "session_duration = \"8s\"\nform_grace = \"20s\"");
    let passes = passes(&weir, 3);
    let first = sends(&weir, &passes[2], "/launch/order", "first");
    in_work(&shop, 1);
    assert!(is_held(&order(weir.http, &passes[0], "/launch/order", "renewed")));
    let renewed =
        until("it is renewed", || weir.get("/.weir/gate/launch/launch/order", &[OWN, ("Cookie", &passes[0])]).cookie());
    assert!(weir.get("/launch/item", &[JSON, ("Cookie", &renewed)]).is_shop(), "inside all the while");
    until_true("the other one ends", || weir.get("/launch/a.css", &[("Cookie", &passes[1])]).status == 429);
    let late = submit(&weir, &passes[1], "/launch/order", "late=1");
    assert!(is_held(&late) && late.body.contains("value=\"1\""), "{late:?}");
    let poll = std::thread::spawn({
        let (to, pass) = (weir.http, passes[1].clone());
        move || request(to, "GET", "/.weir/gate/launch/launch/order", &[OWN, ("Cookie", &pass)], "").json()
    });
    // The renewed one is older, and not here.
    shop.answer(2);
    assert_eq!(first.join().unwrap().status, 200);
    assert_eq!(poll.join().unwrap()["go"], true);
    assert_eq!(submit(&weir, &passes[1], "/launch/order", "late=1").status, 200);
    assert_eq!(shop.bodies(), ["first", "late=1"]);
}

#[test]
fn a_reload_keeps_what_is_in_work_and_who_waits() {
    let (shop, weir) = launch("max_in_flight = 1\nmax_wait = \"20ms\"");
    let passes = passes(&weir, 4);
    let mut all = vec![sends(&weir, &passes[0], "/launch/order", "0")];
    in_work(&shop, 1);
    assert!(is_held(&order(weir.http, &passes[1], "/launch/order", "1")));
    let text = std::fs::read_to_string(weir.config_file()).unwrap();
    std::fs::write(weir.config_file(), text.replace("max_in_flight = 1", "max_in_flight = 2")).unwrap();
    weir.signal("HUP");
    until_true("it is in force", || weir.metric(&format!("weir_route_in_flight_limit{OF}")) == 2.0);
    let [in_flight, waiting] =
        ["in_flight", "waiting_passes"].map(|what| weir.metric(&format!("weir_route_{what}{OF}")));
    assert_eq!((in_flight, waiting), (1.0, 1.0));
    all.push(sends(&weir, &passes[2], "/launch/order", "2"));
    in_work(&shop, 2);
    assert!(is_held(&order(weir.http, &passes[3], "/launch/order", "3")), "what was in work before counts");
    shop.answer(2);
    assert!(all.into_iter().all(|one| one.join().unwrap().status == 200));
    until_true("all is given back", || weir.metric(&format!("weir_route_in_flight{OF}")) == 0.0);
}

#[test]
fn what_is_wrong_with_a_class_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let check = |routes: &str| {
        let text = config("127.0.0.1:9".parse().unwrap(), &format!("{ROOMY}\n{routes}"));
        std::fs::write(dir.path().join("weir.toml"), text).unwrap();
        weir(&["check", "weir.toml"], dir.path())
    };
    let (code, said) = check(&route("max_in_flight = 20\nmax_wait = \"1s\""));
    assert!(code == 0 && !said.contains("class"), "{said}");
    assert!(said.contains("/launch/order and everything below it on every host: orders, 20 at once"), "{said}");
    let without = route("max_in_flight = 20").replace("class = \"order\"\n", "");
    let other = "[[upstream]]\nname = \"other\"\nservers = \"127.0.0.1:8\"\n".to_owned();
    for (routes, why) in [
        (without, "is a limit on a class of requests, and the route has none"),
        (route("max_in_flight = 0"), "max_in_flight"),
        (route("max_wait = \"1s\""), "add max_in_flight"),
        (route("").replace("\"order\"\n", "\"orders\"\n"), "orders"),
        (route("").replace("/launch/order", "/launch/order*"), "stands at its end"),
        (other + &route(""), "names no upstream, there are 2"),
    ] {
        let (code, said) = check(&routes);
        assert!(code != 0 && said.contains(why), "{routes} {said}");
    }
    for (routes, why) in [
        (route("max_in_flight = 200"), "never comes to its own limit"),
        (route("").replace("/launch/order", "/order"), "no room covers this route"),
        (route("").replace("/launch/order", "/"), "what is outside has no pass"),
    ] {
        // Two routes of one host and path are one too many.
        let (code, said) = check(&routes.replace("\"*\"\npath = \"/\"", "\"*.example\"\npath = \"/\""));
        assert!(code == 0 && said.contains(why), "{routes} {said}");
    }
}
