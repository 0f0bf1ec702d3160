//! A real `redis-server` on a port of its own, in a directory of its own; killed when dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use super::{nobody, until};

pub struct RedisServer {
    pub address: SocketAddr,
    dir: tempfile::TempDir,
    durable: bool,
    child: Child,
}

impl RedisServer {
    /// One that forgets everything when it ends.
    pub fn start() -> Self {
        Self::start_as(false)
    }

    /// One that has written what it acknowledged.
    pub fn durable() -> Self {
        Self::start_as(true)
    }

    fn start_as(durable: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        until("a Redis has a port of its own", || {
            let address = nobody();
            let child = spawn(address, &dir, durable);
            let mut server = Self { address, dir: tempfile::tempdir().unwrap(), durable, child };
            server.answers().then_some(server)
        })
        .in_directory(dir)
    }

    fn in_directory(mut self, dir: tempfile::TempDir) -> Self {
        self.dir = dir;
        self
    }

    /// Whether it comes up; not if somebody else has taken its port.
    fn answers(&mut self) -> bool {
        until("Redis answers or has ended", || {
            if self.child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            TcpStream::connect(self.address).is_ok().then(|| self.command("PING") == "+PONG").filter(|&up| up)
        })
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
        self.child = spawn(self.address, &self.dir, self.durable);
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
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(address: SocketAddr, dir: &tempfile::TempDir, durable: bool) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]);
    command.arg(dir.path()).args(["--appendonly", if durable { "yes" } else { "no" }, "--appendfsync", "always"]);
    command.stdout(Stdio::null()).spawn().expect("redis-server is installed (deploy/tools test)")
}
