//! `loadtest record`: a journey from what a browser did, as its developer tools export it (HAR).
//!
//! ```text
//! HAR --> pages and calls of scripts --> redirects joined --> steps --> values found where they came from --> a scenario
//! ```
//!
//! What a browser loads by itself is left out (pictures, styles, scripts), and so is what other hosts got, unless the shop
//! sent the browser there. A value of a request that stood in a hidden field, in JSON, in a `meta` or in a cookie before is taken from there
//! again; a log-in becomes a row of a CSV file.
//!
//! Out of scope: what a script of the page made up. It is sent as it was recorded.

mod draft;
mod har;
mod text;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::scenario::Journey;

pub use har::{BadHar, LONGEST_HAR};

/// What was recorded.
#[derive(Debug, PartialEq)]
pub struct Recording {
    /// The steps. A log-in is the only row.
    pub journey: Journey,
    /// The host of the shop, as it was called: `shop.test:8080`.
    pub host: String,
    /// Other hosts that are a part of it.
    pub beside: BTreeSet<String>,
    /// Requests to other hosts that were left out.
    pub left_out: BTreeMap<String, usize>,
}

/// Reads what a browser did. Requests to the hosts of `also` are kept though the shop sent nobody there.
///
/// # Errors
/// Where the file is no HAR, is too long, or has nothing of a shop in it.
pub fn read(file: &Path, also: &[String]) -> Result<Recording, BadHar> {
    draft::of(&har::read(file)?, also)
}

impl Recording {
    /// A scenario that can be run, whose log-ins are in `users`.
    pub fn scenario(&self, name: &str, users: &str) -> String {
        text::scenario(self, name, users)
    }

    /// The log-in as a CSV file; `None` if there was none.
    pub fn users(&self) -> Option<String> {
        text::users(&self.journey)
    }
}
