//! HTTP/2 by hand: a library would not send what is sent here.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::common::h2::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RESET, SETTINGS, frame, literal};

/// The rest of a request after its head.
#[derive(Debug, Clone, Copy)]
pub enum After<'a> {
    /// Nothing: the head ends the stream.
    Nothing,
    /// A body that ends the stream.
    Body(&'a str),
    /// A body, and trailers that end the stream.
    Trailers(&'a str, &'a [(&'a str, &'a str)]),
}

/// Headers that enter no table.
fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    headers.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

/// One request on a connection of its own: the status of the answer, 0 if the request was refused without one.
pub fn request(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], after: After<'_>) -> u16 {
    let start = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "shop.example")];
    let head = block(&[&start[..], headers].concat());
    let mut bytes = [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[])].concat();
    match after {
        After::Nothing => bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &head)),
        After::Body(body) => {
            bytes.extend(frame(HEADERS, END_HEADERS, 1, &head));
            bytes.extend(frame(DATA, END_STREAM, 1, body.as_bytes()));
        }
        After::Trailers(body, trailers) => {
            bytes.extend(frame(HEADERS, END_HEADERS, 1, &head));
            bytes.extend(frame(DATA, 0, 1, body.as_bytes()));
            bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(trailers)));
        }
    }
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(&bytes).unwrap();
    status(&mut stream)
}

/// The status in the first frame of headers.
fn status(stream: &mut TcpStream) -> u16 {
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        if stream.read_exact(&mut payload).is_err() {
            break;
        }
        match (head[3], head[8]) {
            (HEADERS, 1) => return in_block(&payload),
            (RESET, 1) | (GOAWAY, _) => break,
            _ => {}
        }
    }
    0
}

fn in_block(block: &[u8]) -> u16 {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    match block {
        &[first @ 0x88..=0x8e, ..] => INDEXED[usize::from(first - 0x88)],
        // A literal in Huffman's code.
        [0x48 | 0x08, 0x83, 0x68, 0x4f, 0xff, ..] => 429,
        [0x48 | 0x08, 0x83, 0x6c, 0x0c, 0xff, ..] => 503,
        [0x48 | 0x08, 0x82, 0x6c, 0x02, ..] => 502,
        other => panic!("a status in {:x?}", &other[..other.len().min(6)]),
    }
}
