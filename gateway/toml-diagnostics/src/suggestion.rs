//! What was probably meant.

/// The candidate that is most like what is written, if one is like it at all.
pub fn nearest<'n>(written: &str, candidates: &[&'n str]) -> Option<&'n str> {
    let written = written.to_lowercase();
    let likeness = |name: &&str| (strsim::normalized_damerau_levenshtein(&written, name) * 1000.0) as u32;
    candidates.iter().copied().max_by_key(likeness).filter(|name| likeness(name) >= 600)
}

/// `did you mean ..?`, or all that is known.
pub fn did_you_mean(written: &str, known: &[&str]) -> String {
    match nearest(written, known) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// `write "a", "b" or "c"`.
pub(crate) fn any_of(ways: &[String]) -> String {
    match ways {
        [all @ .., last] if !all.is_empty() => format!("write {} or {last}", all.join(", ")),
        _ => format!("write {}", ways.concat()),
    }
}
