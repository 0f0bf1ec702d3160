//! The content of a document: its blocks, links, tables and words in code.

use std::path::{Path, PathBuf};

pub(crate) struct Document {
    /// Below the root of the repository.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The text between two fences.
pub(crate) struct Block {
    pub(crate) document: String,
    pub(crate) heading: String,
    pub(crate) language: String,
    pub(crate) text: String,
}

/// A line, the heading that it stands below, and the language of the block that it is in.
type Line<'a> = (&'a str, &'a str, Option<&'a str>);

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

pub(crate) fn document(path: &str) -> Document {
    let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    Document { path: path.to_owned(), text }
}

/// Every document of the repository.
pub(crate) fn documents() -> Vec<Document> {
    let mut found = Vec::new();
    documents_below(&root(), &mut found);
    assert!(found.len() > 20);
    found
}

fn documents_below(folder: &Path, found: &mut Vec<Document>) {
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if file.is_dir() && !name.starts_with('.') && !name.starts_with("target") {
            documents_below(&file, found);
        } else if file.extension().is_some_and(|kind| kind == "md") {
            found.push(document(&file.strip_prefix(root()).unwrap().to_string_lossy()));
        }
    }
}

fn heading_of(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    (text.len() < line.len()).then(|| text.trim())
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|sign| sign.is_alphanumeric() || ['-', '_'].contains(sign)).collect()
}

impl Document {
    fn lines(&self) -> Vec<Line<'_>> {
        let (mut heading, mut fence, mut lines) = ("", None, Vec::new());
        for line in self.text.lines() {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                fence = if fence.is_none() { Some(language) } else { None };
                lines.push(("", heading, None));
                continue;
            }
            if fence.is_none() {
                heading = heading_of(line).unwrap_or(heading);
            }
            lines.push((line, heading, fence));
        }
        assert!(fence.is_none(), "{}: a block without an end", self.path);
        lines
    }

    pub(crate) fn blocks(&self) -> Vec<Block> {
        let lines = self.lines();
        let parts = lines.chunk_by(|before, after| before.2.is_some() == after.2.is_some());
        let fenced = parts.filter_map(|part| Some((part, part[0].2?)));
        let block = |(part, language): (&[Line<'_>], &str)| Block {
            document: self.path.clone(),
            heading: part[0].1.to_owned(),
            language: language.to_owned(),
            text: part.iter().flat_map(|(line, ..)| [*line, "\n"]).collect(),
        };
        fenced.map(block).collect()
    }

    /// Paragraphs outside of blocks.
    fn paragraphs(&self) -> Vec<String> {
        let prose = self.lines().into_iter().map(|(line, _, fence)| if fence.is_none() { line } else { "" });
        prose.collect::<Vec<_>>().split(|line| line.trim().is_empty()).map(|lines| lines.join("\n")).collect()
    }

    /// Text in backticks outside of blocks.
    pub(crate) fn spans(&self) -> Vec<String> {
        let paragraphs = self.paragraphs();
        let spans = paragraphs.iter().flat_map(|text| text.split('`').skip(1).step_by(2));
        spans.map(|span| span.replace('\n', " ")).collect()
    }

    /// Where links and pictures lead within the repository.
    pub(crate) fn links(&self) -> Vec<String> {
        let prose = self.paragraphs().join("\n");
        let links = prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        let pictures = prose.split("src=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0));
        let all = links.chain(pictures).filter(|to| !to.contains("://") && !to.starts_with("mailto:"));
        all.map(str::to_owned).collect()
    }

    pub(crate) fn broken_links(&self) -> Vec<String> {
        let place = root().join(&self.path);
        let leads = |to: &String| {
            let (file, heading) = to.split_once('#').unwrap_or((to, ""));
            let file = if file.is_empty() { place.clone() } else { place.with_file_name(file) };
            if heading.is_empty() {
                return file.exists();
            }
            let Ok(text) = std::fs::read_to_string(file) else { return false };
            let there = Self { path: to.clone(), text };
            there.lines().iter().any(|(line, _, fence)| {
                fence.is_none() && heading_of(line).map(anchor).is_some_and(|name| name == heading)
            })
        };
        self.links().into_iter().filter(|to| !leads(to)).map(|to| format!("{}: {to}", self.path)).collect()
    }

    /// The rows of the tables below a heading, without their heads.
    pub(crate) fn table(&self, heading: &str) -> Vec<Vec<String>> {
        let lines = self.lines();
        let below =
            lines.iter().filter(|(_, above, fence)| *above == heading && fence.is_none()).map(|(line, ..)| *line);
        let below: Vec<&str> = below.collect();
        let tables = below.split(|line| !line.starts_with('|')).filter(|table| table.len() > 2);
        let rows = tables.flat_map(|table| &table[2..]).map(|row| {
            let cells = row.trim_matches('|').split(" | ");
            cells.map(|cell| cell.trim().to_owned()).collect()
        });
        let rows: Vec<Vec<String>> = rows.collect();
        assert!(!rows.is_empty(), "{} has no table below {heading:?}", self.path);
        rows
    }
}
