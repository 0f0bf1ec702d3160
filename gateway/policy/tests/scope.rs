//! No spelling of a protected path slips past its room, and nothing else is let through a bypass.
#![expect(clippy::expect_used, reason = "a test may fail")]

use policy::scope::{BadPattern, Literal, NormalPath, Pattern, Table, bare_host};
use proptest::prelude::*;

const SHOP: &str = "shop.example.com";

/// Patterns that end in `/*` cover what is below them, others are exact.
fn table(patterns: &[(&str, &str)]) -> Table<usize> {
    let pattern = |host: &str, path: &str| match path.strip_suffix("/*") {
        Some(_) => Pattern::parse(host, path),
        None => Pattern::exact(host, path),
    };
    let parse = |(value, (host, path)): (usize, &(&str, &str))| (pattern(host, path).expect(path), value);
    Table::new(patterns.iter().enumerate().map(parse).collect())
}

fn found(patterns: &[(&str, &str)], host: &str, path: &str) -> Option<usize> {
    table(patterns).find(&bare_host(host), &NormalPath::of(path)).copied()
}

/// Whether a room over `/launch/*` holds back this path.
fn held(path: &str) -> bool {
    found(&[(SHOP, "/launch/*")], SHOP, path).is_some()
}

fn literally(pattern: &str, path: &str) -> bool {
    Literal::parse(pattern).expect(pattern).matches(path)
}

#[test]
fn an_ipv6_address_is_held_in_each_of_its_spellings() {
    for room in ["[2001:db8::a]", "[2001:DB8:0:0:0:0:0:A]", "[2001:0db8::0.0.0.10]:80"] {
        for asked in ["[2001:db8::a]", "[2001:db8:0::000a]:8080", "[2001:DB8:0:0:0:0:0:A]", "[2001:db8::0.0.0.10]"] {
            assert_eq!(found(&[(room, "/launch/*")], asked, "/launch/x"), Some(0), "{room} {asked}");
        }
        assert_eq!(found(&[(room, "/launch/*")], "[2001:db8::b]", "/launch/x"), None);
    }
    assert_eq!(Pattern::parse("[::1", "/"), Err(BadPattern::Host));
    assert_eq!(Pattern::parse("[x]", "/"), Err(BadPattern::Host));
}

#[test]
fn a_prefix_covers_itself_and_what_lies_below_and_nothing_beside() {
    assert!(held("/launch") && held("/launch/") && held("/launch/a/b"));
    assert!(!held("/launchpad") && !held("/") && !held("/x/launch") && !held(""));
}

#[test]
fn a_path_means_itself_and_what_lies_below_it_with_or_without_a_star() {
    for path in ["/launch", "/launch/", "/launch/*"] {
        assert_eq!(Pattern::parse(SHOP, path), Pattern::parse(SHOP, "/launch"), "{path}");
    }
    assert_eq!(Pattern::parse("*", "/"), Pattern::parse("*", "/*"));
    let root = Table::new(vec![(Pattern::parse("*", "/").expect("the root"), ())]);
    for path in ["/", "/launch", "/a/b/", "//x", "/x/..", "*"] {
        assert!(root.find(SHOP, &NormalPath::of(path)).is_some(), "{path}");
    }
}

#[test]
fn an_exact_path_covers_nothing_below() {
    let cart = [(SHOP, "/cart")];
    assert_eq!(found(&cart, SHOP, "/cart"), Some(0));
    assert_eq!(found(&cart, SHOP, "/cart/"), Some(0));
    assert_eq!(found(&cart, SHOP, "/cart/1"), None);
    assert_eq!(found(&[(SHOP, "/")], SHOP, "/"), Some(0));
    assert_eq!(found(&[(SHOP, "/")], SHOP, "/x"), None);
}

#[test]
fn resolving_before_decoding_or_after_does_not_slip_past() {
    let launch = [(SHOP, "/launch")];
    assert_eq!(found(&launch, SHOP, "/./%6caunch/%2e/../"), Some(0));
    assert_eq!(found(&launch, SHOP, "/launch%3b%2f%6caunch"), Some(0));
}

#[test]
fn everything_is_below_the_root() {
    for path in ["/", "", "*", "/x", "/x/..", "//", "/%", "/%ff", "\u{0}"] {
        assert_eq!(found(&[("*", "/*")], SHOP, path), Some(0), "{path:?}");
        assert_eq!(found(&[("*", "/*")], "", path), Some(0), "{path:?}");
    }
}

#[test]
fn case_does_not_slip_past() {
    assert!(held("/LAUNCH/x") && held("/Launch"));
}

#[test]
fn letters_that_some_server_takes_for_ascii_do_not_slip_past() {
    assert_eq!(found(&[(SHOP, "/desk/*")], SHOP, "/de%C5%BF%E2%84%AA"), Some(0));
}

#[test]
fn percent_encoding_does_not_slip_past() {
    assert!(held("/%6caunch") && held("/%6C%61unch/x") && held("%2flaunch"));
}

#[test]
fn encoding_twice_or_thrice_does_not_slip_past() {
    assert!(held("/%256caunch") && held("/%25256caunch") && held("/%25%36%63aunch"));
}

#[test]
fn encoding_as_iis_knows_it_does_not_slip_past() {
    assert!(held("/%u006caunch") && held("/x%u002f..%u005claunch"));
}

#[test]
fn encoding_that_iis_alone_knows_is_a_name_to_all_others() {
    assert!(held("/x%u002fy/..%2flaunch") && held("/x%u005cy/..%2flaunch") && held("/x%u002fy%2f..%2f%6caunch"));
}

#[test]
fn an_encoded_slash_does_not_slip_past() {
    assert!(held("/launch%2fx") && held("/%2flaunch") && held("/launch%252fx"));
}

#[test]
fn a_backslash_does_not_slip_past() {
    assert!(held("\\launch") && held("/\\launch\\x") && held("/%5claunch") && held("/x\\..\\launch"));
}

#[test]
fn double_slashes_do_not_slip_past() {
    assert!(held("//launch") && held("///launch//x"));
}

/// RFC 3986, section 4.2: `//` begins an authority; browsers' URL standard also takes `\\` for `/` and skips further ones.
#[test]
fn an_authority_before_the_path_does_not_slip_past() {
    for slashes in ["//", "///", "////", "/\\", "\\\\", "/\\/", "//\\", "/%2f", "%2f%2F", "/%5c", "/\t/", "/%09/"] {
        for host in ["x", "x:80", "u:p@x", "x@y", "shop.example.com", "[::1]", "%78", ".."] {
            for path in ["/launch/item", "\\launch", "%2flaunch/item", "/./launch", "//launch", "/x/../launch"] {
                let target = format!("{slashes}{host}{path}");
                assert!(held(&target), "{target:?}");
            }
        }
    }
    assert!(held("////x/launch") && held("///x//y/launch") && held("////launch"));
    assert!(!held("//x/y/launch") && !held("/x//launch") && !held("//launcher/x") && held("/x/..//y/launch"));
}

#[test]
fn an_authority_alone_is_the_root() {
    for path in ["//x", "//x/", "/\\x", "//", "//u@x:80"] {
        assert_eq!(found(&[(SHOP, "/")], SHOP, path), Some(0), "{path}");
    }
}

#[test]
fn dot_segments_do_not_slip_past() {
    assert!(held("/./launch") && held("/x/../launch") && held("/../launch") && held("/x/%2e%2E/launch"));
    assert!(held("/x/.%2e/launch") && held("/x/%252e./launch") && held("/x/y/../../launch/."));
}

#[test]
fn dot_segments_that_a_server_leaves_alone_do_not_slip_past() {
    assert!(held("/launch/../x") && held("/launch/%2e%2e/x") && held("/launch/a%2f..%2f..%2fx"));
    assert!(held("/launch//..") && held("/launch/x\\..\\..\\y"));
}

#[test]
fn parameters_of_segments_do_not_slip_past() {
    assert!(held("/launch;v=1") && held("/launch;v=1/x") && held("/;/launch") && held("/x/..;/launch"));
    assert!(held("/x/..%3bv/launch") && held("/launch;%2f..%2f.."));
}

#[test]
fn control_characters_do_not_slip_past() {
    assert!(held("/lau%00nch") && held("/launch%00.png") && held("/lau%09nch") && held("/%0d%0alaunch"));
}

#[test]
fn an_encoded_query_or_fragment_does_not_slip_past() {
    assert!(held("/launch?x") && held("/launch%3fx") && held("/launch%23x") && held("/launch%253fx"));
}

#[test]
fn trailing_dots_and_spaces_do_not_slip_past() {
    assert!(held("/launch.") && held("/launch%20/x") && held("/x/..%20/launch"));
}

#[test]
fn bytes_that_are_not_utf8_are_a_path_as_any_other() {
    let euc_kr = [(SHOP, "/%c3%e2%bd%c3/*")];
    assert_eq!(found(&euc_kr, SHOP, "/%C3%E2%BD%C3/1"), Some(0));
    assert!(held("/launch/%ff%fe"));
}

#[test]
fn a_pattern_may_be_written_in_any_script() {
    for pattern in ["/출시/*", "/%EC%B6%9C%EC%8B%9C/*"] {
        assert_eq!(found(&[(SHOP, pattern)], SHOP, "/%ec%b6%9c%EC%8B%9C/1"), Some(0));
    }
}

#[test]
fn a_path_too_twisted_to_follow_belongs_to_every_room() {
    let twisted = "/%252525252525252541;a/..//.;/\\x%00?".repeat(40);
    assert!(NormalPath::of(&twisted).is_any());
    assert!(held(&twisted));
    assert!(table(&[(SHOP, "/launch/*")]).is_ambiguous(SHOP, &NormalPath::of(&twisted)));
}

#[test]
fn usual_paths_have_few_readings() {
    for (path, readings) in [("/p/42.html", 1), ("/P/Box", 1), ("/.well-known/x", 1), ("/a,b:c@d!$&'()*+=~-_", 1)] {
        assert_eq!(NormalPath::of(path).readings().count(), readings, "{path}");
    }
    assert_eq!(NormalPath::of("/%EC%B6%9C%EC%8B%9C").readings().count(), 2);
    assert_eq!(NormalPath::of("/go/https%3A%2F%2Fexample.com%2F").readings().count(), 4);
}

#[test]
fn the_most_specific_pattern_wins_in_whatever_order_they_are_given() {
    let mut patterns = vec![
        ("shop.example.com", "/a/b"),
        ("shop.example.com", "/a/b/*"),
        ("shop.example.com", "/a/*"),
        ("*.example.com", "/a/b"),
        ("*.com", "/a/b"),
        ("*", "/a/b/c/d"),
    ];
    for _ in 0..2 {
        let winner = |host, path| found(&patterns, host, path).map(|index| patterns[index]);
        assert_eq!(winner(SHOP, "/a/b"), Some(("shop.example.com", "/a/b")));
        assert_eq!(winner(SHOP, "/a/b/c"), Some(("shop.example.com", "/a/b/*")));
        assert_eq!(winner(SHOP, "/a/b/c/d"), Some(("shop.example.com", "/a/b/*")));
        assert_eq!(winner(SHOP, "/a/c"), Some(("shop.example.com", "/a/*")));
        assert_eq!(winner(SHOP, "/c"), None);
        assert_eq!(winner("x.y.example.com", "/a/b"), Some(("*.example.com", "/a/b")));
        assert_eq!(winner("other.com", "/a/b"), Some(("*.com", "/a/b")));
        assert_eq!(winner("other.org", "/a/b/c/d"), Some(("*", "/a/b/c/d")));
        patterns.reverse();
    }
}

#[test]
fn a_star_covers_every_depth_below_a_name_but_not_the_name() {
    let below = [("*.example.com", "/*")];
    assert_eq!(found(&below, "a.example.com", "/"), Some(0));
    assert_eq!(found(&below, "a.b.example.com", "/"), Some(0));
    assert_eq!(found(&below, "example.com", "/"), None);
    assert_eq!(found(&below, "badexample.com", "/"), None);
}

#[test]
fn case_port_and_trailing_dot_of_a_host_do_not_count() {
    for host in ["SHOP.example.com", "shop.example.com:8080", "shop.example.com.", "Shop.Example.Com.:443"] {
        assert_eq!(found(&[("Shop.Example.com:80", "/*")], host, "/"), Some(0), "{host}");
    }
    assert_eq!(found(&[("[::1]", "/*")], "[::1]:8080", "/"), Some(0));
    assert_eq!(bare_host("A.b.:1"), "a.b");
}

#[test]
fn a_path_that_may_be_in_two_rooms_is_ambiguous() {
    let rooms = table(&[(SHOP, "/launch/*"), (SHOP, "/other/*")]);
    let ambiguous = |path| rooms.is_ambiguous(SHOP, &NormalPath::of(path));
    assert!(ambiguous("/launch/../other") && ambiguous("/other/%2e%2e/launch"));
    assert!(!ambiguous("/launch/../x") && !ambiguous("/x/../launch") && !ambiguous("/launch//a;b/%41"));
    assert!(!rooms.is_ambiguous("elsewhere", &NormalPath::of("/launch/../other")));
}

#[test]
fn a_pattern_that_servers_would_read_differently_is_refused() {
    for path in
        ["/a//b", "/a/../b", "/a/./*", "/a;b", "/a?b", "/a#b", "/a\\b", "/%2541", "/a%2f/*", "/a/%00", "/a.", "//*"]
    {
        assert_eq!(Pattern::parse("*", path), Err(BadPattern::Twisted), "{path}");
    }
    for path in ["/a*", "/*/b", "/a/*/*"] {
        assert_eq!(Pattern::parse("*", path), Err(BadPattern::Star), "{path}");
    }
    assert_eq!(Pattern::exact("*", "/a/*"), Err(BadPattern::Star));
    assert_eq!(Literal::parse("//*"), Err(BadPattern::Twisted));
    for path in ["", "a", "*", "http://x/"] {
        assert_eq!(Pattern::parse("*", path), Err(BadPattern::Relative), "{path}");
    }
    for host in ["", "*.", "a.*", "*a.com", "**", "a b", "a/b", ".a", "a..b", "*.*.a", "*.[::1]"] {
        assert_eq!(Pattern::parse(host, "/*"), Err(BadPattern::Host), "{host}");
    }
}

#[test]
fn a_bypass_matches_only_what_is_spelled_as_it_is() {
    assert!(literally("/launch/Logo.svg", "/launch/Logo.svg"));
    for other in
        ["/launch/logo.svg", "/launch/Logo.svg/", "/launch/Logo%2esvg", "//launch/Logo.svg", "/launch/Logo.svg;x"]
    {
        assert!(!literally("/launch/Logo.svg", other), "{other}");
    }
    assert!(literally("/출시.svg", "/출시.svg") && literally("/%EC%B6%9C.svg", "/%EC%B6%9C.svg"));
}

#[test]
fn nothing_reaches_a_protected_path_through_a_bypass() {
    assert!(literally("/static/*", "/static") && literally("/static/*", "/static/A/b.v2.js"));
    for other in [
        "/static/../launch",
        "/static/..",
        "/static/%2e%2e/launch",
        "/static/..;/launch",
        "/static/..\\launch",
        "/static//x",
        "/static/x%2f",
        "/static/%2541",
        "/static/;x",
        "/static/./x",
        "/static/x.",
        "/static/\u{e9}",
        "/static/x?y",
        "/static/x#y",
        "/statics",
        "/STATIC/x",
        "/static\\x",
    ] {
        assert!(!literally("/static/*", other), "{other}");
    }
    assert!(literally("/*", "/x") && literally("/*", "/") && !literally("/*", "//") && !literally("/*", "/../x"));
}

/// Rewrites of a path by a server in the way to the shop, in any order and any number.
#[derive(Debug, Clone, Copy)]
enum Server {
    Decode,
    DecodeButSlashes,
    DecodeUnreserved,
    Backslashes,
    Parameters,
    Collapse,
    Authority,
    Dots,
    BrowserDots,
    Lower,
    CutAtNul,
    DropControls,
}

const SERVERS: [Server; 12] = [
    Server::Decode,
    Server::DecodeButSlashes,
    Server::DecodeUnreserved,
    Server::Backslashes,
    Server::Parameters,
    Server::Collapse,
    Server::Authority,
    Server::Dots,
    Server::BrowserDots,
    Server::Lower,
    Server::CutAtNul,
    Server::DropControls,
];

impl Server {
    fn does(self, path: &str) -> String {
        match self {
            Self::Decode => decoded(path, |_| true),
            Self::DecodeButSlashes => decoded(path, |c| !"/\\".contains(c)),
            Self::DecodeUnreserved => decoded(path, |c| c.is_ascii_alphanumeric() || "-._~".contains(c)),
            Self::Backslashes => path.replace('\\', "/"),
            Self::Parameters => each(path, |segment, out| out.push(segment.split(';').next().unwrap_or_default())),
            Self::Collapse => each(path, |segment, out| out.extend(Some(segment).filter(|s| !s.is_empty()))),
            Self::Authority => path.strip_prefix("//").map_or(path.to_owned(), |rest| {
                let rest = rest.trim_start_matches('/');
                rest.find('/').map_or("/", |end| &rest[end..]).to_owned()
            }),
            Self::Dots => each(path, |segment, out| resolve(segment, segment, out)),
            Self::BrowserDots => each(path, |segment, out| {
                resolve(&segment.to_lowercase().replace("%2e", "."), segment, out);
            }),
            Self::Lower => path.to_lowercase(),
            Self::CutAtNul => path.split('\0').next().unwrap_or_default().to_owned(),
            Self::DropControls => path.replace(|c: char| c.is_ascii_control(), ""),
        }
    }
}

fn decoded(path: &str, wanted: impl Fn(char) -> bool) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let byte = rest.strip_prefix('%').and_then(|r| r.get(..2)).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(c) = byte.map(char::from).filter(|c| c.is_ascii() && wanted(*c)) {
            out.push(c);
            rest = &rest[3..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

fn each<'a>(path: &'a str, add: impl Fn(&'a str, &mut Vec<&'a str>)) -> String {
    let mut out = Vec::new();
    path.split('/').skip(1).for_each(|segment| add(segment, &mut out));
    format!("/{}", out.join("/"))
}

fn resolve<'a>(read: &str, segment: &'a str, out: &mut Vec<&'a str>) {
    match read {
        "." => {}
        ".." => drop(out.pop()),
        _ => out.push(segment),
    }
}

/// One character, plain or encoded up to three times.
fn spelled(c: char, times: u8) -> String {
    (0..times).fold(c.to_string(), |text, _| {
        if text.len() == 1 { format!("%{:02x}", c as u32) } else { text.replace('%', "%25") }
    })
}

fn spelling(text: &'static str) -> impl Strategy<Value = String> {
    let letter = |c: char| {
        (prop_oneof![6 => Just(0), 2 => Just(1), 1 => 2..=3u8], any::<bool>())
            .prop_map(move |(times, upper)| spelled(if upper { c.to_ascii_uppercase() } else { c }, times))
    };
    text.chars().map(letter).collect::<Vec<_>>().prop_map(|letters| letters.concat())
}

/// Something between two segments that a server may take for one slash.
fn slash() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => spelling("/"), 1 => spelling("//"), 1 => spelling("\\"), 1 => spelling("/./"), 1 => spelling("/x/../"),
        1 => spelling("/..;a=1/").prop_map(|up| format!("/x{up}")), 1 => spelling("/x\\..\\"), 1 => spelling(";v=1/"),
    ]
}

fn respelled() -> impl Strategy<Value = String> {
    let parts = (
        slash(),
        spelling("launch"),
        slash(),
        spelling("checkout"),
        prop_oneof![Just(""), Just("/"), Just(";v=1"), Just("%00")],
    );
    parts.prop_map(|(a, launch, b, checkout, end)| format!("/{a}{launch}{b}{checkout}{end}"))
}

/// Paths of pieces that parsers stumble over.
fn twisted() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "/",
        "/",
        "/",
        ".",
        "..",
        "a",
        "launch",
        "launch",
        "LAUNCH",
        "\\",
        ";",
        ";x",
        "%2f",
        "%2F",
        "%2e",
        "%2e%2e",
        "%5c",
        "%252f",
        "%252e",
        "%25",
        "%00",
        "%3b",
        "%6caunch",
        "laun%63h",
        "laun%2563h",
        "//",
        "/../",
        "/./",
        "\t",
        "x",
    ]);
    prop::collection::vec(part, 1..14).prop_map(|parts| format!("/{}", parts.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_respelled_protected_path_is_always_found(path in respelled()) {
        prop_assert_eq!(found(&[(SHOP, "/launch/checkout")], SHOP, &path), Some(0));
    }

    #[test]
    fn what_any_chain_of_servers_maps_to_a_protected_path_is_found(
        path in twisted(),
        chain in prop::collection::vec(prop::sample::select(SERVERS.to_vec()), 0..8),
    ) {
        let seen = chain.iter().fold(path.clone(), |path, server| server.does(&path));
        let seen = seen.to_lowercase();
        let seen = seen.trim_end_matches('/');
        if seen == "/launch" {
            prop_assert!(found(&[(SHOP, "/launch")], SHOP, &path).is_some(), "exact: {path:?} by {chain:?}");
        }
        if seen == "/launch" || seen.starts_with("/launch/") {
            prop_assert!(held(&path), "prefix: {path:?} by {chain:?}");
        }
    }

    #[test]
    fn reading_a_reading_again_adds_nothing(path in twisted()) {
        let normal = NormalPath::of(&path);
        for reading in normal.readings() {
            let Ok(text) = std::str::from_utf8(reading) else { continue };
            let again = NormalPath::of(text);
            prop_assert!(again.readings().all(|r| normal.readings().any(|known| known == r)));
        }
    }

    #[test]
    fn a_bypassed_path_has_no_other_reading(path in twisted().prop_map(|path| format!("/launch{path}"))) {
        if literally("/launch/*", &path) {
            prop_assert_eq!(NormalPath::of(&path).readings().count(), 1);
        }
    }

    #[test]
    fn no_path_makes_it_panic(path in any::<String>(), host in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let encoded = bytes.iter().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        let rooms = table(&[(SHOP, "/launch/*"), ("*", "/x")]);
        for path in [path.as_str(), &encoded, &String::from_utf8_lossy(&bytes)] {
            let normal = NormalPath::of(path);
            rooms.find(&bare_host(&host), &normal);
            rooms.is_ambiguous(&bare_host(&host), &normal);
            let _ = Pattern::parse(&host, path);
            let _ = Literal::parse(path).map(|literal| literal.matches(path));
        }
    }

    #[test]
    fn a_pattern_always_finds_what_it_says(segments in prop::collection::vec("[a-zA-Z0-9가-힣 _-]{1,6}", 1..4)) {
        let path = format!("/{}", segments.join("/"));
        if Pattern::parse(SHOP, &path).is_ok() {
            prop_assert_eq!(found(&[(SHOP, &path)], SHOP, &path), Some(0));
            let below = format!("{path}/*");
            prop_assert_eq!(found(&[(SHOP, &below)], SHOP, &format!("{path}/x")), Some(0));
        }
    }
}

#[test]
fn folding_a_letter_twice_is_folding_it_once() {
    let changes = |letter: &char| !letter.to_lowercase().eq([*letter]) || !letter.to_uppercase().eq([*letter]);
    for letter in ('\u{80}'..=char::MAX).filter(changes) {
        let text = format!("/{letter}");
        let normal = NormalPath::of(&text);
        let first = normal.readings().next().expect("one reading").to_vec();
        let text = String::from_utf8(first.clone()).expect("letters");
        assert_eq!(NormalPath::of(&text).readings().next(), Some(first.as_slice()), "{letter:?}");
    }
}
