//! A worker: waits for a leader, sends its part of the crowd, reports the evidence.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use evidence::Evidence;
use launch_model::arrivals::Arrivals;
use launch_model::scenario::Scenario;
use loadtest::crowd::{self, Part, Sending, Watch};
use tokio::io::{AsyncWriteExt, BufReader, BufWriter};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use super::clock::{instant_of, unix_us};
use super::wire::{Broken, LONGEST, LONGEST_HELLO, hear, say};
use super::{FromLeader, FromWorker, Order, SILENCE, TELL, VERSION, is_proof};
use crate::hex::random_hex;
use crate::local::spawn;

/// How long a leader may take to reach all others.
const UNTIL_ORDERED: Duration = Duration::from_mins(2);
/// Connections at once: one leads, others are turned away.
const CONNECTIONS: usize = 16;
/// A common start that is further off than this comes from a clock that was set since.
const FAR_OFF_US: i64 = 60_000_000;

/// A worker, as its connections share it.
pub(crate) struct Worker {
    secret: String,
    connections: Semaphore,
    /// The leader's permit.
    lead: Semaphore,
}

impl Worker {
    /// A worker that obeys any leader with this secret.
    pub(crate) fn new(secret: String) -> Arc<Self> {
        Arc::new(Self { secret, connections: Semaphore::new(CONNECTIONS), lead: Semaphore::new(1) })
    }

    /// Serves one leader after another.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let worker = Arc::clone(&self);
            tokio::spawn(async move {
                let Ok(_room) = worker.connections.try_acquire() else { return };
                worker.tell_end(stream).await;
            });
        }
    }

    /// Serves the first leader.
    pub(crate) async fn serve_once(self: Arc<Self>, listener: TcpListener) {
        if let Ok((stream, _)) = listener.accept().await {
            self.tell_end(stream).await;
        }
    }

    async fn tell_end(&self, stream: TcpStream) {
        if let Err(broken) = self.meet(stream).await {
            eprintln!("loadtest: the leader was lost: {broken}");
        }
    }

    /// One leader, from hello to goodbye.
    async fn meet(&self, stream: TcpStream) -> Result<(), Broken> {
        let mut leader = Leader::at(stream)?;
        if !leader.knows(&self.secret).await? {
            return leader.refuse("the secret is another one").await;
        }
        let Ok(_lead) = self.lead.try_acquire() else {
            return leader.refuse("it is sending a crowd for somebody else").await;
        };
        leader.say(&FromWorker::Welcome).await?;
        let Some(order) = leader.order().await? else { return Ok(()) };
        match sending(&order) {
            Ok(sending) => leader.perform(sending).await,
            Err(why) => leader.refuse(&why).await,
        }
    }
}

/// The order; or why it cannot be carried out.
fn sending(order: &Order) -> Result<Sending, String> {
    if order.start_unix_us.saturating_sub(unix_us()).saturating_abs() > FAR_OFF_US {
        return Err("the common start is more than a minute away: its clock was set".into());
    }
    let [index, of] = order.part;
    let scenario = Scenario::parse(&order.scenario, Path::new("")).map_err(|diagnostics| diagnostics.to_string())?;
    let targets: Result<Vec<_>, _> = order.sites.iter().map(super::Site::target).collect();
    Ok(Sending {
        arrivals: Arrivals::of(&scenario),
        scenario: Arc::new(scenario),
        targets: targets.map_err(|error| error.to_string())?,
        part: Part { index, of: of.max(1) },
        start: instant_of(order.start_unix_us),
    })
}

/// The other end.
struct Leader {
    from: BufReader<OwnedReadHalf>,
    to: BufWriter<OwnedWriteHalf>,
}

impl Leader {
    fn at(stream: TcpStream) -> Result<Self, Broken> {
        stream.set_nodelay(true)?;
        let (from, to) = stream.into_split();
        Ok(Self { from: BufReader::new(from), to: BufWriter::new(to) })
    }

    async fn say(&mut self, message: &FromWorker) -> Result<(), Broken> {
        say(&mut self.to, message).await?;
        Ok(self.to.flush().await?)
    }

    async fn refuse(&mut self, why: &str) -> Result<(), Broken> {
        self.say(&FromWorker::Refused(why.to_owned())).await
    }

    async fn hear(&mut self, longest: u32, patience: Duration) -> Result<FromLeader, Broken> {
        let heard = timeout(patience, hear(&mut self.from, longest)).await;
        heard.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
    }

    async fn knows(&mut self, secret: &str) -> Result<bool, Broken> {
        let challenge = random_hex::<16>();
        self.say(&FromWorker::Hello { version: VERSION.into(), challenge: challenge.clone() }).await?;
        let answer = self.hear(LONGEST_HELLO, SILENCE).await?;
        Ok(matches!(answer, FromLeader::Open { proof } if is_proof(secret, &challenge, &proof)))
    }

    /// Answers pings until there is an order.
    async fn order(&mut self) -> Result<Option<Order>, Broken> {
        loop {
            match self.hear(LONGEST, UNTIL_ORDERED).await? {
                FromLeader::Ping => self.say(&FromWorker::Pong(unix_us())).await?,
                FromLeader::Send(order) => return Ok(Some(*order)),
                FromLeader::Open { .. } | FromLeader::Stop => return Ok(None),
            }
        }
    }

    /// Sends the crowd on a thread of its own. It stops when the leader says so, or is gone.
    async fn perform(self, sending: Sending) -> Result<(), Broken> {
        let Self { from, mut to } = self;
        let (stop, watch) = (CancellationToken::new(), Watch::default());
        let _gone = stop.clone().drop_guard();
        let crowd = spawn(crowd::send(sending, watch.clone(), stop.clone()))
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        let listening = tokio::spawn(obey(from, stop));
        let mut tick = interval(TELL);
        while !crowd.is_finished() {
            tick.tick().await;
            say(&mut to, &FromWorker::Progress(watch.progress())).await?;
            to.flush().await?;
        }
        let Ok(seen) = crowd.join() else {
            say(&mut to, &FromWorker::Refused("its crowd broke".into())).await?;
            return Ok(to.flush().await?);
        };
        tell(&mut to, seen).await?;
        // The leader hangs up when it has read everything.
        let _ = timeout(SILENCE, listening).await;
        Ok(())
    }
}

/// Waits for the leader's stop, or its end.
async fn obey(mut from: BufReader<OwnedReadHalf>, stop: CancellationToken) {
    while hear::<FromLeader>(&mut from, LONGEST_HELLO).await.is_ok() {
        stop.cancel();
    }
    stop.cancel();
}

/// Reports the evidence, in pieces.
async fn tell(to: &mut BufWriter<OwnedWriteHalf>, seen: Evidence) -> Result<(), Broken> {
    for visit in seen.visits {
        say(to, &FromWorker::Visit(Box::new(visit))).await?;
    }
    for second in seen.timeline {
        say(to, &FromWorker::Second(Box::new(second))).await?;
    }
    say(to, &FromWorker::Done { took: seen.took, generators: seen.generators }).await?;
    Ok(to.flush().await?)
}
