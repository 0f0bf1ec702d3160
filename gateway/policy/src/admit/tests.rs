use super::*;
use crate::line::segment::SPAN;
use crate::line::{Adopted, Segment, Segments};
use crate::room::Rules;

/// The open segment; the one before it was forgotten.
const BASE: u64 = 9 * SPAN;
const FORGOTTEN: u64 = 2 * SPAN;
const NOW: Millis = 1_000_000;

fn room() -> Room {
    Room::new(Rules::per_minute(600))
}

fn view() -> View {
    let adopted = vec![Adopted { adopt: Adopt { incarnation: 9, first: 1, count: 3 }, base: BASE + 31, seed: None }];
    let before = vec![Segment { base: 3 * SPAN, next: 3 * SPAN + 9, serving: 3 * SPAN + 4 }];
    let segments = Segments { before, open: Segment { base: BASE, next: BASE + 100, serving: BASE + 50 } };
    View { segments, forgotten: FORGOTTEN + SPAN, now: NOW, adopted, ..View::default() }
}

fn ticket(number: u64) -> Token {
    Token::ticket(BASE + number, NOW - 1)
}

fn kept(incarnation: u32, sequence: u64) -> Token {
    Token::provisional(incarnation, sequence, NOW)
}

fn pass() -> Token {
    Token::pass(BASE + 7, NOW - 10, NOW + 90)
}

/// The decision, with which [`enter`] has to agree before the intent is known.
fn admit(context: AdmitContext<'_>, credential: Credential, intent: Intent) -> Decision {
    let decision = super::admit(context, credential, intent);
    let enters = matches!(decision.0, Verdict::Enter { .. }).then_some(decision.0);
    assert_eq!(enter(context, credential), enters);
    decision
}

/// The verdict for this credential of a page in a room that answers.
fn with(room: &Room, credential: Credential) -> Decision {
    on(room, credential, Intent::Page, false)
}

/// The context before there is a copy of the line.
fn context(room: &Room) -> AdmitContext<'_> {
    AdmitContext {
        room,
        line: None,
        store_away: false,
        on_lease: false,
        shop_rests: false,
        now: NOW,
        pass: PassState::Lives,
    }
}

fn on(room: &Room, credential: Credential, intent: Intent, store_away: bool) -> Decision {
    let view = view();
    admit(
        AdmitContext {
            room,
            line: Some(&view),
            store_away,
            on_lease: false,
            shop_rests: false,
            now: NOW,
            pass: PassState::Lives,
        },
        credential,
        intent,
    )
}

#[test]
fn a_place_kept_before_those_that_have_numbers_was_forgotten_and_takes_a_new_one() {
    let adopted = vec![Adopted { adopt: Adopt { incarnation: 9, first: 6, count: 3 }, base: BASE + 31, seed: None }];
    let (room, line) = (room(), View { adopted, ..view() });
    let shown = |incarnation, sequence| {
        let context = AdmitContext {
            room: &room,
            line: Some(&line),
            store_away: false,
            on_lease: false,
            shop_rests: false,
            now: NOW,
            pass: PassState::Lives,
        };
        admit(context, Credential::Sealed(kept(incarnation, sequence)), Intent::Page)
    };
    assert_eq!(shown(9, 5), (Verdict::Join, Some(Ignored::OldLine)));
    for (incarnation, sequence) in [(9, 9), (8, 5)] {
        assert_eq!(
            shown(incarnation, sequence),
            (Verdict::Wait(kept(incarnation, sequence)), None),
            "it may be numbered yet"
        );
    }
}

#[test]
fn who_is_called_by_a_gateway_on_its_lease_claims_and_newcomers_keep_their_place() {
    let (room, view) = (Room { fail_mode: FailMode::Static, ..room() }, view());
    let on_lease = |on_lease, credential| {
        let context = AdmitContext {
            room: &room,
            line: Some(&view),
            store_away: true,
            on_lease,
            shop_rests: false,
            now: NOW,
            pass: PassState::Lives,
        };
        admit(context, credential, Intent::Page).0
    };
    let ticket = Token::ticket(view.segments.open.serving, NOW);
    assert_eq!(on_lease(true, Credential::Sealed(ticket)), Verdict::Claim(ticket));
    assert_eq!(on_lease(false, Credential::Sealed(ticket)), Verdict::Wait(ticket));
    let later = Token::ticket(view.segments.open.serving + 1, NOW);
    assert_eq!(on_lease(true, Credential::Sealed(later)), Verdict::Wait(later));
    assert_eq!([true, false].map(|on| on_lease(on, Credential::None)), [Verdict::JoinLater; 2]);
}

#[test]
fn while_the_shop_rests_nobody_claims_and_newcomers_take_their_place() {
    let (room, view) = (room(), view());
    let at = |room: &Room, credential, intent| {
        let context = AdmitContext {
            room,
            line: Some(&view),
            store_away: false,
            on_lease: false,
            shop_rests: true,
            now: NOW,
            pass: PassState::Lives,
        };
        admit(context, credential, intent).0
    };
    let called = Credential::Sealed(ticket(7));
    assert_eq!(at(&room, called, Intent::Page), Verdict::Wait(ticket(7)));
    assert_eq!(at(&room, called, Intent::Form), Verdict::Wait(ticket(7)));
    assert_eq!(at(&room, called, Intent::Submit), Verdict::Wait(ticket(7)), "the page holds the form");
    assert_eq!(at(&room, Credential::None, Intent::Json), Verdict::Join);
    let calm = View {
        segments: Segment { base: BASE, next: BASE + 50, serving: BASE + 60 }.into(),
        now: NOW,
        ..View::default()
    };
    for (intent, verdict) in [(Intent::Program, Verdict::Confirm), (Intent::Read, Verdict::Refuse(Refusal::NeedsPass))]
    {
        let context = AdmitContext { line: Some(&calm), ..context(&room) };
        assert_eq!(admit(context, Credential::None, intent).0, Verdict::Visit);
        let rests = AdmitContext { shop_rests: true, ..context };
        assert_eq!(admit(rests, Credential::None, intent).0, verdict, "a visit would find nobody");
    }
    let enters = Verdict::Enter { pass: pass(), renew: false };
    assert_eq!(at(&room, Credential::Sealed(pass()), Intent::Page), enters);
    let reject = Room { queueing_method: QueueingMethod::Reject, ..room };
    assert_eq!(at(&reject, Credential::None, Intent::Page), Verdict::Refuse(Refusal::Full));
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
    let numbered = Token { kind: Kind::Ticket, incarnation: 0, number: BASE + 33, ..kept(9, 3) };
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
        (Sealed(Token::pass(FORGOTTEN + 7, NOW, NOW + 100)), enters(Token::pass(FORGOTTEN + 7, NOW, NOW + 100), false)),
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
    // A form from the shop's own page takes a number if a token comes with it.
    assert_eq!(on(&room(), Credential::None, Intent::Submit, false).0, Verdict::Refuse(Refusal::NeedsPass));
    let bad = Credential::Bad(Rejected::Forged);
    assert_eq!(on(&room(), bad, Intent::Submit, false).0, Verdict::Refuse(Refusal::NeedsPass));
    assert_eq!(on(&room(), Credential::Sealed(ticket(51)), Intent::Submit, false).0, Verdict::Wait(ticket(51)));
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
        (Room { last_call: true, ..room() }, Refuse(Refusal::Suspended), Claim(called)),
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
fn a_return_from_a_payment_page_is_never_lost_and_uses_up_no_place() {
    let closed = Room { rules: Rules { open: false, ..Rules::per_minute(600) }, ..room() };
    let suspended = Room { suspended: true, ..room() };
    let reject = Room { queueing_method: QueueingMethod::Reject, join: Join::Confirmed, ..room() };
    let nothing = [Credential::None, Credential::Bad(Rejected::Forged), Credential::Sealed(Token::arrival(7, NOW))];
    let tickets = [50, 51].map(|number| Credential::Sealed(ticket(number)));
    for room in [room(), closed, suspended, reject] {
        for away in [false, true] {
            for credential in nothing.into_iter().chain(tickets) {
                assert_eq!(on(&room, credential, Intent::Return, away).0, Verdict::Return, "{credential:?} {room:?}");
            }
            let enters = Verdict::Enter { pass: pass(), renew: false };
            assert_eq!(on(&room, Credential::Sealed(pass()), Intent::Return, away).0, enters);
        }
        let ran_out = Credential::Sealed(Token::pass(BASE + 7, NOW - 100, NOW));
        let asked = Verdict::Claim(Token::ticket(BASE + 7, NOW));
        assert_eq!(on(&room, ran_out, Intent::Return, false).0, asked, "the pass may live on in the line");
        let late = Token::pass(BASE + 7, NOW - 100, NOW);
        assert_eq!(on(&room, ran_out, Intent::Return, true).0, Verdict::Late(late), "it is as good as in time");
        let over = NOW - room.rules.form_grace;
        let over = Credential::Sealed(Token::pass(BASE + 7, over - 100, over));
        assert_eq!(on(&room, over, Intent::Return, true).0, Verdict::Return);
    }
    let passthrough = Room { queueing_method: QueueingMethod::Passthrough, ..room() };
    let open = Room { fail_mode: FailMode::Open, ..room() };
    for (room, away) in [(passthrough, false), (open, true)] {
        assert_eq!(on(&room, Credential::None, Intent::Return, away).0, Verdict::Open);
    }
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
        let context = AdmitContext { line: Some(line), store_away, ..context(room) };
        admit(context, credential, intent).0
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
fn a_pass_that_was_renewed_up_to_max_session_is_not_renewed_nor_late_nor_asked_of_the_line() {
    let max = 1_000;
    let rules = Rules { max_session: Some(max), session: 400, form_grace: 300, ..Rules::per_minute(600) };
    let room = Room { rules, ..room() };
    let pass = |admitted, expires| Token { admitted, ..Token::pass(BASE + 7, expires - 200, expires) };
    let renews =
        |pass| on(&room, Credential::Sealed(pass), Intent::Page, false).0 == Verdict::Enter { pass, renew: true };
    assert!(renews(pass(NOW - 800, NOW + 50)) && !renews(pass(NOW - 950, NOW + 50)));
    let form = |admitted, expires, away| on(&room, Credential::Sealed(pass(admitted, expires)), Intent::Form, away).0;
    let asked = Verdict::Claim(Token::ticket(BASE + 7, NOW));
    for (expires, away) in [(NOW, false), (NOW - 299, true)] {
        let late = pass(NOW - max + 1, expires);
        let taken = if away { Verdict::Late(late) } else { asked };
        assert_eq!(form(late.admitted, expires, away), taken, "a moment before it");
        assert_eq!(form(NOW - max, expires, away), Verdict::Refuse(Refusal::Ended), "never after it");
    }
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
    let context = AdmitContext {
        room: &room,
        line: Some(&view),
        store_away: false,
        on_lease: false,
        shop_rests: false,
        now: NOW,
        pass: PassState::Revoked,
    };
    let decision = admit(context, Credential::Sealed(pass()), Intent::Page);
    assert_eq!(decision, (Verdict::Join, Some(Ignored::Revoked)));
    let ended = Credential::Sealed(Token::pass(BASE + 7, NOW - 100, NOW));
    assert_eq!(admit(context, ended, Intent::Page), (Verdict::Join, Some(Ignored::Expired)));
}

#[test]
fn a_form_goes_through_for_a_while_after_the_end_of_its_pass_and_nothing_else_does() {
    let (room, view) = (room(), view());
    let grace = room.rules.form_grace;
    let shown = |room: &Room, expires, intent, pass| {
        let context = AdmitContext {
            room,
            line: Some(&view),
            store_away: false,
            on_lease: false,
            shop_rests: false,
            now: NOW,
            pass,
        };
        admit(context, Credential::Sealed(Token::pass(BASE + 7, expires - 100, expires)), intent).0
    };
    let (first, late) = (NOW - grace + 1, |expires| Verdict::Late(Token::pass(BASE + 7, expires - 100, expires)));
    for intent in [Intent::Form, Intent::Submit] {
        assert_eq!(shown(&room, NOW, intent, PassState::Lives), Verdict::Claim(Token::ticket(BASE + 7, NOW)));
        for expires in [NOW, first] {
            assert_eq!(shown(&room, expires, intent, PassState::Spent), late(expires));
        }
        let then = if intent == Intent::Form { Verdict::Refuse(Refusal::Ended) } else { Verdict::Join };
        assert_eq!(shown(&room, first - 1, intent, PassState::Spent), then);
        for taken in [PassState::Overdrawn, PassState::Revoked] {
            assert_eq!(shown(&room, NOW, intent, taken), then, "{taken:?}");
        }
        let none = Room { rules: Rules { form_grace: 0, ..room.rules.clone() }, ..room.clone() };
        assert_eq!(shown(&none, NOW, intent, PassState::Spent), then);
    }
    assert_eq!(shown(&room, NOW, Intent::Page, PassState::Spent), Verdict::Join);
    assert_eq!(shown(&room, NOW, Intent::Other, PassState::Spent), Verdict::Refuse(Refusal::NeedsPass));
}

#[test]
fn a_pass_that_lost_its_seat_is_worth_its_place() {
    let view = view();
    let shown = |room: &Room, store_away, intent| {
        let line = Some(&view);
        let context = AdmitContext {
            room,
            line,
            store_away,
            on_lease: false,
            shop_rests: false,
            now: NOW,
            pass: PassState::Evicted,
        };
        admit(context, Credential::Sealed(pass()), intent)
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
    let context = AdmitContext {
        room: &room,
        line: None,
        store_away: false,
        on_lease: false,
        shop_rests: false,
        now: NOW,
        pass: PassState::Lives,
    };
    assert_eq!(admit(context, Credential::Sealed(pass()), Intent::Page), (Verdict::Join, None));
    assert_eq!(admit(context, Credential::Sealed(ticket(1)), Intent::Page), (Verdict::Wait(ticket(1)), None));
}
