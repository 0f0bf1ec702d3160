//! All the `if`s of a request, and nothing else.
//!
//! [`admit`] looks at what a shopper holds, what kind of request it is and a copy of the line, and
//! says what is to be done. The copy may be stale: a stale `serving` admits too few, never too many,
//! because a claim is decided by the line itself.

use crate::Millis;
use crate::line::Arrival;
use crate::room::{FailMode, Join, QueueingMethod, Room};
use crate::seal::Rejected;
use crate::ticket::{ARRIVAL_LIFE, Adopt, Kind, Token};
use crate::view::View;

/// Readings of the store's clock differ by less than this among gateways.
const CLOCKS: Millis = 1_000;

/// Forms that go through after the end of one pass.
pub const LATE_FORMS: u8 = 3;

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
    /// A program that does not say what it wants (`curl`, an app): may look at a calm room, and take a number once it has
    /// confirmed that it keeps what it is told.
    Program,
    /// Somebody only reads (HEAD, what a page fetches, link previews, prefetches): may look at a calm room, takes no number.
    Read,
    /// A CORS preflight: carries no cookie, and the upstream alone can answer it.
    Preflight,
    /// A person sends something: takes no number, but a ticket that is called is traded. The answer to a second tab may have
    /// put the ticket in the place of the pass.
    Form,
    /// The same from a page of the shop itself, and the answer will be looked at as a page: where a token comes with it, it may
    /// take a number, because the page that is answered holds the form until its turn.
    Submit,
    /// A payment page sends a person back, to one of the room's `return_paths`: takes no number and uses up no ticket,
    /// because any page of any site can send such a request.
    Return,
    /// Everything else: upgrades, methods that nobody knows, forms of another site.
    Other,
}

impl Intent {
    /// Whether a place in the line can come of it, and a called ticket be traded.
    pub fn asks(self) -> bool {
        matches!(self, Self::Page | Self::Json | Self::Program | Self::Submit)
    }
}

/// What is known of the line at this moment.
#[derive(Debug, Clone, Copy)]
pub struct AdmitContext<'a> {
    /// The rules.
    pub room: &'a Room,
    /// The latest copy of the line; `None` before the first.
    pub line: Option<&'a View>,
    /// Whether the store fails to answer.
    pub store_away: bool,
    /// Whether this gateway lives on its lease meanwhile: `line` is as it has moved it on.
    pub on_lease: bool,
    /// Whether no server of the shop can be reached from here: nobody is let in from the line.
    pub shop_rests: bool,
    /// Store time, as far as known.
    pub now: Millis,
    /// Whether the pass that is shown was taken away before its end, as far as this gateway was told.
    pub pass: PassState,
}

/// What became of a pass before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassState {
    /// Nothing.
    Lives,
    /// It was given back, for good.
    Revoked,
    /// It lost its seat because it had never come back: its number claims again.
    Evicted,
    /// The line says that its number is used up.
    Spent,
    /// So it is, and as many forms as may be late with a pass have gone through.
    Overdrawn,
}

/// Why nobody gets in on this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The room is suspended.
    Suspended,
    /// The room rejects what is over its limits.
    Full,
    /// No place can come of such a request, and nobody may look.
    NeedsPass,
    /// A form of somebody whose time inside, or whose place, is over.
    Ended,
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
    /// Forward a form though the pass has ended: it was being filled in. Bounded to [`LATE_FORMS`] a pass; it renews nothing.
    Late(Token),
    /// Forward without a pass: nobody is held back here, or the store is away and the room fails open.
    Open,
    /// Forward somebody who only looks, if the line lets them: the room is calm.
    Visit,
    /// Forward a preflight, bare and at a bounded rate.
    Preflight,
    /// Forward a return from a payment page without a pass, at a rate of the address and in a small part of the permits.
    Return,
    /// Trade a called ticket, or a pass that has run out and may live on in the line, for a pass; then forward.
    Claim(Token),
    /// Take a number; if it is called at once, claim it.
    Join,
    /// Take a number only if it can be claimed at once.
    JoinIfCalled,
    /// Ask to confirm: the answer is an arrival, and no number is taken before it comes back.
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
    /// Of a part of the line that was forgotten, or a provisional ticket that nobody knows.
    OldLine,
    /// A pass that was given back.
    Revoked,
    /// A pass that lost its seat.
    Evicted,
}

/// A verdict, and why a token that was shown did not count.
pub type Decision = (Verdict, Option<Ignored>);

/// Whether a request goes on with its pass, whatever it is for: [`Verdict::Enter`] or nothing. [`admit`] says the same; this
/// is for a caller that has yet to read what kind of request it is.
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
    // Who shows nothing of this room has no form that could be kept.
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

/// A pass whose text has run out may live on in the line: a renewal was committed, and the cookie never heard of it.
/// Then it is the same pass to a claim of its number; else the number is used up. It is not asked when nothing can
/// have come of it: a text can be renewed until its end, and for one session, and none beyond `max_session`.
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

/// A form that was begun inside and comes within `form_grace` of the end of its pass. Never one of a pass that was taken away,
/// or that would be over by now however often it was renewed.
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

/// A pass that has lost its seat is worth the called ticket that it was.
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
        // Somebody has paid: in a suspended room too, where the passes are kept.
        return Verdict::Return;
    }
    let arrival = token.filter(|t| t.kind == Kind::Arrival);
    let token = token.filter(|t| t.kind != Kind::Arrival);
    if room.suspended {
        // Whoever has a place is told that it is kept.
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
        // It trades nothing; but whoever has a place is told so.
        Some(ticket) => Verdict::Wait(ticket),
        None => newcomer(context, arrival, intent),
    }
}

/// Whether a request counts as somebody who comes, without having to confirm.
fn is_counted(intent: Intent) -> bool {
    matches!(intent, Intent::Page | Intent::Json | Intent::Submit)
}

/// Somebody who is in the line.
fn place(context: AdmitContext<'_>, ticket: Token) -> Verdict {
    let called = context.line.is_some_and(|line| ticket.kind == Kind::Ticket && line.segments.is_called(ticket.number));
    let away = context.store_away && !context.on_lease;
    if called && context.room.rules.open && !away && !context.shop_rests {
        Verdict::Claim(ticket)
    } else {
        Verdict::Wait(ticket)
    }
}

/// Somebody whom nobody knows, or who was asked to confirm.
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
        _ if reject && context.shop_rests => Verdict::Refuse(Refusal::Full),
        (true, true) => Verdict::Refuse(Refusal::Full),
        _ if let Some(Token { number, .. }) = arrival => Verdict::Arrive(Arrival { id: number, if_called: reject }),
        _ if confirms || context.room.join == Join::Confirmed => Verdict::Confirm,
        (true, false) => Verdict::JoinIfCalled,
        (false, true) => Verdict::JoinLater,
        (false, false) => Verdict::Join,
    }
}

/// The token that counts, or why the shown one does not.
fn valid(context: AdmitContext<'_>, credential: Credential) -> Result<Option<Token>, Ignored> {
    let token = match credential {
        Credential::None => return Ok(None),
        Credential::Bad(Rejected::Malformed) => return Err(Ignored::Malformed),
        Credential::Bad(Rejected::Forged) => return Err(Ignored::Forged),
        Credential::Bad(Rejected::Foreign) => return Err(Ignored::Foreign),
        Credential::Sealed(token) => token,
    };
    let Some(line) = context.line else {
        // Without a copy of the line a seal cannot be told from an old one's: let it wait, not in.
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
        Kind::Arrival if is_ahead(&token, context.now) => Err(Ignored::Expired),
        _ => Ok(Some(token)),
    }
}

/// Whether an arrival was issued by a clock that is ahead: it would outlive what the line remembers of it.
fn is_ahead(arrival: &Token, now: Millis) -> bool {
    arrival.expires > now + ARRIVAL_LIFE + CLOCKS
}

/// A provisional ticket becomes the ticket whose number it was given when the store came back. One without
/// a number stays what it is, wherever it is shown: its gateway may be on the way to number it, or dead. Those of a run are
/// numbered in order: where later ones have numbers and this one has none, its record was forgotten.
fn provisional(line: &View, token: Token) -> Result<Token, Ignored> {
    let numbered = line.adopted.iter().find_map(|adopted| {
        let of = adopted.adopt;
        let index = token.number.checked_sub(of.first).filter(|&i| of.run == token.run && i < of.count)?;
        Some(Token { kind: Kind::Ticket, run: 0, number: adopted.base + index, ..token })
    });
    let is_later = |of: Adopt| of.run == token.run && of.first > token.number;
    match numbered {
        Some(ticket) => Ok(ticket),
        None if line.adopted.iter().any(|adopted| is_later(adopted.adopt)) => Err(Ignored::OldLine),
        None => Ok(token),
    }
}

#[cfg(test)]
mod tests;
