//! One connection: how it is opened, and one request on it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use launch_model::scenario::Protocol;
use launch_model::visit::Lost;
use rustix::io::Errno;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use super::source::proxy_header;

/// Receive buffer of a slow reader, in bytes. The kernel doubles it.
const SMALL_BUFFER: u32 = 2_048;
/// HTTP/2 window of a slow reader.
const SMALL_WINDOW: u32 = 2_048;

type Outgoing = Request<Full<Bytes>>;

/// Whose fault it is that there is no connection.
pub(crate) fn lost(error: &io::Error) -> Lost {
    const OURS: [Errno; 6] =
        [Errno::ADDRNOTAVAIL, Errno::ADDRINUSE, Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    let ours = error.raw_os_error().is_some_and(|code| OURS.iter().any(|errno| errno.raw_os_error() == code));
    if ours { Lost::Local } else { Lost::Refused }
}

/// Counters of connections.
#[derive(Debug, Default)]
pub(super) struct Open {
    now: AtomicU64,
    most: AtomicU64,
}

impl Open {
    pub(super) fn most(&self) -> u64 {
        self.most.load(Relaxed)
    }
}

/// Counts one open connection, by a guard.
struct One(Arc<Open>);

impl One {
    fn more(open: &Arc<Open>) -> Self {
        let now = open.now.fetch_add(1, Relaxed) + 1;
        open.most.fetch_max(now, Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Relaxed);
    }
}

/// How a connection is to be opened.
pub(super) struct Opening<'a> {
    pub(super) to: SocketAddr,
    /// The address that the socket is bound to.
    pub(super) from: Option<Ipv4Addr>,
    /// The address that a PROXY header claims.
    pub(super) claims: Option<Ipv4Addr>,
    pub(super) tls: Option<(&'a TlsConnector, &'a ServerName<'static>)>,
    pub(super) protocol: Protocol,
    /// For a slow reader.
    pub(super) slow: bool,
    pub(super) open: &'a Arc<Open>,
}

/// A connection.
#[derive(Debug)]
pub(super) enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Opens one.
    pub(super) async fn open(opening: &Opening<'_>) -> Result<Self, Lost> {
        let because = |error: io::Error| lost(&error);
        let stream = dial(opening).await.map_err(because)?;
        match opening.tls {
            None => speak(stream, opening).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(because)?;
                speak(stream, opening).await
            }
        }
    }

    /// The same connection for another request at the same time; `None` if it cannot carry one.
    pub(super) fn share(&self) -> Option<Self> {
        match self {
            Self::Http2(sender) if !sender.is_closed() => Some(Self::Http2(sender.clone())),
            _ => None,
        }
    }

    pub(super) fn version(&self) -> Version {
        match self {
            Self::Http1(_) => Version::HTTP_11,
            Self::Http2(_) => Version::HTTP_2,
        }
    }

    /// Sends one request; an error has it still if nothing of it was sent.
    pub(super) async fn send(&mut self, request: Outgoing) -> Result<Response<Incoming>, TrySendError<Outgoing>> {
        match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(sender) => sender.try_send_request(request).await,
        }
    }
}

async fn dial(opening: &Opening<'_>) -> io::Result<TcpStream> {
    let socket = if opening.to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if opening.slow {
        socket.set_recv_buffer_size(SMALL_BUFFER)?;
    }
    if let Some(from) = opening.from {
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    }
    let mut stream = socket.connect(opening.to).await?;
    stream.set_nodelay(true)?;
    if let Some(source) = opening.claims {
        stream.write_all(&proxy_header(source, opening.to)).await?;
    }
    Ok(stream)
}

async fn speak<I>(io: I, opening: &Opening<'_>) -> Result<Connection, Lost>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, one) = (TokioIo::new(io), One::more(opening.open));
    match opening.protocol {
        Protocol::Http1 => {
            let (sender, connection) = http1::handshake(io).await.map_err(|_| Lost::Refused)?;
            tokio::spawn(async move {
                let _one = one;
                connection.await
            });
            Ok(Connection::Http1(sender))
        }
        Protocol::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            if opening.slow {
                builder.initial_stream_window_size(SMALL_WINDOW);
            }
            let (sender, connection) = builder.handshake(io).await.map_err(|_| Lost::Refused)?;
            tokio::spawn(async move {
                let _one = one;
                connection.await
            });
            Ok(Connection::Http2(sender))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_lacks_is_not_the_gateways_fault() {
        for errno in [Errno::ADDRNOTAVAIL, Errno::MFILE] {
            assert_eq!(lost(&io::Error::from_raw_os_error(errno.raw_os_error())), Lost::Local);
        }
        assert_eq!(lost(&io::Error::from_raw_os_error(Errno::CONNREFUSED.raw_os_error())), Lost::Refused);
        assert_eq!(lost(&io::ErrorKind::InvalidData.into()), Lost::Refused);
    }
}
