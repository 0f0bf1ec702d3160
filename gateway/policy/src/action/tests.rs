use super::*;

const NOW: Millis = 1_000_000;

fn running() -> Controls {
    Controls { new_users_per_minute: 600, max_new_users_per_minute: Some(1_000), ..Controls::default() }
}

fn done(room: &Controls, action: &Action) -> Controls {
    act(room, action, NOW).unwrap_or_else(|refused| panic!("{action:?}: {refused}"))
}

fn refusal(room: &Controls, action: &Action) -> String {
    act(room, action, NOW).expect_err("refused").to_string()
}

#[test]
fn every_state_is_reached_by_an_action_and_left_by_its_undo() {
    let opened = Action::Open(5);
    let pairs = [
        (Action::Pause, State::Paused, Action::Resume),
        (Action::LastCall, State::LastCall, Action::Reopen),
        (Action::Close, State::Closed, Action::Reopen),
        (opened, State::OpenToAll, Action::Open(0)),
    ];
    for (action, state, undo) in pairs {
        let there = done(&running(), &action);
        assert_eq!(there.state(NOW), state, "{action:?}");
        assert_eq!(done(&there, &action), there, "{action:?} twice is one");
        assert_eq!(done(&there, &undo), running(), "{undo:?}");
    }
    assert_eq!(running().state(NOW), State::Running);
    assert_eq!(State::ALL.map(State::name).len(), 6);
}

#[test]
fn a_stop_ends_the_passes_that_were_given_before_the_room_is_reopened() {
    let stopped = done(&running(), &Action::Stop);
    assert_eq!(stopped.state(NOW), State::Stop);
    let open = act(&stopped, &Action::Reopen, NOW + 500).expect("reopened");
    assert_eq!((open.state(NOW), open.passes_since), (State::Running, NOW + 500));
    let pass = |given| Token::pass(1, given, given + 300_000);
    assert!(ended_by_stop(&pass(NOW), open.passes_since) && !ended_by_stop(&pass(NOW + 500), open.passes_since));
    assert!(!ended_by_stop(&Token::ticket(1, NOW), open.passes_since), "a place is kept");
    let later = done(&done(&open, &Action::Close), &Action::Reopen);
    assert_eq!(later.passes_since, open.passes_since, "a close ends no pass");
}

#[test]
fn an_opening_ends_by_itself_and_is_bounded() {
    let open = done(&running(), &Action::Open(60));
    assert_eq!(
        [NOW, NOW + 3_599_999, NOW + 3_600_000].map(|now| open.state(now)),
        [State::OpenToAll, State::OpenToAll, State::Running]
    );
    assert!(refusal(&running(), &Action::Open(61)).contains("write 1 to 60"));
    for (before, how) in [(Action::Pause, "resume it"), (Action::Stop, "reopen it"), (Action::Close, "reopen it")] {
        assert!(refusal(&done(&running(), &before), &Action::Open(1)).contains(how));
    }
    for over in [Action::Pause, Action::Close, Action::Stop, Action::LastCall] {
        assert_eq!(done(&open, &over).open_until, 0, "{over:?} is stronger");
    }
}

#[test]
fn a_last_call_that_has_served_all_is_closed() {
    let called = done(&running(), &Action::LastCall).state(NOW);
    assert_eq!((called.with_left(3), called.with_left(0)), (State::LastCall, State::Closed));
    assert_eq!(State::Running.with_left(0), State::Running);
}

#[test]
fn a_paused_room_stays_paused_behind_a_close_and_behind_a_last_call() {
    let paused = done(&running(), &Action::Pause);
    assert_eq!(done(&done(&paused, &Action::Close), &Action::Reopen).state(NOW), State::Paused);
    let both = done(&paused, &Action::LastCall);
    assert_eq!(both.state(NOW), State::Paused);
    assert_eq!(done(&done(&running(), &Action::LastCall), &Action::Pause).state(NOW), State::Paused);
    assert_eq!(done(&both, &Action::Resume).state(NOW), State::LastCall);
    assert!(refusal(&paused, &Action::Reopen).contains("resume it"));
}

#[test]
fn what_would_do_something_else_than_it_says_is_refused() {
    let closed = done(&running(), &Action::Close);
    for action in [Action::Pause, Action::Resume, Action::LastCall, Action::Open(1)] {
        assert!(refusal(&closed, &action).contains("Closed"), "{action:?}");
    }
    let free = Controls { passthrough: true, ..running() };
    assert!(refusal(&free, &Action::Pause).contains("queueing_method"));
}

#[test]
fn a_rate_is_a_number_or_a_step_up_to_the_ceiling() {
    let rate = |text: &str| {
        Amount::read(text)
            .and_then(|amount| act(&running(), &Action::Rate(amount), NOW))
            .map(|room| room.new_users_per_minute)
    };
    assert_eq!(["480", " 1000 ", "+10%", "-10 %"].map(|text| rate(text).ok()), [480, 1000, 660, 540].map(Some));
    for wrong in ["", "x", "1001", "0", "-5", "+51%", "0%", "1e3", "+99999999999999999999%", "18446744073709551616"] {
        let refused = rate(wrong).expect_err(wrong);
        assert!(refused.field == Some("to") && !refused.how.is_empty(), "{refused}");
    }
    let least = Controls { new_users_per_minute: 1, ..running() };
    assert_eq!(done(&least, &Action::Rate(Amount::By(-10))).new_users_per_minute, 1);
    assert_eq!(done(&least, &Action::Rate(Amount::By(10))).new_users_per_minute, 2);
}

#[test]
fn seats_are_a_number_or_a_step_from_one() {
    let ten = done(&running(), &Action::Seats(Amount::To(10)));
    assert_eq!(done(&ten, &Action::Seats(Amount::By(10))).total_active_users, Some(11));
    assert!(refusal(&running(), &Action::Seats(Amount::By(10))).contains("write a number"));
    assert!(refusal(&ten, &Action::Seats(Amount::To(0))).contains("close the room"));
}

#[test]
fn a_message_is_plain_and_short() {
    let said = |text: &str| Action::Message(BTreeMap::from([("en-US".to_owned(), text.to_owned())]));
    for good in ["We restock at 20:00", "3 < 5 and 5 > 3", &"가".repeat(280)] {
        assert_eq!(done(&running(), &said(good)).message["en-US"], good);
    }
    for bad in ["", " ", "a\nb", "<b>now</b>", "</p>", "<!-- -->", &"x".repeat(281)] {
        assert!(refusal(&running(), &said(bad)).contains("plain text"), "{bad:?}");
    }
    let none = done(&done(&running(), &said("x")), &Action::Message(BTreeMap::new()));
    assert_eq!(none, running());
}

#[test]
fn what_shuts_people_out_or_lets_all_in_asks_for_the_name() {
    for action in [Action::Close, Action::Reopen, Action::LastCall, Action::Stop, Action::Open(1)] {
        assert!(action.confirmed("launch", Some("launch")).is_ok());
        for typed in [None, Some("lunch"), Some("")] {
            let refused = action.confirmed("launch", typed).expect_err("the name was not typed");
            assert!(refused.field == Some("confirm") && refused.how.contains("\"launch\""), "{refused}");
        }
    }
    for action in [Action::Pause, Action::Resume, Action::Rate(Amount::To(1)), Action::Open(0)] {
        assert!(action.confirmed("launch", None).is_ok(), "{action:?}");
    }
}

#[test]
fn who_waits_is_let_in_while_the_room_runs_and_each_order_is_later_than_the_last() {
    let room = Controls { new_users_per_minute: 60, ..Controls::default() };
    let first = act(&room, &Action::LetIn(5), 100).expect("done");
    assert_eq!(first.let_in, Some(LetIn { at: 100, shoppers: 5 }));
    let second = act(&first, &Action::LetIn(5), 90).expect("done");
    assert_eq!(
        second.let_in,
        Some(LetIn { at: 101, shoppers: 5 }),
        "a clock that was set back gives no order that counts for none"
    );
    for closed in [
        Controls { queue_all: true, ..room.clone() },
        Controls { suspended: true, ..room.clone() },
        Controls { stopped: true, ..room.clone() },
        Controls { open_until: 200, ..room.clone() },
    ] {
        assert_eq!(act(&closed, &Action::LetIn(5), 100).expect_err("refused").field, None);
    }
}

#[test]
fn a_minute_of_the_rate_is_let_in_at_most_with_what_is_owed_and_only_where_people_wait() {
    let rules = Rules::per_minute(60);
    let segment = crate::segment::Segment { base: 0, next: 90, serving: 10 };
    let line = View { segments: segment.into(), ..View::default() };
    assert!(may_let_in(60, &rules, &line).is_ok() && may_let_in(1, &rules, &line).is_ok());
    let told =
        |shoppers, rules: &Rules, line: &View| may_let_in(shoppers, rules, line).expect_err("refused").to_string();
    assert!(
        told(61, &rules, &line).contains("a minute of the rate is 60")
            && told(0, &rules, &line).contains("write 1 to 60")
    );
    let owes = View { owed: 50, ..line.clone() };
    assert!(may_let_in(10, &rules, &owes).is_ok() && told(11, &rules, &owes).contains("write 1 to 10"));
    assert!(told(1, &rules, &View { owed: 60, ..line.clone() }).contains("60 are owed"));
    let slowed = View { rate: 0.5, ..line.clone() };
    assert!(told(31, &rules, &slowed).contains("a minute of the rate is 30"), "the shop takes fewer");
    assert!(told(1, &rules, &View::default()).contains("nobody waits"));
    assert!(told(1, &Rules { open: false, ..rules }, &line).contains("nobody is let in"));
}

#[test]
fn a_pass_is_named_as_the_shop_knows_it() {
    assert_eq!((number_of("5.42"), number_of(" 0.1 ")), (Ok(5 * SPAN + 42), Ok(1)));
    for wrong in ["", "5", "5.", ".42", "5.0", "5.33554432", "-5.42", "5.4.2", "x.y", "18446744073709551615.1", "5 .42"]
    {
        assert_eq!(number_of(wrong).expect_err(wrong).field, Some("pass"), "{wrong:?}");
    }
}

#[test]
fn places_are_given_in_order_behind_what_the_line_and_the_audit_know_and_no_more_than_a_hundred_a_day() {
    let mut line = View::default();
    line.segments.open = crate::segment::Segment::at(GIVEN + 9 * SPAN);
    assert_eq!(next_given(&line, [], 0), Ok(GIVEN + 1));
    assert_eq!(next_given(&line, [GIVEN + 4, GIVEN + 2], 2), Ok(GIVEN + 5));
    let given = |next| crate::segment::Segment { base: GIVEN, next: GIVEN + next, serving: GIVEN + next };
    line.segments.before = vec![given(7)];
    assert_eq!(next_given(&line, [GIVEN + 4], MOST_GIVEN - 1), Ok(GIVEN + 8));
    let refused = next_given(&line, [], MOST_GIVEN).expect_err("too many").to_string();
    assert!(refused.contains("100 places were given within a day"), "{refused}");
    line.segments.before = vec![given(SPAN - 1)];
    assert!(next_given(&line, [], 0).expect_err("all").to_string().contains("all places that it can"));
}

#[test]
fn a_code_is_the_ticket_of_a_given_place_until_its_day_is_over() {
    let code = Token::ticket(GIVEN + 3, NOW);
    let day = crate::ticket::TICKET_LIFE;
    assert_eq!(is_code(&code, NOW + day - 1, false), Ok(()));
    assert_eq!(is_code(&code, NOW + day, false), Err(BadCode::Over));
    assert_eq!(is_code(&code, NOW, true), Err(BadCode::Over));
    let others = [
        Token::ticket(5 * SPAN + 3, NOW),
        Token::pass(GIVEN + 3, NOW, NOW + 9),
        Token::arrival(GIVEN + 3, NOW),
        Token::provisional(7, GIVEN + 3, NOW),
    ];
    for other in others {
        assert_eq!(is_code(&other, NOW, false), Err(BadCode::Unknown), "{other:?}");
    }
}
