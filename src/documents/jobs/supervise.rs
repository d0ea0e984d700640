//! Which job runs when, and what becomes of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use super::Jobs;
use super::job::{State, StoredJob};
use super::run::{self, Outcome};
use crate::storage::{Result, blocking, unix_micros};

/// Jobs that run side by side, so that a short one does not wait for a long one.
const AT_ONCE: usize = 2;
/// How often those are looked for that are kept no longer.
const SWEEP: Duration = Duration::from_secs(300);
/// How often a job is taken up without a segment coming of it. Whatever brings
/// the process down is not tried for ever.
const TRIES: u32 = 5;

/// What is done to a job in the store; see [`StoredJob`].
type Change = Box<dyn FnOnce(&mut StoredJob) -> bool + Send>;

/// Runs jobs until they are to stop.
pub(super) async fn supervise(jobs: Arc<Jobs>) {
    if let Err(error) = recover(&jobs).await {
        tracing::error!(%error, "the jobs of the last run could not be read");
    }
    let stop = jobs.settings.stop.clone();
    let mut swept: Option<Instant> = None;
    while !stop.is_cancelled() {
        if swept.is_none_or(|at| at.elapsed() >= SWEEP) {
            swept = Some(Instant::now());
            sweep(&jobs).await;
        }
        if let Err(error) = take_up(&jobs).await {
            tracing::error!(%error, "no job could be taken up");
        }
        let next = jobs.now().later.values().min().copied();
        let wait = next.map_or(SWEEP, |at| at.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = stop.cancelled() => {}
            () = jobs.wake.notified() => {}
            () = tokio::time::sleep(wait.min(SWEEP)) => {}
        }
    }
}

/// What ran when the process ended waits again.
async fn recover(jobs: &Arc<Jobs>) -> Result<()> {
    let all = jobs.clone();
    let found = blocking(move || {
        let open = all.store.open_jobs()?;
        for id in &open {
            all.store.change_job(id, |job| job.put_back(None, false))?;
        }
        Ok(open.len())
    });
    match found.await? {
        0 => {}
        found => tracing::info!(jobs = found, "jobs of the last run go on"),
    }
    Ok(())
}

async fn sweep(jobs: &Arc<Jobs>) {
    let all = jobs.clone();
    let retention = i64::try_from(jobs.settings.retention.as_micros()).unwrap_or(i64::MAX);
    let before = unix_micros().saturating_sub(retention);
    match blocking(move || all.store.delete_jobs_before(before)).await {
        Ok(0) => {}
        Ok(count) => {
            tracing::info!(jobs = count, "jobs were deleted that are kept no longer");
            jobs.tell();
        }
        Err(error) => tracing::error!(%error, "old jobs could not be deleted"),
    }
}

/// Starts as many as there is room for, the oldest first.
async fn take_up(jobs: &Arc<Jobs>) -> Result<()> {
    jobs.now().later.retain(|_, at| *at > Instant::now());
    let all = jobs.clone();
    for id in blocking(move || all.store.open_jobs()).await? {
        let cancel = CancellationToken::new();
        {
            let mut now = jobs.now();
            if now.running.len() >= AT_ONCE {
                return Ok(());
            }
            if now.later.contains_key(&id) || now.running.contains_key(&id) {
                continue;
            }
            now.running.insert(id.clone(), cancel.clone());
        }
        let own = jobs.clone();
        jobs.settings.running.spawn(async move {
            one(&own, &id, &cancel).await;
            own.now().running.remove(&id);
            own.tell();
            own.wake.notify_one();
        });
    }
    Ok(())
}

/// Runs one job, and writes down how it went.
async fn one(jobs: &Arc<Jobs>, id: &str, cancel: &CancellationToken) {
    // A fault of ours in one document does not stop the others.
    let ran = AssertUnwindSafe(run::run(jobs, id, cancel)).catch_unwind().await;
    let outcome = match ran {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            tracing::error!(job = id, %error, "the store failed");
            Outcome::Stumbled("the store failed; the server's log has the reason".to_owned())
        }
        Err(_) => Outcome::Failed("the server failed on this document".to_owned()),
    };
    let end = |job: &mut StoredJob, why| job.end(State::Failed, Some(why), unix_micros());
    let (change, wait): (Change, _) = match outcome {
        Outcome::Done => {
            tracing::info!(job = id, "a job is done");
            return;
        }
        Outcome::Gone => return,
        Outcome::Failed(why) => {
            tracing::warn!(job = id, "a job failed");
            (Box::new(move |job| end(job, why)), None)
        }
        Outcome::Stopped => (Box::new(|job| job.put_back(None, true)), None),
        Outcome::Later(why, wait) => (Box::new(|job| job.put_back(Some(why), true)), Some(wait)),
        Outcome::Stumbled(why) => {
            tracing::warn!(job = id, "a job could not go on");
            let again = move |job: &mut StoredJob| match job.tries >= TRIES {
                true => end(job, why),
                false => job.put_back(Some(why), false),
            };
            (Box::new(again), Some(Duration::from_secs(5)))
        }
    };
    if let Some(wait) = wait {
        jobs.now().later.insert(id.to_owned(), Instant::now() + wait);
    }
    let (own, key) = (jobs.clone(), id.to_owned());
    if let Err(error) = blocking(move || own.store.change_job(&key, change)).await {
        tracing::error!(job = id, %error, "what became of a job could not be stored");
    }
}

/// Whether a job was taken up too often in vain, for [`run::run`].
pub(super) fn hopeless(job: &StoredJob) -> bool {
    job.tries > TRIES
}
