//! `loadtest record`: a journey from a browser's recording, as its developer tools export it (HAR).
//!
//! ```text
//! HAR --> pages and calls of scripts --> redirects joined --> steps --> values found where they came from --> a scenario
//! ```
//!
//! What a browser loads by itself is left out (pictures, styles, scripts), and so are requests to other hosts, unless the shop
//! sent the browser there. A request's value that an earlier answer had in a hidden field, in JSON, in a `meta` or in a cookie
//! is taken from there again; a log-in becomes a row of a CSV file.
//!
//! Out of scope: values that a script of the page made up. They are sent as recorded.

mod chain;
mod draft;
mod har;
mod text;
mod values;

use std::path::Path;

pub use draft::Recording;
pub use har::{BadHar, LONGEST_HAR};

/// Reads a browser's recording. Requests to the hosts of `also` are kept even if the shop did not send the browser there.
///
/// # Errors
/// Where the file is no HAR, is too long, or has nothing of a shop in it.
pub fn read(file: &Path, also: &[String]) -> Result<Recording, BadHar> {
    draft::of(&har::read(file)?, also)
}
