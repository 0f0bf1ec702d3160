//! The files of the configuration: pages, logos, and those for TLS to the shop.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;

use anyhow::Context as _;

use crate::settings::config::{
    BrandConfig, Config, EventConfig, FactsConfig, RoomConfig, UpstreamConfig, UpstreamTlsConfig,
};
use crate::settings::tls::client::ClientTls;
use crate::ui::{Brand, Colour, Logo, WaitingPage};

/// The read files.
#[derive(Debug)]
pub(crate) struct Files {
    /// The waiting pages of all rooms, in their order.
    pub(super) pages: Vec<RoomPages>,
    /// By the name of the upstream, if it has servers with TLS.
    pub(super) tls: BTreeMap<String, ClientTls>,
    /// Stamp of the pages, taken before they were read: a change meanwhile gives another one.
    pub(super) stamp: Stamp,
}

/// The waiting pages of a room.
#[derive(Debug)]
pub(super) struct RoomPages {
    /// Its own.
    pub(super) own: WaitingPage,
    /// Those of its events that have one, in the order of their timetable.
    pub(super) of_events: Vec<Option<WaitingPage>>,
}

/// A stamp of the page files from the metadata of the file system, without reading them: it sees a replaced directory and a
/// changed link as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp(u64);

impl Stamp {
    /// Takes the stamp of the pages and logos of these rooms, on a thread that may block.
    pub(crate) fn of(rooms: &[RoomConfig]) -> Self {
        let named = rooms.iter().flat_map(|room| room.pages().map(|(_, file)| file).chain(&room.brand.logo));
        let mut hash = DefaultHasher::new();
        for file in named.collect::<BTreeSet<_>>() {
            let found = std::fs::metadata(file).ok();
            let found = found.map(|f| [f.dev(), f.ino(), f.size(), f.ctime() as u64, f.ctime_nsec() as u64]);
            (file, found).hash(&mut hash);
        }
        Self(hash.finish())
    }
}

impl Files {
    /// Reads them all, on a thread that may block.
    pub(crate) fn read(config: &Config) -> anyhow::Result<Self> {
        let encrypted = config.upstreams.iter().filter(|upstream| upstream.servers.iter().any(|server| server.tls));
        let tls = encrypted.map(|upstream| Ok((upstream.name.clone(), tls(upstream)?)));
        let stamp = Stamp::of(&config.rooms);
        Ok(Self {
            stamp,
            pages: config.rooms.iter().map(pages).collect::<anyhow::Result<_>>()?,
            tls: tls.collect::<anyhow::Result<_>>()?,
        })
    }
}

fn tls(upstream: &UpstreamConfig) -> anyhow::Result<ClientTls> {
    let files = upstream.tls.as_ref().map(UpstreamTlsConfig::files).unwrap_or_default();
    ClientTls::load(&files).with_context(|| format!("tls of upstream {:?}", upstream.name))
}

fn pages(room: &RoomConfig) -> anyhow::Result<RoomPages> {
    let mut held: Vec<_> = room.events.iter().filter(|event| !event.suspended).collect();
    held.sort_by_key(|event| event.times().begin());
    let of_event =
        |event: &EventConfig| event.custom_page_html.is_some().then(|| page(&room.during(event))).transpose();
    let of_events = held.into_iter().map(of_event).collect::<anyhow::Result<_>>()?;
    Ok(RoomPages { own: page(room)?, of_events })
}

fn page(room: &RoomConfig) -> anyhow::Result<WaitingPage> {
    let read = |file: &std::path::PathBuf| {
        std::fs::read_to_string(file).with_context(|| format!("custom_page_html {}", file.display()))
    };
    let custom = room.custom_page_html.as_ref().map(read).transpose()?;
    WaitingPage::new(room.line(), custom.as_deref(), &brand(&room.brand, &room.facts)?)
        .map_err(|error| anyhow::anyhow!("the waiting page of room {:?}: {error}", room.name))
}

fn brand(written: &BrandConfig, facts: &FactsConfig) -> anyhow::Result<Brand> {
    let read = |file: &std::path::PathBuf| -> anyhow::Result<Logo> {
        let bytes = std::fs::read(file).with_context(|| format!("brand.logo {}", file.display()))?;
        Logo::of(bytes).with_context(|| format!("brand.logo {}", file.display()))
    };
    Ok(Brand {
        name: written.name.clone().unwrap_or_default(),
        logo: written.logo.as_ref().map(read).transpose()?,
        colour: written.color.as_deref().and_then(Colour::parse),
        lines: written.text.for_all(),
        facts: [facts.price.for_all(), facts.stock.for_all()],
    })
}
