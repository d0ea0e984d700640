//! What can be wrong with a model's files.

use std::path::PathBuf;

/// Why a model could not be loaded. Each message names the file, tensor or
/// field at fault.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: {reason}", path.display())]
    Malformed { path: PathBuf, reason: String },
    #[error("architecture {found:?} is not supported; supported: {supported}")]
    Architecture { found: String, supported: String },
    #[error("{field}: {reason}")]
    Config { field: String, reason: String },
    #[error("tensor {name:?} is missing")]
    MissingTensor { name: String },
    #[error("tensor {name:?} has shape {found:?}, expected {expected:?}")]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("tensor {name:?} is stored as {found}, which is not supported; supported: {supported}")]
    TensorType { name: String, found: String, supported: &'static str },
    #[error("tensor {name:?}: {source}")]
    Tensor { name: String, source: candle_core::Error },
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl LoadError {
    pub fn config(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config { field: field.into(), reason: reason.into() }
    }
}
