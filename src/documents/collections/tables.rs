//! The tables that collections lie in.

use redb::{TableDefinition, WriteTransaction};

use crate::storage::{Result, StoreError, Table};

pub const COLLECTIONS: Table<'_> = TableDefinition::new("collections");
/// By the ids of the collection and of the document.
pub const DOCUMENTS: TableDefinition<'_, (&str, &str), &[u8]> =
    TableDefinition::new("collection_documents");
/// Ids of documents by those of their collections and the hashes of their files.
pub const HASHES: TableDefinition<'_, (&str, &str), &str> =
    TableDefinition::new("collection_hashes");
/// By the ids of the collection and of the document, and a number.
pub const PASSAGES: TableDefinition<'_, (&str, &str, u64), &[u8]> =
    TableDefinition::new("collection_passages");
/// Of all passages of a document end to end, little endian, in 32 bits.
pub const VECTORS: TableDefinition<'_, (&str, &str), &[u8]> =
    TableDefinition::new("collection_vectors");

/// After every id.
pub const LAST: &str = "\u{10ffff}";

/// So that reading finds the tables.
pub fn make_tables(write: &WriteTransaction) -> Result<()> {
    write.open_table(COLLECTIONS).map_err(StoreError::of)?;
    write.open_table(DOCUMENTS).map_err(StoreError::of)?;
    write.open_table(HASHES).map_err(StoreError::of)?;
    write.open_table(PASSAGES).map_err(StoreError::of)?;
    write.open_table(VECTORS).map_err(StoreError::of)?;
    Ok(())
}
