//! Memory of many connections: idle ones, in clear and over TLS, which were answered once, and ones of HTTP/2 whose window
//! stays shut on a hundred answers. The gateway is a process of its own; the kernel's memory for all sockets of the machine is
//! shown beside it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use benches::tls;
use clap::Parser;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

/// An idle connection may hold so much...
const IDLE_LIMIT: u64 = 12 << 10;
/// ...and over TLS.
const IDLE_TLS_LIMIT: u64 = 32 << 10;
/// All connections with closed windows together.
const SHUT_LIMIT: u64 = 1 << 30;
/// Descriptors that a process needs besides its connections.
const SPARE: usize = 200;
/// The name in the certificate.
const NAME: &str = "shop.example";
const STATUS: &[u8] = b"GET /.weir/status/launch HTTP/1.1\r\nHost: shop.example\r\n\r\n";

#[derive(Parser)]
struct Options {
    /// The binary to measure.
    #[arg(long, default_value = "target/release/weir")]
    weir: PathBuf,
    /// Idle connections.
    #[arg(long, default_value_t = 20_000)]
    idle: usize,
    /// Connections of HTTP/2 with a closed window.
    #[arg(long, default_value_t = 5_000)]
    shut: usize,
}

/// A gateway, ended when this goes.
struct Gateway {
    child: Child,
    at: SocketAddr,
    tls: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let most = descriptors()?.saturating_sub(SPARE);
    println!("| connections | number | resident MB | bytes each | sockets in the kernel MB |\n|---|---|---|---|---|");
    let each = idle(&options.weir, options.idle.min(most)).await?;
    let each_tls = idle_tls(&options.weir, options.idle.min(most)).await?;
    let all = shut(&options.weir, options.shut.min(most)).await?;
    if most < options.idle.max(options.shut) {
        println!("\nThis machine allows {most} connections in a process (ulimit -n).");
    }
    anyhow::ensure!(each <= IDLE_LIMIT, "an idle connection holds more than {IDLE_LIMIT} bytes");
    anyhow::ensure!(each_tls <= IDLE_TLS_LIMIT, "an idle connection over TLS holds more than {IDLE_TLS_LIMIT} bytes");
    anyhow::ensure!(all <= SHUT_LIMIT, "closed windows hold more than {SHUT_LIMIT} bytes");
    Ok(())
}

async fn idle(weir: &Path, count: usize) -> anyhow::Result<u64> {
    let gateway = start(weir).await?;
    let (before, kernel) = (gateway.resident()?, sockets());
    let mut open = Vec::with_capacity(count);
    for n in 0..count {
        open.push(answered_once(connect(gateway.at, n).await?).await?);
    }
    row_of_idle("idle", &gateway, count, before, kernel).await
}

async fn idle_tls(weir: &Path, count: usize) -> anyhow::Result<u64> {
    let gateway = start(weir).await?;
    let connector = TlsConnector::from(Arc::new(tls::config()?));
    let (before, kernel) = (gateway.resident()?, sockets());
    let mut open = Vec::with_capacity(count);
    for n in 0..count {
        let stream = connector.connect(ServerName::try_from(NAME)?, connect(gateway.tls, n).await?).await?;
        open.push(answered_once(stream).await?);
    }
    row_of_idle("idle, TLS", &gateway, count, before, kernel).await
}

async fn answered_once<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> anyhow::Result<S> {
    stream.write_all(STATUS).await?;
    let read = stream.read(&mut [0; 4096]).await?;
    anyhow::ensure!(read > 0, "a connection was closed");
    Ok(stream)
}

/// Lets them idle, and prints the memory of each.
async fn row_of_idle(what: &str, gateway: &Gateway, count: usize, before: u64, kernel: u64) -> anyhow::Result<u64> {
    sleep(Duration::from_secs(5)).await;
    let held = gateway.resident()?.saturating_sub(before);
    print_row(what, count, held, kernel);
    Ok(held / count.max(1) as u64)
}

async fn shut(weir: &Path, count: usize) -> anyhow::Result<u64> {
    let gateway = start(weir).await?;
    let (before, kernel) = (gateway.resident()?, sockets());
    let bytes = closed_window();
    let mut open = Vec::with_capacity(count);
    let mut peak = before;
    for n in 0..count {
        let mut stream = connect(gateway.at, n).await?;
        stream.write_all(&bytes).await?;
        open.push(stream);
        if n % 100 == 0 {
            peak = peak.max(gateway.resident()?);
        }
    }
    for _ in 0..20 {
        sleep(Duration::from_millis(250)).await;
        peak = peak.max(gateway.resident()?);
    }
    print_row("closed windows", count, peak - before, kernel);
    Ok(peak - before)
}

fn print_row(what: &str, count: usize, held: u64, kernel_before: u64) {
    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let kernel = megabytes(sockets().saturating_sub(kernel_before));
    println!("| {what} | {count} | {:.1} | {} | {kernel:.1} |", megabytes(held), held / count.max(1) as u64);
}

/// A hundred requests for the page of a closed room, and a window of nothing.
fn closed_window() -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let mut block = vec![0x82, 0x86, 0x04, 12];
    block.extend(b"/launch/item");
    block.extend([0x01, 12]);
    block.extend(b"shop.example");
    block.extend([0x00, 6]);
    block.extend(b"accept");
    block.push(9);
    block.extend(b"text/html");
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    for n in 0..100 {
        bytes.extend(frame(1, 5, n * 2 + 1, &block));
    }
    bytes
}

/// From one of 200 addresses, so that ports do not run out.
async fn connect(to: SocketAddr, n: usize) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 1, 1 + (n % 200) as u8), 0)))?;
    Ok(socket.connect(to).await?)
}

async fn start(weir: &Path) -> anyhow::Result<Gateway> {
    let dir = tempfile::tempdir()?;
    // Both at once, or the second could be the first.
    let free = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    let [at, tls] = [free[0].local_addr()?, free[1].local_addr()?];
    drop(free);
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    std::fs::write(dir.path().join("cert.pem"), made.cert.pem())?;
    std::fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem())?;
    let config = format!(
        r#"
[listen]
http = "{at}"
https = "{tls}"
admin = "127.0.0.1:0"
idle_timeout = "1h"
waiting_idle_timeout = "1h"
max_connections = 1000000
[quota]
requests_per_second = 1000000
request_burst = 1000000
joins_per_second = 1000000
join_burst = 1000000
[log]
access = false
[[tls]]
certificate = "cert.pem"
key = "key.pem"
[[upstream]]
name = "shop"
servers = ["127.0.0.1:9"]
[[room]]
name = "launch"
host = "*"
path = "/launch/*"
upstream = "shop"
new_users_per_minute = 600
queue_all = true
"#
    );
    std::fs::write(dir.path().join("weir.toml"), config)?;
    let mut command = Command::new(weir);
    command.arg("serve").arg("--config").arg(dir.path().join("weir.toml")).stdout(Stdio::null());
    let child = command.spawn().with_context(|| format!("cannot start {}", weir.display()))?;
    let gateway = Gateway { child, at, tls, _dir: dir };
    for _ in 0..100 {
        if TcpStream::connect(at).await.is_ok() {
            sleep(Duration::from_secs(1)).await;
            return Ok(gateway);
        }
        sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the gateway does not serve")
}

impl Gateway {
    fn resident(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        number_after(&status, "VmRSS:").map(|kib| kib * 1024).context("the kernel does not tell")
    }
}

/// Memory of all sockets of TCP on this machine.
fn sockets() -> u64 {
    let stat = std::fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    stat.lines().find(|line| line.starts_with("TCP:")).and_then(|line| number_after(line, " mem ")).unwrap_or(0) * 4096
}

fn descriptors() -> anyhow::Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    Ok(number_after(&limits, "Max open files").context("the kernel does not tell")? as usize)
}

fn number_after(text: &str, name: &str) -> Option<u64> {
    let (_, rest) = text.split_once(name)?;
    rest.split_whitespace().next()?.parse().ok()
}
