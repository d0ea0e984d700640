//! The tables that files and batches lie in, and what a transaction does with one
//! of them.

use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Result, StoreError};

pub type Table<'a> = TableDefinition<'a, &'static str, &'static [u8]>;

pub const FILES: Table<'_> = TableDefinition::new("files");
/// Pieces of files by the file's id and a number, which they are in the order of;
/// of a batch's answers the number of the line.
pub const CONTENT: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("content");
pub const BATCHES: Table<'_> = TableDefinition::new("batches");
/// Batches that have not come to an end, the oldest first.
pub const OPEN: TableDefinition<'_, (i64, &str), ()> = TableDefinition::new("open_batches");
/// By the clients' names for their requests: the batch, and what was sent.
pub const REQUESTS: TableDefinition<'_, &str, (&str, &str)> = TableDefinition::new("requests");

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

/// A record as the transaction sees it.
pub fn get<T: DeserializeOwned>(
    write: &WriteTransaction,
    table: Table<'_>,
    id: &str,
) -> Result<Option<T>> {
    let table = write.open_table(table).map_err(StoreError::of)?;
    let found = table.get(id).map_err(StoreError::of)?;
    found.map(|found| value(found.value())).transpose()
}

/// Writes bytes, in place of those that were there.
pub fn put(write: &WriteTransaction, table: Table<'_>, id: &str, bytes: &[u8]) -> Result<()> {
    let mut table = write.open_table(table).map_err(StoreError::of)?;
    table.insert(id, bytes).map_err(StoreError::of)?;
    Ok(())
}

pub fn bytes<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(StoreError::of)
}

pub fn value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(StoreError::of)
}
