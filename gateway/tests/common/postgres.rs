//! A real PostgreSQL in a directory of its own; it ends with the test. Who comes by its socket is believed, others need a password.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{free_address, until_true};

pub struct Postgres {
    dir: tempfile::TempDir,
    pub address: SocketAddr,
    server: Child,
    sessions: Vec<Child>,
}

impl Postgres {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(dir.path()));
        }
        let login = ["--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256"];
        let small = ["--no-sync", "--no-instructions", "--no-locale", "--encoding=UTF8", "--wal-segsize=1"];
        run(program("initdb", dir.path()).arg("-D").arg(dir.path().join("data")).args(login).args(small));
        let address = free_address();
        let server = Self { server: serve(dir.path(), address), dir, address, sessions: Vec::new() };
        server.is_up();
        server
    }

    /// The result of this, without a frame.
    pub fn query(&self, sql: &str) -> String {
        let output = self.psql(sql).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A session that is busy with this until the server ends.
    pub fn session(&mut self, sql: &str) {
        self.sessions.push(self.psql(sql).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    /// Ends all of those.
    pub fn end_sessions(&mut self) {
        self.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'psql' AND pid <> pg_backend_pid()");
        self.sessions.drain(..).for_each(|mut session| drop(session.wait()));
    }

    pub fn stop(&mut self) {
        run(Command::new("kill").arg("-INT").arg(self.server.id().to_string()));
        self.server.wait().unwrap();
    }

    pub fn start_again(&mut self) {
        self.server = serve(self.dir.path(), self.address);
        self.is_up();
    }

    fn is_up(&self) {
        until_true("the database answers", || self.psql("SELECT 1").output().unwrap().status.success());
    }

    fn psql(&self, sql: &str) -> Command {
        let mut psql = Command::new(folder().join("psql"));
        psql.args(["-X", "-A", "-t", "-U", "postgres", "-p", &self.address.port().to_string(), "-h"]);
        psql.arg(self.dir.path()).args(["-c", sql]).stdin(Stdio::null());
        psql
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-QUIT").arg(self.server.id().to_string()).status();
        let _ = self.server.wait();
        self.sessions.drain(..).for_each(|mut session| drop(session.wait()));
    }
}

fn serve(dir: &Path, address: SocketAddr) -> Child {
    let log = File::create(dir.join("log")).unwrap();
    let mut command = program("postgres", dir);
    command.arg("-D").arg(dir.join("data")).arg("-k").arg(dir).args(["-p", &address.port().to_string()]);
    for setting in ["listen_addresses=127.0.0.1", "fsync=off", "shared_buffers=16MB", "autovacuum=off"] {
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
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
