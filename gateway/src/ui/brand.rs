//! The shop's brand on its pages: name, logo, colour and a line of text.
//!
//! A colour is never refused. As a background it is used as written, and the text on it is black or white, whichever is more
//! readable; as the colour of text it is moved towards black (on a light page) or white (on a dark one) until it is readable.
//!
//! The gateway itself serves a logo (`/.weir/logo/{room}`): the page loads nothing from elsewhere, even while the shop is gone.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;

use super::Language;

/// Bound on the bytes of a logo.
pub const LOGO_BYTES: usize = 64 << 10;
/// The least contrast of text on its background (WCAG 2, level AA).
const READABLE: f64 = 4.5;
/// A colour moves by this part of the way at a time.
const STEPS: u16 = 64;
/// The backgrounds of text in `page.css`: the darker of the light ones, and the lighter of the dark ones.
const LIGHT: Colour = Colour([0xee, 0xf3, 0xf5]);
const DARK: Colour = Colour([0x14, 0x21, 0x27]);
const BLACK: Colour = Colour([0; 3]);
const WHITE: Colour = Colour([0xff; 3]);

/// The brand of a room.
#[derive(Debug, Clone, Default)]
pub struct Brand {
    /// The shop's name; empty: none.
    pub name: String,
    /// Its logo.
    pub logo: Option<Logo>,
    /// Its colour.
    pub colour: Option<Colour>,
    /// A line of text by language; empty: none.
    pub lines: [String; Language::ALL.len()],
    /// What the shop says of prices and of the stock, as `lines`.
    pub facts: [[String; Language::ALL.len()]; 2],
}

impl Brand {
    /// Whether any of it is set.
    pub fn is_any(&self) -> bool {
        !self.name.is_empty()
            || self.logo.is_some()
            || self.colour.is_some()
            || self.lines.iter().chain(self.facts.iter().flatten()).any(|line| !line.is_empty())
    }

    /// The facts in a language, as far as there are any.
    pub(super) fn facts_in(&self, language: Language) -> Vec<&str> {
        self.facts.iter().map(|fact| fact[language as usize].as_str()).filter(|fact| !fact.is_empty()).collect()
    }

    /// The addition to the style of a page, in its form.
    pub(super) fn style(&self) -> String {
        let Some(ground) = self.colour else { return String::new() };
        let (light, dark) = (ground.readable_on(LIGHT, BLACK), ground.readable_on(DARK, WHITE));
        format!(
            "\n:root {{ --water: {light}; --brand: {ground}; --on-brand: {} }}\
             \n@media (prefers-color-scheme: dark) {{ :root {{ --water: {dark} }} }}",
            ground.text()
        )
    }
}

/// A colour, as red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour([u8; 3]);

impl Colour {
    /// The colour in a text such as `#0b6e82`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
        Some(Self([red, green, blue]))
    }

    /// Black or white, whichever is more readable on it.
    fn text(self) -> Self {
        if contrast(self, WHITE) >= contrast(self, BLACK) { WHITE } else { BLACK }
    }

    /// The nearest colour on the way to `end` that is readable on this background.
    fn readable_on(self, ground: Self, end: Self) -> Self {
        let mut on_the_way = (0..=STEPS).map(|step| self.towards(end, step));
        on_the_way.find(|&colour| contrast(colour, ground) >= READABLE).unwrap_or(end)
    }

    fn towards(self, end: Self, step: u16) -> Self {
        let mixed = |from: u8, to: u8| ((u16::from(from) * (STEPS - step) + u16::from(to) * step) / STEPS) as u8;
        let (Self([r, g, b]), Self([to_r, to_g, to_b])) = (self, end);
        Self([mixed(r, to_r), mixed(g, to_g), mixed(b, to_b)])
    }

    /// From 0, black, to 1, white: the relative luminance of WCAG 2.
    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let Self([red, green, blue]) = self;
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([red, green, blue]) = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// From 1, the same, to 21, black on white (WCAG 2).
fn contrast(a: Colour, b: Colour) -> f64 {
    let (a, b) = (a.luminance(), b.luminance());
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// A picture.
#[derive(Debug, Clone)]
pub struct Logo {
    /// The bytes to send.
    pub bytes: Bytes,
    /// `Content-Type`.
    pub kind: &'static str,
    /// Changes with the bytes: their address may be cached for ever.
    pub(super) version: String,
}

/// Why bytes are no logo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogoError {
    /// More than [`LOGO_BYTES`].
    #[error("has more than 64 KiB: every shopper loads it")]
    TooLarge,
    /// None of the known kinds.
    #[error("is no SVG, PNG, JPEG, GIF or WebP")]
    Kind,
}

impl Logo {
    /// The picture in these bytes.
    ///
    /// # Errors
    /// There are too many, or they are no picture that browsers show.
    pub fn of(bytes: impl Into<Bytes>) -> Result<Self, LogoError> {
        let bytes = bytes.into();
        if bytes.len() > LOGO_BYTES {
            return Err(LogoError::TooLarge);
        }
        let kind = kind_of(&bytes).ok_or(LogoError::Kind)?;
        let hash = digest(&SHA256, &bytes);
        let begin = hash.as_ref().first_chunk().map_or(0, |begin| u64::from_be_bytes(*begin));
        Ok(Self { bytes, kind, version: format!("{:012x}", begin >> 16) })
    }
}

fn kind_of(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        text => {
            let text = std::str::from_utf8(text).ok()?.trim_start_matches('\u{feff}').trim_start();
            (text.starts_with('<') && text.contains("<svg")).then_some("image/svg+xml")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_colour_text_in_it_and_on_it_can_be_read() {
        let steps = || (0..=255).step_by(15).map(|step: u16| step as u8);
        for (red, green, blue) in steps().flat_map(|r| steps().flat_map(move |g| steps().map(move |b| (r, g, b)))) {
            let colour = Colour([red, green, blue]);
            assert!(contrast(colour, colour.text()) >= READABLE, "text on {colour}");
            let (light, dark) = (colour.readable_on(LIGHT, BLACK), colour.readable_on(DARK, WHITE));
            assert!(contrast(light, LIGHT) >= READABLE && contrast(light, WHITE) >= READABLE, "{colour} as {light}");
            assert!(contrast(dark, DARK) >= READABLE, "{colour} as {dark}");
        }
        let readable = Colour([0x0b, 0x6e, 0x82]);
        assert_eq!(readable.readable_on(LIGHT, BLACK), readable, "one that can be read stays what it is");
    }

    #[test]
    fn a_colour_is_written_as_six_digits() {
        assert_eq!(Colour::parse("#0B6e82").map(|colour| colour.to_string()).as_deref(), Some("#0b6e82"));
        for wrong in ["0b6e82", "#0b6e8", "#0b6e821", "#0b6e8g", "#+b6e82", "red", "", "#", "#é6e82"] {
            assert_eq!(Colour::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_logo_is_a_picture_of_bounded_size() {
        let kind = |bytes: &'static [u8]| Logo::of(bytes).map(|logo| logo.kind);
        assert_eq!(kind(b"\x89PNG\r\n\x1a\n"), Ok("image/png"));
        assert_eq!(kind(b"<?xml version=\"1.0\"?>\n<svg/>"), Ok("image/svg+xml"));
        assert_eq!(kind(b"RIFF1234WEBPVP8 "), Ok("image/webp"));
        assert_eq!(kind(b"<html><script>"), Err(LogoError::Kind));
        assert_eq!(kind(b""), Err(LogoError::Kind));
        let large = [b"\x89PNG".as_slice(), &vec![0; LOGO_BYTES]].concat();
        assert_eq!(Logo::of(large).err(), Some(LogoError::TooLarge));
    }
}
