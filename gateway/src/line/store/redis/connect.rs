//! The ways to Redis: one server, the master that sentinels name, a Cluster; each in clear or over TLS.
//!
//! A topology only says how a new connection is made. Sentinels are all asked at once, and the first whose
//! master confirms its role is believed: a dead sentinel costs no time, and a demoted master is
//! passed over. A Cluster describes its own shape.
//!
//! Out of scope: when a connection is made anew (whenever one has failed), and pauses in between. Passwords
//! and certificates are read once, at the start.

use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo as _, RedisConnectionInfo, RedisError, RedisResult, Role, ScriptInvocation, TlsCertificates,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::DEADLINE;
use crate::settings::config::{LoginConfig, StoreConfig, StoreTlsConfig, host_and_port};

/// Connecting to one server, TLS and login included. A sentinel and its master, or a seed of a Cluster and
/// the other servers, still fit into a commit.
const CONNECT: Duration = Duration::from_millis(400);
/// How often a Cluster command follows a room that has moved.
const MOVES: u32 = 2;

/// How a connection is made.
pub(super) enum Topology {
    /// To a known server.
    Server(Client),
    /// To the server that sentinels call by this name.
    Sentinels { sentinels: Vec<Client>, master: String, peer: Peer },
    /// To all servers of a Cluster.
    Cluster(Box<ClusterClient>),
}

/// A connection; clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Topology {
    /// The configured topology.
    pub(super) fn of(config: &StoreConfig) -> RedisResult<Self> {
        let tls = config.tls.as_ref().map(certificates).transpose()?;
        let peer = Peer { login: login(&config.login)?, tls };
        if !config.sentinels.is_empty() {
            let watcher = Peer { login: login(&config.sentinel_login)?, tls: peer.tls.clone() };
            let sentinels = config.sentinels.iter().map(|s| watcher.client(host_and_port(s)));
            let (sentinels, master) = (sentinels.collect::<RedisResult<_>>()?, config.master.clone());
            return Ok(Self::Sentinels { sentinels, master: master.unwrap_or_default(), peer });
        }
        if !config.cluster.is_empty() {
            let seeds = config.cluster.iter().map(|s| peer.address(host_and_port(s)));
            return peer.cluster(seeds.collect::<RedisResult<_>>()?).map(|client| Self::Cluster(Box::new(client)));
        }
        peer.at(config.url.as_deref().unwrap_or_default()).map(Self::Server)
    }

    /// In clear to the server of this address.
    pub(super) fn at(url: &str) -> RedisResult<Self> {
        Peer::default().at(url).map(Self::Server)
    }

    /// Its address for messages, without a login.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Server(client) => {
                let server = client.get_connection_info();
                format!("database {} of Redis at {}", server.redis_settings().db(), server.addr())
            }
            Self::Sentinels { master, .. } => format!("Redis behind sentinels, master {master:?}"),
            Self::Cluster(_) => "the Redis Cluster".to_owned(),
        }
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        Ok(match self {
            Self::Server(client) => Connection::Server(dial(client).await?),
            Self::Sentinels { sentinels, master, peer } => Connection::Server(peer.master_of(sentinels, master).await?),
            Self::Cluster(client) => Connection::Cluster(client.get_async_connection().await?),
        })
    }
}

impl Connection {
    /// Runs a script where its keys are.
    pub(super) async fn run<T: FromRedisValue>(&mut self, script: &ScriptInvocation<'_>) -> RedisResult<T> {
        match self {
            Self::Server(connection) => script.invoke_async(connection).await,
            Self::Cluster(connection) => script.invoke_async(connection).await,
        }
    }
}

/// Settings of the connections to servers of one kind.
#[derive(Clone, Default)]
pub(super) struct Peer {
    login: RedisConnectionInfo,
    tls: Option<TlsCertificates>,
}

impl Peer {
    /// The server of a whole address, which may hold a login.
    fn at(&self, url: &str) -> RedisResult<Client> {
        let address = url.into_connection_info()?;
        let mut login = address.redis_settings().clone();
        if let Some(password) = self.login.password() {
            login = login.set_password(password);
        }
        if let Some(username) = self.login.username() {
            login = login.set_username(username);
        }
        self.open(tuned(address.set_redis_settings(login)))
    }

    fn address(&self, (host, port): (String, u16)) -> RedisResult<ConnectionInfo> {
        let address = match self.tls {
            None => ConnectionAddr::Tcp(host, port),
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        };
        Ok(tuned(address.into_connection_info()?.set_redis_settings(self.login.clone())))
    }

    fn client(&self, server: (String, u16)) -> RedisResult<Client> {
        self.open(self.address(server)?)
    }

    fn open(&self, address: ConnectionInfo) -> RedisResult<Client> {
        match &self.tls {
            None => Client::open(address),
            Some(tls) => Client::build_with_tls(address, tls.clone()),
        }
    }

    fn cluster(&self, seeds: Vec<ConnectionInfo>) -> RedisResult<ClusterClient> {
        let client = ClusterClient::builder(seeds).connection_timeout(CONNECT).response_timeout(DEADLINE);
        let client = client.retries(MOVES).min_retry_wait(10).max_retry_wait(100).tcp_settings(nodelay());
        match &self.tls {
            None => client.build(),
            Some(tls) => client.certs(tls.clone()).build(),
        }
    }

    /// A connection to the first master found by the sentinels; else the answers of all of them.
    async fn master_of(&self, sentinels: &[Client], name: &str) -> RedisResult<MultiplexedConnection> {
        let ask = |sentinel| async move { (sentinel, self.master(sentinel, name).await) };
        let mut answers: FuturesUnordered<_> = sentinels.iter().map(ask).collect();
        let mut reasons = Vec::new();
        while let Some((sentinel, answer)) = answers.next().await {
            match answer {
                Ok(server) => return Ok(server),
                Err(error) => reasons.push(format!("{}: {error}", sentinel.get_connection_info().addr())),
            }
        }
        Err(wrong(reasons.join("; ")))
    }

    /// A connection to the master that a sentinel names, if that server agrees.
    async fn master(&self, sentinel: &Client, name: &str) -> RedisResult<MultiplexedConnection> {
        let mut sentinel = dial(sentinel).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let named: Option<(String, u16)> = question.query_async(&mut sentinel).await?;
        let unknown = || wrong(format!("it knows no master {name:?}"));
        let mut server = dial(&self.client(named.ok_or_else(unknown)?)?).await?;
        match redis::cmd("ROLE").query_async(&mut server).await? {
            Role::Primary { .. } => Ok(server),
            _ => Err(wrong("the server that it names says that it is no master".to_owned())),
        }
    }
}

async fn dial(client: &Client) -> RedisResult<MultiplexedConnection> {
    let limits =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(DEADLINE));
    client.get_multiplexed_async_connection_with_config(&limits).await
}

fn tuned(address: ConnectionInfo) -> ConnectionInfo {
    address.set_tcp_settings(nodelay())
}

fn nodelay() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn login(config: &LoginConfig) -> RedisResult<RedisConnectionInfo> {
    let mut login = RedisConnectionInfo::default();
    if let Some(username) = &config.username {
        login = login.set_username(username);
    }
    let password = match (&config.password_file, &config.password_env) {
        (Some(file), _) => Some(String::from_utf8(read(file)?).map_err(io::Error::other)?),
        (None, Some(name)) => Some(std::env::var(name).map_err(|why| wrong(format!("variable {name}: {why}")))?),
        (None, None) => None,
    };
    if let Some(password) = password {
        // A text editor ends a file with a line break; no password ends with one.
        login = login.set_password(password.trim_end_matches(['\r', '\n']));
    }
    Ok(login)
}

fn certificates(config: &StoreTlsConfig) -> RedisResult<TlsCertificates> {
    let client_tls = match (&config.certificate, &config.key) {
        (Some(certificate), Some(key)) => {
            Some(ClientTlsConfig { client_cert: certificate_in(certificate)?, client_key: read(key)? })
        }
        _ => None,
    };
    Ok(TlsCertificates { client_tls, root_cert: config.ca_file.as_deref().map(certificate_in).transpose()? })
}

/// Checks the file now: without a certificate it would mean that no server is trusted, and fail only at the first commit.
fn certificate_in(file: &Path) -> RedisResult<Vec<u8>> {
    let text = read(file)?;
    let first = CertificateDer::pem_slice_iter(&text).next();
    if matches!(first, Some(Ok(_))) { Ok(text) } else { Err(wrong(format!("no certificate in {}", file.display()))) }
}

fn read(file: &Path) -> RedisResult<Vec<u8>> {
    std::fs::read(file).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())).into())
}

fn wrong(what: String) -> RedisError {
    (ErrorKind::Client, "no way to Redis", what).into()
}
