//! A server that does nothing: it reads a request, and answers the same bytes each time.
//!
//! Out of scope: everything that could be slow. It parses just enough HTTP to find the end of a request.

use std::net::SocketAddr;
use std::sync::Arc;

use demo_shop::pages;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::local::{listen, spawn};

/// The longest request that is read.
const LONGEST: usize = 16 << 10;

/// It serves until this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _stop: DropGuard,
}

/// Its answers.
pub(crate) enum Answer {
    /// A page of the shop, with an order that can be paid.
    Shop,
    /// A place in the line, for ten minutes.
    Line,
}

impl Answer {
    fn bytes(&self) -> Arc<[u8]> {
        let (more, body) = match self {
            Self::Shop => ("Content-Type: text/html", pages::order(1)),
            Self::Line => (
                "Content-Type: application/json\r\nRetry-After: 600",
                r#"{"cfWaitingRoom":{"position":1,"pollAfterSeconds":600}}"#.to_owned(),
            ),
        };
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\n{more}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes().into()
    }
}

impl Server {
    /// Opens it on a thread of its own.
    pub(crate) fn open(answer: &Answer) -> anyhow::Result<Self> {
        let (listener, stop, answer) = (listen(0)?, CancellationToken::new(), answer.bytes());
        listener.set_nonblocking(true)?;
        let (address, ends) = (listener.local_addr()?, stop.clone());
        spawn(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            ends.run_until_cancelled(serve(listener, answer)).await;
        })?;
        Ok(Self { address, _stop: stop.drop_guard() })
    }
}

async fn serve(listener: TcpListener, answer: Arc<[u8]>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, Arc::clone(&answer)));
        }
    }
}

/// One connection, until it ends or makes no sense.
async fn talk(mut stream: TcpStream, answer: Arc<[u8]>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::with_capacity(2048);
    while read.len() < LONGEST && stream.read_buf(&mut read).await? > 0 {
        while let Some(end) = end_of_request(&read) {
            read.drain(..end);
            stream.write_all(&answer).await?;
        }
    }
    Ok(())
}

/// The end of the first request, if all of it is there.
fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let lines = std::str::from_utf8(&bytes[..head]).ok()?.lines();
    let length =
        lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let body: usize = length.map_or(Some(0), |(_, length)| length.trim().parse().ok())?;
    head.checked_add(body).filter(|&end| end <= bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_after_its_body() {
        let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(end_of_request(get), Some(get.len()));
        let post = b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcGET";
        assert_eq!(end_of_request(post), Some(post.len() - 3));
        for unfinished in [&get[..20], &post[..post.len() - 4], b"", b"\r\n\r", b"\xff\r\n\r\n"] {
            assert_eq!(end_of_request(unfinished), None);
        }
        assert_eq!(end_of_request(b"A\r\nContent-Length: 18446744073709551615\r\n\r\n"), None);
    }
}
