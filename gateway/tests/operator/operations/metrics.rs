//! `/metrics`: what it says, that Prometheus takes it, and that it is what the documents list.

use std::collections::BTreeSet;
use std::process::Command;

use gateway::telemetry::catalogue::{self, ALL, Metric};
use gateway::telemetry::meters::{DISPOSITIONS, VERDICTS};

use super::{path, run, text};
use crate::common::{
    CLOSED, JSON, PAGE, ROOMY, Shop, Weir, answering, config, enters_in_turn, nobody, ok, request, until_true,
};

/// Metrics that a gateway tells only where there is something to tell.
const SOMETIMES: [&Metric; 18] = [
    &catalogue::ANSWERS_OPENED,
    &catalogue::STORE_CLOCK_JUMPS,
    &catalogue::UNANSWERED,
    &catalogue::SHOP_WORDS,
    &catalogue::ROOM_STOCK_LEFT,
    &catalogue::ROOM_STOCK_HELD,
    &catalogue::ROOM_STOCK_STATE,
    &catalogue::ROOM_SHOWN_WAIT,
    &catalogue::ROOM_LOSSES,
    &catalogue::LEASE_GRANTS,
    &catalogue::ROOM_EVICTIONS,
    &catalogue::ROOM_SIGNAL_FULL,
    &catalogue::ROOM_SIGNAL_FRESH,
    &catalogue::UPSTREAM_RESOLVED,
    &catalogue::UPSTREAM_TLS_FAILURES,
    &catalogue::UPSTREAM_HTTP2_FAILURES,
    &catalogue::CONNTRACK_DROPS,
    &catalogue::LISTEN_DROPS,
];

fn page(weir: &Weir) -> String {
    request(weir.admin, "GET", "/metrics", &[], "").body
}

/// A gateway over TLS, with a room that has every limit.
fn gateway(shop: &Shop) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
    std::fs::write(dir.path().join("shop.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.path().join("shop.key"), made.signing_key.serialize_pem()).unwrap();
    let text = config(shop.address, ROOMY).replace("admin =", "https = \"127.0.0.1:0\"\nadmin =");
    let orders = "[[route]]\nhost = \"*\"\npath = \"/launch/order\"\nclass = \"order\"\nmax_in_flight = 20\n[[room]]";
    let text = text.replace("[[room]]", orders);
    let tls = "max_in_flight = 50\ntotal_active_users = 500\n[[tls]]\ncertificate = \"shop.pem\"\nkey = \"shop.key\"\n";
    std::fs::write(dir.path().join("weir.toml"), text + tls).unwrap();
    Weir::start_in(dir)
}

#[test]
fn prometheus_finds_no_fault_with_them_and_they_are_those_of_the_catalogue() {
    let shop = Shop::open();
    let weir = gateway(&shop);
    until_true("somebody is inside", || weir.get("/launch/item", &[JSON]).is_shop());
    weir.get("/", &[]);
    until_true("the kernel was asked", || page(&weir).contains("weir_machine_used"));
    let page = page(&weir);
    let (fine, said) = run(Command::new("promtool").args(["check", "metrics"]), &page);
    assert!(fine && said.is_empty(), "{said}");
    let told: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let listed: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
    assert!(told.is_subset(&listed), "{:?}", told.difference(&listed));
    let sometimes: BTreeSet<_> = SOMETIMES.iter().map(|metric| metric.name).collect();
    let of_the_kernel = |name: &&&str| !name.starts_with("weir_machine_");
    let missing: Vec<_> =
        listed.difference(&told).filter(of_the_kernel).filter(|name| !sometimes.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?}");

    let valid_until = weir.metric(&format!(
        "weir_certificate_not_after_timestamp_seconds{{shown_to=\"shoppers\",file=\"{}\"}}",
        weir.dir.path().join("shop.pem").display()
    ));
    assert!(valid_until > 4e9, "rcgen's certificates are of the far future: {valid_until}");
    assert_eq!(weir.metric(&format!("weir_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1.0);
    let [open, most] = ["process_open_fds", "process_max_fds"].map(|name| weir.metric(name));
    assert!(open > 5.0 && open < most, "{open} of {most}");
    assert!(weir.metric("process_resident_memory_bytes") > 1e6 && weir.metric("process_start_time_seconds") > 1e9);
    assert_eq!((weir.metric("weir_ready"), weir.metric("weir_gateways")), (1.0, 1.0));
}

/// Where the list begins and ends in the document.
const LIST: [&str; 2] = ["<!-- metrics -->\n", "<!-- end of metrics -->\n"];

#[test]
fn the_document_lists_the_metrics_of_the_program() {
    let document = text("docs/metrics.md");
    let (before, rest) = document.split_once(LIST[0]).unwrap();
    let (listed, after) = rest.split_once(LIST[1]).unwrap();
    if std::env::var_os("WEIR_WRITE_DOCUMENTS").is_some() {
        let written = [before, LIST[0], &catalogue::table(), LIST[1], after].concat();
        std::fs::write(path("docs/metrics.md"), written).unwrap();
        return;
    }
    assert_eq!(listed, catalogue::table(), "WEIR_WRITE_DOCUMENTS=1 with this test writes the list anew");
    for word in VERDICTS.iter().chain(DISPOSITIONS.iter().map(|(name, _)| name)) {
        assert!(after.contains(&format!("`{word}`")), "{word} is not explained");
    }
}

#[test]
fn answers_of_each_server_count_by_class_of_traffic_and_status_and_go_on_after_a_reload() {
    let shop = answering(|head| match head {
        bad if bad.contains("/bad") => b"HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n".to_vec(),
        _ => ok("welcome to the shop"),
    });
    let text = config(shop, ROOMY);
    let weir = Weir::start(&text);
    until_true("the room has saved up its burst", || weir.room()["serving"].as_u64().unwrap() >= 100);
    let pass = weir.get("/launch/item", &[JSON]).cookie().unwrap();
    for path in ["/", "/", "/bad"] {
        weir.get(path, &[]);
    }
    weir.get("/launch/bad", &[PAGE, ("Cookie", &pass)]);
    let answers = |class: &str, status: &str| {
        let labels = format!("upstream=\"shop\",server=\"{shop}\",class=\"{class}\"");
        weir.metric(&format!("weir_upstream_responses_total{{{labels},status=\"{status}\"}}"))
    };
    let seen =
        || [("anonymous", "2xx"), ("anonymous", "5xx"), ("pass", "2xx"), ("pass", "5xx")].map(|(c, s)| answers(c, s));
    assert_eq!(seen(), [2.0, 1.0, 1.0, 1.0]);
    let latency = |end: &str, le: &str| {
        let labels = format!("upstream=\"shop\",server=\"{shop}\",class=\"anonymous\"{le}");
        weir.metric(&format!("weir_upstream_response_seconds_{end}{{{labels}}}"))
    };
    assert_eq!((latency("count", ""), latency("bucket", ",le=\"+Inf\"")), (3.0, 3.0));
    assert!(latency("sum", "") > 0.0 && latency("bucket", ",le=\"0.001\"") <= latency("bucket", ",le=\"30\""));
    let shoppers = |disposition: &str, status: &str, room: &str| {
        weir.metric(&format!(
            "weir_responses_total{{room=\"{room}\",disposition=\"{disposition}\",status=\"{status}\"}}"
        ))
    };
    assert_eq!((shoppers("open", "2xx", ""), shoppers("open", "5xx", "")), (2.0, 1.0));
    assert_eq!((shoppers("admitted", "2xx", "launch"), shoppers("admitted", "5xx", "launch")), (1.0, 1.0));

    let reloads = "weir_reloads_total{what=\"configuration\",result=\"ok\"}";
    let change = |text: &str| {
        let before = weir.metric(reloads);
        std::fs::write(weir.config_file(), text).unwrap();
        until_true("it is in force", || weir.metric(reloads) > before);
    };
    change(&text.replace("response_timeout", "max_in_flight = 150\nresponse_timeout"));
    weir.get("/", &[]);
    assert_eq!(seen(), [3.0, 1.0, 1.0, 1.0], "another upstream of that name, the same servers");
    assert_eq!(weir.metric("weir_upstream_requests_total{upstream=\"shop\",result=\"answered\"}"), 6.0);
    assert_eq!(weir.metric("weir_upstream_in_flight_limit{upstream=\"shop\"}"), 150.0);
    change(&config(shop, ""));
    assert!(!page(&weir).contains("launch"), "a room that is gone is gone: {}", page(&weir));
}

#[test]
fn requests_count_by_what_became_of_them_and_limits_and_switches_are_told() {
    let shop = nobody();
    let limits = "suspended = true\ntotal_active_users = 7\nmax_in_flight = 3\nburst = 5\n";
    let weir = Weir::start(&config(shop, &format!("{CLOSED}{limits}")));
    weir.get("/launch/item", &[JSON]);
    weir.get("/", &[]);
    let of_room = |name: &str| weir.metric(&format!("{name}{{room=\"launch\"}}"));
    for (name, value) in [
        ("weir_room_suspended", 1.0),
        ("weir_room_queue_all", 1.0),
        ("weir_room_admissions_limit_per_second", 10.0),
        ("weir_room_burst_limit", 5.0),
        ("weir_room_active_users_limit", 7.0),
        ("weir_room_in_flight_limit", 3.0),
    ] {
        assert_eq!(of_room(name), value, "{name}");
    }
    let told = page(&weir);
    for line in [
        "weir_responses_total{room=\"launch\",disposition=\"refused\",status=\"5xx\"} 1",
        "weir_responses_total{room=\"\",disposition=\"failed\",status=\"5xx\"} 1",
        "weir_responses_total{room=\"\",disposition=\"shed\",status=\"5xx\"} 0",
        "weir_requests_unanswered_total{room=\"\",reason=\"upstream_unreachable\"} 1",
        &format!("weir_upstream_failures_total{{upstream=\"shop\",server=\"{shop}\",reason=\"connect\"}} 1"),
        "weir_last_reload_ok{what=\"configuration\"} 1",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} is not in {told}");
    }
}

#[test]
fn the_wait_of_who_enters_from_the_line_is_held_against_what_they_were_shown() {
    let shop = Shop::open();
    let open = CLOSED.replace("queue_all = true", "burst = 1\n[room.poll]\nmin = \"200ms\"\nmax = \"400ms\"");
    let weir = Weir::start(&config(shop.address, &open));
    let come = || enters_in_turn(&weir);
    std::thread::scope(|scope| (0..25).for_each(|_| drop(scope.spawn(come))));
    let claims = weir.metric("weir_requests_total{room=\"launch\",verdict=\"claim\"}");
    assert!(claims > 0.0, "some of them had to wait");
    assert_eq!(weir.metric("weir_room_wait_seconds_count{room=\"launch\"}"), claims);
    assert!(weir.metric("weir_room_wait_seconds_sum{room=\"launch\"}") > 0.5);
    let against = ["before", "within", "after", "unknown"]
        .map(|entered| weir.metric(&format!("weir_room_shown_waits_total{{room=\"launch\",entered=\"{entered}\"}}")));
    assert_eq!(against.iter().sum::<f64>(), claims, "{against:?}");
}
