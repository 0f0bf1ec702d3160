//! Headers of the PROXY protocol: bounded, read to their end and no further, the same however they are cut, and what is
//! written as one is read as it was meant.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use gateway::client::proxy_header::{HeaderError, MOST, Progress, ProxyHeader, progress};

/// The bytes as what a connection begins with, and as an address and what follows it.
pub fn proxy(bytes: &[u8]) {
    let (told, read) = in_pieces(bytes, usize::MAX);
    assert!(read <= MOST, "{read} bytes read");
    for piece in [1, 7] {
        assert_eq!(in_pieces(bytes, piece).0, told, "in pieces of {piece}");
    }
    // Whatever it is given at once.
    let _ = progress(bytes);
    what_is_written_is_read(bytes);
}

/// What comes of a stream that gives at most so many bytes at once, and how many of them were read.
fn in_pieces(stream: &[u8], piece: usize) -> (Result<ProxyHeader, HeaderError>, usize) {
    let mut read = 0;
    loop {
        let more = match progress(&stream[..read]) {
            Ok(Progress::Whole(told)) => return (Ok(told), read),
            Ok(Progress::More(more)) => more,
            Err(wrong) => return (Err(wrong), read),
        };
        assert!(more > 0, "no more is asked for, and it is not whole");
        if read == stream.len() {
            return (Err(HeaderError::Cut), read);
        }
        read = (read + more.min(piece)).min(stream.len());
    }
}

fn what_is_written_is_read(bytes: &[u8]) {
    let Some((address, rest)) = bytes.split_first_chunk::<16>() else { return };
    let six = Ipv6Addr::from(*address);
    let [a, b, c, d, ..] = *address;
    let four = Ipv4Addr::new(a, b, c, d);
    let values = &rest[..rest.len().min(MOST - 64)];
    let client = |address: IpAddr| ProxyHeader::Client { address, tls: false };
    let lines = [
        (format!("PROXY TCP4 {four} {four} 1 65535\r\n"), client(four.into())),
        (format!("PROXY TCP6 {six} {six} 0 443\r\n"), client(six.into())),
    ];
    for (line, told) in lines {
        is_read(line.as_bytes(), told, values);
    }
    let of_four = [&four.octets()[..], &[0; 8]].concat();
    let of_six = [&six.octets()[..], &[0; 20]].concat();
    for (family, addresses, source) in [(0x11, of_four, IpAddr::from(four)), (0x21, of_six, six.into())] {
        let body = [&addresses[..], values].concat();
        let length = u16::try_from(body.len()).expect("below the bound").to_be_bytes();
        let header = [b"\r\n\r\n\0\r\nQUIT\n\x21", &[family][..], &length, &body].concat();
        match in_pieces(&header, usize::MAX) {
            (Ok(ProxyHeader::Client { address, .. }), read) => assert_eq!((address, read), (source, header.len())),
            other => panic!("{other:?}"),
        }
    }
}

/// A header is read as this, and none of what follows it.
fn is_read(header: &[u8], told: ProxyHeader, more: &[u8]) {
    let stream = [header, more].concat();
    assert_eq!(in_pieces(&stream, usize::MAX), (Ok(told), header.len()));
}
