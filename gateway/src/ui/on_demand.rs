//! Pages that are made when a shopper first needs them.

use std::sync::OnceLock;

/// A table that is empty at first. A row takes no room before something of it is made.
#[derive(Debug, Clone)]
pub(super) struct OnDemand<T> {
    rows: Box<[Row<T>]>,
    columns: usize,
}

type Row<T> = OnceLock<Box<[OnceLock<T>]>>;

impl<T: Clone> OnDemand<T> {
    pub(super) fn new(rows: usize, columns: usize) -> Self {
        Self { rows: vec![OnceLock::new(); rows].into(), columns }
    }

    /// What stands there, made now if it is the first time.
    ///
    /// # Panics
    /// The row or the column is not in the table.
    pub(super) fn get(&self, row: usize, column: usize, make: impl FnOnce() -> T) -> &T {
        let row = self.rows[row].get_or_init(|| vec![OnceLock::new(); self.columns].into());
        row[column].get_or_init(make)
    }
}
