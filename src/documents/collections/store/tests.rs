//! Collections on disk, from being made to being deleted.

use super::*;
use crate::documents::search::{Encoder, Mode, Query};

fn collection(id: &str) -> StoredCollection {
    let mut encoder = Encoder::default();
    (encoder.model, encoder.dimensions) = ("m".into(), 2);
    let name = id.to_owned();
    StoredCollection {
        id: id.into(),
        name,
        created: 1,
        encoder,
        documents: 0,
        passages: 0,
        bytes: 0,
    }
}

fn document(id: &str, passages: u64) -> StoredDocument {
    StoredDocument {
        id: id.into(),
        name: format!("{id}.txt"),
        created: 1,
        format: "text".into(),
        languages: [("en".to_owned(), passages)].into(),
        passages,
        characters: 9 * passages,
        bytes: 10,
        sha256: format!("hash of {id}"),
    }
}

fn passage(text: &str) -> Passage {
    Passage {
        paragraph: 0,
        id: "p".into(),
        sentences: (0, 0),
        start: 0,
        end: text.chars().count(),
        text: text.into(),
        heading: None,
        language: Some("en".into()),
    }
}

fn add(store: &Store, to: &str, document: &StoredDocument, most: u64) -> Result<Added> {
    let passages: Vec<Passage> =
        (0..document.passages).map(|n| passage(&format!("law {n} of {}", document.id))).collect();
    let vectors: Vec<f32> = passages.iter().flat_map(|_| [0.6, 0.8]).collect();
    store.add_document(to, Addition { document, passages: &passages, vectors: &vectors }, most)
}

fn found(store: &Store, id: &str) -> usize {
    let held = store.loaded_collection(id).unwrap().unwrap();
    let index = &held.read().index;
    let query = Query { text: "law", limit: 99, mode: Mode::Lexical, ..Query::default() };
    assert_eq!(index.search(&query).len(), index.len());
    index.len()
}

/// Rows of every table.
fn rows(store: &Store) -> [u64; 5] {
    let counted = store.database.read(|read| {
        Ok([
            read.open_table(COLLECTIONS).unwrap().len().unwrap(),
            read.open_table(DOCUMENTS).unwrap().len().unwrap(),
            read.open_table(HASHES).unwrap().len().unwrap(),
            read.open_table(PASSAGES).unwrap().len().unwrap(),
            read.open_table(VECTORS).unwrap().len().unwrap(),
        ])
    });
    counted.unwrap()
}

#[test]
fn a_collection_goes_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (a, b) = (document("a", 2), document("b", 3));
    assert_eq!(add(&store, "c", &a, 9).unwrap(), Added::Gone);
    store.create_collection(&collection("c"), 9).unwrap().unwrap();
    let d = StoredCollection { created: 0, ..collection("d") };
    assert_eq!(store.create_collection(&d, 1).unwrap(), Err(1));
    store.create_collection(&d, 2).unwrap().unwrap();
    assert_eq!(found(&store, "c"), 0);
    assert_eq!(add(&store, "c", &a, 5).unwrap(), Added::New);
    assert_eq!(found(&store, "c"), 2, "what was loaded is not as it was before");
    // The same file is not stored twice, under whatever name, but in each collection.
    let again = StoredDocument { id: "z".into(), name: "z".into(), ..a.clone() };
    assert_eq!(add(&store, "c", &again, 5).unwrap(), Added::Known(Box::new(a.clone())));
    assert_eq!(store.document_of("c", &a.sha256).unwrap().as_ref(), Some(&a));
    assert_eq!(store.document_of("d", &a.sha256).unwrap(), None);
    assert_eq!(add(&store, "d", &a, 5).unwrap(), Added::New);
    assert_eq!(add(&store, "c", &b, 4).unwrap(), Added::Full);
    assert_eq!(add(&store, "c", &b, 5).unwrap(), Added::New);
    drop(store);

    let store = Store::open(folder.path()).unwrap();
    let ids: Vec<String> = store.collections().unwrap().into_iter().map(|c| c.id).collect();
    assert_eq!(ids, ["d", "c"]);
    let counted = store.collection("c").unwrap().unwrap();
    assert_eq!((counted.documents, counted.passages, counted.bytes), (2, 5, 20));
    assert_eq!(store.collection_documents("c").unwrap(), [a.clone(), b]);
    assert_eq!(found(&store, "c"), 5);
    let wanted = store.passages("c", &[("b", 2), ("a", 9), ("a", 0)]).unwrap();
    let texts: Vec<_> = wanted.iter().map(|p| p.as_ref().map(|p| &*p.text)).collect();
    assert_eq!(texts, [Some("law 2 of b"), None, Some("law 0 of a")]);
    let held = store.loaded_collection("c").unwrap().unwrap();
    let query =
        Query { vector: Some(&[0.6, 0.8]), limit: 1, mode: Mode::Semantic, ..Query::default() };
    assert!((held.read().index.search(&query)[0].cosine.unwrap() - 1.0).abs() < 1e-6);

    assert_eq!(rows(&store), [2, 3, 3, 7, 3]);
    assert!(store.delete_document("c", "b").unwrap() && !store.delete_document("c", "b").unwrap());
    let counted = store.collection("c").unwrap().unwrap();
    assert_eq!((counted.documents, counted.passages, counted.bytes), (1, 2, 10));
    assert_eq!((found(&store, "c"), rows(&store)), (2, [2, 2, 2, 4, 2]));
    assert!(store.delete_collection("c").unwrap() && !store.delete_collection("c").unwrap());
    assert!(store.loaded_collection("c").unwrap().is_none());
    assert_eq!((found(&store, "d"), rows(&store)), (2, [1, 1, 1, 2, 1]));
}

#[test]
fn a_document_is_stored_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.create_collection(&collection("c"), 9).unwrap().unwrap();
    let kept = document("a", 2);
    add(&store, "c", &kept, 9).unwrap();
    let before = rows(&store);
    // What goes wrong in the middle leaves nothing.
    let damaged = document("b", 1);
    let passages = [passage("law")];
    let addition = Addition { document: &damaged, passages: &passages, vectors: &[1.0] };
    assert!(matches!(store.add_document("c", addition, 9), Err(StoreError::Failed(_))));
    // As if the process had ended between writing a document and committing it.
    let ended: Result<()> = store.database.write(|write| {
        let mut table = write.open_table(DOCUMENTS).unwrap();
        table.insert(("c", "half"), &*bytes(&document("half", 1)).unwrap()).unwrap();
        let mut table = write.open_table(PASSAGES).unwrap();
        table.insert(("c", "half", 0), &*bytes(&passage("law")).unwrap()).unwrap();
        Err(StoreError::of("ended"))
    });
    assert_eq!(ended.unwrap_err().to_string(), "the store failed: documents.redb: ended");
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!((rows(&store), store.collection_documents("c").unwrap()), (before, vec![kept]));
    assert_eq!(found(&store, "c"), 2);
}

/// The file does not grow with what is added and deleted again and again.
#[test]
fn deleting_frees() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.create_collection(&collection("c"), 9).unwrap().unwrap();
    let size = || std::fs::metadata(folder.path().join("documents.redb")).unwrap().len();
    let mut sizes = Vec::new();
    for _ in 0..6 {
        add(&store, "c", &document("a", 3000), 9000).unwrap();
        store.delete_document("c", "a").unwrap();
        sizes.push(size());
    }
    assert_eq!(sizes[2], sizes[5], "{sizes:?}");
}

/// What was loaded changes with what is stored, and is what would be loaded.
#[test]
fn what_is_loaded_follows_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.create_collection(&collection("c"), 9).unwrap().unwrap();
    let made =
        |id: &str, created: i64, passages| StoredDocument { created, ..document(id, passages) };
    let loaded = || store.loaded_collection("c").unwrap().unwrap();
    let all = || {
        let (text, vector) = ("law of b 1", Some(&[0.6, 0.8][..]));
        let query = Query { text, vector, limit: 99, ..Query::default() };
        let held = loaded();
        held.read().index.search(&query)
    };
    add(&store, "c", &made("b", 5, 2), 99).unwrap();
    let held = loaded();
    add(&store, "c", &made("a", 6, 3), 99).unwrap();
    add(&store, "c", &made("d", 7, 1), 99).unwrap();
    store.delete_document("c", "b").unwrap();
    store.delete_document("c", "none").unwrap();
    add(&store, "c", &made("e", 7, 2), 99).unwrap();
    assert!(Arc::ptr_eq(&held, &loaded()), "nothing was loaded again");
    let changed = all();
    assert_eq!(changed.len(), 3 + 1 + 2);
    store.loaded.forget("c");
    assert!(!Arc::ptr_eq(&held, &loaded()));
    assert_eq!(changed, all());
    // One that was made before those that are there stands before them.
    let held = loaded();
    add(&store, "c", &made("f", 1, 2), 99).unwrap();
    assert!(!Arc::ptr_eq(&held, &loaded()));
    let names: Vec<String> = all().into_iter().map(|hit| hit.document.id).collect();
    assert_eq!((names.len(), &*names[0]), (8, "f"), "of equals the first");
    // While it is being loaded nobody knows whether with the change.
    let slot = store.loaded.slot("c");
    let loading = slot.held();
    add(&store, "c", &made("g", 9, 1), 99).unwrap();
    drop(loading);
    assert!(!Arc::ptr_eq(&slot, &store.loaded.slot("c")));
    assert_eq!(all().len(), 9);
}
