//! The configuration file: refused with a reason that can be found in it, or accepted as often as it is read.

use std::path::Path;

use gateway::config::{Config, Problem};

/// The bytes as a configuration file.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match read(text) {
        Ok(config) => {
            for warning in &config.warnings {
                a_problem_is_told(warning, text);
            }
            assert_eq!(read(text).ok().as_ref(), Some(&config), "read again");
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a word");
            for problem in &problems {
                a_problem_is_told(problem, text);
            }
        }
    }
}

fn read(text: &str) -> Result<Config, Vec<Problem>> {
    Config::read(text, Path::new("no-such-folder/weir.toml"))
}

fn a_problem_is_told(problem: &Problem, text: &str) {
    assert!(!problem.what.is_empty(), "{problem:?}");
    let lines = text.split('\n').count();
    assert!((1..=lines).contains(&problem.line), "{problem} in a text of {lines} lines");
    let line = text.split('\n').nth(problem.line - 1).unwrap_or_default();
    assert!((1..=line.chars().count() + 1).contains(&problem.column), "{problem} in {line:?}");
    assert!(problem.to_string().starts_with(&format!("{}:{}:", problem.file, problem.line)));
}
