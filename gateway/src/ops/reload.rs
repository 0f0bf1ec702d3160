//! Configuration, pages, certificates and keys, read again when their files change or on SIGHUP.
//!
//! A new configuration is in force as a whole or not at all, and connections do not notice. Files
//! are compared by content once a second, pages and logos by the metadata of the file system: that also sees a replaced
//! directory or a changed link. Pages are those of the rooms in force, from a file or from the store.
//!
//! Files are read on a thread that may block, one reading at a time: a mount that hangs delays only this watcher.
//! Keys still change at the times that were last read.
//!
//! Out of scope: listening addresses, workers, store and admin, which need a restart; a change of
//! these is logged.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::in_force::plan::Plan;
use crate::in_force::shared::Shared;
use crate::in_force::site::{Site, Stamp};
use crate::ops::capacity;
use crate::settings::config::changes::{Change, changes};
use crate::settings::config::{Config, Diagnostic};
use crate::settings::secret::keys::Keys;
use crate::settings::secret::{Keyring, SecretError, Source};
use crate::settings::tls::{Certificates, TlsError};
use crate::telemetry::{self, PROCESS, catalogue};

/// Reading the files may take this long; more is logged.
const PATIENCE: Duration = Duration::from_secs(3);

/// Watches the files.
pub(crate) struct ConfigWatcher {
    file: PathBuf,
    seen: Option<Arc<[u8]>>,
    /// Fingerprints of the certificates that were read last, in their order.
    certificates: Vec<u64>,
    /// The last pages that were applied or refused.
    pages: Stamp,
    shop: ShopFiles,
    keyring: Keyring,
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    /// The reading in flight.
    reading: Option<JoinHandle<Found>>,
    stalled: bool,
    /// Whether to apply everything again.
    anew: bool,
}

impl ConfigWatcher {
    /// Watches `file`, whose present content is in force.
    pub(crate) fn new(file: &Path, shared: Arc<Shared>, plan: Arc<Plan>, keyring: Keyring) -> Self {
        let certificates = shared.certificates().map(|certificates| certificates.fingerprint()).collect();
        let seen = std::fs::read(file).ok().map(Arc::from);
        let (reading, stalled, anew) = (None, false, false);
        let (pages, shop) = (shared.site.load().stamp, ShopFiles::of(&shared.site.load().config));
        Self { seen, file: file.to_owned(), certificates, pages, shop, keyring, shared, plan, reading, stalled, anew }
    }

    /// Watches until `stop`. Apart from the clock of the control thread: a change may wait for the store.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(Box::pin(self.watch())).await;
    }

    async fn watch(&mut self) {
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut second = interval(Duration::from_secs(1));
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = hung_up => self.anew = true,
                _ = second.tick() => {}
            }
            match self.read().await {
                Some(found) => self.apply(found).await,
                None => self.keys(None).await,
            }
        }
    }

    /// The present content of the files; `None` if reading them takes too long.
    async fn read(&mut self) -> Option<Found> {
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => self.begin(),
        };
        let Ok(found) = timeout(PATIENCE, &mut reading).await else {
            self.reading = Some(reading);
            if !std::mem::replace(&mut self.stalled, true) {
                let file = self.file.display();
                tracing::error!(%file, "the configuration, its certificates or its keys cannot be read for {PATIENCE:?}: look at the file system; what is in force stays");
                PROCESS.gauge(&catalogue::FILES_STALLED, &[]).set(1);
            }
            return None;
        };
        if std::mem::take(&mut self.stalled) {
            tracing::info!("the configuration, its certificates and its keys can be read again");
            PROCESS.gauge(&catalogue::FILES_STALLED, &[]).set(0);
        }
        found.ok()
    }

    fn begin(&mut self) -> JoinHandle<Found> {
        let files = Files {
            configuration: self.file.clone(),
            seen: self.seen.clone(),
            certificates: self.shared.certificates().cloned().zip(self.certificates.iter().copied()).collect(),
            pages: (self.shared.site.load_full(), self.pages),
            shop: self.shop.clone(),
            keys: self.keyring.source().clone(),
            anew: std::mem::take(&mut self.anew),
        };
        spawn_blocking(move || files.read())
    }

    /// Applies the new content.
    async fn apply(&mut self, found: Found) {
        self.shop = found.shop;
        if let Some((content, config)) = found.configuration {
            self.seen = content;
            self.configuration(config).await;
        } else if let Some(pages) = found.pages {
            self.pages = pages;
            self.pages().await;
        }
        for Reloaded { at, fingerprint, taken } in found.certificates {
            if let Some(last) = self.certificates.get_mut(at) {
                *last = fingerprint;
            }
            self.say_of_certificates(at, &taken);
        }
        self.keys(Some(found.keys)).await;
    }

    async fn configuration(&self, config: Result<Config, Vec<Diagnostic>>) {
        let taken = match config {
            Ok(mut config) => {
                capacity::fit(&mut config);
                self.say_what_needs_a_restart(&config);
                self.plan.file(config).await
            }
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        };
        telemetry::reload("configuration", taken.is_ok());
        match taken {
            Ok(()) => tracing::info!(file = %self.file.display(), "configuration in force"),
            Err(problems) => problems.iter().for_each(|problem| tracing::error!(problem, "configuration refused")),
        }
    }

    async fn pages(&self) {
        let taken = self.plan.pages().await;
        telemetry::reload("pages", taken.is_ok());
        match taken {
            Ok(()) => tracing::info!("pages in force"),
            Err(problems) => {
                for problem in problems {
                    tracing::error!(problem, "pages refused; the old ones stay");
                }
            }
        }
    }

    fn say_what_needs_a_restart(&self, config: &Config) {
        let changes = changes(&self.shared.site.load().config, config);
        if changes.iter().any(Change::needs_restart) {
            tracing::warn!("addresses, workers, names of files, name, admin, store and log change only with a restart");
        }
    }

    fn say_of_certificates(&self, at: usize, reloaded: &Result<(), TlsError>) {
        telemetry::reload("certificates", reloaded.is_ok());
        if let Err(error) = reloaded {
            tracing::error!(%error, "certificates refused; the old ones stay");
            return;
        }
        for (file, end) in self.shared.certificates().nth(at).into_iter().flat_map(|certificates| certificates.ends()) {
            let until = Timestamp::from_second(end).unwrap_or(Timestamp::MAX);
            tracing::info!(file = %file.display(), %until, "certificates in force");
        }
    }

    /// Changes keys with their file, and as their times come.
    async fn keys(&mut self, read: Option<Result<Keys, SecretError>>) {
        let (sealer, error) = self.keyring.take(read);
        if let Some(sealer) = sealer {
            telemetry::reload("keys", true);
            self.plan.keys(sealer, self.keyring.names()).await;
        }
        if let Some(error) = error {
            telemetry::reload("keys", false);
            tracing::error!(%error, "keys refused; the old ones stay");
        }
    }
}

/// A reading job, for a thread that may block.
struct Files {
    configuration: PathBuf,
    /// The content applied last.
    seen: Option<Arc<[u8]>>,
    /// With the fingerprint of those applied last.
    certificates: Vec<(Arc<Certificates>, u64)>,
    /// The site in force, and the pages that were tried last.
    pages: (Arc<Site>, Stamp),
    /// Their state when the configuration was applied last.
    shop: ShopFiles,
    keys: Source,
    /// Whether unchanged files count as changed.
    anew: bool,
}

/// The content of the configuration file, and its parsed form.
type ReadConfig = (Option<Arc<[u8]>>, Result<Config, Vec<Diagnostic>>);

/// Certificates whose files have changed.
struct Reloaded {
    /// Which, in the order of all.
    at: usize,
    fingerprint: u64,
    taken: Result<(), TlsError>,
}

/// The result of a reading.
struct Found {
    /// The content, and its parsed form; if it has changed.
    configuration: Option<ReadConfig>,
    certificates: Vec<Reloaded>,
    /// The pages, if they have changed.
    pages: Option<Stamp>,
    shop: ShopFiles,
    keys: Result<Keys, SecretError>,
}

impl Files {
    fn read(self) -> Found {
        let content: Option<Arc<[u8]>> = std::fs::read(&self.configuration).ok().map(Arc::from);
        let mut shop = self.shop.again();
        let changed = self.anew || (content.is_some() && content != self.seen) || shop != self.shop;
        let configuration = changed.then(|| (content, Config::load(&self.configuration)));
        if let Some((_, Ok(config))) = &configuration {
            // Before they are read for use: a later change is seen as a change.
            shop = ShopFiles::of(config);
        }
        let reload = |(at, (certificates, before)): (usize, (Arc<Certificates>, u64))| {
            let fingerprint = certificates.fingerprint();
            let changed = self.anew || fingerprint != before;
            changed.then(|| Reloaded { at, fingerprint, taken: certificates.reload() })
        };
        let certificates = self.certificates.into_iter().enumerate().filter_map(reload).collect();
        let (site, tried) = self.pages;
        let pages = Some(Stamp::of(&site.config.rooms)).filter(|pages| *pages != site.stamp && *pages != tried);
        Found { configuration, certificates, pages, shop, keys: self.keys.read() }
    }
}

/// The files for TLS to the shop: they are read with the configuration, which is read again when one of them changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ShopFiles {
    files: Vec<PathBuf>,
    /// Differs when the content of a file differs.
    fingerprint: u64,
}

impl ShopFiles {
    /// The files that this configuration names. Reads them.
    fn of(config: &Config) -> Self {
        let tls = config.upstreams.iter().filter_map(|upstream| upstream.tls.as_ref());
        let files = tls.flat_map(|tls| [&tls.ca_file, &tls.certificate, &tls.key]).flatten().cloned().collect();
        Self { files, fingerprint: 0 }.again()
    }

    /// The same files in their present state.
    fn again(&self) -> Self {
        let mut hasher = DefaultHasher::new();
        for file in &self.files {
            std::fs::read(file).ok().hash(&mut hasher);
        }
        Self { files: self.files.clone(), fingerprint: hasher.finish() }
    }
}
