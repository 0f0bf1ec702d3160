//! The documents against the repository: links, commands, configurations, figures and the map of modules.
//!
//! It needs the program `loadtest` beside `weir`: a build of the workspace has both.
#![allow(clippy::unwrap_used, reason = "tests")]

mod arrows;
mod commands;
pub(crate) mod markdown;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::program::ports;
use crate::common::{PAGE, Shop, WEIR, Weir, config, free_address, of, request, until_true, weir};
use markdown::{Block, Document, document, documents, root};

/// A room from which a file of `weir apply` differs.
const OPEN: &str = "[[room]]\nname = \"launch\"\nhost = \"*\"\npath = \"/launch\"\nnew_users_per_minute = 600\n";

/// A launch into which a part of one is put.
const SCENARIO: &str = r#"
name = "part"
[room]
new_users_per_minute = 300
[[arrivals]]
kind = "flat"
rate = 5
for = "1m"
[shoppers]
patient = 1
"#;

fn blocks(language: &str) -> Vec<Block> {
    let all = documents().into_iter().flat_map(|document| document.blocks());
    all.filter(|block| block.language == language).collect()
}

/// The block of commands below this heading.
fn script(path: &str, heading: &str) -> String {
    let blocks = document(path).blocks();
    let found = blocks.into_iter().find(|block| block.language == "sh" && block.heading == heading);
    found.unwrap_or_else(|| panic!("{path} has no commands below {heading:?}")).text
}

/// Runs a script as it stands in a document, with `weir` and `loadtest` in the `PATH`.
fn run(script: &str, dir: &Path) -> String {
    let programs = Path::new(WEIR).parent().unwrap().display();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let done =
        Command::new("bash").args(["-euo", "pipefail", "-c", script]).current_dir(dir).env("PATH", path).output();
    let done = done.unwrap();
    let told = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{script}\n{told}");
    told
}

/// A script that is asked to end, and waited for.
struct Script(Child);

impl Script {
    fn end(&mut self) -> bool {
        let asked = Command::new("kill").arg(self.0.id().to_string()).status();
        asked.is_ok_and(|asked| asked.success()) && self.0.wait().is_ok_and(|ended| ended.success())
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.end();
        }
    }
}

#[test]
fn the_readme_is_short() {
    assert!(document("README.md").text.lines().count() <= 100);
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let documents = documents();
    let broken: Vec<String> = documents.iter().flat_map(Document::broken_links).collect();
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(documents.iter().map(|document| document.links().len()).sum::<usize>() > 100, "they are found");
}

#[test]
fn every_file_that_is_named_is_there() {
    let named = documents().into_iter().flat_map(|document| document.spans());
    let tops = ["gateway/", "loadtest/", "benches/", "deploy/", "docs/", "fuzz/", "queue-ui/"];
    let files =
        named.filter(|name| tops.iter().any(|top| name.starts_with(top)) && !name.contains([' ', '*', ':', '{']));
    let files: BTreeSet<String> = files.collect();
    assert!(files.len() > 15, "{files:?}");
    let missing: Vec<_> = files.iter().filter(|file| !root().join(file).exists()).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_command_has_its_target_program_and_options() {
    let mut checked = commands::Checked::default();
    let scripts = blocks("sh").into_iter().map(|block| (block.document, block.text));
    let spans = documents().into_iter().flat_map(|document| {
        let path = document.path.clone();
        document.spans().into_iter().map(move |span| (path.clone(), span))
    });
    for (document, text) in scripts.chain(spans) {
        checked.script(&document, &text);
    }
    assert!(checked.faults.is_empty(), "{:#?}", checked.faults);
    assert!(checked.seen > 100, "only {} were found", checked.seen);
}

#[test]
fn every_configuration_in_the_documents_is_taken() {
    let blocks = blocks("toml");
    assert!(blocks.len() > 10);
    for block in blocks {
        let part: toml::Table = block.text.parse().unwrap_or_else(|error| panic!("{}: {error}", block.document));
        let is_of_a_launch = ["journey", "attack", "shop"].iter().any(|section| part.contains_key(*section));
        let (code, told) = if is_of_a_launch { checked_scenario(&part) } else { checked_configuration(part) };
        assert_eq!(code, 0, "{}, below {:?}:\n{told}", block.document, block.heading);
    }
}

/// What `weir check` says of a part of a configuration, completed.
fn checked_configuration(mut part: toml::Table) -> (i32, String) {
    let sections = ["listen", "admin", "tls", "node", "store", "quota", "log", "metrics", "upstream", "route", "room"];
    if !part.keys().all(|key| sections.contains(&key.as_str())) {
        part = toml::Table::from_iter([("room".to_owned(), part.into())]);
    }
    let shop = "name = \"shop\"\nservers = \"127.0.0.1:9000\"";
    let room = "name = \"launch\"\nhost = \"shop.example.com\"\nupstream = \"shop\"\nnew_users_per_minute = 600";
    for (section, least) in [("upstream", shop), ("room", room)] {
        let written = part.remove(section).unwrap_or_else(|| toml::Table::new().into());
        let written = written.as_array().cloned().unwrap_or_else(|| vec![written]);
        let whole = written.iter().map(|written| completed(written.as_table().unwrap(), least).into()).collect();
        part.insert(section.to_owned(), toml::Value::Array(whole));
    }
    let listen = part.entry("listen").or_insert_with(|| toml::Table::new().into()).as_table_mut().unwrap();
    listen.entry("admin").or_insert_with(|| free_address().to_string().into());
    let folder = tempfile::tempdir().unwrap();
    if listen.contains_key("https") {
        let made = rcgen::generate_simple_self_signed(["shop.example.com".to_owned()]).unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let tls: toml::Table = "certificate = \"cert.pem\"\nkey = \"key.pem\"".parse().unwrap();
        part.insert("tls".to_owned(), vec![toml::Value::from(tls)].into());
    }
    std::fs::write(folder.path().join("weir.toml"), toml::to_string(&part).unwrap()).unwrap();
    weir(&["check", "weir.toml"], folder.path())
}

/// A table with what else it has to have.
fn completed(written: &toml::Table, least: &str) -> toml::Table {
    let mut whole: toml::Table = least.parse().unwrap();
    whole.extend(written.clone());
    whole
}

/// What `loadtest check` says of a part of a scenario, completed.
fn checked_scenario(part: &toml::Table) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let whole = completed(part, SCENARIO);
    std::fs::write(folder.path().join("launch.toml"), toml::to_string(&whole).unwrap()).unwrap();
    let users = format!("email,password\n{}", "shopper@example.com,secret\n".repeat(400));
    std::fs::write(folder.path().join("sneaker-users.csv"), users).unwrap();
    let done = commands::loadtest().args(["check", "launch.toml"]).current_dir(folder.path()).output().unwrap();
    let told = [done.stdout, done.stderr].concat();
    (done.status.code().unwrap(), String::from_utf8(told).unwrap())
}

#[test]
fn the_short_configuration_of_the_readme_lets_shoppers_in() {
    let shop = Shop::open();
    let blocks = document("README.md").blocks();
    let short = &blocks.iter().find(|block| block.language == "toml").unwrap().text;
    let with_ports = "[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n";
    let weir = Weir::start(&format!("{with_ports}{}", short.replace("127.0.0.1:9000", &shop.address.to_string())));
    let inside = weir.get("/launch/item", &[PAGE]);
    assert!(inside.is_shop() && inside.cookie().is_some(), "{inside:?}");
    assert!(weir.get("/", &[PAGE]).is_shop(), "the rest of the shop goes straight through");
    assert_eq!(weir.room()["new_users_per_minute"], 600, "{}", weir.room());
}

#[test]
fn rooms_are_applied_listed_and_rolled_back_by_the_commands_of_the_document() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, OPEN));
    let file = weir.config_file();
    let here = std::fs::read_to_string(&file).unwrap();
    // The commands read the address of the operator's listener in the file; what listens stays as it is.
    let admin = here.replace("admin = \"127.0.0.1:0\"", &format!("admin = \"{}\"", weir.admin));
    std::fs::write(&file, admin).unwrap();
    std::fs::write(weir.dir.path().join("rooms.toml"), OPEN.replace("600", "1200")).unwrap();
    let told = run(&script("docs/operating.md", "Rooms for all gateways"), weir.dir.path());
    assert!(told.contains("new_users_per_minute") && told.contains("1200"), "{told}");
    until_true("the room is that of the file again", || weir.room()["new_users_per_minute"] == 600);
}

#[test]
fn keys_are_listed_and_rotated_by_the_commands_of_the_document() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, OPEN));
    let told = run(&script("docs/operating.md", "Keys"), weir.dir.path());
    let keys = std::fs::read_to_string(weir.dir.path().join("weir.secret")).unwrap();
    assert!(told.contains("seals and opens") && keys.lines().count() == 2, "{told}");
}

#[test]
fn streams_of_the_log_are_told_apart_by_the_command_of_the_document() {
    let (shop, folder) = (Shop::open(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("weir.toml"), config(shop.address, OPEN)).unwrap();
    let command = format!("exec {}", script("docs/logs.md", "Logs"));
    let path = format!("{}:{}", Path::new(WEIR).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    let shell = shell.args(["-euc", &command]).current_dir(folder.path()).env("PATH", path);
    let mut weir = Script(shell.spawn().unwrap());
    let has =
        |file: &str, text: &str| std::fs::read_to_string(folder.path().join(file)).is_ok_and(|log| log.contains(text));
    until_true("it serves", || has("events.log", "\"serving\""));
    assert!(weir.end() && !has("access.log", "serving"));
}

#[test]
fn a_program_waits_with_a_cookie_jar_by_the_command_of_the_document() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, &OPEN.replace("= 600", "= 600\nqueue_all = true")));
    let page = format!("http://{}/launch", weir.http);
    let command = script("docs/clients.md", "Who can wait").replace("https://shop.example/launch", &page);
    let waits = command.replace("sleep 5", "sleep 0.2");
    let folder = tempfile::tempdir().unwrap();
    let curl = Command::new("bash").args(["-euc", &waits]).current_dir(folder.path()).stdout(Stdio::null()).spawn();
    let mut curl = Script(curl.unwrap());
    until_true("it has a place", || weir.room()["next"] == 1);
    std::fs::write(weir.config_file(), config(shop.address, OPEN)).unwrap();
    weir.signal("HUP");
    until_true("it is let in", || curl.0.try_wait().unwrap().is_some_and(|ended| ended.success()));
}

#[test]
fn metrics_tell_whether_the_proxy_in_front_is_trusted_by_the_command_of_the_document() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, OPEN));
    weir.get("/launch/item", &[PAGE, ("X-Forwarded-For", "192.0.2.1")]);
    let command = script("docs/in-front.md", "Behind a balancer or a CDN");
    let told = run(&command.replace("127.0.0.1:9090", &weir.admin.to_string()), weir.dir.path());
    let counted = told.lines().find_map(|line| line.strip_prefix("weir_untrusted_forwarded_total "));
    assert!(counted.is_some_and(|count| count != "0") && told.contains("weir_proxy_headers_total"), "{told}");
}

#[test]
fn scenarios_are_listed_and_forecast_by_the_commands_of_the_document() {
    let folder = tempfile::tempdir().unwrap();
    let told = run(&script("docs/operating.md", "A launch in a file"), folder.path());
    assert!(told.contains("nike-launch") && told.contains("\"$schema\""), "{told}");
}

/// Ends well, or says what it printed.
fn succeeds(command: &mut Command, of: &Block) {
    let done = command.output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}, below {:?}:\n{told}", of.document, of.heading);
}

#[test]
fn every_program_in_the_documents_can_be_read_by_its_language() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    for block in blocks("sh") {
        succeeds(Command::new("bash").arg("-n").arg(file("script.sh", &block.text)), &block);
    }
    for block in blocks("python") {
        succeeds(Command::new("python3").args(["-m", "py_compile"]).arg(file("program.py", &block.text)), &block);
    }
    for block in blocks("js") {
        succeeds(Command::new("node").arg("--check").arg(file("program.mjs", &block.text)), &block);
    }
    for block in blocks("json") {
        serde_json::from_str::<serde_json::Value>(&block.text).unwrap_or_else(|e| panic!("{}: {e}", block.document));
    }
    let [port] = ports();
    for block in blocks("nginx") {
        let module = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\nevents {}\n";
        let text = format!("{module}{}", block.text.replace("listen 443", &format!("listen 127.0.0.1:{port}")));
        let settings = format!("pid {0}/pid; error_log {0}/log;", folder.path().display());
        let mut nginx = Command::new("nginx");
        let nginx = nginx.args(["-t", "-e", "stderr", "-g", &settings]);
        succeeds(nginx.arg("-c").arg(file("nginx.conf", &text)), &block);
    }
}

#[test]
fn the_shop_can_check_a_signature_by_the_lines_of_the_document() {
    let shop = Shop::open();
    let weir = Weir::start(&config(shop.address, OPEN));
    let pass = weir.get("/launch/item", &[PAGE]).cookie().unwrap();
    weir.get("/launch/item", &[PAGE, ("Cookie", &pass)]);
    let head = shop.seen().pop().unwrap();
    let told = ["weir-room", "weir-pass-id", "weir-signature"].map(|name| of(&head, name).unwrap());
    let secret = std::fs::read_to_string(weir.dir.path().join("weir.secret")).unwrap();
    let lines = &blocks("python").into_iter().find(|block| block.document == "docs/integration.md").unwrap().text;
    let asks = "import sys\nsecret, room, id, proof = sys.argv[1:]\n\
                sys.exit(0 if is_from_weir(key_of_signatures(secret), room, id, proof) else 1)\n";
    let accepts = |told: [&str; 3]| {
        let mut python = Command::new("python3");
        let python = python.arg("-c").arg(format!("{lines}{asks}")).arg(secret.trim()).args(told);
        python.stderr(Stdio::inherit()).status().unwrap().success()
    };
    assert!(accepts(told), "{head}");
    assert!(!accepts(["other", told[1], told[2]]));
}

#[test]
fn three_gateways_that_the_script_starts_have_one_line_and_end_with_it() {
    let ports = ports::<8>();
    let text = ports.map(|port| port.to_string()).join(" ");
    let path = format!("{}:{}", Path::new(WEIR).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(root().join("deploy/three-gateways"));
    let mut script = Script(command.env("PATH", path).env("PORTS", text).stdout(Stdio::null()).spawn().unwrap());
    let at = |port: usize| std::net::SocketAddr::from(([127, 0, 0, 1], ports[port]));
    let answers = |port: usize| std::net::TcpStream::connect(at(port)).is_ok();
    let admin = |port: usize, path: &str| request(at(port), "GET", path, &[], "").json();
    let known = || if answers(5) { admin(5, "/api/gateways").as_array().map_or(0, Vec::len) } else { 0 };
    until_true("each knows of three", || known() == 3);
    let inside = request(at(2), "GET", "/launch/item", &[PAGE], "");
    let cookies = inside.head.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
    let pass =
        cookies.filter_map(|cookie| cookie.split(';').next()).find(|cookie| cookie.starts_with("weir_")).unwrap();
    let elsewhere = request(at(4), "GET", "/launch/item", &[PAGE, ("Cookie", pass)], "");
    assert_eq!((inside.status, elsewhere.status), (200, 200), "{elsewhere:?}");
    let tickets = |port: usize| admin(port, "/api/rooms/launch/status")["next"].clone();
    until_true("one ticket was given, as all three say", || (5..8).all(|port| tickets(port) == 1));
    assert!(script.end());
    assert!((0..8).all(|port| !answers(port)), "nothing is left");
}

#[test]
fn each_figure_of_the_readme_stands_in_the_file_that_a_command_wrote() {
    let readme = document("README.md");
    let rows = readme.table("Figures");
    assert_eq!(rows.len(), 5);
    for row in rows {
        let [_, figure, source] = &row[..] else { panic!("{row:?}") };
        let file = source.split_once("](").unwrap().1.split_once(')').unwrap().0;
        let written = std::fs::read_to_string(root().join(file)).unwrap();
        let place = source.split('`').nth(1).unwrap().replace("\\|", "|");
        let lines: Vec<&str> = written.lines().filter(|line| line.contains(&place)).collect();
        let numbers: Vec<&str> = figure.split("**").skip(1).step_by(2).collect();
        assert!(!numbers.is_empty(), "{row:?}");
        let has = |line: &str, number: &str| line.split(['|', ' ', '*']).any(|word| word == number);
        let stands = lines.iter().any(|line| numbers.iter().all(|number| has(line, number)));
        assert!(stands, "{numbers:?} stand in no line of {file} with {place:?}");
    }
}

#[test]
fn no_launch_lost_anything_as_the_readme_says() {
    let losses = document("benches/LOSSES.md");
    let rows = losses.table("What a launch loses");
    let faults: Vec<_> = rows.iter().filter(|row| row.len() == 14 && row[0] != "nothing").collect();
    let launches: u64 = faults.iter().map(|row| row[1].parse::<u64>().unwrap()).sum();
    for row in &faults {
        let lost = [4, 5, 8, 10].map(|column| row[column].parse::<f64>().unwrap());
        assert_eq!(lost, [0.0; 4], "{row:?}");
    }
    let told = format!("{launches} launches, {} kinds of fault", faults.len());
    assert!(document("README.md").text.contains(&told), "{told}");
}

#[test]
fn every_symbol_that_the_map_and_the_design_name_is_there() {
    let mut source = String::new();
    source_below(&root().join("gateway"), &mut source);
    let words: BTreeSet<&str> = source.split(|sign: char| !sign.is_alphanumeric() && sign != '_').collect();
    let pages = documents().into_iter().filter(|page| page.path == "ARCHITECTURE.md" || page.path.contains("design/"));
    let spans = pages.flat_map(|page| page.spans()).filter(|span| span.contains("::"));
    let symbols: BTreeSet<String> = spans.filter(|span| !span.contains(' ')).collect();
    let unknown: Vec<_> =
        symbols.iter().filter(|symbol| symbol.split("::").any(|part| !words.contains(part))).collect();
    assert!(symbols.len() > 40 && unknown.is_empty(), "{} symbols, of which unknown: {unknown:#?}", symbols.len());
}

fn source_below(folder: &Path, source: &mut String) {
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if file.is_dir() {
            source_below(&file, source);
        } else if file.extension().is_some_and(|kind| kind == "rs") {
            source.push_str(&std::fs::read_to_string(&file).unwrap());
            source.extend([" ", &file.file_stem().unwrap().to_string_lossy(), " "]);
        }
    }
}

/// A crate: the heading of its table in the map, and its folder.
const CRATES: [(&str, &str); 4] = [
    ("`gateway/policy`: every decision", "gateway/policy/src"),
    ("`gateway/src`: the gateway", "gateway/src"),
    ("`gateway/machine`: the kernel's limits", "gateway/machine/src"),
    ("`gateway/toml-diagnostics`: files with everything that is wrong in them", "gateway/toml-diagnostics/src"),
];

#[test]
fn the_map_has_every_module_and_no_other() {
    let map = document("ARCHITECTURE.md");
    for (heading, folder) in CRATES {
        let rows = map.table(heading);
        let told: BTreeSet<String> = rows.iter().flat_map(|row| modules_of(row)).collect();
        let mut there = BTreeSet::new();
        modules_below(&root().join(folder), "", &mut there);
        let differ: Vec<_> = told.symmetric_difference(&there).collect();
        assert!(!there.is_empty() && differ.is_empty(), "{folder}, in the map or in the folder alone: {differ:#?}");
    }
}

/// A row names a module, what it is, and its parts.
fn modules_of(row: &[String]) -> Vec<String> {
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let modules = names(&row[0]);
    let parts = row.get(2).map_or_else(Vec::new, |cell| names(cell));
    let parts = parts.iter().map(|part| format!("{}::{part}", modules[0])).collect();
    [modules, parts].concat()
}

fn modules_below(folder: &Path, place: &str, found: &mut BTreeSet<String>) {
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        if file.is_dir() {
            modules_below(&file, &format!("{place}{name}::"), found);
        } else if file.extension().is_some_and(|kind| kind == "rs") && !["lib", "main", "tests"].contains(&&*name) {
            found.insert(format!("{place}{name}"));
        }
    }
}
