//! New TLS 1.3 connections as fast as they come, a whole handshake and one request on each.
//!
//! No session is resumed, the key exchange is X25519 and the cipher AES-256-GCM with every server. Prints how many there were.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use benches::tls;
use benches::wire::RequestArgs;
use clap::Parser;
use rustls::HandshakeKind;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

#[derive(Parser)]
#[command(about = "TLS handshakes; \"Connection: close\" has to be among the lines of the request")]
struct Options {
    #[command(flatten)]
    asked: RequestArgs,
    /// At once.
    #[arg(long, default_value_t = 32)]
    connections: u32,
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let connector = TlsConnector::from(Arc::new(tls::config()?));
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
