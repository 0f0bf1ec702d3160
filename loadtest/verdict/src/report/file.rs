//! `report.json`: the report as it is kept.

use std::path::Path;

use schemars::Schema;
use serde::Deserialize;

use super::chart::NotDrawn;
use super::data::Report;
use super::html;

/// Version of the format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;

/// Why a file is no report.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    File(#[from] std::io::Error),
    /// It is a report of a format that this program does not know.
    #[error("is a report of format {0}; this program reads format {FORMAT}")]
    Format(u32),
    /// It is something else.
    #[error("is no report of a load test: {0}")]
    Content(#[from] serde_json::Error),
}

/// Why a report was not written.
#[derive(Debug, thiserror::Error)]
pub enum NotSaved {
    /// A file or its directory.
    #[error("cannot be written: {0}")]
    File(#[from] std::io::Error),
    /// The value itself.
    #[error("cannot be written as JSON: {0}")]
    Content(#[from] serde_json::Error),
    /// The page.
    #[error(transparent)]
    Page(#[from] NotDrawn),
}

/// The JSON schema of `report.json`.
pub fn schema() -> Schema {
    schemars::schema_for!(Report)
}

impl Report {
    /// As `report.json` holds it.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// Reads `report.json`. The version comes first: a later format may have none of today's fields.
    pub fn from_json(text: &str) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        match serde_json::from_str::<Version>(text)?.format {
            FORMAT => Ok(serde_json::from_str(text)?),
            other => Err(Unreadable::Format(other)),
        }
    }

    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, Unreadable> {
        Self::from_json(&std::fs::read_to_string(path)?)
    }

    /// Writes `report.json` and `report.html` into a directory, which is made if it is not there.
    pub fn save(&self, directory: &Path) -> Result<(), NotSaved> {
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("report.json"), self.to_json()?)?;
        Ok(std::fs::write(directory.join("report.html"), html::page(self)?)?)
    }
}
