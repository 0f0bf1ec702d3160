//! Obeys the words of the shop in the head of an answer: a pass that ends, a rate, a stock, a load.
//!
//! Only what the room's `enabled_origin_commands` name, or its signals, and only for the room of that request. What cannot be read is counted,
//! told in the log at most once a minute, and harms nothing: the word before it holds until its own end.
//!
//! Out of scope: what a line makes of them (`policy::line`).

use std::fmt::Display;

use policy::cap::{Cap, CapKind, CapSource};
use policy::origin::{self, Command, RateWord, StockWord};
use policy::stock::StockLevel;

use crate::client::headers::ShopWords;
use crate::in_force::site::SiteRoom;
use crate::line::rooms::WordResult;
use crate::settings::config::OriginCommand;

/// Takes in the words of this server. Returns whether the pass of the request ends.
pub(crate) fn obey(room: &SiteRoom, words: &ShopWords, server: u32) -> bool {
    let mut revoke = false;
    for command in words.commands.iter().flat_map(|line| origin::commands(line.as_bytes())) {
        match command {
            Ok(Command::Revoke) => revoke |= is_obeyed(room, OriginCommand::Revoke),
            Ok(Command::Rate(RateWord { rate, ttl })) => {
                if is_obeyed(room, OriginCommand::Rate) {
                    room.live.cap(Cap { source: CapSource::new(CapKind::Shop, server), rate, ttl });
                }
            }
            Err(error) => misheard(room, "command", &error),
        }
    }
    for stock in words.stock.iter().flat_map(|line| origin::stocks(line.as_bytes())) {
        match stock {
            Ok(word) if is_obeyed(room, OriginCommand::Stock) => {
                room.live.stock(level(&word, false));
            }
            Ok(_) => {}
            Err(error) => misheard(room, "stock", &error),
        }
    }
    if let Some(signals) = &room.signals
        && !words.load.is_empty()
    {
        let heard = signals.reported(&room.config.name, server, &words.load);
        room.live.meters().heard("load", if heard { WordResult::Obeyed } else { WordResult::Invalid });
    }
    revoke
}

/// The word as the line takes it: a product by a hash that is the same at every gateway.
pub(crate) fn level(&StockWord { sku, left, held }: &StockWord<'_>, sure: bool) -> StockLevel {
    StockLevel { sku: crc32fast::hash(sku.as_bytes()), left, held, sure, age: 0 }
}

fn is_obeyed(room: &SiteRoom, command: OriginCommand) -> bool {
    let (enabled, what) = (room.obeys(command), name(command));
    room.live.meters().heard(what, if enabled { WordResult::Obeyed } else { WordResult::Disabled });
    if !enabled && room.live.tells_of_words() {
        let key = "enabled_origin_commands";
        tracing::warn!(room = %room.config.name, "the shop says {what:?}, which the room's {key} do not name: ignored");
    }
    enabled
}

fn misheard(room: &SiteRoom, what: &'static str, error: &dyn Display) {
    room.live.meters().heard(what, WordResult::Invalid);
    if room.live.tells_of_words() {
        tracing::warn!(room = %room.config.name, "a word of the shop cannot be read and is ignored: {error}");
    }
}

fn name(command: OriginCommand) -> &'static str {
    match command {
        OriginCommand::Revoke => "revoke",
        OriginCommand::Rate => "rate",
        OriginCommand::Stock => "stock",
    }
}
