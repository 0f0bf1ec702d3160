//! Access lines: one for each request, when its answer is over, in a stream of their own.
//!
//! A worker makes each line in one piece of memory and sends it without waiting. It names the shopper by no more than
//! `log.client` allows, and holds no query unless `log.query` says so; tokens, cookies and bodies never.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::uri::PathAndQuery;
use http::{Method, StatusCode, Version};
use ipnet::{Ipv4Net, Ipv6Net};
use policy::seal::Sealer;
use time::OffsetDateTime;
use tracing_appender::non_blocking::NonBlocking;

use crate::settings::config::{LogClient, LogConfig, LogFormat};

/// Bound on the written bytes of a path.
const LONGEST: usize = 1_024;
/// Bytes of a usual line.
const USUAL: usize = 512;

static OUT: OnceLock<(NonBlocking, LogFormat)> = OnceLock::new();

/// Lines go there from now on.
pub(super) fn start(out: NonBlocking, format: LogFormat) {
    // There is one log in a process.
    let _ = OUT.set((out, format));
}

/// The request line, kept until the access line is written.
#[derive(Debug)]
pub struct RequestLine {
    method: Method,
    target: Option<PathAndQuery>,
    version: Version,
}

impl RequestLine {
    /// The request line of this head.
    pub fn of(parts: &http::request::Parts) -> Self {
        Self { method: parts.method.clone(), target: parts.uri.path_and_query().cloned(), version: parts.version }
    }

    /// Whether the answer has no body whatever its head says.
    pub fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }
}

/// The other fields of a line.
#[derive(Debug)]
pub struct AccessEntry<'a> {
    /// The request line.
    pub asked: &'a RequestLine,
    /// The shopper's address.
    pub client: IpAddr,
    /// The host, once read.
    pub host: &'a str,
    /// The room, if any.
    pub room: &'a str,
    /// The decision.
    pub verdict: &'static str,
    /// Why the token did not count, or the failure.
    pub reason: &'a str,
    /// Status of the answer.
    pub status: StatusCode,
    /// The upstream, if it got the request.
    pub upstream: &'a str,
    /// From the request on its way to the shop to the head of its answer.
    pub upstream_after: Option<Duration>,
    /// Arrival of the request head.
    pub started: Instant,
    /// Id of the request, as sent to the upstream.
    pub request_id: &'a str,
}

/// A line that lacks the values of the answer's end. It is written when it is dropped.
#[derive(Debug)]
pub struct Line {
    text: Vec<u8>,
    started: Instant,
    bytes: u64,
    whole: bool,
}

impl Line {
    /// The line of a request whose answer begins now; `None` if lines go nowhere.
    pub fn begin(entry: &AccessEntry<'_>, config: &LogConfig, sealer: &Sealer) -> Option<Box<Self>> {
        let (_, format) = OUT.get()?;
        let mut line = Text { bytes: Vec::with_capacity(USUAL), format: *format };
        line.timestamp();
        if let Some(client) = client(entry.client, config.client, sealer) {
            line.text("client", &client);
        }
        line.text("method", entry.asked.method.as_str());
        line.text("host", entry.host);
        let target = entry.asked.target.as_ref();
        line.text("path", target.map_or("", |target| if config.query { target.as_str() } else { target.path() }));
        line.text("http", if entry.asked.version == Version::HTTP_2 { "2" } else { "1" });
        line.number("status", u64::from(entry.status.as_u16()));
        line.text("room", entry.room);
        line.text("verdict", entry.verdict);
        line.text("reason", entry.reason);
        line.text("upstream", entry.upstream);
        line.text("request_id", entry.request_id);
        line.millis("first_byte_ms", entry.started.elapsed());
        if let Some(after) = entry.upstream_after {
            line.millis("upstream_ms", after);
        }
        Some(Box::new(Self { text: line.bytes, started: entry.started, bytes: 0, whole: false }))
    }

    /// `bytes` more bytes of the answer were sent.
    pub fn sent(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// The answer is over, and complete.
    pub fn ends_whole(&mut self) {
        self.whole = true;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Some((out, format)) = OUT.get() else { return };
        let mut line = Text { bytes: std::mem::take(&mut self.text), format: *format };
        line.number("bytes", self.bytes);
        line.millis("total_ms", self.started.elapsed());
        if !self.whole {
            line.word("cut", "true");
        }
        // It never waits, and counts what it loses.
        let _ = out.clone().write_all(&line.end());
    }
}

/// The shopper, as far as the line may name them.
fn client(address: IpAddr, form: LogClient, sealer: &Sealer) -> Option<String> {
    let address = address.to_canonical();
    Some(match (form, address) {
        (LogClient::None, _) => return None,
        (LogClient::Full, _) => address.to_string(),
        (LogClient::Hash, IpAddr::V4(v4)) => sealer.pseudonym(&v4.octets()),
        (LogClient::Hash, IpAddr::V6(v6)) => sealer.pseudonym(&v6.octets()),
        (LogClient::Truncated, IpAddr::V4(v4)) => Ipv4Net::new(v4, 24).ok()?.trunc().to_string(),
        (LogClient::Truncated, IpAddr::V6(v6)) => Ipv6Net::new(v6, 48).ok()?.trunc().to_string(),
    })
}

/// The text of a line, as JSON or as words.
struct Text {
    bytes: Vec<u8>,
    format: LogFormat,
}

impl Text {
    fn timestamp(&mut self) {
        let (begin, end): (&[u8], &[u8]) = match self.format {
            LogFormat::Json => (b"{\"timestamp\":\"", b"Z\",\"target\":\"access\""),
            LogFormat::Text => (b"", b"Z access"),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.bytes.extend_from_slice(begin);
        self.bytes.extend_from_slice(&second(now.as_secs()));
        self.bytes.push(b'.');
        self.digits(now.subsec_millis());
        self.bytes.extend_from_slice(end);
    }

    fn name(&mut self, name: &str) {
        let (begin, end): (&[u8], &[u8]) = match self.format {
            LogFormat::Json => (b",\"", b"\":"),
            LogFormat::Text => (b" ", b"="),
        };
        self.bytes.extend_from_slice(begin);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(end);
    }

    /// A text in quotes; bounded, and without characters that a terminal or a parser could misread.
    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        let cut = value.len() > LONGEST;
        let value = if cut { &value[..value.floor_char_boundary(LONGEST)] } else { value };
        self.bytes.push(b'"');
        if value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
            self.bytes.extend_from_slice(value.as_bytes());
        } else {
            self.escaped(value);
        }
        self.bytes.extend_from_slice(if cut { b"...\"" } else { b"\"" });
    }

    fn escaped(&mut self, value: &str) {
        for char in value.chars() {
            match char {
                '"' | '\\' => self.bytes.extend_from_slice(&[b'\\', char as u8]),
                ' '..='~' => self.bytes.push(char as u8),
                _ => {
                    for unit in char.encode_utf16(&mut [0; 2]) {
                        self.bytes.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                    }
                }
            }
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        self.word(name, itoa::Buffer::new().format(value));
    }

    fn millis(&mut self, name: &str, value: Duration) {
        self.number(name, value.as_millis() as u64);
        self.bytes.push(b'.');
        self.digits((value.as_micros() % 1_000) as u32);
    }

    fn word(&mut self, name: &str, value: &str) {
        self.name(name);
        self.bytes.extend_from_slice(value.as_bytes());
    }

    /// Three digits.
    fn digits(&mut self, value: u32) {
        self.bytes.extend([100, 10, 1].map(|place| b'0' + (value / place % 10) as u8));
    }

    fn end(mut self) -> Vec<u8> {
        if self.format == LogFormat::Json {
            self.bytes.push(b'}');
        }
        self.bytes.push(b'\n');
        self.bytes
    }
}

/// `2026-01-31T23:59:59`, formatted once a second.
fn second(since_1970: u64) -> [u8; 19] {
    thread_local! {
        static LAST: RefCell<(u64, [u8; 19])> = const { RefCell::new((u64::MAX, [b'0'; 19])) };
    }
    LAST.with_borrow_mut(|(last, text)| {
        if *last != since_1970 {
            let time =
                OffsetDateTime::from_unix_timestamp(since_1970.cast_signed()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
            let (date, clock) = (time.date(), time.time());
            let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
            let (hour, minute, second) = (clock.hour(), clock.minute(), clock.second());
            let told = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
            if let Ok(told) = told.as_bytes().try_into() {
                (*last, *text) = (since_1970, told);
            }
        }
        *text
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn named(address: &str, form: LogClient) -> Option<String> {
        client(address.parse().unwrap(), form, &Sealer::new(&[7; 32]).unwrap())
    }

    #[test]
    fn a_client_is_named_by_no_more_than_is_allowed() {
        let both = |form| [named("192.0.2.77", form), named("2001:db8:1:2::3", form)].map(Option::unwrap_or_default);
        assert_eq!(both(LogClient::Truncated), ["192.0.2.0/24", "2001:db8:1::/48"]);
        assert_eq!(both(LogClient::Full), ["192.0.2.77", "2001:db8:1:2::3"]);
        assert_eq!(both(LogClient::None), ["", ""]);
        let [v4, v6] = both(LogClient::Hash);
        assert!(v4.len() == 16 && v4.bytes().all(|byte| byte.is_ascii_hexdigit()) && v4 != v6, "{v4} {v6}");
        assert_eq!(named("::ffff:192.0.2.77", LogClient::Hash), Some(v4));
        assert_eq!(named("::ffff:192.0.2.77", LogClient::Truncated).as_deref(), Some("192.0.2.0/24"));
    }

    #[test]
    fn a_value_cannot_become_another_field_or_line() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let mut line = Text { bytes: Vec::new(), format };
            line.timestamp();
            line.text("path", "/a\" b\\\n\u{1b}[31m\u{85}\u{1f6d2}");
            line.text("host", &"x".repeat(5_000));
            line.millis("total_ms", Duration::from_micros(12_034));
            let text = String::from_utf8(line.end()).unwrap();
            assert!(text.ends_with('\n') && text.lines().count() == 1 && text.len() < 2 * LONGEST, "{text}");
            assert!(text.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')), "{text}");
            if format == LogFormat::Json {
                let json: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(json["path"], "/a\" b\\\n\u{1b}[31m\u{85}\u{1f6d2}");
                assert_eq!(json["total_ms"], 12.034);
            }
        }
    }

    #[test]
    fn a_second_is_told_as_the_calendar_has_it() {
        assert_eq!(&second(0), b"1970-01-01T00:00:00");
        assert_eq!(&second(1_772_323_199), b"2026-02-28T23:59:59");
    }
}
