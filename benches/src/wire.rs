//! One request over and over, as bytes: for programs that measure, and must cost little themselves.
//!
//! HTTP/1.1 with `Content-Length` alone, which is all that the measured answers are.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use clap::Args;

/// Target and request, on the command line of such a program.
#[derive(Debug, Clone, Args)]
pub struct RequestArgs {
    /// Server to ask.
    pub address: SocketAddr,
    #[arg(long, default_value = "/")]
    path: String,
    /// Lines of the request, a ticket or pass among them: "Name: value".
    #[arg(long = "header")]
    headers: Vec<String>,
}

impl RequestArgs {
    /// The GET request, ready to be sent.
    pub fn request(&self) -> Vec<u8> {
        let lines: String = self.headers.iter().flat_map(|header| [header, "\r\n"]).collect();
        format!("GET {} HTTP/1.1\r\n{lines}\r\n", self.path).into_bytes()
    }
}

/// An answer as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Whether it came from the shop of the runs, whose page is all "x"; known when it is whole.
    pub from_shop: bool,
    /// Bytes of head and body together.
    pub length: usize,
}

impl Answer {
    /// Reads the head of an answer; `None` as long as it is not whole.
    pub fn read(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let mut lines = std::str::from_utf8(&bytes[..end])?.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).context("no status")?;
        let mut body = None;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => body = Some(value.trim().parse::<usize>()?),
                "connection" if value.trim().eq_ignore_ascii_case("close") => bail!("the connection is not kept"),
                _ => {}
            }
        }
        let length = end + 4 + body.context("an answer without Content-Length")?;
        Ok(Some(Self { status, from_shop: bytes.get(end + 4) == Some(&b'x'), length }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_its_head_is_whole() {
        let text = b"HTTP/1.1 503 Busy\r\ncontent-length: 5\r\n\r\nxxx";
        assert_eq!(Answer::read(&text[..30]).unwrap(), None);
        let read = Answer::read(text).unwrap();
        assert_eq!(read, Some(Answer { status: 503, from_shop: true, length: text.len() + 2 }));
    }

    #[test]
    fn an_answer_of_unknown_length_is_refused() {
        assert!(Answer::read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(Answer::read(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").is_err());
    }
}
