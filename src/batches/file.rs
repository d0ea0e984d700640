//! A file as it is stored; its content lies beside it, in pieces.

use serde::{Deserialize, Serialize};

/// What a file is for, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Requests of a batch.
    Batch,
    /// Answers of one, or its errors.
    BatchOutput,
}

impl Purpose {
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::BatchOutput => "batch_output",
        }
    }
}

/// What is known about a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    pub id: String,
    /// In microseconds since 1970, as [`Self::expires`].
    pub created: i64,
    pub name: String,
    pub purpose: Purpose,
    pub bytes: u64,
    /// When it will be deleted.
    pub expires: i64,
}
