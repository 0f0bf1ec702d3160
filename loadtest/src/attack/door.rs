//! A raw connection of HTTP/1.1: bytes go out as they are.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use super::tally::{Open, Tally};
use crate::wire::{Target, attacker_address};

/// The longest head and body that are read.
const LONGEST_HEAD: u64 = 64 * 1024;
const LONGEST_BODY: u64 = 4 << 20;
/// Receive buffer of a slow reader, in bytes. The kernel doubles it.
const SMALL_BUFFER: u32 = 2_048;

/// A connection.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) stream: BufReader<TcpStream>,
    pub(super) tally: Arc<Tally>,
    _open: Open,
}

/// The parts of an answer that attacks look at.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Names in lower case, in order.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the connection may be used again.
    pub(super) fn keeps(&self) -> bool {
        self.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close"))
    }
}

impl Door {
    /// Opens one from address number `address` of those that attacks have. A slow reader gets a small receive buffer.
    pub(super) async fn open(target: &Target, address: u32, slow: bool, tally: &Arc<Tally>) -> io::Result<Self> {
        let socket = if target.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if slow {
            socket.set_recv_buffer_size(SMALL_BUFFER)?;
        }
        if let Some(from) = attacker_address(target.address, address) {
            socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
        }
        let stream = socket.connect(target.address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), tally: Arc::clone(tally), _open: tally.open() })
    }

    pub(super) async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes).await
    }

    /// A request with its answer.
    pub(super) async fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.tally.asked();
        self.say(request).await?;
        self.answer().await
    }

    /// The next answer, whole.
    pub(super) async fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.head().await?;
        let length = answer.header("content-length").and_then(|length| length.parse::<u64>().ok());
        match length {
            _ if matches!(answer.status, 101 | 204 | 304) => {}
            Some(length) => self.body(length, &mut answer.body).await?,
            None if answer.header("transfer-encoding").is_some() => self.chunks(&mut answer.body).await?,
            None => {}
        }
        self.tally.answered(answer.status);
        Ok(answer)
    }

    async fn head(&mut self) -> io::Result<Answer> {
        let first = self.line().await?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(nonsense)?;
        let (mut answer, mut length) = (Answer { status, ..Answer::default() }, 0);
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { return Ok(answer) };
            length += line.len() as u64;
            if length > LONGEST_HEAD {
                return Err(nonsense());
            }
            answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// A line without its line end.
    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        (&mut self.stream).take(LONGEST_HEAD).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    async fn body(&mut self, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
        if body.len() as u64 + length > LONGEST_BODY {
            return Err(nonsense());
        }
        let before = body.len();
        (&mut self.stream).take(length).read_to_end(body).await?;
        if ((body.len() - before) as u64) < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let length = u64::from_str_radix(self.line().await?.trim(), 16).map_err(|_| nonsense())?;
            self.body(length, body).await?;
            self.line().await?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    /// Reads and discards, until the other side ends it.
    pub(super) async fn ended(&mut self) -> io::Error {
        let mut piece = [0; 4096];
        loop {
            match self.stream.read(&mut piece).await {
                Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }
}

fn nonsense() -> io::Error {
    io::ErrorKind::InvalidData.into()
}
