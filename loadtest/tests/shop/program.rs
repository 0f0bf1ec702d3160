//! The program: from a database, and on the model.

use std::net::SocketAddr;
use std::process::Stdio;

use evidence::shop::{Entry, Stages};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use verdict::Outcome;
use verdict::report::Report;

use crate::browser::{get, post, stats};
use crate::server::PostgresServer;
use crate::wait::until;

/// The program with these arguments, on a free port; killed when dropped.
fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(["shop", "--listen", "127.0.0.1:0"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

/// Its first line, and the address in it.
async fn opening(program: &mut Child) -> (String, SocketAddr) {
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().expect("it opens");
    let address = line.split_once("http://").unwrap().1.split_once('/').unwrap().0.parse().unwrap();
    // What it says later is read too, so that it never writes into a closed pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (line, address)
}

#[tokio::test]
async fn the_program_sells_from_a_database_and_writes_its_log_to_a_file() {
    let server = PostgresServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shop.log");
    let url = server.url();
    let arguments = ["--database", &url, "--pool", "3", "--stock", "1", "--log", file.to_str().unwrap()];
    let mut program = start(&arguments);
    let (line, address) = opening(&mut program).await;
    assert!(!line.contains("orders a second"), "nobody knows what this database can take: {line}");
    let order = post(address, "order", "key=a").await.order().expect("an order");
    assert!(post(address, "order", "key=b").await.is_sold_out());
    assert_eq!(post(address, "payment", format!("order={order}&key=c")).await.status, 200);
    let account = stats(address).await.account.expect("an account");
    assert_eq!((account.orders, account.paid), (1, 1));
    let lines = until("three lines in the file", async || {
        let text = std::fs::read_to_string(&file).unwrap();
        (text.lines().count() == 3).then_some(text)
    })
    .await;
    let orders: Vec<_> = lines.lines().map(|line| serde_json::from_str::<Entry>(line).unwrap().order).collect();
    assert_eq!(orders, [Some(order), None, Some(order)]);
}

/// Some seconds at a shop without a gateway, whose payments are at a tenth for two of them.
const STALL: &str = r#"
name = "stall"
closing = "6s"
grace = "5s"

[room]
new_users_per_minute = 1200

[[arrivals]]
kind = "flat"
rate = 20
for = "5s"

[habits]
think = ["50ms", "100ms"]

[shop.payment]
pool = 10

[[shop.fault]]
stage = "payment"
share = 0.1
from = "2s"
for = "2s"
"#;

#[tokio::test]
async fn a_fault_is_made_at_a_shop_elsewhere_and_the_report_draws_what_it_could_deliver() {
    let mut shop = start(&["--service-time", "1ms", "--payment-pool", "10", "--payment-latency", "50ms"]);
    let (_, address) = opening(&mut shop).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("launch.toml"), STALL).unwrap();
    let url = format!("http://{address}");
    let mut run = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    run.current_dir(dir.path()).args(["run", "launch.toml", "--target", &url, "--shop", &url, "--report", "told"]);
    let output = run.output().await.unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let report = Report::load(&dir.path().join("told/report.json")).unwrap_or_else(|error| panic!("{error}: {said}"));
    let made = report.checks.iter().find(|check| check.id == "faults-made").unwrap();
    assert_eq!(made.outcome, Outcome::Held, "{said}");
    let capacity: Vec<f64> = report.purchases.iter().filter_map(|second| second.capacity).collect();
    let [least, most] = [f64::min, f64::max].map(|of| capacity.iter().copied().reduce(of).unwrap());
    assert!(least < most / 5.0, "a tenth, of what varies by a few percent: {capacity:?}");
    assert!(
        std::fs::read_to_string(dir.path().join("told/report.html")).unwrap().contains("Rate, capacity and goodput")
    );
    let stages: Stages = serde_json::from_str(&get(address, "/shop/stages").await.body).unwrap();
    assert_eq!(stages.payment.unwrap().pool, 10, "and it has all of its pool again");
}

#[tokio::test]
async fn the_options_of_a_sale_are_taken_and_wrong_ones_are_explained() {
    let arguments = ["--orca", "--stock", "shoe-270=3", "--reserve", "1m", "--ignore-keys", "--payment-pool", "2"];
    let mut program = start(&arguments);
    let (_, address) = opening(&mut program).await;
    let left = until("it tells what is left", async || {
        get(address, "/").await.headers.get("weir-stock").map(|left| left.to_str().unwrap().to_owned())
    })
    .await;
    assert_eq!(left, "sku=shoe-270; left=3; held=0");
    let cases: [(&[&str], &str); 4] = [
        (&["--stock", "many"], "write 500 or shoe-270=500"),
        (&["--stock", "a b=3"], "the name has 1 to 64"),
        (&["--stock", "=3"], "the name has 1 to 64"),
        (&["--payment-latency", "1s"], "--payment-pool"),
    ];
    for (arguments, reason) in cases {
        let output = start(arguments).wait_with_output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(reason), "{arguments:?}: {told}");
    }
}

#[tokio::test]
async fn the_model_says_what_it_can_take_and_has_as_many_pieces_as_it_was_given() {
    let mut program = start(&["--slots", "6", "--service-time", "10ms", "--stock", "1"]);
    let (line, address) = opening(&mut program).await;
    assert!(line.ends_with("(100 orders a second)"), "{line}");
    assert!(post(address, "order", "").await.order().is_some());
    assert!(get(address, "/launch/item").await.is_sold_out());
}

#[tokio::test]
async fn a_database_that_is_not_there_or_a_model_beside_one_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = format!("postgres:///postgres?user=postgres&host={}", dir.path().display());
    let cases: [(&[&str], &str); 3] = [
        (&["--database", &nobody], "error connecting to server"),
        (&["--database", "postgres://x:y:z"], "the database failed"),
        (&["--database", &nobody, "--slots", "3"], "cannot be used with"),
    ];
    for (arguments, reason) in cases {
        let output = start(arguments).wait_with_output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(reason), "{arguments:?}: {told}");
    }
}
