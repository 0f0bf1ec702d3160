//! TLS over real sockets: names, versions, protocols, and certificates that change.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway::settings::tls::{Certificates, TlsError, server_config};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Writes a new certificate for these names, and its key; returns the certificate.
fn issue(directory: &TempDir, file: &str, names: &[&str]) -> CertificateDer<'static> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (certificate, key) = pair(directory, file);
    std::fs::write(certificate, made.cert.pem()).unwrap();
    std::fs::write(key, made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

fn pair(directory: &TempDir, file: &str) -> (PathBuf, PathBuf) {
    (directory.path().join(format!("{file}.pem")), directory.path().join(format!("{file}.key")))
}

/// A server that echoes one byte per connection; those that fail the handshake are dropped.
async fn serve(certificates: &Arc<Certificates>) -> std::net::SocketAddr {
    let acceptor = TlsAcceptor::from(server_config(certificates.clone()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let byte = stream.read_u8().await.unwrap();
            stream.write_u8(byte).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    address
}

fn client(trusted: &[&CertificateDer<'static>], versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add((*certificate).clone()).unwrap();
    }
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

struct Received {
    certificate: CertificateDer<'static>,
    version: ProtocolVersion,
    protocol: Option<Vec<u8>>,
    kind: HandshakeKind,
}

async fn visit(address: std::net::SocketAddr, config: &Arc<ClientConfig>, name: &str) -> std::io::Result<Received> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TcpStream::connect(address).await?;
    let mut stream = TlsConnector::from(config.clone()).connect(name, stream).await?;
    stream.write_u8(7).await?;
    assert_eq!(stream.read_u8().await?, 7);
    let _ = stream.read(&mut [0]).await;
    let session = stream.get_ref().1;
    Ok(Received {
        certificate: session.peer_certificates().unwrap()[0].clone(),
        version: session.protocol_version().unwrap(),
        protocol: session.alpn_protocol().map(<[u8]>::to_vec),
        kind: session.handshake_kind().unwrap(),
    })
}

#[tokio::test]
async fn each_name_gets_its_certificate_and_no_name_the_first() {
    let directory = TempDir::new().unwrap();
    let first = issue(&directory, "first", &["first.example", "127.0.0.1"]);
    let shop = issue(&directory, "shop", &["Shop.example", "www.shop.example"]);
    let wild = issue(&directory, "wild", &["*.shop.example", "*.first.example"]);
    let files = ["first", "shop", "wild"].map(|file| pair(&directory, file));
    let address = serve(&Certificates::load(&files).unwrap()).await;
    let config = Arc::new(client(&[&first, &shop, &wild], rustls::ALL_VERSIONS));
    for (name, expected) in [
        ("first.example", &first),
        ("shop.example", &shop),
        ("SHOP.example", &shop),
        ("www.shop.example", &shop),
        ("img.shop.example", &wild),
        ("a.first.example", &wild),
        // An address is no name: nothing is asked for.
        ("127.0.0.1", &first),
    ] {
        assert!(visit(address, &config, name).await.unwrap().certificate == *expected, "{name}");
    }
    for unknown in ["other.example", "a.b.shop.example"] {
        assert!(visit(address, &config, unknown).await.is_err(), "{unknown} is not what the first one is for");
    }
}

#[tokio::test]
async fn both_versions_and_both_protocols_are_spoken_and_sessions_resumed() {
    let directory = TempDir::new().unwrap();
    let certificate = issue(&directory, "a", &["a.example"]);
    let address = serve(&Certificates::load(&[pair(&directory, "a")]).unwrap()).await;
    for (version, expected) in
        [(&rustls::version::TLS12, ProtocolVersion::TLSv1_2), (&rustls::version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        for (offered, spoken) in [
            (vec!["h2", "http/1.1"], Some("h2")),
            (vec!["http/1.1", "h2"], Some("h2")),
            (vec!["http/1.1"], Some("http/1.1")),
            (vec![], None),
        ] {
            let mut config = client(&[&certificate], &[version]);
            config.alpn_protocols = offered.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
            let config = Arc::new(config);
            let seen = visit(address, &config, "a.example").await.unwrap();
            assert_eq!((seen.version, seen.kind), (expected, HandshakeKind::Full));
            assert_eq!(seen.protocol.as_deref(), spoken.map(str::as_bytes));
            let again = visit(address, &config, "a.example").await.unwrap();
            assert_eq!(again.kind, HandshakeKind::Resumed);
        }
    }
}

#[tokio::test]
async fn a_changed_certificate_is_shown_after_a_reload() {
    let directory = TempDir::new().unwrap();
    let old = issue(&directory, "a", &["a.example"]);
    let certificates = Certificates::load(&[pair(&directory, "a")]).unwrap();
    let address = serve(&certificates).await;
    let before = certificates.fingerprint();
    assert_eq!(certificates.fingerprint(), before);
    let new = issue(&directory, "a", &["a.example"]);
    assert_ne!(certificates.fingerprint(), before);
    let visitor = || Arc::new(client(&[&old, &new], rustls::ALL_VERSIONS));
    assert!(visit(address, &visitor(), "a.example").await.unwrap().certificate == old);
    certificates.reload().unwrap();
    assert!(visit(address, &visitor(), "a.example").await.unwrap().certificate == new);
}

#[tokio::test]
async fn a_bad_certificate_is_refused_and_the_old_one_kept() {
    let directory = TempDir::new().unwrap();
    let old = issue(&directory, "a", &["a.example"]);
    issue(&directory, "b", &["b.example"]);
    let certificates = Certificates::load(&[pair(&directory, "a"), pair(&directory, "b")]).unwrap();
    let address = serve(&certificates).await;
    let config = Arc::new(client(&[&old], rustls::ALL_VERSIONS));
    let (certificate, key) = pair(&directory, "b");
    for file in [&certificate, &key] {
        std::fs::write(file, "nonsense").unwrap();
        let error = certificates.reload().unwrap_err();
        assert!(error.to_string().contains(&*file.to_string_lossy()), "{error}");
        assert!(visit(address, &config, "a.example").await.unwrap().certificate == old);
        issue(&directory, "b", &["b.example"]);
    }
    assert!(certificates.reload().is_ok());
}

/// The error of loading a pair, after a file was spoiled.
fn refusal(spoil: impl FnOnce(&Path, &Path)) -> TlsError {
    let directory = TempDir::new().unwrap();
    issue(&directory, "a", &["a.example"]);
    let (certificate, key) = pair(&directory, "a");
    spoil(&certificate, &key);
    Certificates::load(&[(certificate, key)]).unwrap_err()
}

#[test]
fn each_fault_of_a_file_has_its_name() {
    let write = |file: &Path, text: &str| std::fs::write(file, text).unwrap();
    let block = |label: &str, base64: &str| format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n");
    assert!(matches!(Certificates::load(&[]), Err(TlsError::None)));
    assert!(matches!(refusal(|cert, _| std::fs::remove_file(cert).unwrap()), TlsError::Read { .. }));
    assert!(matches!(refusal(|cert, _| write(cert, "")), TlsError::NoCertificate(_)));
    assert!(matches!(
        refusal(|cert, key| write(cert, &std::fs::read_to_string(key).unwrap())),
        TlsError::NoCertificate(_)
    ));
    assert!(matches!(refusal(|cert, _| write(cert, &block("CERTIFICATE", "AAAA"))), TlsError::BadCertificate(_)));
    assert!(matches!(refusal(|cert, _| write(cert, "-----BEGIN CERTIFICATE-----\nAAAA")), TlsError::Pem { .. }));
    assert!(matches!(refusal(|_, key| write(key, "")), TlsError::NoKey(_)));
    assert!(matches!(refusal(|_, key| write(key, &block("ENCRYPTED PRIVATE KEY", "AAAA"))), TlsError::NoKey(_)));
    assert!(matches!(refusal(|_, key| write(key, &block("PRIVATE KEY", "AAAA"))), TlsError::BadKey { .. }));
    let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
    assert!(matches!(refusal(|_, key| write(key, &other)), TlsError::Mismatch { .. }));
}

#[test]
fn a_certificate_that_is_out_of_date_is_used() {
    let directory = TempDir::new().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let signer = rcgen::KeyPair::generate().unwrap();
    let (certificate, key) = pair(&directory, "a");
    std::fs::write(&certificate, params.self_signed(&signer).unwrap().pem()).unwrap();
    std::fs::write(&key, signer.serialize_pem()).unwrap();
    assert!(Certificates::load(&[(certificate, key)]).is_ok());
}

#[tokio::test]
async fn garbage_in_place_of_a_handshake_ends_that_connection_only() {
    let directory = TempDir::new().unwrap();
    let certificate = issue(&directory, "a", &["a.example"]);
    let address = serve(&Certificates::load(&[pair(&directory, "a")]).unwrap()).await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0xff, 0xff, 1, 2, 3], &[0; 600], b""] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    let config = Arc::new(client(&[&certificate], rustls::ALL_VERSIONS));
    assert!(visit(address, &config, "a.example").await.is_ok());
}
