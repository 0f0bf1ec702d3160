//! The shopper's page in a real browser, in every state and language: pictures of it, what axe finds, and twenty browsers at once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod faces;

use std::fs;
use std::path::{Path, PathBuf};

use gateway::ui::Language;
use serde_json::Value;

use crate::common::browser::Browser;
use crate::common::{CLOSED, Shop, Weir, config, until, until_true};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The pages of a language as files: name and address.
fn written(place: &Path, language: Language) -> Vec<(String, String)> {
    let faces = faces::all(language);
    let write = |(name, page): (&'static str, Vec<u8>)| {
        let file = place.join(format!("{}-{name}.html", language.tag()));
        fs::write(&file, page).unwrap();
        (name.to_owned(), format!("file://{}", file.display()))
    };
    faces.into_iter().map(write).collect()
}

/// Shows a page as it is after its first look at the line, with its second script.
fn show(browser: &Browser, address: &str, language: Language) {
    browser.go(address);
    let waits = "return document.getElementById('weir')?.dataset.more !== undefined";
    if browser.run(waits) == true {
        let (script, _) =
            gateway::ui::queue_script(&format!("{}.js", language.tag()), None, gateway::ui::Coding::Identity)
                .expect("a language of the page");
        browser.act(&String::from_utf8_lossy(&script));
        browser.act(
            "const page = document.getElementById('weir'); \
             for (const serving of [1, 1235]) page.dispatchEvent(new CustomEvent('weir:line', { detail: [{ segment: 1, serving }, 900] }))",
        );
    }
}

/// Every state in every language, on a desk and on the narrowest of phones.
#[test]
#[ignore = "pictures of the page: make pictures-page"]
fn pictures_of_every_state_in_every_language() {
    let (place, pages) = (root().join("target/pictures/page"), tempfile::tempdir().unwrap());
    fs::create_dir_all(&place).unwrap();
    for (device, width, height) in [("desk", 1280, 900), ("phone", 320, 1_200)] {
        let browser = Browser::open(true);
        browser.screen(width, height);
        for language in Language::ALL {
            for (name, address) in written(pages.path(), language) {
                show(&browser, &address, language);
                let wide = browser.run("return document.documentElement.scrollWidth > innerWidth");
                assert_eq!(wide, false, "{name} in {language:?} is wider than {width} pixels");
                let picture = place.join(format!("{}-{name}-{device}.png", language.tag()));
                fs::write(picture, browser.picture()).unwrap();
            }
        }
    }
}

/// What axe finds in each state, by the rules of WCAG 2.2 A and AA and its best practices.
#[test]
#[ignore = "needs axe-core: make page"]
fn axe_finds_nothing_in_any_state_and_language_nor_in_the_dark() {
    let axe = fs::read_to_string(root().join("target/axe/node_modules/axe-core/axe.min.js"))
        .expect("deploy/tools world installs it");
    let (pages, browser) = (tempfile::tempdir().unwrap(), Browser::open(true));
    let find = |what: &str| {
        let asked = format!(
            "{axe}; const found = await axe.run({{ resultTypes: ['violations'], rules: {{ 'target-size': {{ enabled: true }} }} }});
             return found.violations.map(it => it.id + ': ' + it.nodes.map(node => node.html).join(' | '))"
        );
        let found = browser.run(&asked);
        let Value::Array(found) = found else { panic!("{what}: {found}") };
        found
    };
    browser.screen(390, 844);
    // Colours are the same in every language.
    for (scheme, languages) in [("light", &Language::ALL[..]), ("dark", &[Language::English, Language::Arabic])] {
        browser.prefers("prefers-color-scheme", scheme);
        for &language in languages {
            for (name, address) in written(pages.path(), language) {
                show(&browser, &address, language);
                let what = format!("{name} in {language:?}, {scheme}");
                let found = find(&what);
                assert!(found.is_empty(), "{what}: {found:#?}");
            }
        }
    }
    browser.act("document.documentElement.lang = ''; document.title = ''");
    assert!(find("a page with faults").len() >= 2, "axe finds what there is to find");
}

/// One shopper in three seconds enters, so that a browser on a busy machine is in time.
#[test]
#[ignore = "twenty browsers: make page"]
fn twenty_browsers_enter_in_the_order_of_their_places() {
    const BROWSERS: usize = 20;
    let shop = Shop::open();
    let room = CLOSED.replace("= 600", "= 20\nburst = 1\npoll.max = \"1s\"");
    let weir = Weir::start(&config(shop.address, &room));
    // One after the other: on a small machine twenty that start at one moment are too slow for their drivers.
    let stands = |n: usize| {
        let browser = Browser::open(true);
        browser.go(&format!("http://{}/launch/item?browser={n}.", weir.http));
        browser
    };
    let browsers: Vec<Browser> = (0..BROWSERS).map(stands).collect();
    let place = |browser: &Browser| until("a place is shown", || browser.text("position").parse::<u64>().ok());
    let mut order: Vec<(u64, usize)> = browsers.iter().enumerate().map(|(n, browser)| (place(browser), n)).collect();
    order.sort_unstable();
    assert_eq!(order.iter().map(|&(place, _)| place).collect::<Vec<_>>(), (1..=BROWSERS as u64).collect::<Vec<_>>());
    let closed = fs::read_to_string(weir.config_file()).unwrap();
    fs::write(weir.config_file(), closed.replace("queue_all = true\n", "")).unwrap();
    let entered = || -> Vec<usize> {
        let number = |head: &String| head.split_once("?browser=")?.1.split_once('.')?.0.parse().ok();
        shop.seen().iter().filter_map(number).collect()
    };
    for count in 1..=BROWSERS {
        until_true("the next one enters", || entered().len() >= count);
    }
    assert_eq!(entered(), order.into_iter().map(|(_, n)| n).collect::<Vec<_>>());
}
