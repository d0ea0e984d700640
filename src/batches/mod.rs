//! Files of requests that are answered in the background: OpenAI's files and
//! batches. A batch lies on disk with its file and every answer that is finished,
//! so that it goes on after a crash where it was: what is stored is not asked for
//! again.
//!
//! What a line of a file means, and how it is answered, is a [`Worker`]'s
//! business: this module keeps, orders and counts.

mod batch;
mod file;
mod lines;
mod run;
mod store;
mod supervise;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use batch::{Answer, Fault, Status, StoredBatch, Usage};
pub use file::{Purpose, StoredFile};
pub use lines::{Line, lines};
pub use store::{Created, Deleted, Store};

use crate::storage::{Result, unix_micros};
use crate::telemetry::metrics::batches as metrics;

/// Lines of all batches together that run or wait in the engine at a time.
pub const PLACES: usize = 32;

/// What lines mean and how they are answered.
pub trait Worker: Send + Sync + 'static {
    /// Reads a batch's file before anything of it is answered: what it asks for, or
    /// what is wrong with it, line by line; `None` where the server stops.
    fn check(
        &self,
        batch: &StoredBatch,
        input: &[u8],
    ) -> Option<std::result::Result<Checked, Vec<Fault>>>;

    /// Answers a line, and waits while others keep the model busy.
    fn answer<'a>(&'a self, batch: &'a StoredBatch, line: &'a [u8]) -> BoxFuture<'a, Answered>;

    /// What stands for the answer to a line that came to none, because its batch
    /// has this state.
    fn unanswered(&self, line: &[u8], why: Status) -> Vec<u8>;

    /// Lines of a batch that run side by side, up to [`PLACES`].
    fn at_once(&self, batch: &StoredBatch) -> usize;
}

/// What a file asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// How many requests it has.
    pub total: u64,
    /// The model of all of them, if it is one.
    pub model: Option<String>,
}

/// What became of a line.
pub enum Answered {
    Done(Answer),
    /// Something that it needs is not there, and may be after a restart.
    Absent(String),
    /// The server stops.
    Stopped,
}

/// How batches are kept, and when they stop.
#[derive(Clone)]
pub struct Settings {
    /// Most that have not come to an end.
    pub most: u64,
    /// How long a batch is kept after its end, and a file for which nothing else
    /// was said.
    pub retention: Duration,
    /// Most bytes that all files may have before one more is refused.
    pub most_bytes: u64,
    /// No line is begun after this; those that run are finished and stored.
    pub stop: CancellationToken,
    /// Those that run are given up.
    pub end: CancellationToken,
    /// Holds a token for each batch that runs.
    pub running: TaskTracker,
}

/// The batches of a store, and those that run.
pub struct Batches {
    store: Store,
    worker: Arc<dyn Worker>,
    settings: Settings,
    now: Mutex<Now>,
    /// There may be something to take up.
    wake: Notify,
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

impl Batches {
    /// Takes up what waits in the store, as long as [`Settings::stop`] lets it.
    /// To be called within a runtime.
    pub fn start(store: Store, worker: Arc<dyn Worker>, settings: Settings) -> Arc<Self> {
        let batches = Arc::new(Self {
            store,
            worker,
            settings,
            now: Mutex::default(),
            wake: Notify::new(),
            places: Semaphore::new(PLACES),
        });
        tokio::spawn(supervise::supervise(batches.clone()));
        batches
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Stores a batch, which then waits for its turn. `fingerprint` stands for
    /// what was asked for, with [`StoredBatch::request`].
    ///
    /// # Errors
    /// The disk fails or is full.
    pub fn submit(&self, batch: &StoredBatch, fingerprint: &str) -> Result<Created> {
        let created = self.store.create_batch(batch, fingerprint, self.settings.most)?;
        if created == Created::New {
            tracing::info!(batch = batch.id, endpoint = batch.endpoint, "a batch was stored");
            self.wake.notify_one();
        }
        Ok(created)
    }

    /// Ends a batch early; what is finished is kept. The batch as it is then, and
    /// whether it could be; `None` if there is no such batch. One that runs is
    /// [`Status::Cancelling`] until its lines are given up.
    ///
    /// # Errors
    /// The disk fails.
    pub fn cancel(&self, id: &str) -> Result<Option<(StoredBatch, bool)>> {
        let cancel = |batch: &mut StoredBatch| batch.reach(Status::Cancelling, unix_micros());
        let found = self.store.change_batch(id, cancel)?;
        let Some((batch, true)) = found else { return Ok(found) };
        tracing::info!(batch = id, "a batch is cancelled");
        if let Some(running) = self.now().running.get(id) {
            running.cancel();
            return Ok(Some((batch, true)));
        }
        run::close(self, id, Status::Cancelled)?;
        Ok(self.store.batch(id)?.map(|batch| (batch, true)))
    }

    /// Tells the metrics how many batches are open now, and what they wait for.
    ///
    /// # Errors
    /// The disk fails.
    pub fn measure(&self) -> Result<()> {
        let open = self.store.unfinished()?;
        for status in Status::OPEN {
            let count = open.iter().filter(|batch| batch.status == status).count();
            metrics::set_open(status.name(), count);
        }
        let left = |b: &StoredBatch| b.total.saturating_sub(b.completed + b.failed);
        metrics::set_waiting(open.iter().map(left).sum());
        Ok(())
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time of this module so much later.
pub fn after(time: i64, wait: Duration) -> i64 {
    time.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX))
}
