//! A shop that takes nothing but what RFC 9112 calls a request, and remembers every byte of it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use crate::common::{ok, server};

/// A request as it was received.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// From the request line to the empty line.
    pub head: String,
    /// The body by its framing.
    pub body: Vec<u8>,
    /// The lines after the last chunk.
    pub trailers: Vec<String>,
    /// Its fault.
    pub malformed: Option<String>,
}

impl Received {
    /// The values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or("")
    }
}

pub struct StrictShop {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl StrictShop {
    pub fn open() -> Self {
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let told = received.clone();
        let address = server(move |stream| serve(stream, &told));
        Self { address, received }
    }

    /// All requests so far, in the order in which they were whole.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The only request for this path.
    pub fn one(&self, path: &str) -> Received {
        let found: Vec<_> = self.received().into_iter().filter(|request| request.path() == path).collect();
        assert_eq!(found.len(), 1, "{path}: {found:#?}");
        found[0].clone()
    }

    /// Nothing malformed was received, and no head that another server could read otherwise.
    pub fn received_nothing_malformed(&self) {
        for request in self.received() {
            assert!(request.malformed.is_none(), "{request:#?}");
        }
    }
}

fn serve(mut stream: TcpStream, received: &Mutex<Vec<Received>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut request = Received::default();
        let read = read(&mut reader, &mut request);
        if request.head.is_empty() {
            return;
        }
        // A connection that ends within a request says that the request is not whole: nothing is wrong with that.
        match read {
            Ok(()) => {}
            Err(Broken::Ended) => return,
            Err(Broken::Malformed(why)) => request.malformed = Some(why),
        }
        let stop = request.malformed.is_some();
        let mut answer = ok("welcome to the shop");
        if request.head.starts_with("HEAD ") {
            answer.truncate(answer.len() - "welcome to the shop".len());
        }
        received.lock().unwrap().push(request);
        if stream.write_all(&answer).is_err() || stop {
            return;
        }
    }
}

enum Broken {
    Ended,
    Malformed(String),
}

fn malformed<T>(why: impl std::fmt::Debug) -> Result<T, Broken> {
    Err(Broken::Malformed(format!("{why:?}")))
}

fn read(reader: &mut impl BufRead, request: &mut Received) -> Result<(), Broken> {
    loop {
        let line = line(reader)?;
        request.head += &line;
        request.head += "\r\n";
        if line.is_empty() {
            break;
        }
    }
    let mut lines = request.head.lines().filter(|line| !line.is_empty());
    let first: Vec<&str> = lines.next().unwrap_or("").split(' ').collect();
    if first.len() != 3 || first[2] != "HTTP/1.1" {
        return malformed(first);
    }
    for line in lines {
        field(line)?;
    }
    let (lengths, codings) = (request.all("content-length"), request.all("transfer-encoding"));
    match (&*lengths, &*codings) {
        ([], []) => Ok(()),
        (&[length], []) => {
            let number: usize = length.parse().unwrap_or(usize::MAX);
            if number.to_string() != length || number > 1 << 30 {
                return malformed(length);
            }
            request.body = vec![0; number];
            reader.read_exact(&mut request.body).map_err(|_| Broken::Ended)
        }
        ([], ["chunked"]) => chunks(reader, request),
        both => malformed(both),
    }
}

/// A line without its end, which is CR and LF together.
fn line(reader: &mut impl BufRead) -> Result<String, Broken> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).map_err(|_| Broken::Ended)?;
    if line.is_empty() {
        return Err(Broken::Ended);
    }
    let Some(text) = line.strip_suffix(b"\r\n") else { return malformed(String::from_utf8_lossy(&line)) };
    if text.iter().any(|byte| matches!(byte, b'\r' | 0)) {
        return malformed(String::from_utf8_lossy(&line));
    }
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// A name that no shop reads as another, and a value.
fn field(line: &str) -> Result<(), Broken> {
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match line.split_once(':') {
        Some((name, _)) if plain(name) => Ok(()),
        _ => malformed(line),
    }
}

fn chunks(reader: &mut impl BufRead, request: &mut Received) -> Result<(), Broken> {
    loop {
        let size = line(reader)?;
        let Ok(number) = usize::from_str_radix(&size, 16) else { return malformed(size) };
        if number == 0 {
            break;
        }
        let start = request.body.len();
        request.body.resize(start + number, 0);
        reader.read_exact(&mut request.body[start..]).map_err(|_| Broken::Ended)?;
        let end = line(reader)?;
        if !end.is_empty() {
            return malformed(end);
        }
    }
    loop {
        let trailer = line(reader)?;
        if trailer.is_empty() {
            return Ok(());
        }
        field(&trailer)?;
        request.trailers.push(trailer);
    }
}
