//! A query of Prometheus: of the real one, and of one that hangs and lies.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{allowed, has_problem, is, is_free, room, signal, slowed_by};
use crate::common::program::{Program, ports};
use crate::common::{Shop, Weir, answering, config, of, ok, until_true};

/// What a server says to each request; it keeps silent while there is nothing.
#[derive(Clone, Default)]
struct Words(Arc<(Mutex<Said>, Condvar)>);

#[derive(Default)]
struct Said {
    words: Option<String>,
    asked: String,
}

impl Words {
    fn open(&self) -> SocketAddr {
        let words = self.clone();
        answering(move |head| {
            let (said, changed) = &*words.0;
            let mut said = said.lock().unwrap();
            head.clone_into(&mut said.asked);
            let said = changed.wait_while(said, |said| said.words.is_none()).unwrap();
            ok(said.words.as_ref().unwrap())
        })
    }

    fn say(&self, words: impl Into<Option<String>>) {
        self.0.0.lock().unwrap().words = words.into();
        self.0.1.notify_all();
    }

    /// The head of the last request.
    fn asked(&self) -> String {
        self.0.0.lock().unwrap().asked.clone()
    }
}

/// An answer in the form of its API: one value, of so many seconds ago.
fn answer(value: &str, age: u64) -> String {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - age;
    format!(
        "{{\"status\":\"success\",\"data\":{{\"resultType\":\"vector\",\"result\":[{{\"metric\":{{}},\"value\":[{at}.25,\"{value}\"]}}]}}}}"
    )
}

fn gateway(url: &str, query: &str) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("prometheus.signal"), "sesame\n").unwrap();
    let signal = room(&format!(
        "kind = \"prometheus\"\nurl = \"{url}\"\nquery = '{query}'\ntoken_file = \"prometheus.signal\"\ninterval = \"500ms\"\nfull_at = 0.9"
    ));
    std::fs::write(dir.path().join("weir.toml"), config(Shop::open().address, &signal)).unwrap();
    Weir::start_in(dir)
}

#[test]
fn one_that_hangs_or_lies_slows_nothing_and_its_last_good_value_ends() {
    let prometheus = Words::default();
    let weir = gateway(&format!("http://{}/prom/", prometheus.open()), "max(in_use{job=\"db\"} / size)");
    has_problem(&weir, "no answer in 2s");
    assert!(is(&weir, "absent") && allowed(&weir) == 600.0, "{}", weir.room());
    prometheus.say(answer("1.08", 0));
    slowed_by(&weir, "prometheus");
    until_true("it is full", || signal(&weir)["full"] == 1.2 && signal(&weir)["problem"].is_null());
    let asked = prometheus.asked();
    let query = "max%28in_use%7Bjob%3D%22db%22%7D+%2F+size%29";
    assert!(asked.starts_with(&format!("GET /prom/api/v1/query?query={query} HTTP/1.1\r\n")), "{asked}");
    assert_eq!(of(&asked, "authorization"), Some("Bearer sesame"));
    prometheus.say(None);
    has_problem(&weir, "no answer in 2s");
    until_true("its last value ends", || is(&weir, "old"));
    is_free(&weir);

    for (said, why) in [
        (answer("NaN", 0), "no number"),
        (answer("+Inf", 0), "no number"),
        (answer("-1", 0), "below 0"),
        (answer("1e9", 0), "1,000 times"),
        (answer("2", 3_600), "s old"),
        (answer("2", 0).replace("\"result\":[", "\"result\":[{\"metric\":{},\"value\":[1,\"1\"]},"), "2 values"),
        ("{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}".to_owned(), "0 values"),
        ("{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"parse error\"}".to_owned(), "parse error"),
        ("<html>".to_owned(), "form"),
        (" ".repeat(1 << 21), "length limit exceeded"),
    ] {
        prometheus.say(said);
        has_problem(&weir, why);
        assert!(is(&weir, "old") && allowed(&weir) == 600.0, "{why}: {}", weir.room());
    }
    until_true("the log tells it", || weir.log().contains("a signal tells nothing"));
    assert_eq!(weir.log().matches("a signal tells nothing").count(), 1, "{}", weir.log());
    weir.is_well();
}

#[test]
fn the_real_one_is_asked_for_what_it_scrapes() {
    let pool = Words::default();
    pool.say("db_pool_in_use 12\ndb_pool_size 24\n".to_owned());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("prometheus.yml");
    let scrape =
        "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: db\n    static_configs:\n      - targets:";
    std::fs::write(&file, format!("{scrape} [\"{}\"]\n", pool.open())).unwrap();
    let [port] = ports();
    let mut command = Command::new("prometheus");
    command.current_dir(dir.path()).arg(format!("--config.file={}", file.display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--storage.tsdb.path=data");
    let prometheus = Program::start(&mut command, &[port]);
    let weir = gateway(&format!("http://127.0.0.1:{port}"), "max(db_pool_in_use / db_pool_size)");
    until_true("it is half full", || signal(&weir)["full"] == 0.556 && is(&weir, "fresh"));
    assert_eq!(allowed(&weir), 600.0);
    pool.say("db_pool_in_use 24\ndb_pool_size 24\n".to_owned());
    slowed_by(&weir, "prometheus");
    drop(prometheus);
    has_problem(&weir, "cannot be asked");
    until_true("its last value ends", || is(&weir, "old"));
    is_free(&weir);
}

#[test]
fn a_query_that_it_refuses_is_told_in_its_words() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("prometheus.yml"), "global: {}\n").unwrap();
    let [port] = ports();
    let mut command = Command::new("prometheus");
    command.current_dir(dir.path()).arg("--config.file=prometheus.yml");
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--storage.tsdb.path=data");
    let _prometheus = Program::start(&mut command, &[port]);
    let weir = gateway(&format!("http://127.0.0.1:{port}"), "max(up");
    has_problem(&weir, "400 Bad Request: invalid parameter");
    let weir = gateway(&format!("http://127.0.0.1:{port}"), "no_such_metric");
    has_problem(&weir, "with 0 values");
    let weir = gateway(&format!("http://127.0.0.1:{port}"), "vector(0.45)");
    until_true("a number is read", || signal(&weir)["full"] == 0.5);
}
