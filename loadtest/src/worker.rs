//! Several processes that send one crowd, on this machine or on others.
//!
//! ```text
//! worker                          leader
//!   hello, a challenge      ->                      the end that connects shows that it knows the secret
//!                          <-    open, its answer
//!   welcome, or refused     ->
//!                          <-    ping               some rounds: how far this clock is from that one
//!   pong, unix time         ->
//!                          <-    send               the scenario, which part of it, the common start
//!   progress                ->                      four times a second
//!                          <-    stop               perhaps
//!   visits, seconds, done   ->
//! ```
//!
//! A message is JSON after its length ([`wire`]). The worker listens and the leader connects, whether the
//! worker was started by hand elsewhere or by the leader itself.
//!
//! Out of scope: encryption. What goes over the network is a scenario and the evidence; the secret does not.

pub(crate) mod clock;
pub(crate) mod lead;
pub(crate) mod serve;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::hmac;
use evidence::{Generator, Micros, Progress, Second, Visit};
use loadtest::wire::{BadTarget, Target, Trust};
use serde::{Deserialize, Serialize};

use crate::hex::hex;

/// Version of this protocol and of what goes over it: both ends must be the same program.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The environment variable that holds the secret of a worker.
pub(crate) const SECRET: &str = "LOADTEST_SECRET";
/// The shortest secret that is taken.
pub(crate) const SHORTEST_SECRET: usize = 16;
/// How often a worker tells how far it has come.
const TELL: Duration = Duration::from_millis(250);
/// How long the other end may be silent.
const SILENCE: Duration = Duration::from_secs(15);

/// A worker's message.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FromWorker {
    /// First of all.
    Hello {
        version: String,
        challenge: String,
    },
    /// The leader knows the secret.
    Welcome,
    /// It does not, or this worker cannot.
    Refused(String),
    /// The worker's unix time in microseconds.
    Pong(i64),
    Progress(Progress),
    Visit(Box<Visit>),
    Second(Box<Second>),
    /// The last word.
    Done {
        took: Micros,
        generators: Vec<Generator>,
    },
}

/// A leader's message.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FromLeader {
    /// The answer to the challenge.
    Open {
        proof: String,
    },
    Ping,
    Send(Box<Order>),
    /// Stop now, and report.
    Stop,
}

/// A part of a crowd.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    /// As a file, so that it is read with the same care as one.
    scenario: String,
    sites: Vec<Site>,
    /// Which part, from 0, of how many.
    part: [u32; 2],
    /// The common start by the worker's own clock, in microseconds since 1970.
    start_unix_us: i64,
}

/// A target as it was written: each process looks its address up by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Site {
    /// Scheme, host and perhaps a port.
    pub(crate) url: String,
    /// Whether any certificate is accepted.
    pub(crate) any_certificate: bool,
    /// Its address, whatever its name resolves to.
    pub(crate) address: Option<IpAddr>,
    /// Whether it is another host to which a journey leads.
    pub(crate) beside: bool,
}

impl Site {
    /// A gateway on this machine.
    pub(crate) fn here(address: SocketAddr) -> Self {
        Self { url: format!("http://{address}"), any_certificate: false, address: None, beside: false }
    }

    pub(crate) fn target(&self) -> Result<Target, BadTarget> {
        let trust = if self.any_certificate { &Trust::Anything } else { &Trust::System };
        let target = Target::parse_at(&self.url, self.address, trust)?;
        Ok(if self.beside { target.beside() } else { target })
    }
}

/// The proof that its sender knows the secret, in hexadecimal.
fn proof(secret: &str, challenge: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hex(hmac::sign(&key, challenge.as_bytes()).as_ref())
}

/// Whether a proof is right; compared in constant time.
fn is_proof(secret: &str, challenge: &str, shown: &str) -> bool {
    use aws_lc_rs::constant_time::verify_slices_are_equal;
    verify_slices_are_equal(proof(secret, challenge).as_bytes(), shown.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::random_hex;

    #[test]
    fn only_who_knows_the_secret_can_prove_it() {
        let (secret, challenge) = ("a secret of this run", random_hex::<16>());
        let shown = proof(secret, &challenge);
        assert!(is_proof(secret, &challenge, &shown));
        assert!(!is_proof("another secret", &challenge, &shown), "of another secret");
        assert!(!is_proof(secret, &random_hex::<16>(), &shown), "of another challenge");
        assert!(!is_proof(secret, &challenge, ""), "of nothing");
    }
}
