//! The client side of TLS: it accepts any certificate, for the servers' work is measured and not ours.

#[path = "../../loadtest/src/wire/any_certificate.rs"]
mod any_certificate;

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, Error};

use any_certificate::AnyCertificate;

/// TLS 1.3 with X25519 and AES-256-GCM for HTTP/1.1. No session is resumed.
///
/// # Errors
/// The library does not know them.
pub fn config() -> Result<ClientConfig, Error> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384];
    let provider = Arc::new(provider);
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate { provider, proves_key: false }))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
