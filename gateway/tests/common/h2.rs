//! Frames of HTTP/2 by hand: a library would be too polite to send what these tests send (RFC 9113, section 4.1).

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RESET: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
/// A head in one frame, and nothing after it.
pub const END: u8 = END_STREAM | END_HEADERS;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header that enters no table (RFC 7541, section 6.2.2); shorter than 127 bytes each.
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0x00, name.len() as u8];
    block.extend(name.as_bytes());
    block.push(value.len() as u8);
    block.extend(value.as_bytes());
    block
}

pub const WINDOW_UPDATE: u8 = 8;
pub const ACK: u8 = 1;
/// Settings (RFC 9113, section 6.5.2).
pub const INITIAL_WINDOW_SIZE: u16 = 4;
/// Why a stream is reset (section 7).
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
/// `:status: 200` as a block of headers (RFC 7541, appendix A).
pub const OK_200: &[u8] = &[0x88];

pub fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let pairs = settings.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, &pairs.collect::<Vec<u8>>())
}

/// A frame that came.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A server's end of a connection that behaves as a test tells it.
pub struct Peer(pub std::net::TcpStream);

impl Peer {
    /// Reads the client's preface, and agrees to it with these settings.
    pub fn agree(stream: std::net::TcpStream, with: &[(u16, u32)]) -> Option<Self> {
        let mut peer = Self(stream);
        let mut preface = [0; PREFACE.len()];
        std::io::Read::read_exact(&mut peer.0, &mut preface).ok()?;
        peer.write(&settings(with));
        peer.read().filter(|first| preface == *PREFACE && first.kind == SETTINGS)?;
        Some(peer)
    }

    /// Sends bytes; the other end may have closed.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = std::io::Write::write_all(&mut self.0, bytes);
    }

    /// The next frame; `None` at the end. What is to be acknowledged is.
    pub fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        std::io::Read::read_exact(&mut self.0, &mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        std::io::Read::read_exact(&mut self.0, &mut payload).ok()?;
        let came = Frame { kind: head[3], flags: head[4], stream, payload };
        match came.kind {
            SETTINGS if came.flags & ACK == 0 => self.write(&frame(SETTINGS, ACK, 0, &[])),
            PING if came.flags & ACK == 0 => self.write(&frame(PING, ACK, 0, &came.payload)),
            _ => {}
        }
        Some(came)
    }

    /// The next frame of this kind.
    pub fn next(&mut self, kind: u8) -> Option<Frame> {
        loop {
            if let Some(frame) = Some(self.read()?).filter(|frame| frame.kind == kind) {
                return Some(frame);
            }
        }
    }

    /// The stream of the next request; its body, if there is one, follows.
    pub fn request(&mut self) -> Option<u32> {
        self.next(HEADERS).map(|head| head.stream)
    }

    /// An answer that is here as a whole.
    pub fn answer(&mut self, stream: u32, body: &str) {
        let head = frame(HEADERS, END_HEADERS, stream, OK_200);
        self.write(&[head, frame(DATA, END_STREAM, stream, body.as_bytes())].concat());
    }

    pub fn reset(&mut self, stream: u32, why: u32) {
        self.write(&frame(RESET, 0, stream, &why.to_be_bytes()));
    }

    /// No stream after `last` was looked at.
    pub fn go_away(&mut self, last: u32) {
        self.write(&frame(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat()));
    }
}

/// A server that gives each connection to `serve`, with its number from 0, on a thread of its own.
pub fn peers(serve: impl Fn(std::net::TcpStream, usize) + Clone + Send + 'static) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream, number));
        }
    });
    address
}
