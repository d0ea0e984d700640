//! Collections in memory, ready to be searched.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, TryLockError};

use super::StoredDocument;
use crate::documents::search::{Index, Passage};

/// What is loaded, by the ids of the collections; what was used last stands last.
pub struct Loaded {
    slots: Mutex<Vec<(String, Arc<Slot>)>>,
    /// Memory that collections may take together, in bytes; those that were not
    /// searched for longest make room, and one alone may take more.
    pub most: usize,
    /// Held by who changes a collection, until what is loaded has changed as well.
    changing: Mutex<()>,
}

impl Default for Loaded {
    fn default() -> Self {
        Self { slots: Mutex::default(), most: 1 << 30, changing: Mutex::default() }
    }
}

/// One collection. While it is loaded, others who want it wait.
#[derive(Default)]
pub struct Slot(Mutex<Option<Arc<Held>>>);

impl Slot {
    pub fn held(&self) -> MutexGuard<'_, Option<Arc<Held>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A collection in memory.
pub struct Held(RwLock<Ordered>);

/// The documents of a collection in the order in which they were made.
pub struct Ordered {
    pub index: Index,
    /// Not before any of its documents.
    pub newest: (i64, String),
}

impl Held {
    pub fn new(ordered: Ordered) -> Self {
        Self(RwLock::new(ordered))
    }

    /// No change stopped in the middle.
    pub fn is_whole(&self) -> bool {
        !self.0.is_poisoned()
    }

    /// To be searched. Changes wait meanwhile.
    pub fn read(&self) -> RwLockReadGuard<'_, Ordered> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ordered {
    /// Adds a document that is stored, as [`Index::add`]; false where loading it
    /// all would give another order.
    pub fn add(
        &mut self,
        document: &StoredDocument,
        passages: &[Passage],
        vectors: &[f32],
    ) -> bool {
        let place = (document.created, document.id.clone());
        if self.index.has_document(&document.id) {
            // It was loaded with it.
            return true;
        }
        let last = place > self.newest;
        last && {
            self.newest = place;
            self.index.add(&document.id, &document.name, passages, vectors)
        }
    }
}

impl Loaded {
    /// One at a time changes what is stored, and then what is loaded of it.
    pub fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change that is stored to a collection that is loaded. Where it says
    /// false, and where the collection is being loaded, with the change or without,
    /// it is dropped. The caller holds [`Self::changing`].
    pub fn change(&self, id: &str, change: impl FnOnce(&mut Ordered) -> bool) {
        let slot = self.slots().iter().find(|(known, _)| known == id).map(|(_, slot)| slot.clone());
        let held = match slot.as_ref().map(|slot| slot.0.try_lock()) {
            None => return,
            Some(Ok(held)) => held.clone(),
            Some(Err(TryLockError::Poisoned(held))) => held.into_inner().clone(),
            Some(Err(TryLockError::WouldBlock)) => return self.forget(id),
        };
        // One that nobody began to load will be loaded with the change.
        let Some(held) = held else { return };
        let done = change(&mut held.0.write().unwrap_or_else(PoisonError::into_inner));
        match done {
            true => self.make_room(),
            false => self.forget(id),
        }
    }

    /// The place of a collection. One that changes while it is loaded gets
    /// another, so that nobody later sees it as it was.
    pub fn slot(&self, id: &str) -> Arc<Slot> {
        let mut slots = self.slots();
        let at = slots.iter().position(|(known, _)| known == id);
        let slot = at.map_or_else(Arc::default, |at| slots.remove(at).1);
        slots.push((id.to_owned(), slot.clone()));
        slot
    }

    /// Drops a collection that has changed.
    pub fn forget(&self, id: &str) {
        self.slots().retain(|(known, _)| known != id);
    }

    /// Drops what was not used for longest, until the rest takes [`Self::most`].
    pub fn make_room(&self) {
        let mut slots = self.slots();
        // What is being loaded is held, and counts when that is done.
        let size = |slot: &Slot| {
            let held = slot.0.try_lock().ok();
            held.and_then(|held| held.as_ref().map(|held| held.read().index.size())).unwrap_or(0)
        };
        // Sizes may change meanwhile, so they are looked at once.
        let sizes: Vec<usize> = slots.iter().map(|(_, slot)| size(slot)).collect();
        let mut total: usize = sizes.iter().sum();
        for size in sizes {
            if total <= self.most || slots.len() <= 1 {
                break;
            }
            slots.remove(0);
            total -= size;
        }
    }

    fn slots(&self) -> MutexGuard<'_, Vec<(String, Arc<Slot>)>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage() -> Passage {
        Passage {
            paragraph: 0,
            id: String::new(),
            sentences: (0, 0),
            start: 0,
            end: 1,
            text: "a".to_owned(),
            heading: None,
            language: None,
        }
    }

    #[test]
    fn those_not_used_for_longest_make_room() {
        let mut loaded = Loaded::default();
        let mut index = Index::new(256);
        index.add("d", "D", &[], &[]);
        assert!(index.add("e", "E", &[passage()], &[0.0; 256]));
        let size = index.size();
        let held = Arc::new(Held::new(Ordered { index, newest: (0, String::new()) }));
        for id in ["a", "b", "c", "a"] {
            *loaded.slot(id).held() = Some(held.clone());
        }
        loaded.most = 2 * size;
        loaded.make_room();
        let left = |loaded: &Loaded, id: &str| loaded.slot(id).held().is_some();
        assert!(!left(&loaded, "b") && left(&loaded, "c") && left(&loaded, "a"));
        loaded.most = 1;
        loaded.make_room();
        assert!(left(&loaded, "a"), "one alone may take more");
        assert!(!left(&loaded, "c"));
        loaded.forget("a");
        assert!(!left(&loaded, "a"));
    }
}
