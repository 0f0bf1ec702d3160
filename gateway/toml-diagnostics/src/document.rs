//! A file while it is read: where each value stands, and everything that is wrong so far.
//!
//! Values are found again by a path of keys and indices (`room.0.poll.min`), so that a rule which spans several keys can
//! report at the right place after the values became plain data.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Position, position};

/// A file while it is read.
#[derive(Debug)]
pub struct Document<'t> {
    name: String,
    text: &'t str,
    places: BTreeMap<String, Place>,
    findings: Vec<Finding>,
    broken: bool,
    /// From here on keys may stand in another table than was meant: the head of theirs is broken.
    lost: Option<usize>,
}

/// Where a value begins, and how an item of a list is shown.
#[derive(Debug)]
struct Place {
    offset: usize,
    label: Option<String>,
}

#[derive(Debug)]
struct Finding {
    offset: usize,
    path: String,
    severity: Severity,
    diagnostic: Diagnostic,
}

/// How much a finding counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The file cannot be used.
    Error,
    /// It cannot be used on this machine.
    Local,
    /// It can be used, but perhaps not as it was meant.
    Warning,
}

impl<'t> Document<'t> {
    pub(crate) fn new(name: String, text: &'t str) -> Self {
        Self { name, text, places: BTreeMap::new(), findings: Vec::new(), broken: false, lost: None }
    }

    /// Something is wrong with the value at this path.
    pub fn report(&mut self, path: &str, what: impl Into<String>, fix: impl Into<String>) {
        self.add(self.offset(path), path, Severity::Error, Diagnostic::new(what, fix));
    }

    /// The same, unless something is known to be wrong there.
    pub fn report_if_sound(&mut self, path: &str, what: impl Into<String>, fix: impl Into<String>) {
        if self.is_sound(path) {
            self.report(path, what, fix);
        }
    }

    /// Something is missing that the value at this path names on this machine. [`Document::review`] takes it for a warning.
    pub fn report_local(&mut self, path: &str, what: impl Into<String>, fix: impl Into<String>) {
        self.add(self.offset(path), path, Severity::Local, Diagnostic::new(what, fix));
    }

    /// Something is wrong with another file, which the value at this path names.
    pub fn report_in(
        &mut self,
        path: &str,
        file: String,
        line: usize,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let position = Some(Position { line, column: 1 });
        let diagnostic = Diagnostic { file, position, ..Diagnostic::new(what, fix) };
        let (offset, path) = (self.offset(path), path.to_owned());
        self.findings.push(Finding { offset, path, severity: Severity::Error, diagnostic });
    }

    /// The value at this path can be used, but something about it should be known.
    pub fn warn(&mut self, path: &str, what: impl Into<String>, fix: impl Into<String>) {
        let offset = self.offset(path);
        self.push(offset, path, Severity::Warning, Diagnostic::new(what, fix));
    }

    /// Whether nothing is wrong at or below this path so far.
    pub fn is_sound(&self, path: &str) -> bool {
        let wrong = |finding: &Finding| finding.severity != Severity::Warning && is_within(&finding.path, path);
        !self.findings.iter().any(wrong)
    }

    /// Whether all items of the list at this path could be read.
    pub fn is_complete(&self, list: &str) -> bool {
        !self.findings.iter().any(|finding| finding.path == list)
    }

    /// Whether the text has mistakes of syntax: what is absent may only not have been understood.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether something is written at this path.
    pub fn has(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// The line of the value at this path.
    pub fn line(&self, path: &str) -> usize {
        position(self.text.as_bytes(), self.offset(path)).line
    }

    /// The warnings, or else everything that is wrong; in order of place.
    pub fn finish(self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        self.judge(|severity| severity != Severity::Warning)
    }

    /// The same where the file is only looked at: what is wrong on this machine alone is a warning.
    pub fn review(self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        self.judge(|severity| severity == Severity::Error)
    }

    fn judge(mut self, is_wrong: impl Fn(Severity) -> bool) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        self.findings.sort_by_key(|finding| finding.offset);
        let (wrong, known): (Vec<_>, Vec<_>) =
            self.findings.into_iter().partition(|finding| is_wrong(finding.severity));
        let told = |findings: Vec<Finding>| findings.into_iter().map(|finding| finding.diagnostic).collect();
        if wrong.is_empty() { Ok(told(known)) } else { Err(told(wrong)) }
    }

    /// The text is not TOML here, or not of its type. One mistake often trips the parser twice: the first of a line counts.
    pub(crate) fn report_syntax(&mut self, error: &toml::de::Error) {
        self.broken = true;
        let offset = error.span().map_or(self.text.len(), |span| span.start);
        let line = self.text.get(..offset).and_then(|before| before.lines().next_back());
        if line.is_some_and(|line| line.trim_start().starts_with('[')) {
            self.lost.get_or_insert(offset);
        }
        if !self.has_reported_on_line_of(offset) {
            self.push(offset, "", Severity::Error, Diagnostic::new(error.message(), ""));
        }
    }

    /// A value stands there; an item of a list is shown by its label.
    pub(crate) fn place(&mut self, path: &str, offset: usize, label: Option<String>) {
        self.places.insert(path.to_owned(), Place { offset, label });
    }

    /// How much was found so far.
    pub(crate) fn findings(&self) -> usize {
        self.findings.len()
    }

    /// An item of a list could not be read, so the next one takes its path: what was found since is of the list.
    pub(crate) fn forget_item(&mut self, item: &str, since: usize) {
        let list = item.rsplit_once('.').map_or("", |(list, _)| list);
        self.findings[since..].iter_mut().for_each(|finding| list.clone_into(&mut finding.path));
        let from_here_on = self.places.range(item.to_owned()..).map(|(path, _)| path);
        let within: Vec<String> = from_here_on.take_while(|path| path.starts_with(item)).cloned().collect();
        within.iter().filter(|path| is_within(path, item)).for_each(|path| drop(self.places.remove(path)));
    }

    /// Adds what was found, unless a mistake of syntax may be its cause.
    pub(crate) fn add(&mut self, offset: usize, path: &str, severity: Severity, diagnostic: Diagnostic) {
        let misled = self.lost.is_some_and(|lost| offset > lost) || self.broken && self.has_reported_on_line_of(offset);
        if !misled {
            self.push(offset, path, severity, diagnostic);
        }
    }

    fn push(&mut self, offset: usize, path: &str, severity: Severity, found: Diagnostic) {
        let position = Some(position(self.text.as_bytes(), offset));
        let diagnostic = Diagnostic { file: self.name.clone(), position, key: self.shown(path), ..found };
        self.findings.push(Finding { offset, path: path.to_owned(), severity, diagnostic });
    }

    fn has_reported_on_line_of(&self, offset: usize) -> bool {
        let here = position(self.text.as_bytes(), offset).line;
        let line = |finding: &Finding| finding.diagnostic.position.map(|position| position.line);
        self.findings.iter().any(|finding| finding.severity != Severity::Warning && line(finding) == Some(here))
    }

    /// Where a path begins; what is not in the file is looked for where its table begins.
    fn offset(&self, path: &str) -> usize {
        let parents = path.match_indices('.').map(|(at, _)| &path[..at]);
        let nearest = parents.chain([path]).filter_map(|path| self.places.get(path)).next_back();
        nearest.map_or(0, |place| place.offset)
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
pub fn join(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}

/// Whether a path is this one or below it.
fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
