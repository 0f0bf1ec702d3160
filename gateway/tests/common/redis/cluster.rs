//! A Cluster of three servers without replicas.

use super::RedisServer;
use crate::common::{nobody, until_true};

/// Slots of a Cluster.
const SLOTS: usize = 16_384;

pub struct Cluster {
    pub servers: Vec<RedisServer>,
}

impl Cluster {
    /// All slots served, and known to all; each server has these options besides.
    pub fn start(options: impl Fn() -> String) -> Self {
        let server = || {
            RedisServer::with(|| {
                let bus = nobody().port();
                format!("{}cluster-enabled yes\ncluster-port {bus}\ncluster-node-timeout 5000\n", options())
            })
        };
        let cluster = Self { servers: vec![server(), server(), server()] };
        for (index, server) in cluster.servers.iter().enumerate() {
            let (from, to) = (SLOTS * index / 3, SLOTS * (index + 1) / 3 - 1);
            assert_eq!(server.command(&format!("CLUSTER ADDSLOTSRANGE {from} {to}")), "+OK");
            assert_eq!(server.command(&format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1)), "+OK");
            let first = &cluster.servers[0];
            let (met, bus) = (first.spoken_to(), first.option("cluster-port"));
            assert_eq!(server.command(&format!("CLUSTER MEET {} {} {bus}", met.ip(), met.port())), "+OK");
        }
        cluster.agrees();
        cluster
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
