//! A reader of `GET /api/live`.

use std::net::SocketAddr;

use serde_json::Value as Json;

use super::{Kept, chunk, head};

/// An open stream.
pub struct Live {
    connection: Kept,
    text: String,
    /// The head of the answer.
    pub head: String,
}

/// One of its events.
#[derive(Debug, Clone)]
pub struct Event {
    pub name: String,
    pub id: Option<u64>,
    pub data: Json,
}

impl Live {
    /// Opens a stream, with these lines in the head of the request.
    pub fn open(admin: SocketAddr, lines: &str) -> Self {
        let mut connection = Kept::open(admin);
        connection.send(format!("GET /api/live HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"));
        let head = head(&mut connection.0).unwrap();
        Self { connection, text: String::new(), head }
    }

    /// Opens one that goes on after this event.
    pub fn after(admin: SocketAddr, id: u64) -> Self {
        Self::open(admin, &format!("Last-Event-ID: {id}\r\n"))
    }

    /// The next event; `None` at the end of the stream.
    pub fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event_of(event);
                self.text = rest.to_owned();
                if event.is_some() {
                    return event;
                }
                continue;
            }
            let more = chunk(&mut self.connection.0).filter(|chunk| !chunk.is_empty())?;
            self.text += std::str::from_utf8(&more).unwrap();
        }
    }

    /// The next sample of which this holds.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&Json) -> bool) -> Event {
        let begun = std::time::Instant::now();
        let mut last = None;
        while begun.elapsed().as_secs() < 30 {
            let event = self.next().unwrap_or_else(|| panic!("the stream ended before {what}"));
            if event.id.is_some() && holds(&event.data) {
                return event;
            }
            last = Some(event);
        }
        panic!("{what}: {last:?}");
    }
}

/// The event of these lines; a comment is none.
fn event_of(lines: &str) -> Option<Event> {
    let field = |name: &str| lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let data = serde_json::from_str(field("data")?).unwrap();
    Some(Event {
        name: field("event").unwrap_or("message").to_owned(),
        id: field("id").map(|id| id.parse().unwrap()),
        data,
    })
}

/// What a sample tells of the room `launch`.
pub fn launch(sample: &Json) -> &Json {
    sample["rooms"].as_array().unwrap().iter().find(|room| room["name"] == "launch").unwrap_or(&Json::Null)
}
