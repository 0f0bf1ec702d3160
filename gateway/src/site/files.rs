//! What the configuration names besides itself: pages, logos, and what TLS to the shop needs.

use std::collections::BTreeMap;

use anyhow::Context as _;

use crate::config::{BrandConfig, Config, RoomConfig, UpstreamConfig};
use crate::ui::{Brand, Colour, Language, Logo, WaitingPage};
use crate::upstream::ClientTls;

/// Files, read.
#[derive(Debug)]
pub struct Files {
    /// The waiting pages of all rooms, in their order.
    pub(super) pages: Vec<WaitingPage>,
    /// By the name of the upstream, where it has servers with TLS.
    pub(super) tls: BTreeMap<String, ClientTls>,
}

impl Files {
    /// Reads them all, on a thread that may block.
    pub fn read(config: &Config) -> anyhow::Result<Self> {
        let encrypted = config.upstreams.iter().filter(|upstream| upstream.servers.iter().any(|server| server.tls));
        let tls = encrypted.map(|upstream| Ok((upstream.name.clone(), tls(upstream)?)));
        Ok(Self {
            pages: config.rooms.iter().map(page).collect::<anyhow::Result<_>>()?,
            tls: tls.collect::<anyhow::Result<_>>()?,
        })
    }
}

fn tls(upstream: &UpstreamConfig) -> anyhow::Result<ClientTls> {
    ClientTls::load(upstream.tls.as_ref()).with_context(|| format!("tls of upstream {:?}", upstream.name))
}

fn page(room: &RoomConfig) -> anyhow::Result<WaitingPage> {
    let read = |file: &std::path::PathBuf| {
        std::fs::read_to_string(file).with_context(|| format!("custom_page_html {}", file.display()))
    };
    let custom = room.custom_page_html.as_ref().map(read).transpose()?;
    WaitingPage::new(&room.name, custom.as_deref(), &brand(&room.brand)?)
        .map_err(|error| anyhow::anyhow!("the waiting page of room {:?}: {error}", room.name))
}

fn brand(written: &BrandConfig) -> anyhow::Result<Brand> {
    let read = |file: &std::path::PathBuf| -> anyhow::Result<Logo> {
        let bytes = std::fs::read(file).with_context(|| format!("brand.logo {}", file.display()))?;
        Logo::of(bytes).with_context(|| format!("brand.logo {}", file.display()))
    };
    let mut brand = Brand {
        name: written.name.clone().unwrap_or_default(),
        logo: written.logo.as_ref().map(read).transpose()?,
        colour: written.color.as_deref().and_then(Colour::parse),
        ..Brand::default()
    };
    let texts = [(Language::Korean, &written.text.korean), (Language::English, &written.text.english)];
    for (language, text) in texts {
        brand.lines[language as usize] = text.clone().unwrap_or_default();
    }
    Ok(brand)
}
