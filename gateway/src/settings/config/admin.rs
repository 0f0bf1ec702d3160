//! The operator's listener: TLS, and who else says who an operator is.

use std::path::PathBuf;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml_diagnostics::Document;

use super::check::{present, present_secrets};
use super::value::{AsText as _, FileName, Network};
use super::{Config, TlsConfig};

/// `[admin]`: the operator's listener, beside its address and tokens in `[listen]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Header in which a single-sign-on proxy names the operator, such as "X-Forwarded-User": one of `listen.admin_operators_file`.
    #[schemars(extend("format" = "identity_header"))]
    pub trusted_identity_header: Option<String>,
    /// Addresses of the proxies that may; from any other one the header is refused.
    #[serde(with = "Network")]
    #[schemars(with = "Vec<Network>")]
    pub trusted_identity_proxies: Vec<IpNet>,
    /// TLS of `listen.admin`.
    pub tls: Option<AdminTlsConfig>,
}

/// `[admin.tls]`: then `listen.admin` speaks TLS alone.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["certificate", "key"]))]
pub struct AdminTlsConfig {
    /// Certificate and its chain, PEM.
    #[serde(with = "FileName")]
    pub certificate: PathBuf,
    /// Private key, PEM.
    #[serde(with = "FileName")]
    pub key: PathBuf,
    /// Authorities by which the weir commands check that certificate, PEM; without it those of the system.
    #[serde(with = "FileName")]
    pub ca_file: Option<PathBuf>,
}

impl AdminTlsConfig {
    /// Certificate and key.
    pub fn pair(&self) -> TlsConfig {
        TlsConfig { certificate: self.certificate.clone(), key: self.key.clone() }
    }

    /// The names of its files.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.certificate, &mut self.key].into_iter().chain(&mut self.ca_file)
    }
}

/// What must hold between these keys and others.
pub(super) fn check(config: &Config, document: &mut Document<'_>) {
    let AdminConfig { trusted_identity_header: header, trusted_identity_proxies: proxies, tls } = &config.admin;
    if header.is_some() && proxies.is_empty() && document.is_sound("admin.trusted_identity_proxies") {
        let what = "nobody may send this header";
        document.report("admin.trusted_identity_header", what, "name the proxies in admin.trusted_identity_proxies");
    }
    if header.is_none() && !proxies.is_empty() && document.is_sound("admin.trusted_identity_header") {
        let what = "there is no header in which they name an operator";
        document.report("admin.trusted_identity_proxies", what, "add admin.trusted_identity_header");
    }
    if header.is_some() && config.listen.admin_operators_file.is_none() && document.is_sound("listen") {
        let what = "there are no operators that it could name";
        document.report("admin.trusted_identity_header", what, "add listen.admin_operators_file");
    }
    let Some(tls) = tls else { return };
    let open = [("certificate", Some(&tls.certificate)), ("ca_file", tls.ca_file.as_ref())];
    present(open.into_iter().filter_map(|(key, file)| Some((format!("admin.tls.{key}"), file?))).collect(), document);
    present_secrets(vec![("admin.tls.key".to_owned(), &tls.key)], document);
}
