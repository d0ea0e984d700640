//! Files, and the pieces that their content lies in.

use redb::{ReadableTable, WriteTransaction};

use super::Store;
use super::tables::{BATCHES, CONTENT, FILES, OPEN};
use crate::batches::batch::StoredBatch;
use crate::batches::file::StoredFile;
use crate::storage::{Result, StoreError, bytes, get, put, value};

/// Bytes of a piece of an uploaded file.
const PIECE: usize = 1 << 20;

/// What became of a file that was to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    Done,
    Missing,
    /// The batch of this id has not come to its end and needs it.
    InUse(String),
}

impl Store {
    /// Stores a file; the bytes of all others if there would be more than `most`.
    ///
    /// # Errors
    /// The disk fails or is full; so for all that follow.
    pub fn create_file(
        &self,
        file: &StoredFile,
        content: &[u8],
        most: u64,
    ) -> Result<std::result::Result<(), u64>> {
        self.database.write(|write| {
            let there = total(write)?;
            if there.saturating_add(file.bytes) > most {
                return Ok(Err(there));
            }
            put(write, FILES, &file.id, &bytes(file)?)?;
            let mut table = write.open_table(CONTENT).map_err(StoreError::of)?;
            for (number, piece) in (0..).zip(content.chunks(PIECE)) {
                table.insert((&*file.id, number), piece).map_err(StoreError::of)?;
            }
            Ok(Ok(()))
        })
    }

    pub fn file(&self, id: &str) -> Result<Option<StoredFile>> {
        self.database.get(FILES, id)
    }

    /// All files, the newest first.
    pub fn files(&self) -> Result<Vec<StoredFile>> {
        let mut all: Vec<StoredFile> = self.database.all(FILES)?;
        all.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
        Ok(all)
    }

    /// The content of a file from a piece on, about [`PIECE`] bytes of it, and the
    /// piece to go on from, if there is more.
    pub fn content(&self, id: &str, from: u64) -> Result<(Vec<u8>, Option<u64>)> {
        self.database.read(|read| {
            let table = read.open_table(CONTENT).map_err(StoreError::of)?;
            let mut content = Vec::new();
            for entry in table.range((id, from)..=(id, u64::MAX)).map_err(StoreError::of)? {
                let (key, piece) = entry.map_err(StoreError::of)?;
                if content.len() + piece.value().len() > PIECE && !content.is_empty() {
                    return Ok((content, Some(key.value().1)));
                }
                content.extend_from_slice(piece.value());
            }
            Ok((content, None))
        })
    }

    /// All of a file; `None` if it is not there.
    pub fn whole(&self, id: &str) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.file(id)? else { return Ok(None) };
        let mut whole = Vec::with_capacity(usize::try_from(file.bytes).unwrap_or_default());
        let mut next = Some(0);
        while let Some(from) = next {
            let (piece, rest) = self.content(id, from)?;
            whole.extend_from_slice(&piece);
            next = rest;
        }
        Ok(Some(whole))
    }

    /// Deletes a file, unless a batch that has not come to its end needs it.
    pub fn delete_file(&self, id: &str) -> Result<Deleted> {
        self.database.write(|write| {
            let user = |batch: &StoredBatch| batch.input == id;
            if let Some(batch) = open(write)?.into_iter().find(user) {
                return Ok(Deleted::InUse(batch.id));
            }
            let mut files = write.open_table(FILES).map_err(StoreError::of)?;
            if files.remove(id).map_err(StoreError::of)?.is_none() {
                return Ok(Deleted::Missing);
            }
            let mut content = write.open_table(CONTENT).map_err(StoreError::of)?;
            content.retain_in((id, 0)..=(id, u64::MAX), |_, _| false).map_err(StoreError::of)?;
            Ok(Deleted::Done)
        })
    }
}

/// The batches that have not come to their end.
fn open(write: &WriteTransaction) -> Result<Vec<StoredBatch>> {
    let table = write.open_table(OPEN).map_err(StoreError::of)?;
    let mut found = Vec::new();
    for entry in table.iter().map_err(StoreError::of)? {
        let (key, _) = entry.map_err(StoreError::of)?;
        found.extend(get(write, BATCHES, key.value().1)?);
    }
    Ok(found)
}

/// Bytes of all files, and of the answers that will be some.
fn total(write: &WriteTransaction) -> Result<u64> {
    let files = write.open_table(FILES).map_err(StoreError::of)?;
    let mut total = 0u64;
    for entry in files.iter().map_err(StoreError::of)? {
        let (_, file) = entry.map_err(StoreError::of)?;
        total = total.saturating_add(value::<StoredFile>(file.value())?.bytes);
    }
    let answers = open(write)?.iter().map(|batch| batch.output_bytes + batch.error_bytes).sum();
    Ok(total.saturating_add(answers))
}
