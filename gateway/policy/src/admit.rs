//! All the `if`s of a request, and nothing else.
//!
//! [`admit`] takes the credential of a shopper, the kind of request and a copy of the line, and
//! returns a verdict. The copy may be stale: a stale `serving` admits too few, never too many,
//! because the line itself decides a claim.

use crate::Millis;
use crate::line::{Arrival, FIRST_ROUND, MOST_ADOPTED};
use crate::room::{FailMode, Join, QueueingMethod, Room};
use crate::seal::Rejected;
use crate::ticket::{ARRIVAL_LIFE, Adopt, Kind, Token};
use crate::view::View;

/// Upper bound on the clock skew between gateways, as they read the store's clock.
const CLOCKS: Millis = 1_000;

/// Forms that one pass lets through after its end.
pub const LATE_FORMS: u8 = 3;

/// The credential of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// A token with a valid seal.
    Sealed(Token),
    /// A text that is no token of this room.
    Bad(Rejected),
}

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// A person opens a page: may take a number, and is answered with a page.
    Page,
    /// A program asks for JSON: may take a number, and is answered in JSON.
    Json,
    /// A program that does not say what it wants (`curl`, an app): may look at a calm room, and take a number once it has
    /// confirmed that it keeps a token.
    Program,
    /// Only reads (HEAD, subresources of a page, link previews, prefetches): may look at a calm room, takes no number.
    Read,
    /// A CORS preflight: carries no cookie, and the upstream alone can answer it.
    Preflight,
    /// A person sends something: takes no number, but trades a called ticket. The response to a second tab may have replaced
    /// the pass by the ticket.
    Form,
    /// A form from a page of the shop itself, sent as a navigation: with a token it may take a number, because the page of
    /// the response holds the form until its turn.
    Submit,
    /// A payment page sends a person back, to one of the room's `return_paths`: takes no number and uses up no ticket,
    /// because any page of any site can send such a request.
    Return,
    /// Everything else: upgrades, unknown methods, forms of another site.
    Other,
}

impl Intent {
    /// Whether the request may take a place in the line and trade a called ticket.
    pub fn asks(self) -> bool {
        matches!(self, Self::Page | Self::Json | Self::Program | Self::Submit)
    }
}

/// The state of the room and its line at this moment.
#[derive(Debug, Clone, Copy)]
pub struct AdmitContext<'a> {
    /// The rules.
    pub room: &'a Room,
    /// The latest copy of the line; `None` before the first.
    pub line: Option<&'a View>,
    /// Whether the store fails to answer.
    pub store_away: bool,
    /// Whether this gateway lives on its lease meanwhile: `line` is then the copy that it has moved on.
    pub on_lease: bool,
    /// Whether no server of the shop can be reached from here: the line admits no shopper.
    pub shop_rests: bool,
    /// Store time, as far as known.
    pub now: Millis,
    /// Whether the pass was taken away before its end, as far as this gateway knows.
    pub pass: PassState,
}

/// The state of a pass before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassState {
    /// Untouched.
    Lives,
    /// Given back, for good.
    Revoked,
    /// Lost its seat because it had never come back: its number claims again.
    Evicted,
    /// Its number is used up, says the line.
    Spent,
    /// Spent, and its late forms ([`LATE_FORMS`]) have gone through.
    Overdrawn,
}

/// The reason for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The room is suspended.
    Suspended,
    /// The room rejects newcomers over its limits.
    Full,
    /// Such a request takes no place, and the room is closed to visits.
    NeedsPass,
    /// A form whose pass, or whose place in the line, is over.
    Ended,
}

/// What the caller must do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Forward: a valid pass.
    Enter {
        /// The pass.
        pass: Token,
        /// Half its life is over: extend it on the way.
        renew: bool,
    },
    /// Forward a form although its pass has ended while it was filled in. Bounded to [`LATE_FORMS`] a pass; renews nothing.
    Late(Token),
    /// Forward without a pass: the room holds no request back, or the store is away and the room fails open.
    Open,
    /// Forward a request that only looks, if the line lets it: the room is calm.
    Visit,
    /// Forward a preflight, bare and at a bounded rate.
    Preflight,
    /// Forward a return from a payment page without a pass, rate-limited per address and in a small part of the permits.
    Return,
    /// Trade a called ticket, or a pass that has run out and may live on in the line, for a pass; then forward.
    Claim(Token),
    /// Take a number; if it is called at once, claim it.
    Join,
    /// Take a number only if it can be claimed at once.
    JoinIfCalled,
    /// Ask to confirm: the response carries an arrival, and no number is taken before it comes back.
    Confirm,
    /// An arrival that came back: trade it for a number, or for a provisional ticket if the store is away.
    Arrive(Arrival),
    /// The store is away: keep the place with a provisional ticket.
    JoinLater,
    /// Show the place in the line.
    Wait(Token),
    /// No.
    Refuse(Refusal),
}

/// Why the token of a request does not count.
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
    /// Of a forgotten part of the line, or a provisional ticket without a record.
    OldLine,
    /// A pass that was given back.
    Revoked,
    /// A pass that lost its seat.
    Evicted,
    /// A pass of those who were inside when the pre-queue of an event began that makes them wait too.
    Requeued,
}

/// A verdict, and why the token of the request did not count.
pub type Decision = (Verdict, Option<Ignored>);

/// Whether a pass admits the request, whatever its kind: [`Verdict::Enter`] or nothing. Agrees with [`admit`]; for a caller
/// that has yet to read the kind of the request.
pub fn enter(context: AdmitContext<'_>, credential: Credential) -> Option<Verdict> {
    let Credential::Sealed(Token { kind: Kind::Pass, .. }) = credential else { return None };
    with_pass(context, valid(context, credential).ok()?)
}

fn with_pass(context: AdmitContext<'_>, token: Option<Token>) -> Option<Verdict> {
    let pass = token.filter(|t| t.kind == Kind::Pass)?;
    Some(Verdict::Enter { pass, renew: context.room.may_renew(&pass) && pass.past_half_life(context.now) })
}

/// Decides on a request that belongs to a room.
pub fn admit(context: AdmitContext<'_>, credential: Credential, intent: Intent) -> Decision {
    // A request without a token of this room has no form worth holding.
    let sealed = matches!(credential, Credential::Sealed(_));
    let intent = if intent == Intent::Submit && !sealed { Intent::Form } else { intent };
    match valid(context, credential) {
        Ok(token) => (decide(context, token, intent), None),
        Err(Ignored::Evicted) => (decide(context, evicted(context, credential), intent), Some(Ignored::Evicted)),
        Err(ignored) => {
            let trades = intent.asks() || matches!(intent, Intent::Form | Intent::Return);
            let claim = ended_pass(context, credential, ignored).filter(|_| trades);
            let late = || late_form(context, credential, ignored, intent).map(Verdict::Late);
            let verdict = claim.map(Verdict::Claim).or_else(late);
            let verdict = verdict.unwrap_or_else(|| match decide(context, None, intent) {
                Verdict::Refuse(Refusal::NeedsPass) if sealed && intent == Intent::Form => {
                    Verdict::Refuse(Refusal::Ended)
                }
                verdict => verdict,
            });
            (verdict, Some(ignored))
        }
    }
}

/// A pass whose text has run out may live on in the line: a renewal was committed, and the cookie never got it.
/// A claim of its number then returns the same pass; else the number is used up. No claim is made where it must fail:
/// a text can be renewed until its end, for one session, and never beyond `max_session`.
fn ended_pass(context: AdmitContext<'_>, credential: Credential, ignored: Ignored) -> Option<Token> {
    let (Credential::Sealed(pass), Some(line), Ignored::Expired) = (credential, context.line, ignored) else {
        return None;
    };
    if context.store_away || context.room.queueing_method == QueueingMethod::Passthrough {
        return None;
    }
    let rules = &context.room.rules;
    let may_live = pass.kind == Kind::Pass
        && context.now < pass.expires.saturating_add(rules.session).min(rules.latest_end(pass.admitted));
    let known = matches!(context.pass, PassState::Lives | PassState::Evicted)
        && line.segments.is_called(pass.number)
        && !line.forgot(pass.number);
    (may_live && known).then(|| Token::ticket(pass.number, context.now))
}

/// A form that was begun inside and comes within `form_grace` of the end of its pass. Never with a pass that was taken away,
/// or that would be over by now even with every renewal.
fn late_form(context: AdmitContext<'_>, credential: Credential, ignored: Ignored, intent: Intent) -> Option<Token> {
    let (Credential::Sealed(pass), Some(line), Ignored::Expired) = (credential, context.line, ignored) else {
        return None;
    };
    let untouched = matches!(context.pass, PassState::Lives | PassState::Spent) && !line.forgot(pass.number);
    let rules = &context.room.rules;
    let in_time = context.now < pass.expires.saturating_add(rules.form_grace).min(rules.latest_end(pass.admitted));
    let form = pass.kind == Kind::Pass && matches!(intent, Intent::Form | Intent::Submit | Intent::Return);
    (form && in_time && untouched).then_some(pass)
}

/// A pass without its seat counts as the called ticket that it was.
fn evicted(context: AdmitContext<'_>, credential: Credential) -> Option<Token> {
    let (Credential::Sealed(pass), Some(line)) = (credential, context.line) else { return None };
    (!line.forgot(pass.number)).then(|| Token::ticket(pass.number, context.now))
}

fn decide(context: AdmitContext<'_>, token: Option<Token>, intent: Intent) -> Verdict {
    if let Some(enter) = with_pass(context, token) {
        return enter;
    }
    let room = context.room;
    let fails_open = context.store_away && room.fail_mode == FailMode::Open;
    if intent == Intent::Return && room.queueing_method != QueueingMethod::Passthrough && !fails_open {
        // The shopper has paid: forward in a suspended room too, which keeps its passes.
        return Verdict::Return;
    }
    let arrival = token.filter(|t| t.kind == Kind::Arrival);
    let token = token.filter(|t| t.kind != Kind::Arrival);
    if room.suspended {
        // The holder of a place learns that it is kept.
        return token.filter(|_| intent.asks()).map_or(Verdict::Refuse(Refusal::Suspended), Verdict::Wait);
    }
    if room.queueing_method == QueueingMethod::Passthrough {
        return if is_counted(intent) && !context.store_away { Verdict::Join } else { Verdict::Open };
    }
    if fails_open {
        return Verdict::Open;
    }
    if intent == Intent::Preflight {
        return Verdict::Preflight;
    }
    match token {
        Some(ticket) if intent.asks() || intent == Intent::Form => place(context, ticket),
        // Trades nothing, but the holder of a place still sees it.
        Some(ticket) => Verdict::Wait(ticket),
        None if room.last_call => Verdict::Refuse(Refusal::Suspended),
        None => newcomer(context, arrival, intent),
    }
}

/// Whether a request counts as a newcomer without having to confirm.
fn is_counted(intent: Intent) -> bool {
    matches!(intent, Intent::Page | Intent::Json | Intent::Submit)
}

/// The holder of a ticket.
fn place(context: AdmitContext<'_>, ticket: Token) -> Verdict {
    let called = context.line.is_some_and(|line| ticket.kind == Kind::Ticket && line.segments.is_called(ticket.number));
    let away = context.store_away && !context.on_lease;
    let open = context.line.is_some_and(|line| line.is_open(&context.room.rules));
    if called && open && !away && !context.shop_rests { Verdict::Claim(ticket) } else { Verdict::Wait(ticket) }
}

/// A caller without a place, or with an arrival to confirm.
fn newcomer(context: AdmitContext<'_>, arrival: Option<Token>, intent: Intent) -> Verdict {
    let calm = !context.store_away
        && !context.shop_rests
        && context.line.is_some_and(|line| line.is_calm(&context.room.rules));
    match intent {
        Intent::Program if calm && arrival.is_none() => Verdict::Visit,
        Intent::Read if calm => Verdict::Visit,
        _ if intent.asks() => arrives(context, arrival, !is_counted(intent)),
        _ => Verdict::Refuse(Refusal::NeedsPass),
    }
}

/// A newcomer who may take a number.
fn arrives(context: AdmitContext<'_>, arrival: Option<Token>, confirms: bool) -> Verdict {
    let reject = context.room.queueing_method == QueueingMethod::Reject;
    match (reject, context.store_away) {
        _ if reject && (context.shop_rests || !context.room.rules.open) => Verdict::Refuse(Refusal::Full),
        (true, true) => Verdict::Refuse(Refusal::Full),
        _ if let Some(Token { number, .. }) = arrival => Verdict::Arrive(Arrival { id: number, if_called: reject }),
        _ if confirms || context.room.join == Join::Confirmed => Verdict::Confirm,
        (true, false) => Verdict::JoinIfCalled,
        (false, true) => Verdict::JoinLater,
        (false, false) => Verdict::Join,
    }
}

/// The token that counts, or why the one of the request does not.
fn valid(context: AdmitContext<'_>, credential: Credential) -> Result<Option<Token>, Ignored> {
    let token = match credential {
        Credential::None => return Ok(None),
        Credential::Bad(Rejected::Malformed) => return Err(Ignored::Malformed),
        Credential::Bad(Rejected::Forged) => return Err(Ignored::Forged),
        Credential::Bad(Rejected::Foreign) => return Err(Ignored::Foreign),
        Credential::Sealed(token) => token,
    };
    let Some(line) = context.line else {
        // Without a copy of the line a new seal looks like an old one: let the token wait, not in.
        let ended = token.kind == Kind::Arrival && (token.expires <= context.now || is_ahead(&token, context.now));
        return Ok(Some(token).filter(|t| t.kind != Kind::Pass && !ended));
    };
    if token.expires <= context.now {
        return Err(Ignored::Expired);
    }
    match token.kind {
        Kind::Provisional => provisional(line, token).map(Some),
        Kind::Ticket if line.forgot(token.number) => Err(Ignored::OldLine),
        Kind::Pass | Kind::Ticket if matches!(context.pass, PassState::Spent | PassState::Overdrawn) => {
            Err(Ignored::Expired)
        }
        Kind::Pass if context.pass == PassState::Revoked => Err(Ignored::Revoked),
        Kind::Pass if context.pass == PassState::Evicted => Err(Ignored::Evicted),
        Kind::Pass if is_requeued(context.room, line, &token) => Err(Ignored::Requeued),
        Kind::Arrival if is_ahead(&token, context.now) => Err(Ignored::Expired),
        _ => Ok(Some(token)),
    }
}

/// Whether the pass was given before the pre-queue of an event that makes those inside wait too. Passes carry the line's time, which is
/// ahead of the time of day after a loss.
pub fn is_requeued(room: &Room, line: &View, pass: &Token) -> bool {
    room.passes_since > 0 && pass.admitted < room.passes_since + line.now.saturating_sub(line.utc)
}

/// Whether a clock that is ahead issued the arrival: it would outlive the line's record of it.
fn is_ahead(arrival: &Token, now: Millis) -> bool {
    arrival.expires > now + ARRIVAL_LIFE + CLOCKS
}

/// A provisional ticket becomes the ticket whose number it got when the store came back. One without a number stays
/// provisional: its round is not drawn, or its gateway may be on the way to number it, or dead. The tickets of an incarnation are numbered in order: where
/// later ones have numbers and this one has none, its record was forgotten.
fn provisional(line: &View, token: Token) -> Result<Token, Ignored> {
    let numbered = line.adopted.iter().find_map(|adopted| {
        let number = adopted.number_of(token.incarnation, token.number)?;
        Some(Token { kind: Kind::Ticket, incarnation: 0, number, ..token })
    });
    let is_later = |of: Adopt| of.incarnation == token.incarnation && of.first > token.number;
    match numbered {
        Some(ticket) => Ok(ticket),
        None if line.adopted.iter().any(|adopted| is_later(adopted.adopt)) => Err(Ignored::OldLine),
        None if is_forgotten_round(line, token.incarnation) => Err(Ignored::OldLine),
        None => Ok(token),
    }
}

/// Whether this is a round whose record had to go for later ones.
fn is_forgotten_round(line: &View, id: u32) -> bool {
    let known = line.adopted.iter().map(|adopted| adopted.adopt.incarnation).filter(|&known| known >= FIRST_ROUND);
    id >= FIRST_ROUND && line.adopted.len() >= MOST_ADOPTED && known.min().is_some_and(|oldest| id < oldest)
}

#[cfg(test)]
mod tests;
