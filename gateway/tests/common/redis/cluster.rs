//! A Cluster of three servers, and of a replica for each if it is to survive one.

use super::RedisServer;
use crate::common::{free_address, until_true};

/// Slots of a Cluster.
const SLOTS: usize = 16_384;

pub struct Cluster {
    /// The first three have the slots. If there are three more, each follows the one three before it.
    pub servers: Vec<RedisServer>,
}

impl Cluster {
    /// All slots served, and known to all; each server has these options besides.
    pub fn start(options: impl Fn() -> String) -> Self {
        Self::of(|| options() + "cluster-node-timeout 5000\n")
    }

    fn of(options: impl Fn() -> String) -> Self {
        let server = || node(&options());
        let cluster = Self { servers: vec![server(), server(), server()] };
        for (index, server) in cluster.servers.iter().enumerate() {
            let (from, to) = (SLOTS * index / 3, SLOTS * (index + 1) / 3 - 1);
            assert_eq!(server.command(&format!("CLUSTER ADDSLOTSRANGE {from} {to}")), "+OK");
            assert_eq!(server.command(&format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1)), "+OK");
            cluster.welcomes(server);
        }
        cluster.agrees();
        cluster
    }

    /// One with replicas that follow. A master counts as dead after two seconds.
    pub fn with_replicas() -> Self {
        let options = "cluster-node-timeout 2000\nrepl-diskless-sync-delay 0\n";
        let mut cluster = Self::of(|| options.to_owned());
        for master in 0..3 {
            let (replica, id) = (node(options), cluster.servers[master].command("CLUSTER MYID"));
            cluster.welcomes(&replica);
            let follow = format!("CLUSTER REPLICATE {id}");
            until_true("the replica knows its master", || replica.command(&follow) == "+OK");
            cluster.servers.push(replica);
        }
        cluster.agrees();
        until_true("all follow, and everybody knows", || {
            let follows = |server: &RedisServer| server.info("master_link_status") == "up";
            // Of itself a server says `myself,slave`.
            let replicas = |server: &RedisServer| server.command("CLUSTER NODES").matches("slave ").count();
            cluster.servers[3..].iter().all(follows) && cluster.servers.iter().all(|server| replicas(server) == 3)
        });
        cluster
    }

    fn welcomes(&self, server: &RedisServer) {
        let first = &self.servers[0];
        let (met, bus) = (first.spoken_to(), first.option("cluster-port"));
        assert_eq!(server.command(&format!("CLUSTER MEET {} {} {bus}", met.ip(), met.port())), "+OK");
    }

    /// Lines of a gateway's `[store]` that name all servers.
    pub fn known(&self) -> String {
        let all: Vec<String> = self.servers.iter().map(|server| server.spoken_to().to_string()).collect();
        format!("cluster = {all:?}\n")
    }

    /// The replica of this master.
    pub fn replica(&self, master: usize) -> &RedisServer {
        &self.servers[master + 3]
    }

    /// From now on the replica of this master learns nothing more: it loses its master, and has a password for it that
    /// is wrong.
    pub fn replica_stands_still(&self, master: usize) {
        assert_eq!(self.replica(master).command("CONFIG SET masterauth wrong"), "+OK");
        self.servers[master].command("CLIENT KILL TYPE replica");
        until_true("it has lost its master", || self.replica(master).info("master_link_status") == "down");
    }

    /// Waits until all slots are served as far as all servers know.
    pub fn agrees(&self) {
        until_true("all slots are served", || {
            let up = |server: &RedisServer| server.command("CLUSTER INFO").contains("cluster_state:ok");
            self.servers.iter().all(up)
        });
    }

    /// The slot of a room, and which server has it.
    pub fn home(&self, room: &str) -> (usize, usize) {
        let slot = self.servers[0].command(&format!("CLUSTER KEYSLOT weir:{{{room}}}:line"));
        let slot: usize = slot.trim_start_matches(':').parse().unwrap();
        (slot, (0..3).find(|index| slot < SLOTS * (index + 1) / 3).unwrap())
    }

    /// Gives a slot to a server; no key may be in it.
    pub fn give(&self, slot: usize, to: usize) {
        let id = self.servers[to].command("CLUSTER MYID");
        for server in [&self.servers[to], &self.servers[(to + 1) % 3], &self.servers[(to + 2) % 3]] {
            assert_eq!(server.command(&format!("CLUSTER SETSLOT {slot} NODE {id}")), "+OK");
        }
    }
}

/// A server of a Cluster that knows no other yet.
fn node(options: &str) -> RedisServer {
    RedisServer::with(|| format!("{options}cluster-enabled yes\ncluster-port {}\n", free_address().port()))
}
