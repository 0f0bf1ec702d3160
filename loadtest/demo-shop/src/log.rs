//! The shop's log: requests for the launch pages and how they ended. One of three sides of the truth; the shopper's
//! and the gateway's are joined to it by [`Entry::request_id`].
//!
//! It is kept in memory up to a cap and read in pieces (`GET /shop/log?after=SEQ`, JSON lines); where the
//! oldest entries had to go before they were read, the sequence numbers have a gap and
//! [`Log::dropped`] counts them. A file, if asked for, has all of them.
//!
//! Out of scope: cookies, tokens and addresses. [`Entry::pass_id`] is the name of a pass, not the pass.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;

use evidence::shop::Entry;
use evidence::stats::locked;

/// Default cap of entries: some 30 MB.
const KEPT: usize = 100_000;
/// Entries in one answer of [`Log::read`].
pub const PIECE: usize = 5_000;

/// The entries of a run.
#[derive(Debug)]
pub struct Log(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    cap: usize,
    entries: VecDeque<Entry>,
    /// Entries ever written; the number of the last one.
    written: u64,
    file: Option<BufWriter<File>>,
    /// The first error of the file. Nothing is written to it after that.
    broken: Option<io::Error>,
}

impl Default for Log {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl Log {
    /// An empty log of at most `cap` entries, the latest.
    pub fn keeping(cap: usize) -> Self {
        Self(Mutex::new(Kept { cap, entries: VecDeque::new(), written: 0, file: None, broken: None }))
    }

    /// A log that is written to a new file too, as JSON lines.
    pub fn to_file(path: &Path) -> io::Result<Self> {
        let log = Self::default();
        locked(&log.0).file = Some(BufWriter::new(File::create(path)?));
        Ok(log)
    }

    /// Adds an entry. Its number is given here.
    pub fn append(&self, entry: Entry) {
        let mut kept = locked(&self.0);
        kept.written += 1;
        let entry = Entry { seq: kept.written, ..entry };
        kept.on_file(|file| {
            serde_json::to_writer(&mut *file, &entry)?;
            file.write_all(b"\n")
        });
        if kept.entries.len() >= kept.cap {
            kept.entries.pop_front();
        }
        kept.entries.push_back(entry);
    }

    /// The entries after number `after` as JSON lines, the oldest first, at most [`PIECE`] of them; empty
    /// when there are no more yet.
    pub fn read(&self, after: u64) -> String {
        let piece: Vec<Entry> = {
            let kept = locked(&self.0);
            let skipped = usize::try_from(after.saturating_sub(kept.dropped())).unwrap_or(usize::MAX);
            kept.entries.iter().skip(skipped).take(PIECE).cloned().collect()
        };
        let lines = piece.iter().filter_map(|entry| serde_json::to_string(entry).ok());
        lines.flat_map(|line| [line, "\n".to_owned()]).collect()
    }

    /// Entries that are in memory no more.
    pub fn dropped(&self) -> u64 {
        locked(&self.0).dropped()
    }

    /// Brings the file up to date.
    ///
    /// # Errors
    /// The first error that the file had, once; it is written no further.
    pub fn flush(&self) -> io::Result<()> {
        let mut kept = locked(&self.0);
        kept.on_file(Write::flush);
        kept.broken.take().map_or(Ok(()), Err)
    }
}

impl Kept {
    fn dropped(&self) -> u64 {
        self.written - self.entries.len() as u64
    }

    fn on_file(&mut self, work: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = work(file) {
            self.broken = Some(error);
            self.file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use evidence::Page;
    use evidence::shop::Outcome;

    use super::*;

    fn entry(order: u64) -> Entry {
        Entry {
            seq: 0,
            arrived_us: 1_700_000_000_000_000,
            answered_us: 1_700_000_000_000_250,
            request_id: Some("r".into()),
            pass_id: None,
            room: None,
            page: Page::Order,
            status: 200,
            outcome: Outcome::SoldOut,
            order: Some(order),
            new: true,
        }
    }

    fn seqs(lines: &str) -> Vec<u64> {
        lines.lines().map(|line| serde_json::from_str::<Entry>(line).unwrap().seq).collect()
    }

    #[test]
    fn a_reader_gets_every_entry_once_and_sees_a_gap_where_it_was_too_slow() {
        let log = Log::keeping(3);
        assert_eq!(log.read(0), "");
        (1..=2).for_each(|order| log.append(entry(order)));
        assert_eq!(seqs(&log.read(0)), [1, 2]);
        assert_eq!((seqs(&log.read(1)), log.read(2), log.dropped()), (vec![2], String::new(), 0));
        (3..=6).for_each(|order| log.append(entry(order)));
        assert_eq!((seqs(&log.read(2)), log.dropped()), (vec![4, 5, 6], 3), "3 went before it was read");
        assert_eq!(log.read(u64::MAX), "");
    }

    #[test]
    fn a_long_log_is_read_in_pieces() {
        let log = Log::default();
        (0..PIECE as u64 + 2).for_each(|order| log.append(entry(order)));
        assert_eq!(seqs(&log.read(0)).len(), PIECE);
        assert_eq!(seqs(&log.read(PIECE as u64)), [PIECE as u64 + 1, PIECE as u64 + 2]);
    }

    #[test]
    fn an_entry_is_the_same_after_it_was_a_line() {
        let line = serde_json::to_string(&entry(7)).unwrap();
        assert!(line.contains(r#""page":"order","status":200,"outcome":"sold_out","order":7"#), "{line}");
        assert_eq!(serde_json::from_str::<Entry>(&line).unwrap(), entry(7));
    }

    #[test]
    fn the_file_has_what_the_memory_has_dropped_and_a_full_disk_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.log");
        let log = Log::to_file(&path).unwrap();
        (1..=3).for_each(|order| log.append(entry(order)));
        log.flush().unwrap();
        assert_eq!(seqs(&std::fs::read_to_string(&path).unwrap()), [1, 2, 3]);

        let log = Log::to_file(Path::new("/dev/full")).unwrap();
        log.append(entry(1));
        assert!(log.flush().is_err() && log.flush().is_ok());
        log.append(entry(2));
        assert_eq!(seqs(&log.read(0)), [1, 2], "memory goes on");
    }
}
