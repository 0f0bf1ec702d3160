//! A real PostgreSQL in a directory of its own, on a socket in it and on no port; it ends with the test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use deadpool_postgres::tokio_postgres::{Client, NoTls, connect};
use tempfile::TempDir;

use crate::wait::until;

pub(crate) struct PostgresServer {
    dir: TempDir,
    child: Child,
}

impl PostgresServer {
    /// A new, empty one.
    pub(crate) async fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("shop").tempdir().unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(dir.path()));
        }
        let trusting = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"];
        let small = ["--no-sync", "--no-instructions", "--wal-segsize=1"];
        run(program("initdb", dir.path()).arg("-D").arg(dir.path().join("data")).args(trusting).args(small));
        let server = Self { child: spawn(dir.path()), dir };
        server.is_up().await;
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres:///postgres?user=postgres&host={}", self.dir.path().display())
    }

    /// A connection beside the shop's.
    pub(crate) async fn connect(&self) -> Client {
        self.try_connect().await.expect("a database that is up")
    }

    async fn try_connect(&self) -> Option<Client> {
        let (client, connection) = connect(&self.url(), NoTls).await.ok()?;
        tokio::spawn(connection);
        Some(client)
    }

    /// Ends it without a warning.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same data. What its dead predecessor left running ends by itself first.
    pub(crate) async fn restart(&mut self) {
        until("the database starts on its old data", async || {
            if self.child.try_wait().unwrap().is_some() {
                self.child = spawn(self.dir.path());
            }
            self.try_connect().await
        })
        .await;
    }

    async fn is_up(&self) {
        let log = self.dir.path().join("log");
        let up = until("a connection", async || self.try_connect().await).await;
        assert!(!up.is_closed(), "{}", std::fs::read_to_string(log).unwrap_or_default());
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        signal("QUIT", self.child.id());
        let _ = self.child.wait();
    }
}

/// Sends a signal to one process.
pub(crate) fn signal(name: &str, pid: u32) {
    let _ = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
}

fn spawn(dir: &Path) -> Child {
    let log = File::create(dir.join("log")).unwrap();
    let mut command = program("postgres", dir);
    command.arg("-D").arg(dir.join("data")).arg("-k").arg(dir);
    for setting in ["listen_addresses=", "fsync=off", "shared_buffers=16MB", "autovacuum=off"] {
        command.args(["-c", setting]);
    }
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

/// A program of PostgreSQL that ends when its starter ends. It refuses to run as root.
fn program(name: &str, dir: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]).current_dir(dir);
    if is_root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command.arg(folder().join(name));
    command
}

/// Where Debian keeps the programs of the newest PostgreSQL.
fn folder() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed (deploy/tools test)");
    let folders = versions.map(|version| version.unwrap().path().join("bin"));
    let newest = folders.filter(|folder| folder.join("initdb").exists() && folder.join("postgres").exists()).max();
    newest.expect("a PostgreSQL server (deploy/tools test)")
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
