//! Where reading is in the file, and everything that was wrong so far.
//!
//! Values are found again by a path of keys and indices (`room.0.poll.min`), so that a check which
//! spans several keys can report at the right place after the values became plain data.

use std::collections::BTreeMap;
use std::ops::Range;

use super::problem::{Diagnostic, Problem, position};

/// A value of the file: where it begins, and how an item of a list is shown.
#[derive(Debug)]
struct Place {
    offset: usize,
    label: Option<String>,
}

/// Whether the secrets that a file names must be on this machine.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Secrets {
    /// A gateway starts with it.
    #[default]
    Here,
    /// It is only looked at.
    Elsewhere,
}

/// Collects problems while a file is read.
#[derive(Debug, Default)]
pub(super) struct Reader<'t> {
    file: String,
    text: &'t str,
    path: String,
    places: BTreeMap<String, Place>,
    problems: Vec<(usize, String, Problem)>,
    warnings: Vec<(usize, Problem)>,
    /// The file has mistakes of syntax: what is absent may only not have been understood.
    pub(super) broken: bool,
    /// From here on keys may stand in another table than was meant: the head of theirs is broken.
    lost: Option<usize>,
    secrets: Secrets,
}

impl<'t> Reader<'t> {
    pub(super) fn new(file: String, text: &'t str, secrets: Secrets) -> Self {
        Self { file, text, secrets, ..Self::default() }
    }

    /// Reads what is at `step` below the present path, shown as `label`.
    pub(super) fn within<T>(
        &mut self,
        step: &str,
        offset: Option<usize>,
        label: Option<String>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = self.path.len();
        self.path = join(&self.path, step);
        if let Some(offset) = offset {
            self.places.insert(self.path.clone(), Place { offset, label });
        }
        let read = read(self);
        self.path.truncate(before);
        read
    }

    /// Whether the present path is a key of the file itself, not of one of its tables.
    pub(super) fn at_top(&self) -> bool {
        !self.path.contains('.')
    }

    /// Something is wrong at the present path.
    pub(super) fn wrong(&mut self, at: Option<Range<usize>>, wrong: Diagnostic) {
        let path = self.path.clone();
        let offset = at.map_or_else(|| self.offset(&path), |span| span.start);
        self.add(offset, path, wrong);
    }

    /// Something is wrong with the value at this path.
    pub(super) fn report(&mut self, path: &str, what: impl Into<String>, fix: impl Into<String>) {
        self.add(self.offset(path), path.to_owned(), Diagnostic::new(what, fix));
    }

    /// The value at this path can be used, but an operator should know something about it.
    pub(super) fn warn(&mut self, path: &str, what: impl Into<String>, fix: impl Into<String>) {
        let offset = self.offset(path);
        let problem = self.problem(offset, path, Diagnostic::new(what, fix));
        self.warnings.push((offset, problem));
    }

    /// A secret is not here: a gateway needs it, whoever looks at the file does not.
    pub(super) fn lacks_secret(&mut self, path: &str, what: impl Into<String>, fix: impl Into<String>) {
        match self.secrets {
            Secrets::Here => self.report(path, what, fix),
            Secrets::Elsewhere => self.warn(path, what, fix),
        }
    }

    /// The text is not TOML here. One mistake often trips the parser twice: the first of a line counts.
    pub(super) fn syntax(&mut self, error: &toml::de::Error) {
        self.broken = true;
        let offset = error.span().map_or(self.text.len(), |span| span.start);
        let line = self.text.get(..offset).and_then(|before| before.lines().next_back());
        if line.is_some_and(|line| line.trim_start().starts_with('[')) {
            self.lost.get_or_insert(offset);
        }
        if !self.complained_on_line_of(offset) {
            self.push(offset, String::new(), Diagnostic::new(error.message(), ""));
        }
    }

    /// Whether nothing is wrong at or below this path so far.
    pub(super) fn sound(&self, path: &str) -> bool {
        let below = join(path, "");
        !self.problems.iter().any(|(_, p, _)| p == path || p.starts_with(&below))
    }

    /// Whether something is written at this path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// The line of the value at this path.
    pub(super) fn line(&self, path: &str) -> usize {
        position(self.text.as_bytes(), self.offset(path)).0
    }

    /// The warnings, or else everything that was wrong; in order of place.
    pub(super) fn finish(mut self) -> Result<Vec<Problem>, Vec<Problem>> {
        if self.problems.is_empty() {
            self.warnings.sort_by_key(|(offset, _)| *offset);
            return Ok(self.warnings.into_iter().map(|(_, warning)| warning).collect());
        }
        self.problems.sort_by_key(|(offset, ..)| *offset);
        Err(self.problems.into_iter().map(|(.., problem)| problem).collect())
    }

    /// Adds a problem, unless a mistake of syntax may be its cause.
    fn add(&mut self, offset: usize, path: String, wrong: Diagnostic) {
        let misled = self.lost.is_some_and(|lost| offset > lost) || self.broken && self.complained_on_line_of(offset);
        if !misled {
            self.push(offset, path, wrong);
        }
    }

    fn push(&mut self, offset: usize, path: String, wrong: Diagnostic) {
        let problem = self.problem(offset, &path, wrong);
        self.problems.push((offset, path, problem));
    }

    fn problem(&self, offset: usize, path: &str, wrong: Diagnostic) -> Problem {
        let (line, column) = position(self.text.as_bytes(), offset);
        let Diagnostic { what, fix } = wrong;
        Problem { file: self.file.clone(), line, column, key: self.shown(path), what, fix }
    }

    fn complained_on_line_of(&self, offset: usize) -> bool {
        let (line, _) = position(self.text.as_bytes(), offset);
        self.problems.iter().any(|(.., problem)| problem.line == line)
    }

    /// Where a path begins; what is not in the file is looked for where its table begins.
    fn offset(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return place.offset;
            }
            let Some((parent, _)) = path.rsplit_once('.') else { return 0 };
            path = parent;
        }
    }

    /// `room.0.poll.min` as people read it: `room "launch": poll.min`.
    fn shown(&self, path: &str) -> String {
        let (mut shown, mut prefix, mut item) = (String::new(), String::new(), false);
        for step in path.split('.').filter(|step| !step.is_empty()) {
            prefix = join(&prefix, step);
            let label = self.places.get(&prefix).and_then(|place| place.label.as_ref());
            match label {
                Some(label) => shown.extend([" ", label]),
                None if shown.is_empty() => shown.push_str(step),
                None => shown.extend([if item { ": " } else { "." }, step]),
            }
            item = label.is_some();
        }
        shown
    }
}

/// `path.step`; a step of the file as a whole has no dot.
pub(super) fn join(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}
