//! Attacks on the line and on the seats: places and passes that are taken and never used.

use std::io;

use launch_model::jar::Jar;
use launch_model::visit::{Content, Cookies, QueueInfo};
use tokio::time::Instant;

use super::attacker::Attacker;
use super::door::Answer;
use crate::reading;

/// Tickets that one attacker polls for, at most.
const TICKETS: usize = 200;
/// With so few people ahead the call is near: a poll would claim.
const NEAR: u64 = 100;

const BROWSER: [&str; 3] = ["Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];

impl Attacker {
    /// Takes a place, and comes back at once if that is what it takes. Half of the attackers then poll as told, and stop
    /// before they are called; the others are never seen again.
    pub(super) async fn stuff(&mut self) -> io::Result<()> {
        if self.tickets.front().is_some_and(|(due, _)| *due <= Instant::now())
            && let Some((_, jar)) = self.tickets.pop_front()
        {
            self.poll(jar).await?;
        }
        let mut jar = Jar::default();
        let page = self.ground.page.clone();
        let head = self.head("GET", &page, &BROWSER);
        keep(&mut jar, &self.ask(head.as_bytes()).await?);
        self.poll(jar).await
    }

    async fn poll(&mut self, mut jar: Jar) -> io::Result<()> {
        let cookie = format!("weir_{}", self.ground.room);
        let Some(cookies) = jar.line(&Cookies::Own, &cookie) else { return Ok(()) };
        let (page, shown) = (self.ground.page.clone(), format!("Cookie: {cookies}"));
        let head = self.head("GET", &page, &["Accept: application/json", "Sec-Fetch-Mode: cors", &shown]);
        let answer = self.ask(head.as_bytes()).await?;
        keep(&mut jar, &answer);
        let waits = told(&answer).filter(|told| self.is_even() && told.position.is_none_or(|ahead| ahead > NEAR));
        if let Some(told) = waits {
            self.tickets.push_back((Instant::now() + told.after, jar));
            self.tickets.truncate(TICKETS);
        }
        Ok(())
    }

    /// Enters as a newcomer, without a cookie, and forgets what was given.
    pub(super) async fn take_a_seat(&mut self) -> io::Result<()> {
        let page = self.ground.page.clone();
        let lines: &[&str] = if self.is_even() { &BROWSER[..] } else { &["Accept: */*"] };
        let head = self.head("GET", &page, lines);
        self.ask(head.as_bytes()).await.map(drop)
    }
}

fn keep(jar: &mut Jar, answer: &Answer) {
    answer.all("set-cookie").for_each(|line| jar.keep(line));
}

fn told(answer: &Answer) -> Option<QueueInfo> {
    match reading::read(answer.status, answer.header("retry-after"), &answer.body).shown {
        Content::Line(told) => Some(told),
        _ => None,
    }
}
