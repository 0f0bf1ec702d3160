//! Suggestions for misspelt names.

/// The candidate that was probably meant.
pub(crate) fn nearest<'n>(written: &str, candidates: &[&'n str]) -> Option<&'n str> {
    let written = written.to_lowercase();
    let likeness = |name: &&str| (strsim::normalized_damerau_levenshtein(&written, name) * 1000.0) as u32;
    candidates.iter().copied().max_by_key(likeness).filter(|name| likeness(name) >= 600)
}
