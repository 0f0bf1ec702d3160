use policy::seal::RoomId;

use super::*;

const LONG: Duration = Duration::from_mins(1);

fn holder(age: u64) -> Holder {
    Holder { given: age, room: RoomId::of("launch"), number: age }
}

fn settings(max_in_flight: usize) -> GateSettings {
    GateSettings {
        route: "*/order".to_owned(),
        class: RouteClass::Order,
        max_in_flight: Some(max_in_flight),
        max_wait: None,
    }
}

fn gate(max_in_flight: usize) -> Arc<RouteGate> {
    Arc::new(RouteGate::new(settings(max_in_flight), None))
}

async fn enter(gate: &RouteGate, comer: Comer, max_wait: Duration) -> Result<Passage, UpstreamError> {
    AtGate { gate, comer }.enter(max_wait).await
}

/// So many stand in the line now.
async fn waiting(gate: &RouteGate, count: usize) {
    while gate.gauges().waiting != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn those_who_are_held_enter_in_order_of_age_and_those_without_a_pass_last() {
    let gate = gate(1);
    let held = enter(&gate, Comer::Holder(holder(99)), LONG).await;
    let (log, mut order) = tokio::sync::mpsc::unbounded_channel();
    let comers = [Comer::Other, Comer::Holder(holder(30)), Comer::Holder(holder(10)), Comer::Holder(holder(20))];
    for (before, comer) in comers.into_iter().enumerate() {
        let (inside, log) = (gate.clone(), log.clone());
        tokio::spawn(async move {
            let passage = enter(&inside, comer, LONG).await;
            assert!(passage.is_ok() && inside.gauges().in_flight == 1 && log.send(comer).is_ok());
        });
        waiting(&gate, before).await;
        tokio::task::yield_now().await;
    }
    drop((held, log));
    let mut got = Vec::new();
    while let Some(comer) = order.recv().await {
        got.push(comer);
    }
    assert_eq!(got, [comers[2], comers[3], comers[1], comers[0]]);
    assert_eq!((gate.gauges().in_flight, gate.gauges().waiting), (0, 0));
    let line = gate.state.line();
    assert!(line.callers.is_empty() && line.others.is_empty(), "nothing is left behind");
}

#[tokio::test]
async fn who_is_not_let_in_in_time_is_told_the_place_and_without_a_pass_none() {
    let gate = gate(1);
    let held = enter(&gate, Comer::Holder(holder(99)), LONG).await;
    let soon = Duration::from_millis(20);
    for (age, ahead) in [(20, 0), (10, 0), (30, 2)] {
        let error = enter(&gate, Comer::Holder(holder(age)), soon).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Held { ahead: told, .. } if told == ahead), "{error:?}");
    }
    let error = enter(&gate, Comer::Other, soon).await.unwrap_err();
    assert!(matches!(error, UpstreamError::RouteBusy { retry_after } if retry_after >= SOON), "{error:?}");
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counters = gate.counters();
    assert_eq!([&counters.passed, &counters.held, &counters.busy].map(count), [1, 3, 1]);
    assert_eq!(gate.gauges().waiting, 3, "places are kept");
    drop(held);
    assert!(enter(&gate, Comer::Other, soon).await.is_ok(), "of those who are here");
}

#[tokio::test]
async fn a_poll_has_its_turn_as_soon_as_a_slot_is_free_and_the_form_finds_it() {
    let gate = gate(1);
    let held = enter(&gate, Comer::Holder(holder(99)), LONG).await;
    let poll = tokio::spawn({
        let gate = gate.clone();
        async move { gate.ask(holder(1)).await }
    });
    waiting(&gate, 1).await;
    drop(held);
    assert!(poll.await.is_ok_and(|turn| turn.go));
    let soon = Duration::from_millis(20);
    assert!(enter(&gate, Comer::Holder(holder(0)), soon).await.is_err(), "the slot is kept");
    let form = enter(&gate, Comer::Holder(holder(1)), Duration::ZERO).await;
    assert!(form.is_ok());
    drop(form);
    assert!(enter(&gate, Comer::Holder(holder(0)), soon).await.is_ok());
}

#[tokio::test]
async fn a_form_that_was_invited_is_held_until_there_is_a_slot() {
    let gate = gate(1);
    let held = enter(&gate, Comer::Holder(holder(9)), LONG).await;
    let polls = [1, 2].map(|age| {
        let gate = gate.clone();
        tokio::spawn(async move { gate.ask(holder(age)).await.go })
    });
    waiting(&gate, 2).await;
    drop(held);
    for poll in polls {
        assert!(poll.await.is_ok_and(|go| go), "the second one because the slot waits for the first");
    }
    let first = enter(&gate, Comer::Holder(holder(2)), Duration::ZERO).await;
    assert!(first.is_ok());
    let second = tokio::spawn({
        let gate = gate.clone();
        async move { enter(&gate, Comer::Holder(holder(1)), Duration::ZERO).await.is_ok() }
    });
    timer::sleep(Duration::from_millis(50)).await;
    assert!(!second.is_finished());
    drop(first);
    assert!(second.await.is_ok_and(|entered| entered));
}

#[tokio::test]
async fn who_goes_away_while_held_costs_no_slot() {
    let gate = gate(1);
    let held = enter(&gate, Comer::Holder(holder(99)), LONG).await;
    let gone: Vec<_> = [Comer::Holder(holder(1)), Comer::Other]
        .map(|comer| {
            let gate = gate.clone();
            tokio::spawn(async move { enter(&gate, comer, LONG).await })
        })
        .into();
    waiting(&gate, 1).await;
    tokio::task::yield_now().await;
    for one in gone {
        one.abort();
        assert!(one.await.is_err());
    }
    drop(held);
    assert_eq!(gate.gauges().in_flight, 0);
    assert!(enter(&gate, Comer::Holder(holder(2)), Duration::ZERO).await.is_ok());
}

#[tokio::test]
async fn a_gate_that_replaces_another_has_its_requests_and_its_line() {
    let old = gate(1);
    let _held = enter(&old, Comer::Holder(holder(99)), LONG).await;
    let waits = tokio::spawn({
        let old = old.clone();
        async move { enter(&old, Comer::Holder(holder(1)), LONG).await }
    });
    waiting(&old, 1).await;
    let new = RouteGate::new(settings(2), Some(&old));
    assert!(waits.await.is_ok_and(|entered| entered.is_ok()), "a raised limit is used by those who wait");
    assert!(new.gauges().in_flight <= 2 && enter(&new, Comer::Return(None), Duration::ZERO).await.is_ok());
}

#[test]
fn no_slot_is_lost_or_made_under_contention() {
    let gate = gate(3);
    std::thread::scope(|scope| {
        for worker in 0..4_u64 {
            let gate = gate.clone();
            scope.spawn(move || {
                let builder = tokio::runtime::Builder::new_current_thread().enable_time().build();
                let Ok(runtime) = builder else { panic!("no runtime") };
                runtime.block_on(async {
                    for round in 0..300 {
                        let comer = |n| if n % 3 == 0 { Comer::Other } else { Comer::Holder(holder(n % 7)) };
                        let one = enter(&gate, comer(worker + round), LONG);
                        let two = enter(&gate, comer(worker * round), Duration::from_micros(50));
                        let (one, two) = tokio::join!(async { drop(one.await) }, two);
                        assert!(gate.gauges().in_flight <= 3);
                        drop((one, two));
                    }
                });
            });
        }
    });
    let mut line = gate.state.line();
    line.gate.check_invariants();
    assert_eq!(line.gate.in_flight(), 0);
    assert!(line.callers.is_empty());
    line.others.retain(|other| !other.is_closed());
    assert!(line.others.is_empty());
}

#[test]
fn a_key_is_a_uuid_of_random_bits() {
    let text = |key| written(key).map(|key| key.to_str().unwrap_or_default().to_owned());
    assert_eq!(text(0).as_deref(), Some("\"00000000-0000-4000-8000-000000000000\""));
    assert_eq!(text(u128::MAX).as_deref(), Some("\"ffffffff-ffff-4fff-bfff-ffffffffffff\""));
    assert!(fresh().is_some() && fresh() != fresh());
}

#[test]
fn a_form_has_a_key_until_it_is_answered_unless_it_brings_one() {
    let gate = gate(1);
    let at = AtGate { gate: &gate, comer: Comer::Holder(holder(1)) };
    let sent = |method: &str, path: &str, own: Option<&str>| {
        let request = Request::builder().method(method).uri(path);
        let request = own.into_iter().fold(request, |request, key| request.header(&IDEMPOTENCY_KEY, key));
        let mut request = request.body(Upload::default()).expect("a request");
        let form = at.mark(&mut request);
        (request.headers().get(&IDEMPOTENCY_KEY).map(|key| key.to_str().expect("ASCII").to_owned()), form)
    };
    let (first, form) = sent("POST", "/order", None);
    assert!(first.is_some() && sent("POST", "/order", None).0 == first);
    for (method, path) in [("POST", "/order?b"), ("PUT", "/order"), ("PATCH", "/order")] {
        let (other, _) = sent(method, path, None);
        assert!(other.is_some() && other != first, "{method} {path}");
    }
    form.expect("it is remembered").answered();
    assert!(sent("POST", "/order", None).0 != first);
    assert_eq!(sent("POST", "/order", Some("mine")).0.as_deref(), Some("mine"));
    assert_eq!(sent("GET", "/order", None).0, None);
    let mut of_others = Request::post("/order").body(Upload::default()).expect("a request");
    assert!(AtGate { comer: Comer::Other, ..at }.mark(&mut of_others).is_none() && of_others.headers().is_empty());
}
