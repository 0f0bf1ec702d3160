//! A CSV of counts per interval: one count a line, or `time,count`, with or without a head line.
//!
//! Out of scope: the times. Every interval has the length that the scenario says.

/// A line that is no count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadLine {
    /// Counted from 1.
    pub(super) line: usize,
    /// What stands there.
    pub(super) text: String,
}

/// Reads all counts, or tells every line that is none. Empty lines and those that begin with `#` are passed over.
pub(super) fn read(text: &str) -> Result<Vec<f64>, Vec<BadLine>> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let (mut counts, mut bad) = (Vec::new(), Vec::new());
    for (place, (line, text)) in lines.enumerate() {
        match count(text) {
            Some(count) => counts.push(count),
            None if place == 0 && is_head(text) => {}
            None => bad.push(BadLine { line, text: text.to_owned() }),
        }
    }
    if bad.is_empty() { Ok(counts) } else { Err(bad) }
}

/// The last field of a line of one or two.
fn count(line: &str) -> Option<f64> {
    let ([field] | [_, field]) = line.split(',').collect::<Vec<_>>()[..] else { return None };
    field.trim().trim_matches('"').parse().ok().filter(|count: &f64| count.is_finite() && *count >= 0.0)
}

/// Names of columns: no field of it is a number.
fn is_head(line: &str) -> bool {
    line.split(',').all(|field| field.trim().parse::<f64>().is_err() && field.contains(char::is_alphabetic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_with_times_and_without() {
        assert_eq!(read("3\n\n# lunch\n4.5\r\n0\n"), Ok(vec![3.0, 4.5, 0.0]));
        assert_eq!(read("time,visitors\n00:00,3\n00:15, 4\n"), Ok(vec![3.0, 4.0]));
        assert_eq!(read("visitors\n7"), Ok(vec![7.0]));
        assert_eq!(read(""), Ok(vec![]));
    }

    #[test]
    fn every_bad_line_is_told_with_its_number() {
        let bad = read("time,count\n1,2\n2,many\n3,-1\n4,5,6\n5,inf\ntime,count\n").unwrap_err();
        let lines: Vec<_> = bad.iter().map(|bad| (bad.line, bad.text.as_str())).collect();
        assert_eq!(lines, [(3, "2,many"), (4, "3,-1"), (5, "4,5,6"), (6, "5,inf"), (7, "time,count")]);
    }
}
