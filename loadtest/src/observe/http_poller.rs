//! One server, polled on one connection.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const LONGEST: usize = 64 << 20;

/// A server.
#[derive(Debug)]
pub(crate) struct HttpPoller {
    /// The address as it was given.
    pub(crate) name: String,
    address: SocketAddr,
    /// The operator's token.
    token: Option<String>,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

impl HttpPoller {
    /// The server at `host:port`, with `http://` before it or not.
    pub(crate) fn at(text: &str, token: Option<String>) -> anyhow::Result<Self> {
        let host = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let found = host.to_socket_addrs().ok().and_then(|mut found| found.next());
        let address = found.with_context(|| format!("`{text}` is no address such as 127.0.0.1:9090"))?;
        Ok(Self { name: host.to_owned(), address, token, connection: None })
    }

    /// The body of an answer with status 200.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Bytes> {
        self.ask(Method::GET, path).await
    }

    /// The same, of a request that changes something.
    pub(crate) async fn post(&mut self, path: &str) -> anyhow::Result<Bytes> {
        self.ask(Method::POST, path).await
    }

    /// The same server, on another connection.
    pub(crate) fn again(&self) -> Self {
        Self { name: self.name.clone(), address: self.address, token: self.token.clone(), connection: None }
    }

    async fn ask(&mut self, method: Method, path: &str) -> anyhow::Result<Bytes> {
        let answer = timeout(PATIENCE, self.try_ask(method, path)).await;
        let answer = answer.unwrap_or_else(|_| bail!("no answer within {} s", PATIENCE.as_secs()));
        answer.inspect_err(|_| self.connection = None).with_context(|| format!("http://{}{path}", self.name))
    }

    async fn try_ask(&mut self, method: Method, path: &str) -> anyhow::Result<Bytes> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.name);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = self.connection().await?.send_request(request.body(Empty::new())?).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await.map_err(anyhow::Error::from_boxed)?;
        let body = body.to_bytes();
        if status != http::StatusCode::OK {
            bail!("{status}: {}", String::from_utf8_lossy(&body[..body.len().min(200)]).trim());
        }
        Ok(body)
    }

    async fn connection(&mut self) -> anyhow::Result<&mut SendRequest<Empty<Bytes>>> {
        let kept = match self.connection.take() {
            // The server may have closed it meanwhile.
            Some(mut kept) => kept.ready().await.ok().map(|()| kept),
            None => None,
        };
        let open = match kept {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        Ok(self.connection.insert(open))
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
        let stream = TcpStream::connect(self.address).await.context("nobody listens there")?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}
