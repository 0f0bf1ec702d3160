//! Weir as a child process: its configuration file, its start, its end.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How long Weir may take to start.
const START: Duration = Duration::from_secs(15);
/// How long Weir may take to stop when asked to.
const STOP: Duration = Duration::from_secs(5);
/// Lines of Weir's log that are shown when it fails.
const LOG_LINES: usize = 15;

/// What the demo asks of Weir.
pub(super) struct Settings {
    pub(super) http: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) shop: SocketAddr,
    pub(super) new_users_per_minute: u32,
    pub(super) total_active_users: u32,
    /// Requests that the shop may have in work.
    pub(super) max_in_flight: usize,
    /// Shoppers that a calm line lets in at once, beyond the rate.
    pub(super) burst: u32,
}

impl Settings {
    /// The configuration file. Quotas are per address: here the whole crowd is on this machine.
    fn text(&self, folder: &Path) -> String {
        let Self { http, admin, shop, new_users_per_minute, total_active_users, max_in_flight, burst } = self;
        let store = toml_string(&folder.join("weir.redb"));
        format!(
            r#"[listen]
http = "{http}"
admin = "{admin}"
max_connections = 10000
shutdown_timeout = "2s"

[store]
kind = "embedded"
path = {store}

[quota]
requests_per_second = 100000
request_burst = 100000
joins_per_second = 100000
join_burst = 100000

[log]
format = "text"
level = "warn"
access = false

[[upstream]]
name = "shop"
servers = ["{shop}"]
max_in_flight = {max_in_flight}

[[route]]
host = "*"
path = "/*"
upstream = "shop"

[[room]]
name = "launch"
host = "*"
path = "/launch/*"
upstream = "shop"
new_users_per_minute = {new_users_per_minute}
total_active_users = {total_active_users}
burst = {burst}
session_duration = "5m"
default_template_language = "en-US"
enabled_origin_commands = ["revoke"]
poll = {{ min = "1s", max = "30s", budget = 1000 }}
"#
        )
    }
}

/// A path as a TOML string, whatever is in it.
fn toml_string(path: &Path) -> String {
    let mut text = String::from("\"");
    for c in path.to_string_lossy().chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => drop(write!(text, "\\u{:04X}", c as u32)),
            c => text.push(c),
        }
    }
    text + "\""
}

/// A running Weir, in a folder of its own that goes with it.
pub(super) struct Weir {
    child: Child,
    folder: TempDir,
}

impl Weir {
    /// The program at `path`, or the one beside this program.
    pub(super) fn find(path: Option<&Path>) -> anyhow::Result<PathBuf> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => std::env::current_exe()?.with_file_name(format!("weir{}", std::env::consts::EXE_SUFFIX)),
        };
        if !path.is_file() {
            bail!("there is no weir program at {}: build it with `cargo build --release`", path.display());
        }
        Ok(path)
    }

    /// Starts Weir and waits until it is ready.
    pub(super) async fn start(program: &Path, settings: &Settings) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("weir-demo-").tempdir()?;
        let config = folder.path().join("weir.toml");
        fs::write(&config, settings.text(folder.path()))?;
        let log = File::create(folder.path().join("weir.log"))?;
        let child = Command::new(program)
            .args(["serve", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut weir = Self { child, folder };
        let Ok(ready) = timeout(START, weir.ready(settings.admin)).await else {
            let log = weir.log();
            weir.stop().await;
            bail!("Weir was not ready within {} s. {log}", START.as_secs())
        };
        ready.map(|()| weir)
    }

    async fn ready(&mut self, admin: SocketAddr) -> anyhow::Result<()> {
        while !is_ready(admin).await {
            self.check()?;
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// An error if Weir has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("Weir ended by itself ({status}). {}", self.log()),
            None => Ok(()),
        }
    }

    /// The last lines that Weir wrote.
    fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("weir.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
        format!("Its log ends with:\n{}", last.join("\n"))
    }

    /// Asks Weir to stop, and makes it if it does not.
    pub(super) async fn stop(mut self) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(STOP, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// Whether `/readyz` answers 200.
async fn is_ready(admin: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await?;
        std::io::Result::Ok(head == *b"HTTP/1.1 200")
    };
    matches!(timeout(Duration::from_secs(1), ask).await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_string_of_the_configuration() {
        assert_eq!(toml_string(Path::new("/tmp/a \"b\"\\c\n")), "\"/tmp/a \\\"b\\\"\\\\c\\u000A\"");
    }
}
