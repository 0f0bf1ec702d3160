//! A `redis-server` of our own, and what it says of itself.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

/// A server without persistence on a free port of loopback; it ends when dropped.
#[derive(Debug)]
pub struct Redis {
    address: SocketAddr,
    child: Child,
}

impl Redis {
    /// Starts it, and waits until it answers.
    ///
    /// # Errors
    /// If there is no `redis-server`, or it does not answer within ten seconds.
    pub fn start() -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new("redis-server");
        command.args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", ""]);
        let child = command.stdout(Stdio::null()).spawn().context("redis-server (deploy/tools bench)")?;
        let redis = Self { address, child };
        for _ in 0..500 {
            if redis.command("PING").is_ok() {
                return Ok(redis);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        anyhow::bail!("redis-server does not answer on {address}")
    }

    /// Its address in a gateway's configuration.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The answer to a command without spaces in its words: a line, or the text that was announced by it.
    pub fn command(&self, command: &str) -> anyhow::Result<String> {
        let mut stream = BufReader::new(TcpStream::connect(self.address)?);
        stream.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some(length) = line.strip_prefix('$').and_then(|length| length.trim().parse().ok()) else {
            return Ok(line.trim().trim_start_matches(':').to_owned());
        };
        let mut text = vec![0; length];
        stream.read_exact(&mut text)?;
        Ok(String::from_utf8(text)?)
    }

    /// The names of all keys.
    pub fn keys(&self) -> anyhow::Result<Vec<String>> {
        let mut stream = BufReader::new(TcpStream::connect(self.address)?);
        stream.get_mut().write_all(b"KEYS *\r\n")?;
        let mut lines = stream.lines();
        let count: usize = lines.next().context("no answer")??.trim_start_matches('*').parse()?;
        // Each name follows a line with its length.
        let mut names: Vec<String> = lines.skip(1).step_by(2).take(count).collect::<Result<_, _>>()?;
        names.sort();
        Ok(names)
    }

    /// Its counters so far.
    pub fn work(&self) -> anyhow::Result<Work> {
        let info = self.command("INFO everything")?;
        let field = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(str::trim).unwrap_or_default().to_owned()
        };
        let calls = field("cmdstat_evalsha").split(',').find_map(|part| part.strip_prefix("calls=")?.parse().ok());
        let number = |name: &str| field(name).parse().unwrap_or(0.0);
        Ok(Work {
            received: calls.unwrap_or(0.0),
            executed: number("total_commands_processed"),
            bytes: number("total_net_input_bytes") + number("total_net_output_bytes"),
            cpu: number("used_cpu_user") + number("used_cpu_sys"),
            memory: number("used_memory"),
        })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server's counters since its start.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// Scripts that gateways sent: what the network saw.
    pub received: f64,
    /// All commands, with those that scripts call.
    pub executed: f64,
    /// To and from the network.
    pub bytes: f64,
    /// Seconds of its processor.
    pub cpu: f64,
    /// Bytes in use.
    pub memory: f64,
}
