//! Just enough of HTTP/2 to open streams and never take their answers.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END: u8 = 1 | 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn literal(block: &mut Vec<u8>, value: &str) {
    block.push(value.len() as u8);
    block.extend(value.as_bytes());
}

/// A connection with so many streams, each of which asks for `path` and gives no window for the answer.
pub(crate) fn closed_windows(to: SocketAddr, streams: u32, path: &str, cookie: &str) -> TcpStream {
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])].concat();
    for stream in 0..streams {
        let mut block = vec![0x82, 0x86, 0x04];
        literal(&mut block, path);
        block.push(0x01);
        literal(&mut block, "shop.example");
        if !cookie.is_empty() {
            block.push(0x00);
            literal(&mut block, "cookie");
            literal(&mut block, cookie);
        }
        bytes.extend(frame(HEADERS, END, 2 * stream + 1, &block));
    }
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(&bytes).unwrap();
    stream
}
