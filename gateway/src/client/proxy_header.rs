//! The PROXY protocol: the client behind a balancer, sent before everything else on a connection.
//!
//! Versions 1 (a line) and 2 (binary) as `proxy-protocol.txt` of `HAProxy` has them. Not a byte more than the header is read:
//! TLS or HTTP follows, and is read elsewhere.
//!
//! Out of scope: which peers are trusted, and how long a header may take (`listener`).

mod meters;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncReadExt as _};

pub use self::meters::ProxyHeaders;

/// Bytes of the longest accepted header. The lengths of version 2 go to 64 KiB; certificates of clients and the ids of
/// cloud providers, which it may carry, take some hundred.
pub const MOST: usize = 4 << 10;

/// The first bytes of version 1...
const LINE: &[u8] = b"PROXY ";
/// ...its shortest line...
const SHORTEST_LINE: usize = b"PROXY UNKNOWN\r\n".len();
/// ...and its longest.
const LONGEST_LINE: usize = 107;
/// The first bytes of version 2...
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// ...with command, family and length.
const FIXED: usize = SIGNATURE.len() + 4;
/// In version 2: the encryption on the client's side of the proxy...
const TYPE_SSL: u8 = 0x20;
/// ...if there was any.
const CLIENT_SSL: u8 = 1;

/// The content of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The client of the proxy.
    Client {
        /// Its address.
        address: IpAddr,
        /// Whether it speaks TLS, which ends at the proxy.
        tls: bool,
    },
    /// No client: the proxy itself asks, as for its health checks, or does not know (`LOCAL`, `UNKNOWN`, unix sockets).
    Own,
}

/// The reason why there is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// The connection begins with other bytes.
    Missing,
    /// It begins as a header, and is malformed.
    Malformed,
    /// Longer than [`MOST`].
    TooLong,
    /// The connection ended, or its time, before the header did.
    Cut,
}

/// The state of a partly read header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// At least this many bytes are missing.
    More(usize),
    /// It is all here.
    Whole(ProxyHeader),
}

/// Reads the header off a stream, and nothing after it.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<ProxyHeader, HeaderError> {
    let mut bytes = Vec::new();
    loop {
        match progress(&bytes)? {
            Progress::Whole(told) => return Ok(told),
            Progress::More(more) => match (&mut *stream).take(more as u64).read_buf(&mut bytes).await {
                Ok(0) | Err(_) => return Err(HeaderError::Cut),
                Ok(_) => {}
            },
        }
    }
}

/// Parses the bytes so far; no more may have been read than it asked for.
///
/// # Errors
/// As soon as they are no beginning of a header.
pub fn progress(bytes: &[u8]) -> Result<Progress, HeaderError> {
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(byte, expected)| byte == expected);
    match bytes {
        [] => Ok(Progress::More(SHORTEST_LINE)),
        _ if begins(SIGNATURE) => binary(bytes),
        _ if begins(LINE) => line(bytes),
        _ => Err(HeaderError::Missing),
    }
}

fn line(bytes: &[u8]) -> Result<Progress, HeaderError> {
    if bytes.len() < SHORTEST_LINE {
        return Ok(Progress::More(SHORTEST_LINE - bytes.len()));
    }
    if bytes.split_last().is_some_and(|(_, before)| before.contains(&b'\n')) {
        return Err(HeaderError::Malformed);
    }
    if let Some(text) = bytes.strip_suffix(b"\r\n") {
        let text = std::str::from_utf8(text).map_err(|_| HeaderError::Malformed)?;
        return words(text).map(Progress::Whole).ok_or(HeaderError::Malformed);
    }
    let more = if bytes.ends_with(b"\r") { 1 } else { 2 };
    if bytes.len() + more > LONGEST_LINE { Err(HeaderError::Malformed) } else { Ok(Progress::More(more)) }
}

/// `PROXY TCP4 192.0.2.1 10.0.0.1 56324 443`.
fn words(line: &str) -> Option<ProxyHeader> {
    let mut words = line.split(' ').skip(1);
    let address = match words.next()? {
        // The rest is to be ignored.
        "UNKNOWN" => return Some(ProxyHeader::Own),
        "TCP4" => source::<Ipv4Addr>(words)?,
        "TCP6" => source::<Ipv6Addr>(words)?,
        _ => return None,
    };
    Some(ProxyHeader::Client { address, tls: false })
}

fn source<'a, A: FromStr + Into<IpAddr>>(mut words: impl Iterator<Item = &'a str>) -> Option<IpAddr> {
    let mut address = || words.next()?.parse::<A>().ok();
    let (source, _) = (address()?, address()?);
    let (_, _) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then(|| source.into())
}

fn port(word: &str) -> Option<u16> {
    word.parse().ok().filter(|_| word.bytes().all(|byte| byte.is_ascii_digit()))
}

fn binary(bytes: &[u8]) -> Result<Progress, HeaderError> {
    let Some((fixed, body)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(Progress::More(FIXED - bytes.len()));
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let is_own = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(HeaderError::Malformed),
    };
    if FIXED + length > MOST {
        return Err(HeaderError::TooLong);
    }
    let Some(body) = body.get(..length) else {
        return Ok(Progress::More(length - body.len()));
    };
    let told = match family {
        _ if is_own => Some(ProxyHeader::Own),
        0x11 => client(body, |[a, b, c, d, ..]: [u8; 12]| Ipv4Addr::new(a, b, c, d).into()),
        0x21 => client(body, |addresses: [u8; 36]| first_half(addresses).into()),
        // Unspecified, or a unix socket.
        0x00 | 0x31 => Some(ProxyHeader::Own),
        _ => None,
    };
    told.map(Progress::Whole).ok_or(HeaderError::Malformed)
}

/// The source of these addresses, which some values may follow.
fn client<const N: usize>(body: &[u8], source: impl Fn([u8; N]) -> IpAddr) -> Option<ProxyHeader> {
    let (addresses, values) = body.split_first_chunk::<N>()?;
    Some(ProxyHeader::Client { address: source(*addresses), tls: is_over_tls(values) })
}

fn first_half(addresses: [u8; 36]) -> Ipv6Addr {
    Ipv6Addr::from(std::array::from_fn::<u8, 16, _>(|at| addresses[at]))
}

/// Whether the values say that the client spoke TLS. The proxy is responsible for them: none is read after a truncated one.
fn is_over_tls(mut values: &[u8]) -> bool {
    while let Some(([kind, high, low], rest)) = values.split_first_chunk::<3>() {
        let Some((value, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low]))) else {
            return false;
        };
        if *kind == TYPE_SSL {
            return value.first().is_some_and(|client| client & CLIENT_SSL != 0);
        }
        values = rest;
    }
    false
}
