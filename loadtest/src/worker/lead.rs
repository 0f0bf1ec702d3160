//! The leader of workers: starts those of this machine, measures every clock, gives each its part, and gathers the
//! evidence.
//!
//! A lost worker ends the run: the evidence of the others is a crowd with a hole in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use evidence::{Evidence, Progress};
use launch_model::scenario::{Phase, Scenario};
use tokio::io::{AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::clock::{Offset, Round, unix_us};
use super::wire::{LONGEST, LONGEST_HELLO, hear, say};
use super::{FromLeader, FromWorker, Order, SECRET, SILENCE, VERSION, proof};
use crate::dispatch::{Crowd, ProgressBoard, Sent};
use crate::testbed::child::{self, Child};

/// Rounds of a clock measurement.
const ROUNDS: usize = 9;
/// How long a worker may take to be reached.
const REACH: Duration = Duration::from_secs(10);
/// A worker's line with its address.
pub(crate) const LISTENS: &str = "The worker listens on ";

/// All workers of a run.
pub(crate) struct Workers {
    workers: Vec<Worker>,
    /// Those that were started here.
    children: Vec<Child>,
}

impl Workers {
    /// Starts so many workers on this machine.
    pub(crate) async fn start(program: &Path, count: usize) -> anyhow::Result<Self> {
        let mut workers = Self { workers: Vec::new(), children: Vec::new() };
        let secret = crate::hex::random_hex::<16>();
        for _ in 0..count {
            let mut command = child::command(program);
            command.args(["worker", "--once", "--listen", "127.0.0.1:0"]).env(SECRET, &secret);
            let mut child = Child::start("a worker", command, child::folder()?)?;
            let address = child.says(|line| line.strip_prefix(LISTENS).map(str::to_owned)).await?;
            workers.children.push(child);
            workers.workers.push(Worker::reach(&address, &secret).await?);
        }
        Ok(workers)
    }

    /// Reaches workers that were started elsewhere.
    pub(crate) async fn reach(&mut self, addresses: &[String], secret: &str) -> anyhow::Result<()> {
        for address in addresses {
            self.workers.push(Worker::reach(address, secret).await?);
        }
        Ok(())
    }

    /// Sends a crowd, each worker its part.
    pub(crate) async fn send(
        self,
        crowd: &Crowd,
        shown: &ProgressBoard,
        stop: CancellationToken,
    ) -> anyhow::Result<Sent> {
        let scenario =
            toml::to_string(&without_files(&crowd.scenario)).context("the scenario cannot be told to workers")?;
        let of = self.workers.len() as u32;
        let stop = stop.child_token();
        let mut sending = JoinSet::new();
        for (index, worker) in (0..of).zip(self.workers) {
            let order = Order {
                scenario: scenario.clone(),
                sites: crowd.sites.clone(),
                part: [index, of],
                start_unix_us: crowd.start_unix_us + worker.offset.us,
            };
            let (shown, stop) = (shown.clone(), stop.clone());
            sending.spawn(async move { (index, worker.work(order, shown, stop).await) });
        }
        let (mut parts, mut lost) = (BTreeMap::new(), Vec::new());
        while let Some(Ok((index, done))) = sending.join_next().await {
            match done {
                Ok(part) => drop(parts.insert(index, part)),
                Err(error) => {
                    lost.push(format!("{error:#}"));
                    stop.cancel();
                }
            }
        }
        for child in self.children {
            child.stop().await;
        }
        Ok(Sent { evidence: Evidence::join(parts.into_values()), lost })
    }
}

/// The same launch for a machine that has none of its files: their content is in the scenario.
fn without_files(scenario: &Scenario) -> Scenario {
    let mut scenario = scenario.clone();
    for phase in &mut scenario.arrivals {
        if let Phase::Replay { file, .. } = phase {
            *file = None;
        }
    }
    if let Some(journey) = &mut scenario.journey {
        journey.users = None;
    }
    scenario
}

/// A worker that has been reached, and whose clock is known.
struct Worker {
    address: String,
    from: BufReader<OwnedReadHalf>,
    to: BufWriter<OwnedWriteHalf>,
    offset: Offset,
}

impl Worker {
    async fn reach(address: &str, secret: &str) -> anyhow::Result<Self> {
        let reaching = async {
            let stream = TcpStream::connect(address).await.context("nobody listens there")?;
            stream.set_nodelay(true)?;
            let (from, to) = stream.into_split();
            let (from, to) = (BufReader::new(from), BufWriter::new(to));
            let mut worker = Self { address: address.to_owned(), from, to, offset: Offset::default() };
            worker.open(secret).await?;
            worker.measure().await?;
            Ok(worker)
        };
        let reached = timeout(REACH, reaching).await.context("it does not answer").and_then(|reached| reached);
        reached.with_context(|| format!("the worker at {address}"))
    }

    async fn open(&mut self, secret: &str) -> anyhow::Result<()> {
        match hear(&mut self.from, LONGEST_HELLO).await.context("it is no worker of this program")? {
            FromWorker::Hello { version, challenge } if version == VERSION => {
                self.say(&FromLeader::Open { proof: proof(secret, &challenge) }).await?;
            }
            FromWorker::Hello { version, .. } => bail!("it is of version {version}, this program of {VERSION}"),
            _ => bail!("it is no worker of this program"),
        }
        match self.hear().await? {
            FromWorker::Welcome => Ok(()),
            FromWorker::Refused(why) => bail!("it refused: {why}"),
            _ => bail!("it is no worker of this program"),
        }
    }

    async fn measure(&mut self) -> anyhow::Result<()> {
        let mut rounds = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let sent = unix_us();
            self.say(&FromLeader::Ping).await?;
            let FromWorker::Pong(read) = self.hear().await? else { bail!("it did not tell its time") };
            rounds.push(Round { sent, read, heard: unix_us() });
        }
        self.offset = Offset::of(&rounds).unwrap_or_default();
        Ok(())
    }

    async fn say(&mut self, message: &FromLeader) -> anyhow::Result<()> {
        say(&mut self.to, message).await?;
        Ok(self.to.flush().await?)
    }

    async fn hear(&mut self) -> anyhow::Result<FromWorker> {
        let heard = timeout(SILENCE, hear(&mut self.from, LONGEST)).await;
        Ok(heard.with_context(|| format!("it was silent for {} s", SILENCE.as_secs()))??)
    }

    /// Sends its part, and waits for the result.
    async fn work(mut self, order: Order, shown: ProgressBoard, stop: CancellationToken) -> anyhow::Result<Evidence> {
        let [index, of] = order.part;
        let name = format!("worker {} of {of} ({})", index + 1, self.address);
        let lost = || format!("{name} was lost");
        self.say(&FromLeader::Send(Box::new(order))).await.with_context(lost)?;
        let Self { mut from, mut to, offset, .. } = self;
        let stopping = async move {
            stop.cancelled().await;
            // If this fails, the reading fails too.
            let _ = say(&mut to, &FromLeader::Stop).await;
            let _ = to.flush().await;
            std::future::pending::<()>().await;
        };
        let tell = |progress| shown.set(index, progress);
        let mut seen = tokio::select! {
            seen = gather(&mut from, &tell) => seen.with_context(lost)?,
            () = stopping => bail!("{name} was left"),
        };
        for generator in &mut seen.generators {
            generator.name = format!("worker {} of {of}", index + 1);
            generator.clock_offset = [offset.us, offset.wrong_by_us];
        }
        Ok(seen)
    }
}

/// Reads a worker's messages to the end.
async fn gather(from: &mut BufReader<OwnedReadHalf>, progress: &impl Fn(Progress)) -> anyhow::Result<Evidence> {
    let mut seen = Evidence::default();
    loop {
        let heard = timeout(SILENCE, hear(from, LONGEST)).await;
        match heard.with_context(|| format!("it was silent for {} s", SILENCE.as_secs()))?? {
            FromWorker::Progress(now) => progress(now),
            FromWorker::Visit(visit) => seen.visits.push(*visit),
            FromWorker::Second(second) => seen.timeline.push(*second),
            FromWorker::Done { took, generators } => return Ok(Evidence { took, generators, ..seen }),
            FromWorker::Refused(why) => bail!("it gave up: {why}"),
            FromWorker::Hello { .. } | FromWorker::Welcome | FromWorker::Pong(_) => bail!("it said what nobody asked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use tokio::net::TcpListener;

    use super::super::serve;
    use super::*;
    use crate::calibrate::server::{Answer, Server};
    use crate::generate::Generators;
    use crate::worker::Site;
    use crate::worker::clock::unix_us;

    const THE_SECRET: &str = "known to both of them";

    async fn worker() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(serve::Worker::new(THE_SECRET.into()).serve(listener));
        address
    }

    async fn workers(addresses: &[String]) -> Workers {
        let mut workers = Workers { workers: Vec::new(), children: Vec::new() };
        workers.reach(addresses, THE_SECRET).await.unwrap();
        workers
    }

    fn crowd(server: &Server, seconds: f64) -> Crowd {
        let text = format!(
            "name = 'few'\ngrace = '1s'\nshoppers = {{ patient = 1, no_show = 1, forges = 1 }}\n\
             [room]\nnew_users_per_minute = 600\n[[arrivals]]\nkind = 'flat'\nrate = 40\nfor = '{seconds}s'\n\
             [habits]\nthink = ['0ms', '0ms']"
        );
        let scenario = Arc::new(Scenario::parse(&text, Path::new("")).unwrap());
        Crowd { scenario, sites: vec![Site::here(server.address)], start_unix_us: unix_us() + 200_000 }
    }

    async fn visits(generators: Generators, server: &Server) -> Vec<(u64, launch_model::persona::Persona, i64)> {
        let sent =
            generators.send(&crowd(server, 1.0), &ProgressBoard::default(), CancellationToken::new()).await.unwrap();
        assert_eq!(sent.lost, Vec::<String>::new());
        sent.evidence.visits.iter().map(|visit| (visit.index, visit.persona, visit.due)).collect()
    }

    #[tokio::test]
    async fn two_workers_send_the_people_that_one_process_sends() {
        let server = Server::open(&Answer::Shop).unwrap();
        let alone = visits(Generators::Here, &server).await;
        assert!(alone.len() > 20, "{alone:?}");
        let workers = workers(&[worker().await, worker().await]).await;
        assert_eq!(visits(Generators::Workers(workers), &server).await, alone);
    }

    #[tokio::test]
    async fn a_worker_obeys_nobody_who_does_not_know_the_secret() {
        let address = worker().await;
        let error = Worker::reach(&address, "another secret").await.err().unwrap();
        assert!(format!("{error:#}").contains("the secret is another one"), "{error:#}");
        let mut stranger = TcpStream::connect(&address).await.unwrap();
        stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(Worker::reach(&address, THE_SECRET).await.is_ok(), "and it goes on after nonsense");
    }

    #[tokio::test]
    async fn a_worker_leads_for_one_at_a_time() {
        let address = worker().await;
        let first = Worker::reach(&address, THE_SECRET).await.unwrap();
        let error = Worker::reach(&address, THE_SECRET).await.err().unwrap();
        assert!(format!("{error:#}").contains("somebody else"), "{error:#}");
        drop(first);
    }

    /// A worker that disappears as soon as it has its order.
    async fn faint() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut leader, _) = listener.accept().await.unwrap();
            let hello = FromWorker::Hello { version: VERSION.into(), challenge: "anything".into() };
            say(&mut leader, &hello).await.unwrap();
            loop {
                match hear(&mut leader, LONGEST).await.unwrap() {
                    FromLeader::Open { .. } => say(&mut leader, &FromWorker::Welcome).await.unwrap(),
                    FromLeader::Ping => say(&mut leader, &FromWorker::Pong(unix_us())).await.unwrap(),
                    FromLeader::Send(_) | FromLeader::Stop => return,
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn a_worker_that_is_lost_ends_the_run_and_is_named() {
        let server = Server::open(&Answer::Line).unwrap();
        let workers = workers(&[worker().await, faint().await]).await;
        let sending = Generators::Workers(workers);
        // The crowd would stay for an hour.
        let crowd = crowd(&server, 3600.0);
        let sent = sending.send(&crowd, &ProgressBoard::default(), CancellationToken::new()).await.unwrap();
        assert_eq!(sent.lost.len(), 1);
        assert!(sent.lost[0].contains("worker 2 of 2") && sent.lost[0].contains("was lost"), "{}", sent.lost[0]);
        assert_eq!(sent.evidence.generators.len(), 1, "the other one told what it saw");
    }

    #[test]
    fn every_scenario_that_ships_reaches_a_worker_as_it_is() {
        let journey = concat!(env!("CARGO_MANIFEST_DIR"), "/journeys/oscar.toml");
        for name in launch_model::file::shipped::ALL.map(|(name, _)| name).into_iter().chain([journey]) {
            let scenario = without_files(&Scenario::find(name).unwrap());
            let told = toml::to_string(&scenario).unwrap();
            assert_eq!(Scenario::parse(&told, Path::new("")).unwrap_or_else(|error| panic!("{error}")), scenario);
        }
    }
}
