//! How a room's pages look like the shop's, without a template.

use std::path::PathBuf;

use super::problem::Diagnostic;
use super::table::section;
use crate::ui::Colour;

section! {
    /// The shop's brand on the pages of a room.
    BrandConfig {
        /// The shop's name, up to 60 characters.
        name: Option<String> = must(|name: &String| is_short(name, 60)).optional(),
        /// File of its logo: SVG, PNG, JPEG, GIF or WebP, up to 64 KiB.
        logo: Option<PathBuf> = optional(),
        /// Its colour, such as "#0b6e82". Text in it is made darker or lighter where it could not be read.
        color: Option<String> = must(is_color).optional(),
        /// A line of text.
        text: BrandTextConfig = or_blank(),
    }
}

section! {
    /// A line of text in each language of the page, up to 200 characters.
    BrandTextConfig {
        /// In Korean.
        korean "ko-KR": Option<String> = must(|line: &String| is_short(line, 200)).optional(),
        /// In English.
        english "en-US": Option<String> = must(|line: &String| is_short(line, 200)).optional(),
    }
}

fn is_color(color: &String) -> Result<(), Diagnostic> {
    let wrong =
        || Diagnostic::new(format!("{color:?} is not a colour"), "write \"#\" and six digits, such as \"#0b6e82\"");
    Colour::parse(color).map(drop).ok_or_else(wrong)
}

fn is_short(text: &str, most: usize) -> Result<(), Diagnostic> {
    let good = (1..=most).contains(&text.chars().count()) && !text.contains(char::is_control);
    let wrong = || {
        Diagnostic::new(
            "is empty, too long or has control characters",
            format!("write 1 to {most} characters on one line"),
        )
    };
    good.then_some(()).ok_or_else(wrong)
}
