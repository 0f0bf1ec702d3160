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

mod chain;
mod draft;
mod har;
mod text;
mod values;

use std::path::Path;

pub use draft::Recording;
pub use har::{BadHar, LONGEST_HAR};

/// Reads what a browser did. Requests to the hosts of `also` are kept though the shop sent nobody there.
///
/// # Errors
/// Where the file is no HAR, is too long, or has nothing of a shop in it.
pub fn read(file: &Path, also: &[String]) -> Result<Recording, BadHar> {
    draft::of(&har::read(file)?, also)
}
