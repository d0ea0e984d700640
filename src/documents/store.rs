//! Termbases and translation memories on disk, in one file of `redb`: what was
//! written is there after a crash, or was never there. Jobs and collections lie in
//! it too; see [`super::jobs`] and [`super::collections`].

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::collections::{self, Loaded};
use super::jobs;
use super::memory::{Index, Unit};
use super::record;
use super::termbase::{Notice, Termbase};
use crate::storage::{Database, Result, StoreError, Table, bytes, value};

const FILE: &str = "documents.redb";
const TERMBASES: Table<'_> = TableDefinition::new("termbases");
const MEMORIES: Table<'_> = TableDefinition::new("memories");
/// Units by the id of their memory and a number.
const UNITS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("units");

/// Most units of a memory.
pub const MAX_UNITS: u64 = 2_000_000;

/// The file, and the memories and collections that are in use.
pub struct Store {
    pub(super) database: Database,
    indexes: Mutex<HashMap<Key, Arc<Index>>>,
    /// What records say of memories, by their ids.
    recorded: Mutex<HashMap<String, record::Memory>>,
    pub(super) loaded: Loaded,
}

/// A memory and a pair of languages.
type Key = (String, String, String);

/// A memory's texts by the language of their sources.
pub type Indexes = Vec<(String, Arc<Index>)>;

/// A termbase with what is known about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredTermbase {
    pub id: String,
    pub name: String,
    /// In microseconds since 1970.
    pub created: i64,
    pub termbase: Termbase,
    /// What was odd in its file.
    pub notices: Vec<Notice>,
}

/// What is known about a memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredMemory {
    pub id: String,
    pub name: String,
    /// In microseconds since 1970.
    pub created: i64,
    pub units: u64,
    /// Sorted.
    pub languages: Vec<String>,
}

impl Store {
    /// Opens the store of a folder, and makes it if there is none.
    ///
    /// # Errors
    /// The folder cannot be written, or another server has its store open.
    pub fn open(folder: &Path) -> Result<Self> {
        Ok(Self {
            database: Database::open(folder, FILE, make_tables)?,
            indexes: Mutex::default(),
            recorded: Mutex::default(),
            loaded: Loaded::default(),
        })
    }

    /// With so many bytes of memory for collections that are being searched.
    pub fn with_room(mut self, bytes: usize) -> Self {
        self.loaded.most = bytes;
        self
    }

    /// Whether there is a store in a folder.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// Writes a termbase, in place of one with the same id.
    ///
    /// # Errors
    /// The disk fails or is full.
    pub fn put_termbase(&self, termbase: &StoredTermbase) -> Result<()> {
        self.database.put(TERMBASES, &termbase.id, &bytes(termbase)?)
    }

    /// # Errors
    /// The disk fails.
    pub fn termbase(&self, id: &str) -> Result<Option<StoredTermbase>> {
        self.database.get(TERMBASES, id)
    }

    /// All termbases, the oldest first.
    ///
    /// # Errors
    /// The disk fails.
    pub fn termbases(&self) -> Result<Vec<StoredTermbase>> {
        let mut all: Vec<StoredTermbase> = self.database.all(TERMBASES)?;
        all.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(all)
    }

    /// Whether there was one.
    ///
    /// # Errors
    /// The disk fails.
    pub fn delete_termbase(&self, id: &str) -> Result<bool> {
        self.database.delete(TERMBASES, id)
    }

    /// Makes a memory of units.
    ///
    /// # Errors
    /// There are too many units; the disk fails or is full.
    pub fn create_memory(&self, mut memory: StoredMemory, units: &[Unit]) -> Result<StoredMemory> {
        memory.units = 0;
        self.database.put(MEMORIES, &memory.id, &bytes(&memory)?)?;
        match self.add_units(&memory.id, units) {
            Ok(Some(memory)) => Ok(memory),
            Ok(None) => Ok(memory),
            Err(error) => {
                self.delete_memory(&memory.id)?;
                Err(error)
            }
        }
    }

    /// Adds units to a memory; `None` if there is no such memory.
    ///
    /// # Errors
    /// As [`Store::create_memory`].
    pub fn add_units(&self, id: &str, units: &[Unit]) -> Result<Option<StoredMemory>> {
        let memory = self.database.write(|write| add_units(write, id, units))?;
        self.forget_indexes(id);
        Ok(memory)
    }

    /// Drops what was made ready for searching in a memory that has changed.
    pub(super) fn forget_indexes(&self, id: &str) {
        self.kept().retain(|key, _| key.0 != id);
    }

    /// # Errors
    /// The disk fails.
    pub fn memory(&self, id: &str) -> Result<Option<StoredMemory>> {
        self.database.get(MEMORIES, id)
    }

    /// All memories, the oldest first.
    ///
    /// # Errors
    /// The disk fails.
    pub fn memories(&self) -> Result<Vec<StoredMemory>> {
        let mut all: Vec<StoredMemory> = self.database.all(MEMORIES)?;
        all.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(all)
    }

    /// The units of a memory, in the order in which they came.
    ///
    /// # Errors
    /// The disk fails.
    pub fn units(&self, id: &str) -> Result<Vec<Unit>> {
        self.database.read(|read| {
            let table = read.open_table(UNITS).map_err(StoreError::of)?;
            let range = table.range((id, 0)..=(id, u64::MAX)).map_err(StoreError::of)?;
            range.map(|entry| value(entry.map_err(StoreError::of)?.1.value())).collect()
        })
    }

    /// What a record says of a memory as it is now; `None` if there is no such
    /// memory.
    ///
    /// # Errors
    /// The disk fails.
    pub fn recorded_memory(&self, id: &str) -> Result<Option<record::Memory>> {
        let Some(memory) = self.memory(id)? else { return Ok(None) };
        let kept = || self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        // Memories only grow, so that their size tells what is in them.
        if let Some(known) = kept().get(id).filter(|known| known.units == memory.units) {
            return Ok(Some(known.clone()));
        }
        let units = self.units(id)?;
        let found = record::Memory::new(Some(id), &memory.name, &units).map_err(StoreError::of)?;
        kept().insert(id.to_owned(), found.clone());
        Ok(Some(found))
    }

    /// Whether there was one.
    ///
    /// # Errors
    /// The disk fails.
    pub fn delete_memory(&self, id: &str) -> Result<bool> {
        let there = self.database.write(|write| {
            let mut memories = write.open_table(MEMORIES).map_err(StoreError::of)?;
            let there = memories.remove(id).map_err(StoreError::of)?.is_some();
            let mut units = write.open_table(UNITS).map_err(StoreError::of)?;
            units.retain_in((id, 0)..=(id, u64::MAX), |_, _| false).map_err(StoreError::of)?;
            Ok(there)
        })?;
        self.forget_indexes(id);
        Ok(there)
    }

    /// A memory's units of a pair of languages, made ready for searching; kept
    /// until the memory changes.
    ///
    /// # Errors
    /// The disk fails.
    pub fn index(&self, id: &str, source: &str, target: &str) -> Result<Arc<Index>> {
        let key = (id.to_owned(), source.to_owned(), target.to_owned());
        if let Some(index) = self.kept().get(&key) {
            return Ok(index.clone());
        }
        let index = Arc::new(Index::new(&self.units(id)?, source, target));
        self.kept().insert(key, index.clone());
        Ok(index)
    }

    /// The same for each language that texts may be in: `source`, or without one
    /// all of the memory; `None` if there is no such memory.
    ///
    /// # Errors
    /// The disk fails.
    pub fn indexes(&self, id: &str, source: Option<&str>, target: &str) -> Result<Option<Indexes>> {
        let Some(memory) = self.memory(id)? else { return Ok(None) };
        let languages = source.map_or(memory.languages, |source| vec![source.to_owned()]);
        let mut found = Vec::new();
        for language in languages.into_iter().filter(|language| language != target) {
            let index = self.index(id, &language, target)?;
            found.push((language, index));
        }
        Ok(Some(found))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Index>>> {
        self.indexes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So that reading finds the tables.
fn make_tables(write: &WriteTransaction) -> Result<()> {
    write.open_table(TERMBASES).map_err(StoreError::of)?;
    write.open_table(MEMORIES).map_err(StoreError::of)?;
    write.open_table(UNITS).map_err(StoreError::of)?;
    jobs::make_tables(write)?;
    collections::make_tables(write)
}

/// Adds units to a memory, within something larger; see [`Store::add_units`].
pub(super) fn add_units(
    write: &WriteTransaction,
    id: &str,
    units: &[Unit],
) -> Result<Option<StoredMemory>> {
    let mut memories = write.open_table(MEMORIES).map_err(StoreError::of)?;
    let found = memories.get(id).map_err(StoreError::of)?.map(|found| value(found.value()));
    let Some(found) = found else { return Ok(None) };
    let mut memory: StoredMemory = found?;
    if memory.units + units.len() as u64 > MAX_UNITS {
        let message = format!("the memory would have more than {MAX_UNITS} units; split it");
        return Err(StoreError::Full(message));
    }
    let mut table = write.open_table(UNITS).map_err(StoreError::of)?;
    for unit in units {
        table.insert((id, memory.units), &*bytes(unit)?).map_err(StoreError::of)?;
        memory.units += 1;
    }
    let languages = units.iter().flat_map(|unit| &unit.texts);
    memory.languages.extend(languages.map(|text| text.language.clone()));
    memory.languages.sort_unstable();
    memory.languages.dedup();
    memories.insert(id, &*bytes(&memory)?).map_err(StoreError::of)?;
    Ok(Some(memory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::termbase::Format;

    #[test]
    fn what_was_stored_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let (termbase, notices) =
            Termbase::read("fr,en\nloi,law\n".as_bytes(), &Format::Csv(None)).unwrap();
        let (id, name) = ("t".to_owned(), "law".to_owned());
        let termbase = StoredTermbase { id, name, created: 1, termbase, notices };
        let memory = |id: &str| StoredMemory {
            id: id.into(),
            name: "m".into(),
            created: 1,
            units: 0,
            languages: Vec::new(),
        };
        let unit = |source: &str, target: &str| {
            Unit::new(("fr", source.to_owned()), ("en", target.to_owned()), 7)
        };
        {
            let store = Store::open(folder.path()).unwrap();
            store.put_termbase(&termbase).unwrap();
            let made = store.create_memory(memory("m"), &[unit("La loi.", "The law.")]).unwrap();
            assert_eq!((made.units, made.languages), (1, vec!["en".to_owned(), "fr".to_owned()]));
            store.create_memory(memory("m2"), &[unit("a", "b")]).unwrap();
            assert_eq!(store.index("m", "fr", "en").unwrap().len(), 1);
            store.add_units("m", &[unit("Oui.", "Yes.")]).unwrap();
            assert_eq!(store.index("m", "fr", "en").unwrap().len(), 2);
            assert!(store.add_units("none", &[unit("a", "b")]).unwrap().is_none());
            assert!(matches!(Store::open(folder.path()), Err(StoreError::Open(_))));
        }
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.termbase("t").unwrap(), Some(termbase));
        assert_eq!(store.termbases().unwrap().len(), 1);
        let units = store.units("m").unwrap();
        assert_eq!(units, [unit("La loi.", "The law."), unit("Oui.", "Yes.")]);
        let found = store.index("m", "fr", "en").unwrap().exact("Oui.").unwrap();
        assert_eq!(found.target, "Yes.");
        assert!(store.index("m", "en", "ar").unwrap().is_empty());
        assert!(store.delete_memory("m").unwrap() && !store.delete_memory("m").unwrap());
        assert_eq!((store.units("m").unwrap().len(), store.units("m2").unwrap().len()), (0, 1));
        assert!(store.delete_termbase("t").unwrap() && store.termbases().unwrap().is_empty());
    }
}
