//! Configuration, certificates and keys, read again when their files change or on SIGHUP.
//!
//! A new configuration is in force as a whole or not at all, and connections do not notice. Files
//! are compared by content once a second: that also sees a replaced directory or a changed link.
//!
//! Files are read on a thread that may block, one reading at a time: a mount that hangs holds up this watcher and
//! nothing else. Keys go on to change at the times that were last read.
//!
//! Out of scope: listening addresses, workers, store and admin, which need a restart; a change of
//! theirs is said in the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::capacity;
use crate::config::changes::{Change, changes};
use crate::config::{Config, Problem};
use crate::plan::Plan;
use crate::secret::keys::Keys;
use crate::secret::{Ring, SecretError, Source};
use crate::telemetry::{self, PROCESS, catalogue};
use crate::tls::{Certificates, TlsError};

/// Reading the files takes no longer than this, or it is said.
const PATIENCE: Duration = Duration::from_secs(3);

/// Watches the files.
pub struct Watch {
    file: PathBuf,
    seen: Option<Arc<[u8]>>,
    certificates: u64,
    ring: Ring,
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    /// The reading under way.
    reading: Option<JoinHandle<Found>>,
    stalled: bool,
    /// Everything is to be applied again.
    anew: bool,
}

impl Watch {
    /// Watches `file`, whose present content is in force.
    pub fn new(file: &Path, shared: Arc<Shared>, plan: Arc<Plan>, ring: Ring) -> Self {
        let certificates = shared.tls.as_ref().map_or(0, |tls| tls.certificates.fingerprint());
        let seen = std::fs::read(file).ok().map(Arc::from);
        let (reading, stalled, anew) = (None, false, false);
        Self { seen, file: file.to_owned(), certificates, ring, shared, plan, reading, stalled, anew }
    }

    /// Watches until `stop`. Apart from the clock of the control thread: a change may wait for the store.
    pub async fn run(mut self, stop: CancellationToken) {
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

    /// What the files hold now; `None` if reading them takes too long.
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
            certificates: self.shared.tls.as_ref().map(|tls| (tls.certificates.clone(), self.certificates)),
            keys: self.ring.source().clone(),
            anew: std::mem::take(&mut self.anew),
        };
        spawn_blocking(move || files.read())
    }

    /// Applies what was found.
    async fn apply(&mut self, found: Found) {
        if let Some((content, config)) = found.configuration {
            self.seen = content;
            self.configuration(config).await;
        }
        if let Some((fingerprint, reloaded)) = found.certificates {
            self.certificates = fingerprint;
            self.say_of_certificates(&reloaded);
        }
        self.keys(Some(found.keys)).await;
    }

    async fn configuration(&self, config: Result<Config, Vec<Problem>>) {
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

    fn say_what_needs_a_restart(&self, config: &Config) {
        let changes = changes(&self.shared.site.load().config, config);
        if changes.iter().any(Change::needs_restart) {
            tracing::warn!("addresses, workers, names of files, name, admin, store and log change only with a restart");
        }
    }

    fn say_of_certificates(&self, reloaded: &Result<(), TlsError>) {
        telemetry::reload("certificates", reloaded.is_ok());
        if let Err(error) = reloaded {
            tracing::error!(%error, "certificates refused; the old ones stay");
            return;
        }
        for (file, end) in self.shared.tls.iter().flat_map(|tls| tls.certificates.ends()) {
            let until = Timestamp::from_second(end).unwrap_or(Timestamp::MAX);
            tracing::info!(file = %file.display(), %until, "certificates in force");
        }
    }

    /// Keys change with their file, and as their times come.
    async fn keys(&mut self, read: Option<Result<Keys, SecretError>>) {
        let (sealer, error) = self.ring.take(read);
        if let Some(sealer) = sealer {
            telemetry::reload("keys", true);
            self.plan.keys(sealer, self.ring.names()).await;
        }
        if let Some(error) = error {
            telemetry::reload("keys", false);
            tracing::error!(%error, "keys refused; the old ones stay");
        }
    }
}

/// What is to be read, by a thread that may block.
struct Files {
    configuration: PathBuf,
    /// The content that was applied last.
    seen: Option<Arc<[u8]>>,
    /// With the fingerprint of those that were applied last.
    certificates: Option<(Arc<Certificates>, u64)>,
    keys: Source,
    /// Whether what has not changed counts as changed.
    anew: bool,
}

/// The content of the configuration file, and what it means.
type ReadConfig = (Option<Arc<[u8]>>, Result<Config, Vec<Problem>>);

/// What was read.
struct Found {
    /// The content, and what it means; if it has changed.
    configuration: Option<ReadConfig>,
    /// The fingerprint, and what became of the certificates; if they have changed.
    certificates: Option<(u64, Result<(), TlsError>)>,
    keys: Result<Keys, SecretError>,
}

impl Files {
    fn read(self) -> Found {
        let content: Option<Arc<[u8]>> = std::fs::read(&self.configuration).ok().map(Arc::from);
        let changed = self.anew || (content.is_some() && content != self.seen);
        let configuration = changed.then(|| (content, Config::load(&self.configuration)));
        let certificates = self.certificates.and_then(|(certificates, before)| {
            let fingerprint = certificates.fingerprint();
            (self.anew || fingerprint != before).then(|| (fingerprint, certificates.reload()))
        });
        Found { configuration, certificates, keys: self.keys.read() }
    }
}
