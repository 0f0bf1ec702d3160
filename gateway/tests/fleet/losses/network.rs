//! A Redis in a network of its own, with a cable for each gateway that can be pulled. Linux makes such networks for
//! every user who may have a user namespace.
//!
//! A test runs [`inside`] such a world: it starts itself again there. Where the machine does not allow it, the
//! reason is printed and stands in the table.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::table;
use crate::common::redis::program;
use crate::common::until_true;

/// Says that this process is the one inside.
const INSIDE: &str = "WEIR_TEST_INSIDE";

/// Whether this test should go on, because it runs in a network of its own. If not, it has run there, or cannot.
pub(crate) fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        run(&["ip", "link", "set", "lo", "up"]);
        return true;
    }
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "--fork", "--kill-child"]);
        command
    };
    let able = unshare().args(["sh", "-c", "ip link add weir0 type veth peer name weir1"]).output().unwrap();
    if !able.status.success() {
        let why = String::from_utf8_lossy(&able.stderr).trim().to_owned();
        table::skipped(test, &why);
        return false;
    }
    let myself = std::env::current_exe().unwrap();
    let name = format!("losses::{test}");
    let inside = unshare().arg(myself).args(["--exact", &name, "--nocapture"]).env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&inside.stdout) + String::from_utf8_lossy(&inside.stderr);
    assert!(
        inside.status.success() && said.contains("1 passed"),
        "the test inside has failed, or there is none:\n{said}"
    );
    false
}

/// The server; it forgets everything when it ends.
pub(crate) struct Network {
    redis: Child,
    cables: usize,
}

impl Network {
    /// With this many cables.
    pub(crate) fn start(cables: usize) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", &program(), "--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""]);
        let network = Self { redis: command.stdout(Stdio::null()).spawn().unwrap(), cables };
        let net = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
        until_true("Redis is in its network", || net("self") != net(&network.redis.id().to_string()));
        for cable in 0..cables {
            network.lay(cable);
            until_true("Redis answers", || std::net::TcpStream::connect(Self::redis(cable)).is_ok());
        }
        network
    }

    /// Where Redis is at the end of this cable.
    pub(crate) fn redis(cable: usize) -> SocketAddr {
        SocketAddr::new([10, 77, cable as u8, 2].into(), 6379)
    }

    /// Pulls a cable at its far end, or puts it back: packets into it are lost in silence.
    pub(crate) fn plug(&self, cable: usize, plugged: bool) {
        self.there(&["ip", "link", "set", &format!("far{cable}"), if plugged { "up" } else { "down" }]);
    }

    fn lay(&self, cable: usize) {
        let (near, far, pid) = (format!("near{cable}"), format!("far{cable}"), self.redis.id().to_string());
        run(&["ip", "link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &pid]);
        run(&["ip", "address", "add", &format!("10.77.{cable}.1/24"), "dev", &near]);
        run(&["ip", "link", "set", &near, "up"]);
        self.there(&["ip", "address", "add", &format!("10.77.{cable}.2/24"), "dev", &far]);
        self.plug(cable, true);
    }

    fn there(&self, command: &[&str]) {
        let target = format!("--target={}", self.redis.id());
        run(&[&["nsenter", &target, "--net"], command].concat());
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // They would go with the network of the server, but some time later: the next network lays its own.
        for cable in 0..self.cables {
            let _ = Command::new("ip").args(["link", "delete", &format!("near{cable}")]).status();
        }
        let _ = self.redis.kill();
        let _ = self.redis.wait();
    }
}

fn run(command: &[&str]) {
    let output = Command::new(command[0]).args(&command[1..]).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
