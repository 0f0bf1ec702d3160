//! The audit as this gateway saw it: a file that only grows, up to a bound, and the last lines in memory.
//!
//! The store has the chain ([`policy::audit`]); a gateway that sees a new line writes it down. So a store that loses the chain, or
//! is rewritten, is contradicted by every gateway.
//!
//! Out of scope: who writes a line, and what a store that lost some means ([`super`]).

use std::collections::{HashSet, VecDeque};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policy::audit::{Entry, Head, verify};
use tokio::task::spawn_blocking;

use super::audit::GivenPlace;
use super::log_outs::{LOG_OUT, LogOuts, time_of};
use crate::ops::sessions::Session;
use crate::telemetry::{PROCESS, catalogue};

/// Bytes of the file; then it is put aside, and the one that was put aside before goes.
const LARGEST: u64 = 16 << 20;
/// Lines in memory: so long is an action known by its id.
const RECENT: usize = 1_000;

/// The audit of this gateway.
pub(crate) struct Trail {
    file: PathBuf,
    kept: Mutex<Kept>,
    /// One write at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Kept {
    head: Head,
    recent: VecDeque<(Entry, Arc<str>)>,
    log_outs: LogOuts,
}

impl Kept {
    fn take(&mut self, line: &str) -> Option<&Entry> {
        let (entry, head) = Entry::read(line)?;
        self.note_log_out(&entry);
        self.head = head;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((entry, line.into()));
        self.recent.back().map(|(entry, _)| entry)
    }

    fn note_log_out(&mut self, entry: &Entry) {
        let Some(at) = time_of(entry) else { return };
        if entry.number > self.head.number + 1 {
            self.log_outs.miss(at);
        }
        if let (LOG_OUT, Some(id)) = (entry.action.as_str(), &entry.id) {
            self.log_outs.end(id, at);
        }
    }
}

impl Trail {
    /// What this file holds; nothing if there is none. A file that is not whole is told of, and goes on with its last line.
    pub(crate) fn open(file: &Path) -> Self {
        let mut kept = Kept::default();
        match std::fs::read_to_string(file) {
            Ok(text) => {
                if let Err(problem) = verify(text.lines(), None) {
                    tracing::error!(file = %file.display(), %problem, "the audit of this gateway is not whole: see weir audit verify");
                }
                for line in text.lines() {
                    kept.take(line);
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::error!(file = %file.display(), %error, "the audit of this gateway cannot be read"),
        }
        Self { file: file.to_owned(), kept: Mutex::new(kept), turn: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last line.
    pub(crate) fn head(&self) -> Head {
        self.lock().head.clone()
    }

    /// The action with this one-time id, if it is one of the last lines.
    pub(crate) fn of_id(&self, id: &str) -> Option<Entry> {
        let kept = self.lock();
        kept.recent.iter().rev().map(|(entry, _)| entry).find(|entry| entry.id.as_deref() == Some(id)).cloned()
    }

    /// Whether this session was ended by a log-out, or may have been in lines that were not seen here.
    pub(crate) fn has_ended(&self, session: &Session) -> bool {
        self.lock().log_outs.have_ended(session)
    }

    /// The places that operators gave in this room, as far as they are among the last lines, and the last line of all.
    pub(crate) fn given_in(&self, room: &str) -> (Vec<GivenPlace>, Head) {
        let kept = self.lock();
        let of_room = kept.recent.iter().map(|(entry, _)| entry).filter(|entry| entry.room.as_deref() == Some(room));
        (of_room.filter_map(GivenPlace::of).collect(), kept.head.clone())
    }

    /// Whether a gateway whose last line is `head` has read `line`, as far as both are among the last lines here. Numbers do not tell: after a
    /// loss of the store they begin again.
    pub(crate) fn is_behind(&self, head: &Head, line: &Head) -> bool {
        let kept = self.lock();
        let at = |head: &Head| {
            let end = format!("{}\"}}", head.hash);
            kept.recent.iter().rposition(|(_, line)| line.ends_with(&end))
        };
        at(line).is_some_and(|line| at(head).is_some_and(|head| head >= line))
    }

    /// The last lines, oldest first, from this number on.
    pub(crate) fn recent(&self, from: u64) -> Vec<Arc<str>> {
        let kept = self.lock();
        kept.recent.iter().filter(|(entry, _)| entry.number >= from).map(|(_, line)| line.clone()).collect()
    }

    /// Writes lines down, and does what `obey` makes of each. What cannot be written is told, and known all the same until the end of
    /// the process. A caller that stops waiting leaves nothing half done.
    pub(crate) async fn take(&self, lines: Vec<String>, obey: impl Fn(&Entry)) {
        if lines.is_empty() {
            return;
        }
        let turn = self.turn.clone().lock_owned().await;
        {
            let mut kept = self.lock();
            for line in &lines {
                if let Some(entry) = kept.take(line) {
                    tell(entry);
                    obey(entry);
                } else {
                    tracing::error!(line, "the store holds a line of the audit that was changed");
                }
            }
            PROCESS.gauge(&catalogue::AUDIT_LINES, &[]).set(kept.head.number as f64);
        }
        let file = self.file.clone();
        let written = spawn_blocking(move || {
            let _turn = turn;
            append(&file, &lines)
        });
        if let Err(error) = written.await.unwrap_or_else(|error| Err(error.into())) {
            tracing::error!(file = %self.file.display(), %error, "the audit could not be written down here");
        }
    }

    /// The hashes of all lines in the file.
    pub(crate) async fn known(&self) -> HashSet<String> {
        let file = self.file.clone();
        let text = spawn_blocking(move || std::fs::read_to_string(file)).await;
        let text = text.ok().and_then(Result::ok).unwrap_or_default();
        let read = |line: &str| Some(Entry::read(line)?.1.hash);
        let recent: Vec<_> = self.lock().recent.iter().map(|(_, line)| line.clone()).collect();
        text.lines().filter_map(read).chain(recent.iter().filter_map(|line| read(line))).collect()
    }
}

/// Tells a line in the log: an outside copy of its head.
fn tell(entry: &Entry) {
    let Entry { number, who, action, room, with, why, version, refused, gateway, .. } = entry;
    let hash = &entry.clone().behind(&Head { number: number.saturating_sub(1), hash: entry.prev.clone() }).head.hash;
    tracing::info!(number, hash, who, action, room, with, why, version, refused, by = gateway, "audit");
    if let Some(lost) = &entry.lost {
        tracing::error!(number = lost.number, hash = lost.hash, "the store lost the audit from before: a fork");
    }
}

fn append(file: &Path, lines: &[String]) -> std::io::Result<()> {
    if std::fs::metadata(file).is_ok_and(|about| about.len() > LARGEST) {
        let mut aside = file.as_os_str().to_owned();
        aside.push(".1");
        std::fs::rename(file, aside)?;
    }
    let mut open = OpenOptions::new().create(true).append(true).open(file)?;
    open.write_all((lines.join("\n") + "\n").as_bytes())?;
    open.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::sessions::Proof;

    fn lines(number: usize) -> Vec<String> {
        let mut head = Head::default();
        let next = |id: usize| {
            let line = Entry { id: Some(id.to_string()), ..Entry::default() }.behind(&head);
            head = line.head;
            line.text
        };
        (1..=number).map(next).collect()
    }

    #[tokio::test]
    async fn what_was_seen_outlives_the_process_and_an_action_is_known_by_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let (file, all) = (dir.path().join("weir.audit"), lines(5));
        let trail = Trail::open(&file);
        trail.take(all[..2].to_vec(), |_| ()).await;
        trail.take(all[2..].to_vec(), |_| ()).await;
        let again = Trail::open(&file);
        assert_eq!((again.head(), again.head().number), (trail.head(), 5));
        assert_eq!(again.of_id("3").unwrap().number, 3);
        let head = |number: usize| Entry::read(&all[number - 1]).unwrap().1;
        assert!(again.is_behind(&head(4), &head(3)) && again.is_behind(&head(3), &head(3)));
        let other = Head { number: 9, ..Head::default() };
        assert!(
            !again.is_behind(&head(2), &head(3))
                && !again.is_behind(&other, &head(3))
                && !again.is_behind(&head(4), &other)
        );
        assert_eq!((again.of_id("6"), again.recent(4).len(), again.known().await.len()), (None, 2, 5));
        assert!(verify(std::fs::read_to_string(&file).unwrap().lines(), Some(&trail.head().hash)).is_ok());
    }

    #[tokio::test]
    async fn a_log_out_is_known_after_any_number_of_lines_and_in_a_new_process_and_gaps_end_what_was_begun_before() {
        let session = |begun| Session::begin("kim", Proof::default(), begun).unwrap();
        let (ended, other) = (session(1_000), session(1_000));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("weir.audit");
        let mut head = Head::default();
        let mut next = |at: &str, action: &str, id: &str| {
            let (at, action, id) = (at.to_owned(), action.to_owned(), Some(id.to_owned()));
            let line = Entry { at, action, id, ..Entry::default() }.behind(&head);
            head = line.head;
            line.text
        };
        let mut all = vec![next("1970-01-01T00:00:02.000Z", LOG_OUT, &ended.id)];
        all.extend((0..RECENT + 10).map(|_| next("1970-01-01T00:00:03.000Z", "pause", "")));
        let trail = Trail::open(&file);
        trail.take(all.clone(), |_| ()).await;
        assert!(trail.of_id(&ended.id).is_none(), "the line itself is not in memory");
        for trail in [trail, Trail::open(&file)] {
            assert!(trail.has_ended(&ended) && !trail.has_ended(&other));
        }
        // A gateway that has never seen the first line.
        let late = Trail::open(&dir.path().join("late.audit"));
        late.take(all[1..].to_vec(), |_| ()).await;
        assert!([&ended, &other].into_iter().all(|session| late.has_ended(session)));
        assert!(!late.has_ended(&session(3_001)), "who logged in since then goes on");
    }

    #[tokio::test]
    async fn the_file_and_the_lines_in_memory_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("weir.audit");
        let trail = Trail::open(&file);
        trail.take(lines(RECENT + 10), |_| ()).await;
        assert_eq!(trail.recent(0).len(), RECENT);
        OpenOptions::new().append(true).open(&file).unwrap().set_len(LARGEST + 1).unwrap();
        trail.take(lines(1), |_| ()).await;
        assert!(std::fs::metadata(&file).unwrap().len() < 1_000 && dir.path().join("weir.audit.1").exists());
    }

    #[tokio::test]
    async fn a_folder_that_takes_no_file_costs_no_line_in_memory() {
        let trail = Trail::open(Path::new("/proc/no-such/weir.audit"));
        trail.take(lines(2), |_| ()).await;
        assert_eq!(trail.head().number, 2);
    }
}
