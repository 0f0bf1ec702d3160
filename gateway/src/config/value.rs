//! The values that a file can hold: numbers, texts, addresses, names out of a list, and lists.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use http::uri::Authority;
use ipnet::IpNet;
use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

use super::problem::Diagnostic;
use super::reader::Reader;
use super::table::{Value, any_of};
use crate::spelling::nearest;

/// A value that is not made of others.
pub(super) trait Scalar: Sized {
    /// Reads it, or says what is wrong with it.
    fn parse(value: &DeValue<'_>) -> Result<Self, Diagnostic>;
    /// JSON schema of what is accepted.
    fn schema() -> Json;
    /// As it would be written.
    fn show(&self) -> Json;
}

impl<T: Scalar> Value for T {
    fn from_toml(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self> {
        T::parse(value.get_ref()).map_err(|wrong| reader.wrong(Some(value.span()), wrong)).ok()
    }

    fn schema() -> Json {
        <T as Scalar>::schema()
    }

    fn show(&self) -> Json {
        Scalar::show(self)
    }
}

/// A list; a list of one that is no table may be written without its brackets.
impl<T: Value> Value for Vec<T> {
    fn from_toml(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Array(items) => Some(items_of(items, reader)),
            _ if !T::TABLE => T::from_toml(value, reader).map(|only| vec![only]),
            other => {
                let what = format!("{} where a list of tables is expected", found(other));
                reader.wrong(Some(value.span()), Diagnostic::new(what, "use double brackets: [[section]] or [{ .. }]"));
                None
            }
        }
    }

    fn schema() -> Json {
        let list = json!({ "type": "array", "items": T::schema() });
        if T::TABLE { list } else { json!({ "anyOf": [T::schema(), list] }) }
    }

    fn show(&self) -> Json {
        self.iter().map(Value::show).collect()
    }
}

fn items_of<T: Value>(items: &[Spanned<DeValue<'_>>], reader: &mut Reader<'_>) -> Vec<T> {
    let (mut read, at_top) = (Vec::new(), reader.at_top());
    for (index, item) in items.iter().enumerate() {
        let name = item.get_ref().get("name").and_then(|name| name.get_ref().as_str()).filter(|_| at_top);
        let label = name.map_or_else(|| format!("#{}", index + 1), |name| format!("{name:?}"));
        // The path counts what could be read: it must lead back from a read item to its place.
        let step = read.len().to_string();
        let place = Some(item.span().start);
        read.extend(reader.within(&step, place, Some(label), |reader| T::from_toml(item, reader)));
    }
    read
}

/// A name out of a list.
pub(super) trait Choice: Copy + PartialEq + 'static {
    /// The names and what they stand for.
    const NAMES: &'static [(&'static str, Self)];
    /// Names that are known but not built yet, and what will bring them.
    const LATER: &'static [(&'static str, &'static str)] = &[];
}

impl<T: Choice> Scalar for T {
    fn parse(value: &DeValue<'_>) -> Result<Self, Diagnostic> {
        let names: Vec<&str> = T::NAMES.iter().map(|(name, _)| *name).collect();
        let allowed = any_of(&names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>());
        let DeValue::String(text) = value else {
            return Err(Diagnostic::new(
                format!("{} is not one of the names that are known here", found(value)),
                allowed,
            ));
        };
        if let Some((_, choice)) = T::NAMES.iter().find(|(name, _)| name == text) {
            return Ok(*choice);
        }
        if let Some((_, when)) = T::LATER.iter().find(|(name, _)| name == text) {
            return Err(Diagnostic::new(format!("{text:?} is not built yet: it comes with {when}"), allowed));
        }
        let meant = nearest(text, &names).map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
        Err(Diagnostic::new(format!("{text:?} is not known{meant}"), allowed))
    }

    fn schema() -> Json {
        json!({ "enum": T::NAMES.iter().map(|(name, _)| *name).collect::<Vec<_>>() })
    }

    fn show(&self) -> Json {
        T::NAMES.iter().find(|(_, choice)| choice == self).map(|(name, _)| json!(name)).unwrap_or_default()
    }
}

impl Scalar for bool {
    fn parse(value: &DeValue<'_>) -> Result<Self, Diagnostic> {
        value
            .as_bool()
            .ok_or_else(|| Diagnostic::new(format!("{} is not a boolean", found(value)), "write true or false"))
    }

    fn schema() -> Json {
        json!({ "type": "boolean" })
    }

    fn show(&self) -> Json {
        json!(self)
    }
}

macro_rules! whole_numbers {
    ($($type:ty),+) => {$(
        impl Scalar for $type {
            fn parse(value: &DeValue<'_>) -> Result<Self, Diagnostic> {
                let wrong = |what: &str, fix: &str| Diagnostic::new(format!("{} {what}", found(value)), fix);
                let Some(number) = value.as_integer() else {
                    return Err(wrong("is not a whole number", "write digits without quotes, point or unit"));
                };
                let fits = <$type>::from_str_radix(number.as_str(), number.radix());
                fits.map_err(|_| wrong("is out of range", &format!("write a value from 0 to {}", <$type>::MAX)))
            }

            fn schema() -> Json {
                json!({ "type": "integer", "minimum": 0 })
            }

            fn show(&self) -> Json {
                json!(self)
            }
        }
    )+};
}
whole_numbers!(u16, u32, u64, usize);

impl Scalar for String {
    fn parse(value: &DeValue<'_>) -> Result<Self, Diagnostic> {
        text(value, "text").map(str::to_owned)
    }

    fn schema() -> Json {
        json!({ "type": "string" })
    }

    fn show(&self) -> Json {
        json!(self)
    }
}

impl Scalar for PathBuf {
    fn parse(value: &DeValue<'_>) -> Result<Self, Diagnostic> {
        match text(value, "the name of a file")? {
            "" => Err(Diagnostic::new("is empty", "write the name of a file, relative to this one")),
            name => Ok(Self::from(name)),
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }

    fn show(&self) -> Json {
        json!(self.to_string_lossy())
    }
}

impl Scalar for SocketAddr {
    fn parse(value: &DeValue<'_>) -> Result<Self, Diagnostic> {
        let text = text(value, "an address")?;
        let fix = "write an address and a port, such as \"0.0.0.0:8080\" or \"[::1]:8080\"";
        text.parse().map_err(|_| Diagnostic::new(format!("{text:?} is not an address with a port"), fix))
    }

    fn schema() -> Json {
        json!({ "type": "string" })
    }

    fn show(&self) -> Json {
        json!(self.to_string())
    }
}

impl Scalar for IpNet {
    fn parse(value: &DeValue<'_>) -> Result<Self, Diagnostic> {
        let text = text(value, "a network")?;
        let single = |address: IpAddr| Self::from(address);
        let network = text.parse().or_else(|_| text.parse().map(single));
        let fix = "write an address or a network, such as \"10.0.0.0/8\"";
        network.map_err(|_| Diagnostic::new(format!("{text:?} is not a network"), fix))
    }

    fn schema() -> Json {
        json!({ "type": "string" })
    }

    fn show(&self) -> Json {
        json!(self.to_string())
    }
}

/// A server: `host:port`, with or without `http://` before it.
impl Scalar for Authority {
    fn parse(value: &DeValue<'_>) -> Result<Self, Diagnostic> {
        let text = text(value, "a server")?;
        let what = || format!("{text:?} is not a server with a port");
        let server = with_port(text.strip_prefix("http://").unwrap_or(text));
        server.ok_or_else(|| Diagnostic::new(what(), "write \"host:port\", such as \"127.0.0.1:9000\""))
    }

    fn schema() -> Json {
        json!({ "type": "string" })
    }

    fn show(&self) -> Json {
        json!(self.as_str())
    }
}

/// Host and port, and nothing else.
pub(super) fn with_port(text: &str) -> Option<Authority> {
    let usable = |server: &Authority| {
        let port = server.port_u16().is_some_and(|port| port > 0);
        port && !server.host().is_empty() && !server.as_str().contains('@')
    };
    text.parse().ok().filter(usable)
}

pub(super) fn text<'v>(value: &'v DeValue<'_>, kind: &str) -> Result<&'v str, Diagnostic> {
    value.as_str().ok_or_else(|| Diagnostic::new(format!("{} is not {kind}", found(value)), "write it in quotes"))
}

/// What stands there, for a message: short values as written, others by type.
pub(super) fn found(value: &DeValue<'_>) -> String {
    let written = match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        _ => String::new(),
    };
    match (written.len(), value.type_str()) {
        (1..=60, _) => written,
        (_, kind @ ("array" | "integer")) => format!("an {kind}"),
        (_, kind) => format!("a {kind}"),
    }
}
