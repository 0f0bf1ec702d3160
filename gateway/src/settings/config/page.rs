//! Pages that rooms bring: they can be used, and a shopper who waits on one gets news of the line.

use std::collections::BTreeMap;
use std::path::Path;

use toml_diagnostics::Document;

use super::Config;
use crate::ui::{Brand, WaitingPage};

/// Why a page cannot be used, or whether it polls.
type Found = Result<bool, String>;

/// Complains about pages that cannot be rendered, and warns of those that never ask again. Files that are missing are told
/// of elsewhere.
pub(super) fn check(config: &Config, document: &mut Document<'_>) {
    let mut read: BTreeMap<&Path, Option<Found>> = BTreeMap::new();
    let rooms = config.rooms.iter().enumerate();
    for (index, key, file) in rooms.flat_map(|(index, room)| room.pages().map(move |(key, file)| (index, key, file))) {
        let at = format!("room.{index}.{key}");
        match read.entry(file).or_insert_with(|| probe(file)) {
            None | Some(Ok(true)) => {}
            Some(Ok(false)) => {
                let what = "whoever waits on this page never hears of the line again: nothing on it asks";
                let fix = "print {{ script }} in <script>, with the element that it reads (queue-ui/page.html), or \
                           <meta http-equiv=\"refresh\" content=\"{{ pollAfterSeconds }}\">";
                document.warn(&at, what, fix);
            }
            Some(Err(wrong)) => {
                document.report(&at, wrong.clone(), "mend the page; its variables are in queue-ui/README.md");
            }
        }
    }
}

fn probe(file: &Path) -> Option<Found> {
    let text = match std::fs::read(file).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(_)) => return Some(Err(format!("{} is not UTF-8", file.display()))),
        Err(_) => return None,
    };
    let page = WaitingPage::new("room", Some(&text), &Brand::default());
    Some(page.map(|page| page.polls()).map_err(|error| format!("{}: {error}", file.display())))
}
