//! Certificates for servers at 127.0.0.1 and for their clients, signed by an authority of
//! their own.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// The files, by name.
pub struct Authority {
    dir: tempfile::TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(params, key);
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
            // A certificate named like its signer would be taken for one that signed itself.
            params.distinguished_name.push(DnType::CommonName, name);
            let certificate = params.signed_by(&key, &issuer).unwrap();
            std::fs::write(dir.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(dir.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self { dir }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Lines for a server that speaks TLS on this port, and only to clients that show a certificate.
    pub fn options(&self, port: u16) -> String {
        let file = |name: &str| self.file(name).display().to_string();
        let (ca, certificate, key) = (file("ca.pem"), file("server.pem"), file("server.key"));
        format!(
            "tls-port {port}\ntls-ca-cert-file {ca}\ntls-cert-file {certificate}\ntls-key-file {key}\n\
             tls-auth-clients yes\ntls-replication yes\ntls-cluster yes\n"
        )
    }

    /// Lines of a gateway's configuration that trust this authority and show its certificate.
    pub fn trusted(&self) -> String {
        let file = |name: &str| self.file(name).display().to_string();
        let (ca, certificate, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
        format!("[store.tls]\nca_file = \"{ca}\"\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n")
    }
}
