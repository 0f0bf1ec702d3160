//! The sender of a crowd: this process, or workers.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};
use evidence::Attacked;
use launch_model::arrivals::Arrivals;
use loadtest::attack::Siege;
use loadtest::crowd::{self, Part, Sending, Watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::dispatch::{Crowd, ProgressBoard, Sent};
use crate::local::spawn;
use crate::worker::Site;
use crate::worker::clock::instant_of;
use crate::worker::lead::Workers;

/// How often the progress of this process's crowd is read.
const LOOK: Duration = Duration::from_millis(100);

/// By how much the priority of attacks is below that of people (`nice`).
const GIVES_WAY: i32 = 10;

/// The sender.
pub(crate) enum Generators {
    /// A thread of this process.
    Here,
    Workers(Workers),
}

impl Generators {
    /// Sends a crowd, until its end or `stop`.
    pub(crate) async fn send(
        self,
        crowd: &Crowd,
        shown: &ProgressBoard,
        stop: CancellationToken,
    ) -> anyhow::Result<Sent> {
        let over = stop.child_token();
        let siege = crowd.lay_siege(over.clone())?;
        let sent = match self {
            Self::Here => crowd.send_here(shown, stop).await,
            Self::Workers(workers) => workers.send(crowd, shown, stop).await,
        };
        // No visitor is left to attack beside.
        over.cancel();
        let attacks = ended(siege).await.context("the attacks broke in the middle; their last words are above")?;
        let mut sent = sent?;
        sent.evidence.attacks = attacks;
        sent.evidence.start_unix_us = crowd.start_unix_us;
        Ok(sent)
    }
}

impl Crowd {
    async fn send_here(&self, shown: &ProgressBoard, stop: CancellationToken) -> anyhow::Result<Sent> {
        let targets: Result<Vec<_>, _> = self.sites.iter().map(Site::target).collect();
        let sending = Sending {
            scenario: Arc::clone(&self.scenario),
            arrivals: Arrivals::of(&self.scenario),
            targets: targets?,
            part: Part::ALL,
            start: instant_of(self.start_unix_us),
        };
        let watch = Watch::default();
        let crowd = spawn(crowd::send(sending, watch.clone(), stop))?;
        while !crowd.is_finished() {
            shown.set(0, watch.progress());
            sleep(LOOK).await;
        }
        let evidence = crowd.join().ok().context("the crowd broke in the middle; its last words are above")?;
        Ok(Sent { evidence, lost: Vec::new() })
    }

    /// Attacks run on a thread of this process, at a lower priority than the one that sends people.
    fn lay_siege(&self, stop: CancellationToken) -> anyhow::Result<JoinHandle<Vec<Attacked>>> {
        let sites = self.sites.iter().filter(|site| !site.beside);
        let targets: Result<Vec<_>, _> = sites.map(Site::target).collect();
        let targets = targets?;
        if !self.scenario.attacks.is_empty() && targets.iter().any(|target| target.tls.is_some()) {
            bail!("attacks are made in clear: name a target with http, or leave [[attack]] out");
        }
        let siege = Siege {
            attacks: self.scenario.attacks.clone(),
            room: self.scenario.room.clone(),
            targets,
            start: instant_of(self.start_unix_us),
        };
        spawn(async move {
            let _ = rustix::process::nice(GIVES_WAY);
            siege.lay(stop).await
        })
    }
}

/// A thread's result, or nothing if it panicked.
async fn ended<T>(thread: JoinHandle<T>) -> Option<T> {
    while !thread.is_finished() {
        sleep(LOOK).await;
    }
    thread.join().ok()
}
