//! A target: a server, its name, and whose certificates are trusted for it.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use rustls::pki_types::ServerName;

use super::tls::{NoTls, Tls, Trust};

/// A server to which requests are sent.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its name, as in `Host`.
    pub authority: String,
    /// TLS to it; `None`: without.
    pub tls: Option<Tls>,
    /// Whether it is another host to which journeys lead, and none of the gateways.
    pub beside: bool,
}

/// Why an address of a target is none.
#[derive(Debug, thiserror::Error)]
pub enum BadTarget {
    /// It does not read as an address.
    #[error("`{0}` is not an address such as http://127.0.0.1:8080 or https://shop.example")]
    Form(String),
    /// There is no such host.
    #[error("`{0}` has no address")]
    Host(String, #[source] std::io::Error),
    /// Its certificate could not be judged.
    #[error("no TLS to `{0}`")]
    Tls(String, #[source] NoTls),
}

impl Target {
    /// The server at this URL: scheme, host and perhaps a port; a path is ignored. Looks the host up, which may
    /// take a moment. `trust` is for `https` alone.
    pub fn parse(url: &str, trust: &Trust) -> Result<Self, BadTarget> {
        Self::parse_at(url, None, trust)
    }

    /// The same, at this address if one is given, whatever the name says.
    pub fn parse_at(url: &str, address: Option<IpAddr>, trust: &Trust) -> Result<Self, BadTarget> {
        let form = || BadTarget::Form(url.to_owned());
        let uri: http::Uri = url.parse().map_err(|_| form())?;
        let authority = uri.authority().ok_or_else(form)?;
        let (tls, port) = match uri.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => (Some(Tls::new(trust).map_err(|error| BadTarget::Tls(url.to_owned(), error))?), 443),
            _ => return Err(form()),
        };
        let host = authority.host().trim_matches(['[', ']']);
        let unknown = |error| BadTarget::Host(host.to_owned(), error);
        let port = authority.port_u16().unwrap_or(port);
        let address = if let Some(address) = address {
            SocketAddr::new(address, port)
        } else {
            let mut found = (host, port).to_socket_addrs().map_err(unknown)?;
            found.next().ok_or_else(|| unknown(std::io::ErrorKind::NotFound.into()))?
        };
        Ok(Self { address, authority: authority.as_str().to_owned(), tls, beside: false })
    }

    /// A server of this name without TLS.
    pub fn plain(address: SocketAddr, authority: impl Into<String>) -> Self {
        Self { address, authority: authority.into(), tls: None, beside: false }
    }

    /// The same as a host to which journeys lead.
    #[must_use]
    pub fn beside(self) -> Self {
        Self { beside: true, ..self }
    }

    /// The same server by its name, reached at another address.
    #[must_use]
    pub fn at(self, address: SocketAddr) -> Self {
        Self { address, ..self }
    }

    /// Its name without its port.
    pub fn host(&self) -> &str {
        let end = self.authority.rfind(':').filter(|&colon| !self.authority[colon..].contains(']'));
        self.authority[..end.unwrap_or(self.authority.len())].trim_matches(['[', ']'])
    }

    /// The name that its certificate must have.
    pub(super) fn server_name(&self) -> ServerName<'static> {
        let name = ServerName::try_from(self.host().to_owned());
        name.unwrap_or_else(|_| ServerName::from(self.address.ip()))
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_scheme_a_host_and_perhaps_a_port() {
        let plain = Target::parse("http://127.0.0.1:8080/launch", &Trust::System).unwrap();
        assert_eq!((plain.address, plain.authority.as_str()), (([127, 0, 0, 1], 8080).into(), "127.0.0.1:8080"));
        let secure = Target::parse("https://127.0.0.1", &Trust::Anything).unwrap();
        assert_eq!((secure.address.port(), plain.scheme(), secure.scheme()), (443, "http", "https"));
        for wrong in ["127.0.0.1:80", "ftp://127.0.0.1", "/launch", "", "http://"] {
            assert!(matches!(Target::parse(wrong, &Trust::System), Err(BadTarget::Form(_))), "{wrong}");
        }
    }

    #[test]
    fn a_file_of_authorities_that_is_none_is_told() {
        let file = Trust::File("/nowhere/ca.pem".into());
        let error = Target::parse("https://127.0.0.1", &file).unwrap_err();
        assert!(matches!(error, BadTarget::Tls(_, NoTls::File(..))), "{error:?}");
    }

    #[test]
    fn a_host_has_no_port() {
        let host = |authority: &str| Target::plain(([127, 0, 0, 1], 1).into(), authority).host().to_owned();
        assert_eq!([host("shop.test:80"), host("shop.test")], ["shop.test", "shop.test"]);
        assert_eq!([host("[::1]:80"), host("[::1]")], ["::1", "::1"]);
    }
}
