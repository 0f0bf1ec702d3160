//! New TLS 1.3 connections as fast as they come, a whole handshake and one request on each.
//!
//! No session is resumed, the key exchange is X25519 and the cipher AES-256-GCM with every server. The
//! certificate is not judged: the servers' work is measured, not ours. Prints how many there were.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use benches::wire::Asked;
use clap::Parser;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

#[derive(Parser)]
#[command(about = "TLS handshakes; \"Connection: close\" has to be among the lines of the request")]
struct Options {
    #[command(flatten)]
    asked: Asked,
    /// At once.
    #[arg(long, default_value_t = 32)]
    connections: u32,
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let connector = TlsConnector::from(Arc::new(config()?));
    let request: Arc<[u8]> = options.asked.request().into();
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut clients = JoinSet::new();
    for _ in 0..options.connections {
        let (connector, request, address) = (connector.clone(), request.clone(), options.asked.address);
        clients.spawn(async move {
            let mut made = 0_u64;
            while Instant::now() < end {
                connect(&connector, &request, address).await?;
                made += 1;
            }
            anyhow::Ok(made)
        });
    }
    let mut made = 0;
    while let Some(client) = clients.join_next().await {
        made += client??;
    }
    println!("{made}");
    Ok(())
}

fn config() -> anyhow::Result<ClientConfig> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384];
    let provider = Arc::new(provider);
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn connect(connector: &TlsConnector, request: &[u8], address: SocketAddr) -> anyhow::Result<()> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut tls = connector.connect(ServerName::try_from("shop.test")?, stream).await?;
    tls.write_all(request).await?;
    let mut answer = Vec::new();
    // Some servers end without a word.
    let _ = tls.read_to_end(&mut answer).await;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "not answered well");
    ensure!(tls.get_ref().1.handshake_kind() == Some(HandshakeKind::Full), "not a whole handshake");
    Ok(())
}

/// Takes every certificate.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 was not asked for".into()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
