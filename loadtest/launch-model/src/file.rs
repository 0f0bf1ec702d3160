//! How a scenario is read from a file: as a whole or not at all, with everything that is wrong with it.
//!
//! The file is held against the JSON schema of the types first, so that every mistake is told with its place
//! (`schema_check`); then come the rules that span several keys (`rules`, `journey_rules`). [`shipped`] are the launches
//! that come with this program.

mod journey_rules;
mod problem;
mod replay;
mod rules;
mod schema_check;
pub mod shipped;

use std::path::Path;

use serde::Deserialize;
use toml::de::DeTable;

use crate::scenario::{Scenario, schema};
pub use problem::{Problem, Problems};
pub use rules::MOST_ARRIVALS;
use schema_check::{Files, Reader};

impl Scenario {
    /// Reads what is written, and everything that is wrong with it. Files that it names are looked for in `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Problems> {
        read("scenario", text, &|file| std::fs::read_to_string(folder.join(file)))
    }

    /// Reads a file, and everything that is wrong with it. Files that it names are relative to it.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| Problems::unreadable(&name, &error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        read(&name, &text, &|file| std::fs::read_to_string(folder.join(file)))
    }

    /// One that ships with this program, by its name, or else a file.
    pub fn find(name: &str) -> Result<Self, Problems> {
        match shipped::text(name) {
            Some(text) => read(&format!("{name}.toml"), text, &shipped::file),
            None if name.contains(['.', '/']) || Path::new(name).exists() => Self::load(Path::new(name)),
            None => Err(shipped::unknown(name)),
        }
    }
}

/// Reads a scenario. `file` is how it is named in problems.
fn read(file: &str, text: &str, files: Files<'_>) -> Result<Scenario, Problems> {
    let (mut root, mistakes) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(file, text, schema().to_value());
    if !mistakes.is_empty() {
        for mistake in &mistakes {
            reader.syntax(mistake);
        }
        return Err(reader.finish());
    }
    let readable = reader.walk(&mut root);
    let scenario = readable.then(|| Scenario::deserialize(toml::de::Deserializer::from(root)));
    let scenario = match scenario.transpose() {
        Ok(scenario) => scenario.map(|scenario| rules::check(scenario, &mut reader, files)),
        Err(error) => {
            reader.syntax(&error);
            None
        }
    };
    scenario.filter(|_| reader.found_nothing()).ok_or_else(|| reader.finish())
}
