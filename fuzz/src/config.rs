//! The configuration file: refused with a reason that can be found in it, or accepted as often as it is read.

use std::path::Path;

use gateway::settings::config::{Config, Diagnostic};

/// The bytes as a configuration file.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match read(text) {
        Ok(config) => {
            for warning in &config.warnings {
                is_told(warning, text);
            }
            assert_eq!(read(text).ok().as_ref(), Some(&config), "read again");
        }
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty(), "refused without a word");
            for diagnostic in &diagnostics {
                is_told(diagnostic, text);
            }
        }
    }
}

fn read(text: &str) -> Result<Config, Vec<Diagnostic>> {
    Config::read(text, Path::new("no-such-folder/weir.toml"))
}

fn is_told(diagnostic: &Diagnostic, text: &str) {
    assert!(!diagnostic.what.is_empty(), "{diagnostic:?}");
    let Some(position) = diagnostic.position else { panic!("{diagnostic} has no place") };
    let lines = text.split('\n').count();
    assert!((1..=lines).contains(&position.line), "{diagnostic} in a text of {lines} lines");
    let line = text.split('\n').nth(position.line - 1).unwrap_or_default();
    assert!((1..=line.chars().count() + 1).contains(&position.column), "{diagnostic} in {line:?}");
    assert!(diagnostic.to_string().starts_with(&format!("{}:{}:", diagnostic.file, position.line)));
}
