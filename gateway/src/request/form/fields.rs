//! The fields of an urlencoded body, less those that no page should hold.
//!
//! A field is sensitive by name (password, card and file in the words of autocomplete and of shops), or by value, if that is the
//! number of a card. The names of dropped fields are shown, and such a form is not sent again by itself.

use crate::ui::HeldForm;

/// Bound on held fields. A body of 64 KiB could have twenty times as many.
const MOST_FIELDS: usize = 1_000;

/// Anywhere in a name, in lower case and without separators between words.
const PARTS: [&str; 20] = [
    "passw",
    "pwd",
    "passphrase",
    "passcode",
    "cvc",
    "cvv",
    "cardnum",
    "cardno",
    "cardexp",
    "cardhold",
    "cardcode",
    "creditcard",
    "securitycode",
    "secretcode",
    "pincode",
    "onetimecode",
    "ccnum",
    "ccexp",
    "비밀번호",
    "카드",
];

/// A word of a name.
const WORDS: [&str; 14] =
    ["pass", "pin", "card", "cc", "csc", "cvn", "ccv", "otp", "pan", "iban", "ssn", "file", "upload", "attachment"];

/// The fields of a body; `None` if it is not a browser's form, or has too many.
pub(super) fn parse(body: &[u8]) -> Option<HeldForm> {
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for pair in body.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        let (name, value) = (decoded(name)?, decoded(value.strip_prefix(b"=").unwrap_or_default())?);
        if name.is_empty() || kept.len() + left_out.len() >= MOST_FIELDS {
            return None;
        }
        if !is_secret(&name) && !is_card_number(&value) {
            kept.push((name, value));
        } else if !left_out.contains(&name) {
            left_out.push(name);
        }
    }
    Some(HeldForm { fields: Some(kept), left_out })
}

/// `None` for bytes that are no text, or cannot stand in a page as they are.
fn decoded(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => 16 * digit(rest.next()?)? + digit(rest.next()?)?,
            byte => byte,
        });
    }
    let text = String::from_utf8(bytes).ok()?;
    let printable = |c: char| !c.is_control() || matches!(c, '\r' | '\n' | '\t');
    text.chars().all(printable).then_some(text)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| digit.try_into().ok())
}

fn is_secret(name: &str) -> bool {
    let words = words(name);
    let joined = words.concat();
    PARTS.iter().any(|part| joined.contains(part)) || words.iter().any(|word| WORDS.contains(&word.as_str()))
}

/// `cardNumber`, `card-number` and `order[card][number]` have the same words.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && after_lower) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase();
    }
    words
}

/// 15 or 16 digits in the form of a card number, with a valid check digit.
fn is_card_number(value: &str) -> bool {
    let bare = || value.chars().filter(|c| !matches!(c, ' ' | '-'));
    let digits: Option<Vec<u32>> = bare().take(17).map(|c| c.to_digit(10)).collect();
    let Some(digits) = digits.filter(|d| (15..=16).contains(&d.len()) && (3..=6).contains(&d[0])) else { return false };
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 = digits.iter().rev().enumerate().map(|(i, &d)| if i % 2 == 1 { doubled(d) } else { d }).sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(body: &str) -> Vec<(String, String)> {
        parse(body.as_bytes()).and_then(|form| form.fields).unwrap_or_default()
    }

    #[test]
    fn fields_come_back_in_their_order_with_doubles_and_as_they_were_written() {
        let body = "a=1&b=%EA%B0%80+%26+%3Cb%3E%22&a=2&_charset_=UTF-8&empty=&bare&lines=x%0D%0Ay";
        let expected = [
            ("a", "1"),
            ("b", "가 & <b>\""),
            ("a", "2"),
            ("_charset_", "UTF-8"),
            ("empty", ""),
            ("bare", ""),
            ("lines", "x\r\ny"),
        ];
        assert_eq!(kept(body), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(parse(b"").map(|form| form.fields), Some(Some(Vec::new())));
    }

    #[test]
    fn what_is_no_form_of_a_browser_is_not_kept() {
        let many = "a=1&".repeat(MOST_FIELDS + 1);
        for body in ["a=%", "a=%2", "a=%zz", "a=%B0%A1", "a=%00", "a=%1B", "=x", "a=1&=", "a=%+1", &many] {
            assert_eq!(parse(body.as_bytes()), None, "{body:.20}");
        }
        assert_eq!(kept(&"a=1&".repeat(MOST_FIELDS)).len(), MOST_FIELDS);
    }

    #[test]
    fn passwords_cards_and_files_are_left_out_by_name_and_cards_by_value() {
        let secret = [
            "password",
            "new-password",
            "userPassword2",
            "PASSWD",
            "pwd",
            "login[pass]",
            "pin",
            "card",
            "card_number",
            "cardNumber",
            "CardNo",
            "cc-number",
            "cc-exp",
            "cc_csc",
            "cvc2",
            "cvv",
            "order[card][expiry]",
            "creditCardType",
            "one-time-code",
            "otp",
            "iban",
            "비밀번호",
            "카드번호",
            "file",
            "upload",
        ];
        for name in secret {
            let form = parse(format!("{name}=1&name=Kim").as_bytes()).unwrap_or_default();
            assert_eq!((form.left_out, form.fields.map(|f| f.len())), (vec![name.to_owned()], Some(1)), "{name}");
        }
        let plain = [
            "name",
            "address",
            "shipping",
            "discard",
            "cardigan",
            "giftcards",
            "company",
            "account",
            "passenger",
            "csrfmiddlewaretoken",
            "spinner",
            "profile",
            "cciv",
            "panel",
            "success",
        ];
        for name in plain {
            assert_eq!(kept(&format!("{name}=1")).len(), 1, "{name}");
        }
        assert_eq!(kept("n=4242+4242+4242+4242&o=4242424242424241&p=01012345678&q=1772334000000").len(), 3);
    }
}
