//! Changes without an error: a room that is renamed or removed, rooms of a file that count for nothing, pages, and what
//! `weir check` says before anything of that is in force.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::common::browser::Browser;
use crate::common::redis::RedisServer;
use crate::common::{CLOSED, JSON, Kept, PAGE, ROOMY, Shop, Weir, config, nobody, request, until, until_true, weir};
use policy::seal::Sealer;
use serde_json::Value as Json;

const SECRET: &str = "one secret for all the gateways of a line";

/// Room `launch` under another name.
fn renamed(room: &str) -> String {
    room.replace("name = \"launch\"", "name = \"drop\"\nprevious_name = \"launch\"")
}

/// A gateway of those that share this Redis.
fn member(redis: &RedisServer, text: &str) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("shared.secret"), SECRET).unwrap();
    let store = format!("[store]\nkind = \"redis\"\nurl = \"{}\"\nsecret_file = \"shared.secret\"\n", redis.url());
    std::fs::write(dir.path().join("weir.toml"), text.to_owned() + &store).unwrap();
    Weir::start_in(dir)
}

fn reloads(weir: &Weir, what: &str, result: &str) -> f64 {
    weir.metric(&format!("weir_reloads_total{{what=\"{what}\",result=\"{result}\"}}"))
}

/// Exchanges rooms in the file of a gateway, and waits until they are in force.
fn exchange(weir: &Weir, old: &str, new: &str) {
    let before = reloads(weir, "configuration", "ok");
    let text = std::fs::read_to_string(weir.config_file()).unwrap();
    assert!(text.contains(old), "{old} is not in {text}");
    std::fs::write(weir.config_file(), text.replace(old, new)).unwrap();
    until_true("it is in force", || reloads(weir, "configuration", "ok") > before);
}

/// Writes rooms into a file beside the gateway's, and applies it.
fn apply(to: &Weir, rooms: &str, more: &[&str]) -> (i32, String) {
    std::fs::write(to.dir.path().join("rooms.toml"), rooms).unwrap();
    let admin = to.admin.to_string();
    weir(&[&["apply", "rooms.toml", "--admin", &admin], more].concat(), to.dir.path())
}

/// What `weir check` says of a file, which names the admin listener of this gateway.
fn check_against(running: &Weir, text: &str) -> (i32, String) {
    let text = text.replace("admin = \"127.0.0.1:0\"", &format!("admin = \"{}\"", running.admin));
    std::fs::write(running.dir.path().join("next.toml"), text).unwrap();
    weir(&["check", "--config", "next.toml"], running.dir.path())
}

fn status_of(weir: &Weir, room: &str) -> Json {
    let answer = request(weir.admin, "GET", &format!("/api/rooms/{room}/status"), &[], "");
    if answer.status == 200 { answer.json() } else { Json::Null }
}

/// The number of this cookie's holder.
fn number(weir: &Weir, cookie: &str) -> u64 {
    weir.get("/launch/item", &[JSON, ("Cookie", cookie)]).ticket()
}

#[test]
fn a_renamed_room_keeps_its_line_its_passes_and_its_cookie_also_over_a_restart() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, ROOMY));
    let mut holder = Kept::open(weir.http);
    let pass = until("somebody is in", || {
        let answer = holder.get("/launch/item", &[JSON]);
        answer.is_shop().then(|| answer.cookie()).flatten()
    });
    exchange(&weir, ROOMY, CLOSED);
    let waits = weir.get("/launch/item", &[JSON]);
    let cookie = waits.cookie().unwrap();
    exchange(&weir, CLOSED, &renamed(CLOSED));

    assert_eq!(number(&weir, &cookie), waits.ticket());
    let newcomer = weir.get("/launch/item", &[JSON]);
    assert_eq!(newcomer.ticket(), waits.ticket() + 1, "the line goes on");
    assert!(newcomer.cookie().unwrap().starts_with("weir_launch="));
    let now = status_of(&weir, "drop");
    assert_eq!((&now["name"], &now["line"], &now["next"]), (&"drop".into(), &"launch".into(), &3.into()), "{now}");
    assert_eq!(status_of(&weir, "launch"), Json::Null, "to operators it has its new name alone");
    assert_eq!(weir.metric("weir_room_tickets_total{room=\"drop\"}"), 3.0);
    for asked in ["launch", "drop"] {
        let told = weir.get(&format!("/.weir/status/{asked}"), &[]);
        assert_eq!((told.status, &told.json()["room"]), (200, &"launch".into()), "tabs from before go on asking");
    }
    assert!(!weir.log().contains("lose their places"), "{}", weir.log());

    // The connection from before is told to the shop by the new name, with a proof of that.
    let head = holder.get("/launch/headers", &[("Cookie", &pass)]).body;
    let sent = |name: &str| crate::common::of(&head, name).unwrap_or_else(|| panic!("no {name}: {head}")).to_owned();
    let secret = std::fs::read(weir.dir.path().join("weir.secret")).unwrap();
    let proof = Sealer::new(secret.trim_ascii()).unwrap().signature("drop", &sent("weir-pass-id"));
    assert_eq!((sent("weir-room"), sent("weir-signature")), ("drop".to_owned(), proof));

    let weir = Weir::start_in(weir.kill());
    assert_eq!(number(&weir, &cookie), waits.ticket());
    assert!(weir.get("/launch/a.css", &[("Cookie", &pass)]).is_shop());
    weir.is_well();
}

#[test]
fn of_gateways_that_hear_of_a_new_name_one_after_the_other_all_know_everybody_in_line() {
    let (redis, shop) = (RedisServer::start(), Shop::open());
    let text = config(shop.address, CLOSED);
    let (first, second) = (member(&redis, &text), member(&redis, &text));
    let before = first.get("/launch/item", &[JSON]);
    exchange(&first, CLOSED, &renamed(CLOSED));

    let (at_first, at_second) = (first.get("/launch/item", &[JSON]), second.get("/launch/item", &[JSON]));
    assert_eq!([at_first.ticket(), at_second.ticket()], [before.ticket() + 1, before.ticket() + 2], "one line");
    for weir in [&first, &second] {
        for answer in [&before, &at_first, &at_second] {
            assert_eq!(number(weir, &answer.cookie().unwrap()), answer.ticket());
        }
    }
    // A page of the one asks the other as well as its own.
    let page = first.get("/launch/item", &[PAGE]).body;
    let room = page.split("data-room=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    for weir in [&first, &second] {
        assert_eq!(weir.get(&format!("/.weir/status/{room}"), &[]).status, 200, "{room}");
    }

    exchange(&second, CLOSED, &renamed(ROOMY));
    exchange(&first, &renamed(CLOSED), &renamed(ROOMY));
    let cookie = at_second.cookie().unwrap();
    until_true("who waited is let in", || first.get("/launch/item", &[JSON, ("Cookie", &cookie)]).is_shop());
    [&first, &second].into_iter().for_each(Weir::is_well);
}

#[test]
fn a_line_belongs_to_one_room_and_a_name_that_it_once_had_is_not_given_to_another() {
    let shop = Shop::open();
    let text = config(shop.address, CLOSED);
    let weir = Weir::start(&text);
    let other = CLOSED.replace("\"/launch\"", "\"/other\"");
    let both = format!("{}{other}", renamed(CLOSED));
    let (code, told) = check_against(&weir, &config(shop.address, &both));
    let words = "launch is already taken on line";
    assert!(code == 2 && told.contains("room \"launch\": name") && told.contains(words), "{told}");
    let (code, told) = apply(&weir, &both, &[]);
    assert!(code == 1 && told.contains(words), "{told}");
    let before = reloads(&weir, "configuration", "refused");
    std::fs::write(weir.config_file(), config(shop.address, &both)).unwrap();
    until_true("it is refused", || reloads(&weir, "configuration", "refused") > before);
    assert_eq!(status_of(&weir, "launch")["line"], "launch");
    weir.is_well();
}

/// A gateway with one waiting shopper.
fn in_use(store: Option<&RedisServer>) -> (Shop, Weir) {
    let shop = Shop::open();
    let text = config(shop.address, CLOSED);
    let weir = store.map_or_else(|| Weir::start(&text), |redis| member(redis, &text));
    assert!(weir.get("/launch/item", &[JSON]).is_line());
    until_true("they are seen", || status_of(&weir, "launch")["waiting"] == 1);
    (shop, weir)
}

const WHO_LOSES: &str = "1 waiting and 0 inside lose their places, unless a room says previous_name = \"launch\"";

fn says_who_loses_before_it_does(store: Option<&RedisServer>) {
    let (shop, weir) = in_use(store);
    let lost = CLOSED.replace("launch", "sale");
    let (code, told) = check_against(&weir, &config(shop.address, &lost));
    assert!(code == 0 && told.contains(WHO_LOSES) && told.contains("with 1 warning"), "{told}");
    assert!(told.contains(&format!("room \"launch\" is live at {}", weir.admin)), "{told}");
    let (code, told) = check_against(&weir, &config(shop.address, &renamed(CLOSED)));
    assert!(code == 0 && !told.contains("lose"), "{told}");

    let (code, told) = apply(&weir, &lost, &["--dry-run"]);
    assert!(code == 0 && told.contains("room \"launch\": removed\n  1 waiting"), "{told}");
    assert!(told.contains(WHO_LOSES) && told.contains("nothing was changed"), "{told}");
    let (_, told) = apply(&weir, &format!("{CLOSED}cookie_suffix = \"other\"\n"), &["--dry-run"]);
    assert!(told.contains("1 waiting") && told.contains("unless a room says cookie_suffix = \"launch\""), "{told}");
    let (code, told) = apply(&weir, &renamed(CLOSED), &["--dry-run"]);
    assert!(code == 0 && told.contains("name: \"launch\" -> \"drop\"") && !told.contains("lose"), "{told}");

    assert!(!weir.log().contains("lose their places"), "nothing was done so far");
    let (code, told) = apply(&weir, &lost, &[]);
    assert!(code == 0 && told.contains(WHO_LOSES) && told.contains("version 1 is in force"), "{told}");
    let logged = until("the log says it", || {
        weir.log().lines().find(|line| line.contains("lose their places")).map(str::to_owned)
    });
    assert!(logged.contains("\"line\":\"launch\"") && logged.contains("\"waiting\":1"), "{logged}");
}

#[test]
fn who_would_lose_a_place_is_said_before_the_line_goes() {
    says_who_loses_before_it_does(None);
}

#[test]
fn who_would_lose_a_place_is_said_before_the_line_goes_in_redis() {
    says_who_loses_before_it_does(Some(&RedisServer::start()));
}

#[test]
fn who_is_inside_loses_a_place_as_well() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, ROOMY));
    until_true("somebody is in", || weir.get("/launch/item", &[JSON]).is_shop());
    until_true("they are seen", || status_of(&weir, "launch")["active_users"] == 1);
    let (code, told) = check_against(&weir, &config(shop.address, ""));
    assert!(code == 0 && told.contains("0 waiting and 1 inside lose their places"), "{told}");
    let (_, told) = apply(&weir, &CLOSED.replace("launch", "sale"), &["--dry-run"]);
    assert!(told.contains("0 waiting and 1 inside lose their places"), "{told}");
}

#[test]
fn a_file_without_a_line_that_people_wait_in_says_so_when_it_comes_in_force_and_they_are_back_with_it() {
    let (_shop, weir) = in_use(None);
    let cookie = weir.get("/launch/item", &[JSON]).cookie().unwrap();
    let place = number(&weir, &cookie);
    exchange(&weir, CLOSED, "");
    until_true("it is said", || weir.log().contains("lose their places"));
    let line = weir.log().lines().find(|line| line.contains("lose their places")).unwrap().to_owned();
    assert!(line.contains("\"WARN\"") && line.contains("\"waiting\":2") && line.contains("previous_name"), "{line}");
    assert!(weir.get("/launch/item", &[JSON]).body.contains("welcome"), "there is no room");
    exchange(&weir, "upstream = \"shop\"\n", &format!("upstream = \"shop\"\n{}", renamed(CLOSED)));
    assert_eq!(number(&weir, &cookie), place);
}

#[test]
fn an_edit_of_rooms_that_a_version_in_force_overrides_is_said_by_the_check_and_at_the_reload() {
    let shop = Shop::open();
    let text = config(shop.address, CLOSED);
    let weir = Weir::start(&text);
    assert_eq!(apply(&weir, &CLOSED.replace("= 600", "= 700"), &[]).0, 0);
    let edited = text.replace("= 600", "= 900");
    let (code, told) = check_against(&weir, &edited);
    assert!(code == 0 && told.contains("version 1 of the rooms is in force at"), "{told}");
    assert!(told.contains("count for nothing") && told.contains("new_users_per_minute 700 -> 900"), "{told}");
    let (_, told) = check_against(&weir, &text.replace("= 600", "= 700"));
    assert!(!told.contains("count for nothing"), "what they say is in force: {told}");

    exchange(&weir, "= 600", "= 900");
    let line =
        until("it is said", || weir.log().lines().find(|line| line.contains("counts for nothing")).map(str::to_owned));
    let (loud, what) = (line.contains("\"WARN\""), "room \\\"launch\\\" changed: new_users_per_minute 600 -> 900");
    assert!(loud && line.contains(what) && line.contains("weir rollback --to 0"), "{line}");
    assert_eq!(status_of(&weir, "launch")["new_users_per_minute"], 700);
    exchange(&weir, "response_timeout = \"2s\"", "response_timeout = \"3s\"");
    assert_eq!(weir.log().matches("counts for nothing").count(), 1, "only of an edit");

    // A file that the version does not go with is told before it is refused.
    let (code, told) = check_against(&weir, &text.replace("path = \"/\"\nupstream", "path = \"/launch\"\nupstream"));
    assert_eq!(code, 0, "{told}");
    assert_eq!(apply(&weir, &format!("{CLOSED}upstream = \"shop\"\n").replace("= 600", "= 800"), &[]).0, 0);
    let (code, told) = check_against(&weir, &text.replace("\"shop\"", "\"store\""));
    assert!(code == 0 && told.contains("cannot be with this file") && told.contains("no upstream"), "{told}");
}

/// The output of `weir check` on this file, with these files beside it.
fn check(text: &str, files: &[(&str, &str)]) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    std::fs::write(dir.path().join("weir.toml"), text).unwrap();
    weir(&["check", "--config", "weir.toml"], dir.path())
}

#[test]
fn the_check_catches_what_can_be_used_but_was_hardly_meant() {
    let with = |keys: &str| config(nobody(), &format!("{CLOSED}{keys}\n"));
    for (keys, place, words) in [
        ("exact = true", "exact", "what lies below it, such as /launch/other"),
        ("burst = 30\ntotal_active_users = 20", "burst", "is more than total_active_users: 20 can be inside"),
        ("bypass = [\"/launch/img/\"]", "bypass", "write \"/launch/img/*\""),
        (
            "return_paths = [\"/launch/paid/\"]\ncookie_attributes.secure = \"always\"",
            "return_paths",
            "that path alone",
        ),
    ] {
        let (code, told) = check(&with(keys), &[]);
        assert!(code == 0 && told.contains("with 1 warning"), "{keys}: {told}");
        assert!(told.contains(&format!("room \"launch\": {place}: ")) && told.contains(words), "{keys}: {told}");
    }
    for keys in ["burst = 20\ntotal_active_users = 20", "bypass = [\"/launch/img/*\", \"/launch/a.png\"]"] {
        let (code, told) = check(&with(keys), &[]);
        assert!(code == 0 && told.contains("fine"), "{told}");
    }
}

/// A page that asks again by itself.
fn own_page(text: &str) -> String {
    format!(
        "<title>{text}</title><main id=\"weir\" data-room=\"{{{{ room }}}}\" data-page=\"{{{{ page }}}}\" data-line=\"{{{{ line }}}}\" \
         data-ticket=\"{{{{ ticket }}}}\" data-position=\"{{{{ position }}}}\" data-poll=\"{{{{ pollAfterSeconds }}}}\" \
         data-seconds=\"s\" data-minutes=\"m\" data-hours=\"h\"><h1>{text}</h1></main><script>{{{{ script }}}}</script>"
    )
}

const OWN: &str = "custom_page_html = \"own.html\"\n";

#[test]
fn the_check_catches_a_page_that_cannot_poll_or_names_what_no_page_has() {
    let text = config(nobody(), &format!("{CLOSED}{OWN}"));
    let (code, told) = check(&text, &[("own.html", &own_page("please wait"))]);
    assert!(code == 0 && told.contains("fine"), "{told}");
    let silent = "<title>please wait</title><p>{{ position }}</p>{{ refresh }}";
    let (code, told) = check(&text, &[("own.html", silent)]);
    assert!(code == 0 && told.contains("never hears of the line again") && told.contains("custom_page_html"), "{told}");
    for (page, words) in [
        ("<p>\n{{ positon }}", "own.html: unknown variable positon (did you mean position?) (line 2)"),
        (
            "{% if never and posn %}{% endif %}{% set never = 1 %}{% for a in range(3) %}{{ loop.index }}{% endfor %}",
            "unknown variable",
        ),
        ("\n\n{% if room %}", "own.html: "),
    ] {
        let (code, told) = check(&text, &[("own.html", page)]);
        assert!(code == 2 && told.contains(words) && told.contains("custom_page_html"), "{page}: {told}");
    }
}

/// The title of a shopper's page.
fn title(weir: &Weir) -> String {
    let page = weir.get("/launch/item", &[PAGE]).body;
    page.split("<title>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default().to_owned()
}

#[test]
fn pages_and_logos_are_watched_like_the_rest_and_a_broken_one_changes_nothing() {
    let shop = Shop::open();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("own.html"), own_page("first")).unwrap();
    std::fs::write(dir.path().join("logo.svg"), "<svg/>").unwrap();
    let other = CLOSED.replace("launch", "other") + "brand.logo = \"logo.svg\"\n";
    let room = format!("{CLOSED}{OWN}");
    std::fs::write(dir.path().join("weir.toml"), config(shop.address, &format!("{room}{other}"))).unwrap();
    let weir = Weir::start_in(dir);
    let file = |name: &str| weir.dir.path().join(name);
    let told = || weir.get("/.weir/status/launch", &[]).json()["page"].clone();
    let (cookie, before) = (weir.get("/launch/item", &[JSON]).cookie().unwrap(), told());
    let place = number(&weir, &cookie);

    std::fs::write(file("own.html"), own_page("second")).unwrap();
    until_true("it is in force", || title(&weir) == "second");
    until_true("it is told to who waits", || told() != before);
    std::fs::write(file("own.html"), "{{ positon }}").unwrap();
    until_true("it is refused", || reloads(&weir, "pages", "refused") == 1.0);
    assert_eq!(title(&weir), "second");
    std::fs::remove_file(file("own.html")).unwrap();
    until_true("so is none", || reloads(&weir, "pages", "refused") == 2.0);
    std::fs::write(file("new.html"), own_page("third")).unwrap();
    std::fs::rename(file("new.html"), file("own.html")).unwrap();
    until_true("it is in force", || title(&weir) == "third");
    until_true("the log says it", || weir.log().contains("unknown variable positon"));

    let logo = || weir.get("/.weir/logo/other", &[]).body;
    std::fs::write(file("logo.svg"), "<svg> </svg>").unwrap();
    until_true("the logo is in force", || logo() == "<svg> </svg>");

    // The rooms of a version have their pages from the same folder.
    assert_eq!(apply(&weir, &room.replace("= 600", "= 700"), &[]).0, 0);
    std::fs::write(file("own.html"), own_page("fourth")).unwrap();
    until_true("it is in force", || title(&weir) == "fourth");
    assert_eq!(number(&weir, &cookie), place);
    weir.is_well();
}

#[test]
fn a_tab_that_waits_gets_the_new_text_and_keeps_its_place() {
    let browser = Browser::open(true);
    let shop = Shop::open();
    let room =
        |text: &str| format!("{CLOSED}poll.max = \"1s\"\n[room.brand]\nname = \"Shop\"\ntext.en-US = \"{text}\"\n");
    let weir = Weir::start(&config(shop.address, &room("Sizes from noon")));
    weir.get("/launch/item", &[JSON]);
    browser.go(&format!("http://{}/launch/item", weir.http));
    until_true("it waits", || browser.source().contains("Sizes from noon") && browser.text("position") == "2");
    exchange(&weir, "Sizes from noon", "Sizes from one");
    // Spread over some seconds, so that a crowd does not come at once.
    until_true("it has the new text", || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        browser.source().contains("Sizes from one")
    });
    assert_eq!(browser.text("position"), "2");
    assert_eq!(weir.room()["next"], 2, "no other number was taken");
}

#[test]
fn check_and_serve_take_the_file_alike_and_the_version_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let text = config(nobody(), CLOSED);
    std::fs::write(dir.path().join("weir.toml"), &text).unwrap();
    std::fs::write(dir.path().join("other.toml"), text.replace("= 600", "= ")).unwrap();
    for arguments in [&["check"] as &[&str], &["check", "weir.toml"], &["check", "--config", "weir.toml"]] {
        let (code, told) = weir(arguments, dir.path());
        assert!(code == 0 && told.contains("weir.toml: fine"), "{arguments:?}: {told}");
    }
    for arguments in ["check", "serve"]
        .map(|command| [[command, "other.toml"].to_vec(), [command, "--config", "other.toml"].to_vec()])
        .concat()
    {
        let (code, told) = weir(&arguments, dir.path());
        assert!(code == 2 && told.contains("other.toml:"), "{arguments:?}: {told}");
    }
    assert_eq!(weir(&["check", "weir.toml", "--config", "other.toml"], dir.path()).0, 2, "one of the two");
    let (code, told) = weir(&["--version"], dir.path());
    assert_eq!((code, told.as_str()), (0, concat!("weir ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn a_file_can_be_checked_where_no_secret_is() {
    let store = "[store]\nkind = \"redis\"\nurl = \"rediss://127.0.0.1:1\"\nsecret_file = \"shared.secret\"\n\
                 [store.login]\npassword_file = \"redis.password\"\n\
                 [store.tls]\ncertificate = \"cert.pem\"\nkey = \"redis.key\"\n";
    let listen = "workers = 2\nadmin_token_file = \"admin.token\"\nhttps = \"127.0.0.1:0\"\n";
    let text = config(nobody(), CLOSED).replace("workers = 2\n", listen);
    let text = text + store + "[[tls]]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n";
    let text = text.replace("[[route]]", "tls = { certificate = \"cert.pem\", key = \"shop.key\" }\n[[route]]");
    let text = text.replace("servers = [\"", "servers = [\"https://");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("weir.toml"), &text).unwrap();
    std::fs::write(dir.path().join("cert.pem"), "").unwrap();
    let secrets = ["shared.secret", "redis.password", "redis.key", "admin.token", "key.pem", "shop.key"];
    let (code, told) = weir(&["check", "--config", "weir.toml"], dir.path());
    assert!(code == 0 && told.contains("can be used, with"), "{told}");
    for secret in secrets {
        let named = told.lines().any(|line| line.starts_with("warning: ") && line.contains(secret));
        assert!(named, "{secret} is not named in {told}");
    }
    // A gateway needs them.
    let (code, told) = weir(&["serve", "--config", "weir.toml"], dir.path());
    assert!(code == 2 && secrets.iter().all(|secret| told.contains(secret)), "{told}");
    // A check needs all files but the secrets.
    std::fs::remove_file(dir.path().join("cert.pem")).unwrap();
    assert_eq!(weir(&["check", "--config", "weir.toml"], dir.path()).0, 2);
}

#[test]
fn whole_numbers_in_the_operators_json_have_no_point() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &format!("{ROOMY}burst = 5\ntotal_active_users = 7\n")));
    until_true("somebody is in", || weir.get("/launch/item", &[JSON]).is_shop());
    for path in ["/api/rooms", "/api/rooms/launch/status", "/api/gateways", "/api/versions"] {
        let text = request(weir.admin, "GET", path, &[], "").body;
        assert!(!text.contains(".0,") && !text.contains(".0}"), "{path}: {text}");
    }
    let text = request(weir.admin, "GET", "/api/rooms", &[], "").body;
    assert!(text.contains("\"new_users_per_minute\":60000,") && text.contains("\"burst\":5,"), "{text}");
}
