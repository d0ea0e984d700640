//! What is done with collections on disk.

use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, WriteTransaction};

use super::loaded::{Held, Ordered};
use super::tables::{COLLECTIONS, DOCUMENTS, HASHES, LAST, PASSAGES, VECTORS};
use super::{StoredCollection, StoredDocument};
use crate::documents::search::{Index, Passage};
use crate::documents::store::Store;
use crate::storage::{Result, StoreError, bytes, get, put, value};

/// A document to be added.
#[derive(Debug, Clone, Copy)]
pub struct Addition<'a> {
    pub document: &'a StoredDocument,
    pub passages: &'a [Passage],
    /// End to end, as many numbers a passage as the collection's encoder gives.
    pub vectors: &'a [f32],
}

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    New,
    /// The same file was there before.
    Known(Box<StoredDocument>),
    /// With it there would be more passages than may be.
    Full,
    /// There is no such collection.
    Gone,
}

impl Store {
    /// Makes a collection, unless `most` are there: how many those are then.
    ///
    /// # Errors
    /// The disk fails or is full; so for all that follow.
    pub fn create_collection(
        &self,
        collection: &StoredCollection,
        most: u64,
    ) -> Result<std::result::Result<(), u64>> {
        self.database.write(|write| {
            let table = write.open_table(COLLECTIONS).map_err(StoreError::of)?;
            let there = table.len().map_err(StoreError::of)?;
            drop(table);
            if there >= most {
                return Ok(Err(there));
            }
            put(write, COLLECTIONS, &collection.id, &bytes(collection)?)?;
            Ok(Ok(()))
        })
    }

    pub fn collection(&self, id: &str) -> Result<Option<StoredCollection>> {
        self.database.get(COLLECTIONS, id)
    }

    /// All collections, the oldest first.
    pub fn collections(&self) -> Result<Vec<StoredCollection>> {
        let mut all: Vec<StoredCollection> = self.database.all(COLLECTIONS)?;
        all.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(all)
    }

    /// Deletes a collection with its documents; false if there is none.
    pub fn delete_collection(&self, id: &str) -> Result<bool> {
        let _changing = self.loaded.changing();
        let there = self.database.write(|write| {
            let mut collections = write.open_table(COLLECTIONS).map_err(StoreError::of)?;
            let there = collections.remove(id).map_err(StoreError::of)?.is_some();
            let all = (id, "")..=(id, LAST);
            for table in [DOCUMENTS, VECTORS] {
                let mut table = write.open_table(table).map_err(StoreError::of)?;
                table.retain_in(all.clone(), |_, _| false).map_err(StoreError::of)?;
            }
            let mut hashes = write.open_table(HASHES).map_err(StoreError::of)?;
            hashes.retain_in(all, |_, _| false).map_err(StoreError::of)?;
            let mut passages = write.open_table(PASSAGES).map_err(StoreError::of)?;
            let all = (id, "", 0)..=(id, LAST, u64::MAX);
            passages.retain_in(all, |_, _| false).map_err(StoreError::of)?;
            Ok(there)
        })?;
        self.loaded.forget(id);
        Ok(there)
    }

    /// Adds a document to a collection, which may have `most` passages.
    pub fn add_document(&self, id: &str, addition: Addition<'_>, most: u64) -> Result<Added> {
        let Addition { document, passages, vectors } = addition;
        let _changing = self.loaded.changing();
        let added = self.database.write(|write| {
            let Some(mut collection) = collection(write, id)? else { return Ok(Added::Gone) };
            let mut documents = write.open_table(DOCUMENTS).map_err(StoreError::of)?;
            let mut hashes = write.open_table(HASHES).map_err(StoreError::of)?;
            let known = hashes.get((id, &*document.sha256)).map_err(StoreError::of)?;
            let known = known.map(|known| known.value().to_owned());
            let known = known.map(|known| documents.get((id, &*known))).transpose();
            if let Some(known) = known.map_err(StoreError::of)?.flatten() {
                return Ok(Added::Known(Box::new(value(known.value())?)));
            }
            let count = passages.len() as u64;
            if collection.passages.saturating_add(count) > most {
                return Ok(Added::Full);
            }
            if vectors.len() != passages.len() * collection.encoder.dimensions {
                let message = format!("{count} passages came with {} numbers", vectors.len());
                return Err(StoreError::Failed(message));
            }
            collection.documents += 1;
            collection.passages += count;
            collection.bytes += document.bytes;
            put(write, COLLECTIONS, id, &bytes(&collection)?)?;
            let key = (id, &*document.id);
            documents.insert(key, &*bytes(document)?).map_err(StoreError::of)?;
            hashes.insert((id, &*document.sha256), &*document.id).map_err(StoreError::of)?;
            let mut table = write.open_table(PASSAGES).map_err(StoreError::of)?;
            for (number, passage) in (0u64..).zip(passages) {
                let written = &*bytes(passage)?;
                table.insert((id, &*document.id, number), written).map_err(StoreError::of)?;
            }
            let mut table = write.open_table(VECTORS).map_err(StoreError::of)?;
            let written: Vec<u8> = vectors.iter().flat_map(|x| x.to_le_bytes()).collect();
            table.insert(key, &*written).map_err(StoreError::of)?;
            Ok(Added::New)
        })?;
        if added == Added::New {
            self.loaded.change(id, |loaded| loaded.add(document, passages, vectors));
        }
        Ok(added)
    }

    /// The document of a collection that a file with this hash became.
    pub fn document_of(&self, id: &str, sha256: &str) -> Result<Option<StoredDocument>> {
        self.database.read(|read| {
            let hashes = read.open_table(HASHES).map_err(StoreError::of)?;
            let Some(known) = hashes.get((id, sha256)).map_err(StoreError::of)? else {
                return Ok(None);
            };
            let documents = read.open_table(DOCUMENTS).map_err(StoreError::of)?;
            let found = documents.get((id, known.value())).map_err(StoreError::of)?;
            found.map(|found| value(found.value())).transpose()
        })
    }

    /// The documents of a collection, the oldest first.
    pub fn collection_documents(&self, id: &str) -> Result<Vec<StoredDocument>> {
        self.database.read(|read| documents(read, id))
    }

    /// Deletes a document of a collection; whether there was one.
    pub fn delete_document(&self, id: &str, document: &str) -> Result<bool> {
        let _changing = self.loaded.changing();
        let there = self.database.write(|write| {
            let mut documents = write.open_table(DOCUMENTS).map_err(StoreError::of)?;
            let removed = documents.remove((id, document)).map_err(StoreError::of)?;
            let removed = removed.map(|removed| value::<StoredDocument>(removed.value()));
            let Some(removed) = removed.transpose()? else { return Ok(false) };
            if let Some(mut collection) = collection(write, id)? {
                collection.documents -= 1;
                collection.passages -= removed.passages;
                collection.bytes -= removed.bytes;
                put(write, COLLECTIONS, id, &bytes(&collection)?)?;
            }
            let mut hashes = write.open_table(HASHES).map_err(StoreError::of)?;
            hashes.remove((id, &*removed.sha256)).map_err(StoreError::of)?;
            let mut vectors = write.open_table(VECTORS).map_err(StoreError::of)?;
            vectors.remove((id, document)).map_err(StoreError::of)?;
            let mut passages = write.open_table(PASSAGES).map_err(StoreError::of)?;
            let all = (id, document, 0)..=(id, document, u64::MAX);
            passages.retain_in(all, |_, _| false).map_err(StoreError::of)?;
            Ok(true)
        })?;
        self.loaded.change(id, |loaded| {
            loaded.index.remove(document);
            true
        });
        Ok(there)
    }

    /// Passages of a collection by their documents and numbers; `None` for those
    /// that are gone.
    pub fn passages(&self, id: &str, places: &[(&str, u64)]) -> Result<Vec<Option<Passage>>> {
        self.database.read(|read| {
            let table = read.open_table(PASSAGES).map_err(StoreError::of)?;
            let passage = |(document, number): &(&str, u64)| {
                let found = table.get((id, *document, *number)).map_err(StoreError::of)?;
                found.map(|found| value(found.value())).transpose()
            };
            places.iter().map(passage).collect()
        })
    }

    /// A collection ready to be searched, loaded if it is not; `None` if there is
    /// none.
    pub fn loaded_collection(&self, id: &str) -> Result<Option<Arc<Held>>> {
        let slot = self.loaded.slot(id);
        let mut held = slot.held();
        if let Some(held) = held.as_ref().filter(|held| held.is_whole()) {
            return Ok(Some(held.clone()));
        }
        let Some(loaded) = self.database.read(|read| load(read, id))? else {
            self.loaded.forget(id);
            return Ok(None);
        };
        let loaded = Arc::new(Held::new(loaded));
        *held = Some(loaded.clone());
        drop(held);
        self.loaded.make_room();
        Ok(Some(loaded))
    }
}

fn load(read: &ReadTransaction, id: &str) -> Result<Option<Ordered>> {
    let table = read.open_table(COLLECTIONS).map_err(StoreError::of)?;
    let Some(found) = table.get(id).map_err(StoreError::of)? else { return Ok(None) };
    let collection: StoredCollection = value(found.value())?;
    let mut index = Index::new(collection.encoder.dimensions);
    index.reserve(usize::try_from(collection.passages).unwrap_or_default());
    let mut newest = (i64::MIN, String::new());
    let passages = read.open_table(PASSAGES).map_err(StoreError::of)?;
    let vectors = read.open_table(VECTORS).map_err(StoreError::of)?;
    for StoredDocument { id: document, name, created, .. } in documents(read, id)? {
        let range = (id, &*document, 0)..=(id, &*document, u64::MAX);
        let range = passages.range(range).map_err(StoreError::of)?;
        let own: Result<Vec<Passage>> =
            range.map(|entry| value(entry.map_err(StoreError::of)?.1.value())).collect();
        let stored = vectors.get((id, &*document)).map_err(StoreError::of)?;
        let numbers: Vec<f32> = stored.map_or_else(Vec::new, |stored| {
            let (numbers, _) = stored.value().as_chunks::<4>();
            numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()
        });
        if !index.add(&document, &name, &own?, &numbers) {
            let message = format!("document {document} of collection {id} lacks vectors");
            return Err(StoreError::Failed(message));
        }
        newest = (created, document);
    }
    Ok(Some(Ordered { index, newest }))
}

fn documents(read: &ReadTransaction, id: &str) -> Result<Vec<StoredDocument>> {
    let table = read.open_table(DOCUMENTS).map_err(StoreError::of)?;
    let range = table.range((id, "")..=(id, LAST)).map_err(StoreError::of)?;
    let all: Result<Vec<StoredDocument>> =
        range.map(|entry| value(entry.map_err(StoreError::of)?.1.value())).collect();
    let mut all = all?;
    all.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    Ok(all)
}

/// A collection as the transaction sees it.
fn collection(write: &WriteTransaction, id: &str) -> Result<Option<StoredCollection>> {
    get(write, COLLECTIONS, id)
}

#[cfg(test)]
mod tests;
