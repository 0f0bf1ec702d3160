//! TOML files read into plain serde types, with everything that is wrong with them told at once.
//!
//! serde stops at the first mistake, and a person who mends a file wants all of them. So a file is held against the JSON schema of
//! its type first: a walk along the schema finds unknown and missing keys, wrong kinds of values, numbers out of bounds
//! and texts that a [`Format`] refuses. What cannot be read is left out, and serde reads the rest. Adding a key is adding a
//! field: its type, documentation and attributes are what is checked, published and told.
//!
//! A struct that is `#[serde(default)]` can be read whatever is missing. It lists what must be written as `required` in its
//! schema all the same; a field of that list is blank when it could not be read.
//!
//! Rules that span several keys [`report`](Document::report) by path (`room.0.poll.min`) once the values are plain data.
//! Out of scope: those rules, files that a file names, and parts of JSON schema that types of this repository never produce.

mod diagnostic;
mod document;
mod schema;
mod suggestion;
mod walk;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use toml::de::DeTable;

pub use diagnostic::{Diagnostic, Position, position};
pub use document::{Document, join};
pub use schema::{between, default_is, each, schema_of};
pub use suggestion::{did_you_mean, nearest};
pub use walk::{Format, Formats, found};

/// A text with more mistakes of syntax is not TOML at all.
const SYNTAX_ERRORS: usize = 100;

/// Reads a text as a value of the type that `schema` describes ([`schema_of`]). `None`: too much is wrong. Where the value
/// is there, something may be wrong all the same: the document knows.
pub fn read<'t, T: DeserializeOwned>(
    text: &'t str,
    name: impl Into<String>,
    schema: &Json,
    formats: Formats<'_>,
) -> (Option<T>, Document<'t>) {
    let (mut root, errors) = DeTable::parse_recoverable(text);
    let mut document = Document::new(name.into(), text);
    errors.iter().take(SYNTAX_ERRORS).for_each(|error| document.report_syntax(error));
    let readable = walk::Walk { document: &mut document, formats }.table(root.get_mut(), schema, "");
    let value = readable.then(|| T::deserialize(toml::de::Deserializer::from(root))).transpose();
    let value = value.unwrap_or_else(|error| {
        document.report_syntax(&error);
        None
    });
    (value, document)
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;

    /// Can be read whatever is missing.
    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    #[schemars(extend("required" = ["name"]))]
    struct Shelf {
        /// What it is called.
        #[schemars(extend("format" = "word"))]
        name: String,
        #[schemars(range(min = 1, max = 9))]
        boards: u32,
        #[schemars(transform = between("1 cm", "90 cm"))]
        depth: Option<Length>,
        books: Vec<Book>,
    }

    impl Default for Shelf {
        fn default() -> Self {
            Self { name: String::new(), boards: 3, depth: None, books: Vec::new() }
        }
    }

    /// Cannot be read without its title.
    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Book {
        /// Its title.
        title: String,
        #[serde(default)]
        pages: u32,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[schemars(extend("format" = "length"))]
    struct Length(String);

    fn word(text: &str) -> Result<(), Diagnostic> {
        if text.contains(' ') { Err(Diagnostic::new("is no word", "write one")) } else { Ok(()) }
    }

    fn length(value: &toml::de::DeValue<'_>) -> Result<u64, Diagnostic> {
        let read = value.as_str().and_then(|text| text.strip_suffix(" cm")?.parse().ok());
        read.ok_or_else(|| Diagnostic::new(format!("{} is no length", found(value)), "write \"20 cm\""))
    }

    fn shelf(text: &str) -> (Shelf, Document<'_>) {
        let formats = [("word", Format::Text(word)), ("length", Format::Value(length))];
        let (shelf, document) = read(text, "shelf.toml", &schema_of::<Shelf>(), &formats);
        (shelf.unwrap(), document)
    }

    fn told(document: Document<'_>) -> Vec<String> {
        document.finish().unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_and_the_rest_is_read() {
        let text = "name = \"my shelf\"\nboard = 2\nboards = 12\ndepth = 20\n[[books]]\ntitle = 7\n[[books]]\ntitle = \"Emma\"\n";
        let (shelf, document) = shelf(text);
        let emma = Book { title: "Emma".to_owned(), pages: 0 };
        assert_eq!(shelf, Shelf { name: "my shelf".to_owned(), books: vec![emma], ..Shelf::default() });
        assert_eq!(
            told(document),
            [
                "shelf.toml:1:8: name: is no word; write one",
                "shelf.toml:2:1: unknown key \"board\"; did you mean \"boards\"?",
                "shelf.toml:3:10: boards: 12 is out of range; write a value from 1 to 9",
                "shelf.toml:4:9: depth: 20 is no length; write \"20 cm\"",
                "shelf.toml:6:9: books #1: title: 7 is not text; write it in quotes",
            ]
        );
    }

    #[test]
    fn what_must_be_written_is_asked_for_and_blank_until_then() {
        let (shelf, document) = shelf("depth = \"91 cm\"\n[[books]]\npages = 3\n");
        assert_eq!(shelf, Shelf { depth: Some(Length("91 cm".to_owned())), ..Shelf::default() });
        assert_eq!(
            told(document),
            [
                "shelf.toml:1:1: name: is missing; add it: What it is called.",
                "shelf.toml:1:9: depth: \"91 cm\" is out of range; write a value from \"1 cm\" to \"90 cm\"",
                "shelf.toml:2:1: books #1: title: is missing; add it: Its title.",
            ]
        );
    }

    #[test]
    fn a_path_leads_to_an_item_that_was_read_whatever_stood_before_it() {
        let text = "name = \"a\"\n[[books]]\npages = 1\n[[books]]\ntitle = \"Emma\"\n";
        let (_, mut document) = shelf(text);
        assert!(document.is_sound("books.0") && !document.has("books.0.pages"));
        assert!(!document.is_sound("books") && !document.is_complete("books") && document.is_complete(""));
        document.report_if_sound("books.0.title", "is lent out", "");
        document.report_if_sound("books.0", "is not told of twice", "");
        assert_eq!(told(document)[1..], ["shelf.toml:5:9: books #2: title: is lent out"]);
    }

    #[test]
    fn where_the_text_is_no_toml_nothing_is_said_that_may_follow_from_it() {
        let (_, document) = shelf("boards = = 3\n[[books\ntitel = 1\n");
        assert!(document.is_broken());
        let told = told(document);
        assert!(told[0].starts_with("shelf.toml:1:10: ") && told[1].starts_with("shelf.toml:2:"), "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");
    }

    #[test]
    fn what_is_missing_on_this_machine_alone_is_a_warning_in_a_review() {
        let document = || {
            let mut document = shelf("name = \"a\"\n").1;
            document.warn("boards", "is as by default", "");
            document.report_local("name", "is not here", "");
            document
        };
        assert_eq!(told(document()), ["shelf.toml:1:8: name: is not here"]);
        assert_eq!(document().review().unwrap().len(), 2);
    }
}
