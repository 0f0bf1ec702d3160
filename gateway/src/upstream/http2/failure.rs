//! Failures of HTTP/2, and their meaning for a request.

use std::error::Error;
use std::io;

use h2::Reason;

/// Why HTTP/2 with a server failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http2Failure {
    /// It does not begin as the protocol says, or does not offer it.
    NotSpoken,
    /// It broke the protocol in an answer; others on the connection go on.
    Protocol,
    /// It broke the protocol on the connection, and all requests in flight on it ended.
    Connection,
    /// It reset the request's stream.
    Reset,
    /// It refused the request each time, unread.
    Refused,
    /// It did not answer to PING.
    Unanswered,
}

impl Http2Failure {
    /// All of them, in their order.
    pub const ALL: [Self; 6] =
        [Self::NotSpoken, Self::Protocol, Self::Connection, Self::Reset, Self::Refused, Self::Unanswered];

    /// The failure behind an error of a connection or a request; `None` if it is one of the socket below.
    pub(crate) fn of(error: &hyper::Error) -> Option<Self> {
        if error.is_timeout() {
            return Some(Self::Unanswered);
        }
        let cause = cause(error)?;
        Some(match () {
            () if is_refusal(error) => Self::Refused,
            () if cause.is_remote() => Self::Reset,
            () if cause.is_reset() => Self::Protocol,
            () => Self::Connection,
        })
    }

    /// Whether it is one of a connection, and counted once for all requests in flight.
    pub(crate) fn is_shared(self) -> bool {
        matches!(self, Self::Connection | Self::Unanswered)
    }

    /// As in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotSpoken => "not_spoken",
            Self::Protocol => "protocol",
            Self::Connection => "connection",
            Self::Reset => "reset",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
        }
    }

    /// As in the access line.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotSpoken => "upstream_no_http2",
            Self::Protocol => "upstream_http2_broken",
            Self::Connection => "upstream_http2_connection_broken",
            Self::Reset => "upstream_stream_reset",
            Self::Refused => "upstream_refused",
            Self::Unanswered => "upstream_ping_unanswered",
        }
    }
}

fn cause(error: &hyper::Error) -> Option<&h2::Error> {
    error.source()?.downcast_ref()
}

/// Whether the server did nothing with the request: its stream is after the last one of a GOAWAY, or was
/// refused (RFC 9113, section 8.7). One before that last one ends with an error of the socket.
pub(super) fn is_refusal(error: &hyper::Error) -> bool {
    cause(error).is_some_and(|cause| {
        cause.is_remote() && (cause.is_go_away() || cause.reason() == Some(Reason::REFUSED_STREAM))
    })
}

/// Whether it refused this request alone: it has no room for it now.
pub(crate) fn is_refused_stream(error: &hyper::Error) -> bool {
    cause(error)
        .is_some_and(|cause| cause.is_remote() && cause.reason() == Some(Reason::REFUSED_STREAM) && !cause.is_go_away())
}

/// The text of an error and of its causes.
pub(crate) fn why(error: &dyn Error) -> String {
    let (mut told, mut cause) = (error.to_string(), error.source());
    while let Some(deeper) = cause {
        told = format!("{told}: {deeper}");
        cause = deeper.source();
    }
    told
}

/// A server that accepts connections and speaks no HTTP/2.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP/2: {0}")]
pub(crate) struct NotSpoken(String);

impl NotSpoken {
    pub(crate) fn told(why: &str) -> io::Error {
        io::Error::other(Self(why.to_owned()))
    }

    pub(super) fn because(error: &hyper::Error) -> io::Error {
        Self::told(&why(error))
    }

    /// Whether this is one.
    pub(crate) fn is(error: &io::Error) -> bool {
        error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()).is_some()
    }
}
