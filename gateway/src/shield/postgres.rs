//! The sessions of a PostgreSQL, by a login that may only read.
//!
//! One connection for each signal, kept; a question has a deadline at both ends. Only sessions of clients in the same database count,
//! and not this one.
//!
//! Out of scope: TLS.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::prometheus::secret;
use super::signal::{DEADLINE, Signal};
use crate::line::rooms::LiveRoom;

/// How long a database that refused is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// The server ends what takes longer, and nothing of this session is ever written.
const SESSION: &str = "SET statement_timeout = 2000; SET default_transaction_read_only = on";
/// Without it other sessions are shown, but not what they do.
const MAY_SEE: &str = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')";
const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                        AND backend_type = 'client backend' AND pid <> pg_backend_pid()";

/// Asks for ever.
pub(super) async fn ask(signal: &Signal, live: &LiveRoom) -> Infallible {
    loop {
        let Err(why) = session(signal, live).await;
        signal.failed(&live.title(), &format!("{why:#}"));
        sleep(PAUSE).await;
    }
}

/// Connects, and asks until that fails.
async fn session(signal: &Signal, live: &LiveRoom) -> anyhow::Result<Infallible> {
    let mut database: Config = signal.config.url.as_deref().unwrap_or_default().parse()?;
    database.application_name("weir").connect_timeout(DEADLINE);
    if let Some(file) = &signal.config.password_file {
        database.password(secret(file).await?);
    }
    let connecting = timeout(DEADLINE, database.connect(NoTls)).await;
    let connecting = connecting.with_context(|| format!("the database gave no answer in {DEADLINE:?}"))?;
    let (client, connection) = connecting.context("the database does not let Weir in")?;
    // The connection runs beside the questions, and is dropped with them.
    tokio::select! {
        failed = questions(signal, live, &client) => failed,
        ended = connection => {
            ended.context("the database ended the connection")?;
            bail!("the database ended the connection")
        }
    }
}

async fn questions(signal: &Signal, live: &LiveRoom, client: &Client) -> anyhow::Result<Infallible> {
    in_time(client.batch_execute(SESSION)).await?;
    if one(client, MAY_SEE).await? != "t" {
        bail!("the login does not see what other sessions do: GRANT pg_monitor TO it");
    }
    let which = if signal.config.metric() == "waiting" { "wait_event_type = 'Lock'" } else { "state <> 'idle'" };
    let question = format!("{SESSIONS} AND {which}");
    let mut ticks = interval(signal.config.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let sessions = one(client, &question).await?.parse().context("the database gave no number")?;
        signal.measured(&live.title(), 0, sessions, Duration::ZERO);
    }
}

/// The one value of a query, as text.
async fn one(client: &Client, query: &str) -> anyhow::Result<String> {
    let answer = in_time(client.simple_query(query)).await?;
    let mut rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten(),
        _ => None,
    });
    rows.next().map(str::to_owned).context("the database gave no value")
}

async fn in_time<T>(answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> anyhow::Result<T> {
    let answer = timeout(DEADLINE, answer).await;
    answer
        .with_context(|| format!("the database gave no answer in {DEADLINE:?}"))?
        .context("the database refuses the question")
}
