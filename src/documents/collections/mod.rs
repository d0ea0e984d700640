//! Collections of documents that are searched: their passages and vectors on
//! disk, beside everything else in the store.
//!
//! A document is stored in one transaction with its passages, its vectors and the
//! counts of its collection, so that a crash leaves it there or not there. Vectors
//! are kept as they come, in 32 bits. What is searched is loaded on first use
//! ([`Loaded`]), and changes with what is stored: it is always what would be loaded.

mod loaded;
mod store;
mod tables;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(super) use loaded::Loaded;
pub use store::{Added, Addition};
pub(super) use tables::make_tables;

use super::search::Encoder;

/// A collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredCollection {
    pub id: String,
    pub name: String,
    /// In microseconds since 1970.
    pub created: i64,
    /// What its vectors are of.
    pub encoder: Encoder,
    pub documents: u64,
    pub passages: u64,
    /// Of the documents' files.
    pub bytes: u64,
}

/// A document of a collection. Its file is not kept, only its passages are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredDocument {
    pub id: String,
    pub name: String,
    /// In microseconds since 1970.
    pub created: i64,
    /// What kind of file it was; "paragraphs" for a list of them.
    pub format: String,
    /// Passages by language, by its two letters.
    pub languages: BTreeMap<String, u64>,
    pub passages: u64,
    /// Of its passages.
    pub characters: u64,
    /// Of its file.
    pub bytes: u64,
    /// SHA-256 of its file, by which it is known again.
    pub sha256: String,
}
