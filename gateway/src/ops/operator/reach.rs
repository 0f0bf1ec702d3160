//! How the admin listener of a gateway is reached: in clear or over TLS.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use http::uri::Authority;
use http::{Request, StatusCode};
use http_body_util::Full;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::fetch::fetch_over;
use crate::settings::config::{Config, host_and_port};
use crate::settings::tls::client::{ClientTls, ClientTlsFiles, server_name};

/// Bytes of an answer.
const LONGEST: usize = 1 << 26;

/// Where an admin listener is, as it is written: `127.0.0.1:9090`, or `https://weir.internal:9090`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host and port.
    authority: Authority,
    /// Whether it speaks TLS.
    encrypted: bool,
}

impl Address {
    /// Of the gateway of this configuration. A listener on all addresses listens on loopback, too. Over TLS it is asked by the first
    /// of its names.
    fn of(config: &Config) -> anyhow::Result<Self> {
        let admin = config.listen.admin;
        let host = match (admin.ip(), &config.admin.tls, config.listen.admin_hosts.first()) {
            (_, Some(_), Some(name)) => name.clone(),
            (IpAddr::V4(ip), ..) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
            (IpAddr::V6(ip), ..) if ip.is_unspecified() => format!("[{}]", Ipv6Addr::LOCALHOST),
            (IpAddr::V4(ip), ..) => ip.to_string(),
            (IpAddr::V6(ip), ..) => format!("[{ip}]"),
        };
        let authority = format!("{host}:{}", admin.port()).parse().with_context(|| format!("{host:?} is no host"))?;
        Ok(Self { authority, encrypted: config.admin.tls.is_some() })
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (encrypted, bare) = match text.split_once("://") {
            Some(("https", bare)) => (true, bare),
            Some(("http", bare)) => (false, bare),
            Some(_) => return Err(format!("{text:?} is no address of HTTP")),
            None => (false, text),
        };
        let wrong =
            || format!("{text:?} is not an address with a port, such as 127.0.0.1:9090 or https://weir.internal:9090");
        let authority: Authority = bare.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let is_whole = authority.port_u16().is_some_and(|port| port > 0) && !authority.as_str().contains('@');
        if is_whole { Ok(Self { authority, encrypted }) } else { Err(wrong()) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.authority.as_str())
    }
}

/// The way there.
pub(super) struct Way {
    pub(super) address: Address,
    /// Where to connect to: the host of the address, or this machine.
    host: String,
    tls: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Way {
    /// To this address, which shows a certificate of these authorities; without a file those of the system.
    pub(super) fn to(address: Address, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let tls = address.encrypted.then(|| ClientTls::load(&ClientTlsFiles { ca_file, ..ClientTlsFiles::default() }));
        let (host, _) = host_and_port(&address.authority);
        Ok(Self { address, host, tls: tls.transpose()?.map(|tls| tls.config) })
    }

    /// To the gateway of this configuration.
    pub(super) fn of(config: &Config) -> anyhow::Result<Self> {
        let ca_file = config.admin.tls.as_ref().and_then(|tls| tls.ca_file.as_deref());
        let ip = config.listen.admin.ip();
        let way = Self::to(Address::of(config)?, ca_file)?;
        // Its name need not lead here.
        let host = match ip {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Ok(Self { host: host.to_string(), ..way })
    }

    /// Status and body of the answer.
    pub(super) async fn ask(&self, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, Bytes)> {
        let (name, port) = host_and_port(&self.address.authority);
        let stream = TcpStream::connect((self.host.as_str(), port)).await?;
        let Some(tls) = &self.tls else { return fetch_over(stream, request, LONGEST).await };
        let name = server_name(&name).with_context(|| format!("no certificate can be for {name:?}"))?;
        let stream = TlsConnector::from(tls.clone()).connect(name, stream).await.context("TLS")?;
        fetch_over(stream, request, LONGEST).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_in_clear_unless_it_says_https() {
        let read = |text: &str| text.parse::<Address>().map(|address| (address.to_string(), address.encrypted));
        for (text, host, encrypted) in [
            ("127.0.0.1:9090", "127.0.0.1:9090", false),
            ("http://[::1]:9090/", "[::1]:9090", false),
            ("https://weir.internal:9090", "weir.internal:9090", true),
        ] {
            assert_eq!(read(text), Ok((host.to_owned(), encrypted)));
        }
        for wrong in
            ["", "9090", "127.0.0.1", "https://weir.internal", "ftp://127.0.0.1:9090", "kim@weir:9090", "a:b:c"]
        {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_gateway_is_asked_on_its_own_machine_and_over_tls_by_its_name() {
        let of = |listen: &str, tls: bool| {
            let mut config = Config::default();
            config.listen.admin = listen.parse().expect("an address");
            config.listen.admin_hosts = vec!["weir.internal".to_owned()];
            config.admin.tls = tls.then(Default::default);
            Address::of(&config).expect("it has one").to_string()
        };
        assert_eq!(of("0.0.0.0:9090", false), "127.0.0.1:9090");
        assert_eq!(of("[::]:9090", false), "[::1]:9090");
        assert_eq!(of("127.0.0.1:9090", true), "weir.internal:9090");
        assert_eq!(of("10.0.0.5:9090", true), "weir.internal:9090");
        assert_eq!(of("10.0.0.5:9090", false), "10.0.0.5:9090");
    }
}
