//! The format of a file.
//!
//! It stands where format 1 had the counters of its lines: a Weir of that format finds a table of another type there, and
//! refuses the file. Format 1 had the same rows in that table, and fewer tables: its lines go on.

use redb::{ReadableTable as _, TableDefinition, TableError, WriteTransaction};

use super::{COUNTERS, CountersRow};
use crate::line::store::FORMAT;

/// One row.
const WHICH_FORMAT: TableDefinition<(), u64> = TableDefinition::new("line");
const COUNTERS_OF_FORMAT_1: TableDefinition<&str, CountersRow> = TableDefinition::new("line");

/// A format that this version does not read.
pub(super) struct OtherFormat(pub(super) u64);

/// Converts a new file, or one in format 1, to this format.
pub(super) fn claim(write: &WriteTransaction) -> Result<Result<(), OtherFormat>, redb::Error> {
    if matches!(write.open_table(WHICH_FORMAT), Err(TableError::TableTypeMismatch { .. })) {
        // An error if even this is not what it holds.
        drop(write.open_table(COUNTERS_OF_FORMAT_1)?);
        write.rename_table(COUNTERS_OF_FORMAT_1, COUNTERS)?;
    }
    let mut table = write.open_table(WHICH_FORMAT)?;
    let found = table.get(())?.map(|row| row.value());
    match found {
        None => drop(table.insert((), FORMAT)?),
        Some(FORMAT) => {}
        Some(other) => return Ok(Err(OtherFormat(other))),
    }
    Ok(Ok(()))
}
