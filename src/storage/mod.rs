//! What outlives the process, in files of `redb`: opening one, and what is done
//! with records in it. A record is JSON under its id. What belongs together is
//! written in one transaction: it is there after a crash, or was never there.
//!
//! Which tables there are and what stands in them is the business of those who
//! store: [`crate::batches`], and [`crate::documents`].

mod database;
mod record;
mod request;

use std::time::{SystemTime, UNIX_EPOCH};

pub use database::Database;
pub use record::{Table, bytes, get, put, value};
pub use request::{Earlier, Made, Open, Requests, admit, earlier};

/// A store failed, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{0}")]
    Open(String),
    #[error("the store failed: {0}")]
    Failed(String),
    /// More than may be was to be stored; the message says how much may.
    #[error("{0}")]
    Full(String),
}

impl StoreError {
    pub fn of(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

pub type Result<T> = std::result::Result<T, StoreError>;

/// Does something with a store, off the network threads.
///
/// # Errors
/// As the work; [`StoreError::Failed`] when it panics.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(StoreError::of(error)))
}

/// Now, in microseconds since 1970, as stores keep times.
pub fn unix_micros() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| elapsed.as_micros() as i64)
}
