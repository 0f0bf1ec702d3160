//! How a room's pages look like the shop's, without a template.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml_diagnostics::Diagnostic;

use super::localized::{LocalizedText, each_in};
use super::value::{AsText as _, FileName};
use crate::ui::Colour;

/// The shop's brand on the pages of a room.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BrandConfig {
    /// The shop's name, up to 60 characters.
    #[schemars(extend("format" = "short"))]
    pub name: Option<String>,
    /// File of its logo: SVG, PNG, JPEG, GIF or WebP, up to 64 KiB.
    #[serde(with = "FileName")]
    pub logo: Option<PathBuf>,
    /// Its colour, such as "#0b6e82". Text in it is made darker or lighter where it could not be read.
    #[schemars(extend("format" = "color"))]
    pub color: Option<String>,
    /// A line of text, up to 200 characters.
    #[schemars(transform = each_in("line"))]
    pub text: LocalizedText,
}

/// What the shop says of what it sells, to those who wait.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FactsConfig {
    /// Prices, such as "From 89 to 149 euros": up to 200 characters.
    #[schemars(transform = each_in("line"))]
    pub price: LocalizedText,
    /// What is left, such as "The cheapest are gone": up to 200 characters.
    #[schemars(transform = each_in("line"))]
    pub stock: LocalizedText,
}

pub(super) fn is_color(color: &str) -> Result<(), Diagnostic> {
    let wrong =
        || Diagnostic::new(format!("{color:?} is not a colour"), "write \"#\" and six digits, such as \"#0b6e82\"");
    Colour::parse(color).map(drop).ok_or_else(wrong)
}

pub(super) fn is_short(text: &str, most: usize) -> Result<(), Diagnostic> {
    let good = (1..=most).contains(&text.chars().count()) && !text.contains(char::is_control);
    let wrong = || {
        Diagnostic::new(
            "is empty, too long or has control characters",
            format!("write 1 to {most} characters on one line"),
        )
    };
    good.then_some(()).ok_or_else(wrong)
}
