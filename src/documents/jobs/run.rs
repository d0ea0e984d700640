//! One job from where it is to its end.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use super::job::Work;
use super::ready::{Ready, Taken, ready, take_up};
use super::recorded;
use super::segment::StoredSegment;
use super::summarise::summarise;
use super::{Finished, Jobs, PLACES};
use crate::documents::tagged::Tagged;
use crate::documents::translate::SegmentError;
use crate::engine::SubmitError;
use crate::storage::{Result, StoreError, blocking, unix_micros};

/// Until a job is tried again whose model is busy or stopped.
const BUSY: Duration = Duration::from_secs(5);

/// How a run ended.
pub(super) enum Outcome {
    Done,
    /// Somebody cancelled or deleted it.
    Gone,
    /// It has to stop, and goes on after the next start.
    Stopped,
    /// It waits for something, and is tried again after a while.
    Later(String, Duration),
    /// Something failed that may not fail again.
    Stumbled(String),
    Failed(String),
}

/// Runs a job until it is done or cannot go on.
pub(super) async fn run(jobs: &Arc<Jobs>, id: &str, cancel: &CancellationToken) -> Result<Outcome> {
    let (own, key) = (jobs.clone(), id.to_owned());
    let taken = match blocking(move || take_up(&own, &key)).await? {
        Ok(taken) => taken,
        Err(outcome) => return Ok(outcome),
    };
    jobs.tell();
    let end = jobs.settings.end.clone();
    tokio::select! {
        biased;
        () = cancel.cancelled() => Ok(Outcome::Gone),
        () = end.cancelled() => Ok(Outcome::Stopped),
        outcome = work(jobs, id, taken) => outcome,
    }
}

async fn work(jobs: &Arc<Jobs>, id: &str, taken: Taken) -> Result<Outcome> {
    match taken.job.work {
        Work::Translate => {
            let own = jobs.clone();
            match blocking(move || ready(&own, taken)).await? {
                Ok(ready) => translate(jobs, id, &Arc::new(ready)).await,
                Err(outcome) => Ok(outcome),
            }
        }
        Work::Summarize => summarise(jobs, taken).await,
    }
}

/// Translates what is left, stores it as it comes, and writes the document.
async fn translate(jobs: &Arc<Jobs>, id: &str, ready: &Arc<Ready>) -> Result<Outcome> {
    jobs.tell();
    let left: usize =
        ready.pending.iter().map(|at| ready.sources[*at].plain().chars().count()).sum();
    let (begun, mut done) = (Instant::now(), 0);
    let one = |index: usize| async move {
        let _place = jobs.places.acquire().await;
        ready.prepared.clone().segment(index).await
    };
    let mut results = pin!(
        stream::iter(ready.pending.clone())
            .take_until(jobs.settings.stop.clone().cancelled_owned())
            .map(one)
            .buffer_unordered(PLACES)
            // What is ready at the same time is written at once.
            .ready_chunks(PLACES)
    );
    while let Some(results) = results.next().await {
        let mut segments = Vec::with_capacity(results.len());
        let mut failed = None;
        for result in results {
            match result {
                Ok(translated) => {
                    let index = translated.index;
                    done += translated.report.weight;
                    let unit = ready.units.get(index).cloned().flatten();
                    let stored = StoredSegment::new(&ready.sources[index], translated, unit);
                    segments.push((index, stored));
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let seconds = seconds_left(begun, done, left);
        let (own, key) = (jobs.clone(), id.to_owned());
        let stored = move || own.store.put_segments(&key, &segments, Some(seconds));
        if !blocking(stored).await? {
            return Ok(Outcome::Gone);
        }
        jobs.tell();
        if let Some(error) = failed {
            return Ok(after(error, &ready.units));
        }
    }
    let (own, key, ready) = (jobs.clone(), id.to_owned(), ready.clone());
    blocking(move || finish(&own, &key, &ready)).await
}

/// Until all of what was left is done, at the pace since `begun`.
pub(super) fn seconds_left(begun: Instant, done: usize, left: usize) -> u64 {
    let pace = begun.elapsed().as_secs_f64() / done.max(1) as f64;
    (pace * left.saturating_sub(done) as f64).ceil() as u64
}

/// What becomes of a job after a segment that could not be translated.
fn after(SegmentError { index, error }: SegmentError, units: &[Option<String>]) -> Outcome {
    let why = match units.get(index) {
        Some(Some(unit)) => format!("{unit}: {error}"),
        _ => error.to_string(),
    };
    failed(error, why)
}

/// What becomes of a job whose model failed.
pub(super) fn failed(error: SubmitError, why: String) -> Outcome {
    match error {
        SubmitError::QueueFull { .. }
        | SubmitError::TimedOut { .. }
        | SubmitError::Unavailable(_) => Outcome::Later(why, BUSY),
        SubmitError::Failed(_) => Outcome::Stumbled(why),
        SubmitError::Invalid { .. }
        | SubmitError::ContextExceeded { .. }
        | SubmitError::WrongKind { .. } => Outcome::Failed(why),
    }
}

/// Writes the document of all stored segments.
fn finish(jobs: &Jobs, id: &str, ready: &Ready) -> Result<Outcome> {
    let now = unix_micros();
    let seconds = u64::try_from(now / 1_000_000).unwrap_or_default();
    let mut targets: Vec<Option<Tagged>> = vec![None; ready.sources.len()];
    let mut stored = jobs.store.job_segments(id)?;
    for (index, segment) in &stored {
        if let Some(target) = targets.get_mut(*index) {
            *target = Some(segment.read(*index).map_err(StoreError::of)?.1.target);
        }
    }
    let Some(targets) = targets.into_iter().collect::<Option<Vec<Tagged>>>() else {
        return Ok(match jobs.settings.stop.is_cancelled() {
            true => Outcome::Stopped,
            false => Outcome::Stumbled("segments of it are missing in the store".to_owned()),
        });
    };
    let texts = ready.cut.join(&targets);
    let written = match ready.document.write(&texts, Some(&ready.options.to)) {
        Ok(written) => written,
        Err(error) => return Ok(Outcome::Failed(error.to_string())),
    };
    let places = ready.cut.places();
    let kept: BTreeMap<usize, &str> = written.reasons(&places).collect();
    let mut learnt = Vec::new();
    for (index, segment) in &mut stored {
        if let Some(why) = kept.get(index) {
            segment.report.keep(why);
        }
        if ready.options.learn {
            let (source, translated) = segment.read(*index).map_err(StoreError::of)?;
            learnt.extend(translated.learnt(&source, &ready.options.target, seconds));
        }
    }
    stored.retain(|(index, _)| kept.contains_key(index));
    let result = &written.bytes;
    let record = ready.facts.as_ref().map(|facts| {
        let facts = facts.as_ref().map_err(ToString::to_string)?;
        let record = recorded::record(jobs, facts, ready.name.clone(), result);
        record.map_err(|error| error.to_string())
    });
    let (record, note) = match record.transpose() {
        Ok(record) => (record, None),
        // The translation is worth more than its record.
        Err(error) => (None, Some(format!("it has no record: {error}"))),
    };
    let (record, learnt, noted) = (record.as_deref(), &learnt[..], &stored[..]);
    let finished = Finished { result, record, note, learnt, noted };
    let finished = jobs.store.finish_job(id, finished, now)?;
    Ok(if finished { Outcome::Done } else { Outcome::Gone })
}
