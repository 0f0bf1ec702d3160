//! Just enough of HTTP/2 to open streams and never take their answers.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use crate::common::h2::{END, HEADERS, PREFACE, SETTINGS, frame};

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
