//! One request by HTTP to a program beside the shop, on a connection of its own.
//!
//! Out of scope: a handshake of TLS, redirects, how long it may take, and the servers of the shop ([`crate::upstream`]).

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, ToSocketAddrs};

/// Status and body of the answer, of at most so many bytes.
///
/// # Errors
/// If there is no connection, no answer, or a longer one.
pub(crate) async fn fetch(
    to: impl ToSocketAddrs,
    request: Request<Full<Bytes>>,
    longest: usize,
) -> anyhow::Result<(StatusCode, Bytes)> {
    fetch_over(TcpStream::connect(to).await?, request, longest).await
}

/// The same on a connection that is open.
///
/// # Errors
/// As [`fetch`].
pub(crate) async fn fetch_over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
    longest: usize,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, longest).collect().await.map_err(anyhow::Error::from_boxed)?;
        Ok((parts.status, body.to_bytes()))
    };
    // The connection runs beside the request, and is dropped with it.
    tokio::select! {
        answer = answer => answer,
        ended = async { match connection.await { Ok(()) => std::future::pending().await, Err(error) => error } } => Err(ended.into()),
    }
}
