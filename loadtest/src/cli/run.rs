//! Arguments of `loadtest run`, and what they mean.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use launch_model::scenario::Scenario;

use super::{usage, worker};
use crate::generate::Generators;
use crate::observe::Observers;
use crate::observe::http_poller::HttpPoller;
use crate::testbed::Wanted;
use crate::testbed::weir::Weir;
use crate::worker::Site;
use crate::worker::lead::Workers;

#[derive(Args)]
pub(crate) struct Run {
    /// The name of a scenario that ships with this program, or a file
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// The site: scheme, host and port. Repeat it for each gateway; without it a testbed is opened on this machine
    #[arg(long = "target", value_name = "URL")]
    targets: Vec<String>,
    /// Another host to which the journey leads, as a payment page: it gets its part of the load. Repeat it for each
    #[arg(long, value_name = "URL", requires = "targets")]
    also: Vec<String>,
    /// Where a host is, whatever its name says: NAME=ADDRESS. Repeat it for each
    #[arg(long, value_name = "NAME=IP", requires = "targets", value_parser = resolved)]
    resolve: Vec<(String, IpAddr)>,
    /// Believe any certificate of an https target
    #[arg(long, requires = "targets")]
    any_certificate: bool,
    /// Admin listener of a gateway of the site; repeat it for each
    #[arg(long = "admin", value_name = "HOST:PORT", requires = "targets")]
    admins: Vec<String>,
    /// File with the token that admin listeners ask for
    #[arg(long, value_name = "FILE", requires = "admins")]
    admin_token_file: Option<PathBuf>,
    /// The shop behind the site, if it is `loadtest shop`: its log is read there
    #[arg(long, value_name = "URL", requires = "targets")]
    shop: Option<String>,
    /// Send the crowd from so many processes of this machine
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    workers: usize,
    /// Send a part of the crowd from `loadtest worker` there; repeat it for each
    #[arg(long = "worker", value_name = "HOST:PORT")]
    elsewhere: Vec<String>,
    #[command(flatten)]
    testbed: TestbedArgs,
    /// Where the report goes
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    /// Another seed than the scenario's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// The testbed of a run without --target.
#[derive(Args)]
struct TestbedArgs {
    /// Gateways of the testbed; several share a Redis
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "targets")]
    gateways: usize,
    /// Let a single gateway keep its line in Redis too
    #[arg(long, conflicts_with = "targets")]
    redis: bool,
    /// A PostgreSQL for the inventory of the testbed's shop, as `postgres://user@host/database`
    #[arg(long, value_name = "URL", conflicts_with = "targets")]
    database: Option<String>,
    /// The weir program of the testbed; otherwise the one beside this program
    #[arg(long, value_name = "PATH", conflicts_with = "targets")]
    weir: Option<PathBuf>,
}

/// A page of the second room that every testbed has.
const OTHER_ROOM: &str = "/other/item";
/// Most processes that send a crowd from one machine.
const MOST_WORKERS: usize = 64;
/// Most gateways of a testbed.
const MOST_GATEWAYS: usize = 16;

impl Run {
    /// The scenario, with the changes of the command line.
    pub(crate) fn scenario(&self) -> anyhow::Result<Scenario> {
        let mut scenario = Scenario::find(&self.scenario).map_err(|diagnostics| usage(diagnostics.to_string()))?;
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        if self.targets.is_empty() {
            scenario.room.other.get_or_insert_with(|| OTHER_ROOM.into());
        }
        Ok(scenario)
    }

    /// Mistakes on the command line that its grammar does not catch.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for site in self.sites() {
            let option = if site.beside { "--also" } else { "--target" };
            site.target().map_err(|error| usage(format!("{option}: {error}")))?;
        }
        if self.workers > MOST_WORKERS {
            return Err(usage(format!("--workers: at most {MOST_WORKERS}")));
        }
        if !(1..=MOST_GATEWAYS).contains(&self.testbed.gateways) {
            return Err(usage(format!("--gateways: 1 to {MOST_GATEWAYS}")));
        }
        if !self.elsewhere.is_empty() {
            worker::secret()?;
        }
        Ok(())
    }

    /// The targets of the crowd; none: a testbed of its own.
    pub(crate) fn sites(&self) -> Vec<Site> {
        let site = |beside| {
            move |url: &String| Site {
                url: url.clone(),
                any_certificate: self.any_certificate,
                address: self.resolve.iter().find(|(name, _)| is_host(url, name)).map(|(_, address)| *address),
                beside,
            }
        };
        self.targets.iter().map(site(false)).chain(self.also.iter().map(site(true))).collect()
    }

    /// The testbed of a run without a target.
    pub(crate) fn testbed(&self) -> anyhow::Result<Option<Wanted>> {
        let TestbedArgs { gateways, redis, database, weir } = &self.testbed;
        if !self.targets.is_empty() {
            return Ok(None);
        }
        let (weir, database) = (Weir::find(weir.as_deref())?, database.clone());
        Ok(Some(Wanted { weir, gateways: *gateways, redis: *redis, database }))
    }

    /// Endpoints to poll beside the crowd, at a site that runs elsewhere.
    pub(crate) fn observers(&self) -> anyhow::Result<Observers> {
        let token = self.admin_token_file.as_deref().map(token).transpose()?;
        let wrong = |option: &'static str| move |error: anyhow::Error| usage(format!("{option}: {error:#}"));
        let gateways = self.admins.iter().map(|admin| HttpPoller::at(admin, token.clone()).map_err(wrong("--admin")));
        let shop = self.shop.as_deref().map(|shop| HttpPoller::at(shop, None).map_err(wrong("--shop")));
        Ok(Observers { gateways: gateways.collect::<Result<_, _>>()?, shop: shop.transpose()?, pids: Vec::new() })
    }

    /// The sender of the crowd, reached and with its clock measured.
    pub(crate) async fn generators(&self) -> anyhow::Result<Generators> {
        if self.workers == 0 && self.elsewhere.is_empty() {
            return Ok(Generators::Here);
        }
        let mut workers = Workers::start(&std::env::current_exe()?, self.workers).await?;
        if !self.elsewhere.is_empty() {
            workers.reach(&self.elsewhere, &worker::secret()?).await?;
        }
        Ok(Generators::Workers(workers))
    }
}

/// `NAME=IP`.
fn resolved(text: &str) -> Result<(String, IpAddr), String> {
    let (name, address) = text.split_once('=').ok_or("write NAME=ADDRESS, as in shop.test=127.0.0.1")?;
    let address = address.parse().map_err(|_| format!("{address:?} is no IP address"))?;
    Ok((name.to_ascii_lowercase(), address))
}

/// Whether an address is at this host.
fn is_host(url: &str, name: &str) -> bool {
    let url = url::Url::parse(url);
    url.is_ok_and(|url| url.host_str().is_some_and(|host| host.trim_matches(['[', ']']) == name))
}

fn token(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("--admin-token-file {}", file.display()));
    Ok(text.map_err(|error| usage(format!("{error:#}")))?.trim().to_owned())
}
