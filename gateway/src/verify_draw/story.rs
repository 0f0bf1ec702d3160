//! What a proof proves, in words for people who know nothing of it.

use std::fmt::Write as _;

use jiff::Timestamp;
use policy::Millis;
use policy::draw::beacon::Beacon;
use policy::draw::hex::Hex;
use policy::draw::history::History;
use policy::draw::verify::{Drawn, Group, Pending, Place, Verdict, Verified, Voided};

/// All places of a draw are computed up to here: seconds.
pub(super) const ALL: u64 = 10_000_000;
/// A silence of the gateways is told from here on: six counts.
const SILENCE: Millis = 60_000;

/// The story of a proof that holds together.
pub(super) fn told(verified: &Verified) -> String {
    let history = &verified.history;
    let about = format!("in the event {:?} of the room {:?}", history.opened.event, history.opened.room);
    let head = match &verified.verdict {
        Verdict::Proved(drawn) => format!(
            "PROVED: the order of {} {about} follows from a public number that came after the count was final.\n\n{}{}",
            people(drawn.count()),
            steps(history),
            computed(drawn)
        ),
        Verdict::CommitOnly(drawn) => format!(
            "COMMIT ONLY: the order of {} {about} follows from a secret number of the operator's alone.\n\
             It was fixed before the first shopper joined, so nobody could change it afterwards. But who knows the secret can choose whom it \
             suits: by the moment at which the count is frozen, or by joining at the right moment. This does not bind the operator.\n\n{}{}",
            people(drawn.count()),
            steps(history),
            computed(drawn)
        ),
        Verdict::Void(voided) => void(voided, &about, history),
        Verdict::Pending(pending) => format!("NOT YET: {}\n\n{}", waits(*pending, &about), steps(history)),
    };
    head + &remarks(history) + &limits(history)
}

/// The story of one that does not.
pub(super) fn refused(why: &str) -> String {
    format!(
        "NOT PROVED: the proof is refused.\n  {why}\n\n\
         Records count from 0. The file was changed on its way, or it is not what the gateways published, or they did not keep to the \
         rules. Get it once more from the shop itself, at /.weir/draw/ROOM/EVENT, and check that.\n"
    )
}

/// Two copies that do not continue one another.
pub(super) fn two_histories(at: usize, one: &History, other: &History) -> String {
    let signed = if one.opened.public_key == other.opened.public_key {
        "Both are signed with the same key: the gateways told two histories."
    } else {
        "They are signed with different keys: they are of two draws, or one of them was made up."
    };
    format!("the two copies differ from record {at} on. {signed}")
}

/// What was compared with what the caller kept.
pub(super) fn witnessed(kept: &[String], other: bool) -> String {
    let mut text = String::new();
    for digits in kept {
        let _ = writeln!(text, "  {digits} was kept, and is in it.");
    }
    if other {
        text += "  The other copy tells the same history.\n";
    }
    text
}

/// The place of one number.
pub(super) fn place(asked: u64, drawn: Option<&Drawn>, history: &History) -> String {
    let (number, void) = (grouped(asked), history.void.is_some());
    let Some(drawn) = drawn else { return format!("\nNumber {number} has no drawn place.\n") };
    let has = if void { "would have had place" } else { "has place" };
    match drawn.place(asked) {
        Place::Drawn(place) => {
            format!("\nNumber {number} {has} {} of {}.\n", grouped(place + 1), grouped(drawn.count()))
        }
        Place::Arrival(_) => format!(
            "\nNumber {number} was given after the count was final: it stands behind all who were drawn, in the order of arrival.\n"
        ),
        Place::Unknown => format!("\nNumber {number} waits for a public number that is not in this file yet.\n"),
    }
}

fn steps(history: &History) -> String {
    let mut text = String::from("What was checked:\n");
    step(&mut text, history.opened_at, "a secret number was committed to, and the rules were fixed");
    for (time, frozen) in &history.frozen {
        let what = if frozen.first == 0 { "the count" } else { "a further count, of shoppers numbered late," };
        let next = match history.beacon {
            Some(_) => format!(", and public number {}, which did not exist yet, was named", grouped(frozen.round)),
            None => String::new(),
        };
        step(&mut text, *time, &format!("{what} of {} was frozen{next}", grouped(frozen.count)));
        if let Some(due) = history.beacon.and_then(|beacon| beacon.due(frozen.round)) {
            step(&mut text, due, &format!("public number {} due, from the beacon drand", grouped(frozen.round)));
        }
    }
    let _ = writeln!(
        text,
        "  All {} records are signed with one key, and each names the one before it.",
        grouped(history.records as u64)
    );
    text
}

fn step(text: &mut String, time: Millis, what: &str) {
    let _ = writeln!(text, "  {}  {what}", shown(time));
}

/// Every place, if they are not too many.
fn computed(drawn: &Drawn) -> String {
    let all = drawn.count() <= ALL;
    drawn.groups.iter().map(|group| complete(group, all)).collect()
}

fn complete(group: &Group, all: bool) -> String {
    let (count, first) = (group.frozen.count, group.frozen.first);
    let these = if first == 0 { String::new() } else { format!(" from {} on", grouped(first + 1)) };
    match group.order {
        None => format!(
            "  The places{these} wait for public number {}, which is not in this file yet.\n",
            grouped(group.frozen.round)
        ),
        Some(_) if !all => {
            format!("  {} places{these} are too many to go through them all here: see --place.\n", grouped(count))
        }
        Some(_) => format!("  All {} places{these} were computed: each is given once.\n", grouped(count)),
    }
}

fn void(voided: &Voided, about: &str, history: &History) -> String {
    let known = match (voided.after_outcome, history.frozen.is_empty()) {
        _ if history.beacon.is_none() => "Who knew the secret number could know the order.",
        (_, true) => "The count was not final then: nobody could know an order.",
        (true, false) => "The order could be known then: the operator may have disliked what came out.",
        (false, false) => "The public number was not out then: nobody could know the order.",
    };
    let would_be = voided.would_be.as_ref().map_or_else(String::new, |drawn| {
        format!("  The draw that would have been is known (--place, --places).\n{}", computed(drawn))
    });
    format!(
        "VOID: no draw took place {about}. The order of arrival holds.\n\
         It was declared void at {}, in these words: {:?}. {known}\n\n{}{would_be}",
        shown(voided.time),
        voided.reason,
        steps(history)
    )
}

fn waits(pending: Pending, about: &str) -> String {
    match pending {
        Pending::Freeze(at) => format!("the draw {about} begins when the count is frozen, not before {}.", shown(at)),
        Pending::Round { round, due } => format!(
            "the draw {about} waits for public number {}, due at {}. If that is past, the number is public, and not in this file: get it once more.",
            grouped(round),
            shown(due)
        ),
    }
}

fn remarks(history: &History) -> String {
    let mut text = String::new();
    if let Some(other) = history.beacon.filter(|beacon| *beacon != Beacon::QUICKNET) {
        let _ = writeln!(
            text,
            "  The public numbers are of the chain {}, which was named with --chain: who runs it could know them before.",
            other.chain
        );
    }
    if history.moved_forward {
        text += "  The freeze was brought forward by the operator: who meant to join later came too late.\n";
    }
    if history.longest_silence > SILENCE {
        let _ = writeln!(text, "  For {} s no count was published.", grouped(history.longest_silence / 1_000));
    }
    if history.opened.after != Hex([0; 32]) {
        let _ = writeln!(
            text,
            "  There was a draw before it in this room, whose last record is {}: ask what became of it.",
            history.opened.after
        );
    }
    text
}

fn limits(history: &History) -> String {
    let (count, largest) = history.frozen.first().map_or((0, 0), |(_, frozen)| (frozen.count, frozen.largest_networks));
    let networks = match count {
        0 => String::new(),
        count => format!(
            " The gateways say, and nobody can check, that {} of {} were held by the 20 networks with most.",
            grouped(largest),
            grouped(count)
        ),
    };
    format!(
        "\nWhat a file alone does not show:\n  \
         When it was published. Who writes all of it afterwards can make it fit. So compare these with what a waiting page kept, or with \
         a copy of that time (--kept, --other):\n    \
         commitment   {}\n    \
         key          {}\n    \
         last record  {}\n  \
         Who holds the numbers. A draw treats tickets alike, not persons: who held many had many chances.{networks}\n",
        history.opened.commitment, history.opened.public_key, history.head
    )
}

fn people(count: u64) -> String {
    format!("{} {}", grouped(count), if count == 1 { "shopper" } else { "shoppers" })
}

/// 40,113.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn shown(time: Millis) -> String {
    let moment = i64::try_from(time).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
    moment.map_or_else(|| format!("{time} ms"), |moment| moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}
