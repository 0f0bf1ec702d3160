//! One attacker: a connection at a time, until the attack ends.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use launch_model::attack::{ID, ID_HEADER, Kind};
use launch_model::jar::Jar;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::door::{Answer, Door};
use super::tally::Tally;
use crate::wire::Target;

/// Where an attack goes.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) target: Target,
    /// The page of the room.
    pub(super) page: String,
    pub(super) room: String,
}

/// One of the connections of an attack.
#[derive(Debug)]
pub(super) struct Attacker {
    kind: Kind,
    /// Which attack of the launch, and which attacker of it.
    who: [u32; 2],
    address: u32,
    pub(super) ground: Ground,
    pub(super) tally: Arc<Tally>,
    /// The instants of the next act and of the end.
    next: Instant,
    pub(super) until: Instant,
    rest: Duration,
    /// Requests sent so far.
    pub(super) count: u64,
    /// A connection that can be used again.
    kept: Option<Door>,
    /// Tickets to poll for, the next one first.
    pub(super) tickets: VecDeque<(Instant, Jar)>,
}

impl Attacker {
    pub(super) fn new(
        kind: Kind,
        who: [u32; 2],
        address: u32,
        ground: Ground,
        tally: Arc<Tally>,
        [next, until]: [Instant; 2],
        rest: Duration,
    ) -> Self {
        Self { kind, who, address, ground, tally, next, until, rest, count: 0, kept: None, tickets: VecDeque::new() }
    }

    /// Attacks until the end. Failures are counted, and tried again after a rest.
    pub(super) async fn run(mut self) {
        loop {
            let (next, until) = (self.next, self.until);
            let act = async {
                sleep_until(next).await;
                self.act().await
            };
            match timeout_at(until, act).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.tally.cut(&error),
                Err(_) => return,
            }
            self.next = (self.next + self.rest).max(Instant::now());
        }
    }

    async fn act(&mut self) -> io::Result<()> {
        match self.kind {
            Kind::SlowBody => self.slow_form().await,
            Kind::SlowPreflight => self.slow_preflight().await,
            Kind::SlowReader => self.slow_reader().await,
            Kind::ZeroWindow => self.zero_window().await,
            Kind::IdleHoarder => self.idle().await,
            Kind::UpgradeHoarder => self.upgrade().await,
            Kind::TwistedPath => self.twisted().await,
            Kind::Preflight => self.preflight().await,
            Kind::LineStuffer => self.stuff().await,
            Kind::SeatHoarder => self.take_a_seat().await,
            Kind::ReturnPath => self.come_back().await,
            Kind::PollFlood => self.flood().await,
        }
    }

    /// Its number among the attackers of this attack: half of them are even.
    pub(super) fn is_even(&self) -> bool {
        self.who[1].is_multiple_of(2)
    }

    pub(super) async fn open(&self, slow: bool) -> io::Result<Door> {
        Door::open(&self.ground.target, self.address, slow, &self.tally).await
    }

    /// The id of the next request.
    pub(super) fn id(&mut self) -> String {
        self.count += 1;
        format!("{ID}{}-{}-{}", self.who[0], self.who[1], self.count)
    }

    /// A head with these lines besides, as it is written.
    pub(super) fn head(&mut self, method: &str, target: &str, lines: &[&str]) -> String {
        let (host, id) = (self.ground.target.authority.clone(), self.id());
        let lines: String = lines.iter().flat_map(|line| [*line, "\r\n"]).collect();
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{ID_HEADER}: {id}\r\n{lines}\r\n")
    }

    /// Sends a request on the kept connection, or on a new one.
    pub(super) async fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.ask_at_once(request, 1).await
    }

    /// Sends so many requests in one write; returns the last answer.
    pub(super) async fn ask_at_once(&mut self, requests: &[u8], count: usize) -> io::Result<Answer> {
        let mut door = match self.kept.take() {
            Some(door) => door,
            None => self.open(false).await?,
        };
        let mut answer = door.ask(requests).await?;
        for _ in 1..count {
            door.tally.asked();
            answer = door.answer().await?;
        }
        self.kept = answer.keeps().then_some(door);
        Ok(answer)
    }
}
