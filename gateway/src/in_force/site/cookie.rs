//! The cookie of a room: its name, life and scope. `docs/privacy.md` describes it to people.

use http::HeaderValue;
use policy::ticket::{Kind, TICKET_LIFE, Token};

use crate::settings::config::{RoomConfig, SameSite, Secure};

/// Names and attributes of the cookie of a room.
#[derive(Debug)]
pub(crate) struct Cookie {
    plain: String,
    host: String,
    /// Without `Secure`, and with it.
    attributes: [String; 2],
    domain: bool,
    secure: Secure,
}

impl Cookie {
    pub(super) fn of(config: &RoomConfig) -> Self {
        let suffix = &config.cookie_suffix;
        let written = &config.cookie_attributes;
        let domain = written.domain.as_ref().map(|domain| format!("; Domain={domain}")).unwrap_or_default();
        let attributes = [false, true].map(|secure| {
            let same_site = match (written.samesite, secure) {
                (SameSite::Auto, false) | (SameSite::Lax, _) => "Lax",
                (SameSite::Auto, true) | (SameSite::None, _) => "None",
                (SameSite::Strict, _) => "Strict",
            };
            format!("; Path=/; HttpOnly; SameSite={same_site}{domain}{}", if secure { "; Secure" } else { "" })
        });
        Self {
            plain: format!("weir_{suffix}"),
            host: format!("__Host-weir_{suffix}"),
            attributes,
            domain: written.domain.is_some(),
            secure: written.secure,
        }
    }

    /// The name on a connection that is TLS as the shopper sees it. A cookie for a whole domain may
    /// not have the `__Host-` prefix.
    pub(crate) fn name(&self, tls: bool) -> &str {
        if self.is_secure(tls) && !self.domain { &self.host } else { &self.plain }
    }

    /// The name of one that was set without TLS, if that differs from the one with it.
    pub(crate) fn name_in_clear(&self, tls: bool) -> Option<&str> {
        (self.name(tls) != self.plain).then_some(&self.plain)
    }

    fn is_secure(&self, tls: bool) -> bool {
        match self.secure {
            Secure::Auto => tls,
            Secure::Always => true,
            Secure::Never => false,
        }
    }

    /// The `Set-Cookie` that keeps this sealed token: a ticket or pass as long as it lives, and for a day at
    /// least, so that a shopper who comes back with an ended pass is recognised.
    pub(crate) fn keep(&self, sealed: &str, token: &Token, tls: bool) -> Option<HeaderValue> {
        let least = if token.kind == Kind::Arrival { 0 } else { TICKET_LIFE };
        let life = token.expires.saturating_sub(token.issued).max(least);
        self.set(sealed, life / 1000, tls)
    }

    /// The `Set-Cookie` that ends it.
    pub(crate) fn end(&self, tls: bool) -> Option<HeaderValue> {
        self.set("", 0, tls)
    }

    fn set(&self, value: &str, seconds: u64, tls: bool) -> Option<HeaderValue> {
        let attributes = &self.attributes[usize::from(self.is_secure(tls))];
        let text = format!("{}={value}; Max-Age={seconds}{attributes}", self.name(tls));
        HeaderValue::try_from(text).ok()
    }
}
