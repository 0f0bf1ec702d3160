//! The words of a shop in the headers of its answers.
//!
//! ```text
//! Weir-Command: revoke
//! Weir-Command: rate=480/m; ttl=30s
//! Weir-Stock: sku=shoe-270; left=37; held=2, sku=shoe-275; left=0
//! ```
//!
//! Both are lists, and an entry that cannot be read does not harm the others. Out of scope: which of them a room obeys, and who
//! sent them: only the shop's own servers may.

use crate::Millis;

/// A rate holds for this long if the shop says nothing else.
pub const TTL: Millis = 30_000;
/// The longest that a server's word holds. A shop that lives says it again; one that has died must not slow the line for ever.
pub const LONGEST_TTL: Millis = 600_000;
/// Bytes of a `sku`.
const LONGEST_SKU: usize = 64;
/// Items in a stock, at most.
const MOST_ITEMS: u64 = 1_000_000_000_000;

/// An entry of `Weir-Command`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Command {
    /// End the pass of this request.
    Revoke,
    /// Let in no more than this.
    Rate(RateWord),
}

/// The shop's own bound on the rate of a room.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateWord {
    /// New shoppers per second.
    pub rate: f64,
    /// How long the word holds; 0 takes it back.
    pub ttl: Millis,
}

/// An entry of `Weir-Stock`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockWord<'a> {
    /// The product.
    pub sku: &'a str,
    /// Items that can still be ordered.
    pub left: u64,
    /// Items in orders that are not paid yet.
    pub held: u64,
}

impl<'a> StockWord<'a> {
    /// The stock of this product.
    ///
    /// # Errors
    /// If the product has no proper name, or the numbers are beyond all reason.
    pub fn new(sku: &'a str, left: u64, held: u64) -> Result<Self, BadWord> {
        if !(1..=LONGEST_SKU).contains(&sku.len()) || !sku.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadWord::Sku);
        }
        if left.max(held) > MOST_ITEMS {
            return Err(BadWord::Items);
        }
        Ok(Self { sku, left, held })
    }
}

/// Why an entry is not obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadWord {
    /// No command of this name.
    #[error("no such command; there are \"revoke\" and \"rate=480/m; ttl=30s\"")]
    Unknown,
    /// The rate is no number with a unit, or negative.
    #[error("a rate is a number from 0 and its unit, as 480/m (or /s, /h)")]
    Rate,
    /// The time is no whole number with a unit.
    #[error("a ttl is a whole number and its unit, as 30s (or ms, m, h)")]
    Ttl,
    /// No product is named, or its name is too long.
    #[error("a stock names its product in 1 to 64 visible characters, as sku=shoe-270")]
    Sku,
    /// The number of items is missing, negative, or no whole number.
    #[error("a stock says a whole number of items from 0, as left=37 (and held=2)")]
    Items,
}

/// The entries of a line of `Weir-Command`.
pub fn commands(line: &[u8]) -> impl Iterator<Item = Result<Command, BadWord>> {
    entries(line).map(|entry| command(entry.ok_or(BadWord::Unknown)?))
}

/// The entries of a line of `Weir-Stock`.
pub fn stocks(line: &[u8]) -> impl Iterator<Item = Result<StockWord<'_>, BadWord>> {
    entries(line).map(|entry| stock(entry.ok_or(BadWord::Sku)?))
}

/// Entries between commas; `None`: one that is no text.
fn entries(line: &[u8]) -> impl Iterator<Item = Option<&str>> {
    let entries = line.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    entries.filter(|entry| !entry.is_empty()).map(|entry| str::from_utf8(entry).ok())
}

/// The parameters of an entry: names and values.
fn parameters(entry: &str) -> impl Iterator<Item = (&str, &str)> {
    entry.split(';').map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (name.trim(), value.trim().trim_matches('"'))
    })
}

fn command(entry: &str) -> Result<Command, BadWord> {
    let mut parts = parameters(entry);
    let (name, value) = parts.next().unwrap_or_default();
    if name.eq_ignore_ascii_case("revoke") && value.is_empty() {
        return Ok(Command::Revoke);
    }
    if !name.eq_ignore_ascii_case("rate") {
        return Err(BadWord::Unknown);
    }
    let ttl = parts.find(|(name, _)| name.eq_ignore_ascii_case("ttl"));
    let ttl = ttl.map_or(Ok(TTL), |(_, ttl)| duration(ttl))?;
    Ok(Command::Rate(RateWord { rate: rate(value)?, ttl: ttl.min(LONGEST_TTL) }))
}

fn stock(entry: &str) -> Result<StockWord<'_>, BadWord> {
    let (mut sku, mut left, mut held) = (None, None, Some(0));
    for (name, value) in parameters(entry) {
        let items = || value.parse().ok();
        match name {
            _ if name.eq_ignore_ascii_case("sku") => sku = Some(value),
            _ if name.eq_ignore_ascii_case("left") => left = items(),
            _ if name.eq_ignore_ascii_case("held") => held = items(),
            _ => {}
        }
    }
    let (left, held) = left.zip(held).ok_or(BadWord::Items)?;
    StockWord::new(sku.ok_or(BadWord::Sku)?, left, held)
}

/// New shoppers per second, from a text such as `480/m`.
///
/// # Errors
/// If it is no number with a unit, negative or not finite.
pub fn rate(text: &str) -> Result<f64, BadWord> {
    let (number, unit) = text.split_once('/').ok_or(BadWord::Rate)?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(BadWord::Rate),
    };
    let number: f64 = number.trim().parse().map_err(|_| BadWord::Rate)?;
    (number.is_finite() && number >= 0.0).then_some(number / seconds).ok_or(BadWord::Rate)
}

/// A duration, from a text such as `30s`.
///
/// # Errors
/// If it is no whole number with a unit.
pub fn duration(text: &str) -> Result<Millis, BadWord> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis: Millis = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(BadWord::Ttl),
    };
    number.parse().map(|number: Millis| number.saturating_mul(millis)).map_err(|_| BadWord::Ttl)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Vec<Result<Command, BadWord>> {
        commands(line.as_bytes()).collect()
    }

    fn word(rate: f64, ttl: Millis) -> Command {
        Command::Rate(RateWord { rate, ttl })
    }

    #[test]
    fn a_shop_says_a_rate_and_for_how_long() {
        assert_eq!(of("rate=480/m; ttl=30s"), [Ok(word(8.0, 30_000))]);
        assert_eq!(of("Rate = 2.5/s"), [Ok(word(2.5, TTL))]);
        assert_eq!(of("rate=3600/h;ttl=500ms"), [Ok(word(1.0, 500))]);
        assert_eq!(of("revoke, rate=\"60/m\"; ttl=\"2m\""), [Ok(Command::Revoke), Ok(word(1.0, 120_000))]);
        assert_eq!(of("rate=0/m; ttl=0s"), [Ok(word(0.0, 0))]);
        assert_eq!(of(""), []);
    }

    #[test]
    fn a_word_that_never_ends_ends() {
        assert_eq!(of("rate=1/s; ttl=99999999999999999h"), [Ok(word(1.0, LONGEST_TTL))]);
        assert_eq!(of("rate=1/s; ttl=99999999999999999999h"), [Err(BadWord::Ttl)], "no number of this size");
    }

    #[test]
    fn a_lie_about_the_rate_is_named() {
        for lie in ["NaN/m", "inf/s", "-1/m", "1e400/s", "480", "480/d", "/m", "", "1/m/s", "0x10/s"] {
            assert_eq!(of(&format!("rate={lie}")), [Err(BadWord::Rate)], "{lie}");
        }
        for lie in ["30", "s", "-1s", "1.5s", "30x", ""] {
            assert_eq!(of(&format!("rate=1/s; ttl={lie}")), [Err(BadWord::Ttl)], "{lie}");
        }
        assert_eq!(of("evict, revoke=1, revoke"), [Err(BadWord::Unknown), Err(BadWord::Unknown), Ok(Command::Revoke)]);
        assert_eq!(commands(b"\xff\xfe, revoke").collect::<Vec<_>>(), [Err(BadWord::Unknown), Ok(Command::Revoke)]);
        assert_eq!(of("rate=1e9/s"), [Ok(word(1e9, TTL))], "the ceiling bounds it");
    }

    #[test]
    fn revoke_is_one_command_of_a_list() {
        for (line, revokes) in
            [("revoke", true), ("Revoke", true), ("other, revoke", true), ("revoked", false), ("", false)]
        {
            assert_eq!(of(line).contains(&Ok(Command::Revoke)), revokes, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_server_sends_is_read_or_refused(line: Vec<u8>, text in "[a-z=/;, 0-9.\\-]{0,40}") {
            for line in [&line[..], text.as_bytes()] {
                for command in commands(line).flatten() {
                    if let Command::Rate(RateWord { rate, ttl }) = command {
                        proptest::prop_assert!(rate >= 0.0 && rate.is_finite() && ttl <= LONGEST_TTL);
                    }
                }
                for stock in stocks(line).flatten() {
                    proptest::prop_assert!(stock.left <= MOST_ITEMS && stock.held <= MOST_ITEMS);
                }
            }
        }
    }

    #[test]
    fn a_shop_says_its_stock_product_by_product() {
        let words: Vec<_> = stocks(b"sku=shoe-270; left=37; held=2, SKU=a;Left=0").collect();
        let expected = [("shoe-270", 37, 2), ("a", 0, 0)];
        assert_eq!(words, expected.map(|(sku, left, held)| Ok(StockWord { sku, left, held })));
        let long = "x".repeat(LONGEST_SKU + 1);
        for lie in ["left=1", "sku=; left=1", "sku=a b; left=1", "sku=\u{ac00}; left=1", &format!("sku={long}; left=1")]
        {
            assert_eq!(stocks(lie.as_bytes()).collect::<Vec<_>>(), [Err(BadWord::Sku)], "{lie}");
        }
        for lie in ["sku=a", "sku=a; left=-1", "sku=a; left=1.5", "sku=a; left=NaN", "sku=a; left=1; held=-2"] {
            assert_eq!(stocks(lie.as_bytes()).collect::<Vec<_>>(), [Err(BadWord::Items)], "{lie}");
        }
        assert_eq!(stocks(b"sku=a; left=99999999999999999").collect::<Vec<_>>(), [Err(BadWord::Items)]);
    }
}
