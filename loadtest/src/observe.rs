//! The second and the third side of a run: what the gateways and the shop say while the crowd is there.
//!
//! What has no address is not asked, and the verdict then says that it does not know. What has one must answer
//! before anybody is sent.

pub(crate) mod ask;
pub(crate) mod gateway;
pub(crate) mod shop;

use loadtest::evidence::{Evidence, GatewaySample};
use loadtest::scenario::Room;
use loadtest::verdict::Check;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use ask::Asked;
use gateway::Sampler;

/// Who is asked.
pub(crate) struct Witnesses {
    pub(crate) gateways: Vec<Asked>,
    pub(crate) shop: Option<Asked>,
}

/// Whoever answers, being asked all along.
pub(crate) struct Observers {
    /// Whether the gateways are set as promised.
    pub(crate) settings: Check,
    /// What a gateway said last.
    pub(crate) latest: watch::Receiver<Option<GatewaySample>>,
    gateways: Vec<JoinHandle<Vec<GatewaySample>>>,
    shop: Option<JoinHandle<anyhow::Result<shop::Side>>>,
    stop: DropGuard,
}

impl Witnesses {
    /// Asks everybody once, and then all along from `start`.
    pub(crate) async fn observe(mut self, room: &Room, start: Instant) -> anyhow::Result<Observers> {
        let stop = CancellationToken::new();
        let mut told = Vec::new();
        for gateway in &mut self.gateways {
            told.push((gateway.name.clone(), gateway::rooms(gateway).await?));
        }
        let settings = gateway::set_as_promised(room, &told);
        let (latest, heard) = watch::channel(None);
        let sampler =
            |(index, gateway)| Sampler { index, gateway, room: room.name.clone(), start, latest: latest.clone() };
        let samplers = (0..).zip(self.gateways).map(sampler);
        let gateways = samplers.map(|sampler| tokio::spawn(sampler.sample(stop.clone()))).collect();
        let shop = match self.shop {
            Some(mut shop) => {
                shop::stats(&mut shop).await?;
                let after = shop::end_of_log(&mut shop).await?;
                Some(tokio::spawn(shop::follow(shop, after, stop.clone())))
            }
            None => None,
        };
        Ok(Observers { settings, latest: heard, gateways, shop, stop: stop.drop_guard() })
    }
}

impl Observers {
    /// Ends the asking, and puts what was said beside what the crowd saw. If the shop could not be heard to its end, why:
    /// then nothing of what it said counts.
    pub(crate) async fn finish(self, evidence: &mut Evidence) -> Option<String> {
        drop(self.stop);
        for gateway in self.gateways {
            evidence.gateways.extend(gateway.await.unwrap_or_default());
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
