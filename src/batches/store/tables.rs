//! The tables that files and batches lie in.

use redb::{TableDefinition, WriteTransaction};

use crate::storage::{Open, Requests, Result, StoreError, Table};

pub const FILES: Table<'_> = TableDefinition::new("files");
/// Pieces of files by the file's id and a number, which they are in the order of;
/// of a batch's answers the number of the line.
pub const CONTENT: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("content");
pub const BATCHES: Table<'_> = TableDefinition::new("batches");
/// Batches that have not come to an end.
pub const OPEN: Open<'_> = TableDefinition::new("open_batches");
/// The requests that made batches.
pub const REQUESTS: Requests<'_> = TableDefinition::new("requests");

/// So that reading finds the tables.
pub fn make(write: &WriteTransaction) -> Result<()> {
    for table in [FILES, BATCHES] {
        write.open_table(table).map_err(StoreError::of)?;
    }
    write.open_table(CONTENT).map_err(StoreError::of)?;
    write.open_table(OPEN).map_err(StoreError::of)?;
    write.open_table(REQUESTS).map_err(StoreError::of)?;
    Ok(())
}
