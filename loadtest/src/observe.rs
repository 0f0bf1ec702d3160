//! The second and the third side of a run: what gateways and shop report while the crowd is sent.
//!
//! A server without an address is not polled, and the verdict then says that it does not know. One with an address must answer
//! before the first visitor is sent.

pub(crate) mod gateway;
pub(crate) mod http_poller;
mod memory;
pub(crate) mod shop;
mod stages;

use evidence::shop::Look;
use evidence::{Evidence, GatewaySample, Memory};
use launch_model::scenario::{Room, Scenario};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use verdict::Check;

use gateway::Sampler;
use http_poller::HttpPoller;
use stages::Watcher;

/// The endpoints to poll.
pub(crate) struct Observers {
    pub(crate) gateways: Vec<HttpPoller>,
    pub(crate) shop: Option<HttpPoller>,
    /// Processes of gateways that run here.
    pub(crate) pids: Vec<u32>,
}

/// Observers that poll all along.
pub(crate) struct Observation {
    /// The check that the gateways are set as promised.
    pub(crate) settings: Check,
    /// A gateway's latest report.
    pub(crate) latest: watch::Receiver<Option<GatewaySample>>,
    gateways: Vec<JoinHandle<Vec<GatewaySample>>>,
    shop: Option<JoinHandle<anyhow::Result<shop::Side>>>,
    stages: Option<JoinHandle<Vec<Look>>>,
    memory: JoinHandle<Vec<Memory>>,
    stop: DropGuard,
}

/// Observers whose servers have answered once.
pub(crate) struct Ready {
    observers: Observers,
    settings: Check,
    /// When the next event of the room starts, in milliseconds since 1970.
    pub(crate) event_start_ms: Option<i64>,
    /// The last entry of the shop's log before the run.
    after: u64,
}

impl Observers {
    /// Polls each server once.
    pub(crate) async fn ask(mut self, room: &Room) -> anyhow::Result<Ready> {
        let mut told = Vec::new();
        for gateway in &mut self.gateways {
            told.push((gateway.name.clone(), gateway::rooms(gateway).await?));
        }
        let mut after = 0;
        if let Some(shop) = &mut self.shop {
            shop::stats(shop).await?;
            after = shop::end_of_log(shop).await?;
        }
        let (settings, event_start_ms) = (gateway::set_as_promised(room, &told), gateway::event_start_ms(room, &told));
        Ok(Ready { observers: self, settings, event_start_ms, after })
    }
}

impl Ready {
    /// Polls each server all along, gateways from `start` on. The shop has the faults of the scenario meanwhile.
    pub(crate) fn observe(self, scenario: &Scenario, start: Instant) -> Observation {
        let room = scenario.room.name.as_str();
        let stop = CancellationToken::new();
        let (latest, heard) = watch::channel(None);
        let sampler = |(index, gateway)| Sampler { index, gateway, room: room.into(), start, latest: latest.clone() };
        let samplers = (0..).zip(self.observers.gateways).map(sampler);
        let gateways = samplers.map(|sampler| tokio::spawn(sampler.sample(stop.clone()))).collect();
        let memory = tokio::spawn(memory::watch(self.observers.pids, start, stop.clone()));
        let staged = self.observers.shop.as_ref().filter(|_| scenario.shop.has_stages());
        let watcher = staged.map(|shop| Watcher::of(shop.again(), &scenario.shop.faults, start));
        let stages = watcher.map(|watcher| tokio::spawn(watcher.watch(stop.clone())));
        let shop = self.observers.shop.map(|shop| tokio::spawn(shop::follow(shop, self.after, stop.clone())));
        Observation { settings: self.settings, latest: heard, gateways, shop, stages, memory, stop: stop.drop_guard() }
    }
}

impl Observation {
    /// Ends the polling, and puts the reports beside the crowd's evidence. If the shop could not be read to its end, says why:
    /// then nothing of its report counts.
    pub(crate) async fn finish(self, evidence: &mut Evidence) -> Option<String> {
        drop(self.stop);
        for gateway in self.gateways {
            evidence.gateways.extend(gateway.await.unwrap_or_default());
        }
        evidence.memory = self.memory.await.unwrap_or_default();
        if let Some(stages) = self.stages {
            evidence.stages = stages.await.unwrap_or_default();
        }
        evidence.gateways.sort_by_key(|sample| sample.at);
        let side = self.shop?.await.unwrap_or_else(|error| Err(error.into()));
        match side {
            Ok(side) => {
                evidence.shop = side.log;
                evidence.shop_report = Some(side.report);
                None
            }
            Err(error) => Some(format!("{error:#}")),
        }
    }
}
