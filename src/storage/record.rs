//! Records by their ids, as a transaction sees them.

use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Result, StoreError};

/// Bytes, mostly of JSON, by an id.
pub type Table<'a> = TableDefinition<'a, &'static str, &'static [u8]>;

/// The record under an id.
///
/// # Errors
/// The disk fails, or the bytes are of no such record; so for all that follow.
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

/// A record as it is stored.
pub fn bytes<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(StoreError::of)
}

/// A record from what is stored.
pub fn value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(StoreError::of)
}
