//! Configuration, certificates and keys, read again when their files change or on SIGHUP.
//!
//! A new configuration is in force as a whole or not at all, and connections do not notice. Files
//! are compared by content once a second: that also sees a replaced directory or a changed link.
//!
//! What is absent: listening addresses, workers, store and admin, which need a restart; a change of
//! theirs is said in the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::config::Config;
use crate::plan::Plan;
use crate::secret::Ring;
use crate::telemetry;

/// Watches the files.
pub struct Watch {
    file: PathBuf,
    seen: Option<Vec<u8>>,
    certificates: u64,
    ring: Ring,
    shared: Arc<Shared>,
    plan: Arc<Plan>,
}

impl Watch {
    /// Watches `file`, whose present content is in force.
    pub fn new(file: &Path, shared: Arc<Shared>, plan: Arc<Plan>, ring: Ring) -> Self {
        let certificates = shared.tls.as_ref().map_or(0, |tls| tls.certificates.fingerprint());
        Self { seen: std::fs::read(file).ok(), file: file.to_owned(), certificates, ring, shared, plan }
    }

    /// Watches until `stop`. Apart from the clock of the control thread: a change may wait for the store.
    pub async fn run(mut self, stop: CancellationToken) {
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
                () = stop.cancelled() => return,
                _ = hung_up => self.now().await,
                _ = second.tick() => self.look().await,
            }
        }
    }

    /// Applies what has changed since the last look.
    async fn look(&mut self) {
        let content = std::fs::read(&self.file).ok();
        if content.is_some() && content != self.seen {
            self.seen = content;
            self.configuration().await;
        }
        if let Some(tls) = &self.shared.tls {
            let certificates = tls.certificates.fingerprint();
            if certificates != self.certificates {
                self.certificates = certificates;
                self.certificates();
            }
        }
        self.keys().await;
    }

    /// Applies everything again.
    async fn now(&mut self) {
        self.seen = std::fs::read(&self.file).ok();
        self.configuration().await;
        self.certificates();
        self.keys().await;
    }

    async fn configuration(&self) {
        let taken = match Config::load(&self.file) {
            Ok(config) => {
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
        if needs_restart(&self.shared.site.load().config, config) {
            tracing::warn!("addresses, workers, names of files, name, admin, store and log change only with a restart");
        }
    }

    /// Keys change with their file, and as their times come.
    async fn keys(&mut self) {
        let (sealer, error) = self.ring.look();
        if let Some(sealer) = sealer {
            telemetry::reload("keys", true);
            self.plan.keys(sealer, self.ring.names()).await;
        }
        if let Some(error) = error {
            telemetry::reload("keys", false);
            tracing::error!(%error, "keys refused; the old ones stay");
        }
    }

    fn certificates(&self) {
        let Some(tls) = &self.shared.tls else { return };
        let result = tls.certificates.reload();
        telemetry::reload("certificates", result.is_ok());
        match result {
            Ok(()) => tracing::info!("certificates in force"),
            Err(error) => tracing::error!(%error, "certificates refused; the old ones stay"),
        }
    }
}

/// Whether a change is in a part that was bound at the start.
fn needs_restart(before: &Config, now: &Config) -> bool {
    let bound = |config: &Config| {
        let listen = &config.listen;
        let files = (listen.admin_token_file.clone(), config.tls.clone(), config.store.clone(), config.log.level);
        (listen.http.clone(), listen.https.clone(), listen.admin, listen.workers, config.node.clone(), files)
    };
    bound(before) != bound(now)
}
