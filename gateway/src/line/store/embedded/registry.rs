//! The registry of a single gateway: the rooms by version, the audit, and no other gateway.

use std::sync::Arc;

use policy::audit::{Entry, Head};
use redb::{ReadableDatabase as _, ReadableTable, ReadableTableMetadata as _, TableDefinition, WriteTransaction};

use super::{Embedded, Open};
use crate::line::store::Answer;
use crate::line::store::registry::{
    Change, Heartbeat, HeartbeatReply, InForce, KEPT_LINES, Link, PAGE_OF_LINES, Registry, Switched, Version,
    superfluous,
};

/// By number: when it was made, and its text.
const VERSIONS: TableDefinition<u64, (u64, &str)> = TableDefinition::new("versions");
/// One row: number of the switch, number of the version.
const IN_FORCE: TableDefinition<(), (u64, u64)> = TableDefinition::new("in_force");
/// Lines of the audit by number.
const AUDIT: TableDefinition<u64, &str> = TableDefinition::new("audit");

impl Registry for Embedded {
    fn exchange(&self, heartbeat: Heartbeat) -> Answer<'_, HeartbeatReply> {
        self.call(move |open| open.exchange(heartbeat))
    }

    fn versions(&self) -> Answer<'_, Vec<Version>> {
        self.call(|open| open.versions())
    }

    fn record(&self, from: InForce, change: Change, link: Option<Link>) -> Answer<'_, Switched> {
        self.call(move |open| open.record(from, &change, link.as_ref()))
    }

    fn audit(&self, from: u64) -> Answer<'_, Vec<String>> {
        self.call(move |open| open.audit(from))
    }
}

/// Makes the tables.
pub(super) fn set_up(write: &WriteTransaction) -> Result<(), redb::Error> {
    let _ = (write.open_table(VERSIONS)?, write.open_table(IN_FORCE)?, write.open_table(AUDIT)?);
    Ok(())
}

impl Open {
    fn exchange(&self, heartbeat: Heartbeat) -> Result<HeartbeatReply, redb::Error> {
        let read = self.database.begin_read()?;
        let in_force =
            read.open_table(IN_FORCE)?.get(())?.map_or_else(InForce::default, |row| in_force_of(row.value()));
        let versions = read.open_table(VERSIONS)?;
        let version = match in_force {
            known if known == heartbeat.knows => None,
            InForce { number, .. } => versions.get(number)?.map(|row| version_of(number, row.value())),
        };
        let audit = head(&read.open_table(AUDIT)?)?;
        Ok(HeartbeatReply { in_force, version, gateways: vec![heartbeat.text], audit, now: self.clock.now() })
    }

    fn versions(&self) -> Result<Vec<Version>, redb::Error> {
        let read = self.database.begin_read()?;
        let mut versions = Vec::new();
        for row in read.open_table(VERSIONS)?.iter()? {
            let (number, row) = row?;
            versions.push(version_of(number.value(), row.value()));
        }
        Ok(versions)
    }

    fn record(&self, from: InForce, change: &Change, link: Option<&Link>) -> Result<Switched, redb::Error> {
        let write = self.database.begin_write()?;
        let behind = link.map_or(Ok(None), |link| link_in(&write, link))?;
        let switched = match behind {
            Some(head) => Switched::Behind(head),
            None => change_in(&write, from, change, self.clock.now())?,
        };
        match switched {
            Switched::Now(_) => write.commit()?,
            _ => write.abort()?,
        }
        Ok(switched)
    }

    fn audit(&self, from: u64) -> Result<Vec<String>, redb::Error> {
        let read = self.database.begin_read()?;
        let lines = read.open_table(AUDIT)?;
        lines.range(from..)?.take(PAGE_OF_LINES).map(|row| Ok(row?.1.value().to_owned())).collect()
    }
}

/// The last line of the audit.
fn head(lines: &impl ReadableTable<u64, &'static str>) -> Result<Head, redb::Error> {
    let last = lines.last()?;
    Ok(last.and_then(|(_, line)| Some(Entry::read(line.value())?.1)).unwrap_or_default())
}

/// Writes a line behind the last one; that one, if the line names another.
fn link_in(write: &WriteTransaction, Link { behind, line }: &Link) -> Result<Option<Head>, redb::Error> {
    let mut lines = write.open_table(AUDIT)?;
    let present = head(&lines)?;
    if present != *behind {
        return Ok(Some(present));
    }
    lines.insert(line.head.number, line.text.as_str())?;
    while lines.len()? > KEPT_LINES as u64 {
        lines.pop_first()?;
    }
    Ok(None)
}

fn change_in(write: &WriteTransaction, from: InForce, change: &Change, now: u64) -> Result<Switched, redb::Error> {
    let (mut versions, mut row) = (write.open_table(VERSIONS)?, write.open_table(IN_FORCE)?);
    let present = row.get(())?.map_or_else(InForce::default, |row| in_force_of(row.value()));
    if matches!(change, Change::Nothing) {
        return Ok(Switched::Now(present));
    }
    if present != from {
        return Ok(Switched::Other(present));
    }
    let switch = from.switch + 1;
    let next = match change {
        Change::Add(text) => {
            versions.insert(switch, (now, &**text))?;
            InForce { switch, number: switch }
        }
        Change::To(number) if *number > 0 && versions.get(number)?.is_none() => return Ok(Switched::Unknown),
        Change::To(number) => InForce { switch, number: *number },
        Change::Restore(lost, version) => {
            if let Some(Version { number, made, text }) = version {
                versions.insert(number, (*made, &**text))?;
            }
            *lost
        }
        Change::Nothing => present,
    };
    row.insert((), (next.switch, next.number))?;
    let kept = versions.iter()?.map(|row| Ok(row?.0.value())).collect::<Result<Vec<_>, redb::Error>>()?;
    for number in superfluous(kept, [present.number, next.number]) {
        versions.remove(number)?;
    }
    Ok(Switched::Now(next))
}

fn in_force_of((switch, number): (u64, u64)) -> InForce {
    InForce { switch, number }
}

fn version_of(number: u64, (made, text): (u64, &str)) -> Version {
    Version { number, made, text: Arc::from(text) }
}
