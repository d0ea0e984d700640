//! Whole documents translated or summarised in the background. A job lies in the
//! store with everything that it needs and every segment or passage that is
//! finished, so that it goes on after a crash where it was: what is stored is not
//! asked for again.
//!
//! [`Jobs`] takes up the oldest, a few at a time. Their segments go behind all
//! requests that somebody waits for. What a request for a summary and its answer
//! look like is a [`Summaries`]' business.

mod job;
mod ready;
mod recorded;
mod run;
mod segment;
mod store;
mod summarise;
mod supervise;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use job::{Options, State, StoredJob, Work};
pub use segment::StoredSegment;
pub(super) use store::make_tables;
pub use store::{Created, Finished, Upload};
pub use summarise::{Answer, Asked, Summaries};

use super::record::Signer;
use super::store::Store;
use crate::engine::Engines;
use crate::storage::{Result, unix_micros};

/// Segments and passages of all jobs together that run or wait in the engine at a
/// time.
const PLACES: usize = 32;

/// How jobs are kept, and when they stop.
#[derive(Clone)]
pub struct Settings {
    /// Most that wait or run.
    pub most: u64,
    /// How long one is kept after its end.
    pub retention: Duration,
    /// No segment is begun after this; those that run are finished and stored.
    pub stop: CancellationToken,
    /// Those that run are given up.
    pub end: CancellationToken,
    /// Holds a token for each job that runs.
    pub running: TaskTracker,
    /// Signs the records of those that are done.
    pub signer: Arc<Signer>,
    /// Reads and answers requests for summaries.
    pub summaries: Arc<dyn Summaries>,
}

/// The jobs of a store, and those that run.
pub struct Jobs {
    store: Arc<Store>,
    engines: Engines,
    settings: Settings,
    now: Mutex<Now>,
    /// There may be something to take up.
    wake: Notify,
    /// Counts what has changed in the store.
    changed: watch::Sender<u64>,
    places: Semaphore,
}

/// What is going on, of which nothing has to outlive the process.
#[derive(Default)]
struct Now {
    /// By the ids of those that run.
    running: HashMap<String, CancellationToken>,
    /// When those that could not go on are tried again.
    later: HashMap<String, Instant>,
}

impl Jobs {
    /// Takes up what waits in the store, as long as [`Settings::stop`] lets it.
    /// To be called within a runtime.
    pub fn start(store: Arc<Store>, engines: Engines, settings: Settings) -> Arc<Self> {
        let jobs = Arc::new(Self {
            store,
            engines,
            settings,
            now: Mutex::default(),
            wake: Notify::new(),
            changed: watch::Sender::new(0),
            places: Semaphore::new(PLACES),
        });
        tokio::spawn(supervise::supervise(jobs.clone()));
        jobs
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Stores a job, which then waits for its turn.
    ///
    /// # Errors
    /// The disk fails or is full.
    pub fn submit(&self, job: &StoredJob, upload: &Upload) -> Result<Created> {
        let created = self.store.create_job(job, upload, self.settings.most)?;
        if created == Created::New {
            tracing::info!(job = job.id, segments = job.segments, "a job was stored");
            self.wake.notify_one();
        }
        Ok(created)
    }

    /// Ends a job that has not come to its end, within a segment. The job as it
    /// is then, and whether it had; `None` if there is no such job.
    ///
    /// # Errors
    /// The disk fails.
    pub fn cancel(&self, id: &str) -> Result<Option<(StoredJob, bool)>> {
        let end = |job: &mut StoredJob| job.end(State::Cancelled, None, unix_micros());
        let found = self.store.change_job(id, end)?;
        if matches!(found, Some((_, true))) {
            tracing::info!(job = id, "a job was cancelled");
            self.stop(id);
        }
        Ok(found)
    }

    /// Deletes a job, and ends it before if it runs; false if there is none.
    ///
    /// # Errors
    /// The disk fails.
    pub fn delete(&self, id: &str) -> Result<bool> {
        let there = self.store.delete_job(id)?;
        self.stop(id);
        Ok(there)
    }

    /// Wakes whoever waits for it when anything in the store has changed.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn stop(&self, id: &str) {
        if let Some(cancel) = self.now().running.get(id) {
            cancel.cancel();
        }
        self.tell();
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
