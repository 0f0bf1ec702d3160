//! TLS to a target, and its trust anchors.
//!
//! Out of scope: resumption of sessions. Each connection is another person's, on their first visit.

use std::path::PathBuf;
use std::sync::Arc;

use launch_model::scenario::Protocol;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, Error, RootCertStore};
use tokio_rustls::TlsConnector;

use super::any_certificate::AnyCertificate;

/// Trust anchors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the system.
    #[default]
    System,
    /// The authorities in this PEM file.
    File(PathBuf),
    /// Any: for a staging site with a certificate of its own.
    Anything,
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum NoTls {
    /// The file cannot be read as certificates.
    #[error("{0} is no file of certificates")]
    File(PathBuf, #[source] rustls::pki_types::pem::Error),
    /// The system trusts no authority, or the file is empty.
    #[error("there is no certificate authority to believe")]
    Nobody,
    /// TLS itself cannot be set up.
    #[error("TLS cannot be set up")]
    Setup(#[from] Error),
}

/// A client's TLS settings.
#[derive(Debug, Clone)]
pub struct Tls(ClientConfig);

impl Tls {
    /// With these trust anchors.
    pub fn new(trust: &Trust) -> Result<Self, NoTls> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let mut config = match trust {
            Trust::Anything => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate { provider, proves_key: true }))
                .with_no_client_auth(),
            _ => builder.with_root_certificates(roots(trust)?).with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(Self(config))
    }

    /// For connections with these protocols (ALPN).
    pub(super) fn connector(&self, protocol: Protocol) -> TlsConnector {
        let mut config = self.0.clone();
        config.alpn_protocols = match protocol {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 => vec![b"h2".to_vec()],
        };
        TlsConnector::from(Arc::new(config))
    }
}

fn roots(trust: &Trust) -> Result<RootCertStore, NoTls> {
    let certificates = match trust {
        Trust::File(file) => {
            let bad = |error| NoTls::File(file.clone(), error);
            CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(bad)?
        }
        _ => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 { Err(NoTls::Nobody) } else { Ok(roots) }
}
