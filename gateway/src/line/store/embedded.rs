//! Lines in this process, durable in one redb file.
//!
//! A commit applies the batches to lines in memory and writes the changes in one transaction; it
//! answers when that is on the disk. A failed commit is a restart: the lines and the database are
//! dropped and read again before the next one, so memory is never ahead of the disk.
//!
//! Tables, all keyed by room: counters of the line and of its segments; claimed numbers in blocks of 4,096 bits; live
//! passes and those taken away with their ends; passes that have not come back; adopted provisional tickets, with the seeds of those drawn, and the round; numbers of
//! arrivals; caps on the rate, and the stock. Beside them stand the rooms by version (`registry`), and the format of all of it (`format`).
//!
//! The store's clock is the wall clock at opening, then monotonic, and never behind an earlier reading.

mod format;
mod registry;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use policy::Millis;
use policy::line::segment::SPAN;
use policy::line::{
    Adopt, Adopted, Change, Counters, Credit, FIRST_ROUND, Line, Outcome, Place, Round, Segment, Segments,
};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};

use super::{Answer, Commit, Store, StoreError, Work};
use format::OtherFormat;

/// Forgotten below, lost at, now, granted, no-shows, over limit, second passes, and the pacer's memory.
type CountersRow = (u64, u64, u64, u64, u64, u64, u64, f64, f64);
const COUNTERS: TableDefinition<&str, CountersRow> = TableDefinition::new("counters");
/// Base of a segment -> `next`, `serving`.
const SEGMENTS: TableDefinition<(&str, u64), (u64, u64)> = TableDefinition::new("segments");
const CLAIMED: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("claimed");
const ACTIVE: TableDefinition<(&str, u64), u64> = TableDefinition::new("active");
/// Number of a renewed pass -> when it was first given.
const ADMITTED: TableDefinition<(&str, u64), u64> = TableDefinition::new("admitted");
const REVOKED: TableDefinition<(&str, u64), u64> = TableDefinition::new("revoked");
/// Number of a pass that has not come back -> when it was given.
const UNCONFIRMED: TableDefinition<(&str, u64), u64> = TableDefinition::new("unconfirmed");
/// End and number of a pass that has lost its seat.
const EVICTED: TableDefinition<(&str, u64, u64), ()> = TableDefinition::new("evicted");
const ADOPTED: TableDefinition<(&str, u32, u64), (u64, u64)> = TableDefinition::new("adopted");
/// Seeds of those that were drawn.
const SEEDS: TableDefinition<(&str, u32, u64), u64> = TableDefinition::new("seeds");
/// Id of the round, places in it, those drawn, and when it began.
const ROUND: TableDefinition<&str, (u32, u64, u64, u64)> = TableDefinition::new("round");
/// Numbers that no shopper has got.
const SKIPPED: TableDefinition<&str, u64> = TableDefinition::new("skipped");
/// Number of an arrival, or its place in a round ([`row_of_place`]), and when it is forgotten.
const ARRIVALS: TableDefinition<(&str, u64), (u64, u64)> = TableDefinition::new("arrivals");

/// Source of a cap -> its rate in new shoppers per second, and its end.
const CAPS: TableDefinition<(&str, u64), (f64, u64)> = TableDefinition::new("caps");
/// A product -> items left, items in checkout, and since when.
const STOCK: TableDefinition<(&str, u32), (u64, u64, u64)> = TableDefinition::new("stock");
/// When the last order to let shoppers in was given, how many may still come, since when, how many of them on an earlier order, since
/// when, and the tokens owed.
const CREDIT: TableDefinition<&str, (u64, u64, u64, u64, u64, f64)> = TableDefinition::new("credit");

/// Numbers in one row of claimed bits.
const BLOCK: u64 = 4_096;
/// Memory that the database may use for its pages.
const CACHE_BYTES: usize = 16 << 20;

/// The embedded store.
pub struct Embedded {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    path: PathBuf,
    open: Option<Open>,
}

/// The database, and its lines in memory.
struct Open {
    database: Database,
    clock: Clock,
    lines: HashMap<Arc<str>, Line>,
}

/// Wall clock once, monotonic from then on.
#[derive(Clone, Copy)]
struct Clock {
    base: Millis,
    since: Instant,
}

impl Clock {
    fn starting_after(kept: Millis) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        Self { base: wall.max(kept), since: Instant::now() }
    }

    fn now(&self) -> Millis {
        self.base + self.since.elapsed().as_millis() as u64
    }
}

impl Embedded {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// If another process has it open, if it is in another format, or if it cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let open = Some(open(path)?);
        Ok(Self { inner: Arc::new(Mutex::new(Inner { path: path.to_owned(), open })) })
    }

    /// Runs a job on the open file, on a thread that may wait for the disk.
    fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Open) -> Result<T, redb::Error> + Send + 'static,
    ) -> Answer<'_, T> {
        let inner = self.inner.clone();
        Box::pin(async move {
            let task = tokio::task::spawn_blocking(move || lock(&inner).run(work));
            task.await.unwrap_or(Err(StoreError::Stopped))
        })
    }
}

impl Store for Embedded {
    fn commit(&self, works: Vec<Work>) -> Commit<'_> {
        self.call(move |open| open.commit(&works))
    }
}

/// The store, read anew from the file if a commit panicked.
fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(|poisoned| {
        let mut guard = PoisonError::into_inner(poisoned);
        guard.open = None;
        inner.clear_poison();
        guard
    })
}

fn open(path: &Path) -> Result<Open, StoreError> {
    let opened = Open::new(path).map_err(|source| named(path, source))?;
    opened.map_err(|OtherFormat(found)| in_format(path, Some(found)))
}

fn named(path: &Path, source: redb::Error) -> StoreError {
    match source {
        redb::Error::DatabaseAlreadyOpen => StoreError::InUse { path: path.display().to_string() },
        redb::Error::TableTypeMismatch { .. } => in_format(path, None),
        source => StoreError::Embedded { path: path.display().to_string(), source: Box::new(source) },
    }
}

fn in_format(path: &Path, found: Option<u64>) -> StoreError {
    StoreError::Format { place: path.display().to_string(), found, way_out: "move the file away to begin anew" }
}

impl Inner {
    fn run<T>(&mut self, work: impl FnOnce(&mut Open) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => open(&self.path)?,
        };
        let answer = work(&mut open).map_err(|source| named(&self.path, source))?;
        self.open = Some(open);
        Ok(answer)
    }
}

impl Open {
    fn new(path: &Path) -> Result<Result<Self, OtherFormat>, redb::Error> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
        let setup = database.begin_write()?;
        if let Err(other) = format::claim(&setup)? {
            setup.abort()?;
            return Ok(Err(other));
        }
        let kept = {
            let counters = setup.open_table(COUNTERS)?;
            let _ = (setup.open_table(SEGMENTS)?, setup.open_table(CLAIMED)?);
            let _ = (setup.open_table(ACTIVE)?, setup.open_table(REVOKED)?, setup.open_table(ADOPTED)?);
            let _ = (setup.open_table(UNCONFIRMED)?, setup.open_table(EVICTED)?);
            let _ = (setup.open_table(ARRIVALS)?, setup.open_table(ADMITTED)?);
            let _ = (setup.open_table(CAPS)?, setup.open_table(STOCK)?);
            setup.open_table(CREDIT)?;
            let _ = (setup.open_table(SEEDS)?, setup.open_table(ROUND)?, setup.open_table(SKIPPED)?);
            registry::set_up(&setup)?;
            let mut kept = 0;
            for row in counters.iter()? {
                kept = kept.max(counters_of(row?.1.value(), Segments::default()).now);
            }
            kept
        };
        setup.commit()?;
        Ok(Ok(Self { database, clock: Clock::starting_after(kept), lines: HashMap::new() }))
    }

    fn commit(&mut self, works: &[Work]) -> Result<Vec<Outcome>, redb::Error> {
        let now = self.clock.now();
        let mut outcomes = Vec::with_capacity(works.len());
        let mut differences = Vec::new();
        for work in works {
            self.load(&work.room, now)?;
            let Some(line) = self.lines.get_mut(&work.room) else { continue };
            let before = line.counters();
            outcomes.push(line.apply(&work.rules, &work.batch, now));
            let changes = line.take_changes();
            let after = line.counters();
            if !changes.is_empty() || (Counters { now: before.now, ..after.clone() }) != before {
                differences.push((&*work.room, after, changes));
            }
        }
        if !differences.is_empty() {
            let write = self.database.begin_write()?;
            for (room, counters, changes) in &differences {
                keep(&write, room, counters, changes)?;
            }
            write.commit()?;
        }
        Ok(outcomes)
    }

    /// Reads a line into memory, or begins it.
    fn load(&mut self, room: &Arc<str>, now: Millis) -> Result<(), redb::Error> {
        if self.lines.contains_key(room) {
            return Ok(());
        }
        let read = self.database.begin_read()?;
        let counters = read.open_table(COUNTERS)?.get(&**room)?.map(|row| row.value());
        let line = match counters {
            Some(row) => Line::restored(counters_of(row, segments_of(&read, room)?), now, changes_of(&read, room)?),
            None => Line::new(now),
        };
        self.lines.insert(room.clone(), line);
        Ok(())
    }
}

fn counters_of(row: CountersRow, segments: Segments) -> Counters {
    let (forgotten, lost, now, granted, no_shows, over_limit, second_passes, called, shown) = row;
    Counters { segments, forgotten, lost, now, granted, no_shows, over_limit, second_passes, memory: (called, shown) }
}

/// The segments of a line. The last one is open.
fn segments_of(read: &redb::ReadTransaction, room: &str) -> Result<Segments, redb::Error> {
    let mut before = Vec::new();
    for row in read.open_table(SEGMENTS)?.range((room, 0)..=(room, u64::MAX))? {
        let (key, value) = row?;
        let (next, serving) = value.value();
        before.push(Segment { base: key.value().1, next, serving });
    }
    let open = before.pop().unwrap_or_default();
    Ok(Segments { before, open })
}

fn row_of(c: &Counters) -> CountersRow {
    let (called, shown) = c.memory;
    (c.forgotten, c.lost, c.now, c.granted, c.no_shows, c.over_limit, c.second_passes, called, shown)
}

/// Everything besides the counters, as the changes that lead there.
fn changes_of(read: &redb::ReadTransaction, room: &str) -> Result<Vec<Change>, redb::Error> {
    let all = (room, 0)..=(room, u64::MAX);
    let mut changes = Vec::new();
    // Before the claims: an evicted number may have been claimed again.
    for row in read.open_table(EVICTED)?.range((room, 0, 0)..=(room, u64::MAX, u64::MAX))? {
        let (_, expires, n) = row?.0.value();
        changes.push(Change::Evicted(n, expires));
    }
    for row in read.open_table(CLAIMED)?.range(all.clone())? {
        let (key, bits) = row?;
        let first = key.value().1 * BLOCK;
        let set = |&n: &u64| bits.value().get((n / 8) as usize).is_some_and(|byte| byte >> (n % 8) & 1 == 1);
        changes.extend((0..BLOCK).filter(set).map(|n| Change::Claimed(first + n)));
    }
    for row in read.open_table(ACTIVE)?.range(all.clone())? {
        let (key, expires) = row?;
        changes.push(Change::Active(key.value().1, Some(expires.value())));
    }
    for row in read.open_table(ADMITTED)?.range(all.clone())? {
        let (key, admitted) = row?;
        changes.push(Change::Admitted(key.value().1, Some(admitted.value())));
    }
    for row in read.open_table(UNCONFIRMED)?.range(all.clone())? {
        let (key, given) = row?;
        changes.push(Change::Unconfirmed(key.value().1, Some(given.value())));
    }
    let mut revoked = Vec::new();
    let mut arrived = Vec::new();
    for row in read.open_table(ARRIVALS)?.range(all.clone())? {
        let (key, value) = row?;
        let (number, until) = value.value();
        arrived.push((until, key.value().1, number));
    }
    arrived.sort_unstable();
    changes.extend(arrived.into_iter().map(|(until, id, number)| Change::Arrived(id, Some((place_of(number), until)))));
    for row in read.open_table(REVOKED)?.range(all)? {
        let (key, expires) = row?;
        revoked.push((expires.value(), key.value().1));
    }
    revoked.sort_unstable();
    changes.extend(revoked.into_iter().map(|(expires, n)| Change::Revoked(n, Some(expires))));
    let (mut adopted, seeds) = (Vec::new(), read.open_table(SEEDS)?);
    for row in read.open_table(ADOPTED)?.range((room, 0, 0)..=(room, u32::MAX, u64::MAX))? {
        let (key, value) = row?;
        let ((_, incarnation, first), (count, base)) = (key.value(), value.value());
        let seed = seeds.get((room, incarnation, first))?.map(|seed| seed.value());
        adopted.push(Adopted { adopt: Adopt { incarnation, first, count }, base, seed });
    }
    // In order of numbering: the first is the first to be forgotten.
    adopted.sort_unstable_by_key(|adopted| adopted.base);
    changes.extend(adopted.into_iter().map(Change::Adopted));
    if let Some(row) = read.open_table(ROUND)?.get(room)? {
        let (id, gathered, drawn, began) = row.value();
        changes.push(Change::Round(Round { id, gathered, drawn, began }));
    }
    changes.extend(read.open_table(SKIPPED)?.get(room)?.map(|skipped| Change::Skipped(skipped.value())));
    for row in read.open_table(CAPS)?.range((room, 0)..=(room, u64::MAX))? {
        let (key, cap) = row?;
        changes.push(Change::Cap(key.value().1, Some(cap.value())));
    }
    for row in read.open_table(STOCK)?.range((room, 0)..=(room, u32::MAX))? {
        let (key, level) = row?;
        let (left, held, since) = level.value();
        changes.push(Change::Stock(key.value().1, left, held, since));
    }
    if let Some(row) = read.open_table(CREDIT)?.get(room)? {
        let (ordered, left, since, earlier, earlier_since, debt) = row.value();
        changes.push(Change::Credit(Credit { ordered, left, since, earlier, earlier_since, debt }));
    }
    Ok(changes)
}

/// A place of an arrival as one integer: numbers are below 2^53, and ids of rounds begin at 2^31.
fn row_of_place(place: Place) -> u64 {
    match place {
        Place::Number(number) => number,
        Place::InRound { round, sequence } => u64::from(round) << 32 | sequence,
    }
}

fn place_of(row: u64) -> Place {
    match (row >> 32) as u32 {
        round @ FIRST_ROUND.. => Place::InRound { round, sequence: row & u64::from(u32::MAX) },
        _ => Place::Number(row),
    }
}

/// Writes the segments of a line; forgotten ones are removed.
fn keep_segments(write: &WriteTransaction, room: &str, segments: &Segments) -> Result<(), redb::Error> {
    let mut table = write.open_table(SEGMENTS)?;
    let all = (room, 0)..=(room, u64::MAX);
    table.retain_in(all, |(_, base), _| segments.iter().any(|segment| segment.base == base))?;
    for segment in segments.iter() {
        table.insert((room, segment.base), (segment.next, segment.serving))?;
    }
    Ok(())
}

/// Writes the counters and changes of one line.
fn keep(write: &WriteTransaction, room: &str, counters: &Counters, changes: &[Change]) -> Result<(), redb::Error> {
    write.open_table(COUNTERS)?.insert(room, row_of(counters))?;
    keep_segments(write, room, &counters.segments)?;
    if changes.is_empty() {
        return Ok(());
    }
    let (mut active, mut revoked) = (write.open_table(ACTIVE)?, write.open_table(REVOKED)?);
    let (mut unconfirmed, mut evicted) = (write.open_table(UNCONFIRMED)?, write.open_table(EVICTED)?);
    let (mut arrivals, mut admitted) = (write.open_table(ARRIVALS)?, write.open_table(ADMITTED)?);
    let (mut caps, mut stock) = (write.open_table(CAPS)?, write.open_table(STOCK)?);
    let mut blocks: HashMap<u64, Vec<(u64, bool)>> = HashMap::new();
    for change in changes {
        match *change {
            Change::Claimed(n) => blocks.entry(n / BLOCK).or_default().push((n % BLOCK, true)),
            Change::Active(n, Some(expires)) => drop(active.insert((room, n), expires)?),
            Change::Active(n, None) => drop(active.remove((room, n))?),
            Change::Admitted(n, Some(given)) => drop(admitted.insert((room, n), given)?),
            Change::Admitted(n, None) => drop(admitted.remove((room, n))?),
            Change::Revoked(n, Some(expires)) => drop(revoked.insert((room, n), expires)?),
            Change::Revoked(n, None) => drop(revoked.remove((room, n))?),
            Change::Unconfirmed(n, Some(given)) => drop(unconfirmed.insert((room, n), given)?),
            Change::Unconfirmed(n, None) => drop(unconfirmed.remove((room, n))?),
            Change::Evicted(n, expires) => {
                blocks.entry(n / BLOCK).or_default().push((n % BLOCK, false));
                evicted.insert((room, expires, n), ())?;
            }
            Change::EvictionOver(n, expires) => drop(evicted.remove((room, expires, n))?),
            Change::Arrived(id, Some((place, until))) => {
                drop(arrivals.insert((room, id), (row_of_place(place), until))?);
            }
            Change::Cap(source, Some(cap)) => drop(caps.insert((room, source), cap)?),
            Change::Cap(source, None) => drop(caps.remove((room, source))?),
            Change::Stock(sku, left, held, since) => drop(stock.insert((room, sku), (left, held, since))?),
            Change::Arrived(id, None) => drop(arrivals.remove((room, id))?),
            Change::Credit(Credit { ordered, left, since, earlier, earlier_since, debt }) => {
                let row = (ordered, left, since, earlier, earlier_since, debt);
                drop(write.open_table(CREDIT)?.insert(room, row)?);
            }
            Change::Forgotten(base) => {
                let all = (room, base / BLOCK)..(room, (base + SPAN) / BLOCK);
                write.open_table(CLAIMED)?.retain_in(all, |_, _| false)?;
            }
            Change::Adopted(Adopted { adopt, base, seed }) => {
                let (key, mut adopted) = ((room, adopt.incarnation, adopt.first), write.open_table(ADOPTED)?);
                adopted.insert(key, (adopt.count, base))?;
                if let Some(seed) = seed {
                    write.open_table(SEEDS)?.insert(key, seed)?;
                }
            }
            Change::AdoptionOver(Adopted { adopt, .. }) => {
                let key = (room, adopt.incarnation, adopt.first);
                drop(write.open_table(ADOPTED)?.remove(key)?);
                drop(write.open_table(SEEDS)?.remove(key)?);
            }
            Change::Round(Round { id, gathered, drawn, began }) => {
                write.open_table(ROUND)?.insert(room, (id, gathered, drawn, began))?;
            }
            Change::Skipped(skipped) => drop(write.open_table(SKIPPED)?.insert(room, skipped)?),
        }
    }
    let mut claimed = write.open_table(CLAIMED)?;
    for (block, numbers) in blocks {
        let mut bits = [0; (BLOCK / 8) as usize];
        if let Some(row) = claimed.get((room, block))? {
            bits.iter_mut().zip(row.value()).for_each(|(bit, &kept)| *bit = kept);
        }
        for (n, claimed) in numbers {
            let (byte, bit) = (&mut bits[(n / 8) as usize], 1 << (n % 8));
            *byte = if claimed { *byte | bit } else { *byte & !bit };
        }
        claimed.insert((room, block), bits.as_slice())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_not_come_back_and_who_was_evicted_are_read_as_they_were_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = Open::new(&dir.path().join("lines")).expect("it can be read").ok().expect("a new file");
        let write = |changes: &[Change]| {
            let write = open.database.begin_write()?;
            keep(&write, "launch", &Counters::default(), changes)?;
            write.commit()?;
            Ok::<(), redb::Error>(())
        };
        let (seated, waits) = (Change::Active(5, Some(90)), Change::Unconfirmed(5, Some(1)));
        let before = [Change::Claimed(5), seated, waits, Change::Unconfirmed(6, Some(1)), Change::Claimed(6)];
        let evicted =
            [Change::Claimed(7), Change::Unconfirmed(6, None), Change::Evicted(6, 80), Change::Evicted(7, 70)];
        // The seventh claims again, and the eighth is over.
        let after = [Change::Claimed(7), Change::Evicted(8, 60), Change::EvictionOver(8, 60)];
        let renewed = [Change::Admitted(5, Some(3)), Change::Admitted(6, Some(2)), Change::Admitted(6, None)];
        for changes in [&before[..], &evicted, &after, &renewed] {
            write(changes).expect("it is written");
        }
        let read = changes_of(&open.database.begin_read().expect("readable"), "launch").expect("it is read");
        let lists = [Change::Evicted(7, 70), Change::Evicted(6, 80)];
        assert_eq!(
            read,
            [lists, [Change::Claimed(5), Change::Claimed(7)], [seated, renewed[0]]]
                .concat()
                .into_iter()
                .chain([waits])
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn who_may_be_let_in_and_what_is_owed_for_them_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("lines");
        let earlier = Credit { ordered: 5, left: 9, since: 4, earlier: 0, earlier_since: 0, debt: 0.25 };
        let credit = Credit { ordered: 7, left: 30, since: 6, earlier: 9, earlier_since: 4, debt: 2.5 };
        for credit in [earlier, credit] {
            let open = Open::new(&file).expect("it can be read").ok().expect("a file of this format");
            let write = open.database.begin_write().expect("writable");
            keep(&write, "launch", &Counters::default(), &[Change::Credit(credit)]).expect("it is kept");
            write.commit().expect("it is written");
            drop(open);
            // A restart.
            let open = Open::new(&file).expect("it can be read").ok().expect("a file of this format");
            let read = changes_of(&open.database.begin_read().expect("readable"), "launch").expect("it is read");
            assert_eq!(read, [Change::Credit(credit)]);
        }
    }
}
