//! The sessions of a real PostgreSQL.

use serde_json::Value;

use super::{allowed, has_problem, is, is_free, room, slowed_by};
use crate::common::postgres::Postgres;
use crate::common::{Shop, Weir, config, nobody, until_true};

const PASSWORD: &str = "correct horse battery staple";

/// A login that sees what others do, and one that does not.
const LOGINS: &str = "CREATE ROLE weir LOGIN PASSWORD 'correct horse battery staple'; GRANT pg_monitor TO weir; \
                      CREATE ROLE stranger LOGIN PASSWORD 'correct horse battery staple'; CREATE TABLE stock (left_over int)";

/// A signal of this database, for this user.
fn of(database: &Postgres, user: &str, more: &str) -> String {
    format!(
        "kind = \"postgres\"\nurl = \"postgres://{user}@{}/postgres\"\npassword_file = \"db.signal\"\ninterval = \"500ms\"\n{more}",
        database.address
    )
}

fn gateway(rooms: &str, password: &str) -> Weir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("db.signal"), format!("{password}\n")).unwrap();
    std::fs::write(dir.path().join("weir.toml"), config(Shop::open().address, rooms)).unwrap();
    Weir::start_in(dir)
}

/// How full the shop is by each signal.
fn full(weir: &Weir) -> Vec<Value> {
    weir.room()["signals"].as_array().unwrap().iter().map(|signal| signal["full"].clone()).collect()
}

#[test]
fn sessions_with_work_and_sessions_that_wait_for_a_lock_slow_the_room_until_the_database_is_gone() {
    let mut database = Postgres::start();
    database.query(LOGINS);
    let active = of(&database, "weir", "full_at = 4");
    let waiting = of(&database, "weir", "full_at = 1.6\nmetric = \"waiting\"\nname = \"locks\"");
    let weir = gateway(&room(&format!("{active}\n[[room.signal]]\n{waiting}")), PASSWORD);
    until_true("both are known, and the database idle", || full(&weir) == [Value::from(0.0), Value::from(0.0)]);
    assert!(allowed(&weir) == 600.0 && weir.room()["capped_by"].is_null(), "{}", weir.room());
    database.session("BEGIN; LOCK TABLE stock; SELECT pg_sleep(600)");
    until_true("a session has work", || full(&weir) == [Value::from(0.25), Value::from(0.0)]);
    (0..2).for_each(|_| database.session("SELECT count(*) FROM stock"));
    until_true("two wait", || full(&weir) == [Value::from(0.75), Value::from(1.25)]);
    slowed_by(&weir, "postgres");
    until_true("the one that binds is named", || weir.room()["signals"][1]["state"] == "binds");
    assert_eq!(weir.metric(r#"weir_room_signal_full{room="launch",signal="locks"}"#), 1.25);
    assert_eq!(database.query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'weir'"), "2");
    database.end_sessions();
    until_true("nothing waits", || full(&weir) == [Value::from(0.0), Value::from(0.0)]);

    database.stop();
    has_problem(&weir, "database");
    until_true("the last value ends", || is(&weir, "old"));
    is_free(&weir);
    database.start_again();
    until_true("it is asked again", || is(&weir, "fresh") && weir.room()["signals"][0]["problem"].is_null());
    weir.is_well();
}

#[test]
fn a_login_that_is_refused_or_sees_nothing_is_told_once_and_slows_nothing() {
    let database = Postgres::start();
    database.query(LOGINS);
    let locks = room(&of(&database, "weir", "full_at = 1"));
    let wrong = gateway(&locks, "not the password");
    has_problem(&wrong, "password authentication failed");
    let blind = gateway(&room(&of(&database, "stranger", "full_at = 1")), PASSWORD);
    has_problem(&blind, "GRANT pg_monitor");
    let gone = locks.replace(&database.address.to_string(), &nobody().to_string());
    let gone = gateway(&gone, PASSWORD);
    has_problem(&gone, "error connecting to server");
    for weir in [&wrong, &blind, &gone] {
        assert!(is(weir, "absent") && allowed(weir) == 600.0, "{}", weir.room());
        until_true("the log tells it", || weir.log().contains("a signal tells nothing"));
        assert_eq!(weir.log().matches("a signal tells nothing").count(), 1, "{}", weir.log());
        assert!(![PASSWORD, "not the password"].iter().any(|word| weir.log().contains(word)), "{}", weir.log());
        assert_eq!(weir.metric(r#"weir_room_signal_fresh{room="launch",signal="postgres"}"#), 0.0);
        weir.is_well();
    }
}
