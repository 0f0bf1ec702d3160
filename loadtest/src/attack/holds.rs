//! Attacks that hold something for as long as they can: requests in flight, connections, memory.

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::sleep;

use super::attacker::Attacker;

/// Pause between two bytes of a slow form.
const BYTE: Duration = Duration::from_secs(5);
/// Declared length of a slow form, in bytes.
const FORM: &str = "Content-Length: 2000";
/// Pause between two reads of a slow reader, and bytes of each.
const LOOK: Duration = Duration::from_secs(1);
const PIECE: usize = 64;
/// Small pages that are requested at once and left unread.
const SMALL_PAGES: usize = 200;
/// Pause between two status requests on an idle connection.
const IDLE: Duration = Duration::from_secs(7);

impl Attacker {
    pub(super) async fn slow_form(&mut self) -> io::Result<()> {
        let head = self.head("POST", "/newsletter", &["Content-Type: application/x-www-form-urlencoded", FORM]);
        self.drip(&head).await
    }

    pub(super) async fn slow_preflight(&mut self) -> io::Result<()> {
        let page = self.ground.page.clone();
        let lines = ["Origin: https://shop.example", "Access-Control-Request-Method: POST", FORM];
        let head = self.head("OPTIONS", &page, &lines);
        self.drip(&head).await
    }

    /// The head, and then the body byte by byte until there is an answer.
    async fn drip(&mut self, head: &str) -> io::Result<()> {
        let mut door = self.open(false).await?;
        self.tally.asked();
        door.say(head.as_bytes()).await?;
        loop {
            door.say(b"a").await?;
            if let Some(answer) = within(BYTE, door.answer()).await {
                return answer.map(drop);
            }
        }
    }

    /// One page of a megabyte, or many small ones, with a short read now and then.
    pub(super) async fn slow_reader(&mut self) -> io::Result<()> {
        let mut door = self.open(true).await?;
        let (path, times) = if self.is_even() { ("/picture", 1) } else { ("/", SMALL_PAGES) };
        for _ in 0..times {
            let head = self.head("GET", path, &[]);
            self.tally.asked();
            door.say(head.as_bytes()).await?;
        }
        let mut piece = [0; PIECE];
        loop {
            sleep(LOOK).await;
            if door.stream.read(&mut piece).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub(super) async fn idle(&mut self) -> io::Result<()> {
        let mut door = self.open(false).await?;
        loop {
            let path = format!("/.weir/status/{}", self.ground.room);
            let head = self.head("GET", &path, &[]);
            if !door.ask(head.as_bytes()).await?.keeps() {
                return Ok(());
            }
            if let Some(error) = within(IDLE, door.ended()).await {
                return Err(error);
            }
        }
    }

    /// An idle `WebSocket`.
    pub(super) async fn upgrade(&mut self) -> io::Result<()> {
        let lines = [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        let head = self.head("GET", "/live", &lines);
        let mut door = self.open(false).await?;
        match door.ask(head.as_bytes()).await?.status {
            101 => Err(door.ended().await),
            _ => Ok(()),
        }
    }
}

/// The result within this time. A piece that was read meanwhile may be lost: after a time-out the caller reads no more.
async fn within<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(time, work).await.ok()
}
