//! Collections in memory, ready to be searched.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::documents::search::Index;

/// What is loaded, by the ids of the collections; what was used last stands last.
pub struct Loaded {
    slots: Mutex<Vec<(String, Arc<Slot>)>>,
    /// Memory that collections may take together, in bytes; those that were not
    /// searched for longest make room, and one alone may take more.
    pub most: usize,
}

impl Default for Loaded {
    fn default() -> Self {
        Self { slots: Mutex::default(), most: 1 << 30 }
    }
}

/// One collection. While it is loaded, others who want it wait.
#[derive(Default)]
pub struct Slot(Mutex<Option<Arc<Index>>>);

impl Slot {
    pub fn index(&self) -> MutexGuard<'_, Option<Arc<Index>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loaded {
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
            held.and_then(|held| held.as_ref().map(|index| index.size())).unwrap_or(0)
        };
        let mut total: usize = slots.iter().map(|(_, slot)| size(slot)).sum();
        while total > self.most && slots.len() > 1 {
            total -= size(&slots.remove(0).1);
        }
    }

    fn slots(&self) -> MutexGuard<'_, Vec<(String, Arc<Slot>)>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_not_used_for_longest_make_room() {
        let mut loaded = Loaded::default();
        let mut index = Index::new(256);
        index.add("d", "D", &[], &[]);
        let passage = crate::documents::search::Passage {
            paragraph: 0,
            id: String::new(),
            sentences: (0, 0),
            start: 0,
            end: 1,
            text: "a".to_owned(),
            heading: None,
            language: None,
        };
        assert!(index.add("e", "E", &[passage], &[0.0; 256]));
        let index = Arc::new(index);
        for id in ["a", "b", "c", "a"] {
            *loaded.slot(id).index() = Some(index.clone());
        }
        loaded.most = 2 * index.size();
        loaded.make_room();
        let left = |loaded: &Loaded, id: &str| loaded.slot(id).index().is_some();
        assert!(!left(&loaded, "b") && left(&loaded, "c") && left(&loaded, "a"));
        loaded.most = 1;
        loaded.make_room();
        assert!(left(&loaded, "a"), "one alone may take more");
        assert!(!left(&loaded, "c"));
        loaded.forget("a");
        assert!(!left(&loaded, "a"));
    }
}
