//! A master with two replicas, and a sentinel that watches them; all ask for a password.

use std::net::TcpListener;

use super::RedisServer;
use crate::common::{nobody, until_true};

pub const PASSWORD: &str = "open-sesame";
pub const SENTINEL_PASSWORD: &str = "watch-me";
/// The sentinel's name of the master.
pub const NAME: &str = "launch";

pub struct Watched {
    servers: Vec<RedisServer>,
    pub sentinel: RedisServer,
    silent: TcpListener,
}

impl Watched {
    /// All of them up and known to the sentinel; each has these options besides.
    pub fn start(options: impl Fn() -> String) -> Self {
        let server = |more: &str| {
            RedisServer::with(|| format!("{}requirepass {PASSWORD}\nmasterauth {PASSWORD}\n{more}", options()))
        };
        let master = server("repl-diskless-sync-delay 0\n");
        let (host, port) = (master.spoken_to().ip(), master.spoken_to().port());
        let replica = || server(&format!("repl-diskless-sync-delay 0\nreplicaof {host} {port}\n"));
        let servers = vec![replica(), replica(), master];
        let sentinel = RedisServer::with(|| {
            format!(
                "{}requirepass {SENTINEL_PASSWORD}\nsentinel monitor {NAME} {host} {port} 1\n\
                 sentinel auth-pass {NAME} {PASSWORD}\nsentinel down-after-milliseconds {NAME} 1000\n\
                 sentinel failover-timeout {NAME} 5000\n",
                options()
            )
        });
        let watched = Self { servers, sentinel, silent: TcpListener::bind("0.0.0.0:0").unwrap() };
        until_true("both replicas follow, and the sentinel knows them", || {
            let follows = |server: &RedisServer| server.info("master_link_status") == "up";
            watched.servers[..2].iter().all(follows) && watched.sentinel.info("master0").contains("slaves=2")
        });
        watched
    }

    /// The server that the sentinel takes for the master.
    pub fn master(&mut self) -> &mut RedisServer {
        let seen = self.sentinel.info("master0");
        self.servers.iter_mut().find(|server| seen.contains(&format!("address={},", server.spoken_to()))).unwrap()
    }

    /// Lines of a gateway's `[store]`: the sentinel, and before it one that is not there and three that never
    /// answer.
    pub fn asked(&self) -> String {
        let silent = self.silent.local_addr().unwrap();
        // Another address of this machine for each, or it would be one server listed three times.
        let silent = (1..4).map(|last| format!("127.0.0.{last}:{}", silent.port()));
        let there = [nobody(), self.sentinel.spoken_to()].map(|address| address.to_string());
        let all: Vec<String> = silent.chain(there).collect();
        format!(
            "sentinels = {all:?}\nmaster = \"{NAME}\"\n[store.login]\npassword_file = \"redis.password\"\n\
             [store.sentinel_login]\npassword_file = \"sentinel.password\"\n"
        )
    }

    /// Lines of a gateway's `[store]` that knows the sentinel alone.
    pub fn known(&self) -> String {
        format!(
            "sentinels = [\"{}\"]\nmaster = \"{NAME}\"\n[store.login]\npassword_file = \"redis.password\"\n\
             [store.sentinel_login]\npassword_file = \"sentinel.password\"\n",
            self.sentinel.spoken_to()
        )
    }

    /// From now on the replicas learn nothing more: they lose their master, and have the wrong password for it.
    pub fn replicas_stand_still(&mut self) {
        let master = self.master().address;
        for replica in self.servers.iter().filter(|server| server.address != master) {
            assert_eq!(replica.command("CONFIG SET masterauth wrong"), "+OK");
        }
        self.master().command("CLIENT KILL TYPE replica");
    }

    /// Makes another server the master.
    pub fn fail_over(&self) {
        let asked = format!("SENTINEL FAILOVER {NAME}");
        until_true("the sentinel finds a replica good enough", || self.sentinel.command(&asked) == "+OK");
    }
}
