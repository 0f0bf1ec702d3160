//! TLS towards the servers: their authorities and names, and Weir's own certificate.
//!
//! TLS 1.2 and 1.3; ALPN chooses the protocol above it. Files are read with the configuration, so a handshake waits for no disk;
//! it is read again when one of them changes (the `reload` module).
//!
//! Out of scope: connecting ([`crate::upstream`]), revocation lists, and a way to skip the check of a certificate.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};

use super::{TlsError, not_after, read_chain, read_key};

/// The files for TLS to servers. By default the authorities of the system sign for them, each is named by its host, and
/// Weir shows no certificate of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientTlsFiles<'a> {
    /// Authorities that sign the servers' certificates.
    pub ca_file: Option<&'a Path>,
    /// Weir's own certificate, with those between it and an authority...
    pub certificate: Option<&'a Path>,
    /// ...and its key.
    pub key: Option<&'a Path>,
    /// The name of all servers.
    pub server_name: Option<&'a str>,
}

/// The TLS configuration for the servers of an upstream.
#[derive(Clone)]
pub struct ClientTls {
    pub(crate) config: Arc<ClientConfig>,
    /// The name of all servers, if not their hosts.
    pub(crate) name: Option<ServerName<'static>>,
    /// When Weir's own certificate runs out, in seconds since 1970.
    pub not_after: Option<i64>,
    /// Differs when the content of a file differs.
    fingerprint: u64,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ClientTls {
    /// The same with these protocols.
    pub(crate) fn offering(&self, protocols: &[&[u8]]) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        (self.fingerprint, &self.name) == (other.fingerprint, &other.name)
    }
}

impl Eq for ClientTls {}

impl ClientTls {
    /// Reads the files, on a thread that may block.
    pub fn load(files: &ClientTlsFiles<'_>) -> Result<Self, TlsError> {
        let mut hasher = DefaultHasher::new();
        let roots = roots(files.ca_file, &mut hasher)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Setup)?
            .with_root_certificates(roots);
        let mut end = None;
        let mut config = match files.certificate.zip(files.key) {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let (chain, private) = identity(certificate, key, &mut hasher)?;
                end = chain.first().and_then(not_after);
                let unfit = |source| TlsError::BadKey { file: key.to_owned(), source };
                builder.with_client_auth_cert(chain, private).map_err(unfit)?
            }
        };
        config.alpn_protocols = vec![HTTP1.to_vec()];
        let name = files.server_name.and_then(server_name);
        Ok(Self { config: Arc::new(config), name, not_after: end, fingerprint: hasher.finish() })
    }
}

/// The names of the protocols in a handshake (ALPN).
pub(crate) const HTTP1: &[u8] = b"http/1.1";
pub(crate) const HTTP2: &[u8] = b"h2";

/// A name that a certificate can be for: a domain or an address.
pub(crate) fn server_name(name: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(name.trim_matches(['[', ']']).to_owned()).ok()
}

fn roots(file: Option<&Path>, hasher: &mut DefaultHasher) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        for authority in read_chain(file)? {
            authority.hash(hasher);
            roots.add(authority).map_err(|_| TlsError::BadCertificate(file.to_owned()))?;
        }
        return Ok(roots);
    }
    let found = rustls_native_certs::load_native_certs().certs;
    found.hash(hasher);
    roots.add_parsable_certificates(found);
    if roots.is_empty() { Err(TlsError::NoAuthorities) } else { Ok(roots) }
}

fn identity(
    certificate: &Path,
    key: &Path,
    hasher: &mut DefaultHasher,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let (chain, private) = (read_chain(certificate)?, read_key(key)?);
    chain.hash(hasher);
    private.secret_der().hash(hasher);
    Ok((chain, private))
}

/// Why TLS with a server failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFailure {
    /// Its certificate has run out.
    Expired,
    /// Its certificate is not valid yet.
    NotYetValid,
    /// Its certificate is for another name.
    OtherName,
    /// Its certificate is signed by no trusted authority.
    UnknownIssuer,
    /// Its certificate cannot be used for another reason.
    Certificate,
    /// Anything else: it speaks no TLS, none that Weir speaks, or refuses Weir's certificate.
    Handshake,
}

impl TlsFailure {
    /// All of them, in their order.
    pub const ALL: [Self; 6] =
        [Self::Expired, Self::NotYetValid, Self::OtherName, Self::UnknownIssuer, Self::Certificate, Self::Handshake];

    /// The failure behind an error of a handshake; `None` if it is one of the connection below.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        let rustls::Error::InvalidCertificate(wrong) = error.get_ref()?.downcast_ref::<rustls::Error>()? else {
            return Some(Self::Handshake);
        };
        Some(match wrong {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::OtherName,
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            _ => Self::Certificate,
        })
    }

    /// As in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::OtherName => "other_name",
            Self::UnknownIssuer => "unknown_issuer",
            Self::Certificate => "certificate",
            Self::Handshake => "handshake",
        }
    }

    /// As in the access line.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Expired => "upstream_certificate_expired",
            Self::NotYetValid => "upstream_certificate_not_yet_valid",
            Self::OtherName => "upstream_certificate_other_name",
            Self::UnknownIssuer => "upstream_certificate_unknown_issuer",
            Self::Certificate => "upstream_certificate_unusable",
            Self::Handshake => "upstream_tls_failed",
        }
    }
}
