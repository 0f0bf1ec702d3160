//! All the `if`s of a request, and nothing else.
//!
//! [`admit`] looks at what a shopper holds, what kind of request it is and a copy of the line, and
//! says what is to be done. The copy may be stale: a stale `serving` admits too few, never too many,
//! because a claim is decided by the line itself.

use crate::Millis;
use crate::line::View;
use crate::room::{FailMode, QueueingMethod, Room};
use crate::seal::Rejected;
use crate::ticket::{Kind, Token};

/// What the shopper showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// A text whose seal is whole.
    Sealed(Token),
    /// A text that is no token of this room.
    Bad(Rejected),
}

/// What kind of request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// A person opens a page: may take a number, and is answered with a page.
    Page,
    /// A program asks for JSON: may take a number, and is answered in JSON.
    Json,
    /// A CORS preflight: carries no cookie, and goes to the upstream.
    Preflight,
    /// Everything else: assets, fetches, POST, HEAD, prefetches, upgrades.
    Other,
}

/// What is known of the line at this moment.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The rules.
    pub room: &'a Room,
    /// The latest copy of the line; `None` before the first.
    pub line: Option<&'a View>,
    /// Whether the store fails to answer.
    pub store_away: bool,
    /// Store time, as far as known.
    pub now: Millis,
    /// Whether the pass of this number was given back before its end.
    pub revoked: bool,
}

/// Why nobody gets in on this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The room is suspended.
    Suspended,
    /// The room rejects what is over its limits.
    Full,
    /// Neither a page nor JSON, and no pass.
    NeedsPass,
}

/// What is to be done with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Forward: a valid pass.
    Enter {
        /// The pass.
        pass: Token,
        /// Half its life is over: extend it on the way.
        renew: bool,
    },
    /// Forward without a pass: nobody is held back here, or the store is away and the room fails open.
    Open,
    /// Trade a called ticket for a pass, then forward.
    Claim(Token),
    /// Take a number; if it is called at once, claim it.
    Join,
    /// Take a number only if it can be claimed at once.
    JoinIfCalled,
    /// The store is away: keep the place with a provisional ticket.
    JoinLater,
    /// Show the place in the line.
    Wait(Token),
    /// No.
    Refuse(Refusal),
}

/// Why a shown token was not taken for what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// Not the form of a token.
    Malformed,
    /// Altered, or sealed with an unknown key.
    Forged,
    /// Of another room.
    Foreign,
    /// Its time is over.
    Expired,
    /// Of an earlier run of the line.
    OldLine,
    /// A pass that was given back.
    Revoked,
}

/// A verdict, and why a token that was shown did not count.
pub type Decision = (Verdict, Option<Ignored>);

/// Decides on a request that belongs to a room.
pub fn admit(scene: Scene<'_>, credential: Credential, intent: Intent) -> Decision {
    if intent == Intent::Preflight {
        return (Verdict::Open, None);
    }
    let (token, ignored) = match valid(scene, credential) {
        Ok(token) => (token, None),
        Err(ignored) => (None, Some(ignored)),
    };
    (decide(scene, token, intent), ignored)
}

fn decide(scene: Scene<'_>, token: Option<Token>, intent: Intent) -> Verdict {
    let room = scene.room;
    if let Some(pass) = token.filter(|t| t.kind == Kind::Pass) {
        let renew = !room.disable_session_renewal && pass.past_half_life(scene.now);
        return Verdict::Enter { pass, renew };
    }
    let asks = matches!(intent, Intent::Page | Intent::Json);
    if room.suspended {
        // Whoever has a place is told that it is kept.
        return token.filter(|_| asks).map_or(Verdict::Refuse(Refusal::Suspended), Verdict::Wait);
    }
    if room.queueing_method == QueueingMethod::Passthrough {
        return if asks && !scene.store_away { Verdict::Join } else { Verdict::Open };
    }
    if scene.store_away && room.fail_mode == FailMode::Open {
        return Verdict::Open;
    }
    if !asks {
        return Verdict::Refuse(Refusal::NeedsPass);
    }
    match token {
        Some(ticket) if scene.store_away => Verdict::Wait(ticket),
        Some(ticket) => place(scene, ticket),
        None => newcomer(scene),
    }
}

/// Somebody who is in the line.
fn place(scene: Scene<'_>, ticket: Token) -> Verdict {
    let called = scene.line.is_some_and(|line| ticket.kind == Kind::Ticket && ticket.number <= line.serving);
    if called && scene.room.rules.open { Verdict::Claim(ticket) } else { Verdict::Wait(ticket) }
}

/// Somebody whom nobody knows.
fn newcomer(scene: Scene<'_>) -> Verdict {
    let reject = scene.room.queueing_method == QueueingMethod::Reject;
    match (reject, scene.store_away) {
        (true, true) => Verdict::Refuse(Refusal::Full),
        (true, false) => Verdict::JoinIfCalled,
        (false, true) => Verdict::JoinLater,
        (false, false) => Verdict::Join,
    }
}

/// The token that counts, or why the shown one does not.
fn valid(scene: Scene<'_>, credential: Credential) -> Result<Option<Token>, Ignored> {
    let token = match credential {
        Credential::None => return Ok(None),
        Credential::Bad(Rejected::Malformed) => return Err(Ignored::Malformed),
        Credential::Bad(Rejected::Forged) => return Err(Ignored::Forged),
        Credential::Bad(Rejected::Foreign) => return Err(Ignored::Foreign),
        Credential::Sealed(token) => token,
    };
    let Some(line) = scene.line else {
        // Without a copy of the line a seal cannot be told from an old one's: let it wait, not in.
        return Ok(Some(token).filter(|t| t.kind != Kind::Pass));
    };
    if token.expires <= scene.now {
        return Err(Ignored::Expired);
    }
    match token.kind {
        Kind::Provisional => provisional(line, scene.store_away, token),
        _ if token.line != line.id => Err(Ignored::OldLine),
        Kind::Pass if scene.revoked => Err(Ignored::Revoked),
        _ => Ok(Some(token)),
    }
}

/// A provisional ticket becomes the ticket whose number it was given when the store came back.
fn provisional(line: &View, store_away: bool, token: Token) -> Result<Option<Token>, Ignored> {
    let run = token.line.generation;
    let numbered = line.adopted.iter().find_map(|adopted| {
        let of = adopted.adopt;
        let index = token.number.checked_sub(of.first).filter(|&i| of.run == run && i < of.count)?;
        Some(Token { kind: Kind::Ticket, line: line.id, number: adopted.base + index, ..token })
    });
    match numbered {
        None if store_away => Ok(Some(token)),
        None => Err(Ignored::OldLine),
        ticket => Ok(ticket),
    }
}
