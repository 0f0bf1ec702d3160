//! What the page does for shoppers who stay: it calls them, shows that others move, answers questions, and survives a cut.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use crate::common::browser::Browser;
use crate::common::fault::{Fault, Faulty};
use crate::common::{CLOSED, JSON, PAGE, Shop, Weir, config, until, until_true};

/// A closed room with a line of ten. Once open it lets one of them in a second.
fn line(keys: &str) -> (Shop, Weir) {
    let shop = Shop::open();
    let room = CLOSED.replace("= 600", "= 60\nburst = 1\npoll.max = \"1s\"");
    let weir = Weir::start(&config(shop.address, &format!("{room}{keys}")));
    (0..10).for_each(|_| drop(weir.get("/launch/item", &[JSON])));
    (shop, weir)
}

fn open(weir: &Weir) {
    let closed = std::fs::read_to_string(weir.config_file()).unwrap();
    std::fs::write(weir.config_file(), closed.replace("queue_all = true\n", "")).unwrap();
}

/// A browser that stands in this line, and has had its second script.
fn waits(weir: &Weir) -> Browser {
    let browser = Browser::open(true);
    browser.go(&format!("http://{}/launch/item", weir.http));
    until_true("the second script has come", || browser.run("return !!document.getElementById('notify')") == true);
    browser
}

fn shown(browser: &Browser, id: &str) -> String {
    let text = format!("const e = document.getElementById('{id}'); return e && !e.hidden ? e.textContent : ''");
    browser.run(&text).as_str().unwrap_or_default().to_owned()
}

/// Asks to be called, by the keyboard alone, in a browser that records notifications instead of showing them.
fn asks_to_be_called(browser: &Browser) {
    browser.act(
        "window.Notification = class { constructor(text) { localStorage.told = (localStorage.told || '') + text } }; \
         Notification.permission = 'granted'; Notification.requestPermission = () => {}",
    );
    browser.fill("body", "\u{e004}");
    until_true("the switch has the focus", || {
        let there = browser.run("return document.activeElement.id") == "notify";
        if !there {
            browser.fill(":focus", "\u{e004}");
        }
        there
    });
    browser.fill(":focus", "\u{e007}");
    assert_eq!(browser.run("return document.getElementById('notify').getAttribute('aria-pressed')"), "true");
    assert!(shown(browser, "notified").starts_with("Keep this page open"), "it says what it will do");
}

#[test]
fn a_page_in_the_background_enters_at_its_turn_and_calls_whoever_asked_for_that() {
    let (shop, weir) = line("");
    let browser = waits(&weir);
    asks_to_be_called(&browser);
    let mine = browser.this_tab();
    let other = browser.tab();
    browser.look_at(&other);
    open(&weir);
    let theirs = |head: &&String| head.starts_with("GET /launch/item") && head.contains("Chrome");
    until_true("they enter while another tab is looked at", || shop.seen().iter().any(|head| theirs(&head)));
    browser.look_at(&mine);
    until_true("they are inside", || browser.source().contains("welcome to the shop"));
    assert_eq!(browser.run("return localStorage.told"), "It is your turn. You are entering now.", "once");
    assert_eq!(shop.seen().iter().filter(theirs).count(), 1);
}

#[test]
fn a_page_whose_network_was_cut_says_so_and_goes_on_by_itself() {
    let (_shop, weir) = line("");
    let way = Faulty::to(weir.http);
    let browser = Browser::open(true);
    browser.go(&format!("http://{}/launch/item", way.address));
    until_true("the second script has come", || !shown(&browser, "notify").is_empty());
    let place: u64 = until("a place is shown", || shown(&browser, "position").parse().ok());
    way.set(Fault::Reset);
    until_true("it says so", || shown(&browser, "note").starts_with("The line cannot be reached"));
    assert_eq!(shown(&browser, "position"), place.to_string(), "the last place stays");
    open(&weir);
    way.set(Fault::None);
    until_true("they are inside", || browser.source().contains("welcome to the shop"));
}

#[test]
fn the_page_shows_that_others_move_and_tells_a_screen_reader_of_the_wait_a_few_times_only() {
    let (_shop, weir) = line("");
    let browser = waits(&weir);
    let live = "return [...document.querySelectorAll('[role=status],[aria-live]')].some(e => e.querySelector('#position,#wait,#moved,#countdown'))";
    assert_eq!(browser.run(live), false, "no number that changes is in a live region");
    // What `page.js` tells of a line, in its words.
    let told = browser.run(
        "const page = document.getElementById('weir'), said = [];
         new MutationObserver(all => said.push(all.at(-1).target.textContent)).observe(document.getElementById('say'), { childList: true });
         for (const high of [900, 700, 590, 580, 400, 299, 120, 59, 50, 29, 10]) {
           document.getElementById('wait').textContent = high;
           page.dispatchEvent(new CustomEvent('weir:line', { detail: [{ segment: 1, serving: 5000 - high }, high] }));
           await 0;
         }
         return [said.length, document.getElementById('moved').textContent]",
    );
    assert_eq!(told[0], 4, "below 10, 5 and 1 minutes and 30 seconds: {told}");
    let moved = told[1].as_str().unwrap();
    assert!(moved.starts_with("People called since you opened this page: "), "{moved}");
}

#[test]
fn questions_are_answered_on_the_page_and_without_a_script_and_the_opened_ones_are_counted() {
    let (_shop, weir) = line("[room.facts]\nprice.en-US = \"From 89 to 149 <euros>\"\n");
    let opened =
        |question| weir.metric(&format!("weir_answers_opened_total{{room=\"launch\",question=\"{question}\"}}"));
    let browser = waits(&weir);
    assert!(browser.source().contains("<li>From 89 to 149 &lt;euros&gt;</li>"), "the facts stand on the page");
    browser.click("#answers a");
    until_true("the questions are there", || shown(&browser, "answers").contains("May I close this page?"));
    browser.click("#answers a[href$='/stock']");
    let answer = "The shop does not tell this page how much is left. From 89 to 149 <euros>";
    until_true("one is answered", || shown(&browser, "answers").contains(answer));
    assert_eq!(browser.run("return document.activeElement.textContent"), "How much is left?");
    assert!(!shown(&browser, "position").is_empty(), "the page goes on");
    assert!((opened("stock") - 1.0).abs() < 0.1, "{}", opened("stock"));

    let plain = Browser::open(false);
    plain.go(&format!("http://{}/.weir/answers/launch/stop", weir.http));
    until_true("it is answered", || plain.source().contains("Nobody is being let in at the moment."));
    assert!((opened("stop") - 1.0).abs() < 0.1, "{}", opened("stop"));
    let back = weir.get("/.weir/answers/launch/wait", &[PAGE]);
    assert!(back.body.contains("href=\"/launch\""), "{}", back.body);
    assert_eq!((back.status, back.header("cache-control")), (200, Some("no-store")));
    assert!(weir.get("/.weir/answers/launch", &[JSON]).json()["answers"].as_array().is_some_and(|all| all.len() == 5));
    assert_eq!(weir.get("/.weir/answers/launch/why", &[PAGE]).status, 404);
    assert_eq!(weir.get("/.weir/answers/nowhere", &[PAGE]).status, 404);
    assert_eq!(weir.send("POST", "/.weir/answers/launch", &[PAGE], "").status, 405);
}

#[test]
fn the_second_script_is_kept_by_browsers_under_the_address_that_names_its_text() {
    let (_shop, weir) = line("");
    let page = weir.get("/launch/item", &[PAGE, ("Accept-Language", "ar")]).body;
    let address = page.split("data-more=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let script = weir.get(address, &[]);
    assert_eq!((script.status, script.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert_eq!(script.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(script.header("vary"), Some("Accept-Encoding"));
    let (file, _) = address.split_once('?').unwrap();
    let of_another = weir.get(&format!("{file}?0123456789ab"), &[]);
    assert_eq!(of_another.header("cache-control"), Some("no-store"), "a gateway of another version has another text");
    assert_eq!(weir.get("/.weir/queue/nl.js", &[]).status, 404);
    assert_eq!(weir.send("POST", address, &[], "").status, 405);
}

#[test]
fn on_a_screen_of_320_pixels_nothing_is_wider_than_it_in_any_language() {
    let (_shop, weir) = line("");
    let browser = Browser::open(true);
    browser.screen(320, 640);
    for language in gateway::ui::Language::ALL {
        // The browser sends its own language: the page is put into an empty one.
        let html = weir.get("/launch/item", &[PAGE, ("Accept-Language", language.tag())]).body;
        browser.go("about:blank");
        let wide = browser.run(&format!(
            "document.open(); document.write({}); document.close();
             return document.documentElement.scrollWidth > innerWidth",
            serde_json::json!(html.split("<script>").next().unwrap())
        ));
        assert_eq!(wide, false, "{language:?}");
    }
}

#[test]
fn the_countdown_goes_by_the_earliest_word_of_the_gateway_until_the_start_is_moved() {
    let browser = Browser::open(true);
    browser.go("about:blank");
    let script = include_str!("../../../queue-ui/before.js");
    let told = browser.run(&format!(
        "document.body.innerHTML = '<main id=weir data-starts=61000><p id=countdown></main>';
         const $ = id => document.getElementById(id), show = (id, text) => $(id) && ($(id).textContent = text), latin = 'en';
         let countDown;
         {script}
         const shown = [$('countdown').textContent], at = [due];
         for (const starts of [62000, 60000, 600000, 30000]) {{ countDown(starts); at.push(due); }}
         shown.push($('countdown').textContent);
         countDown(0);
         return [shown, at[1] === at[0], at[2] < at[0], at[3] > at[0] + 500000, at[4] < at[0]]"
    ));
    let expected = serde_json::json!([["1:01", "0:30"], true, true, true, true]);
    assert_eq!(told, expected, "late, early, put off, brought forward");
}
