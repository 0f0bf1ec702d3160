//! All the `if`s of a request, and nothing else.
//!
//! [`admit`] looks at what a shopper holds, what kind of request it is and a copy of the line, and
//! says what is to be done. The copy may be stale: a stale `serving` admits too few, never too many,
//! because a claim is decided by the line itself.

use crate::Millis;
use crate::line::{Adopt, Arrival, View};
use crate::room::{FailMode, Join, QueueingMethod, Room};
use crate::seal::Rejected;
use crate::ticket::{ARRIVAL_LIFE, Kind, Token};

/// Readings of the store's clock differ by less than this among gateways.
const CLOCKS: Millis = 1_000;

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
    /// Everything else: upgrades, methods that nobody knows.
    Other,
}

impl Intent {
    /// Whether a place in the line can come of it, and a called ticket be traded.
    pub fn asks(self) -> bool {
        matches!(self, Self::Page | Self::Json | Self::Program)
    }
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
    /// Whether this gateway lives on its lease meanwhile: `line` is as it has moved it on.
    pub on_lease: bool,
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
    /// Forward somebody who only looks, if the line lets them: the room is calm.
    Visit,
    /// Forward a preflight, bare and at a bounded rate.
    Preflight,
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

/// Decides on a request that belongs to a room.
pub fn admit(scene: Scene<'_>, credential: Credential, intent: Intent) -> Decision {
    match valid(scene, credential) {
        Ok(token) => (decide(scene, token, intent), None),
        Err(Ignored::Evicted) => (decide(scene, evicted(scene, credential), intent), Some(Ignored::Evicted)),
        Err(ignored) => {
            let claim = ended_pass(scene, credential, ignored).filter(|_| intent.asks() || intent == Intent::Form);
            (claim.map_or_else(|| decide(scene, None, intent), Verdict::Claim), Some(ignored))
        }
    }
}

/// A pass whose text has run out may live on in the line: a renewal was committed, and the cookie never heard of it.
/// Then it is the same pass to a claim of its number; else the number is used up. It is not asked when nothing can
/// have come of it: a text can be renewed until its end, and for one session.
fn ended_pass(scene: Scene<'_>, credential: Credential, ignored: Ignored) -> Option<Token> {
    let (Credential::Sealed(pass), Some(line), Ignored::Expired) = (credential, scene.line, ignored) else {
        return None;
    };
    if scene.store_away || scene.room.queueing_method == QueueingMethod::Passthrough {
        return None;
    }
    let may_live = pass.kind == Kind::Pass && scene.now < pass.expires.saturating_add(scene.room.rules.session);
    let known = scene.pass != PassState::Revoked && line.segments.is_called(pass.number) && !line.forgot(pass.number);
    (may_live && known).then(|| Token::ticket(pass.number, scene.now))
}

/// A pass that has lost its seat is worth the called ticket that it was.
fn evicted(scene: Scene<'_>, credential: Credential) -> Option<Token> {
    let (Credential::Sealed(pass), Some(line)) = (credential, scene.line) else { return None };
    (!line.forgot(pass.number)).then(|| Token::ticket(pass.number, scene.now))
}

fn decide(scene: Scene<'_>, token: Option<Token>, intent: Intent) -> Verdict {
    let room = scene.room;
    if let Some(pass) = token.filter(|t| t.kind == Kind::Pass) {
        let renew = !room.disable_session_renewal && pass.past_half_life(scene.now);
        return Verdict::Enter { pass, renew };
    }
    let arrival = token.filter(|t| t.kind == Kind::Arrival);
    let token = token.filter(|t| t.kind != Kind::Arrival);
    if room.suspended {
        // Whoever has a place is told that it is kept.
        return token.filter(|_| intent.asks()).map_or(Verdict::Refuse(Refusal::Suspended), Verdict::Wait);
    }
    if room.queueing_method == QueueingMethod::Passthrough {
        return if is_counted(intent) && !scene.store_away { Verdict::Join } else { Verdict::Open };
    }
    if scene.store_away && room.fail_mode == FailMode::Open {
        return Verdict::Open;
    }
    if intent == Intent::Preflight {
        return Verdict::Preflight;
    }
    match token {
        Some(ticket) if intent.asks() || intent == Intent::Form => place(scene, ticket),
        // It trades nothing; but whoever has a place is told so.
        Some(ticket) => Verdict::Wait(ticket),
        None => newcomer(scene, arrival, intent),
    }
}

/// Whether a request counts as somebody who comes, without having to confirm.
fn is_counted(intent: Intent) -> bool {
    matches!(intent, Intent::Page | Intent::Json)
}

/// Somebody who is in the line.
fn place(scene: Scene<'_>, ticket: Token) -> Verdict {
    let called = scene.line.is_some_and(|line| ticket.kind == Kind::Ticket && line.segments.is_called(ticket.number));
    let away = scene.store_away && !scene.on_lease;
    if called && scene.room.rules.open && !away { Verdict::Claim(ticket) } else { Verdict::Wait(ticket) }
}

/// Somebody whom nobody knows, or who was asked to confirm.
fn newcomer(scene: Scene<'_>, arrival: Option<Token>, intent: Intent) -> Verdict {
    let calm = !scene.store_away && scene.line.is_some_and(|line| line.is_calm(&scene.room.rules));
    match intent {
        Intent::Program if calm && arrival.is_none() => Verdict::Visit,
        Intent::Read if calm => Verdict::Visit,
        _ if intent.asks() => arrives(scene, arrival, !is_counted(intent)),
        _ => Verdict::Refuse(Refusal::NeedsPass),
    }
}

/// A newcomer who may take a number.
fn arrives(scene: Scene<'_>, arrival: Option<Token>, confirms: bool) -> Verdict {
    let reject = scene.room.queueing_method == QueueingMethod::Reject;
    match (reject, scene.store_away) {
        (true, true) => Verdict::Refuse(Refusal::Full),
        _ if let Some(Token { number, .. }) = arrival => Verdict::Arrive(Arrival { id: number, if_called: reject }),
        _ if confirms || scene.room.join == Join::Confirmed => Verdict::Confirm,
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
        let ended = token.kind == Kind::Arrival && (token.expires <= scene.now || is_ahead(&token, scene.now));
        return Ok(Some(token).filter(|t| t.kind != Kind::Pass && !ended));
    };
    if token.expires <= scene.now {
        return Err(Ignored::Expired);
    }
    match token.kind {
        Kind::Provisional => provisional(line, token).map(Some),
        Kind::Ticket if line.forgot(token.number) => Err(Ignored::OldLine),
        Kind::Pass if scene.pass == PassState::Revoked => Err(Ignored::Revoked),
        Kind::Pass if scene.pass == PassState::Evicted => Err(Ignored::Evicted),
        Kind::Arrival if is_ahead(&token, scene.now) => Err(Ignored::Expired),
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
mod tests {
    use super::*;
    use crate::line::segment::SPAN;
    use crate::line::{Adopted, Segment, Segments};
    use crate::room::Rules;

    /// The segment that is open, and one before it that was forgotten.
    const BASE: u64 = 9 * SPAN;
    const FORGOTTEN: u64 = 2 * SPAN;
    const NOW: Millis = 1_000_000;

    fn room() -> Room {
        Room {
            rules: Rules::per_minute(600),
            queueing_method: QueueingMethod::Fifo,
            join: Join::Direct,
            suspended: false,
            disable_session_renewal: false,
            json_response_enabled: true,
            fail_mode: FailMode::Closed,
        }
    }

    fn view() -> View {
        let adopted = vec![Adopted { adopt: Adopt { run: 9, first: 1, count: 3 }, base: BASE + 31 }];
        let before = vec![Segment { base: 3 * SPAN, next: 3 * SPAN + 9, serving: 3 * SPAN + 4 }];
        let segments = Segments { before, open: Segment { base: BASE, next: BASE + 100, serving: BASE + 50 } };
        View { segments, forgotten: FORGOTTEN + SPAN, now: NOW, adopted, ..View::default() }
    }

    fn ticket(number: u64) -> Token {
        Token::ticket(BASE + number, NOW - 1)
    }

    fn kept(run: u32, sequence: u64) -> Token {
        Token::provisional(run, sequence, NOW)
    }

    fn pass() -> Token {
        Token::pass(BASE + 7, NOW - 10, NOW + 90)
    }

    /// The verdict for this credential of a page in a room that answers.
    fn with(room: &Room, credential: Credential) -> Decision {
        on(room, credential, Intent::Page, false)
    }

    fn on(room: &Room, credential: Credential, intent: Intent, store_away: bool) -> Decision {
        let view = view();
        admit(
            Scene { room, line: Some(&view), store_away, on_lease: false, now: NOW, pass: PassState::Lives },
            credential,
            intent,
        )
    }

    #[test]
    fn a_place_kept_before_those_that_have_numbers_was_forgotten_and_takes_a_new_one() {
        let adopted = vec![Adopted { adopt: Adopt { run: 9, first: 6, count: 3 }, base: BASE + 31 }];
        let (room, line) = (room(), View { adopted, ..view() });
        let shown = |run, sequence| {
            let scene = Scene {
                room: &room,
                line: Some(&line),
                store_away: false,
                on_lease: false,
                now: NOW,
                pass: PassState::Lives,
            };
            admit(scene, Credential::Sealed(kept(run, sequence)), Intent::Page)
        };
        assert_eq!(shown(9, 5), (Verdict::Join, Some(Ignored::OldLine)));
        for (run, sequence) in [(9, 9), (8, 5)] {
            assert_eq!(shown(run, sequence), (Verdict::Wait(kept(run, sequence)), None), "it may be numbered yet");
        }
    }

    #[test]
    fn who_is_called_by_a_gateway_on_its_lease_claims_and_newcomers_keep_their_place() {
        let (room, view) = (Room { fail_mode: FailMode::Static, ..room() }, view());
        let on_lease = |on_lease, credential| {
            let scene =
                Scene { room: &room, line: Some(&view), store_away: true, on_lease, now: NOW, pass: PassState::Lives };
            admit(scene, credential, Intent::Page).0
        };
        let ticket = Token::ticket(view.segments.open.serving, NOW);
        assert_eq!(on_lease(true, Credential::Sealed(ticket)), Verdict::Claim(ticket));
        assert_eq!(on_lease(false, Credential::Sealed(ticket)), Verdict::Wait(ticket));
        let later = Token::ticket(view.segments.open.serving + 1, NOW);
        assert_eq!(on_lease(true, Credential::Sealed(later)), Verdict::Wait(later));
        assert_eq!([true, false].map(|on| on_lease(on, Credential::None)), [Verdict::JoinLater; 2]);
    }

    #[test]
    fn every_credential_has_its_verdict() {
        use Credential::{Bad, None as Nothing, Sealed};
        let (old, earlier) = (Token::ticket(FORGOTTEN + 7, NOW), |n| Token::ticket(3 * SPAN + n, NOW));
        let unheard_of = Token::ticket(5 * SPAN + 1, NOW);
        let half = Token::pass(BASE + 7, NOW - 50, NOW + 50);
        let ran_out = Token::pass(BASE + 7, NOW - 100, NOW);
        let long_over = Token::pass(BASE + 7, NOW - 400_000, NOW - room().rules.session);
        let ended_before = Token::pass(FORGOTTEN + 7, NOW - 100, NOW);
        let long_gone = Token { expires: NOW, ..ticket(7) };
        let enters = |pass, renew| (Verdict::Enter { pass, renew }, None);
        let numbered = Token { kind: Kind::Ticket, run: 0, number: BASE + 33, ..kept(9, 3) };
        let joins = |why| (Verdict::Join, Some(why));
        let table = [
            (Nothing, (Verdict::Join, None)),
            (Bad(Rejected::Malformed), joins(Ignored::Malformed)),
            (Bad(Rejected::Forged), joins(Ignored::Forged)),
            (Bad(Rejected::Foreign), joins(Ignored::Foreign)),
            (Sealed(pass()), enters(pass(), false)),
            (Sealed(half), enters(half, true)),
            (Sealed(ran_out), (Verdict::Claim(Token::ticket(BASE + 7, NOW)), Some(Ignored::Expired))),
            (Sealed(long_over), joins(Ignored::Expired)),
            (Sealed(ended_before), joins(Ignored::Expired)),
            (
                Sealed(Token::pass(FORGOTTEN + 7, NOW, NOW + 100)),
                enters(Token::pass(FORGOTTEN + 7, NOW, NOW + 100), false),
            ),
            (Sealed(ticket(50)), (Verdict::Claim(ticket(50)), None)),
            (Sealed(ticket(51)), (Verdict::Wait(ticket(51)), None)),
            (Sealed(ticket(999)), (Verdict::Wait(ticket(999)), None)),
            (Sealed(long_gone), joins(Ignored::Expired)),
            (Sealed(old), joins(Ignored::OldLine)),
            (Sealed(earlier(4)), (Verdict::Claim(earlier(4)), None)),
            (Sealed(earlier(5)), (Verdict::Wait(earlier(5)), None)),
            (Sealed(unheard_of), (Verdict::Wait(unheard_of), None)),
            (Sealed(kept(9, 3)), (Verdict::Claim(numbered), None)),
            (Sealed(kept(9, 4)), (Verdict::Wait(kept(9, 4)), None)),
            (Sealed(kept(8, 1)), (Verdict::Wait(kept(8, 1)), None)),
        ];
        for (credential, decision) in table {
            assert_eq!(with(&room(), credential), decision, "{credential:?}");
        }
    }

    #[test]
    fn only_pages_and_json_take_a_number_and_a_preflight_goes_to_the_upstream() {
        for intent in [Intent::Page, Intent::Json] {
            assert_eq!(on(&room(), Credential::None, intent, false).0, Verdict::Join);
            assert_eq!(on(&room(), Credential::Sealed(ticket(50)), intent, false).0, Verdict::Claim(ticket(50)));
        }
        for credential in [Credential::None, Credential::Sealed(ticket(50)), Credential::Sealed(ticket(51))] {
            let told = match credential {
                Credential::Sealed(ticket) => Verdict::Wait(ticket),
                _ => Verdict::Refuse(Refusal::NeedsPass),
            };
            for intent in [Intent::Other, Intent::Read] {
                assert_eq!(on(&room(), credential, intent, false).0, told, "{intent:?}");
            }
            assert_eq!(on(&room(), credential, Intent::Preflight, false), (Verdict::Preflight, None));
        }
        let claims = Verdict::Claim(ticket(50));
        assert_eq!(on(&room(), Credential::Sealed(ticket(50)), Intent::Form, false).0, claims);
        assert_eq!(on(&room(), Credential::None, Intent::Form, false).0, Verdict::Refuse(Refusal::NeedsPass));
        assert_eq!(on(&room(), Credential::Sealed(ticket(51)), Intent::Form, false).0, Verdict::Wait(ticket(51)));
        let away = on(&room(), Credential::Sealed(ticket(50)), Intent::Form, true).0;
        assert_eq!(away, Verdict::Wait(ticket(50)), "nobody can trade it");
        let enters = Verdict::Enter { pass: pass(), renew: false };
        assert_eq!(on(&room(), Credential::Sealed(pass()), Intent::Other, false).0, enters);
    }

    #[test]
    fn every_kind_of_room_has_its_verdict() {
        use Verdict::{Claim, Join, JoinIfCalled, Refuse, Wait};
        let method = |queueing_method| Room { queueing_method, ..room() };
        let closed = Room { rules: Rules { open: false, ..Rules::per_minute(600) }, ..room() };
        let suspended = Room { suspended: true, ..room() };
        let called = ticket(50);
        // The verdicts for a newcomer and for the holder of a called ticket.
        let table = [
            (room(), Join, Claim(called)),
            (method(QueueingMethod::Reject), JoinIfCalled, Claim(called)),
            (method(QueueingMethod::Passthrough), Join, Join),
            (closed, Join, Wait(called)),
            (suspended, Refuse(Refusal::Suspended), Wait(called)),
        ];
        for (room, newcomer, holder) in table {
            assert_eq!(with(&room, Credential::None).0, newcomer, "{room:?}");
            assert_eq!(with(&room, Credential::Sealed(called)).0, holder, "{room:?}");
            let enters = Verdict::Enter { pass: pass(), renew: false };
            assert_eq!(with(&room, Credential::Sealed(pass())).0, enters, "passes keep: {room:?}");
        }
        let passthrough = method(QueueingMethod::Passthrough);
        assert_eq!(on(&passthrough, Credential::None, Intent::Other, false).0, Verdict::Open);
    }

    #[test]
    fn an_arrival_that_comes_back_is_traded_and_a_room_with_confirmed_joins_asks_for_one() {
        let confirmed = Room { join: Join::Confirmed, ..room() };
        let reject = |join| Room { queueing_method: QueueingMethod::Reject, join, ..room() };
        let passthrough = Room { queueing_method: QueueingMethod::Passthrough, ..confirmed.clone() };
        let (fresh, arrives) = (Token::arrival(7, NOW - 1), |if_called| Verdict::Arrive(Arrival { id: 7, if_called }));
        let table = [
            (room(), Verdict::Join, arrives(false)),
            (confirmed.clone(), Verdict::Confirm, arrives(false)),
            (reject(Join::Direct), Verdict::JoinIfCalled, arrives(true)),
            (reject(Join::Confirmed), Verdict::Confirm, arrives(true)),
            (passthrough, Verdict::Join, Verdict::Join),
        ];
        for (room, newcomer, back) in table {
            assert_eq!(with(&room, Credential::None).0, newcomer, "{room:?}");
            assert_eq!(with(&room, Credential::Sealed(fresh)).0, back, "{room:?}");
        }
        let of_another_clock = Token::arrival(7, NOW + 60_000);
        for over in [Token::arrival(7, NOW - ARRIVAL_LIFE), of_another_clock] {
            let again = (Verdict::Confirm, Some(Ignored::Expired));
            assert_eq!(with(&confirmed, Credential::Sealed(over)), again, "{over:?}");
        }
        for intent in [Intent::Other, Intent::Form] {
            let refused = Verdict::Refuse(Refusal::NeedsPass);
            assert_eq!(on(&confirmed, Credential::Sealed(fresh), intent, false).0, refused, "an arrival is no place");
        }
        let suspended = Room { suspended: true, ..confirmed.clone() };
        assert_eq!(with(&suspended, Credential::Sealed(fresh)).0, Verdict::Refuse(Refusal::Suspended));
        assert_eq!(on(&confirmed, Credential::Sealed(fresh), Intent::Page, true).0, arrives(false), "a place is kept");
        assert_eq!(on(&confirmed, Credential::None, Intent::Page, true).0, Verdict::Confirm);
    }

    #[test]
    fn a_calm_room_may_be_looked_at_and_a_program_that_comes_back_is_a_shopper() {
        use Verdict::{Arrive, Confirm, Refuse, Visit, Wait};
        let calm = View {
            segments: Segment { base: BASE, next: BASE + 50, serving: BASE + 60 }.into(),
            now: NOW,
            active: 3,
            ..View::default()
        };
        let at = |room: &Room, line: &View, credential, intent, store_away| {
            let scene = Scene { room, line: Some(line), store_away, on_lease: false, now: NOW, pass: PassState::Lives };
            admit(scene, credential, intent).0
        };
        let needs = Refuse(Refusal::NeedsPass);
        let asked = |room: &Room, line: &View| {
            [Intent::Program, Intent::Read].map(|intent| at(room, line, Credential::None, intent, false))
        };
        assert_eq!(asked(&room(), &calm), [Visit, Visit]);
        assert_eq!([Intent::Form, Intent::Other].map(|i| at(&room(), &calm, Credential::None, i, false)), [needs; 2]);
        let rules = |change: fn(&mut Rules)| {
            let mut room = room();
            change(&mut room.rules);
            room
        };
        let rejects = Room { queueing_method: QueueingMethod::Reject, ..room() };
        assert_eq!(asked(&rejects, &calm), [Visit, Visit]);
        for (room, line) in [
            (room(), view()),
            (room(), View { claimants: 1, ..calm.clone() }),
            (rules(|rules| rules.total_active_users = Some(3)), calm.clone()),
            (rules(|rules| rules.open = false), calm.clone()),
            (rules(|rules| rules.visits = 0.0), calm.clone()),
            (rejects, view()),
        ] {
            assert_eq!(asked(&room, &line), [Confirm, needs], "{room:?} {line:?}");
        }
        let away = [Intent::Program, Intent::Read].map(|i| at(&room(), &calm, Credential::None, i, true));
        assert_eq!(away, [Confirm, needs]);

        let arrival = Credential::Sealed(Token::arrival(7, NOW - 1));
        for line in [&calm, &view()] {
            let arrives = Arrive(Arrival { id: 7, if_called: false });
            assert_eq!(at(&room(), line, arrival, Intent::Program, false), arrives);
        }
        assert_eq!(at(&room(), &calm, arrival, Intent::Read, false), Visit);
        assert_eq!(on(&room(), Credential::Sealed(ticket(50)), Intent::Program, false).0, Verdict::Claim(ticket(50)));
        assert_eq!(on(&room(), Credential::Sealed(ticket(51)), Intent::Program, false).0, Wait(ticket(51)));
        let suspended = Room { suspended: true, ..room() };
        assert_eq!(asked(&suspended, &calm), [Refuse(Refusal::Suspended); 2]);
        let passthrough = Room { queueing_method: QueueingMethod::Passthrough, ..room() };
        assert_eq!(asked(&passthrough, &calm), [Verdict::Open; 2], "they are not counted");
    }

    #[test]
    fn a_pass_of_a_room_without_renewal_is_not_extended() {
        let half = Token::pass(BASE + 7, NOW - 50, NOW + 50);
        let room = Room { disable_session_renewal: true, ..room() };
        assert_eq!(with(&room, Credential::Sealed(half)).0, Verdict::Enter { pass: half, renew: false });
    }

    #[test]
    fn the_line_is_asked_of_an_expired_pass_by_pages_and_forms_in_every_room_while_it_answers() {
        let ran_out = Credential::Sealed(Token::pass(BASE + 7, NOW - 100, NOW));
        let asked = Verdict::Claim(Token::ticket(BASE + 7, NOW));
        let closed = Room { rules: Rules { open: false, ..Rules::per_minute(600) }, ..room() };
        let suspended = Room { suspended: true, ..room() };
        for room in [room(), closed, suspended] {
            for intent in [Intent::Page, Intent::Json, Intent::Form] {
                assert_eq!(on(&room, ran_out, intent, false).0, asked, "{intent:?} {room:?}");
            }
            let nothing = |intent, away| on(&room, Credential::None, intent, away).0;
            assert_eq!(on(&room, ran_out, Intent::Other, false).0, nothing(Intent::Other, false));
            assert_eq!(on(&room, ran_out, Intent::Page, true).0, nothing(Intent::Page, true));
        }
        let passthrough = Room { queueing_method: QueueingMethod::Passthrough, ..room() };
        assert_eq!(on(&passthrough, ran_out, Intent::Page, false).0, Verdict::Join);
    }

    #[test]
    fn a_revoked_pass_is_worth_nothing() {
        let (room, view) = (room(), view());
        let scene = Scene {
            room: &room,
            line: Some(&view),
            store_away: false,
            on_lease: false,
            now: NOW,
            pass: PassState::Revoked,
        };
        let decision = admit(scene, Credential::Sealed(pass()), Intent::Page);
        assert_eq!(decision, (Verdict::Join, Some(Ignored::Revoked)));
        let ended = Credential::Sealed(Token::pass(BASE + 7, NOW - 100, NOW));
        assert_eq!(admit(scene, ended, Intent::Page), (Verdict::Join, Some(Ignored::Expired)));
    }

    #[test]
    fn a_pass_that_lost_its_seat_is_worth_its_place() {
        let view = view();
        let shown = |room: &Room, store_away, intent| {
            let line = Some(&view);
            let scene = Scene { room, line, store_away, on_lease: false, now: NOW, pass: PassState::Evicted };
            admit(scene, Credential::Sealed(pass()), intent)
        };
        let (place, why) = (Token::ticket(BASE + 7, NOW), Some(Ignored::Evicted));
        for intent in [Intent::Page, Intent::Json, Intent::Form] {
            assert_eq!(shown(&room(), false, intent), (Verdict::Claim(place), why));
        }
        for intent in [Intent::Read, Intent::Other] {
            assert_eq!(shown(&room(), false, intent), (Verdict::Wait(place), why), "it is told so");
        }
        let suspended = Room { suspended: true, ..room() };
        for (room, store_away) in [(&suspended, false), (&room(), true)] {
            assert_eq!(shown(room, store_away, Intent::Page), (Verdict::Wait(place), why), "its place is kept");
        }
    }

    #[test]
    fn while_the_store_is_away_each_room_does_what_it_declared() {
        use Verdict::{JoinLater, Open, Refuse, Wait};
        let open = Room { fail_mode: FailMode::Open, ..room() };
        let reject = Room { queueing_method: QueueingMethod::Reject, ..room() };
        let passthrough = Room { queueing_method: QueueingMethod::Passthrough, ..room() };
        let called = ticket(50);
        let table = [
            (room(), JoinLater, Wait(called)),
            (open, Open, Open),
            (reject, Refuse(Refusal::Full), Wait(called)),
            (passthrough, Open, Open),
        ];
        for (room, newcomer, holder) in table {
            assert_eq!(on(&room, Credential::None, Intent::Page, true).0, newcomer, "{room:?}");
            assert_eq!(on(&room, Credential::Sealed(called), Intent::Page, true).0, holder, "{room:?}");
            let enters = Verdict::Enter { pass: pass(), renew: false };
            assert_eq!(on(&room, Credential::Sealed(pass()), Intent::Page, true).0, enters, "{room:?}");
        }
        assert_eq!(on(&room(), Credential::Sealed(kept(9, 4)), Intent::Page, true), (Wait(kept(9, 4)), None));
    }

    #[test]
    fn without_a_copy_of_the_line_nobody_gets_in() {
        let room = room();
        let scene =
            Scene { room: &room, line: None, store_away: false, on_lease: false, now: NOW, pass: PassState::Lives };
        assert_eq!(admit(scene, Credential::Sealed(pass()), Intent::Page), (Verdict::Join, None));
        assert_eq!(admit(scene, Credential::Sealed(ticket(1)), Intent::Page), (Verdict::Wait(ticket(1)), None));
    }
}
