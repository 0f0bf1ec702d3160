//! A real `redis-server` on a port of its own, in a directory of its own; killed when dropped. `WEIR_REDIS_SERVER` names
//! another program in its place: Valkey.

pub mod cluster;
pub mod encryption;
pub mod sentinel;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{free_address, until};

/// Variables that a program is started with.
pub type Environment = Vec<(&'static str, OsString)>;

pub struct RedisServer {
    pub address: SocketAddr,
    dir: tempfile::TempDir,
    options: String,
    environment: Environment,
    child: Child,
}

impl RedisServer {
    /// A server without persistence.
    pub fn start() -> Self {
        Self::with(String::new)
    }

    /// A server that has written what it acknowledged.
    pub fn durable() -> Self {
        Self::with(|| "appendonly yes\n".to_owned())
    }

    /// A server with these lines in its configuration. New ports are taken if another process has one.
    pub fn with(options: impl Fn() -> String) -> Self {
        Self::within(&Environment::new(), options)
    }

    /// The same, with these variables.
    pub fn within(environment: &Environment, options: impl Fn() -> String) -> Self {
        until("a Redis has a port of its own", || {
            let (address, dir, options) = (free_address(), tempfile::tempdir().unwrap(), options());
            let environment = environment.clone();
            let child = spawn(address, dir.path(), &options, &environment);
            let mut server = Self { address, dir, options, environment, child };
            server.answers().then_some(server)
        })
    }

    /// Whether it comes up; not if another process has its port.
    fn answers(&mut self) -> bool {
        until("Redis answers or has ended", || {
            if self.child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            TcpStream::connect(self.address).is_ok().then(|| self.command("PING") == "+PONG").filter(|&up| up)
        })
    }

    /// The address of its TLS port, if it has one; else its address.
    pub fn spoken_to(&self) -> SocketAddr {
        let port = self.option("tls-port").parse().unwrap_or(self.address.port());
        SocketAddr::new(self.address.ip(), port)
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Ends it without a warning.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub fn restart(&mut self) {
        self.child = spawn(self.address, self.dir.path(), &self.options, &self.environment);
        assert!(self.answers(), "its port was taken");
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// The answer to a command without spaces in its words: a line, or the text that was announced by it.
    pub fn command(&self, command: &str) -> String {
        let mut stream = BufReader::new(TcpStream::connect(self.address).unwrap());
        if let Some(password) = self.options.lines().find_map(|line| line.strip_prefix("requirepass ")) {
            assert_eq!(answer(&mut stream, &format!("AUTH {password}")), "+OK");
        }
        answer(&mut stream, command)
    }

    /// An option that it was started with.
    pub fn option(&self, name: &str) -> String {
        let value = self.options.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_default().to_owned()
    }

    /// A figure of `INFO`.
    pub fn info(&self, name: &str) -> String {
        let all = self.command("INFO everything");
        let line = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default();
        line.trim().to_owned()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(stream: &mut BufReader<TcpStream>, command: &str) -> String {
    stream.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let Some(length) = line.strip_prefix('$').and_then(|length| length.trim().parse().ok()) else {
        return line.trim().to_owned();
    };
    let mut text = vec![0; length];
    stream.read_exact(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// The program that is run as Redis.
pub fn program() -> String {
    std::env::var("WEIR_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

fn spawn(address: SocketAddr, dir: &Path, options: &str, environment: &Environment) -> Child {
    let file = dir.join("redis.conf");
    let own = format!("port {}\nbind 127.0.0.1\ndir {}\n", address.port(), dir.display());
    std::fs::write(&file, format!("{own}save \"\"\nappendfsync always\n{options}")).unwrap();
    let mut command = Command::new(program());
    command.arg(&file).args(options.contains("sentinel ").then_some("--sentinel"));
    command.envs(environment.iter().cloned());
    command
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed (deploy/tools test), or what WEIR_REDIS_SERVER names")
}
