//! The store of files and batches. The first request that needs it opens it, or
//! the server's start if there is one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::worker::Lines;
use crate::api::error::ApiError;
use crate::api::state::{AppState, Lifecycle, Shared, data_folder};
use crate::batches::{Batches, Settings, Status, Store};
use crate::storage::{Result, StoreError, blocking};
use crate::telemetry::metrics::batches as metrics;

pub struct BatchStore {
    folder: std::result::Result<PathBuf, String>,
    settings: Settings,
    batches: OnceCell<Arc<Batches>>,
}

impl BatchStore {
    /// In the folder for what outlives the process. Its batches stop as requests
    /// do.
    pub fn new(app: &AppState, life: &Lifecycle) -> Self {
        let settings = Settings {
            most: app.config.max_batches,
            retention: Duration::from_secs(app.config.file_retention_h * 3600),
            most_bytes: app.config.files_mib << 20,
            stop: life.draining.clone(),
            end: life.ended.clone(),
            running: life.running.clone(),
        };
        metrics::register(Status::OPEN.map(Status::name), Status::FINAL.map(Status::name));
        Self { folder: data_folder(&app.config), settings, batches: OnceCell::new() }
    }

    /// Tells the metrics how batches are now, if there are any.
    pub async fn measure(&self) {
        let Some(batches) = self.batches.get().cloned() else { return };
        if let Err(error) = blocking(move || batches.measure()).await {
            tracing::error!(%error, "batches could not be counted");
        }
    }

    /// Takes up the batches of the last run, if there is a store.
    pub async fn resume(&self, shared: &Shared) {
        if self.folder.as_ref().is_ok_and(|folder| Store::is_in(folder))
            && let Err(error) = self.open(shared).await
        {
            tracing::warn!("batches of the last run cannot go on: {}", error.message);
        }
    }

    /// The batches, with the store opened if it is not.
    async fn open(&self, shared: &Shared) -> std::result::Result<Arc<Batches>, ApiError> {
        let open = || async {
            let folder = self.folder.clone().map_err(StoreError::Open)?;
            let store = blocking(move || Store::open(&folder)).await?;
            let worker = Arc::new(Lines::new(shared));
            Ok::<_, StoreError>(Batches::start(store, worker, self.settings.clone()))
        };
        Ok(self.batches.get_or_try_init(open).await?.clone())
    }
}

/// Does something with files and batches, off the network threads.
///
/// # Errors
/// 503 when the store cannot be opened, 500 when the disk fails.
pub async fn with<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce(&Batches) -> Result<T> + Send + 'static,
) -> std::result::Result<T, ApiError> {
    let batches = shared.batches.open(shared).await?;
    Ok(blocking(move || work(&batches)).await?)
}
