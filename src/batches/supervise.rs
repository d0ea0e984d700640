//! Which batch runs when, and what becomes of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use super::Batches;
use super::batch::{Fault, Status, StoredBatch};
use super::run::{self, Outcome};
use crate::storage::{Result, blocking, unix_micros};

/// Batches that run side by side, so that a short one does not wait for a long one.
const AT_ONCE: usize = 2;
/// How often files and batches are looked for that are kept no longer, and
/// batches that wait for what is not there whose time is over.
const SWEEP: Duration = Duration::from_secs(300);
/// Until a batch is tried again after the store failed.
const STUMBLED: Duration = Duration::from_secs(5);

/// Runs batches until they are to stop.
pub(super) async fn supervise(batches: Arc<Batches>) {
    let stop = batches.settings.stop.clone();
    let mut swept: Option<Instant> = None;
    while !stop.is_cancelled() {
        if swept.is_none_or(|at| at.elapsed() >= SWEEP) {
            swept = Some(Instant::now());
            sweep(&batches).await;
        }
        if let Err(error) = take_up(&batches).await {
            tracing::error!(%error, "no batch could be taken up");
        }
        let next = batches.now().later.values().min().copied();
        let wait = next.map_or(SWEEP, |at| at.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = stop.cancelled() => {}
            () = batches.wake.notified() => {}
            () = tokio::time::sleep(wait.min(SWEEP)) => {}
        }
    }
}

async fn sweep(batches: &Arc<Batches>) {
    let all = batches.clone();
    let retention = all.settings.retention;
    match blocking(move || all.store.delete_old(unix_micros(), retention)).await {
        Ok((0, 0)) => {}
        Ok((files, count)) => {
            tracing::info!(files, batches = count, "what is kept no longer was deleted");
        }
        Err(error) => tracing::error!(%error, "old files could not be deleted"),
    }
}

/// Starts as many as there is room for, the oldest first.
async fn take_up(batches: &Arc<Batches>) -> Result<()> {
    batches.now().later.retain(|_, at| *at > Instant::now());
    let all = batches.clone();
    for id in blocking(move || all.store.open_batches()).await? {
        let cancel = CancellationToken::new();
        {
            let mut now = batches.now();
            if now.running.len() >= AT_ONCE {
                return Ok(());
            }
            if now.later.contains_key(&id) || now.running.contains_key(&id) {
                continue;
            }
            now.running.insert(id.clone(), cancel.clone());
        }
        let own = batches.clone();
        batches.settings.running.spawn(async move {
            one(&own, &id, &cancel).await;
            own.now().running.remove(&id);
            own.wake.notify_one();
        });
    }
    Ok(())
}

/// Runs one batch, and writes down how it went.
async fn one(batches: &Arc<Batches>, id: &str, cancel: &CancellationToken) {
    // A fault of ours in one batch does not stop the others.
    let ran = AssertUnwindSafe(run::run(batches, id, cancel)).catch_unwind().await;
    let wait = match ran {
        Ok(Ok(Outcome::Ended)) => return,
        Ok(Ok(Outcome::Stopped)) => None,
        Ok(Ok(Outcome::Later(why, wait))) => {
            tracing::warn!(batch = id, "a batch waits: {why}");
            Some(wait)
        }
        Ok(Err(error)) => {
            // Which is no try either: a disk that is full ends no batch.
            tracing::error!(batch = id, %error, "the store failed");
            Some(STUMBLED)
        }
        Err(_) => {
            let fault = Fault {
                code: "server_error".to_owned(),
                line: None,
                message: "the server failed on this batch; its log has the reason".to_owned(),
                param: None,
            };
            let (own, key) = (batches.clone(), id.to_owned());
            if let Err(error) = blocking(move || run::fail(&own, &key, vec![fault])).await {
                tracing::error!(batch = id, %error, "the end of a batch could not be stored");
            }
            return;
        }
    };
    if let Some(wait) = wait {
        batches.now().later.insert(id.to_owned(), Instant::now() + wait);
    }
    let (own, key, cancelled) = (batches.clone(), id.to_owned(), cancel.is_cancelled());
    let put_back = move || match cancelled {
        // Just when it was to wait.
        true => run::close(&own, &key, Status::Cancelled),
        // Neither an orderly stop nor waiting counts as a try.
        false => own.store.change_batch(&key, StoredBatch::put_back).map(drop),
    };
    if let Err(error) = blocking(put_back).await {
        tracing::error!(batch = id, %error, "what became of a batch could not be stored");
    }
}
