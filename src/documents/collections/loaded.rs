//! Collections in memory, ready to be searched.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::documents::search::Index;

/// Memory that collections may take together, in bytes; those that were not
/// searched for longest make room, and one alone may take more.
const MOST: usize = 1 << 30;

/// What is loaded, by the ids of the collections; what was used last stands last.
#[derive(Default)]
pub struct Loaded {
    slots: Mutex<Vec<(String, Arc<Slot>)>>,
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

    /// Drops what was not used for longest, until the rest takes [`MOST`].
    pub fn make_room(&self) {
        self.make_room_for(MOST);
    }

    fn make_room_for(&self, most: usize) {
        let mut slots = self.slots();
        // What is being loaded is held, and counts when that is done.
        let size = |slot: &Slot| {
            let held = slot.0.try_lock().ok();
            held.and_then(|held| held.as_ref().map(|index| index.size())).unwrap_or(0)
        };
        let mut total: usize = slots.iter().map(|(_, slot)| size(slot)).sum();
        while total > most && slots.len() > 1 {
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
        let loaded = Loaded::default();
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
        loaded.make_room_for(2 * index.size());
        let left = |id: &str| loaded.slot(id).index().is_some();
        assert!(!left("b") && left("c") && left("a"));
        loaded.make_room_for(1);
        assert!(left("a"), "one alone may take more");
        assert!(!left("c"));
        loaded.forget("a");
        assert!(!left("a"));
    }
}
