//! The time of a line, whichever server writes it.

use crate::Millis;
use crate::line::batch::Stamp;

/// The clock of a line.
#[derive(Debug, Clone, Default)]
pub(in crate::line) struct Clock {
    /// The server that wrote the line last.
    server: u64,
    /// How far the line is ahead of that server's clock.
    skew: Millis,
    /// The time of day: the latest that any server or gateway has seen.
    utc: Millis,
}

impl Clock {
    /// The clock of a server that begins a line, or goes on with it.
    pub(in crate::line) fn of(at: Stamp) -> Self {
        Self { server: at.server, skew: 0, utc: at.now }
    }

    /// Whether this server wrote the line last.
    pub(super) fn is_of(&self, server: u64) -> bool {
        self.server == server
    }

    /// The time of day by this server's clock. It stands where the last server was ahead, so no event begins twice.
    pub(in crate::line) fn tell_utc(&mut self, at: Stamp, seen: Millis) -> Millis {
        self.utc = self.utc.max(at.now).max(seen);
        self.utc
    }

    /// As last told.
    pub(in crate::line) fn utc(&self) -> Millis {
        self.utc
    }

    /// The time: the server's, but not behind the latest of the line and of a gateway. After a loss it goes on from there.
    pub(super) fn tell(&mut self, at: Stamp, line: Millis, seen: Millis, lost: bool) -> Millis {
        let known = line.max(seen);
        let behind = known.saturating_sub(at.now);
        if lost {
            self.skew = behind;
        } else if seen > line {
            self.skew = self.skew.max(behind);
        }
        self.server = at.server;
        known.max(at.now.saturating_add(self.skew))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_from_what_was_seen_and_never_back() {
        let at = |now, server| Stamp { now, server };
        let mut clock = Clock::of(at(100, 1));
        assert_eq!(clock.tell(at(150, 1), 100, 0, false), 150);
        assert_eq!(clock.tell(at(140, 1), 150, 0, false), 150, "the server's clock was set back");
        assert_eq!(clock.tell(at(160, 1), 150, 0, false), 160);
        // Another server, whose clock is behind: time neither jumps nor stands still.
        assert!(!clock.is_of(2));
        assert_eq!(clock.tell(at(20, 2), 160, 170, true), 170);
        assert!(clock.is_of(2));
        assert_eq!(clock.tell(at(21, 2), 170, 0, false), 171);
        assert_eq!(clock.tell(at(22, 2), 171, 190, false), 190, "a gateway has seen a later time");
        assert_eq!(clock.tell(at(23, 2), 190, 0, false), 191);
    }
}
