//! Who signs: the key of a server, or of a user, in its file.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Blob, Envelope, Facts, Inexact, Key, KeyError, PAYLOAD_TYPE, PublicKey};
use crate::engine::ProvenanceError;

/// Signs records with the key of a file, which is made when it is first needed.
pub struct Signer {
    file: Option<PathBuf>,
    key: Mutex<Option<Arc<Key>>>,
}

/// A record cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("there is no folder for the key that signs; set server.record_key")]
    NoFolder,
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Model(#[from] ProvenanceError),
    #[error(transparent)]
    Inexact(#[from] Inexact),
    #[error("the record cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

impl Signer {
    /// With the key of this file; without one nothing can be signed.
    pub fn new(file: Option<PathBuf>) -> Self {
        Self { file, key: Mutex::default() }
    }

    /// The public key. The other half is made if there is none, so this belongs
    /// on a blocking thread, as does all that follows.
    ///
    /// # Errors
    /// The file cannot be read or made, or holds no key.
    pub fn public(&self) -> Result<PublicKey, RecordError> {
        Ok(self.key()?.public())
    }

    /// Signs the record of a result.
    ///
    /// # Errors
    /// As [`Self::public`] and [`Facts::record`].
    pub fn sign(&self, facts: &Facts, result: Blob) -> Result<Envelope, RecordError> {
        let key = self.key()?;
        let statement = facts.record(result, &key.public())?.statement()?;
        Ok(Envelope::seal(statement.as_bytes(), PAYLOAD_TYPE, &key))
    }

    fn key(&self) -> Result<Arc<Key>, RecordError> {
        let mut kept = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = &*kept {
            return Ok(key.clone());
        }
        let file = self.file.as_deref().ok_or(RecordError::NoFolder)?;
        Ok(kept.insert(Arc::new(Key::load_or_make(file)?)).clone())
    }
}
