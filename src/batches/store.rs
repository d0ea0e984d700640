//! Files and batches on disk, in one file of `redb`. Everything that belongs
//! together changes in one transaction, so that a crash leaves a batch before or
//! after a step, never within one.
//!
//! A batch's answers are written straight into the files that they will be: their
//! content is there line by line, and the record of the file comes with the
//! batch's end.

mod files;
mod tables;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use redb::ReadableTable;

use self::tables::{BATCHES, CONTENT, FILES, OPEN, REQUESTS};
use super::after;
use super::batch::{Answer, Status, StoredBatch};
use super::file::{Purpose, StoredFile};
use crate::storage::{
    Database, Earlier, Made, Result, StoreError, admit, bytes, earlier, get, put, value,
};

pub use self::files::Deleted;

const FILE: &str = "batches.redb";

/// What became of a new batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    New,
    /// The request of this name came before and made this one.
    Known(Box<StoredBatch>),
    /// A request of this name came before, with another content.
    Other,
    /// So many have not come to an end that no more are taken.
    TooMany(u64),
    /// Its file is not there.
    NoFile,
}

/// The file of the database.
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens the store of a folder, and makes it if there is none.
    ///
    /// # Errors
    /// The folder cannot be written, or another server has its store open.
    pub fn open(folder: &Path) -> Result<Self> {
        Ok(Self { database: Database::open(folder, FILE, tables::make)? })
    }

    /// Whether there is a store in a folder.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// Stores a new batch, unless `most` have not come to an end, its file is not
    /// there, or the same request came before.
    ///
    /// # Errors
    /// The disk fails or is full; so for all that follow.
    pub fn create_batch(
        &self,
        batch: &StoredBatch,
        fingerprint: &str,
        most: u64,
    ) -> Result<Created> {
        self.database.write(|write| {
            let request = batch.request.as_deref();
            match earlier(write, REQUESTS, request, fingerprint)? {
                Earlier::Other => return Ok(Created::Other),
                Earlier::Same(id) => {
                    if let Some(known) = get(write, BATCHES, &id)? {
                        return Ok(Created::Known(Box::new(known)));
                    }
                }
                Earlier::None => {}
            }
            if get::<StoredFile>(write, FILES, &batch.input)?.is_none() {
                return Ok(Created::NoFile);
            }
            let made = Made { id: &batch.id, created: batch.created, request, fingerprint };
            if let Err(waiting) = admit(write, (OPEN, REQUESTS), made, most)? {
                return Ok(Created::TooMany(waiting));
            }
            put(write, BATCHES, &batch.id, &bytes(batch)?)?;
            Ok(Created::New)
        })
    }

    pub fn batch(&self, id: &str) -> Result<Option<StoredBatch>> {
        self.database.get(BATCHES, id)
    }

    /// All batches, the newest first.
    pub fn batches(&self) -> Result<Vec<StoredBatch>> {
        let mut all: Vec<StoredBatch> = self.database.all(BATCHES)?;
        all.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        Ok(all)
    }

    /// The ids of those that have not come to an end, the oldest first.
    pub fn open_batches(&self) -> Result<Vec<String>> {
        self.database.open_ids(OPEN)
    }

    /// Those that have not come to an end, as they are at one moment.
    pub fn unfinished(&self) -> Result<Vec<StoredBatch>> {
        self.database.read(|read| {
            let open = read.open_table(OPEN).map_err(StoreError::of)?;
            let batches = read.open_table(BATCHES).map_err(StoreError::of)?;
            let mut found = Vec::new();
            for entry in open.iter().map_err(StoreError::of)? {
                let (key, _) = entry.map_err(StoreError::of)?;
                let batch = batches.get(key.value().1).map_err(StoreError::of)?;
                found.extend(batch.map(|batch| value(batch.value())).transpose()?);
            }
            Ok(found)
        })
    }

    /// Changes a batch that goes on afterwards, unless `change` says that it may
    /// not be. The batch as it is then, and whether it was changed; `None` if it is
    /// not there.
    pub fn change_batch(
        &self,
        id: &str,
        change: impl FnOnce(&mut StoredBatch) -> bool,
    ) -> Result<Option<(StoredBatch, bool)>> {
        self.database.write(|write| {
            let Some(mut batch) = get::<StoredBatch>(write, BATCHES, id)? else { return Ok(None) };
            let before = batch.clone();
            if !change(&mut batch) {
                return Ok(Some((before, false)));
            }
            put(write, BATCHES, id, &bytes(&batch)?)?;
            Ok(Some((batch, true)))
        })
    }

    /// Stores answers to lines of a batch by their numbers; false if it is not in
    /// progress any more.
    pub fn put_answers(&self, id: &str, answers: &[(u64, Answer)]) -> Result<bool> {
        self.database.write(|write| {
            let batch = get::<StoredBatch>(write, BATCHES, id)?;
            let Some(mut batch) = batch.filter(|batch| batch.status == Status::InProgress) else {
                return Ok(false);
            };
            let mut content = write.open_table(CONTENT).map_err(StoreError::of)?;
            for (number, answer) in answers {
                let length = answer.bytes.len() as u64;
                let file = match answer.failed {
                    true => {
                        (batch.failed, batch.error_bytes) =
                            (batch.failed + 1, batch.error_bytes + length);
                        &*batch.errors
                    }
                    false => {
                        (batch.completed, batch.output_bytes) =
                            (batch.completed + 1, batch.output_bytes + length);
                        &*batch.output
                    }
                };
                content.insert((file, *number), &*answer.bytes).map_err(StoreError::of)?;
                batch.usage += answer.usage;
                batch.tries = 0;
            }
            put(write, BATCHES, id, &bytes(&batch)?)?;
            Ok(true)
        })
    }

    /// The numbers of the lines of a batch whose answers are stored.
    pub fn answered(&self, batch: &StoredBatch) -> Result<BTreeSet<u64>> {
        self.database.read(|read| {
            let table = read.open_table(CONTENT).map_err(StoreError::of)?;
            let mut found = BTreeSet::new();
            for file in [&*batch.output, &*batch.errors] {
                for entry in table.range((file, 0)..=(file, u64::MAX)).map_err(StoreError::of)? {
                    found.insert(entry.map_err(StoreError::of)?.0.value().1);
                }
            }
            Ok(found)
        })
    }

    /// Ends a batch: `rest` are the errors of its lines that have no answer, and
    /// its files are there from now on. False if it cannot come to that end.
    pub fn close_batch(
        &self,
        id: &str,
        status: Status,
        rest: &[(u64, Vec<u8>)],
        now: i64,
        retention: Duration,
    ) -> Result<bool> {
        self.database.write(|write| {
            let Some(mut batch) = get::<StoredBatch>(write, BATCHES, id)? else {
                return Ok(false);
            };
            if !status.is_final() || !batch.reach(status, now) {
                return Ok(false);
            }
            let mut content = write.open_table(CONTENT).map_err(StoreError::of)?;
            for (number, line) in rest {
                content.insert((&*batch.errors, *number), &**line).map_err(StoreError::of)?;
                batch.error_bytes += line.len() as u64;
            }
            let kept = batch.keep.map_or(retention, Duration::from_secs);
            let files = [
                (&batch.output, batch.output_bytes, "output"),
                (&batch.errors, batch.error_bytes, "error"),
            ];
            for (file, length, name) in files.into_iter().filter(|(_, length, _)| *length > 0) {
                let record = StoredFile {
                    id: file.clone(),
                    created: now,
                    name: format!("{id}_{name}.jsonl"),
                    purpose: Purpose::BatchOutput,
                    bytes: length,
                    expires: after(now, kept),
                };
                put(write, FILES, file, &bytes(&record)?)?;
            }
            let mut open = write.open_table(OPEN).map_err(StoreError::of)?;
            open.remove((batch.created, id)).map_err(StoreError::of)?;
            put(write, BATCHES, id, &bytes(&batch)?)?;
            Ok(true)
        })
    }

    /// Deletes files whose time is over and that no batch needs, and batches that
    /// ended so long ago; how many there were of each.
    pub fn delete_old(&self, now: i64, retention: Duration) -> Result<(usize, usize)> {
        let batches = self.batches()?;
        let old: Vec<&StoredBatch> = (batches.iter())
            .filter(|batch| batch.ended().is_some_and(|at| after(at, retention) < now))
            .collect();
        let mut files = 0;
        for file in self.files()?.iter().filter(|file| file.expires < now) {
            files += usize::from(self.delete_file(&file.id)? == Deleted::Done);
        }
        if !old.is_empty() {
            self.database.write(|write| {
                let mut table = write.open_table(BATCHES).map_err(StoreError::of)?;
                let mut requests = write.open_table(REQUESTS).map_err(StoreError::of)?;
                for batch in &old {
                    table.remove(&*batch.id).map_err(StoreError::of)?;
                    if let Some(request) = &batch.request {
                        requests.remove(&**request).map_err(StoreError::of)?;
                    }
                }
                Ok(())
            })?;
        }
        Ok((files, old.len()))
    }
}

#[cfg(test)]
mod tests;
