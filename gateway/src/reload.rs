//! Configuration and certificates, read again when their files change or on SIGHUP.
//!
//! A new configuration is in force as a whole or not at all, and connections do not notice. Files
//! are compared by content once a second: that also sees a replaced directory or a changed link.
//!
//! What is absent: listening addresses, workers, store and admin, which need a restart; a change of
//! theirs is said in the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Shared;
use crate::config::Config;
use crate::site::Site;
use crate::telemetry;

/// Watches the configuration file.
#[derive(Debug)]
pub struct Watch {
    file: PathBuf,
    seen: Option<Vec<u8>>,
    certificates: u64,
    shared: Arc<Shared>,
}

impl Watch {
    /// Watches `file`, whose present content is in force.
    pub fn new(file: &Path, shared: Arc<Shared>) -> Self {
        let certificates = shared.tls.as_ref().map_or(0, |tls| tls.certificates.fingerprint());
        Self { seen: std::fs::read(file).ok(), file: file.to_owned(), certificates, shared }
    }

    /// Applies what has changed since the last look.
    pub fn look(&mut self) {
        let content = std::fs::read(&self.file).ok();
        if content.is_some() && content != self.seen {
            self.seen = content;
            self.configuration();
        }
        if let Some(tls) = &self.shared.tls {
            let certificates = tls.certificates.fingerprint();
            if certificates != self.certificates {
                self.certificates = certificates;
                self.certificates();
            }
        }
    }

    /// Applies everything again.
    pub fn now(&mut self) {
        self.seen = std::fs::read(&self.file).ok();
        self.configuration();
        self.certificates();
    }

    fn configuration(&self) {
        let result = Config::load(&self.file).map_err(|problems| {
            for problem in &problems {
                tracing::error!(%problem, "configuration refused");
            }
        });
        let site = result.and_then(|config| self.compile(config));
        telemetry::reload("configuration", site.is_ok());
        if let Ok(site) = site {
            self.shared.site.store(Arc::new(site));
            tracing::info!(file = %self.file.display(), "configuration in force");
        }
    }

    fn compile(&self, config: Config) -> Result<Site, ()> {
        let before = self.shared.site.load();
        if needs_restart(&before.config, &config) {
            tracing::warn!(
                "addresses, workers, names of certificate files, admin, store and log change only with a restart"
            );
        }
        let site = Site::compile(config, Some(&before), &self.shared.rooms);
        site.map_err(|error| tracing::error!(error = format!("{error:#}"), "configuration refused"))
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
        (listen.http.clone(), listen.https.clone(), listen.admin, listen.workers, files)
    };
    bound(before) != bound(now)
}
