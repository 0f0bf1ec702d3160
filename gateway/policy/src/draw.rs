//! The draw of an event, so that a sceptic can check it: who joined before the freeze gets a place by a permutation that nobody
//! could know or choose.
//!
//! ```text
//! opened:  C = hash(room, event, K), a key, the beacon, the times     before the first join
//! counted: every 10 s the time and `next`                             each record is signed and names the one before
//! frozen:  M, R, K                                                    before round R of the beacon exists
//! seed  =  hash(room, event, M, K, R, signature of R)
//! place of number j < M = the keyed permutation of j
//! ```
//!
//! - [`record`]: what is published, signed and chained; [`secret`]: `K` and the signing key, from the gateways' secret
//! - [`crate::permutation`]: the place of a number
//! - [`beacon`]: drand's rounds and their signatures; [`freeze`]: how `R` follows from clocks, and the seed
//! - [`history`]: the records in order, held against the rules; [`proof`]: the published document; [`verify`]: what it proves
//!
//! No gateway holds a draw yet: `weir verify-draw` is all that uses this module, and what makes records and secrets is used by
//! tests alone.
//!
//! Reasons, threats and what is not proved: `docs/design/draw.md`. Out of scope: who holds a number, when a browser saw a
//! record, and how a signature of the beacon is fetched.

pub mod beacon;
mod fields;
pub mod freeze;
pub mod hex;
pub mod history;
pub mod proof;
pub mod record;
pub mod refusal;
pub mod secret;
pub mod verify;
