//! How a scenario is read from a file: as a whole or not at all, with everything that is wrong with it.
//!
//! What single keys may hold is told by the types ([`toml_diagnostics`]); then come the rules that span several keys (`rules`,
//! `journey_rules`). [`shipped`] are the launches that come with this program.

mod journey_rules;
mod replay;
mod rules;
pub mod shipped;

use std::path::Path;
use std::sync::LazyLock;
use std::{fmt, io};

use serde_json::Value as Json;
use toml::de::DeValue;
use toml_diagnostics::{Diagnostic, Format, found, schema_of};

use crate::scenario::Scenario;
use crate::span::Span;
pub use rules::MOST_ARRIVALS;

/// How files that a scenario names are read.
type Files<'f> = &'f dyn Fn(&Path) -> io::Result<String>;

/// Everything that is wrong, in order of place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Of a file as a whole.
    fn of_file(file: &str, what: String, fix: String) -> Self {
        Self(vec![Diagnostic { file: file.to_owned(), ..Diagnostic::new(what, fix) }])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Scenario {
    /// Reads what is written, and everything that is wrong with it. Files that it names are looked for in `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Diagnostics> {
        read("scenario", text, &|file| std::fs::read_to_string(folder.join(file)))
    }

    /// Reads a file, and everything that is wrong with it. Files that it names are relative to it.
    pub fn load(path: &Path) -> Result<Self, Diagnostics> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Diagnostics::of_file(&name, format!("cannot be read: {error}"), String::new()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        read(&name, &text, &|file| std::fs::read_to_string(folder.join(file)))
    }

    /// One that ships with this program, by its name, or else a file.
    pub fn find(name: &str) -> Result<Self, Diagnostics> {
        match shipped::text(name) {
            Some(text) => read(&format!("{name}.toml"), text, &shipped::file),
            None if name.contains(['.', '/']) || Path::new(name).exists() => Self::load(Path::new(name)),
            None => Err(shipped::unknown(name)),
        }
    }
}

/// Reads a scenario. `file` is how it is named in diagnostics.
fn read(file: &str, text: &str, files: Files<'_>) -> Result<Scenario, Diagnostics> {
    static SCHEMA: LazyLock<Json> = LazyLock::new(schema_of::<Scenario>);
    let formats = [(Span::FORMAT, Format::Value(span))];
    let (scenario, mut document) = toml_diagnostics::read::<Scenario>(text, file, &SCHEMA, &formats);
    let whole = scenario.filter(|_| !document.is_broken());
    let scenario = whole.map(|scenario| rules::check(scenario, &mut document, files));
    document.finish().map_err(Diagnostics)?;
    // What could not be read was told of.
    scenario.ok_or_else(|| Diagnostics::of_file(file, "is no scenario".to_owned(), String::new()))
}

/// A length of time in milliseconds.
fn span(value: &DeValue<'_>) -> Result<u64, Diagnostic> {
    let wrong = |fix: String| Diagnostic::new(format!("{} is no length of time", found(value)), fix);
    let unit = || wrong("write it with its unit and in quotes: \"250ms\", \"2s\", \"1m\", \"2h\"".to_owned());
    let span = value.as_str().ok_or_else(unit)?.parse::<Span>();
    span.map(|span| span.0.as_millis() as u64).map_err(|why| wrong(why.to_string()))
}
