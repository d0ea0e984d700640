//! One file of `redb`.

use std::path::Path;

use redb::{ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};
use serde::de::DeserializeOwned;

use super::record::{self, Table, value};
use super::{Open, Result, StoreError};

/// The file, open for this process alone.
pub struct Database {
    database: redb::Database,
    /// Of the file, for errors.
    name: &'static str,
}

impl Database {
    /// Opens the file of this name in a folder, and makes both if they are not
    /// there. `make` opens every table, so that reading finds it.
    ///
    /// # Errors
    /// The folder cannot be written, or another server has the file open.
    pub fn open(
        folder: &Path,
        name: &'static str,
        make: impl FnOnce(&WriteTransaction) -> Result<()>,
    ) -> Result<Self> {
        let path = folder.join(name);
        let failed = |error: &dyn std::fmt::Display| {
            StoreError::Open(format!(
                "{} cannot be opened: {error}; give the server a folder of its own with \
                 server.data_dir",
                path.display()
            ))
        };
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        let database = redb::Database::create(&path).map_err(|error| failed(&error))?;
        let opened = Self { database, name };
        opened.write(make)?;
        Ok(opened)
    }

    /// Does all of something, or after an error nothing.
    ///
    /// # Errors
    /// The disk fails or is full, or the work fails.
    pub fn write<T>(&self, work: impl FnOnce(&WriteTransaction) -> Result<T>) -> Result<T> {
        let all = || {
            let write = self.database.begin_write().map_err(StoreError::of)?;
            let done = work(&write)?;
            write.commit().map_err(StoreError::of)?;
            Ok(done)
        };
        all().map_err(|error| self.named(error))
    }

    /// Reads everything as it is at one moment.
    ///
    /// # Errors
    /// The disk fails; so for all that follow.
    pub fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T>) -> Result<T> {
        let read = self.database.begin_read().map_err(StoreError::of);
        read.and_then(|read| work(&read)).map_err(|error| self.named(error))
    }

    /// The bytes under an id.
    pub fn raw(&self, table: Table<'_>, id: &str) -> Result<Option<Vec<u8>>> {
        self.read(|read| {
            let table = read.open_table(table).map_err(StoreError::of)?;
            let found = table.get(id).map_err(StoreError::of)?;
            Ok(found.map(|found| found.value().to_vec()))
        })
    }

    /// The record under an id.
    pub fn get<T: DeserializeOwned>(&self, table: Table<'_>, id: &str) -> Result<Option<T>> {
        self.read(|read| {
            let table = read.open_table(table).map_err(StoreError::of)?;
            let found = table.get(id).map_err(StoreError::of)?;
            found.map(|found| value(found.value())).transpose()
        })
    }

    /// All records of a table, in the order of their ids.
    pub fn all<T: DeserializeOwned>(&self, table: Table<'_>) -> Result<Vec<T>> {
        self.read(|read| {
            let table = read.open_table(table).map_err(StoreError::of)?;
            let entries = table.iter().map_err(StoreError::of)?;
            entries.map(|entry| value(entry.map_err(StoreError::of)?.1.value())).collect()
        })
    }

    /// Writes bytes under an id, in place of those that were there.
    pub fn put(&self, table: Table<'_>, id: &str, bytes: &[u8]) -> Result<()> {
        self.write(|write| record::put(write, table, id, bytes))
    }

    /// Whether there was something under this id.
    pub fn delete(&self, table: Table<'_>, id: &str) -> Result<bool> {
        self.write(|write| {
            let mut table = write.open_table(table).map_err(StoreError::of)?;
            let there = table.remove(id).map_err(StoreError::of)?.is_some();
            Ok(there)
        })
    }

    /// The ids of what has not come to an end, the oldest first.
    pub fn open_ids(&self, table: Open<'_>) -> Result<Vec<String>> {
        self.read(|read| {
            let table = read.open_table(table).map_err(StoreError::of)?;
            let entries = table.iter().map_err(StoreError::of)?;
            entries.map(|entry| Ok(entry.map_err(StoreError::of)?.0.value().1.to_owned())).collect()
        })
    }

    /// Says which file failed.
    fn named(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Failed(why) => StoreError::Failed(format!("{}: {why}", self.name)),
            error => error,
        }
    }
}
