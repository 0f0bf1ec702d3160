//! A query of a Prometheus, by its HTTP API.
//!
//! ```text
//! GET /api/v1/query?query=...
//! {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1435781451.781, "0.7"]}]}}
//! ```
//!
//! The answer is one number: a scalar, or a vector of one. Its time is that of the evaluation. What a query reads may be older: for
//! that it has to look itself, as by `timestamp()`.
//!
//! Out of scope: TLS, and queries over a range.

use std::convert::Infallible;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use form_urlencoded::byte_serialize;
use http::{Request, Uri, header};
use http_body_util::Full;
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::signal::{DEADLINE, Signal};
use crate::fetch::fetch;
use crate::line::rooms::LiveRoom;

/// Bytes of an answer: one of many series, which is refused, is told of by their number.
const LONGEST: usize = 1 << 20;
/// Signs of its own words that are told.
const WORDS: usize = 200;

/// Asks for ever.
pub(super) async fn ask(signal: &Signal, live: &LiveRoom) -> Infallible {
    let mut ticks = interval(signal.config.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = timeout(DEADLINE, question(signal)).await;
        let answer = answer.unwrap_or_else(|_| Err(anyhow::anyhow!("Prometheus gave no answer in {DEADLINE:?}")));
        match answer {
            Ok(Sample { value, age }) => drop(signal.measured(&live.title(), 0, value, age)),
            Err(why) => signal.failed(&live.title(), &format!("{why:#}")),
        }
    }
}

/// A number, and how long ago it was so.
#[derive(Debug, PartialEq)]
struct Sample {
    value: f64,
    age: Duration,
}

async fn question(signal: &Signal) -> anyhow::Result<Sample> {
    let url: Uri = signal.config.url.as_deref().unwrap_or_default().parse()?;
    let query: String = byte_serialize(signal.config.query.as_deref().unwrap_or_default().as_bytes()).collect();
    let host = url.host().context("the address has no host")?;
    let authority = url.authority().map(ToString::to_string).unwrap_or_default();
    let path = format!("{}/api/v1/query?query={query}", url.path().trim_end_matches('/'));
    let mut request = Request::get(path).header(header::HOST, authority).header(header::ACCEPT, "application/json");
    if let Some(file) = &signal.config.token_file {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", secret(file).await?));
    }
    let to = (host.trim_matches(['[', ']']), url.port_u16().unwrap_or(80));
    let request = request.body(Full::new(Bytes::new()))?;
    let (status, body) = fetch(to, request, LONGEST).await.context("Prometheus cannot be asked")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    read(&body, now).with_context(|| format!("Prometheus answers {status}"))
}

/// What stands in a file, without the end of its line.
pub(super) async fn secret(file: &Path) -> anyhow::Result<String> {
    let file = file.to_owned();
    let shown = file.display().to_string();
    let text = tokio::task::spawn_blocking(move || std::fs::read_to_string(file)).await?;
    Ok(text.with_context(|| format!("{shown} cannot be read"))?.trim().to_owned())
}

/// An answer.
#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Answer {
    Success { data: Data },
    Error { error: String },
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Scalar(Value),
    Vector(Vec<Series>),
    Matrix(serde::de::IgnoredAny),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Series {
    value: Value,
}

/// Seconds since 1970, and a number as text.
type Value = (f64, String);

fn read(body: &[u8], now: Duration) -> anyhow::Result<Sample> {
    let answer = serde_json::from_slice(body).context("in a form that is not that of its API")?;
    let (at, text) = match answer {
        Answer::Error { error } => bail!("{}", error.chars().take(WORDS).collect::<String>()),
        Answer::Success { data: Data::Scalar(value) } => value,
        Answer::Success { data: Data::Vector(mut series) } if series.len() == 1 => series.remove(0).value,
        Answer::Success { data: Data::Vector(series) } => {
            bail!("with {} values: the query has to give one, as max(...) does", series.len())
        }
        Answer::Success { data: Data::Matrix(_) | Data::String(_) } => {
            bail!("with no number: the query has to give one")
        }
    };
    let value = text.parse().with_context(|| format!("with {text:?}, which is no number"))?;
    let age =
        Duration::try_from_secs_f64((now.as_secs_f64() - at).max(0.0)).context("with a time that makes no sense")?;
    Ok(Sample { value, age })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn of(data: &str) -> Result<Sample, String> {
        let body = format!("{{\"status\":\"success\",\"data\":{data}}}");
        read(body.as_bytes(), NOW).map_err(|why| format!("{why:#}"))
    }

    #[test]
    fn one_number_is_read() {
        let sample = |value, age| Ok(Sample { value, age: Duration::from_secs(age) });
        let vector =
            r#"{"resultType":"vector","result":[{"metric":{"job":"db"},"value":[1699999999,"0.7"]}],"stats":{}}"#;
        assert_eq!(of(vector), sample(0.7, 1));
        assert_eq!(of(r#"{"resultType":"scalar","result":[1700000000,"12"]}"#), sample(12.0, 0));
        assert_eq!(
            of(r#"{"resultType":"scalar","result":[1700000060,"+Inf"]}"#),
            sample(f64::INFINITY, 0),
            "a clock ahead"
        );
    }

    #[test]
    fn anything_else_is_said_in_words() {
        for (data, says) in [
            (r#"{"resultType":"vector","result":[]}"#, "with 0 values"),
            (r#"{"resultType":"vector","result":[{"value":[1,"1"]},{"value":[1,"2"]}]}"#, "max(...)"),
            (r#"{"resultType":"matrix","result":[]}"#, "no number"),
            (r#"{"resultType":"string","result":[1,"x"]}"#, "no number"),
            (r#"{"resultType":"scalar","result":[1,"much"]}"#, "\"much\""),
            (r#"{"resultType":"scalar","result":[-1e300,"1"]}"#, "time"),
            (r#"{"resultType":"scalar"}"#, "form"),
            ("[]", "form"),
        ] {
            assert!(of(data).as_ref().is_err_and(|why| why.contains(says)), "{data}: {:?}", of(data));
        }
        let refused = read(br#"{"status":"error","errorType":"bad_data","error":"parse error at 3"}"#, NOW);
        assert!(refused.is_err_and(|why| why.to_string() == "parse error at 3"));
        assert!(read(b"<html>", NOW).is_err());
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(body: Vec<u8>, number in ".{0,12}", at: f64) {
            let _ = read(&body, NOW);
            let _ = of(&format!("{{\"resultType\":\"scalar\",\"result\":[{at},{number:?}]}}"));
        }
    }
}
