//! TLS towards shoppers: certificates by name, replaceable while running.
//!
//! rustls with aws-lc-rs, TLS 1.2 and 1.3, `h2` and `http/1.1`, sessions resumed by ticket. Early data is
//! off: it can be replayed. An invalid certificate never replaces a valid one. Out of scope:
//! client certificates, OCSP, ACME, and watching the files ([`Certificates::fingerprint`] says whether
//! they changed; the caller decides when to look).

pub(crate) mod client;

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate is configured.
    #[error("no certificate is configured")]
    None,
    /// A file cannot be read.
    #[error("cannot read {}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not well-formed PEM.
    #[error("{} is not PEM: {reason}", .file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// The problem.
        reason: pem::Error,
    },
    /// A file has no certificate in it.
    #[error("no certificate in {}", .0.display())]
    NoCertificate(PathBuf),
    /// A file has no private key in it, or an encrypted one.
    #[error("no unencrypted private key in {}", .0.display())]
    NoKey(PathBuf),
    /// The certificate cannot be parsed.
    #[error("certificate in {} is damaged", .0.display())]
    BadCertificate(PathBuf),
    /// The key is of an unusable kind.
    #[error("key in {} cannot be used", .file.display())]
    BadKey {
        /// The file.
        file: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The key is another certificate's.
    #[error("key in {} does not fit the certificate in {}", .key.display(), .certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The system has no authorities.
    #[error("the system has no authorities that certificates could be signed by; name a ca_file")]
    NoAuthorities,
    /// The cryptography itself fails.
    #[error("cannot set up TLS")]
    Setup(#[source] rustls::Error),
}

/// All certificates, chosen by the name that a shopper requests (SNI).
#[derive(Debug)]
pub struct Certificates {
    files: Vec<(PathBuf, PathBuf)>,
    current: ArcSwap<ByName>,
}

impl Certificates {
    /// Reads pairs of certificate chain and key. The first one is shown to a client that requests no name, or
    /// one that no certificate has.
    pub fn load(files: &[(PathBuf, PathBuf)]) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(ByName::read(files)?);
        Ok(Arc::new(Self { files: files.to_vec(), current }))
    }

    /// Reads them again. On an error all stay as they were: new handshakes see the old ones.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(ByName::read(&self.files)?));
        Ok(())
    }

    /// The files, certificate and key in turn.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().flat_map(|(certificate, key)| [certificate.as_path(), key.as_path()])
    }

    /// When each certificate runs out, in seconds since 1970.
    pub fn ends(&self) -> Vec<(PathBuf, i64)> {
        self.current.load().ends.clone()
    }

    /// Differs when the content of a file differs. Content and not time of change, as files that are
    /// replaced through a link, or restored, may look old. Reads the files.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for file in self.files() {
            std::fs::read(file).ok().hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().find(hello.server_name()).clone())
    }
}

/// The configuration of all TLS listeners.
pub fn server_config(certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Setup)?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::Setup)?;
    // Tickets need no memory here; the default would also keep sessions behind a lock.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct ByName {
    first: Arc<CertifiedKey>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By the part after `*.`
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    /// By file, when it runs out.
    ends: Vec<(PathBuf, i64)>,
}

impl ByName {
    fn read(files: &[(PathBuf, PathBuf)]) -> Result<Self, TlsError> {
        let provider = aws_lc_rs::default_provider();
        let (mut exact, mut wildcard, mut first, mut ends) = (HashMap::new(), HashMap::new(), None, Vec::new());
        for (certificate, key) in files {
            let (certified, names) = read_pair(certificate, key, &provider)?;
            ends.extend(certified.end_entity_cert().ok().and_then(not_after).map(|end| (certificate.clone(), end)));
            let certified = Arc::new(certified);
            for name in names {
                match name.strip_prefix("*.") {
                    Some(parent) => wildcard.entry(parent.to_owned()).or_insert_with(|| certified.clone()),
                    None => exact.entry(name).or_insert_with(|| certified.clone()),
                };
            }
            first.get_or_insert(certified);
        }
        Ok(Self { first: first.ok_or(TlsError::None)?, exact, wildcard, ends })
    }

    /// `name` is lower case: rustls guarantees it.
    fn find(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let by_parent = |name: &str| self.wildcard.get(name.split_once('.')?.1);
        name.and_then(|name| self.exact.get(name).or_else(|| by_parent(name))).unwrap_or(&self.first)
    }
}

/// A chain with its key, and the names that it is for, in lower case.
fn read_pair(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<(CertifiedKey, Vec<String>), TlsError> {
    let chain = read_chain(certificate)?;
    let leaf = chain.first().ok_or_else(|| TlsError::NoCertificate(certificate.to_owned()))?;
    let names = read_names(leaf, certificate)?;
    let private = read_key(key)?;
    let certified = CertifiedKey::from_der(chain, private, provider).map_err(|source| match source {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() }
        }
        rustls::Error::InvalidCertificate(_) => TlsError::BadCertificate(certificate.to_owned()),
        source => TlsError::BadKey { file: key.to_owned(), source },
    })?;
    Ok((certified, names))
}

/// The certificates in a file, at least one.
pub(crate) fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(&read(file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|reason| TlsError::Pem { file: file.to_owned(), reason })?;
    if chain.is_empty() { Err(TlsError::NoCertificate(file.to_owned())) } else { Ok(chain) }
}

/// The private key in a file.
pub(crate) fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|reason| match reason {
        pem::Error::NoItemsFound => TlsError::NoKey(file.to_owned()),
        reason => TlsError::Pem { file: file.to_owned(), reason },
    })
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|source| TlsError::Read { file: file.to_owned(), source })
}

/// When a certificate runs out, in seconds since 1970.
pub(crate) fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

/// The DNS names of a certificate. One that is out of date only causes a warning: to refuse it would help no shopper.
fn read_names(leaf: &CertificateDer<'_>, file: &Path) -> Result<Vec<String>, TlsError> {
    let bad = || TlsError::BadCertificate(file.to_owned());
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| bad())?;
    if !parsed.validity().is_valid() {
        let until = parsed.validity().not_after.to_string();
        tracing::warn!(file = %file.display(), until, "certificate is not valid now");
    }
    let Some(names) = parsed.subject_alternative_name().map_err(|_| bad())? else { return Ok(Vec::new()) };
    let dns = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    Ok(dns.collect())
}
