use super::*;

fn entry(action: &str) -> Entry {
    Entry {
        action: action.to_owned(),
        who: "kim".to_owned(),
        why: Some("a \"quoted\" }\u{1} why".to_owned()),
        ..Entry::default()
    }
}

/// A chain of so many lines behind `head`.
fn behind(mut head: Head, lines: usize) -> Vec<Line> {
    let next = |head: &mut Head| {
        let line = entry("pause").behind(head);
        *head = line.head.clone();
        line
    };
    (0..lines).map(|_| next(&mut head)).collect()
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[test]
fn a_whole_chain_says_where_it_begins_and_ends() {
    let chain = behind(Head::default(), 5);
    let told = verify(texts(&chain), None).expect("whole");
    assert_eq!((told.lines, told.first, &told.head, told.forks.len()), (5, 1, &chain[4].head, 0));
    let later = verify(texts(&chain[2..]), Some(&chain[4].head.hash)).expect("whole");
    assert_eq!((later.first, later.head.number), (3, 5));
    assert_eq!(verify([], None), Ok(Verified::default()));
    let head: Head = chain[4].head.to_string().parse().expect("a head");
    assert_eq!(head, chain[4].head);
    assert!(
        ["", "1", "x y", "1 00", &format!("1 {}", "G".repeat(64))].iter().all(|text| text.parse::<Head>().is_err())
    );
}

#[test]
fn every_single_byte_that_is_changed_is_found() {
    let chain = behind(Head::default(), 3);
    for (line, of) in chain.iter().enumerate() {
        for at in 0..of.text.len() {
            let mut bytes = of.text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let mut all = texts(&chain);
            all[line] = &changed;
            assert_eq!(verify(all, None), Err(Broken::Changed(line + 1)), "byte {at}: {changed}");
        }
    }
}

#[test]
fn a_line_that_was_rewritten_with_its_hash_does_not_fit_the_next() {
    let chain = behind(Head::default(), 3);
    let forged = Entry { who: "someone else".to_owned(), ..entry("pause") }.behind(&chain[0].head);
    let all = [&chain[0].text, &forged.text, &chain[2].text].map(String::as_str);
    assert_eq!(verify(all, None), Err(Broken::Gap { line: 3, number: 3, after: 2 }));
}

#[test]
fn a_missing_line_is_found_and_a_cut_tail_beside_an_outside_head() {
    let chain = behind(Head::default(), 5);
    let all = texts(&chain);
    for gone in 1..4 {
        let mut missing = all.clone();
        missing.remove(gone);
        assert_eq!(
            verify(missing, None),
            Err(Broken::Gap { line: gone + 1, number: gone as u64 + 2, after: gone as u64 })
        );
    }
    let (cut, head) = (&all[..4], chain[4].head.hash.as_str());
    assert!(verify(cut.to_vec(), None).is_ok(), "nothing in the file itself shows it");
    assert_eq!(verify(cut.to_vec(), Some(head)), Err(Broken::Cut { head: head.to_owned(), number: 4 }));
    assert!(verify(all.clone(), Some(&chain[2].head.hash)).is_ok(), "an older head is there too");
    let mut swapped = all;
    swapped.swap(1, 2);
    assert!(matches!(verify(swapped, None), Err(Broken::Gap { line: 2, .. })));
}

/// What a gateway has that saw `chain` up to its end, after the store went on behind `parent`.
fn after_a_loss(chain: &[Line], parent: &Head, explained: bool) -> Vec<String> {
    let lost = explained.then(|| chain.last().expect("lines").head.clone());
    let first = entry("resume").behind(parent);
    let fork = Entry { lost, ..entry("fork") }.behind(&first.head);
    let more = behind(fork.head.clone(), 2);
    let lines = chain.iter().chain([&first, &fork]).chain(&more);
    lines.map(|line| line.text.clone()).collect()
}

#[test]
fn a_fork_is_shown_as_a_fork_and_one_that_nobody_explains_is_not_accepted() {
    let chain = behind(Head::default(), 5);
    for (parent, after) in [(chain[2].head.clone(), 3), (Head::default(), 0)] {
        let lines = after_a_loss(&chain, &parent, true);
        let told =
            verify(lines.iter().map(String::as_str), Some(&chain[4].head.hash)).expect("both branches are there");
        assert_eq!(told.forks, [Fork { line: 7, after, lost: chain[4].head.clone() }]);
        let lines = after_a_loss(&chain, &parent, false);
        assert_eq!(verify(lines.iter().map(String::as_str), None), Err(Broken::Branch(6)));
    }
}

#[test]
fn what_is_no_line_at_all_is_not_read() {
    for text in ["", "{}", "null", "\"}", ",\"hash\":\"\"}", &format!("{{}}{MARK}{}{END}", "0".repeat(64)), "가\"}"] {
        assert_eq!(Entry::read(text), None, "{text}");
    }
    let chain = behind(Head::default(), 1);
    let (read, head) = Entry::read(&chain[0].text).expect("a line");
    assert_eq!((read.who.as_str(), read.number, head), ("kim", 1, chain[0].head.clone()));
}
