//! The store of termbases, memories, jobs and collections. The first request that
//! needs it opens it, or the server's start if there are jobs to be taken up.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::OnceCell;

use super::record;
use super::summarize::Requests;
use crate::api::error::ApiError;
pub use crate::api::error::missing;
use crate::api::state::{self, AppState, Inner, Lifecycle, data_folder};
use crate::documents::jobs::{Jobs, Settings};
use crate::documents::record::{RecordError, Signer};
use crate::documents::store::Store;
use crate::engine::Engines;
pub use crate::storage::unix_micros as now;
use crate::storage::{StoreError, blocking};

pub struct Desk {
    folder: Result<PathBuf, String>,
    engines: Engines,
    settings: Settings,
    jobs: OnceCell<Arc<Jobs>>,
    /// Bytes for collections that are being searched.
    room: usize,
    /// Collections whose models were seen to be those that made their vectors.
    pub checked: Mutex<BTreeSet<String>>,
    /// Characters that were translated since the start.
    pub characters: AtomicU64,
}

impl Desk {
    /// With its store in the configured folder, or in one of the user. Its jobs
    /// stop as requests do, and are answered with the models of all that is shared.
    pub fn new(app: &AppState, life: &Lifecycle, shared: Weak<Inner>) -> Self {
        let settings = Settings {
            most: app.config.max_jobs,
            retention: Duration::from_secs(app.config.job_retention_h * 3600),
            stop: life.draining.clone(),
            end: life.ended.clone(),
            running: life.running.clone(),
            signer: Arc::new(Signer::new(app.config.record_key_file())),
            summaries: Arc::new(Requests::new(shared)),
        };
        Self {
            folder: data_folder(&app.config),
            engines: app.engines.clone(),
            settings,
            jobs: OnceCell::new(),
            room: app.config.collections_mib << 20,
            checked: Mutex::default(),
            characters: AtomicU64::new(0),
        }
    }

    /// How long a job is kept after its end.
    pub fn retention(&self) -> Duration {
        self.settings.retention
    }

    /// Takes up the jobs of the last run, if there is a store.
    pub async fn resume(&self) {
        if self.folder().is_ok_and(|folder| Store::is_in(&folder))
            && let Err(error) = self.jobs().await
        {
            tracing::warn!("jobs of the last run cannot go on: {}", error.message);
        }
    }

    /// The jobs, with the store opened if it is not.
    ///
    /// # Errors
    /// 503 when it cannot be opened, 500 when the disk fails.
    pub async fn jobs(&self) -> Result<Arc<Jobs>, ApiError> {
        let open = || async {
            let folder = self.folder()?;
            let room = self.room;
            let opened = blocking(move || Ok(Store::open(&folder)?.with_room(room)));
            let store = Arc::new(opened.await?);
            Ok::<_, StoreError>(Jobs::start(store, self.engines.clone(), self.settings.clone()))
        };
        Ok(self.jobs.get_or_try_init(open).await?.clone())
    }

    /// Does something with who signs records, off the network threads.
    ///
    /// # Errors
    /// As [`record::record`].
    pub async fn sign<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Signer) -> Result<T, RecordError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let signer = self.settings.signer.clone();
        state::blocking(move || work(&signer)).await?.map_err(record::failed)
    }

    fn folder(&self) -> Result<PathBuf, StoreError> {
        self.folder.clone().map_err(StoreError::Open)
    }

    /// Does something with the store, off the network threads.
    ///
    /// # Errors
    /// As [`Self::jobs`]; 413 when it is full.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.with_jobs(move |jobs| work(jobs.store())).await
    }

    /// Does something with the jobs, off the network threads.
    ///
    /// # Errors
    /// As [`Self::with`].
    pub async fn with_jobs<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Jobs) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let jobs = self.jobs().await?;
        Ok(blocking(move || work(&jobs)).await?)
    }
}
