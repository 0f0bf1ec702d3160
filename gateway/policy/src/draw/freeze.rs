//! The moment from which nothing that the order hangs on can change.

use super::beacon::{Beacon, RoundSignature};
use super::fields::Fields;
use super::hex::Hash;
use super::record::{Frozen, Opened};
use crate::Millis;

/// Time from the latest clock at the freeze to the round at least.
pub const MARGIN: Millis = 10_000;

/// The latest of the store's clock and of every gateway's. The latest, because a slow clock must not choose a round that is out already.
pub fn latest_clock(store: Millis, gateways: impl IntoIterator<Item = Millis>) -> Millis {
    gateways.into_iter().fold(store, Millis::max)
}

/// `R`: the first round due at least [`MARGIN`] after the latest clock.
pub fn round(beacon: &Beacon, latest_clock: Millis) -> u64 {
    beacon.first_from(latest_clock.saturating_add(MARGIN))
}

/// The seed of the permutation; `signature` is that of the round, empty without a beacon.
pub fn seed(opened: &Opened, frozen: &Frozen, signature: Option<&RoundSignature>) -> Hash {
    let fields = match frozen.first {
        0 => Fields::of("weir/draw/2"),
        first => Fields::of("weir/draw/2/late").number(first),
    };
    let fields = fields.text(&opened.room).text(&opened.event).number(frozen.count).bytes(&frozen.k.0);
    fields.number(frozen.round).bytes(signature.map_or(&[], |signature| &signature.0)).hash()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_round_comes_after_the_latest_clock() {
        let beacon = Beacon::QUICKNET;
        let (store, right) = (1_700_000_000_000, 1_700_000_010_000);
        let latest = latest_clock(store, [store + 3, right, store - 60_000]);
        assert_eq!((latest, latest_clock(store, [])), (right, store));
        let due = beacon.due(round(&beacon, latest)).unwrap();
        assert!((right + MARGIN..right + MARGIN + 3_000).contains(&due));
        assert!(round(&beacon, Millis::MAX) > 0, "no clock makes it overflow");
    }
}
