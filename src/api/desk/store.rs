//! The store of termbases and memories, opened by the first request that needs
//! it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::http::StatusCode;
use tokio::sync::OnceCell;

use crate::api::error::ApiError;
use crate::documents::store::{Store, StoreError};

pub struct Desk {
    folder: Option<PathBuf>,
    store: OnceCell<Arc<Store>>,
    /// Characters that were translated since the start.
    pub characters: AtomicU64,
}

impl Desk {
    /// With its store in this folder, or in one of the user.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, store: OnceCell::new(), characters: AtomicU64::new(0) }
    }

    /// Does something with the store, off the network threads.
    ///
    /// # Errors
    /// 503 when it cannot be opened, 500 when the disk fails, 413 when it is full.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let open = || async {
            let folder = match &self.folder {
                Some(folder) => folder.clone(),
                None => dirs::data_dir().map(|data| data.join("dragoman")).ok_or_else(|| {
                    StoreError::Open("there is no folder for data; set server.data_dir".to_owned())
                })?,
            };
            blocking(move || Store::open(&folder)).await.map(Arc::new)
        };
        let store = self.store.get_or_try_init(open).await.map_err(error)?.clone();
        blocking(move || work(&store)).await.map_err(error)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
}

fn error(error: StoreError) -> ApiError {
    let message = error.to_string();
    match error {
        StoreError::Open(_) => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", message)
        }
        StoreError::Full => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "memory_full", message),
        StoreError::Failed(_) => {
            tracing::error!("{message}");
            ApiError::internal()
        }
    }
}

/// 404 for something that is not stored.
pub fn missing(what: &str, id: &str) -> ApiError {
    let id = crate::api::error::echo(id);
    ApiError::new(
        StatusCode::NOT_FOUND,
        "not_found",
        format!("there is no {what} with the id {id:?}"),
    )
    .with_param(what)
}

/// Now, in microseconds since 1970.
pub fn now() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| elapsed.as_micros() as i64)
}
